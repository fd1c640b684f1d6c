"""The files that a finished journal becomes, each written while the journal is read: little of it is in memory."""

import time
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from extproc.audit.files import GrowingFile, replace, sync_directory
from extproc.audit.log.frames import Kind
from extproc.audit.log.journal_file import OpenJournal, open_journal
from extproc.audit.log.segment import (
    CONTENT_LENGTH,
    CONTENT_MAGIC,
    MANIFEST_VERSION,
    Manifest,
    ObjectRef,
    key_digest,
    line_digest,
)
from extproc.audit.merkle import MerkleTree, leaf_hash
from extproc.audit.names import JOURNAL, Origin, Part, segment_file
from extproc.audit.refusal import AuditRefused
from extproc.audit.signed import Domain, Signer, sign_document

GIVE_WAY_FRAMES = 128
GIVE_WAY_SECONDS = 0.0001
"""Exchanges are recorded meanwhile: who waits for the interpreter has it in about a millisecond, not after the 5 ms for
which Python lets a busy thread go on."""
_ORDER = (Part.EVIDENCE, Part.CONTENT, Part.KEYS)
"""In which they get their names; the manifest follows them."""


@dataclass(slots=True)
class _Files:
    """One segment's files, the evidence always and the others when there is something to be in them."""

    directory: Path
    segment: int
    tree: MerkleTree
    """Of the segment."""
    epoch_tree: MerkleTree | None
    last: str
    """Digest of the newest line."""
    key_lines: list[str] = field(default_factory=list)
    _files: dict[Part, GrowingFile] = field(default_factory=dict)

    def __contains__(self, part: Part) -> bool:
        return part in self._files

    def write(self, journal: OpenJournal) -> None:
        """All of it. Raises `AuditRefused` when the journal is not whole, and OSError."""
        evidence, walk = self._file(Part.EVIDENCE), journal.walk()
        for number, frame in enumerate(walk):
            if number % GIVE_WAY_FRAMES == 0:
                time.sleep(GIVE_WAY_SECONDS)
            match frame.kind:
                case Kind.RECORD:
                    self._note(frame.payload)
                    evidence.write(frame.payload + b"\n")
                case Kind.CONTENT:
                    self._file(Part.CONTENT).write(CONTENT_LENGTH.pack(len(frame.payload)) + frame.payload)
                case Kind.KEY:
                    self.key_lines.append(key_digest(frame.payload))
                    self._file(Part.KEYS).write(frame.payload + b"\n")
        if walk.torn_bytes:
            raise AuditRefused(f"{self.directory / segment_file(self.segment, JOURNAL)} is not whole")

    def _note(self, line: bytes) -> None:
        self.last = line_digest(line)
        leaf = leaf_hash(line)
        self.tree.append_leaf(leaf)
        if self.epoch_tree is not None:
            self.epoch_tree.append_leaf(leaf)

    def _file(self, part: Part) -> GrowingFile:
        file = self._files.get(part)
        if file is None:
            file = self._files[part] = GrowingFile(self.directory / segment_file(self.segment, part))
            if part is Part.CONTENT:
                file.write(CONTENT_MAGIC)
        return file

    def ref(self, part: Part, origin: Origin) -> ObjectRef:
        """Of a file that is there, all of which is written."""
        digest = self._files[part].sha256()
        return ObjectRef(key=origin.object_key(part, self.segment), sha256=digest, size=self._files[part].size)

    def keep(self) -> None:
        """Durable, one after the other."""
        for part in _ORDER:
            if part in self._files:
                self._files[part].keep()

    def discard(self) -> None:
        """What has not got its name."""
        for file in self._files.values():
            file.discard()


def seal_segment(directory: Path, segment: int, signer: Signer, sealed_ms: int) -> Manifest:
    """Turn a finished journal file into evidence, content, key bag and, last, the manifest that vouches for them.

    Repeating it after a crash is harmless. Raises `AuditRefused` when the journal is not whole, and OSError.
    """
    path = directory / segment_file(segment, JOURNAL)
    with open_journal(path) as journal:
        if journal is None:
            raise AuditRefused(f"{path} is not whole")
        manifest = _write_files(directory, segment, journal, signer, sealed_ms)
    document = sign_document(signer.key, Domain.MANIFEST, msgspec.json.encode(manifest))
    replace(directory / segment_file(segment, Part.MANIFEST), document)
    path.unlink()
    sync_directory(directory)
    return manifest


def _write_files(directory: Path, segment: int, journal: OpenJournal, signer: Signer, sealed_ms: int) -> Manifest:
    """Everything but the manifest, durably."""
    header = journal.header
    files = _Files(directory, segment, MerkleTree(), header.epoch_tree(), header.prev)
    try:
        files.write(journal)
        manifest = _manifest(files, journal, signer, sealed_ms)
        files.keep()
    finally:
        files.discard()
    return manifest


def _manifest(files: _Files, journal: OpenJournal, signer: Signer, sealed_ms: int) -> Manifest:
    header, segment = journal.header, files.segment
    origin = Origin.parse(header.origin)
    return Manifest(
        version=MANIFEST_VERSION,
        origin=str(origin),
        segment=segment,
        first_seq=header.first_seq,
        records=files.tree.size,
        prev=header.prev,
        last=files.last,
        prev_root=header.prev_root,
        root=files.tree.root().hex(),
        location=origin.object_key(Part.MANIFEST, segment),
        evidence=files.ref(Part.EVIDENCE, origin),
        content=files.ref(Part.CONTENT, origin) if Part.CONTENT in files else None,
        content_keys=len(files.key_lines),
        key_lines=tuple(files.key_lines),
        started_ms=header.started_ms,
        sealed_ms=sealed_ms,
        certificate=signer.certificate,
        epoch_size=files.epoch_tree.size if files.epoch_tree else 0,
        epoch_root=files.epoch_tree.root().hex() if files.epoch_tree else "",
    )
