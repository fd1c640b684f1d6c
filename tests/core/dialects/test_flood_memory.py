"""A model server that opens ten thousand texts is refused, and has taken little memory until then."""

import json
import tracemalloc
from collections.abc import Callable, Iterator

import pytest

from extproc.core.dialects.response import ResponseFilter, open_response
from extproc.core.policy import Operation
from extproc.core.reasons import Malformed, Reason
from extproc.core.snapshot import Limits

MANY = 10_000
HELD = "4111 1111 "


def sse(document: dict[str, object]) -> bytes:
    return b"data: " + json.dumps(document).encode() + b"\n\n"


def delta(**fields: object) -> bytes:
    return sse({"id": "c", "choices": [{"index": 0, "delta": fields}]})


def call(index: int) -> dict[str, object]:
    return {"index": index, "function": {"name": "pay", "arguments": f'"{HELD}'}}


def block(index: int) -> bytes:
    said = {"type": "text_delta", "text": HELD}
    return sse({"type": "content_block_delta", "index": index, "delta": said})


def item(index: int) -> bytes:
    return sse({"type": "response.output_text.delta", "item_id": f"i{index}", "output_index": index, "delta": HELD})


FLOODS: dict[str, Callable[[], Iterator[bytes]]] = {
    "an event each": lambda: (delta(tool_calls=[call(index)]) for index in range(MANY)),
    "all in one event": lambda: iter([delta(tool_calls=[call(index) for index in range(MANY)])]),
    "a hundred in an event": lambda: (
        delta(tool_calls=[call(index) for index in range(first, first + 100)]) for first in range(0, MANY, 100)
    ),
    "a choice each": lambda: (
        sse({"id": "c", "choices": [{"index": index, "delta": {"content": HELD}}]}) for index in range(MANY)
    ),
    "a choice each, in one event": lambda: iter(
        [sse({"id": "c", "choices": [{"index": index, "delta": {"content": HELD}} for index in range(MANY)]})]
    ),
    "a block each": lambda: map(block, range(MANY)),
    "an item each": lambda: map(item, range(MANY)),
}


def peak_of(body: ResponseFilter, pieces: Iterator[bytes]) -> tuple[int, int, Reason | None]:
    """Most bytes allocated while the pieces are fed, how many were taken, and why the next one was not."""
    taken = 0
    reason = None
    tracemalloc.start()
    try:
        for piece in pieces:
            body.feed(piece)
            taken += 1
    except Malformed as refused:
        reason = refused.reason
    finally:
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    return peak, taken, reason


@pytest.fixture
def opened(make_masker: Callable) -> ResponseFilter:
    return open_response(Operation.CHAT, 200, "text/event-stream", make_masker(), Limits())


@pytest.mark.parametrize("flood", FLOODS)
def test_ten_thousand_texts_are_refused_within_little_memory(flood: str, opened: ResponseFilter) -> None:
    """Besides what the largest event takes while it is read, a text that holds something costs three KiB."""
    pieces = list(FLOODS[flood]())
    largest = max(map(len, pieces))
    assert largest < Limits().max_event_bytes
    peak, taken, reason = peak_of(opened, iter(pieces))
    assert reason is Reason.RESPONSE_TOO_LARGE
    assert taken <= Limits().max_channels
    assert peak < 3 * 1024 * Limits().max_channels + 32 * largest


def test_as_many_texts_as_are_taken_hold_no_more_after_a_while(make_masker: Callable) -> None:
    """None of them ever says what decides its digits, and each round brings a hundred kilobytes."""
    masker = make_masker()
    body = open_response(Operation.CHAT, 200, "text/event-stream", masker, Limits())
    count = Limits().max_channels
    kept = []
    tracemalloc.start()
    try:
        for text in ['"', *["4 " * 200] * 4]:
            for index in range(count):
                masker.renew()
                body.feed(delta(tool_calls=[{"index": index, "function": {"arguments": text}}]))
            kept.append(tracemalloc.get_traced_memory()[0])
    finally:
        tracemalloc.stop()
    assert kept[-1] < kept[2] + 16 * 1024
