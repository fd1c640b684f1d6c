"""How an anchor follows one epoch: from the head that it remembers through each new segment to the next head.

Nothing is believed. The records are hashed again on top of the remembered tree, so that a new head is consistent with
the old one because it was computed from it.
"""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

import msgspec

from extproc.audit.anchor.checkpoint import Checkpoint, epoch_origin
from extproc.audit.log.segment import ZERO, line_digest
from extproc.audit.merkle import MerkleTree
from extproc.audit.names import Origin
from extproc.audit.records.line import Mark, parse_mark, parse_record
from extproc.audit.refusal import AuditRefused
from extproc.audit.signed import UNNAMED_KEY, Role, VerifyKey
from extproc.audit.verify.findings import Broken, Name
from extproc.audit.verify.segment import lines_of, verify_evidence, verify_manifest
from extproc.core.record import EventCode

UNBORN_SECONDS = 1500.0
"""How long an epoch may be registered without any evidence: two heartbeats and the lag, by default."""
_DAY_MS = 86_400_000
_ENDS = frozenset({EventCode.LOG_STOP, EventCode.LOG_ADOPT})


class AlarmName(StrEnum):
    """What an anchor can find."""

    FORKED = "FORKED"
    """Another history at a size that it has co-signed."""
    TRUNCATED = "TRUNCATED"
    """The store ends before what it has co-signed."""
    GAP = "GAP"
    ALTERED = "ALTERED"
    UNREADABLE = "UNREADABLE"
    """New, and of a newer form than this program knows: it takes a newer one to go on."""
    SHADOWED = "SHADOWED"
    """A delete marker or another version lies over an object."""
    EPOCH_MISSING = "EPOCH_MISSING"
    WRITER_MISSING = "WRITER_MISSING"
    SILENT = "SILENT"
    """A living epoch, or the deployment, says nothing any more."""
    MEMORY_ROLLED_BACK = "MEMORY_ROLLED_BACK"
    """The anchor's own write-once store remembers more than its memory."""


class Contradiction(Exception):
    """What the store says does not go with what is remembered."""

    def __init__(self, name: AlarmName, what: str) -> None:
        super().__init__(what)
        self.name = name
        self.what = what


class Head(msgspec.Struct, frozen=True, kw_only=True):
    """What an anchor remembers of an epoch. Sizes count records; hashes are hex; times are Unix milliseconds."""

    origin: str
    entry: str = ""
    """SHA-256 of the registry entry as stored; empty before it was seen."""
    first_seen_ms: int
    segment: int = 0
    size: int = 0
    peaks: tuple[str, ...] = ()
    last: str = ZERO
    """`line_digest` of the last record."""
    segment_root: str = ZERO
    manifest: str = ""
    """SHA-256 of the last segment's manifest as stored."""
    certificate: str = ""
    """SHA-256 of the certificate of the epoch's key, as `log.start` has it."""
    sealed_ms: int = 0
    newest_ms: int = 0
    """The latest `sealed_ms` of all its segments: a segment that says that it is older makes the epoch no older."""
    days: tuple[tuple[int, int], ...] = ()
    """Segments and when each was begun, one of each day at most, as they said when they were followed: whoever holds
    the gateway's keys may sign them anew later, as older than they are."""
    quiet_ms: int = 0
    """For how long a living epoch may say nothing."""
    ended: bool = False
    expired: bool = False
    """It is gone, and its retention was over."""

    def tree(self) -> MerkleTree:
        return MerkleTree(self.size, [bytes.fromhex(peak) for peak in self.peaks])

    def checkpoint(self) -> Checkpoint:
        return Checkpoint(epoch_origin(self.origin), self.size, self.tree().root())

    def days_with(self, segment: int, began_ms: int) -> tuple[tuple[int, int], ...]:
        """Together with one more segment, where that is of another day."""
        known = bool(self.days) and began_ms < self.days[-1][1] + _DAY_MS
        return self.days if known else (*self.days, (segment, began_ms))

    def began_ms(self, segment: int) -> int:
        """When the segment was begun, or up to a day before that; 0 where that is not remembered."""
        return max((began_ms for number, began_ms in self.days if number <= segment), default=0)

    def is_quiet(self, now_ms: int) -> bool:
        """Whether a living epoch should have said something by now; a time ahead of ours proves nothing."""
        return not -300_000 <= now_ms - self.sealed_ms <= self.quiet_ms


