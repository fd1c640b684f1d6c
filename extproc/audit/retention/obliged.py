"""Transcripts that a policy lets live shorter than `audit.content_retention` does (`obligations: {retention: 30d}`)."""

from dataclasses import dataclass

from extproc.audit.log.spool import segments
from extproc.audit.names import Part
from extproc.audit.reading.exchanges import RETENTION_WRITER, SHRED_WRITER, ExchangeRecords
from extproc.audit.reading.holdings import Epoch, Holdings
from extproc.audit.reading.reader import Reader
from extproc.audit.retention.shredding import find_keys
from extproc.audit.stores.store import StoreFailed
from extproc.core.record import ENDS_EXCHANGE, EventCode, Record

POLICY = "obligations.retention"
_DAY_MS = 86_400_000
_DESTROYERS = frozenset({RETENTION_WRITER, SHRED_WRITER})
"""Their epochs say whose key is gone already."""


def obliged_days(record: Record) -> int:
    """For how many days the decision lets the transcript live; 0: as long as others."""
    obligations = record.decision.obligations if record.decision is not None else None
    return obligations.retention_days if obligations is not None else 0


@dataclass(frozen=True, slots=True)
class Outlived:
    """`unread`: evidence could not be read, so that more exchanges may belong here."""

    exchanges: tuple[ExchangeRecords, ...]
    unread: bool


def find_outlived(holdings: Holdings, now_ms: int) -> Outlived:
    """Exchanges that are over, whose obliged time is too, and whose key is there in sealed segments.

    Counted from the intent record. Reads the evidence of all epochs that keep keys.
    """
    exchanges: dict[str, ExchangeRecords] = {}
    gone: set[str] = set()
    unread = False
    for origin, epoch in holdings.epochs.items():
        if not (_keeps_keys(epoch) or origin.writer in _DESTROYERS):
            continue
        try:
            _read(Reader(Holdings(holdings.store, holdings.spool, {origin: epoch})), exchanges, gone)
        except (StoreFailed, FileNotFoundError):
            unread = True
    due = (each for each in exchanges.values() if each.exchange_id not in gone and _is_outlived(each, now_ms))
    return Outlived(tuple(each for each in due if _is_sealed(holdings, each)), unread)


def _read(reader: Reader, exchanges: dict[str, ExchangeRecords], gone: set[str]) -> None:
    for item in reader.records():
        record = item.record
        if record.event_code is EventCode.ADMIN_SHRED_DONE:
            gone.add(record.exchange_id)
        elif record.exchange_id and obliged_days(record):
            exchanges.setdefault(record.exchange_id, ExchangeRecords(record.exchange_id)).records.append(item)


def _keeps_keys(epoch: Epoch) -> bool:
    local = epoch.directory is not None and segments(epoch.directory, Part.KEYS)
    return bool(local) or any(part is Part.KEYS for part, _ in epoch.stored)


def _is_sealed(holdings: Holdings, exchange: ExchangeRecords) -> bool:
    found = find_keys(holdings, exchange)
    return bool(found.holders) and not found.journals


def _is_outlived(exchange: ExchangeRecords, now_ms: int) -> bool:
    records = [item.record for item in exchange.records]
    intents = [record for record in records if record.event_code is EventCode.INFERENCE_REQUEST]
    ended = any(record.event_code in ENDS_EXCHANGE for record in records)
    return ended and any(record.time_ms + obliged_days(record) * _DAY_MS < now_ms for record in intents)
