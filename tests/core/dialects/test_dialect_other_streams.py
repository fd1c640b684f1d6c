import json
from collections import defaultdict
from collections.abc import Callable
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from extproc.core.dialects.response import open_response
from extproc.core.policy import Operation
from extproc.core.reasons import Malformed, Reason
from extproc.core.snapshot import Limits

PAN = "4111111111111111"
LIMITS = Limits()
SSE = "text/event-stream"
NDJSON = "application/x-ndjson"


def line(document: object) -> bytes:
    return json.dumps(document, separators=(",", ":"), ensure_ascii=False).encode() + b"\n"


def sse(name: str, **document: object) -> bytes:
    return f"event: {name}\ndata: ".encode() + line({"type": name, **document}) + b"\n"


def filtered(
    chunks: list[bytes],
    masker: object,
    content_type: str,
    operation: Operation = Operation.GENERATE,
    limits: Limits = LIMITS,
) -> list[bytes]:
    stream = open_response(operation, 200, content_type, masker, limits)
    return [*(bytes(stream.feed(chunk)) for chunk in chunks), bytes(stream.finish())]


def ollama(*texts: str) -> list[bytes]:
    lines = [{"model": "m", "created_at": f"2026-01-01T00:00:0{at}Z", "message": {"role": "assistant", "content": text}, "done": False} for at, text in enumerate(texts)]  # fmt: skip
    last = {"model": "m", "message": {"role": "assistant", "content": ""}, "done": True, "done_reason": "stop", "prompt_eval_count": 4, "eval_count": 9}  # fmt: skip
    return [line(document) for document in [*lines, last]]


def test_clean_lines_go_on_as_they_came(make_masker: Callable) -> None:
    chunks = ollama("Hello", " 15 % of", " world")
    stream = open_response(Operation.CHAT, 200, NDJSON, make_masker(), LIMITS)
    for chunk in chunks:
        assert stream.feed(chunk) is chunk
    assert stream.finish() == b""
    assert (stream.input_tokens, stream.output_tokens, stream.finish_reasons) == (4, 9, ("stop",))


@pytest.mark.parametrize(
    "cuts", [("pay ", PAN[:8], PAN[8:], " now"), ("pay " + PAN, "."), ("a 4", *PAN[1:]), (PAN[:12],)]
)
def test_text_split_over_lines_is_masked_as_if_it_were_whole(cuts: tuple[str, ...], make_masker: Callable) -> None:
    chunks = ollama(*cuts)
    expected = make_masker().mask_text("".join(cuts))
    for size in (1, 3, 50, 10_000):
        stream = b"".join(chunks)
        pieces = [stream[at : at + size] for at in range(0, len(stream), size)]
        out = [json.loads(text) for text in b"".join(filtered(pieces, make_masker(), NDJSON)).splitlines()]
        assert len(out) == len(chunks)
        assert "".join(document["message"]["content"] for document in out) == expected
        assert out[-1] == json.loads(chunks[-1])


def test_events_wait_in_order_and_keep_their_own_text(make_masker: Callable) -> None:
    chunks = ollama("a 4111", "1111", " b", " x")
    out = filtered(chunks, make_masker(), NDJSON)
    # The first event waits until the third shows that there is no card number; all three then leave unchanged.
    assert out[:2] == [b"", b""]
    assert out[2] == b"".join(chunks[:3])
    assert out[3:] == [*chunks[3:], b""]


def test_a_mask_stands_in_the_event_where_the_number_began(make_masker: Callable) -> None:
    out = b"".join(filtered(ollama("a " + PAN[:4], PAN[4:15], PAN[15:] + " b", " c"), make_masker(), NDJSON))
    contents = [json.loads(text)["message"]["content"] for text in out.splitlines()]
    assert "".join(contents) == "a [PAN] b c"
    assert contents[0].startswith("a [PAN]")


