"""P2 at the edge: the exchange hears `Stored` when the journal says that it is durable, and never before."""

from collections.abc import Callable
from typing import Any

import pytest

from extproc.core import events
from extproc.core.actions import StoreContent, StoreRecord
from extproc.core.reasons import Reason, Unavailable
from extproc.core.record import Actor, Direction, EventCode, Outcome, Record, Resource
from extproc.core.trust import Masked
from extproc.edge.recording import Recording


class Journal:
    """Takes what it is given and says nothing of it until told to; full on request."""

    origin = "deployment/worker-0/epoch"

    def __init__(self) -> None:
        self.full = False
        self.taken: list[Any] = []
        self.waiting: list[Callable[[bool], None]] = []

    def append_record(self, record: Record, done: Callable[[bool], None]) -> int:
        return self._take(record.event_code, done)

    def open_content(self, exchange_id: str) -> "Journal":
        return self

    def append(self, direction: Direction, offset_us: int, data: bytes, done: Callable[[bool], None]) -> None:
        self._take((direction, offset_us, data), done)

    def _take(self, what: Any, done: Callable[[bool], None]) -> int:
        if self.full:
            raise Unavailable(Reason.AUDIT_UNAVAILABLE)
        self.taken.append(what)
        self.waiting.append(done)
        return len(self.taken)


@pytest.fixture
def journal() -> Journal:
    return Journal()


@pytest.fixture
def told() -> list[tuple[str, int]]:
    return []


@pytest.fixture
def recording(journal: Journal, told: list[tuple[str, int]]) -> Recording:
    def feed(event: events.Event) -> None:
        assert isinstance(event, events.Stored | events.StoreFailed)
        told.append((type(event).__name__, event.ticket))

    return Recording(journal, "exchange", 100.0, feed)  # type: ignore[arg-type]


def record(code: EventCode, ticket: int) -> StoreRecord:
    resource = Resource(connection="model", operation="chat", protocol="HTTP POST")
    made = Record(
        event_code=code, time_ms=0, actor=Actor(uid="i|s"), status=Outcome.COMPLETED, src_address="", resource=resource
    )
    return StoreRecord(made, ticket)


def content(ticket: int) -> StoreContent:
    return StoreContent(Direction.TO_CLIENT, Masked(b"data"), 100.5, ticket)


def test_stored_is_said_once_the_journal_says_so(recording: Recording, journal: Journal, told: list[Any]) -> None:
    recording.store_record(record(EventCode.INFERENCE_REQUEST, 1))
    recording.store_content(content(2))
    assert told == []
    journal.waiting[0](True)
    assert told == [("Stored", 1)]
    journal.waiting[1](True)
    assert told == [("Stored", 1), ("Stored", 2)]
    assert journal.taken[1] == (Direction.TO_CLIENT, 500_000, b"data")


def test_what_turns_out_not_to_be_durable_has_failed(recording: Recording, journal: Journal, told: list[Any]) -> None:
    recording.store_record(record(EventCode.INFERENCE_REQUEST, 1))
    recording.store_content(content(2))
    for done in journal.waiting:
        done(False)
    assert told == [("StoreFailed", 1), ("StoreFailed", 2)]


@pytest.mark.parametrize("first", [content(1), record(EventCode.INFERENCE_REQUEST, 1)], ids=["content", "record"])
def test_no_end_is_stored_behind_what_was_not(
    recording: Recording, journal: Journal, told: list[Any], first: StoreContent | StoreRecord
) -> None:
    """A closing record without the content that it closes would be a false record. The next step may store again."""
    recording.begin()
    journal.full = True
    recording.store_content(first) if isinstance(first, StoreContent) else recording.store_record(first)
    journal.full = False
    recording.store_record(record(EventCode.INFERENCE_END, 2))
    recording.store_content(content(3))
    assert (journal.taken, told) == ([], [("StoreFailed", 1)])
    recording.begin()
    recording.store_record(record(EventCode.INFERENCE_END, 4))
    assert journal.taken == [EventCode.INFERENCE_END]


def test_the_receipt_is_where_the_intent_record_stands(recording: Recording) -> None:
    recording.store_record(record(EventCode.APPROVAL_USE, 1))
    assert recording.receipt == b""
    recording.store_record(record(EventCode.INFERENCE_REQUEST, 2))
    recording.store_record(record(EventCode.INFERENCE_END, 3))
    assert recording.receipt == b"deployment/worker-0/epoch#2"
