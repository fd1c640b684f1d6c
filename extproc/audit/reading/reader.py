"""Read the log: evidence from the store, and from the spool what is not there yet. Reading disturbs no writer.

Reading proves nothing. What it finds out in passing (a segment that is missing, or is not what its manifest says) it
notes; `extproc audit verify` proves.
"""

import datetime as dt
import hashlib
import heapq
import re
from collections.abc import Iterator
from dataclasses import dataclass, field

import msgspec

from extproc.audit.log.segment import ObjectRef
from extproc.audit.names import Origin, Part
from extproc.audit.reading.holdings import Epoch, Holdings, Listing
from extproc.audit.records.line import parse_mark, parse_record
from extproc.audit.refusal import NOT_PARSED, AuditRefused
from extproc.audit.signed import split_document
from extproc.audit.stores.store import ObjectStore, StoredObject
from extproc.core.record import Record

CLOCK_SLACK_MS = 10 * 60 * 1000
"""A record's time is taken before it is written, and clocks are set. What a segment's own times place further than this
outside of a span is not looked at."""
FOREVER_MS = 253_370_764_800_000
"""The beginning of the year 9999."""
_EXCHANGE_ID = re.compile(r"([0-9a-f]{12})-[0-9a-f]{16}")
_EVIDENCE_DAY = re.compile(r"v1/evidence/[^/]+/(\d{4})/(\d\d)/(\d\d)/")


@dataclass(frozen=True, slots=True)
class Span:
    """Unix milliseconds, from `since_ms` until before `until_ms`."""

    since_ms: int = 0
    until_ms: int = FOREVER_MS

    def holds(self, time_ms: int) -> bool:
        return self.since_ms <= time_ms < self.until_ms

    @property
    def last_day(self) -> str:
        """`yyyymmdd` of the last day on which an epoch may have begun."""
        return _stamp(self.until_ms + CLOCK_SLACK_MS)[:8]


ALWAYS = Span()


def span_of_exchange(exchange_id: str) -> Span:
    """When its records were written, at the earliest: our exchange ids begin with their time."""
    match = _EXCHANGE_ID.fullmatch(exchange_id)
    return Span(since_ms=max(int(match[1], 16) - CLOCK_SLACK_MS, 0)) if match else ALWAYS


def evidence_of(deployment: str, span: Span) -> Listing:
    """Lists the evidence plane alone, up to the last day of the span; `deployment` may be empty, then every one."""

    def listing(store: ObjectStore) -> Iterator[StoredObject]:
        for stored in store.list(f"v1/evidence/{deployment}/" if deployment else "v1/evidence/"):
            day = _EVIDENCE_DAY.match(stored.key)
            if day and "".join(day.groups()) > span.last_day:
                if deployment:
                    return  # keys come in order: nothing but later days follows
                continue
            yield stored

    return listing


@dataclass(frozen=True, slots=True)
class Evidence:
    """One record with its place, its segment and its stored bytes."""

    origin: Origin
    seq: int
    segment: int
    record: Record
    line: bytes

    @property
    def receipt(self) -> str:
        """As in the response header `x-audit-receipt`."""
        return f"{self.origin}#{self.seq}"


@dataclass(frozen=True, slots=True)
class SealedRecords:
    """A segment that is what its manifest says, but for `strange` lines that are no records."""

    sealed_ms: int
    records: tuple[Evidence, ...]
    strange: int


class _Seal(msgspec.Struct, frozen=True, kw_only=True):
    """What reading needs of a manifest, whichever version it has."""

    evidence: ObjectRef
    started_ms: int
    sealed_ms: int


@dataclass(frozen=True, slots=True)
class _Segment:
    """A segment's times, and what its lines are to be held against; None while it is a journal, which is read whole."""

    started_ms: int
    sealed_ms: int
    seal: _Seal | None = None
    lines: tuple[bytes, ...] = ()


