"""What a stream says once is masked as a whole, and nothing of it goes on in what comes after."""

import json
from collections.abc import Callable
from typing import Any

import anthropic
import httpx
import httpx2
import ollama
import pytest

from extproc.core.dialects import stream
from extproc.core.dialects.response import open_response
from extproc.core.policy import Operation
from extproc.core.reasons import Malformed, Reason
from extproc.core.snapshot import Limits

PAN = "4111111111111111"
NDJSON = "application/x-ndjson"
LINES = "application/jsonl"
SSE = "text/event-stream"


def written(document: Any, content_type: str) -> bytes:
    text = json.dumps(document, ensure_ascii=False).encode()
    return b"data: " + text + b"\n\n" if content_type == SSE else text + b"\n"


def masked(masker: object, documents: list[Any], content_type: str, operation: Operation = Operation.CHAT) -> bytes:
    stream = open_response(operation, 200, content_type, masker, Limits())
    fed = [bytes(stream.feed(written(document, content_type))) for document in documents]
    return b"".join([*fed, bytes(stream.finish())])


def read(data: bytes) -> list[Any]:
    return [json.loads(line.removeprefix(b"data: ")) for line in data.splitlines() if line]


def answer_line(number: object, content: str) -> dict[str, Any]:
    choices = [{"index": 0, "message": {"role": "assistant", "content": content}}]
    return {"id": "b", "custom_id": number, "response": {"status_code": 200, "body": {"choices": choices}}}


def calls(*arguments: Any) -> list[dict[str, Any]]:
    """Ollama sends each call whole, in a line of its own."""
    return [
        {"model": "m", "message": {"role": "assistant", "tool_calls": [{"function": {"name": "f", "arguments": one}}]},
         "done": False}
        for one in arguments
    ]  # fmt: skip


LINES_ALONE = [
    ([answer_line("a", "total 15.99"), answer_line("b", PAN)], ["total 15.99", "[PAN]"]),
    ([answer_line("a", "my card " + PAN), answer_line("b", "737 people")], ["my card [PAN]", "737 people"]),
    ([answer_line("a", "What is a CVV?"), answer_line("b", "123 Main Street")], ["What is a CVV?", "123 Main Street"]),
    ([answer_line(f"{number}", "ok") for number in (4003, 4004, 4005, 4006)], ["ok"] * 4),
]


@pytest.mark.parametrize(("lines", "contents"), LINES_ALONE)
def test_the_lines_of_a_file_are_masked_one_by_one(
    lines: list[Any], contents: list[str], make_masker: Callable
) -> None:
    out = read(masked(make_masker(), lines, LINES, Operation.UNKNOWN))
    assert [one["response"]["body"]["choices"][0]["message"]["content"] for one in out] == contents
    assert [one["custom_id"] for one in out] == [one["custom_id"] for one in lines]


def test_a_line_of_a_file_is_masked_as_the_document_it_is(make_masker: Callable) -> None:
    whole = {"parts": ["4111", "1111", "1111", "1111"], "key": "cvv", "value": 737, "logprobs": [{"token": PAN}]}
    body = open_response(Operation.UNKNOWN, 200, "application/json", make_masker(), Limits())
    body.feed(written(whole, NDJSON))
    (line,) = read(masked(make_masker(), [whole], LINES, Operation.UNKNOWN))
    assert line == json.loads(bytes(body.finish()))
    assert line["parts"] == ["[PAN]", "", "", ""]


def test_an_untouched_line_of_a_file_goes_on_as_its_bytes(make_masker: Callable) -> None:
    body = b'{ "a": 1 }\r\n\n  {"b":[2]}'
    stream = open_response(Operation.UNKNOWN, 200, LINES, make_masker(), Limits())
    assert b"".join(bytes(stream.feed(body[at : at + 1])) for at in range(len(body))) + bytes(stream.finish()) == body


def test_a_line_of_a_file_that_is_no_json_is_refused(make_masker: Callable) -> None:
    with pytest.raises(Malformed) as refused:
        open_response(Operation.UNKNOWN, 200, LINES, make_masker(), Limits()).feed(b'{"a":' + PAN.encode() + b"\n")
    assert refused.value.reason is Reason.RESPONSE_MALFORMED


