"""Search the log: evidence from the store, and from the spool what is not there yet. Reading disturbs no writer."""

import datetime as dt
from collections.abc import Iterator
from dataclasses import dataclass, field

from extproc.audit.holdings import Epoch, Holdings, SealedSegment
from extproc.audit.line import parse_mark, parse_record
from extproc.audit.names import Origin
from extproc.audit.segment import JournalFile
from extproc.core.record import ENDS_EXCHANGE, EventCode, Record


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


def find_records(holdings: Holdings) -> Iterator[Evidence]:
    """Every record that is there, epoch by epoch. Does not verify. Raises `StoreFailed`."""
    for origin in sorted(holdings.epochs):
        epoch = holdings.epochs[origin]
        for segment in range(1, epoch.last_segment + 1):
            for line in _lines(holdings, epoch, segment):
                yield Evidence(origin, parse_mark(line).seq, segment, parse_record(line), line)


def _lines(holdings: Holdings, epoch: Epoch, segment: int) -> list[bytes]:
    match holdings.load(epoch, segment):
        case SealedSegment(evidence=bytes() as evidence):
            return evidence.splitlines()
        case JournalFile() as journal:
            return journal.lines()
        case _:
            return []


_BY_OTHERS = frozenset(
    {
        EventCode.APPROVAL_DECIDE,
        EventCode.ADMIN_SHRED_REQUEST,
        EventCode.ADMIN_SHRED,
        EventCode.ADMIN_SHRED_DONE,
        EventCode.ADMIN_SHRED_FAILED,
        EventCode.ADMIN_SHRED_REFUSED,
    }
)
"""Records about an exchange that are no part of it."""


@dataclass(slots=True)
class ExchangeRecords:
    """The records of one exchange, in order."""

    exchange_id: str
    records: list[Evidence] = field(default_factory=list)

    @property
    def first(self) -> Record:
        return self.records[0].record

    @property
    def last(self) -> Record:
        """Its end; before there is one, the last record of its own. Others may decide and shred after it."""
        own = [item.record for item in self.records if item.record.event_code not in _BY_OTHERS]
        ends = [record for record in own if record.event_code in ENDS_EXCHANGE]
        return (ends or own or [self.records[-1].record])[-1]

    @property
    def shredded(self) -> Record | None:
        """The last record that its transcript is to become unreadable, with who and why."""
        records = [item.record for item in self.records if item.record.event_code is EventCode.ADMIN_SHRED]
        return records[-1] if records else None

    @property
    def effect(self) -> str:
        """The policy's answer, as last recorded; empty when it was never asked."""
        effects = [item.record.policy.effect for item in self.records if item.record.policy is not None]
        return next((effect for effect in reversed(effects) if effect), "")

    @property
    def model(self) -> str:
        return next((item.record.resource.model for item in self.records if item.record.resource.model), "")

    @property
    def findings(self) -> dict[str, int]:
        """By kind, both directions, as the last record has them."""
        last = self.last
        kinds = [*last.findings_request, *last.findings_response]
        return {
            kind: last.findings_request.get(kind, 0) + last.findings_response.get(kind, 0)
            for kind in dict.fromkeys(kinds)
        }


@dataclass(frozen=True, slots=True)
class Query:
    """What to list. Empty: everything. `person` is part of a name or uid; `since_ms` is Unix milliseconds."""

    person: str = ""
    model: str = ""
    effect: str = ""
    since_ms: int = 0

    def matches(self, exchange: ExchangeRecords) -> bool:
        actor = exchange.last.actor
        wanted = self.person.casefold()
        return (
            (not wanted or wanted in actor.name.casefold() or wanted in actor.uid.casefold())
            and (not self.model or self.model == exchange.model)
            and (not self.effect or self.effect == exchange.effect)
            and exchange.last.time_ms >= self.since_ms
        )


def list_exchanges(holdings: Holdings, query: Query) -> list[ExchangeRecords]:
    """Exchanges by the time of their first record. Reads of the log itself are not listed as exchanges."""
    exchanges: dict[str, ExchangeRecords] = {}
    for item in find_records(holdings):
        if item.record.exchange_id and item.record.event_code is not EventCode.AUDIT_READ:
            exchanges.setdefault(item.record.exchange_id, ExchangeRecords(item.record.exchange_id)).records.append(item)
    for exchange in exchanges.values():
        exchange.records.sort(key=lambda item: (item.record.time_ms, item.origin, item.seq))
    found = [exchange for exchange in exchanges.values() if query.matches(exchange)]
    return sorted(found, key=lambda exchange: exchange.first.time_ms)


def show_exchange(holdings: Holdings, exchange_id: str) -> ExchangeRecords | None:
    """Everything recorded of one exchange, or None."""
    records = [item for item in find_records(holdings) if item.record.exchange_id == exchange_id]
    records.sort(key=lambda item: (item.record.time_ms, item.origin, item.seq))
    return ExchangeRecords(exchange_id, records) if records else None


def time_text(time_ms: int) -> str:
    """UTC, ISO 8601, to the millisecond."""
    return dt.datetime.fromtimestamp(time_ms / 1000, dt.UTC).isoformat(timespec="milliseconds")