@dataclass(slots=True)
class Reader:
    """The records of a span. Memory: one segment of each epoch that is read at the same time."""

    holdings: Holdings
    span: Span = ALWAYS
    problems: list[str] = field(default_factory=list)
    """What could not be read, or is not what its manifest says; complete once the records have all been taken."""

    def records(self) -> Iterator[Evidence]:
        """Epoch by epoch, by writer and time. Raises `StoreFailed`."""
        for origin in sorted(self.holdings.epochs):
            yield from self._records_of(self.holdings.epochs[origin])

    def in_order(self) -> Iterator[Evidence]:
        """By time, as far as each writer's own records are in the order of their times. Raises `StoreFailed`.

        An epoch is opened when its time has come, so only what was written at the same time is read at the same time.
        """
        waiting = sorted(self.holdings.epochs.values(), key=lambda epoch: epoch.origin.epoch, reverse=True)
        open_: list[tuple[int, int, Evidence, Iterator[Evidence]]] = []
        opened = 0
        while waiting or open_:
            while waiting and (not open_ or _began(waiting[-1]) <= _stamp(open_[0][0])):
                opened += 1
                records = self._records_of(waiting.pop())
                if (first := next(records, None)) is not None:
                    heapq.heappush(open_, (first.record.time_ms, opened, first, records))
            if not open_:
                return
            _, number, item, records = open_[0]
            yield item
            if (following := next(records, None)) is None:
                heapq.heappop(open_)
            else:
                heapq.heapreplace(open_, (following.record.time_ms, number, following, records))

    def sealed(self, epoch: Epoch, number: int) -> SealedRecords | None:
        """One sealed segment, whatever the span; None while there is none.

        Raises `AuditRefused`, with what is wrong of it, for one that is not what its manifest says, and `StoreFailed`.
        """
        document = self._part(epoch, Part.MANIFEST, number)
        if document is None:
            return None
        try:
            seal = msgspec.json.decode(split_document(document)[0], type=_Seal)
        except (AuditRefused, *NOT_PARSED) as error:
            raise AuditRefused("has a manifest that does not parse") from error
        evidence = self._part(epoch, Part.EVIDENCE, number)
        if evidence is None:
            raise AuditRefused("has no evidence")
        if hashlib.sha256(evidence).hexdigest() != seal.evidence.sha256:
            raise AuditRefused("is not what it says in its manifest")
        lines = evidence.splitlines()
        records = tuple(item for line in lines if (item := self._parse(epoch, number, line)) is not None)
        return SealedRecords(seal.sealed_ms, records, len(lines) - len(records))

    def _part(self, epoch: Epoch, part: Part, number: int) -> bytes | None:
        try:
            return self.holdings.part(epoch, part, number)
        except FileNotFoundError:
            return None

    def _records_of(self, epoch: Epoch) -> Iterator[Evidence]:
        if _began(epoch) > _stamp(self.span.until_ms + CLOCK_SLACK_MS):
            return
        for number in range(self.first_segment(epoch), epoch.last_segment + 1):
            segment = self._segment(epoch, number)
            if segment is None:
                # A journal without its header has begun, and nothing in it was acknowledged.
                if epoch.directory is None or number != epoch.last_segment:
                    self._note(epoch, number, "is missing")
                continue
            if segment.started_ms >= self.span.until_ms + CLOCK_SLACK_MS:
                return
            for line in self._lines(epoch, number, segment):
                item = self._parse(epoch, number, line)
                if item is not None and self.span.holds(item.record.time_ms):
                    yield item

    def first_segment(self, epoch: Epoch) -> int:
        """The first that was not sealed before the span; found by halves, a manifest each."""
        if not self.span.since_ms:
            return 1
        low, high = 1, epoch.last_segment + 1
        while low < high:
            middle = (low + high) // 2
            segment = self._segment(epoch, middle)
            if segment is not None and segment.sealed_ms < self.span.since_ms - CLOCK_SLACK_MS:
                low = middle + 1
            else:
                high = middle
        return low

    def _segment(self, epoch: Epoch, number: int) -> _Segment | None:
        try:
            found = self.holdings.find(epoch, number)
            if found is None:
                return None
            if not isinstance(found, bytes):
                return _Segment(found.started_ms, FOREVER_MS, lines=found.lines)
            seal = msgspec.json.decode(split_document(found)[0], type=_Seal)
        except (AuditRefused, *NOT_PARSED):
            return None
        return _Segment(seal.started_ms, seal.sealed_ms, seal)

    def _lines(self, epoch: Epoch, number: int, segment: _Segment) -> tuple[bytes, ...]:
        if segment.seal is None:
            return segment.lines
        evidence = self.holdings.part(epoch, Part.EVIDENCE, number)
        if evidence is None:
            self._note(epoch, number, "has no evidence")
            return ()
        if hashlib.sha256(evidence).hexdigest() != segment.seal.evidence.sha256:
            self._note(epoch, number, "is not what its manifest says")
        return tuple(evidence.splitlines())

    def _parse(self, epoch: Epoch, number: int, line: bytes) -> Evidence | None:
        try:
            return Evidence(epoch.origin, parse_mark(line).seq, number, parse_record(line), line)
        except AuditRefused:
            self._note(epoch, number, "has a line that is no record")
            return None

    def _note(self, epoch: Epoch, number: int, what: str) -> None:
        problem = f"segment {number} of {epoch.origin} {what}"
        if problem not in self.problems[-1:]:
            self.problems.append(problem)


def find_records(holdings: Holdings) -> Iterator[Evidence]:
    """Every record that is there, epoch by epoch. Does not verify. Raises `StoreFailed`."""
    return Reader(holdings).records()


def _began(epoch: Epoch) -> str:
    """As `_stamp` writes it. Not made a time of: the name of an object in the store may be no date."""
    return epoch.origin.epoch[:15]


def _stamp(time_ms: int) -> str:
    """UTC as in an epoch's name: `20261128T144702`."""
    moment = dt.datetime.fromtimestamp(min(max(time_ms, 0), FOREVER_MS) / 1000, dt.UTC)
    return moment.strftime("%Y%m%dT%H%M%S")


def time_text(time_ms: int) -> str:
    """UTC, ISO 8601, to the millisecond. Of what no calendar has, which somebody made up: the number."""
    try:
        return dt.datetime.fromtimestamp(time_ms / 1000, dt.UTC).isoformat(timespec="milliseconds")
    except (ValueError, OverflowError):
        return f"{time_ms} ms after 1970"
