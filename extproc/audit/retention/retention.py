"""How old is what the log keeps: transcripts' keys against their limit (PCI DSS v4.0.1 3.2.1), evidence against 10.5.1.

A key bag's age counts from when its segment was sealed. Within an epoch segments are sealed in order, so the first bag
that is young enough is found by bisection, with a few reads for an epoch of any length.
"""

import bisect
import math
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Protocol, cast

import msgspec

from extproc.audit.log.segment import Manifest
from extproc.audit.log.spool import segments
from extproc.audit.names import Part, segment_file
from extproc.audit.reading.exchanges import ExchangeRecords
from extproc.audit.reading.holdings import Epoch, Holdings
from extproc.audit.refusal import NOT_PARSED, AuditRefused
from extproc.audit.retention.obliged import find_outlived
from extproc.audit.retention.shredding import quarantined_keys
from extproc.audit.settings import AuditSettings, LockMode, S3Store
from extproc.audit.signed import split_document
from extproc.audit.stores.store import StoreFailed

DAY_MS = 86_400_000
HISTORY_DAYS = 365
"""PCI DSS v4.0.1 10.5.1: twelve months of audit log history …"""
AT_HAND_DAYS = 90
"""… of which three months can be read at once."""
SAMPLES = 5
UNKNOWN_MS = math.inf


@dataclass(frozen=True, slots=True)
class KeyBag:
    """One segment's bag: in the store as `key`, in the spool as `path`, or in both while it is shipped."""

    epoch: Epoch
    segment: int
    is_stored: bool
    path: Path | None

    @property
    def key(self) -> str:
        return self.epoch.origin.object_key(Part.KEYS, self.segment)


@dataclass(frozen=True, slots=True)
class Retention:
    """What was found. Times are Unix milliseconds, 0 where there is nothing; `newest_worker_ms`: of the service."""

    now_ms: int
    limit_ms: int
    """Older bags are over-age."""
    bags: int
    over_age: tuple[KeyBag, ...]
    oldest_bag_ms: int
    newest_bag_ms: int
    evidence: int
    oldest_evidence_ms: int
    newest_worker_ms: int
    sampled: int
    out_of_reach: tuple[str, ...]
    """Evidence of the last three months that could not be read at once."""
    unlocked: tuple[str, ...]
    """Of the sample, what is not locked for twelve months; empty where the store is one without locks."""
    incomplete: bool
    """A segment's age, or what a policy said of its exchanges, could not be read."""
    quarantined: tuple[Path, ...]
    """Damaged files in the spool, older than the limit, with keys."""
    obliged: tuple[ExchangeRecords, ...]
    """Exchanges whose transcript a policy lets live shorter, and that time is over."""

    @property
    def outlived(self) -> bool:
        """Whether any key is kept for longer than it may be."""
        return bool(self.over_age or self.quarantined or self.obliged)

    @property
    def history_days(self) -> int:
        return (self.now_ms - self.oldest_evidence_ms) // DAY_MS if self.oldest_evidence_ms else 0


def check_retention(settings: AuditSettings, holdings: Holdings, now_ms: int) -> Retention:
    """Raises `StoreFailed`."""
    limit_ms = now_ms - settings.content_retention_days * DAY_MS
    over_age: list[KeyBag] = []
    ages: list[float] = []
    bags = 0
    for epoch in holdings.epochs.values():
        held = list(_bags(epoch))
        first = bisect.bisect_left(held, float(limit_ms), key=partial(sealed_ms, holdings))
        over_age += held[:first]
        bags += len(held)
        ages += [sealed_ms(holdings, bag) for bag in held[:1] + held[-1:]]
    known = [int(age) for age in ages if age is not UNKNOWN_MS]
    sample = _sample(holdings, now_ms)
    locks = _locks(settings, holdings)
    outlived = find_outlived(holdings, now_ms)
    return Retention(
        now_ms=now_ms,
        limit_ms=limit_ms,
        bags=bags,
        over_age=tuple(over_age),
        oldest_bag_ms=min(known, default=0),
        newest_bag_ms=max(known, default=0),
        evidence=sum(part is Part.EVIDENCE for epoch in holdings.epochs.values() for part, _ in epoch.stored),
        oldest_evidence_ms=_oldest_ms(holdings),
        newest_worker_ms=_newest_worker_ms(holdings),
        sampled=len(sample),
        out_of_reach=tuple(key for key, version in sample if not _is_at_hand(holdings, key, version)),
        unlocked=tuple(key for key, version in sample if locks and not _is_locked(locks, key, version, now_ms)),
        incomplete=outlived.unread or len(known) < len(ages),
        quarantined=quarantined_keys(settings.spool, limit_ms),
        obliged=outlived.exchanges,
    )


