"""What an exchange notes of its times, and of what waited; and which of a caller's baggage goes on."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import count
from typing import Any

import pytest

from extproc.core.actions import Finish
from extproc.core.exchange import Exchange
from extproc.core.record import Summary
from extproc.core.timing import Waits

from .conftest import Play, make_snapshot

CHAT = {"model": "m", "messages": [{"role": "user", "content": "pay 4111 1111 1111 1111"}]}
SSE = {"content-type": "text/event-stream"}


def ticking(start: float) -> Callable[[], float]:
    """A clock that goes on by a millisecond whenever it is read."""
    ticks: Iterator[int] = count()
    return lambda: start + next(ticks) / 1000


def timed(play: Any, **changes: Any) -> Play:
    p: Play = play()
    snapshot = replace(make_snapshot(), **changes)
    p.exchange = Exchange(
        "ex-1", snapshot, started_unix=1.7e9, started_at=p.at, accepting=True, clock=ticking(p.at + 100)
    )
    return p


def summary(p: Play) -> Summary:
    (finish,) = p.of(Finish)
    return finish.summary


def streamed(p: Play, *pieces: str) -> Play:
    p.request_headers()
    p.verified()
    p.body(CHAT)
    p.response_headers(content_type="text/event-stream")
    for piece in pieces:
        p.response_body(f'data: {{"choices":[{{"index":0,"delta":{{"content":"{piece}"}}}}]}}\n\n'.encode())
    p.response_body(b"data: [DONE]\n\n", eos=True)
    return p


def test_parsing_masking_and_deciding_are_timed_each_and_together(play: Any) -> None:
    phases = {name: end - start for name, start, end in summary(streamed(timed(play), "hello")).phases}
    assert [round(phases[name], 6) for name in ("parse", "mask", "decide")] == [0.001] * 3
    assert phases["decision"] > 0
    assert {"identity", "record", "model", "response"} <= set(phases)


def test_without_a_clock_only_events_are_timed(play: Any) -> None:
    names = {name for name, _, _ in summary(streamed(play(), "hello")).phases}
    assert not names & {"parse", "mask", "decide"}


def test_what_masking_kept_back_is_timed(play: Any) -> None:
    """Every event of the play is later than the one before."""
    assert summary(streamed(timed(play), "hello", "again ")).held_seconds == 0
    assert summary(streamed(timed(play), "card 4111 1111", " 1111 1111 ok")).held_seconds > 0


def test_the_longest_wait_is_that_of_the_oldest_that_waited() -> None:
    waits = Waits()
    for ticket, at in ((1, 10.0), (2, 10.2), (3, 10.9)):
        waits.queued(ticket, at)
    waits.stored(2, 11.0)
    assert waits.stored_seconds == pytest.approx(1.0)
    waits.stored(3, 11.5)
    assert waits.stored_seconds == pytest.approx(1.0)
    waits.queued(4, 12.0)
    waits.stored(4, 14.0)
    assert waits.stored_seconds == pytest.approx(2.0)


def test_characters_are_held_from_the_first_to_the_last() -> None:
    waits = Waits()
    for characters, at in ((0, 1.0), (4, 2.0), (9, 3.0), (0, 5.0), (1, 6.0), (0, 6.5)):
        waits.holds(characters, at)
    assert waits.held_seconds == pytest.approx(3.0)


def forwarded(p: Play, baggage: str) -> str | None:
    p.request_headers(baggage=baggage)
    p.verified()
    p.body(CHAT)
    mutation = p.forwards[0].mutation
    sent = dict(mutation.set).get("baggage")
    assert (sent is None) == ("baggage" in mutation.remove)
    return None if sent is None else sent.decode()


def test_no_baggage_goes_on_without_permission(play: Any) -> None:
    assert forwarded(timed(play), "team=blue,user=root") is None


def test_of_baggage_the_named_keys_go_on_and_are_masked(play: Any) -> None:
    allowed = frozenset({"team", "note"})
    assert forwarded(timed(play, forward_baggage=allowed), "user=root, team=blue;ttl=1 ,x=1") == "team=blue;ttl=1"
    assert forwarded(timed(play, forward_baggage=allowed), "user=root") is None
    masked = forwarded(timed(play, forward_baggage=allowed), "note=4111111111111111,user=root")
    assert masked is not None
    assert "4111" not in masked
    assert "root" not in masked
