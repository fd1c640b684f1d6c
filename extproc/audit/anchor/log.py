"""The anchor's own log: one line for each head it saw and each alarm it raised, chained and hashed to an RFC 6962 root.

Each line carries the SHA-256 of the line before. The root over all lines is signed as a checkpoint under the anchor's
name, so that a copy of the log is known to be whole.
"""

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import msgspec

from extproc.audit.anchor.checkpoint import Checkpoint
from extproc.audit.log.segment import ZERO, line_digest
from extproc.audit.merkle import MerkleTree
from extproc.audit.refusal import NOT_PARSED, AuditRefused


class Statement(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind"):
    """`n` counts from 0; `prev` is `line_digest` of the line before."""

    n: int = 0
    prev: str = ZERO
    time_ms: int


class HeadSeen(Statement, frozen=True, kw_only=True, tag="head"):
    """An epoch's head, co-signed from then on. `root` is its RFC 6962 root, `last` the digest of its last record."""

    origin: str
    size: int
    root: str
    last: str
    segment: int
    sealed_ms: int
    ended: bool


class EpochExpired(Statement, frozen=True, kw_only=True, tag="expired"):
    """The epoch is gone, and its retention was over."""

    origin: str


class AlarmRaised(Statement, frozen=True, kw_only=True, tag="alarm"):
    name: str
    where: str
    what: str


class AlarmAcknowledged(Statement, frozen=True, kw_only=True, tag="acknowledged"):
    name: str
    where: str
    by: str
    reason: str


Line = HeadSeen | EpochExpired | AlarmRaised | AlarmAcknowledged
_DECODER = msgspec.json.Decoder(Line)


@dataclass(slots=True)
class LogTail:
    """Where the log ends."""

    tree: MerkleTree
    last: str

    def append(self, statement: Line) -> bytes:
        """The statement's line, without a line end."""
        line = msgspec.json.encode(msgspec.structs.replace(statement, n=self.tree.size, prev=self.last))
        self.take(line)
        return line

    def take(self, line: bytes) -> None:
        """Take note of a line that is the next."""
        self.last = line_digest(line)
        self.tree.append(line)

    def checkpoint(self, name: str) -> Checkpoint:
        return Checkpoint(name, self.tree.size, self.tree.root())


def read_log(lines: Iterable[bytes], checkpoint: Checkpoint) -> Iterator[Line]:
    """The statements that a checkpoint covers, in order; lines that came after it are passed over.

    Raises `AuditRefused` when they do not chain or do not hash to its root: none is to be believed before the end.
    """
    tail = LogTail(MerkleTree(), ZERO)
    for line in lines:
        if tail.tree.size == checkpoint.size:
            break
        try:
            statement = _DECODER.decode(line)
        except NOT_PARSED as error:
            raise AuditRefused(f"line {tail.tree.size} of the anchor's log does not parse") from error
        if (statement.n, statement.prev) != (tail.tree.size, tail.last):
            raise AuditRefused(f"line {tail.tree.size} of the anchor's log does not follow the line before it")
        tail.take(line.removesuffix(b"\n"))
        yield statement
    if tail.checkpoint(checkpoint.origin) != checkpoint:
        raise AuditRefused(f"the anchor's log has {tail.tree.size} line(s) that are not the ones that it signed")


def digest(*parts: bytes) -> bytes:
    """SHA-256 over parts whose borders count."""
    whole = hashlib.sha256()
    for part in parts:
        whole.update(len(part).to_bytes(8, "big") + part)
    return whole.digest()