def _bags(epoch: Epoch) -> Iterator[KeyBag]:
    stored = {segment for part, segment in epoch.stored if part is Part.KEYS}
    local = set(segments(epoch.directory, Part.KEYS)) if epoch.directory else set()
    for segment in sorted(stored | local):
        path = epoch.directory / segment_file(segment, Part.KEYS) if epoch.directory and segment in local else None
        yield KeyBag(epoch, segment, segment in stored, path)


def sealed_ms(holdings: Holdings, bag: KeyBag) -> float:
    """When its segment was sealed; `UNKNOWN_MS`, which is later than any time, when the manifest cannot be read."""
    manifest = _manifest(holdings, bag.epoch, bag.segment)
    return manifest.sealed_ms if manifest else UNKNOWN_MS


def _manifest(holdings: Holdings, epoch: Epoch, segment: int) -> Manifest | None:
    stored = epoch.stored.get((Part.MANIFEST, segment))
    try:
        if stored is not None:
            document = holdings.store.get(stored.key, stored.versions[0])
        elif epoch.directory is not None:
            document = (epoch.directory / segment_file(segment, Part.MANIFEST)).read_bytes()
        else:
            return None
        return msgspec.json.decode(split_document(document)[0], type=Manifest)
    except (FileNotFoundError, AuditRefused, *NOT_PARSED):
        return None


def _oldest_ms(holdings: Holdings) -> int:
    for epoch in sorted(holdings.epochs.values(), key=lambda epoch: epoch.origin.epoch):
        for part, segment in sorted(epoch.stored, key=lambda place: place[1]):
            if part is Part.MANIFEST and (manifest := _manifest(holdings, epoch, segment)):
                return manifest.started_ms
    return 0


_COMMANDS = frozenset({"cli", "shred", "sealed", "retention"})


def _newest_worker_ms(holdings: Holdings) -> int:
    """The newest segment of a process that was not started to look at the log."""
    newest = 0
    for epoch in holdings.epochs.values():
        if epoch.origin.writer not in _COMMANDS and not epoch.origin.writer.startswith("cli-"):
            sealed = [segment for part, segment in epoch.stored if part is Part.MANIFEST]
            sealed += segments(epoch.directory, Part.MANIFEST) if epoch.directory else []
            manifest = _manifest(holdings, epoch, max(sealed)) if sealed else None
            newest = max(newest, manifest.sealed_ms if manifest else 0)
    return newest


def _sample(holdings: Holdings, now_ms: int) -> list[tuple[str, str]]:
    """Evidence objects of the last three months, from the whole of that time: key and version."""
    first = datetime.fromtimestamp((now_ms - AT_HAND_DAYS * DAY_MS) / 1000, UTC).strftime("%Y%m%dT%H%M%SZ")
    young = sorted(
        (origin.epoch, stored.key, stored.versions[0])
        for origin, epoch in holdings.epochs.items()
        if origin.epoch >= first
        for (part, _), stored in epoch.stored.items()
        if part is Part.EVIDENCE
    )
    step = max(1, math.ceil(len(young) / SAMPLES))
    return [(key, version) for _, key, version in young[::step]]


def _is_at_hand(holdings: Holdings, key: str, version: str) -> bool:
    try:
        holdings.store.get(key, version)
    except (FileNotFoundError, StoreFailed):
        return False
    return True


class LockingStore(Protocol):
    """A store that keeps objects under a lock."""

    def lock_of(self, key: str, version: str) -> tuple[str, datetime | None]:
        """Mode and end of an object's lock; empty and None without one. Raises FileNotFoundError or `StoreFailed`."""


def _locks(settings: AuditSettings, holdings: Holdings) -> LockingStore | None:
    """The store as one that locks; None where the configuration says that it does not."""
    match settings.store:
        case S3Store(accept_no_object_lock=""):
            return cast("LockingStore", holdings.store)
    return None


def _is_locked(store: LockingStore, key: str, version: str, now_ms: int) -> bool:
    """For long enough that twelve months are kept, of an object that is three months old at most."""
    mode, until = store.lock_of(key, version)
    left_ms = until.timestamp() * 1000 - now_ms if until else 0.0
    return mode == LockMode.COMPLIANCE and left_ms >= (HISTORY_DAYS - AT_HAND_DAYS) * DAY_MS
