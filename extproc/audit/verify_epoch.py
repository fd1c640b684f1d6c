"""Proof of one epoch: its segments in order, each signed, whole and in its place, from `log.start` to its end."""

import hashlib
from dataclasses import dataclass, field
from enum import StrEnum

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from extproc.audit.content import chain_digest, parse_content_frame
from extproc.audit.frames import Kind
from extproc.audit.holdings import Epoch, Holdings, SealedSegment
from extproc.audit.line import Mark, parse_mark, parse_record
from extproc.audit.merkle import MerkleTree
from extproc.audit.names import Part
from extproc.audit.refusal import AuditRefused
from extproc.audit.segment import ZERO, JournalFile, Manifest, line_digest, unpack_content
from extproc.audit.signed import (
    Certificate,
    Domain,
    Role,
    VerifyKey,
    split_document,
    verify_certificate,
    verify_document,
)
from extproc.core.record import EventCode


class Name(StrEnum):
    """What can be found. The first group is tampering or loss, the second leaves things unproven, the third tells."""

    ALTERED = "ALTERED"
    GAP = "GAP"
    ORDER = "ORDER"
    RELOCATED = "RELOCATED"
    TRUNCATED = "TRUNCATED"
    FORKED = "FORKED"
    SHADOWED = "SHADOWED"
    STRANGER = "STRANGER"
    EPOCH_MISSING = "EPOCH_MISSING"
    UNREGISTERED = "UNREGISTERED"
    CORRUPT = "CORRUPT"
    CONTENT_KEY_ABSENT = "CONTENT_KEY_ABSENT"

    OPEN = "OPEN"
    UNADOPTED = "UNADOPTED"
    UNREADABLE = "UNREADABLE"
    EMPTY = "EMPTY"

    UNCLEAN_END = "UNCLEAN_END"
    LIVE = "LIVE"


INCOMPLETE = frozenset({Name.OPEN, Name.UNADOPTED, Name.UNREADABLE, Name.EMPTY})
TELLS = frozenset({Name.UNCLEAN_END, Name.LIVE})


@dataclass(frozen=True, slots=True)
class Finding:
    """`where` is an origin with segment or record number, or an object key."""

    name: Name
    where: str
    what: str


class _Broken(Exception):
    def __init__(self, name: Name, what: str) -> None:
        super().__init__(what)
        self.finding = (name, what)


