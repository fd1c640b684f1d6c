import json
from collections.abc import Callable

import pytest

from extproc.core.dialects.errors import render_error
from extproc.core.dialects.response import open_response
from extproc.core.policy import Operation
from extproc.core.reasons import REFUSALS, Malformed, Reason
from extproc.core.snapshot import Limits

PAN = "4111111111111111"
LIMITS = Limits(max_response_bytes=100_000, max_scan_steps=20_000)


def answer(message: dict[str, object], **fields: object) -> dict[str, object]:
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1760000000,
        "model": "m",
        "choices": [{"index": 0, "message": {"role": "assistant", **message}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 3, "completion_tokens": 5, "total_tokens": 8},
        **fields,
    }


def filtered(body: bytes, masker: object, operation: Operation = Operation.CHAT, size: int = 7) -> bytes:
    stream = open_response(operation, 200, "application/json", masker, LIMITS)
    for at in range(0, len(body), size):
        assert stream.feed(body[at : at + size]) == b""
    return bytes(stream.finish())


def test_a_clean_answer_goes_on_byte_for_byte_and_is_read_for_the_record(make_masker: Callable) -> None:
    body = json.dumps(answer({"content": "caf\u00e9"}), indent=1).encode()
    stream = open_response(Operation.CHAT, 200, "application/json", make_masker(), LIMITS)
    stream.feed(body)
    assert stream.finish() == body
    assert (stream.input_tokens, stream.output_tokens, stream.finish_reasons) == (3, 5, ("stop",))
    assert (stream.response_id, stream.response_model) == ("chatcmpl-1", "m")


@pytest.mark.parametrize("field", ["content", "reasoning_content", "reasoning", "refusal", "anything"])
def test_every_text_of_an_answer_is_masked(field: str, make_masker: Callable) -> None:
    document = answer({field: f"pay {PAN}."}, big=2**65)
    assert json.loads(filtered(json.dumps(document).encode(), make_masker())) == answer(
        {field: "pay [PAN]."}, big=2**65
    )


def test_every_choice_is_masked(make_masker: Callable) -> None:
    document = {"choices": [{"index": at, "message": {"content": PAN}} for at in range(3)]}
    out = json.loads(filtered(json.dumps(document).encode(), make_masker()))
    assert [part["message"]["content"] for part in out["choices"]] == ["[PAN]"] * 3


def test_tool_arguments_of_an_answer_are_masked_as_json(make_masker: Callable) -> None:
    arguments = '{"pan": 4111111111111111, "list": [4111, 1111], "cvv": "123"}'
    call = {"id": "c", "type": "function", "function": {"name": "pay", "arguments": arguments}}
    out = json.loads(filtered(json.dumps(answer({"content": None, "tool_calls": [call]})).encode(), make_masker()))
    masked = json.loads(out["choices"][0]["message"]["tool_calls"][0]["function"]["arguments"])
    assert masked["pan"] == "[PAN]"
    assert masked["list"] == [4111, 1111]
    assert "123" not in str(masked["cvv"])


def test_what_repeats_the_text_is_removed_from_an_answer(make_masker: Callable) -> None:
    document = answer({"content": "x", "audio": {"data": "AA"}}, prompt_logprobs=[{"1": {}}], prompt_token_ids=[1])
    document["choices"][0] |= {"logprobs": {"content": [{"token": "4111"}]}, "token_ids": [1]}
    out = json.loads(filtered(json.dumps(document).encode(), make_masker()))
    assert out == answer({"content": "x"})


def test_a_null_where_something_is_removed_stays(make_masker: Callable) -> None:
    body = json.dumps(answer({"content": "x", "audio": None}, prompt_logprobs=None)).encode()
    assert filtered(body, make_masker()) == body


def test_the_tokenizer_answers_with_token_numbers(make_masker: Callable) -> None:
    body = b'{"count":2,"tokens":[1,2]}'
    assert filtered(body, make_masker(), Operation.TOKENIZE) == body
    assert filtered(body, make_masker(), Operation.GENERATE) == b'{"count":2}'


def test_only_short_scalars_of_the_envelope_are_left_unmasked(make_masker: Callable) -> None:
    document = {**answer({"content": "x"}), "id": f"{PAN} " * 100, "created": int(PAN), "model": {"a": PAN}}
    assert PAN.encode() not in filtered(json.dumps(document).encode(), make_masker())
    assert PAN.encode() not in filtered(json.dumps({"id": PAN, "model": PAN}).encode(), make_masker())


@pytest.mark.parametrize("body", [b"{", b"x", b'{"a":1,"a":2}', b"\xff", b"[" * 1000, b'{"a":NaN}', b"\xef\xbb\xbf{}"])
def test_an_answer_that_does_not_parse_is_refused(body: bytes, make_masker: Callable) -> None:
    with pytest.raises(Malformed) as refused:
        filtered(body, make_masker())
    assert refused.value.reason is Reason.RESPONSE_MALFORMED
    assert refused.value.__context__ is None


