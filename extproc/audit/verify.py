"""`extproc audit verify`: what of the log is proven, and where it is not.

Needs the deployment's public key and read access; no content key. Proves, for each epoch that the registry or the
store knows: nothing altered, nothing removed, nothing reordered, nothing moved, the end where the writer put it. It
cannot see that newest epochs are gone together with their registry entries when nothing else remembers them: on S3 the
version list does, on one machine the spool does.
"""

import hashlib
import time
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from extproc.audit.holdings import Epoch, Holdings
from extproc.audit.refusal import AuditRefused
from extproc.audit.registry import Entry
from extproc.audit.segment import ZERO
from extproc.audit.signed import Domain, VerifyKey, verify_document
from extproc.audit.store import ObjectStore, StoredObject, StoreFailed
from extproc.audit.verify_epoch import INCOMPLETE, TELLS, EpochProof, Finding, Name

PROVEN, FINDING, UNPROVEN = 0, 1, 2


@dataclass(slots=True)
class Report:
    """The verifier's answer. Times are Unix milliseconds of the first and last proven moment."""

    findings: list[Finding] = field(default_factory=list)
    epochs: int = 0
    segments: int = 0
    records: int = 0
    first_ms: int = 0
    last_ms: int = 0

    @property
    def exit_code(self) -> int:
        """0 proven, 1 a finding, 2 incomplete."""
        names = {finding.name for finding in self.findings} - TELLS
        if names - INCOMPLETE:
            return FINDING
        return UNPROVEN if names else PROVEN

    def add(self, name: Name, where: str, what: str) -> None:
        self.findings.append(Finding(name, where, what))


def verify(
    store: ObjectStore,
    key: VerifyKey,
    *,
    deployment: str,
    spool: Path | None,
    now_ms: int | None = None,
    until_ms: int | None = None,
) -> Report:
    """Verify everything there is. With `spool`, also what is not shipped yet. Raises nothing that a finding can say."""
    now_ms = int(time.time() * 1000) if now_ms is None else now_ms
    report = Report()
    try:
        holdings = Holdings.look(store, spool, deployment)
        for stranger in holdings.strangers:
            report.add(Name.STRANGER, stranger, "the log never wrote it")
        for stored in holdings.doubled:
            _check_versions(report, store, stored)
        registered = _verify_registry(report, holdings, key)
        for origin in sorted(holdings.epochs):
            epoch = holdings.epochs[origin]
            proof = EpochProof(holdings, epoch, key, now_ms)
            if epoch.last_segment == 0:
                _without_evidence(report, epoch, registered.get(str(origin)), now_ms)
                continue
            if str(origin) not in registered and epoch.directory is None:
                report.add(Name.UNREGISTERED, str(origin), "the epoch has no registry entry")
            proof.run(until_ms)
            report.epochs += 1
            report.segments += proof.segments
            report.records += proof.records
            report.findings += proof.findings
            report.first_ms = min(filter(None, (report.first_ms, proof.first_ms)), default=0)
            report.last_ms = max(report.last_ms, proof.last_ms)
    except (StoreFailed, OSError) as error:
        report.add(Name.UNREADABLE, "store", f"could not be read ({error})")
    except AuditRefused as error:
        report.add(Name.ALTERED, "spool", str(error))
    if report.records == 0:
        report.add(Name.EMPTY, "store", "nothing to verify")
    return report


def _check_versions(report: Report, store: ObjectStore, stored: StoredObject) -> None:
    """A store without conditional writes may keep the same bytes twice; anything else is a cover-up."""
    if stored.delete_markers:
        report.add(Name.SHADOWED, stored.key, f"{stored.delete_markers} delete marker(s)")
    elif len({hashlib.sha256(store.get(stored.key, version)).digest() for version in stored.versions}) > 1:
        report.add(Name.SHADOWED, stored.key, f"{len(stored.versions)} versions that differ")


def _without_evidence(report: Report, epoch: Epoch, entry: Entry | None, now_ms: int) -> None:
    if epoch.alive:
        return
    if entry is not None and epoch.directory is None and now_ms - entry.registered_ms < 600_000:
        report.add(Name.OPEN, str(epoch.origin), "registered, and nothing stored yet")
    else:
        report.add(Name.EPOCH_MISSING, str(epoch.origin), "the registry knows it, and there is no evidence of it")


def _verify_registry(report: Report, holdings: Holdings, key: VerifyKey) -> dict[str, Entry]:
    """1 each entry signed and in its place, 2 numbered from 1 without gaps, 3 chained, 4 the newest as remembered."""
    registered: dict[str, Entry] = {}
    chains: dict[str, dict[int, tuple[Entry, str]]] = {}
    for epoch in holdings.epochs.values():
        document = holdings.registry_document(epoch)
        if document is None:
            continue
        where = epoch.origin.registry_key
        try:
            entry = msgspec.json.decode(verify_document(key, Domain.REGISTRY, document), type=Entry)
        except (AuditRefused, ValueError):
            report.add(Name.ALTERED, where, "the registry entry or its signature does not hold")
            continue
        if entry.origin != str(epoch.origin) or entry.location != where:
            report.add(Name.RELOCATED, where, f"the registry entry belongs to {entry.origin}")
            continue
        registered[entry.origin] = entry
        chain = chains.setdefault(entry.spool, {})
        if entry.number in chain:
            report.add(Name.FORKED, where, f"two entries with number {entry.number}")
        chain[entry.number] = (entry, hashlib.sha256(document).hexdigest())
    for spool, chain in chains.items():
        _verify_chain(report, spool, chain)
    _verify_head(report, holdings, chains)
    return registered


def _verify_chain(report: Report, spool: str, chain: dict[int, tuple[Entry, str]]) -> None:
    prev: str | None = ZERO
    for number in range(1, max(chain) + 1):
        if number not in chain:
            report.add(Name.EPOCH_MISSING, f"registry of spool {spool} number {number}", "the entry is missing")
            prev = None
            continue
        entry, digest = chain[number]
        if prev is not None and entry.prev != prev:
            report.add(Name.FORKED, entry.origin, "its registry entry follows another history")
        prev = digest


def _verify_head(report: Report, holdings: Holdings, chains: dict[str, dict[int, tuple[Entry, str]]]) -> None:
    head = holdings.head
    if holdings.head_refused:
        report.add(Name.ALTERED, "registry", holdings.head_refused)
    if head is None:
        return
    found = chains.get(head.spool, {}).get(head.number)
    if found is None:
        epoch = next((epoch for epoch in holdings.epochs.values() if str(epoch.origin) == head.origin), None)
        if epoch is None or epoch.directory is None:
            report.add(Name.EPOCH_MISSING, head.origin, "the spool remembers it; it is gone from the store")
    elif found[1] != head.digest:
        report.add(Name.FORKED, head.origin, "the spool remembers another registry entry")