@dataclass(slots=True)
class EpochProof:
    """Walks one epoch. `findings` says what does not hold; `records` counts what is proven."""

    holdings: Holdings
    epoch: Epoch
    key: VerifyKey
    now_ms: int
    findings: list[Finding] = field(default_factory=list)
    records: int = 0
    segments: int = 0
    first_ms: int = 0
    last_ms: int = 0
    _seq: int = 1
    _prev: str = ZERO
    _prev_root: str = ZERO
    _trusted: bool = True
    _tree: MerkleTree | None = field(default_factory=MerkleTree)
    """Of all records so far; None behind a break, where not all of them are known."""
    _epoch_key: str = ""
    _young_ms: int = 600_000
    _ended: EventCode | None = None
    _adopters: set[str] = field(default_factory=set)
    _signers: list[tuple[int, Certificate, str]] = field(default_factory=list)
    _streams: dict[str, tuple[str, int]] = field(default_factory=dict)
    _digests: dict[tuple[str, int], str] = field(default_factory=dict)

    def run(self, until_ms: int | None) -> None:
        """Check every segment, then the end. `until_ms`: an epoch proven up to then needs no end."""
        for segment in range(1, self.epoch.last_segment + 1):
            try:
                self._segment(segment)
            except _Broken as broken:
                self._find(segment, *broken.finding)
                self._tree = None
                self._trusted = False  # one report a break; what follows is checked from its own claims on
        self._check_signers()
        self._check_end(until_ms)

    def _find(self, segment: int, name: Name, what: str) -> None:
        self.findings.append(Finding(name, f"{self.epoch.origin} segment {segment}", what))

    def _segment(self, segment: int) -> None:
        loaded = self.holdings.load(self.epoch, segment)
        match loaded:
            case SealedSegment():
                self._sealed(segment, loaded)
            case JournalFile():
                self._journal(segment, loaded)
            case None if segment == self.epoch.last_segment and (self.epoch.alive or self.epoch.local):
                return  # a file just begun, without a header yet
            case None if any(at > segment for _, at in self.epoch.stored) or self.epoch.local:
                raise _Broken(Name.GAP, "the segment's manifest is missing")
            case None:
                # Evidence without a manifest at the very end: on its way to the store, or its end was taken away.
                raise _Broken(Name.TRUNCATED if self._is_old() else Name.OPEN, "the last segment has no manifest")
        self.segments += 1

    def _sealed(self, segment: int, sealed: SealedSegment) -> None:
        manifest, certificate = self._manifest(segment, sealed.manifest)
        self._continues(manifest.first_seq, manifest.prev, manifest.prev_root)
        lines = self._evidence(manifest, sealed.evidence)
        self._content(manifest, sealed)
        self._lines(segment, lines, manifest.first_seq, manifest.prev)
        self._checkpoint(manifest)
        self._signers.append((segment, certificate, manifest.certificate))
        self._prev_root = manifest.root
        self._trusted = True
        self.last_ms = manifest.sealed_ms
        self.first_ms = self.first_ms or manifest.started_ms

    def _manifest(self, segment: int, document: bytes) -> tuple[Manifest, Certificate]:
        """1 parses, 2 signed by a key that the deployment certified, 3 for this origin, 4 about this place."""
        try:
            manifest = msgspec.json.decode(split_document(document)[0], type=Manifest)
            certificate = verify_certificate(self.key, manifest.certificate)
            signer = Ed25519PublicKey.from_public_bytes(bytes.fromhex(certificate.public_key))
            verify_document(signer, Domain.MANIFEST, document)
        except (AuditRefused, msgspec.DecodeError, ValueError) as error:
            raise _Broken(Name.ALTERED, "the manifest or its signature does not hold") from error
        origin = self.epoch.origin
        place = (str(origin), segment, origin.object_key(Part.MANIFEST, segment))
        if (manifest.origin, manifest.segment, manifest.location) != place or certificate.origin != str(origin):
            raise _Broken(Name.RELOCATED, f"the manifest belongs to {manifest.origin} segment {manifest.segment}")
        return manifest, certificate

    def _continues(self, first_seq: int, prev: str, prev_root: str) -> None:
        """The segment follows the one before it."""
        if not self._trusted:
            return
        if first_seq != self._seq:
            raise _Broken(Name.GAP, f"begins with record {first_seq} where {self._seq} is next")
        if prev != self._prev or prev_root != self._prev_root:
            raise _Broken(Name.FORKED, "follows another history than the segments before it")

    def _evidence(self, manifest: Manifest, evidence: bytes | None) -> list[bytes]:
        if evidence is None:
            raise _Broken(Name.GAP, "the evidence object is missing")
        if hashlib.sha256(evidence).hexdigest() != manifest.evidence.sha256 or len(evidence) != manifest.evidence.size:
            raise _Broken(Name.ALTERED, "the evidence object is not what was signed")
        lines = evidence.split(b"\n")
        if lines.pop() != b"" or len(lines) != manifest.records:
            raise _Broken(Name.ALTERED, "the evidence object has another number of records than was signed")
        tree = MerkleTree()
        for line in lines:
            tree.append(line)
        if tree.root().hex() != manifest.root:
            raise _Broken(Name.ALTERED, "the records do not hash to the signed root")
        return lines

    def _checkpoint(self, manifest: Manifest) -> None:
        """What was signed of the epoch as a whole is what its records hash to."""
        if self._tree is None or not manifest.epoch_root:
            return
        if (manifest.epoch_size, manifest.epoch_root) != (self._tree.size, self._tree.root().hex()):
            raise _Broken(Name.FORKED, "the epoch's records do not hash to the signed root")

    def _content(self, manifest: Manifest, sealed: SealedSegment) -> None:
        if manifest.content is None:
            if sealed.content is not None:
                raise _Broken(Name.STRANGER, "a content object that was not signed")
            return
        if sealed.content is None:
            raise _Broken(Name.GAP, "the content object is missing")
        if hashlib.sha256(sealed.content).hexdigest() != manifest.content.sha256:
            raise _Broken(Name.ALTERED, "the content object is not what was signed")
        try:
            self._frames(unpack_content(sealed.content))
        except AuditRefused as error:
            raise _Broken(Name.ALTERED, str(error)) from error
        if len((sealed.keys or b"").splitlines()) < manifest.content_keys:
            self._find(manifest.segment, Name.CONTENT_KEY_ABSENT, "a transcript can no longer be decrypted")

    def _frames(self, payloads: list[bytes]) -> None:
        """Follow each transcript, so that the record that ends its exchange can be held against it."""
        self._digests.clear()
        for payload in payloads:
            frame = parse_content_frame(payload)
            digest = self._streams.get(frame.exchange_id, ("", 0))[0] if frame.number else ""
            digest = chain_digest(bytes.fromhex(digest), payload).hex()
            self._streams[frame.exchange_id] = (digest, frame.number)
            self._digests[frame.exchange_id, frame.number] = digest

    def _lines(self, segment: int, lines: list[bytes], seq: int, prev: str) -> None:
        """Each record is numbered one higher than the last and carries its digest."""
        for line in lines:
            mark = self._mark(line)
            if mark.seq != seq or mark.prev != prev or mark.origin != str(self.epoch.origin):
                raise _Broken(Name.ORDER, f"record {mark.seq} does not follow record {seq - 1}")
            if mark.content_frames:
                self._transcript(mark)
            self._note(segment, mark, line)
            seq, prev = seq + 1, line_digest(line)
            if self._tree is not None:
                self._tree.append(line)
            self.records += 1
        self._seq, self._prev = seq, prev

    def _mark(self, line: bytes) -> Mark:
        try:
            return parse_mark(line)
        except AuditRefused as error:
            raise _Broken(Name.ALTERED, "a record does not parse") from error

    def _transcript(self, mark: Mark) -> None:
        known = self._digests.get((mark.exchange_id, mark.content_frames))
        latest = self._streams.pop(mark.exchange_id, None)
        if known is None and latest is not None and latest[1] == mark.content_frames:
            known = latest[0]
        if known != mark.content_digest and self._trusted:
            raise _Broken(Name.ALTERED, f"the transcript is not the one that record {mark.seq} closed")

    def _note(self, segment: int, mark: Mark, line: bytes) -> None:
        """Where the epoch begins and ends, and whose keys it names."""
        if self._ended is not None and mark.event_code is not EventCode.LOG_ADOPT and not _closes(mark):
            raise _Broken(Name.ORDER, "records follow the epoch's end")
        if mark.event_code is EventCode.LOG_START:
            detail = parse_record(line).detail
            if mark.seq != 1:
                raise _Broken(Name.ORDER, "a second beginning")
            self._epoch_key = str(detail.get("certificate", ""))
            self._young_ms = int(1000 * (2 * float(detail["heartbeat_seconds"]) + float(detail["max_lag_seconds"])))
        elif mark.seq == 1:
            raise _Broken(Name.ORDER, "the first record is no beginning")
        if mark.event_code is EventCode.LOG_STOP:
            self._ended = mark.event_code
        elif mark.event_code is EventCode.LOG_ADOPT:
            detail = parse_record(line).detail
            self._ended = mark.event_code
            self._adopters.add(str(detail.get("certificate", "")))
            cut = detail.get("bytes_cut", 0)
            if detail.get("corrupt"):
                self._find(segment, Name.CORRUPT, f"{cut} bytes that had been durable were damaged and put aside")
            else:
                self._find(segment, Name.UNCLEAN_END, f"adopted after record {detail.get('last_seq')}, {cut} bytes cut")

    def _journal(self, segment: int, journal: JournalFile) -> None:
        """What is not sealed yet: chained and numbered, not signed."""
        header = journal.header
        if (header.origin, header.segment) != (str(self.epoch.origin), segment):
            raise _Broken(Name.RELOCATED, f"the journal belongs to {header.origin} segment {header.segment}")
        if journal.scan.corrupt or (journal.scan.torn_bytes and segment != self.epoch.last_segment):
            raise _Broken(Name.ALTERED, "the journal is damaged before its end")
        self._continues(header.first_seq, header.prev, header.prev_root)
        try:
            self._frames([frame.payload for frame in journal.frames if frame.kind is Kind.CONTENT])
        except AuditRefused as error:
            raise _Broken(Name.ALTERED, str(error)) from error
        tree = MerkleTree()
        for line in journal.lines():
            tree.append(line)
        self._lines(segment, journal.lines(), header.first_seq, header.prev)
        self._prev_root = tree.root().hex()
        self._trusted = True
        self.first_ms = self.first_ms or header.started_ms
        self.last_ms = self.now_ms if self.epoch.alive else header.started_ms

    def _check_signers(self) -> None:
        """Manifests are signed by the key that `log.start` names or by one that a `log.adopt` names."""
        for segment, certificate, document in self._signers:
            expected = {self._epoch_key} if certificate.role is Role.EPOCH else self._adopters
            if document not in expected:
                self._find(segment, Name.FORKED, "signed by a key that the epoch's own records do not name")

    def _is_old(self) -> bool:
        age_ms = self.now_ms - self.last_ms
        return not -300_000 <= age_ms <= self._young_ms

    def _check_end(self, until_ms: int | None) -> None:
        last = self.epoch.last_segment
        if self._ended is not None:
            return
        if self.epoch.alive:
            self._find(last, Name.LIVE, f"its writer lives; proven up to record {self._seq - 1}")
        elif self.epoch.directory is not None and self.epoch.local:
            self._find(last, Name.UNADOPTED, "its writer is dead and nobody has finished its journal")
        elif until_ms is not None and self.last_ms >= until_ms:
            self._find(last, Name.LIVE, f"no end yet; proven up to record {self._seq - 1}")
        elif any(finding.name is Name.TRUNCATED for finding in self.findings):
            return
        elif self._is_old():
            self._find(last, Name.TRUNCATED, f"nothing after record {self._seq - 1}, and no end")
        else:
            self._find(last, Name.OPEN, f"no end yet; proven up to record {self._seq - 1} only")


def _closes(mark: Mark) -> bool:
    """An adopter closes what was under way before it says so, also behind a stop."""
    return mark.event_code is EventCode.INFERENCE_RECOVERED
