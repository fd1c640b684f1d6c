"""`extproc audit verify`: what of the log is proven, and where it is not.

Needs the deployment's public key and read access; no content key. Proves, for each epoch that the registry or the
store knows: nothing altered, nothing removed, nothing reordered, nothing moved, the end where the writer put it. It
cannot see by itself that newest epochs are gone together with their registry entries, that a writer is gone with its
own, or that everything was signed anew with stolen keys: on S3 the version list does, on one machine the spool does,
and everywhere does whoever remembers the heads.

Memory does not grow with the number of segments: epochs are walked one after the other, one segment at a time.
"""

import itertools
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from extproc.audit.log.registry import Entry
from extproc.audit.log.spool import REGISTRY
from extproc.audit.names import Origin
from extproc.audit.reading.holdings import Epoch, Holdings
from extproc.audit.reading.reader import time_text
from extproc.audit.reading.span import EVERYTHING, Span
from extproc.audit.refusal import AuditRefused
from extproc.audit.signed import VerifyKey
from extproc.audit.stores.store import ObjectStore, StoreFailed
from extproc.audit.verify.census import take_census
from extproc.audit.verify.epoch import EpochProof
from extproc.audit.verify.findings import Level, Name
from extproc.audit.verify.registry import Register
from extproc.audit.verify.remembered import Remembered, RememberedHead
from extproc.audit.verify.report import PROVEN, Report, Unwatched, Watch
from extproc.audit.verify.walk import Copies, LocalEpoch, LocalSpool, Place, walk

__all__ = ["PROVEN", "Report", "verify"]
_UNBORN_MS = 600_000
"""So long may an epoch be registered before anything of it is in the store."""
_SKEW_MS = 300_000


def verify(
    store: ObjectStore,
    key: VerifyKey,
    *,
    deployment: str,
    spool: Path | None,
    now_ms: int | None = None,
    asked: Span = EVERYTHING,
    remembered: Remembered | None = None,
    watch: Watch | None = None,
) -> Report:
    """Verify what is asked for. With `spool`, also what is not shipped yet, and against what the spool remembers.

    Raises nothing that a finding can say.
    """
    report = Report(asked)
    log = _Log(
        report,
        store,
        key,
        int(time.time() * 1000) if now_ms is None else now_ms,
        watch or Unwatched(),
        dict(remembered.heads) if remembered is not None else {},
    )
    try:
        log.run(LocalSpool.look(spool, deployment))
    except (StoreFailed, OSError) as error:
        report.add(Name.UNREADABLE, "store", f"could not be read ({error})")
    except AuditRefused as error:
        report.add(Name.ALTERED, "spool", str(error))
    if report.records == 0 and report.worst is not Level.FINDING:
        report.add(
            Name.EMPTY, "store", "nothing to verify" if asked == EVERYTHING else "nothing in the requested range"
        )
    return report