def test_a_conversation_of_any_length_is_one_line(make_masker: Callable) -> None:
    line = {"messages": [{"role": "user", "content": f"so {'x' * (at % 7)}"} for at in range(600)]}
    assert read(masked(make_masker(), [line], LINES, Operation.UNKNOWN)) == [line]


CALLS = [
    [{"number": "7"}, {"number": PAN}],
    [{"fields": [{"name": "cvv", "value": "737"}]}],
    [{"key": "cvv", "value": 737}],
    [{"card": ["4111", "1111", "1111", "1111"]}],
    [{"row": [PAN, "12/28", "737"]}],
    [{"order": "4003"}, {"order": "4004"}, {"order": "4005"}, {"order": "4006"}],
    [{"q": "what is a security code"}, {"q": "1234 Elm Street"}],
    [{"a": "4111 1111"}, {"a": "1111 1111"}],
    [{"context": ["a", "b"], "images": ["x.png"], "tokens": [1, 2]}],
    [{f"k{at}": "a" for at in range(300)}],
]


@pytest.mark.parametrize("arguments", CALLS)
def test_the_arguments_of_a_whole_call_are_masked_as_in_a_whole_answer(
    arguments: list[Any], make_masker: Callable
) -> None:
    expected = [make_masker().mask_value({"arguments": one})["arguments"] for one in arguments]
    out = read(masked(make_masker(), calls(*arguments), NDJSON))
    assert [one["message"]["tool_calls"][0]["function"]["arguments"] for one in out] == expected


def test_ollamas_client_reads_whole_calls_as_they_were_masked(make_masker: Callable) -> None:
    body = masked(make_masker(), calls({"n": "7"}, {"n": PAN}, {"n": "1111"}), NDJSON)
    transport = httpx.MockTransport(lambda _: httpx.Response(200, content=body, headers={"content-type": NDJSON}))
    client = ollama.Client(host="http://guard", transport=transport)
    stream = client.chat(model="m", messages=[], stream=True)
    said = [call.function.arguments for part in stream for call in part.message.tool_calls or []]
    assert said == [{"n": "7"}, {"n": "[PAN]"}, {"n": "1111"}]


def citation(**fields: Any) -> dict[str, Any]:
    return {"type": "content_block_delta", "index": 0, "delta": {"type": "citations_delta", "citation": fields}}


def annotation(url: str) -> dict[str, Any]:
    annotations = [{"type": "url_citation", "url_citation": {"url": url, "title": "t"}}]
    return {"choices": [{"index": 0, "delta": {"annotations": annotations}, "finish_reason": None}]}


@pytest.mark.parametrize(
    ("make", "texts", "expected"),
    [
        (lambda text: citation(cited_text=text), ["page 7", PAN + " is"], ["page 7", "[PAN] is"]),
        (lambda text: citation(cited_text=text), ["the CVV", "123 pages"], ["the CVV", "123 pages"]),
        (annotation, ["7", PAN], ["7", "[PAN]"]),
        (annotation, ["https://a.example/4111", "https://b.example/x"], ["https://a.example/4111", "https://b.example/x"]),
    ],
)  # fmt: skip
def test_citations_continue_nothing(
    make: Callable, texts: list[str], expected: list[str], make_masker: Callable
) -> None:
    out = read(masked(make_masker(), [make(text) for text in texts], SSE))
    assert out == [make(text) for text in expected]


@pytest.mark.parametrize("pieces", [[PAN], ["7", PAN], ["4111 1111 ", "1111 1111"]])
def test_a_string_of_unknown_meaning_is_looked_at_alone_and_with_what_comes_before(
    pieces: list[str], make_masker: Callable
) -> None:
    for content_type in (SSE, NDJSON):
        out = masked(make_masker(), [{"verdict": {"why": piece}} for piece in pieces], content_type)
        assert b"[PAN]" in out
        assert PAN[-9:].encode() not in out
        assert b"1111 " not in out


