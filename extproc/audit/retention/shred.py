"""Shred one exchange: recorded, then carried out, then recorded as done. Repeating it finishes what a crash left."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from extproc.audit.reading.exchanges import ExchangeRecords, show_exchange
from extproc.audit.reading.holdings import Holdings
from extproc.audit.retention.shred_request import SHRED, key_gone, no_transcript, not_sealed
from extproc.audit.retention.shredding import find_keys, shipping_paused
from extproc.audit.retention.two_people import PersonRequest
from extproc.audit.settings import AuditSettings
from extproc.audit.stores.store import ObjectStore, StoreFailed
from extproc.core.identity import Principal
from extproc.core.reasons import Unavailable
from extproc.core.record import EventCode, Outcome, Record

WriteRecords = Callable[[Sequence[Record]], str]
"""Returns the origin when the records are durable, raises when they are not."""

ErasePreviews = Callable[[Sequence[str]], int]
"""Erase the masked requests that these approvals keep; how many there were. Raises `Unavailable`."""


class ShredFailed(Exception):
    """The shredding is recorded and not done to the end; confirming again finishes it."""


@dataclass(frozen=True, slots=True)
class Shredder:
    """What shredding works on. `source` is the host where the person sits (PCI DSS 10.2.2)."""

    settings: AuditSettings
    store: ObjectStore
    write: WriteRecords
    erase_previews: ErasePreviews
    source: str

    def look(self) -> Holdings:
        return Holdings.look(self.store, self.settings.spool, self.settings.deployment)

    def shred(self, request: PersonRequest, person: Principal, reason: str, now_ms: int) -> int:
        """Destroy what opens the transcript; how many key bags held it. 0: it was done before, and nothing is recorded.

        Raises `RequestRefused` when `person` may not or the exchange is not over, `ShredFailed`, `StoreFailed`, and
        whatever `write` raises: without the record nothing is destroyed. `reason` is masked.
        """
        SHRED.check_confirmer(self.settings.shredders, request, person, now_ms)
        with shipping_paused(self.settings.spool):
            holdings = self.look()
            exchange = check_shreddable(show_exchange(holdings, request.exchange_id))
            found = find_keys(holdings, exchange)
            if found.journals:
                raise not_sealed()
            begun = _keys_of(exchange, EventCode.ADMIN_SHRED)
            if not found.holders and _is_done(exchange):
                return 0
            if not found.holders and not begun and exchange.has_transcript:
                raise key_gone()
            keys = len(found.holders) or begun
            detail: dict[str, str | int | float | bool] = {
                "request": request.id,
                "requested_by": request.requester_uid,
                "reason": request.reason,
                "confirmed": reason,
                "keys": len(found.holders),
                "keys_before": found.digest_before(),
                "keys_after": found.digest_after(),
            }
            if found.holders or not begun:
                self._record(EventCode.ADMIN_SHRED, person, exchange, detail)
            told: dict[str, str | int | float | bool] = {"request": request.id, "keys": keys}
            try:
                found.destroy()
                told["previews"] = self.erase_previews(_approvals(exchange))
                self._check_gone(exchange)
            except (StoreFailed, ShredFailed, Unavailable, OSError) as error:
                told["error"] = type(error).__name__
                self._record(EventCode.ADMIN_SHRED_FAILED, person, exchange, told, Outcome.FAILED)
                raise ShredFailed(type(error).__name__) from error
            self._record(EventCode.ADMIN_SHRED_DONE, person, exchange, told)
        return keys

    def _check_gone(self, exchange: ExchangeRecords) -> None:
        if find_keys(self.look(), exchange).holders:
            raise ShredFailed("a key is left")

    def _record(
        self,
        event_code: EventCode,
        person: Principal,
        exchange: ExchangeRecords,
        detail: dict[str, str | int | float | bool],
        status: Outcome = Outcome.SUCCEEDED,
    ) -> None:
        self.write(
            [SHRED.record(event_code, person, exchange.exchange_id, source=self.source, detail=detail, status=status)]
        )


def check_shreddable(exchange: ExchangeRecords | None) -> ExchangeRecords:
    """An exchange that is over, and of which something can be destroyed. Raises `RequestRefused`."""
    over = SHRED.check_ended(exchange)
    if not over.has_transcript and not _approvals(over):
        raise no_transcript()
    return over


def _keys_of(exchange: ExchangeRecords, code: EventCode) -> int:
    """The most keys that a record of this kind says it destroys; 0 without one."""
    said = (item.record.detail.get("keys") for item in exchange.records if item.record.event_code is code)
    return max((keys for keys in said if isinstance(keys, int)), default=0)


def _is_done(exchange: ExchangeRecords) -> bool:
    return any(item.record.event_code is EventCode.ADMIN_SHRED_DONE for item in exchange.records)


def _approvals(exchange: ExchangeRecords) -> list[str]:
    """The approvals that the exchange waited for: each keeps its masked request for the approver."""
    return sorted({item.record.approval.id for item in exchange.records if item.record.approval is not None})