@dataclass(slots=True)
class _Log:
    """One verification under way."""

    report: Report
    store: ObjectStore
    key: VerifyKey
    now_ms: int
    watch: Watch
    heads: dict[str, RememberedHead]
    """Of epochs that have not come by yet."""
    present: set[str] = field(default_factory=set)
    """Writers that have an epoch here."""
    missing: dict[str, dict[str, str]] = field(default_factory=dict)
    """By writer: epochs without evidence, and who knows them."""
    absent: dict[str, tuple[str, int]] = field(default_factory=dict)
    """By exchange without its content key: where it is, and when that was sealed."""
    shredded: set[str] = field(default_factory=set)
    shredded_before_ms: int = 0
    """Older keys were over-age."""
    goes_on: bool = False
    """An epoch reaches beyond the end of the requested range."""

    def run(self, local: LocalSpool) -> None:
        for stranger in local.strangers:
            self.report.add(Name.STRANGER, stranger, "the log never wrote it")
        if local.head_refused:
            self.report.add(Name.ALTERED, "registry", local.head_refused)
        take_census(self.report, self.store, self.key, self.watch)
        register = Register(self.key, self.report.asked, self.now_ms)
        for origin, places in walk(self.store, local):
            self._epoch(register, local, origin, places)
        register.finish(local.head)
        self.report.extend(register.findings)
        self.report.lacks(register.holes)
        if local.head is not None and not register.knows(local.head):
            origin = Origin.parse(local.head.origin)
            if local.epoch(origin) is None:
                self._miss(origin, "the spool remembers it; it is gone from the store")
        for text, head in self.heads.items():
            # What an epoch proved, its own keys signed; that it began when its name says, whoever remembers it saw.
            seen_ms = max(head.seen_ms, Origin.parse(text).started_ms) if head.seen_ms else 0
            if not self.report.asked.is_before(seen_ms):
                self._miss(Origin.parse(text), f"{head.size} records are remembered; it is gone from the store")
        self._report_missing()
        if self.absent.keys() - self.shredded and self.report.asked.to_ms is not None:
            self._look_for_shredding(local)
        self._report_absent()
        self._check_range(register, local)

    def _epoch(self, register: Register, local: LocalSpool, origin: Origin, places: Iterator[Place]) -> None:
        """All of its places are consumed: the next epoch stands behind them."""
        copies, mine = Copies(self.store), local.epoch(origin)
        first = next(places)
        document = copies.registry_document(first, mine.directory / REGISTRY if mine is not None else None)
        entry = register.add(origin, document) if document is not None else None
        head = self.heads.pop(str(origin), None)
        if first.segment:
            places = itertools.chain((first,), places)
        else:
            self.watch.proven(0, first.size)
        second = next(places, None)
        if second is None:
            self._without_evidence(register, origin, mine, entry, head)
            return
        self.present.add(_writer(origin))
        places = itertools.chain((second,), places)
        if self.report.asked.is_behind(origin.started_ms):
            self.goes_on = True
            for place in places:
                self.watch.proven(1, place.size)
            return
        if document is None and mine is None:
            self.report.add(Name.UNREGISTERED, str(origin), "the epoch has no registry entry")
        proof = EpochProof(copies, origin, mine, self.key, self.now_ms, self.report.asked, head)
        for place in proof.run(places):
            self.watch.proven(1, place.size)
        if document is None and mine is not None and proof.records and self.now_ms - origin.started_ms > _UNBORN_MS:
            self.report.add(Name.UNREGISTERED, str(origin), "the epoch in the spool has no registry entry")
        self._take_over(proof)

    def _take_over(self, proof: EpochProof) -> None:
        self.shredded |= proof.account.shredded
        self.shredded_before_ms = max(self.shredded_before_ms, proof.account.shredded_before_ms)
        if proof.before:
            self.report.extend(found for found in proof.findings if found.name not in _OF_AN_END)
            return
        self.report.extend(proof.findings)
        for exchange, segment, sealed_ms in proof.absent:
            self.absent[exchange] = f"{proof.origin} segment {segment}", sealed_ms
        self.report.lacks(proof.holes.holes, proof.open_ms)
        self.report.count(proof.segments, proof.records, proof.first_ms, proof.last_ms)
        self.goes_on = self.goes_on or proof.over

    def _without_evidence(
        self,
        register: Register,
        origin: Origin,
        mine: LocalEpoch | None,
        entry: Entry | None,
        head: RememberedHead | None,
    ) -> None:
        if head is not None:
            self._miss(origin, f"{head.size} records are remembered, and there is no evidence of it")
            return
        if str(origin) in register.unnamed:
            self.report.lacks([(origin.started_ms - 1, 0)])
            return  # told by its entry; nothing that could be believed says that evidence should be there
        if mine is not None and mine.alive:
            return
        registered_ms = entry.registered_ms if entry is not None else origin.started_ms
        if self.report.asked.is_behind(registered_ms):
            return
        if entry is not None and mine is None and -_SKEW_MS < self.now_ms - registered_ms < _UNBORN_MS:
            self.report.add(Name.OPEN, str(origin), "registered, and nothing stored yet")
            self.report.lacks([(registered_ms - 1, 0)], registered_ms - 1)
        else:
            self._miss(origin, "the registry knows it, and there is no evidence of it")

    def _miss(self, origin: Origin, what: str) -> None:
        self.missing.setdefault(_writer(origin), {}).setdefault(str(origin), what)
        self.report.lacks([(origin.started_ms - 1, 0)])

    def _report_missing(self) -> None:
        for writer, epochs in self.missing.items():
            if writer in self.present:
                for origin, what in epochs.items():
                    self.report.add(Name.EPOCH_MISSING, origin, what)
            else:
                names = ", ".join(sorted(epochs)[:3]) + (", …" if len(epochs) > 3 else "")
                self.report.add(Name.WRITER_MISSING, writer, f"no epoch of it is here; {len(epochs)} known: {names}")

    def _look_for_shredding(self, local: LocalSpool) -> None:
        """What was lost within the range may have been shredded after it. Only proven records excuse."""
        for origin, places in walk(self.store, local):
            proof = EpochProof(Copies(self.store), origin, local.epoch(origin), self.key, self.now_ms, EVERYTHING)
            for _ in proof.run(places):
                pass
            self.shredded |= proof.account.shredded
            self.shredded_before_ms = max(self.shredded_before_ms, proof.account.shredded_before_ms)

    def _report_absent(self) -> None:
        """A transcript that the log says was shredded is no loss; the record may stand anywhere in the log."""
        over_age = 0
        for exchange, (where, sealed_ms) in self.absent.items():
            if exchange in self.shredded:
                what = f"the transcript of {exchange} was shredded"
                self.report.add(Name.CONTENT_KEY_ABSENT, where, what, excused=True)
            elif sealed_ms < self.shredded_before_ms:
                over_age += 1
            else:
                what = f"the transcript of {exchange} can no longer be decrypted, and no record says why"
                self.report.add(Name.CONTENT_KEY_ABSENT, where, what)
        if over_age:
            what = f"{over_age} transcript(s) that were over-age were shredded"
            self.report.add(Name.CONTENT_KEY_ABSENT, "store", what, excused=True)

    def _check_range(self, register: Register, local: LocalSpool) -> None:
        """What the register or a living epoch covers without a record in it is proven too: that nothing was there."""
        report, asked = self.report, self.report.asked
        if not report.records:
            return
        report.begins_ms = register.begins_ms()
        if asked.from_ms is not None and asked.from_ms > self.now_ms:
            report.add(Name.SHORT, f"{time_text(asked.from_ms)} ..", "it has not come yet")
        elif asked.from_ms is not None and (
            report.first_ms <= asked.from_ms or register.reaches_back_to(asked.from_ms)
        ):
            report.first_ms = asked.from_ms
        if asked.to_ms is not None:
            known_ms = self.now_ms if local.head is not None else report.last_ms
            if self.goes_on or min(known_ms, self.now_ms) >= asked.to_ms:
                report.last_ms = asked.to_ms
        report.check_range()


_OF_AN_END = frozenset({Name.UNCLEAN_END, Name.CORRUPT})
"""What the end of an epoch that lies before the range says of itself."""


def proves_epoch(holdings: Holdings, epoch: Epoch, key: VerifyKey, now_ms: int) -> bool:
    """Whether one epoch, as listed, holds as a whole, by itself. Raises `StoreFailed`."""
    segments = sorted({*epoch.local, *(segment for _, segment in epoch.stored)})
    places = [
        Place(epoch.origin, at, {part: stored for (part, segment), stored in epoch.stored.items() if segment == at})
        for at in segments
    ]
    local = None if epoch.directory is None else LocalEpoch(epoch.directory, epoch.alive, epoch.local)
    proof = EpochProof(Copies(holdings.store), epoch.origin, local, key, now_ms, EVERYTHING)
    for _ in proof.run(iter(places)):
        pass
    return bool(proof.records) and all(finding.level is Level.TELLS for finding in proof.findings)


def _writer(origin: Origin) -> str:
    return f"{origin.deployment}/{origin.writer}"