def test_what_surrounds_the_texts_is_masked_whatever_was_seen_before(make_masker: Callable) -> None:
    parts = {"a": 4111, "b": 1111, "c": 1111, "d": 1111}
    alone = read(masked(make_masker(), [parts], NDJSON))[0]
    assert alone["a"] == "[PAN]"
    assert read(masked(make_masker(), [{"a": 4111, "b": 1}, {"c": 1111, "d": 1111}, parts], NDJSON))[2] == alone


def test_the_order_of_what_surrounds_the_texts_counts(make_masker: Callable) -> None:
    disordered = {"usage": {"b": 1111, "a": 4111, "c": 1111, "d": 1111}}
    ordered = {"usage": {"a": 4111, "b": 1111, "c": 1111, "d": 1111}}
    out = read(masked(make_masker(), [disordered, disordered, ordered], NDJSON))
    assert out[:2] == [disordered] * 2
    assert out[2]["usage"]["a"] == "[PAN]"


def test_line_ends_of_unicode_stay_escaped_where_a_line_is_written_anew(make_masker: Callable) -> None:
    said = {"model": "m", "message": {"role": "assistant", "content": f"a\u2028b\u2029c\x85 {PAN}"}, "done": True}
    line = json.dumps(said).encode() + b"\n"
    stream = open_response(Operation.CHAT, 200, NDJSON, make_masker(), Limits())
    out = (bytes(stream.feed(line)) + bytes(stream.finish())).decode()
    assert len(out.splitlines()) == 1
    assert json.loads(out)["message"]["content"] == "a\u2028b\u2029c\x85 [PAN]"


def test_counters_and_times_of_events_are_passed_over_and_kept(make_masker: Callable) -> None:
    documents = [
        {"type": "response.x", "sequence_number": 41, "note": "my card " + PAN, "created_at": "2026-01-01T00:00:00.123456789Z"},
        {"type": "response.x", "sequence_number": 4000005, "note": "so", "created_at": "2026-01-01T00:00:00+01:00"},
    ]  # fmt: skip
    out = read(masked(make_masker(), documents, SSE))
    assert out == [{**documents[0], "note": "my card [PAN]"}, documents[1]]
    assert list(out[0]) == list(documents[0])


@pytest.mark.parametrize(
    "field", [("created_at", "4111 1111 1111 1111"), ("created_at", PAN), ("sequence_number", int(PAN))]
)
def test_a_counter_or_time_that_is_none_is_masked(field: tuple[str, object], make_masker: Callable) -> None:
    key, value = field
    assert read(masked(make_masker(), [{key: value}, {key: value}], NDJSON)) == [{key: "[PAN]"}] * 2


JOINED = [
    ({"tool_calls": [{"index": 0, "function": {"arguments": {"x": text}}}]} for text in ("4111 1111 ", "1111 1111")),
    ({"annotations": [{"index": 0, "t": text}]} for text in ("4111 1111 ", "1111 1111")),
    ({"input": {"x": text}} for text in ("41111111", "11111111")),
]


@pytest.mark.parametrize("deltas", [list(pair) for pair in JOINED])
def test_what_openais_client_joins_in_a_delta_goes_on(deltas: list[dict], make_masker: Callable) -> None:
    events = [{"choices": [{"index": 0, "delta": delta, "finish_reason": None}]} for delta in deltas]
    out = masked(make_masker(), events, SSE)
    assert b"[PAN]" in out
    assert b"1111" not in out


def test_what_a_whole_answer_echoes_is_removed_and_a_tools_parameters_stay(make_masker: Callable) -> None:
    tool = {"type": "tool_use", "input": {"tokens": [1, 2]}}
    for document, left in (
        ({"input": {"tokens": [1, 2]}}, {"input": {}}),
        ({"content": [tool], "arguments": {"audio": [1]}}, {"content": [tool], "arguments": {"audio": [1]}}),
    ):
        whole = open_response(Operation.MESSAGES, 200, "application/json", make_masker(), Limits())
        whole.feed(json.dumps(document).encode())
        assert json.loads(bytes(whole.finish())) == left


PICTURE = "iVBORw0KGgo" * 40


