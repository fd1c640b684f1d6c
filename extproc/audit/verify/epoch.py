"""Proof of one epoch: its segments in order, each signed, whole and in its place, from `log.start` to its end.

Remembers of what went by: the last record's digest and number, the tree's peaks, a digest of each exchange under way.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from extproc.audit.log.frames import Kind
from extproc.audit.log.journal_file import OpenJournal
from extproc.audit.log.segment import ZERO, Manifest, line_digest
from extproc.audit.log.spool import GIVEN_UP
from extproc.audit.merkle import MerkleTree, leaf_hash, merkle_root
from extproc.audit.names import Origin, Part
from extproc.audit.reading.reader import time_text
from extproc.audit.reading.span import Span
from extproc.audit.records.line import parse_mark, parse_record
from extproc.audit.refusal import AuditRefused
from extproc.audit.signed import UNNAMED_KEY, Role, VerifyKey
from extproc.audit.stores.store import StoreFailed
from extproc.audit.verify.epoch_account import EpochAccount
from extproc.audit.verify.findings import Broken, Finding, Name
from extproc.audit.verify.proven_time import HoleFinder
from extproc.audit.verify.range_begin import RangeBegin
from extproc.audit.verify.remembered import RememberedHead
from extproc.audit.verify.segment import (
    Signed,
    lines_of,
    verify_content,
    verify_evidence,
    verify_keys,
    verify_manifest,
)
from extproc.audit.verify.transcripts import Transcripts
from extproc.audit.verify.walk import Copies, LocalEpoch, Place, Sealed
from extproc.core.record import EventCode

_UNENDED = frozenset({Name.TRUNCATED, Name.CORRUPT, Name.OPEN, Name.UNADOPTED})
"""Behind what is proven more may have been, for longer than anybody knows."""
_MAX_UNREADABLE = 3
"""Segments of one epoch; then the store is down, and asking on is of no use."""


@dataclass(slots=True)
class EpochProof:
    """Walks one epoch. `findings` says what does not hold; `records` counts what is proven."""

    copies: Copies
    origin: Origin
    local: LocalEpoch | None
    key: VerifyKey
    now_ms: int
    asked: Span
    head: RememberedHead | None = None
    findings: list[Finding] = field(default_factory=list)
    absent: list[tuple[str, int, int]] = field(default_factory=list)
    """Exchanges whose content key is gone, with their segment and when that was sealed."""
    account: EpochAccount = field(default_factory=EpochAccount)
    """What its records say of it."""
    records: int = 0
    segments: int = 0
    first_ms: int = 0
    last_ms: int = 0
    holes: HoleFinder = field(default_factory=HoleFinder)
    """Between `first_ms` and `last_ms`, and behind it, where nothing is proven."""
    open_ms: int = 0
    """What is proven of an epoch that is OPEN goes up to then; else 0."""
    over: bool = False
    """Proven up to the end of the requested range; what follows was not looked at."""
    _covered_ms: int = 0
    """What was written before then is in the segments that went by and hold. A segment is sealed some time after the
    next one was begun, so that its `sealed_ms` does not say it."""
    _written_ms: int = 0
    """When the last record was written."""
    _first: int = 1
    """The first segment that is asked for."""
    _next: int = 1
    _seq: int = 1
    _prev: str = ZERO
    _prev_root: str = ZERO
    _trusted: bool = True
    """Whether the three fields above are known; else the next segment is taken at its own word."""
    _claims: Signed | None = None
    """What the segment at hand says of itself, once its signature holds."""
    _tree: MerkleTree | None = field(default_factory=MerkleTree)
    """Of all records so far; None behind a break, where not all of them are known."""
    _transcripts: Transcripts = field(default_factory=Transcripts)
    _version: int = 0
    """Of the newest manifest: no later one is of an older form."""
    _broken: int = 0
    """The newest segment that does not hold."""
    _silent: bool = False
    """No record was read behind it: the epoch's end may have been in it."""
    _unreadable: int = 0

    def run(self, places: Iterator[Place]) -> Iterator[Place]:
        """Check every segment that is asked for, then the end; each place comes back once it is done with.

        Raises `StoreFailed` when the store fails again and again.
        """
        self._first = self._next = self._first_segment()
        if self._first > 1:
            self._take_at_its_word()
        passed: Place | None = None
        for place, last in _with_last(places):
            if place.segment >= self._first:
                passed = None
                self._judge(place, last=last)
            elif place.segment:
                passed = place
                self._learn_start(place)
            yield place
        if passed is not None:  # all of it lies before the range; whether it ended there is told by its last segment
            self._next = passed.segment
            self._judge(passed, last=True)
        for segment in self.account.strange_signers(self._broken):
            self._find(segment, Name.FORKED, "signed by a key that the epoch's own records do not name")
        self._check_end()
        self._check_head()
        self.holes.finish()

    @property
    def before(self) -> bool:
        """It ended before the requested range."""
        return self.account.ended and self.asked.from_ms is not None and self.last_ms < self.asked.from_ms

    def _first_segment(self) -> int:
        from_ms = self.asked.from_ms
        return 1 if from_ms is None else RangeBegin(self.copies, self.key, self.origin, from_ms).first_segment()

    def _learn_start(self, place: Place) -> None:
        """Of an epoch that began before the range: whose key its `log.start` names."""
        if place.segment != 1:
            return
        try:
            with self.copies.open(place, self.local) as sealed:
                if isinstance(sealed, Sealed):
                    signed = verify_manifest(self.key, self.origin, 1, sealed.manifest)
                    evidence, _ = verify_evidence(signed.manifest, sealed.read)
                    self.account.note(EventCode.LOG_START, next(lines_of(evidence), b""))
        except (Broken, AuditRefused):
            return  # it is outside of the range; the certificates are then held against each other

    def _find(self, segment: int, name: Name, what: str, part: Part | None = None) -> None:
        key = self.origin.object_key(part, segment) if part else ""
        self.findings.append(Finding(name, f"{self.origin} segment {segment}", what, key=key))
        if name in _UNENDED:
            self.holes.begin(self._known_ms())
        if name is Name.OPEN:
            self.open_ms = self._known_ms()

    def _known_ms(self) -> int:
        """The last moment that is proven so far; the epoch's name has the second in which it began."""
        return self._covered_ms or self.origin.started_ms - 1

    def _judge(self, place: Place, *, last: bool) -> None:
        if self.over:
            return
        self._claims = None
        if place.segment > self._next:
            more = f", and so is all up to segment {place.segment - 1}" if place.segment - 1 > self._next else ""
            self._find(self._next, Name.GAP, "the segment is missing" + more)
            self._break(place.segment - 1)
        self._next = place.segment + 1
        try:
            self._segment(place, last=last)
        except Broken as broken:
            self._find(place.segment, broken.name, broken.what, broken.part)
            self._break(place.segment)
        except AuditRefused as error:
            self._find(place.segment, Name.ALTERED, str(error))
            self._break(place.segment)
        except (StoreFailed, OSError) as error:
            self._unreadable += 1
            if self._unreadable >= _MAX_UNREADABLE:
                raise
            self._find(place.segment, Name.UNREADABLE, str(error))
            self._break(place.segment)
        self.over = self._reaches_end_of_range()

    def _break(self, segment: int) -> None:
        """One report a break: what follows is held against what the broken segment's signed manifest says, or else is
        taken at its own word."""
        self._broken, self._silent = segment, True
        self.holes.begin(self._known_ms())
        self._take_at_its_word()
        if self._claims is not None:
            manifest = self._claims.manifest
            self._seq, self._prev = manifest.first_seq + manifest.records, manifest.last
            self._prev_root, self._trusted = manifest.root, True

    def _take_at_its_word(self) -> None:
        self._trusted = False
        self._tree = None
        self._transcripts.tear()

    def _reaches_end_of_range(self) -> bool:
        """An adopter's manifests are named only in the epoch's last record, so with them it goes on."""
        if self.asked.to_ms is None or self._claims is None or self._claims.certificate.role is not Role.EPOCH:
            return False
        return max(self._covered_ms, self._claims.manifest.started_ms) >= self.asked.to_ms

    def _segment(self, place: Place, *, last: bool) -> None:
        is_local = self.local is not None and (self.local.alive or bool(self.local.segments))
        with self.copies.open(place, self.local) as found:
            match found:
                case Sealed() as sealed:
                    self._sealed(place, sealed)
                case OpenJournal() as journal:
                    self._journal(place.segment, journal, last=last)
                case None if last and is_local:
                    return  # a file just begun, without a header yet
                case None if not last or is_local:
                    raise Broken(Name.GAP, "the segment's manifest is missing", Part.MANIFEST)
                case None:
                    # Evidence without a manifest at the very end: on its way to the store, or its end was taken away.
                    name = Name.TRUNCATED if self._is_old() else Name.OPEN
                    raise Broken(name, "the last segment has no manifest", Part.MANIFEST)
        self.segments += 1

    def _sealed(self, place: Place, sealed: Sealed) -> None:
        self._claims = signed = verify_manifest(self.key, self.origin, place.segment, sealed.manifest)
        manifest = signed.manifest
        if manifest.version < self._version:
            raise Broken(Name.ALTERED, "the manifest is of an older form than those before it")
        self._version = manifest.version
        self.account.take_signer(signed.certificate.role, manifest.certificate, place.segment)
        self._compare_head(manifest.first_seq + manifest.records - 1, manifest.last)
        self._follow_on(place.segment, manifest.first_seq, manifest.prev, manifest.prev_root)
        evidence, leaves = verify_evidence(manifest, sealed.read)
        verify_content(manifest, sealed.content, self._transcripts.follow, listed=Part.CONTENT in place.stored)
        self._lines(place.segment, lines_of(evidence), leaves, manifest.prev)
        if self._prev != manifest.last:
            raise Broken(Name.ALTERED, "the manifest names another last record")
        self._check_root(manifest)
        self.account.believe()
        self._prev_root = manifest.root
        self._cover(manifest.started_ms)
        self.last_ms = manifest.sealed_ms
        self.first_ms = self.first_ms or manifest.started_ms
        self._keys(place, sealed, manifest)

    def _cover(self, started_ms: int) -> None:
        """A segment holds that was begun then: what came before is in those before it."""
        self.holes.end(started_ms)
        self._covered_ms = max(started_ms, self._written_ms)

    def _follow_on(self, segment: int, first_seq: int, prev: str, prev_root: str) -> None:
        """Hold the segment against the one before it, then go by its own word."""
        if self._trusted and first_seq != self._seq:
            self._find(segment, Name.GAP, f"begins with record {first_seq} where {self._seq} is next")
            self.holes.begin(self._known_ms())
            self._take_at_its_word()
        elif self._trusted and (prev, prev_root) != (self._prev, self._prev_root):
            self._find(segment, Name.FORKED, "follows another history than the segments before it")
            self.holes.begin(self._known_ms())
            self._take_at_its_word()
        self._trusted, self._seq = True, first_seq

    def _check_root(self, manifest: Manifest) -> None:
        """What was signed of the epoch as a whole is what its records hash to."""
        if self._tree is None or not manifest.epoch_root:
            return
        if (manifest.epoch_size, manifest.epoch_root) != (self._tree.size, self._tree.root().hex()):
            raise Broken(Name.FORKED, "the epoch's records do not hash to the signed root")

    def _keys(self, place: Place, sealed: Sealed, manifest: Manifest) -> None:
        """The chain does not depend on key bags, so one that does not hold breaks nothing behind it."""
        opened = self._transcripts.opened
        try:
            bag = verify_keys(manifest, sealed.read, listed=Part.KEYS in place.stored)
        except Broken as broken:
            self._find(place.segment, broken.name, broken.what, broken.part)
            return
        if not bag.streams <= set(opened):
            self._find(
                place.segment, Name.ALTERED, "the key bag has a key of no transcript that begins here", Part.KEYS
            )
        elif bag.absent:
            gone = (exchange for exchange, stream in opened if (exchange, stream) not in bag.streams)
            self.absent += [(exchange, place.segment, manifest.sealed_ms) for exchange in gone]

    def _lines(self, segment: int, lines: Iterable[bytes], leaves: list[bytes], prev: str) -> None:
        """Each record is numbered one higher than the last and carries its digest."""
        seq, origin, tree = self._seq, str(self.origin), self._tree
        self.account.begin_segment()
        line = b""
        head_size = self.head.size if self.head is not None else 0
        for line, leaf in zip(lines, leaves, strict=True):
            try:
                mark = parse_mark(line)
            except AuditRefused as error:
                raise Broken(Name.ALTERED, "a record does not parse") from error
            if mark.seq != seq or mark.prev != prev or mark.origin != origin:
                raise Broken(Name.ORDER, f"record {mark.seq} does not follow record {seq - 1}")
            if mark.content_frames:
                self._transcripts.close(mark)
            if (told := self.account.take(mark, line)) is not None:
                self._find(segment, *told)
            prev = line_digest(line)
            if seq == head_size:
                self._compare_head(seq, prev)
            if tree is not None:
                tree.append_leaf(leaf)
            seq += 1
        self.records += len(leaves)
        self._silent = self._silent and not leaves
        self._seq, self._prev, self._written_ms = seq, prev, _time_of(line)

    def _journal(self, segment: int, journal: OpenJournal, *, last: bool) -> None:
        """What is not sealed yet: chained and numbered, not signed."""
        header = journal.header
        if (header.origin, header.segment) != (str(self.origin), segment):
            raise Broken(Name.RELOCATED, f"the journal belongs to {header.origin} segment {header.segment}")
        walk = journal.walk()
        lines = [frame.payload for frame in walk if frame.kind is Kind.RECORD]
        if walk.corrupt or (walk.torn_bytes and not last):
            raise Broken(Name.ALTERED, "the journal is damaged before its end")
        self._follow_on(segment, header.first_seq, header.prev, header.prev_root)
        self._transcripts.follow(memoryview(frame.payload) for frame in journal.walk() if frame.kind is Kind.CONTENT)
        leaves = [leaf_hash(line) for line in lines]
        self.account.signing = None
        self._lines(segment, lines, leaves, header.prev)
        if segment == 1 and lines:
            self.account.check_beginning(self.key, self.origin)
        self._prev_root = merkle_root(leaves).hex()
        self._cover(header.started_ms)
        self.first_ms = self.first_ms or header.started_ms
        self.last_ms = self.now_ms if self.local is not None and self.local.alive else header.started_ms

    def _is_old(self) -> bool:
        age_ms = self.now_ms - self.last_ms
        return not -300_000 <= age_ms <= self.account.young_ms

    def _check_end(self) -> None:
        last = self._next - 1
        if self.account.ended or self.over or self._silent or not last:
            return
        if self.local is not None and self.local.alive:
            self._find(last, Name.LIVE, f"its writer lives; proven up to record {self._seq - 1}")
        elif self.local is not None and self.local.segments and (self.local.directory / GIVEN_UP).exists():
            self._find(last, Name.CORRUPT, f"nobody could adopt it; its journal stays in {self.local.directory}")
        elif self.local is not None and self.local.segments:
            self._find(last, Name.UNADOPTED, "its writer is dead and nobody has finished its journal")
        elif self._is_old():
            self._find(last, Name.TRUNCATED, f"nothing after record {self._seq - 1}, and no end{self._until()}")
        else:
            what = f"no end yet; proven up to record {self._seq - 1} only{self._until()}"
            self._find(last, Name.OPEN, what)

    def _until(self) -> str:
        return f", at {time_text(self._covered_ms)}" if self._covered_ms else ""

    def _compare_head(self, seq: int, digest: str) -> None:
        """Whoever remembers the epoch's head remembers this record, once it is as long."""
        if self.head is not None and seq == self.head.size:
            if digest != self.head.last:
                self._find(self._next - 1, Name.FORKED, f"record {seq} is not the one that is remembered")
            self.head = None

    def _check_head(self) -> None:
        """The head was not met on the way: it lies outside of the range, in what is broken, or behind the end."""
        if self.head is None:
            return
        head = self.head
        if self.head.segment < self._first or self.over:
            try:
                document = self.copies.manifest_of(self.origin, head.segment)
                if document is not None:
                    manifest = verify_manifest(self.key, self.origin, head.segment, document).manifest
                    self._next = head.segment + 1
                    self._compare_head(manifest.first_seq + manifest.records - 1, manifest.last)
                    return
            except Broken as broken:
                self._find(head.segment, broken.name, broken.what, broken.part)
                return
        elif any(found.what == UNNAMED_KEY for found in self.findings):
            return  # it may be in what those keys signed, which is not proven, but there
        elif self._seq > head.size:
            return
        self.findings = [found for found in self.findings if found.name not in (Name.TRUNCATED, Name.OPEN)]
        self.open_ms = 0
        what = f"{head.size} records are remembered; here are {self._seq - 1}"
        self._find(head.segment, Name.TRUNCATED, what)


def _time_of(line: bytes) -> int:
    """Of a record, Unix milliseconds; 0 when it cannot be told."""
    try:
        return parse_record(line).time_ms
    except AuditRefused:
        return 0


def _with_last(places: Iterator[Place]) -> Iterator[tuple[Place, bool]]:
    """Each with whether it is the last."""
    before: Place | None = None
    for place in places:
        if before is not None:
            yield before, False
        before = place
    if before is not None:
        yield before, True
