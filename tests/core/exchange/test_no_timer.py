"""P1 and time: what is held leaves when more of its text decides it or ends it, and never because time has passed."""

import json
from typing import Any

import pytest

from extproc.core import events as ev
from extproc.core.approval import ApprovalState

CHAT = {"model": "m", "messages": [{"role": "user", "content": "pay"}], "stream": True}
BULK = {**CHAT, "max_tokens": 4000}
SSE, NDJSON, TEXT = "text/event-stream", "application/x-ndjson", "text/plain"
DAY = 86_400.0
HELD, REST = "4111 1111 ", "1111 1111."


def sse(document: dict[str, Any]) -> bytes:
    return b"data: " + json.dumps(document).encode() + b"\n\n"


def chat(**delta: Any) -> bytes:
    return sse({"id": "c", "choices": [{"index": 0, "delta": delta}]})


def piece(surface: str, text: str) -> bytes:
    """One event that carries a piece of the answer."""
    match surface:
        case "content":
            return chat(content=text)
        case "arguments":
            return chat(tool_calls=[{"index": 0, "function": {"arguments": text}}])
        case "message":
            delta = {"type": "text_delta", "text": text}
            return sse({"type": "content_block_delta", "index": 0, "delta": delta})
        case "response":
            return sse({"type": "response.output_text.delta", "item_id": "i", "content_index": 0, "delta": text})
        case "ndjson":
            return json.dumps({"model": "m", "response": text, "done": False}).encode() + b"\n"
        case _:
            return text.encode()


SURFACES = {"content": SSE, "arguments": SSE, "message": SSE, "response": SSE, "ndjson": NDJSON, "plain": TEXT}
IDLE = {SSE: b": still here\n\n", NDJSON: b"\n", TEXT: b""}
"""What keeps a connection open and says nothing."""


def answered(play: Any, surface: str, *, held: bool) -> Any:
    """An exchange whose answer stands in the middle of a card number; `held`: its request waited for an approval."""
    p = play()
    p.forwarded(BULK if held else CHAT)
    if held:
        p.feed(ev.ApprovalSeen(p.approval(ApprovalState.GRANTED), p.tick()))
        p.feed(ev.GrantClaimed(p.tick()))
    p.response_headers(SURFACES[surface])
    opening = '{"note": "so: ' if surface == "arguments" else "so: "
    p.response_body(piece(surface, opening))
    p.response_body(piece(surface, HELD))
    return p


def pass_time(p: Any, idle: bytes) -> None:
    """A day goes by: every deadline that was set and every event that only time brings, early and late."""
    for seconds in (0.001, 1.0, 30.0, 60.0, 3600.0, DAY):
        p.at += seconds
        p.feed(ev.DeadlinePassed(p.at))
        p.feed(ev.Stored(len(p.stored), p.at))
        p.feed(ev.ApprovalMissing(p.at))
        p.feed(ev.ApprovalsFailed(p.at))
        p.feed(ev.GrantLost(p.at))
        p.feed(ev.ResponseBody(idle, False, p.at))
        p.feed(ev.ResponseBody(b"", False, p.at))


@pytest.mark.parametrize("held", [False, True], ids=["allowed", "after a hold"])
@pytest.mark.parametrize("surface", SURFACES)
def test_time_releases_nothing_of_what_is_held(play: Any, surface: str, held: bool) -> None:
    p = answered(play, surface, held=held)
    assert len(p.forwards) == 1
    pass_time(p, IDLE[SURFACES[surface]])
    assert b"so: " in p.released
    assert b"4111" not in p.released
    assert (p.ended_cleanly, p.aborted) == (False, False)
    p.response_body(piece(surface, REST))
    p.response_body(piece(surface, '"}' if surface == "arguments" else " Done"))
    assert b"[PAN]" in p.released
    assert not any(part in p.released for part in (b"4111", b"1111"))


@pytest.mark.parametrize("surface", SURFACES)
@pytest.mark.parametrize("event", [ev.Drained, ev.Disconnected, ev.StoreFailed])
def test_an_end_that_comes_from_elsewhere_releases_nothing_of_it(play: Any, surface: str, event: Any) -> None:
    p = answered(play, surface, held=False)
    p.feed(event(p.tick()))
    pass_time(p, IDLE[SURFACES[surface]])
    assert p.ended_cleanly or p.aborted
    assert b"4111" not in p.released
    assert p.stored
    assert not any(b"4111" in entry.data for entry in p.stored if hasattr(entry, "data"))
