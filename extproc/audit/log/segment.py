"""One segment: where the chains stand in its journal, and the objects and the signed manifest that it becomes."""

import hashlib
import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import msgspec

from extproc.audit.merkle import MerkleTree, leaf_hash
from extproc.audit.names import Origin
from extproc.audit.records.line import line_head
from extproc.audit.refusal import AuditRefused
from extproc.core.record import ENDS_EXCHANGE, OPENS_EXCHANGE, EventCode

ZERO = "0" * 64
"""Before the first record, and before the first segment's root."""
MANIFEST_VERSION = 2
"""The newest form of a manifest that this program writes and judges."""
CONTENT_MAGIC = b"extproc content v1\n"
CONTENT_LENGTH = struct.Struct(">I")


class OpenExchange(msgspec.Struct, kw_only=True):
    """An exchange that has begun and not ended: what an adopter needs to close it."""

    line: str = ""
    """Its first evidence line, as stored; empty while only content has come."""
    content_digest: str = ""
    content_frames: int = 0


class Header(msgspec.Struct, frozen=True, kw_only=True):
    """Where the chains stand when a segment begins."""

    origin: str
    segment: int
    first_seq: int
    prev: str
    prev_root: str
    started_ms: int
    open: dict[str, OpenExchange]
    epoch_peaks: tuple[str, ...] | None = None
    """Peaks of the tree of the epoch's records before this segment, in hex; None: written before there was one."""

    def epoch_tree(self) -> MerkleTree | None:
        """The tree of the epoch's records before this segment, or None when it is not known. Raises `AuditRefused`."""
        if self.epoch_peaks is None:
            return MerkleTree() if self.first_seq == 1 else None
        try:
            return MerkleTree(self.first_seq - 1, [bytes.fromhex(peak) for peak in self.epoch_peaks])
        except ValueError as error:
            raise AuditRefused("a tree of records has peaks that are no hashes") from error


