"""How an anchor follows one epoch: from the head that it remembers through each new segment to the next head.

Nothing is believed. The records are hashed again on top of the remembered tree, so that a new head is consistent with
the old one because it was computed from it.
"""

import hashlib
from dataclasses import dataclass
from enum import StrEnum

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from extproc.audit.checkpoint import Checkpoint, epoch_origin
from extproc.audit.line import Mark, parse_mark, parse_record
from extproc.audit.merkle import MerkleTree
from extproc.audit.names import Origin, Part
from extproc.audit.refusal import AuditRefused
from extproc.audit.segment import ZERO, Manifest, line_digest
from extproc.audit.signed import Domain, Role, VerifyKey, split_document, verify_certificate, verify_document
from extproc.core.record import EventCode

UNBORN_SECONDS = 1500.0
"""How long an epoch may be registered without any evidence: two heartbeats and the lag, by default."""
_ENDS = frozenset({EventCode.LOG_STOP, EventCode.LOG_ADOPT})


class AlarmName(StrEnum):
    """What an anchor can find."""

    FORKED = "FORKED"
    """Another history at a size that it has co-signed."""
    TRUNCATED = "TRUNCATED"
    """The store ends before what it has co-signed."""
    GAP = "GAP"
    ALTERED = "ALTERED"
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
    quiet_ms: int = 0
    """For how long a living epoch may say nothing."""
    ended: bool = False
    expired: bool = False
    """It is gone, and its retention was over."""

    def tree(self) -> MerkleTree:
        return MerkleTree(self.size, [bytes.fromhex(peak) for peak in self.peaks])

    def checkpoint(self) -> Checkpoint:
        return Checkpoint(epoch_origin(self.origin), self.size, self.tree().root())

    def is_quiet(self, now_ms: int) -> bool:
        """Whether a living epoch should have said something by now; a time ahead of ours proves nothing."""
        return not -300_000 <= now_ms - self.sealed_ms <= self.quiet_ms


def read_manifest(document: bytes, key: VerifyKey, origin: Origin, segment: int) -> tuple[Manifest, Role]:
    """A manifest that is signed by a key of this epoch and belongs to this place. Raises `Contradiction`."""
    try:
        manifest = msgspec.json.decode(split_document(document)[0], type=Manifest)
        certificate = verify_certificate(key, manifest.certificate)
        verify_document(
            Ed25519PublicKey.from_public_bytes(bytes.fromhex(certificate.public_key)), Domain.MANIFEST, document
        )
    except (AuditRefused, msgspec.DecodeError, ValueError) as error:
        raise Contradiction(
            AlarmName.ALTERED, f"the manifest of segment {segment} or its signature does not hold"
        ) from error
    place = (str(origin), str(origin), segment, origin.object_key(Part.MANIFEST, segment))
    if (certificate.origin, manifest.origin, manifest.segment, manifest.location) != place:
        raise Contradiction(AlarmName.ALTERED, f"the manifest of segment {segment} belongs to another place")
    return manifest, certificate.role


@dataclass(slots=True)
class Follower:
    """Takes an epoch's segments in order. `head` moves only when the whole segment holds."""

    head: Head
    key: VerifyKey

    def follow(self, document: bytes, evidence: bytes) -> None:
        """The next segment's manifest and evidence, as stored. Raises `Contradiction`."""
        head = self.head
        segment = head.segment + 1
        manifest, role = read_manifest(document, self.key, Origin.parse(head.origin), segment)
        if manifest.first_seq != head.size + 1:
            raise Contradiction(
                AlarmName.FORKED, f"segment {segment} begins with record {manifest.first_seq} behind {head.size}"
            )
        if manifest.prev != head.last or manifest.prev_root != head.segment_root:
            raise Contradiction(AlarmName.FORKED, f"segment {segment} follows another history")
        if hashlib.sha256(evidence).hexdigest() != manifest.evidence.sha256:
            raise Contradiction(AlarmName.ALTERED, f"the evidence of segment {segment} is not what was signed")
        lines = evidence.split(b"\n")
        if lines.pop() != b"" or len(lines) != manifest.records:
            raise Contradiction(AlarmName.ALTERED, f"segment {segment} has another number of records than was signed")
        self._follow_lines(manifest, role, document, lines)

    def _follow_lines(self, manifest: Manifest, role: Role, document: bytes, lines: list[bytes]) -> None:
        head, tree, own = self.head, self.head.tree(), MerkleTree()
        seq, last, ended, certificate, quiet_ms = head.size, head.last, head.ended, head.certificate, head.quiet_ms
        for line in lines:
            mark = self._mark(line)
            if (mark.origin, mark.seq, mark.prev) != (head.origin, seq + 1, last):
                raise Contradiction(AlarmName.FORKED, f"record {mark.seq} does not follow record {seq}")
            if mark.seq == 1:
                certificate, quiet_ms = _beginning(mark, line)
            tree.append(line)
            own.append(line)
            seq, last, ended = mark.seq, line_digest(line), ended or mark.event_code in _ENDS
        if own.root().hex() != manifest.root or (manifest.epoch_root and manifest.epoch_root != tree.root().hex()):
            raise Contradiction(AlarmName.FORKED, f"segment {manifest.segment} does not hash to its signed root")
        signer = hashlib.sha256(manifest.certificate.encode()).hexdigest()
        if role is Role.EPOCH and signer != certificate:
            raise Contradiction(AlarmName.FORKED, f"segment {manifest.segment} is signed by a key of nobody's epoch")
        self.head = msgspec.structs.replace(
            head,
            segment=manifest.segment,
            size=tree.size,
            peaks=tuple(peak.hex() for peak in tree.peaks),
            last=last,
            segment_root=manifest.root,
            manifest=hashlib.sha256(document).hexdigest(),
            certificate=certificate,
            sealed_ms=manifest.sealed_ms,
            quiet_ms=quiet_ms,
            ended=ended,
        )

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
    except (AuditRefused, KeyError, ValueError) as error:
        raise Contradiction(AlarmName.ALTERED, "the first record is no beginning") from error
    if mark.event_code is not EventCode.LOG_START:
        raise Contradiction(AlarmName.ALTERED, "the first record is no beginning")
    return hashlib.sha256(str(detail.get("certificate", "")).encode()).hexdigest(), quiet_ms