@dataclass(slots=True)
class Follower:
    """Takes an epoch's segments in order. `head` moves only when the whole segment holds."""

    head: Head
    key: VerifyKey

    def follow(self, document: bytes, evidence: bytes) -> None:
        """The next segment's manifest and evidence, as stored. Raises `Contradiction`."""
        head, segment = self.head, self.head.segment + 1
        try:
            signed = verify_manifest(self.key, Origin.parse(head.origin), segment, document)
            _, leaves = verify_evidence(signed.manifest, lambda _: evidence)
        except Broken as broken:
            if broken.what == UNNAMED_KEY:
                raise Contradiction(AlarmName.ALTERED, broken.what) from broken
            name = AlarmName.UNREADABLE if broken.name is Name.UNREADABLE else AlarmName.ALTERED
            raise Contradiction(name, f"segment {segment}: {broken.what}") from broken
        manifest = signed.manifest
        if manifest.first_seq != head.size + 1:
            raise Contradiction(
                AlarmName.FORKED, f"segment {segment} begins with record {manifest.first_seq} behind {head.size}"
            )
        if manifest.prev != head.last or manifest.prev_root != head.segment_root:
            raise Contradiction(AlarmName.FORKED, f"segment {segment} follows another history")
        tree = head.tree()
        for leaf in leaves:
            tree.append_leaf(leaf)
        if manifest.epoch_root and manifest.epoch_root != tree.root().hex():
            raise Contradiction(AlarmName.FORKED, f"the epoch up to segment {segment} does not hash to its signed root")
        after = msgspec.structs.replace(
            self._follow_lines(lines_of(evidence)),
            segment=segment,
            size=tree.size,
            peaks=tuple(peak.hex() for peak in tree.peaks),
            segment_root=manifest.root,
            manifest=hashlib.sha256(document).hexdigest(),
            sealed_ms=manifest.sealed_ms,
            newest_ms=max(head.newest_ms, head.sealed_ms, manifest.sealed_ms),
            days=head.days_with(segment, manifest.started_ms),
        )
        signer = hashlib.sha256(manifest.certificate.encode()).hexdigest()
        if signed.certificate.role is Role.EPOCH and signer != after.certificate:
            raise Contradiction(
                AlarmName.FORKED, f"segment {segment} is signed by a key that `log.start` does not name"
            )
        self.head = after

    def _follow_lines(self, lines: Iterable[bytes]) -> Head:
        """Numbers and digests from record to record, the epoch's beginning and its end."""
        head = self.head
        for seq, line in enumerate(lines, head.size + 1):
            mark = self._mark(line)
            if (mark.origin, mark.seq, mark.prev) != (head.origin, seq, head.last):
                raise Contradiction(AlarmName.FORKED, f"record {mark.seq} does not follow record {seq - 1}")
            if seq == 1:
                certificate, quiet_ms = _beginning(mark, line)
                head = msgspec.structs.replace(head, certificate=certificate, quiet_ms=quiet_ms)
            ended = head.ended or mark.event_code in _ENDS
            head = msgspec.structs.replace(head, last=line_digest(line), ended=ended)
        return head

    def _mark(self, line: bytes) -> Mark:
        try:
            return parse_mark(line)
        except AuditRefused as error:
            raise Contradiction(AlarmName.ALTERED, f"a record behind {self.head.size} does not parse") from error


def _beginning(mark: Mark, line: bytes) -> tuple[str, int]:
    """The digest of the key's certificate and how long the epoch may be quiet, from its `log.start`."""
    try:
        detail = parse_record(line).detail
        quiet_ms = int(1000 * (2 * float(detail["heartbeat_seconds"]) + float(detail["max_lag_seconds"])))
    except (AuditRefused, KeyError, ValueError, OverflowError) as error:
        raise Contradiction(AlarmName.ALTERED, "the first record is no beginning") from error
    if mark.event_code is not EventCode.LOG_START:
        raise Contradiction(AlarmName.ALTERED, "the first record is no beginning")
    return hashlib.sha256(str(detail.get("certificate", "")).encode()).hexdigest(), quiet_ms
