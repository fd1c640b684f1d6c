"""Which events of a stream continue a text, which are complete in themselves, and which end a text."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from extproc.core.dialects.families import is_whole
from extproc.core.dialects.response import ResponseFilter, open_response
from extproc.core.policy import Operation
from extproc.core.reasons import Malformed, Reason
from extproc.core.snapshot import Limits

PAN = "4111111111111111"


def opened(masker: object) -> ResponseFilter:
    return open_response(Operation.GENERATE, 200, "text/event-stream", masker, Limits())


def event(document: dict[str, Any]) -> bytes:
    return b"data: " + json.dumps(document).encode() + b"\n\n"


def read(data: bytes) -> list[dict[str, Any]]:
    return [json.loads(block[6:]) for block in data.split(b"\n\n") if block]


def passed(masker: object, *documents: dict[str, Any]) -> list[dict[str, Any]]:
    stream = opened(masker)
    return read(b"".join([*(stream.feed(event(document)) for document in documents), stream.finish()]))


def test_the_tokens_of_tgi_are_one_text_although_each_has_an_index(make_masker: Callable) -> None:
    tokens = [{"index": at, "token": {"id": 9, "text": text}} for at, text in enumerate([PAN[:8], PAN[8:], "."])]
    out = passed(make_masker(), *tokens)
    assert "".join(document["token"]["text"] for document in out) == "[PAN]."
    assert [document["index"] for document in out] == [0, 1, 2]


def test_the_prompts_of_llama_cpp_are_told_apart_by_their_index(make_masker: Callable) -> None:
    pieces = [(0, "41111111"), (1, "5555"), (0, "11111111"), (1, " so")]
    out = passed(make_masker(), *({"index": index, "content": text, "stop": False} for index, text in pieces))
    for index, whole in ((0, "[PAN]"), (1, "5555 so")):
        assert "".join(document["content"] for document in out if document["index"] == index) == whole


BEGUN = [
    (
        {"type": "content_block_start", "index": 2, "content_block": {"type": "text", "text": PAN[:8]}},
        {"type": "content_block_delta", "index": 2, "delta": {"type": "text_delta", "text": PAN[8:]}},
    ),
    (
        {"type": "content_block_start", "index": 2, "content_block": {"type": "thinking", "thinking": PAN[:8]}},
        {"type": "content_block_delta", "index": 2, "delta": {"type": "thinking_delta", "thinking": PAN[8:]}},
    ),
    *(
        (
            {"type": "response.content_part.added", "output_index": 1, "content_index": 0, "part": {"type": kind, key: PAN[:8]}},
            {"type": f"response.{kind}.delta", "output_index": 1, "content_index": 0, "delta": PAN[8:]},
        )
        for kind, key in (("output_text", "text"), ("refusal", "refusal"), ("reasoning_text", "text"))
    ),
    (
        {"type": "response.output_item.added", "output_index": 1, "item": {"type": "function_call", "arguments": '{"a":"' + PAN[:8]}},
        {"type": "response.function_call_arguments.delta", "output_index": 1, "delta": PAN[8:] + '"}'},
    ),
]  # fmt: skip


@pytest.mark.parametrize(("first", "second"), BEGUN)
def test_a_text_that_its_first_event_begins_goes_on_in_the_deltas(
    first: dict[str, Any], second: dict[str, Any], make_masker: Callable
) -> None:
    out = passed(make_masker(), first, second)
    assert "[PAN]" in json.dumps(out)
    assert PAN[:8] not in json.dumps(out)
    assert PAN[8:] not in json.dumps(out)
    assert [document["type"] for document in out] == [first["type"], second["type"]]


ENDED = [
    (
        {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "a 4111"}},
        {"type": "content_block_stop", "index": 0},
    ),
    (
        {"type": "response.output_text.delta", "output_index": 0, "content_index": 0, "delta": "a 4111"},
        {"type": "response.output_text.done", "output_index": 0, "content_index": 0, "text": "a 4111"},
    ),
    (
        {"type": "response.output_text.delta", "item_id": "msg_1", "delta": "a 4111"},
        {"type": "response.output_text.done", "item_id": "msg_1", "text": "a 4111"},
    ),
    ({"type": "transcript.text.delta", "delta": "a 4111"}, {"type": "transcript.text.done", "text": "a 4111"}),
]


@pytest.mark.parametrize(("delta", "end"), ENDED)
def test_a_text_is_decided_where_its_protocol_ends_it(
    delta: dict[str, Any], end: dict[str, Any], make_masker: Callable
) -> None:
    stream = opened(make_masker())
    assert stream.feed(event(delta)) == b""
    assert stream.feed(event(end)) == event(delta) + event(end)
    with pytest.raises(Malformed) as refused:
        stream.feed(event({**delta, "delta": {"text": "1"} if isinstance(delta["delta"], dict) else "1"}))
    assert refused.value.reason is Reason.RESPONSE_MALFORMED


def test_a_text_of_which_nothing_waits_may_go_on_after_its_end(make_masker: Callable) -> None:
    """llama.cpp numbers no items: the next one may look like the same."""
    delta, end = (
        {"type": "response.output_text.delta", "delta": "so."},
        {"type": "response.output_text.done", "text": ""},
    )
    assert passed(make_masker(), delta, end, delta, end) == [delta, end, delta, end]


@pytest.mark.parametrize(
    "lifecycle",
    [
        {"type": "response.created", "response": {"id": "r", "instructions": "say 4111"}},
        {"type": "response.output_item.done", "output_index": 0, "item": {"content": [{"text": "41"}]}},
        {"type": "message_start", "message": {"content": [], "note": "4"}},
    ],
)
def test_an_event_that_is_complete_keeps_nothing_waiting(lifecycle: dict[str, Any], make_masker: Callable) -> None:
    stream = opened(make_masker())
    for _ in range(2):
        assert stream.feed(event(lifecycle)) == event(lifecycle)


def test_only_known_kinds_are_complete_in_themselves() -> None:
    assert [kind for kind in ("response.output_text.delta", "content_block_delta", "x", "") if is_whole(kind)] == []


@pytest.mark.parametrize(
    "document", [{"text": "a 4111 1111", "meta_info": {"id": "x"}, "index": 0}, {"text": ["a 4111 1111"]}]
)
def test_events_that_repeat_the_text_so_far_are_withheld(document: dict[str, Any], make_masker: Callable) -> None:
    with pytest.raises(Malformed) as refused:
        opened(make_masker()).feed(event(document))
    assert refused.value.reason is Reason.RESPONSE_TYPE_UNSUPPORTED


def test_an_empty_list_of_what_is_dropped_changes_nothing(make_masker: Callable) -> None:
    stream = opened(make_masker())
    line = event({"index": 0, "content": "hi", "tokens": [], "stop": False})
    assert stream.feed(line) == line


PARTED = [
    ({"type": "content_block_delta", "index": 0}, {"output_index": 7}, "delta"),
    ({"type": "response.output_text.delta", "output_index": 0, "content_index": 0}, {"summary_index": 3}, None),
    ({"type": "response.function_call_arguments.delta", "output_index": 0}, {"content_index": 3}, None),
    ({"message": {}, "done": False}, {"index": 1}, "message"),
    ({"message": {}, "done": False}, {"type": "ping"}, "message"),
    ({"message": {}, "done": False}, {"type": "b"}, "message"),
    ({"index": 0, "token": {}}, {"output_index": 3}, "token"),
]


@pytest.mark.parametrize(("event_of", "more", "inside"), PARTED)
def test_a_field_that_clients_do_not_read_parts_no_text(
    event_of: dict[str, Any], more: dict[str, Any], inside: str | None, make_masker: Callable
) -> None:
    def said(text: str) -> dict[str, Any]:
        key = {"delta": "text", "message": "content", "token": "text"}.get(inside or "", "delta")
        return {**event_of, inside: {key: text}} if inside else {**event_of, key: text}

    out = json.dumps(passed(make_masker(), said("x 4111 1111 "), {**said("1111 1111 "), **more}))
    assert "[PAN]" in out
    assert "1111" not in out


@pytest.mark.parametrize("index", [-1, 0.0, "0", True, 4111111111111111])
def test_an_index_that_is_none_is_refused(index: object, make_masker: Callable) -> None:
    for document in (
        {"type": "content_block_delta", "index": index, "delta": {"text": "a"}},
        {"type": "response.output_text.delta", "output_index": 0, "content_index": index, "delta": "a"},
        {"type": "response.reasoning_summary_text.delta", "output_index": 0, "summary_index": index, "delta": "a"},
    ):
        with pytest.raises(Malformed) as refused:
            opened(make_masker()).feed(event(document))
        assert refused.value.reason is Reason.RESPONSE_MALFORMED


def test_an_event_that_is_complete_may_count_from_minus_one(make_masker: Callable) -> None:
    """vLLM ends the reasoning of a message that has none so."""
    done = {"type": "response.reasoning_text.done", "output_index": 1, "content_index": -1, "text": ""}
    assert passed(make_masker(), done) == [done]


EARLY = [
    {"type": "message_start", "message": {"content": [{"type": "text", "text": "4111 1111 "}]}},
    {"type": "message_start", "message": {"content": "4111 1111 "}},
    {"type": "response.output_item.added", "output_index": 0, "item": {"content": [{"type": "output_text", "text": "4111 "}]}},
    {"type": "response.output_item.added", "output_index": 0, "item": {"summary": [{"type": "summary_text", "text": "4111 "}]}},
    {"type": "response.created", "response": {"output": [{"content": [{"text": "4111 "}]}]}},
]  # fmt: skip


@pytest.mark.parametrize("document", EARLY)
def test_text_in_an_event_that_only_announces_is_refused(document: dict[str, Any], make_masker: Callable) -> None:
    with pytest.raises(Malformed) as refused:
        opened(make_masker()).feed(event(document))
    assert refused.value.reason is Reason.RESPONSE_MALFORMED


def test_what_announces_may_have_empty_parts(make_masker: Callable) -> None:
    documents = [
        {"type": "message_start", "message": {"content": [{"type": "text", "text": ""}]}},
        {"type": "response.output_item.added", "output_index": 0, "item": {"content": [{"text": ""}], "summary": []}},
        {"type": "response.created", "response": {"output": []}},
    ]
    assert passed(make_masker(), *documents) == documents


def blocks(count: int) -> list[dict[str, Any]]:
    return [
        document
        for at in range(count)
        for document in (
            {"type": "content_block_delta", "index": at, "delta": {"type": "text_delta", "text": "so."}},
            {"type": "content_block_stop", "index": at},
        )
    ]


def test_an_answer_may_have_more_blocks_than_may_be_open_at_once(make_masker: Callable) -> None:
    documents = blocks(3 * Limits().max_channels)
    assert passed(make_masker(), *documents) == documents


def test_blocks_without_end_are_refused(make_masker: Callable) -> None:
    with pytest.raises(Malformed) as refused:
        passed(make_masker(), *blocks(17 * Limits().max_channels + 1))
    assert refused.value.reason is Reason.RESPONSE_TOO_LARGE


def test_a_block_whose_room_was_given_away_does_not_go_on(make_masker: Callable) -> None:
    documents = blocks(2 * Limits().max_channels)
    with pytest.raises(Malformed) as refused:
        passed(make_masker(), *documents, documents[0])
    assert refused.value.reason is Reason.RESPONSE_MALFORMED