@pytest.mark.parametrize(
    ("document", "left"),
    [
        ({"item": {"type": "image_generation_call", "result": PICTURE}}, {"item": {"type": "image_generation_call"}}),
        (
            {"message": {"images": [{"image_url": {"url": "Data:image/png;base64,aaaa"}}]}},
            {"message": {"images": [{"image_url": {}}]}},
        ),
        ({"message": {"images": [PICTURE]}, "done": False}, {"message": {}, "done": False}),
        ({"image": PICTURE, "done": False}, {"done": False}),
    ],
)
def test_pictures_in_answers_are_removed(document: dict, left: dict, make_masker: Callable) -> None:
    assert read(masked(make_masker(), [document], NDJSON)) == [left]
    whole = open_response(Operation.CHAT, 200, "application/json", make_masker(), Limits())
    whole.feed(json.dumps(document).encode())
    assert json.loads(bytes(whole.finish())) == left


def test_what_only_looks_like_a_picture_stays(make_masker: Callable) -> None:
    document = {"image": "registry/vllm:v0.6", "url": "https://a.example/x", "result": "done", "images": ["a.png"]}
    assert read(masked(make_masker(), [document], NDJSON)) == [document]


def test_anthropics_client_raises_where_its_stream_was_cut(make_masker: Callable) -> None:
    start = {"id": "m", "type": "message", "role": "assistant", "content": [], "model": "m",
             "usage": {"input_tokens": 1, "output_tokens": 1}}  # fmt: skip
    stream = open_response(Operation.MESSAGES, 200, SSE, make_masker(), Limits())
    head = b"event: message_start\n" + written({"type": "message_start", "message": start}, SSE)
    body = bytes(stream.feed(head)) + bytes(stream.cut("The policy ended this answer.", "policy_denied", "x-1"))
    transport = httpx2.MockTransport(lambda _: httpx2.Response(200, content=body, headers={"content-type": SSE}))
    client = anthropic.Anthropic(api_key="k", base_url="http://guard", http_client=httpx2.Client(transport=transport))
    with (
        pytest.raises(anthropic.APIStatusError, match="The policy ended this answer"),
        client.messages.stream(model="m", max_tokens=1, messages=[{"role": "user", "content": "x"}]) as events,
    ):
        list(events)


def test_ollamas_client_raises_where_its_stream_was_cut(make_masker: Callable) -> None:
    stream = open_response(Operation.CHAT, 200, NDJSON, make_masker(), Limits())
    body = bytes(stream.cut("The policy ended this answer.", "policy_denied", "x-1"))
    transport = httpx.MockTransport(lambda _: httpx.Response(200, content=body, headers={"content-type": NDJSON}))
    client = ollama.Client(host="http://guard", transport=transport)
    with pytest.raises(ollama.ResponseError, match=r"The policy ended this answer. \(policy_denied, x-1\)"):
        list(client.chat(model="m", messages=[], stream=True))


def test_an_envelope_that_costs_too_much_is_an_answer_that_does(
    make_masker: Callable, monkeypatch: pytest.MonkeyPatch
) -> None:
    def costly(*_: Any) -> str:
        raise Malformed(Reason.BODY_TOO_COSTLY)

    masker = make_masker()
    monkeypatch.setattr(type(masker), "mask_text", costly)
    whole = open_response(Operation.CHAT, 200, "application/json", masker, Limits())
    whole.feed(b'{"id":"a","choices":[]}')
    with pytest.raises(Malformed) as refused:
        whole.finish()
    assert refused.value.reason is Reason.RESPONSE_TOO_COSTLY


@pytest.mark.parametrize(("padding", "learned"), [(10, True), (5_000, False)])
def test_the_shape_of_a_large_event_is_not_kept(
    padding: int, learned: bool, make_masker: Callable, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []
    monkeypatch.setattr(stream, "learn_template", lambda *given: asked.append(given))
    event = b'data: {"choices":[' + b" " * padding + b'{"index":0,"delta":{"content":"so"},"finish_reason":null}]}\n\n'
    body = open_response(Operation.CHAT, 200, SSE, make_masker(), Limits())
    assert b"".join(bytes(body.feed(event)) for _ in range(3)) == event * 3
    assert bool(asked) is learned
