"""Shred by policy: the key bags that are older than `audit.content_retention`, recorded first."""

import hashlib
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

from msgspec import structs

from extproc.audit.files import erase
from extproc.audit.log.own_records import Detail
from extproc.audit.reading.exchanges import RETENTION_WRITER, ExchangeRecords
from extproc.audit.reading.holdings import Holdings
from extproc.audit.refusal import AuditRefused
from extproc.audit.retention.obliged import POLICY as OBLIGED
from extproc.audit.retention.obliged import obliged_days
from extproc.audit.retention.retention import DAY_MS, KeyBag, Retention, check_retention
from extproc.audit.retention.shred import ErasePreviews, ShredFailed, WriteRecords
from extproc.audit.retention.shredding import blank_keys, find_keys, shipping_paused
from extproc.audit.settings import AuditSettings
from extproc.audit.stores.store import ObjectStore, StoreFailed
from extproc.core.reasons import Unavailable
from extproc.core.record import Actor, EventCode, Outcome, Record, Resource

WRITER = RETENTION_WRITER
POLICY = "audit.content_retention"
MAX_SILENCE_DAYS = 7
"""A clock that is wrong by a year would destroy a year. The service's own records say that it is not."""
CLOCK_SENTENCE = (
    f"The service has recorded nothing for {MAX_SILENCE_DAYS} days by this machine's clock. "
    "Nothing is shredded: check the clock, or start the service once."
)