class ObjectRef(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    key: str
    sha256: str
    size: int


class Manifest(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What is signed of a segment. `prev` is the SHA-256 of the record before its first, `last` of its last one.

    Version 2 adds fields. A reader takes every version up to its own; what an older one lacks has its default, and is
    not checked. Fields that a reader does not know it passes over: the signature covers the stored bytes, not what was
    understood. A manifest of a later version than its own it does not judge, and says so. The readers from before
    version 2 refuse a manifest with any field that they do not know, as one that does not hold.
    """

    version: int
    origin: str
    segment: int
    first_seq: int
    records: int
    prev: str
    last: str
    prev_root: str
    root: str
    location: str
    """The manifest's own object key."""
    evidence: ObjectRef
    content: ObjectRef | None
    content_keys: int
    """How many wrapped keys the segment's key bag was given."""
    key_lines: tuple[str, ...] = ()
    """`key_digest` of each line of the key bag. Lines may be taken out of the bag; none can be changed or added."""
    started_ms: int
    sealed_ms: int
    certificate: str
    epoch_size: int = 0
    """The number of records in the epoch up to the end of this segment; 0 where there is no root."""
    epoch_root: str = ""
    """RFC 6962 root over the lines of all of them, in hex; empty in an epoch that was begun without it."""


def line_digest(line: bytes) -> str:
    """What the next line carries as `prev`."""
    return hashlib.sha256(line).hexdigest()


def key_digest(line: bytes) -> str:
    """What a manifest keeps of a key bag's line (without its newline): half a SHA-256, in hex. Nothing shorter resists
    a second line with the same digest."""
    return hashlib.sha256(line).hexdigest()[:32]


@dataclass(slots=True)
class ChainState:
    """Where an epoch's chain and its exchanges stand. An adopter rebuilds it from a header and what follows."""

    origin: Origin
    segment: int
    next_seq: int
    prev: str
    prev_root: str
    open: dict[str, OpenExchange]
    tree: MerkleTree
    """Of the segment."""
    epoch_tree: MerkleTree | None
    """Of the epoch; None in one that a version without it began."""

    @classmethod
    def begin(cls, header: Header) -> "ChainState":
        origin = Origin.parse(header.origin)
        return cls(
            origin,
            header.segment,
            header.first_seq,
            header.prev,
            header.prev_root,
            dict(header.open),
            MerkleTree(),
            header.epoch_tree(),
        )

    def header(self, started_ms: int) -> Header:
        return Header(
            origin=str(self.origin),
            segment=self.segment,
            first_seq=self.next_seq,
            prev=self.prev,
            prev_root=self.prev_root,
            started_ms=started_ms,
            open=self.open,
            epoch_peaks=tuple(peak.hex() for peak in self.epoch_tree.peaks) if self.epoch_tree else None,
        )

    def add_record(self, event_code: EventCode, exchange_id: str, body: bytes) -> bytes:
        """The next evidence line: the record's JSON behind its place in the chain.

        The line that ends an exchange binds its transcript: digest and number of the ciphertext frames.
        """
        content = self.open.get(exchange_id) if event_code in ENDS_EXCHANGE else None
        digest, frames = (content.content_digest, content.content_frames) if content else ("", 0)
        head = line_head(str(self.origin), self.next_seq, self.prev, digest, frames)
        line = head + body[1:]
        self.follow(event_code, exchange_id, line)
        return line

    def follow(self, event_code: EventCode, exchange_id: str, line: bytes) -> None:
        """Take note of a line that is the next."""
        self.next_seq += 1
        self.prev = line_digest(line)
        leaf = leaf_hash(line)
        self.tree.append_leaf(leaf)
        if self.epoch_tree is not None:
            self.epoch_tree.append_leaf(leaf)
        if exchange_id and event_code in OPENS_EXCHANGE:
            exchange = self.open.setdefault(exchange_id, OpenExchange())
            exchange.line = exchange.line or line.decode()
        elif event_code in ENDS_EXCHANGE:
            self.open.pop(exchange_id, None)

    def note_content(self, exchange_id: str, digest: str, frames: int) -> None:
        exchange = self.open.setdefault(exchange_id, OpenExchange())
        exchange.content_digest, exchange.content_frames = digest, frames

    def next_segment(self) -> None:
        self.prev_root = self.tree.root().hex()
        self.tree = MerkleTree()
        self.segment += 1


def object_ref(key: str, data: bytes) -> ObjectRef:
    return ObjectRef(key=key, sha256=hashlib.sha256(data).hexdigest(), size=len(data))


def pack_content(payloads: list[bytes]) -> bytes:
    """A content object."""
    return CONTENT_MAGIC + b"".join(CONTENT_LENGTH.pack(len(payload)) + payload for payload in payloads)


def unpack_content(data: bytes) -> list[bytes]:
    """The content frames of a content object. Raises `AuditRefused`."""
    return [bytes(payload) for payload in split_content([data])]


def split_content(pieces: Iterable[bytes]) -> Iterator[memoryview]:
    """The content frames of a content object that comes in pieces. In memory: a frame and a piece.

    A view is good until the next is asked for. Raises `AuditRefused`.
    """
    held, size, wanted, begun = [], 0, len(CONTENT_MAGIC), False
    for piece in pieces:
        held.append(piece)
        size += len(piece)
        if size < wanted:
            continue
        data, offset = b"".join(held), 0
        if not begun:
            if not data.startswith(CONTENT_MAGIC):
                break
            offset, begun = len(CONTENT_MAGIC), True
        view = memoryview(data)
        wanted = CONTENT_LENGTH.size
        while offset + CONTENT_LENGTH.size <= size:
            (length,) = CONTENT_LENGTH.unpack_from(data, offset)
            if offset + CONTENT_LENGTH.size + length > size:
                wanted = CONTENT_LENGTH.size + length
                break
            offset += CONTENT_LENGTH.size
            yield view[offset : offset + length]
            offset += length
        held, size = [data[offset:]], size - offset
    if not begun:
        raise AuditRefused("a content object does not begin like one")
    if size:
        raise AuditRefused("a content object ends within a frame")