def test_an_answer_of_too_many_values_is_refused_before_it_is_parsed(make_masker: Callable) -> None:
    with pytest.raises(Malformed) as refused:
        filtered(b"[" + b"[]," * (LIMITS.max_scan_steps + 1) + b"1]", make_masker(), size=4096)
    assert refused.value.reason is Reason.RESPONSE_TOO_COSTLY


def test_an_answer_over_the_limit_is_refused(make_masker: Callable) -> None:
    with pytest.raises(Malformed) as refused:
        filtered(b" " * (LIMITS.max_response_bytes + 1), make_masker(), size=4096)
    assert refused.value.reason is Reason.RESPONSE_TOO_LARGE


@pytest.mark.parametrize(
    "content_type", ["application/json", "text/plain", "text/event-stream", "application/x-ndjson", ""]
)
def test_an_empty_body_is_fine(content_type: str, make_masker: Callable) -> None:
    stream = open_response(Operation.CHAT, 204, content_type, make_masker(), LIMITS)
    assert stream.feed(b"") == b""
    assert stream.finish() == b""


@pytest.mark.parametrize("status", [200, 400, 404, 500])
def test_error_bodies_are_masked_by_their_type(status: int, make_masker: Callable) -> None:
    stream = open_response(Operation.CHAT, status, "application/json", make_masker(), LIMITS)
    stream.feed(json.dumps({"detail": [{"input": {"messages": [PAN]}}]}).encode())
    assert json.loads(stream.finish()) == {"detail": [{"input": {"messages": ["[PAN]"]}}]}
    text = open_response(Operation.CHAT, status, "text/plain; charset=utf-8", make_masker(), LIMITS)
    assert (
        bytes(text.feed(b"bad " + PAN[:5].encode())) + bytes(text.feed(PAN[5:].encode())) + text.finish()
        == b"bad [PAN]"
    )


@pytest.mark.parametrize(
    "content_type",
    [
        "text/html",
        "application/octet-stream",
        "application/vnd.amazon.eventstream",
        "audio/mpeg",
        "text/plain; charset=utf-16",
        "application/json; charset=iso-8859-1",
        "application/json, text/plain",
        "multipart/mixed",
        "json",
    ],
)
@pytest.mark.parametrize("status", [200, 500])
def test_a_type_that_cannot_be_inspected_is_refused(content_type: str, status: int, make_masker: Callable) -> None:
    with pytest.raises(Malformed) as refused:
        open_response(Operation.CHAT, status, content_type, make_masker(), LIMITS)
    assert refused.value.reason is Reason.RESPONSE_TYPE_UNSUPPORTED


def test_a_body_without_a_type_is_refused(make_masker: Callable) -> None:
    with pytest.raises(Malformed) as refused:
        open_response(Operation.CHAT, 200, "", make_masker(), LIMITS).feed(b"x")
    assert refused.value.reason is Reason.RESPONSE_TYPE_UNSUPPORTED


def test_text_is_masked_the_same_for_every_cut(make_masker: Callable) -> None:
    body = f"caf\u00e9 {PAN} \U0001f600 \uff14111111111111111 end 41".encode()
    expected = make_masker().mask_text(body.decode()).encode()
    for at in range(len(body) + 1):
        stream = open_response(Operation.UNKNOWN, 200, "text/plain", make_masker(), LIMITS)
        assert bytes(stream.feed(body[:at])) + bytes(stream.feed(body[at:])) + stream.finish() == expected


def test_clean_text_is_the_same_object(make_masker: Callable) -> None:
    stream = open_response(Operation.UNKNOWN, 200, "text/plain", make_masker(), LIMITS)
    chunk = b"nothing to see"
    assert stream.feed(chunk) is chunk


@pytest.mark.parametrize("chunks", [[b"\xff"], [b"a\xc3", b"("], [b"a\xc3"]])
def test_text_that_is_not_utf8_is_refused(chunks: list[bytes], make_masker: Callable) -> None:
    stream = open_response(Operation.UNKNOWN, 200, "text/plain", make_masker(), LIMITS)
    with pytest.raises(Malformed) as refused:
        b"".join([*map(stream.feed, chunks), stream.finish()])
    assert refused.value.reason is Reason.RESPONSE_MALFORMED
    assert refused.value.__context__ is None


@pytest.mark.parametrize("reason", list(Reason))
def test_every_refusal_has_the_shape_that_clients_read(reason: Reason) -> None:
    refusal = REFUSALS[reason]
    body, content_type = render_error(
        Operation.CHAT, refusal, reason, refusal.sentence, "x-1", {"approval_id": "a", "code": "no"}
    )
    assert content_type == "application/json"
    assert json.loads(body) == {
        "error": {
            "approval_id": "a",
            "code": reason.value,
            "message": refusal.sentence,
            "type": refusal.error_type,
            "param": None,
            "exchange_id": "x-1",
        }
    }
    assert json.loads(render_error(Operation.MESSAGES, refusal, reason, "m", "x-1")[0])["type"] == "error"
