"""What waits for the next group commit. Callers append under a lock and go on; one thread takes all of it at once."""

from collections.abc import Callable
from dataclasses import dataclass
from threading import Condition, Lock

from extproc.audit.log.content import ContentLog, Piece
from extproc.core.reasons import Reason, Unavailable
from extproc.core.record import MAY_USE_RESERVE, EventCode

Done = Callable[[bool], None]
"""Called once: True, the bytes are durable; False, they never will be."""

MAX_QUEUED_BYTES = 128 * 1024 * 1024
"""What may wait in memory while the disk is slow; beyond it nothing is taken."""
MAX_RECORD_BYTES = 64 * 1024
"""An evidence record carries no content; a larger one is a mistake."""
_FRAME_BYTES = 128
"""Counted for the framing of each queued item."""


@dataclass(frozen=True, slots=True)
class Line:
    """An encoded evidence record with its place in the chain."""

    seq: int
    event_code: EventCode
    exchange_id: str
    body: bytes


@dataclass(frozen=True, slots=True)
class Batch:
    """What one group commit makes durable, and who waits for it."""

    items: list[Line | ContentLog]
    waiting: list[Done]


class CommitQueue:
    """`general_bytes` and `reserve_bytes` are what the spool may still take; the spool's keeper sets them."""

    def __init__(self, general_bytes: int, reserve_bytes: int, next_seq: int) -> None:
        self._lock = Lock()
        self._filled = Condition(self._lock)
        self._asleep = False
        self._resting = False
        self._urgent = False
        self._nudged = False
        self._items: list[Line | ContentLog] = []
        self._waiting: list[Done] = []
        self._queued_bytes = 0
        self._general_bytes = general_bytes
        self._reserve_bytes = reserve_bytes
        self._next_seq = next_seq
        self._closed = False
        self._failed = False

    def put_record(self, event_code: EventCode, exchange_id: str, body: bytes, done: Done | None) -> int:
        """Queue a record and return its sequence number. Raises `Unavailable`."""
        size = len(body) + _FRAME_BYTES
        with self._lock:
            self._admit(size, len(body) > MAX_RECORD_BYTES)
            if self._general_bytes < size and (event_code not in MAY_USE_RESERVE or self._reserve_bytes < size):
                raise Unavailable(Reason.AUDIT_UNAVAILABLE)
            seq = self._next_seq
            self._next_seq += 1
            self._items.append(Line(seq, event_code, exchange_id, body))
            self._count(size, done)
            self._urgent = True
            if self._resting:
                self._filled.notify()
            return seq

    def put_content(self, log: ContentLog, piece: Piece, done: Done | None) -> None:
        """Queue a piece of transcript. Raises `Unavailable`."""
        size = len(piece.data) + _FRAME_BYTES
        with self._lock:
            self._admit(size, self._general_bytes < size)
            log.pending.append(piece)
            if not log.queued:
                log.queued = True
                self._items.append(log)
            self._count(size, done)

    def _admit(self, size: int, refused: bool) -> None:
        if refused or self._closed or self._failed or self._queued_bytes + size > MAX_QUEUED_BYTES:
            raise Unavailable(Reason.AUDIT_UNAVAILABLE)

    def _count(self, size: int, done: Done | None) -> None:
        self._queued_bytes += size
        if self._general_bytes >= size:
            self._general_bytes -= size
        else:
            self._reserve_bytes -= size
        if done is not None:
            self._waiting.append(done)
        if self._asleep:
            self._filled.notify()

    def rest(self, seconds: float) -> None:
        """Let pieces of transcript gather for so long. A record ends the rest: something waits to begin or to end."""
        with self._lock:
            if not (self._urgent or self._closed):
                self._resting = True
                self._filled.wait(seconds)
                self._resting = False

    def nudge(self) -> None:
        """Whoever takes from here looks around, though nothing may have come."""
        with self._lock:
            self._urgent = self._nudged = True
            self._filled.notify()

    def take_pending(self, log: ContentLog) -> list[Piece]:
        """The log's pieces that are not encrypted yet; they belong to the caller now."""
        with self._lock:
            pieces, log.pending = log.pending, []
            return pieces

    def take(self, wait_seconds: float) -> Batch | None:
        """Everything queued, waiting for something at most so long; None when closed and empty."""
        with self._lock:
            if not self._items and not self._waiting and not self._closed and not self._nudged:
                self._asleep = True
                self._filled.wait(wait_seconds)
                self._asleep = False
            if self._closed and not self._items and not self._waiting:
                return None
            batch = Batch(self._items, self._waiting)
            self._items, self._waiting, self._queued_bytes = [], [], 0
            self._urgent = self._nudged = False
            for item in batch.items:
                if isinstance(item, ContentLog):
                    item.queued = False
            return batch

    def allow(self, general_bytes: int, reserve_bytes: int) -> bool:
        """Set what the spool may still take; what is queued counts as taken.

        True: there is room for what an exchange begins with, and there was all the time since this was last set.
        """
        with self._lock:
            had_room = self._general_bytes > MAX_RECORD_BYTES
            self._general_bytes = general_bytes - self._queued_bytes
            self._reserve_bytes = reserve_bytes
            return had_room and self._general_bytes > MAX_RECORD_BYTES

    def accepting(self) -> bool:
        """Whether there is room for what an exchange begins with, outside the reserve."""
        with self._lock:
            return not (self._closed or self._failed) and self._general_bytes > MAX_RECORD_BYTES

    @property
    def failed(self) -> bool:
        """Whether the journal's thread has given up."""
        with self._lock:
            return self._failed

    def put_if_open(self, event_code: EventCode, body: bytes) -> None:
        """Queue one of the log's own records unless the queue is closed; they are never refused for room."""
        with self._lock:
            if not self._closed:
                self._append_own(event_code, body)

    def close_with(self, event_code: EventCode, body: bytes) -> None:
        """Queue the last record and take nothing more; what is queued is still committed."""
        with self._lock:
            if not self._closed:
                self._append_own(event_code, body)
            self._closed = True
            self._filled.notify()

    def _append_own(self, event_code: EventCode, body: bytes) -> None:
        self._items.append(Line(self._next_seq, event_code, "", body))
        self._next_seq += 1
        self._urgent = True
        if self._asleep or self._resting:
            self._filled.notify()

    def fail(self) -> list[Done]:
        """Take nothing more, commit nothing more; returns who still waits."""
        with self._lock:
            self._failed = self._closed = True
            waiting, self._waiting, self._items = self._waiting, [], []
            self._filled.notify()
            return waiting