@dataclass(frozen=True, slots=True)
class RetentionJob:
    """One run of the check. `actor` is who started it, at the host `source`."""

    settings: AuditSettings
    store: ObjectStore
    write: WriteRecords
    erase_previews_before: Callable[[float], int]
    actor: Actor
    source: str
    erase_previews: ErasePreviews

    def check(self, now_ms: int) -> Retention:
        """Count, and record the result. Raises `StoreFailed`, and what `write` raises."""
        found = check_retention(self.settings, self._look(), now_ms)
        self._record(EventCode.AUDIT_RETENTION_CHECK, result_of(self.settings, found), now_ms)
        return found

    def enforce(self, now_ms: int) -> Retention:
        """Shred what is over-age, then check. Raises `AuditRefused` when the clock cannot be right, and `ShredFailed`
        when something is left: repeating it goes on.

        The `admin.shred` record says `before_ms`: keys of segments that were sealed before then are meant to be gone.
        """
        with shipping_paused(self.settings.spool):
            found = check_retention(self.settings, self._look(), now_ms)
            if found.outlived and now_ms - found.newest_worker_ms > MAX_SILENCE_DAYS * DAY_MS:
                raise AuditRefused(CLOCK_SENTENCE)
            if found.over_age or found.quarantined:
                self._shred(found)
            if found.obliged:
                self._shred_obliged(found)
        return self.check(now_ms)

    def _shred_obliged(self, found: Retention) -> None:
        """One by one, for a bag may hold several of them; all recorded before the first."""
        self._record_each(EventCode.ADMIN_SHRED, found)
        try:
            approvals = {item.record.approval.id for e in found.obliged for item in e.records if item.record.approval}
            self.erase_previews(sorted(approvals))
            holdings = self._look()
            for exchange in found.obliged:
                find_keys(holdings, exchange).destroy()
            self._check_destroyed(found.obliged)
        except (StoreFailed, ShredFailed, Unavailable, OSError) as error:
            self._record_each(EventCode.ADMIN_SHRED_FAILED, found, Outcome.FAILED, error=type(error).__name__)
            raise ShredFailed(type(error).__name__) from error
        self._record_each(EventCode.ADMIN_SHRED_DONE, found)

    def _check_destroyed(self, exchanges: tuple[ExchangeRecords, ...]) -> None:
        holdings = self._look()
        if any(find_keys(holdings, exchange).holders for exchange in exchanges):
            raise ShredFailed("a key is left")

    def _record_each(
        self, event_code: EventCode, found: Retention, status: Outcome = Outcome.SUCCEEDED, **told: str
    ) -> None:
        self.write([self._of_exchange(event_code, exchange, found.now_ms, status, told) for exchange in found.obliged])

    def _of_exchange(
        self, event_code: EventCode, exchange: ExchangeRecords, now_ms: int, status: Outcome, told: dict[str, str]
    ) -> Record:
        days = max(obliged_days(item.record) for item in exchange.records)
        name = exchange.exchange_id
        detail: Detail = {"exchange": name, "policy": OBLIGED, "retention_days": days, "keys": 1, **told}
        return structs.replace(self._made(event_code, detail, now_ms, status), exchange_id=name)

    def _shred(self, found: Retention) -> None:
        digest = hashlib.sha256()
        keys = 0
        for bag in found.over_age:
            data = self._read(bag)
            keys += len(data.splitlines())
            digest.update(bag.key.encode() + b"\x00" + hashlib.sha256(data).hexdigest().encode() + b"\n")
        told: Detail = {
            "policy": POLICY,
            "before_ms": found.limit_ms,
            "bags": len(found.over_age),
            "keys": keys,
            "quarantined": len(found.quarantined),
        }
        after = hashlib.sha256().hexdigest()
        self._record(
            EventCode.ADMIN_SHRED, {**told, "keys_before": digest.hexdigest(), "keys_after": after}, found.now_ms
        )
        try:
            # The bags last: while one is left, a repetition does all of it.
            told["previews"] = self.erase_previews_before(found.limit_ms / 1000)
            for bag in found.over_age:
                if bag.is_stored:
                    self.store.delete_for_good(bag.key)
                if bag.path is not None:
                    erase(bag.path)
            for path in found.quarantined:
                blank_keys(path)
            self._check_gone(found.now_ms)
        except (StoreFailed, ShredFailed, Unavailable, OSError) as error:
            told["error"] = type(error).__name__
            self._record(EventCode.ADMIN_SHRED_FAILED, told, found.now_ms, Outcome.FAILED)
            raise ShredFailed(type(error).__name__) from error
        self._record(EventCode.ADMIN_SHRED_DONE, told, found.now_ms)

    def _check_gone(self, now_ms: int) -> None:
        if check_retention(self.settings, self._look(), now_ms).outlived:
            raise ShredFailed("a key is left")

    def _read(self, bag: KeyBag) -> bytes:
        with suppress(FileNotFoundError):
            if bag.is_stored:
                return self.store.get(bag.key)
            if bag.path is not None:
                return bag.path.read_bytes()
        return b""

    def _look(self) -> Holdings:
        return Holdings.look(self.store, self.settings.spool, self.settings.deployment)

    def _record(self, event_code: EventCode, detail: Detail, now_ms: int, status: Outcome = Outcome.SUCCEEDED) -> None:
        """Not before the moment that the check went by: the verifier takes no shredding for one of what is younger."""
        self.write([self._made(event_code, detail, now_ms, status)])

    def _made(self, event_code: EventCode, detail: Detail, now_ms: int, status: Outcome) -> Record:
        return Record(
            event_code=event_code,
            time_ms=max(now_ms, int(time.time() * 1000)),
            actor=self.actor,
            status=status,
            src_address=self.source,
            resource=Resource(connection="audit-log", operation="audit.retention_check", protocol="cli"),
            detail=detail,
        )


def result_of(settings: AuditSettings, found: Retention) -> Detail:
    """A check's result as it is recorded, and printed."""
    return {
        "content_retention_days": settings.content_retention_days,
        "key_bags": found.bags,
        "over_age": len(found.over_age),
        "quarantined": len(found.quarantined),
        "obliged_over_age": len(found.obliged),
        "oldest_key_bag_ms": found.oldest_bag_ms,
        "newest_key_bag_ms": found.newest_bag_ms,
        "evidence_objects": found.evidence,
        "oldest_evidence_ms": found.oldest_evidence_ms,
        "history_days": found.history_days,
        "sampled": found.sampled,
        "out_of_reach": len(found.out_of_reach),
        "unlocked": len(found.unlocked),
        "incomplete": found.incomplete,
    }