def test_anthropic_events_are_masked_and_keep_names_and_order(make_masker: Callable) -> None:
    start = {"index": 0, "content_block": {"type": "text", "text": ""}}
    texts = ("a ", PAN[:9], PAN[9:], " b")
    events = [
        sse("message_start", message={"id": "msg_1", "role": "assistant", "content": [], "usage": {"input_tokens": 7}}),
        sse("content_block_start", **start),
        *(sse("content_block_delta", index=0, delta={"type": "text_delta", "text": text}) for text in texts),
        sse("content_block_stop", index=0),
        sse("message_delta", delta={"stop_reason": "end_turn"}, usage={"output_tokens": 5}),
        sse("message_stop"),
    ]  # fmt: skip
    stream = open_response(Operation.MESSAGES, 200, SSE, make_masker(), LIMITS)
    out = b"".join([*(stream.feed(chunk) for chunk in events), stream.finish()])
    found = [json.loads(block.split(b"data: ")[1]) for block in out.split(b"\n\n") if block]
    names = [block.split(b"\n")[0] for block in out.split(b"\n\n") if block]
    assert [b"event: " + document["type"].encode() for document in found] == names
    deltas = [document["delta"] for document in found if document["type"] == "content_block_delta"]
    assert [document["type"] for document in found] == [
        json.loads(event.split(b"data: ")[1])["type"] for event in events
    ]
    assert "".join(delta["text"] for delta in deltas) == "a [PAN] b"
    assert (stream.input_tokens, stream.output_tokens, stream.finish_reasons) == (7, 5, ("end_turn",))


def test_the_text_of_a_done_event_is_masked_like_its_deltas(make_masker: Callable) -> None:
    deltas = ["card ", PAN[:7], PAN[7:], "."]
    events = [sse("response.output_text.delta", item_id="i", output_index=0, content_index=0, sequence_number=at, delta=text) for at, text in enumerate(deltas)]  # fmt: skip
    events.append(
        sse("response.output_text.done", item_id="i", output_index=0, text="".join(deltas), sequence_number=9)
    )
    out = b"".join(filtered(events, make_masker(), SSE, Operation.RESPONSES))
    found = [json.loads(block.split(b"data: ")[1]) for block in out.split(b"\n\n") if block]
    assert [document["sequence_number"] for document in found] == [0, 1, 2, 3, 9]
    assert "".join(document["delta"] for document in found[:-1]) == found[-1]["text"] == "card [PAN]."


def test_legacy_completions_are_carried_like_chat(make_masker: Callable) -> None:
    def chunk(text: str, finish: str | None = None, index: int = 0) -> bytes:
        return (
            b"data: " + line({"id": "c", "choices": [{"index": index, "text": text, "finish_reason": finish}]}) + b"\n"
        )

    events = [chunk("a " + PAN[:5]), chunk("b", index=1), chunk(PAN[5:]), chunk(" 41", "stop"), chunk("", "stop", 1)]
    out = b"".join(filtered([*events, b"data: [DONE]\n\n"], make_masker(), SSE, Operation.TEXT_COMPLETION))
    found = [json.loads(block[6:])["choices"][0] for block in out.split(b"\n\n")[:-2]]
    assert "".join(part["text"] for part in found if part["index"] == 0) == "a [PAN] 41"
    assert "".join(part["text"] for part in found if part["index"] == 1) == "b"


def test_token_numbers_beside_the_text_are_removed(make_masker: Callable) -> None:
    token = {"index": 1, "token": {"id": 4711, "text": "x", "special": False}, "top_tokens": [{"id": 1}]}
    final = {"generated_text": f"pay {PAN}.", "details": {"tokens": [{"id": 1, "text": "4"}], "prefill": [{"id": 2}]}}
    out = b"".join(filtered([b"data: " + line(token) + b"\n", b"data: " + line(final) + b"\n"], make_masker(), SSE))
    found = [json.loads(block[6:]) for block in out.split(b"\n\n") if block]
    assert found == [
        {"index": 1, "token": {"id": 0, "text": "x", "special": False}},
        {"generated_text": "pay [PAN].", "details": {}},
    ]
    context = line({"response": "", "done": True, "context": [1, 2, 3]})
    assert json.loads(b"".join(filtered([context], make_masker(), NDJSON))) == {"response": "", "done": True}


def test_a_key_alone_gives_a_value_away(make_masker: Callable) -> None:
    out = b"".join(filtered([line({"cvv": "123", "note": "ok"}), line({"cvv": 123})], make_masker(), NDJSON))
    assert b"123" not in out
    assert json.loads(out.splitlines()[0])["note"] == "ok"


def test_a_long_number_is_not_a_card_number_because_of_where_it_is_cut(make_masker: Callable) -> None:
    chunks = ollama("id 9999", PAN, "9999 end")
    assert b"".join(filtered(chunks, make_masker(), NDJSON)) == b"".join(chunks)


@given(st.lists(st.integers(0, 90), max_size=8))
@settings(deadline=None)
def test_tool_input_of_other_dialects_stays_parseable_for_every_cut(make_masker: Callable, cuts: list[int]) -> None:
    whole = json.dumps({"pan": int(PAN), "cvv": 123, "note": f"x {PAN}.", "ids": [1, 4111], "\u00e9": "\u00e9"})
    edges = [0, *sorted(cuts), len(whole)]
    pieces = [whole[start:end] for start, end in pairwise(edges)]
    events = [
        sse("content_block_delta", index=0, delta={"type": "input_json_delta", "partial_json": p}) for p in pieces
    ]
    out = b"".join(filtered(events, make_masker(), SSE, Operation.MESSAGES))
    found = [json.loads(block.split(b"data: ")[1]) for block in out.split(b"\n\n") if block]
    assert len(found) == len(events)
    assert json.loads("".join(document["delta"]["partial_json"] for document in found)) == {
        "pan": "[PAN]",
        "cvv": "[CVV]",
        "note": "x [PAN].",
        "ids": [1, 4111],
        "\u00e9": "\u00e9",
    }


PIECES = st.lists(st.sampled_from(["4111", "1111", "11111111", "4", " ", "5555555555554444", "cvv ", "123", "a", ""]))


@given(st.lists(st.tuples(st.sampled_from(("text", "thinking")), PIECES), max_size=3), st.data())
@settings(max_examples=150)
def test_any_interleaving_of_paths_gives_the_masked_whole_of_each_in_order(
    make_masker: Callable, channels: list[tuple[str, list[str]]], data: st.DataObject
) -> None:
    wholes: dict[str, str] = defaultdict(str)
    queues = [[(key, piece) for piece in pieces] for key, pieces in channels]
    events = []
    while any(queues):
        key, piece = data.draw(st.sampled_from([queue for queue in queues if queue])).pop(0)
        wholes[key] += piece
        events.append(line({key: piece, "n": len(events)}))
    out = [json.loads(text) for text in b"".join(filtered(events, make_masker(), NDJSON)).splitlines()]
    assert [document["n"] for document in out] == list(range(len(events)))
    for key, whole in wholes.items():
        assert "".join(document.get(key, "") for document in out) == make_masker().mask_text(whole)


def test_what_waits_is_bounded(make_masker: Callable) -> None:
    limits = Limits(max_response_bytes=10_000)
    events = [line({"a": "4111"}), *(line({"b": "x" * 100}) for _ in range(200))]
    with pytest.raises(Malformed) as refused:
        filtered(events, make_masker(), NDJSON, limits=limits)
    assert refused.value.reason is Reason.RESPONSE_TOO_LARGE


def test_a_flood_of_paths_is_refused(make_masker: Callable) -> None:
    with pytest.raises(Malformed) as refused:
        filtered([line({f"k{at}": "a"}) for at in range(300)], make_masker(), NDJSON)
    assert refused.value.reason is Reason.RESPONSE_TOO_LARGE


def test_a_cut_line_stream_ends_with_an_error_line(make_masker: Callable) -> None:
    stream = open_response(Operation.CHAT, 200, NDJSON, make_masker(), LIMITS)
    stream.feed(line({"response": "4111"}))
    assert json.loads(stream.cut("No more.", "policy_denied", "x-1")) == {"error": "No more. (policy_denied, x-1)"}
