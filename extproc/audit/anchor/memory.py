"""What an anchor remembers, in one SQLite file: heads, alarms, where its own log ends, what is not given out yet.

A commit is one transaction, synced before it returns. Each row carries a digest and the ledger counts them, so that a
damaged memory is refused instead of believed. One process at a time has it.
"""

import contextlib
import fcntl
import os
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from extproc.audit.anchor.head import AlarmName, Head
from extproc.audit.anchor.log import Line, LogTail, digest
from extproc.audit.log.segment import ZERO
from extproc.audit.log.spool import make_directory
from extproc.audit.merkle import MerkleTree
from extproc.audit.refusal import NOT_PARSED, AuditRefused

_FILE = "memory.sqlite3"
GIVEN_OUT = ("log.jsonl", "log.note", "checkpoints")
"""What an anchor with a memory leaves beside it: without the memory they say that it is gone."""
_Write = Callable[[str, str, bytes], None]
"""Of a row: table, key, document."""
_COLUMNS = "(key TEXT PRIMARY KEY, document BLOB NOT NULL, digest BLOB NOT NULL, written INTEGER NOT NULL DEFAULT 0)"
_TABLES = ("heads", "alarms", "pending", "ledger")


class Alarm(msgspec.Struct, frozen=True, kw_only=True):
    """Open until a person acknowledges it."""

    name: AlarmName
    where: str
    what: str
    since_ms: int
    acknowledged_by: str = ""
    reason: str = ""

    @property
    def id(self) -> str:
        return digest(self.name.encode(), self.where.encode()).hex()[:12]


class Ledger(msgspec.Struct, frozen=True, kw_only=True):
    """Where the anchor stands. `size`, `peaks` and `last` are its own log's; `heads` and `alarms` count rows."""

    version: int = 1
    name: str
    deployment: str
    size: int = 0
    peaks: tuple[str, ...] = ()
    last: str = ZERO
    file_bytes: int = 0
    """How long `log.jsonl` is without what is pending."""
    signed_seconds: int = 0
    """POSIX time of the last commit, with which everything in it is signed: repeating it gives the same bytes."""
    heads: int = 0
    alarms: int = 0
    alive_ms: int = 0
    """When a living writer was last seen; 0 before the first look."""
    turn: int = 0


@dataclass(slots=True)
class Memory:
    """Open it with `open_memory`. `heads` by origin and `alarms` by id are what is committed."""

    directory: Path
    ledger: Ledger
    heads: dict[str, Head] = field(default_factory=dict)
    alarms: dict[str, Alarm] = field(default_factory=dict)
    pending: list[bytes] = field(default_factory=list)
    unwritten: set[str] = field(default_factory=set)
    """Origins whose head was committed and whose co-signed note is not given out yet."""
    _database: sqlite3.Connection = field(kw_only=True, repr=False)

    def tail(self) -> LogTail:
        """Of its own log, to append to."""
        tree = MerkleTree(self.ledger.size, [bytes.fromhex(peak) for peak in self.ledger.peaks])
        return LogTail(tree, self.ledger.last)

    def commit(
        self,
        ledger: Ledger,
        *,
        heads: Sequence[Head] = (),
        alarms: Sequence[Alarm] = (),
        over: Sequence[str] = (),
        statements: Sequence[Line] = (),
    ) -> None:
        """Remember all of it, durably, or nothing. `over` are ids of alarms to forget. Raises OSError.

        Nothing of it may be signed or given out before this returns.
        """
        tail = self.tail()
        lines = [tail.append(statement) for statement in statements]
        known = {**self.heads, **{head.origin: head for head in heads}}
        open_alarms = {**self.alarms, **{alarm.id: alarm for alarm in alarms}}
        for each in over:
            open_alarms.pop(each)
        ledger = msgspec.structs.replace(
            ledger,
            size=tail.tree.size,
            peaks=tuple(peak.hex() for peak in tail.tree.peaks),
            last=tail.last,
            heads=len(known),
            alarms=len(open_alarms),
        )
        with self._transaction() as write:
            for head in heads:
                write("heads", head.origin, msgspec.json.encode(head))
            for alarm in alarms:
                write("alarms", alarm.id, msgspec.json.encode(alarm))
            for each in over:
                self._database.execute("DELETE FROM alarms WHERE key = ?", (each,))
            for number, line in enumerate(lines, self.ledger.size):
                write("pending", f"{number:016d}", line)
            write("ledger", "ledger", msgspec.json.encode(ledger))
        self.heads, self.alarms, self.ledger = known, open_alarms, ledger
        self.pending += lines
        self.unwritten |= {head.origin for head in heads}

    def mark_given_out(self) -> None:
        """What was pending is in the log's file, and every note is written."""
        grown = sum(len(line) + 1 for line in self.pending)
        ledger = msgspec.structs.replace(self.ledger, file_bytes=self.ledger.file_bytes + grown)
        with self._transaction() as write:
            self._database.execute("DELETE FROM pending")
            self._database.execute("UPDATE heads SET written = 1 WHERE written = 0")
            write("ledger", "ledger", msgspec.json.encode(ledger))
        self.ledger, self.pending, self.unwritten = ledger, [], set()

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[_Write]:
        try:
            with self._database:
                self._database.execute("BEGIN IMMEDIATE")
                yield self._write
        except sqlite3.Error as error:
            raise OSError(f"the anchor's memory could not be written ({type(error).__name__})") from error

    def _write(self, table: str, key: str, document: bytes) -> None:
        row = (key, document, digest(table.encode(), key.encode(), document))
        self._database.execute(f"INSERT OR REPLACE INTO {table} (key, document, digest) VALUES (?, ?, ?)", row)  # noqa: S608 - a constant

    def load(self) -> None:
        """Read everything. Raises `AuditRefused` for what is not as it was written, and `sqlite3.Error`."""
        if self._database.execute("PRAGMA quick_check").fetchall() != [("ok",)]:
            raise AuditRefused("its file is damaged")
        for key, document in self._rows("heads"):
            self.heads[key] = msgspec.json.decode(document, type=Head)
        for key, document in self._rows("alarms"):
            self.alarms[key] = msgspec.json.decode(document, type=Alarm)
        self.pending = [document for _, document in self._rows("pending")]
        self.unwritten = {key for (key,) in self._database.execute("SELECT key FROM heads WHERE written = 0")}
        for _, document in self._rows("ledger"):
            self.ledger = msgspec.json.decode(document, type=Ledger)
        if (len(self.heads), len(self.alarms)) != (self.ledger.heads, self.ledger.alarms):
            raise AuditRefused("rows are missing")
        self.tail()

    def _rows(self, table: str) -> Iterator[tuple[str, bytes]]:
        rows = self._database.execute(f"SELECT key, document, digest FROM {table} ORDER BY key")  # noqa: S608 - a constant
        for key, document, expected in rows:
            whole = isinstance(key, str) and isinstance(document, bytes)
            if not whole or digest(table.encode(), key.encode(), document) != expected:
                raise AuditRefused(f"a row of `{table}` is not what was written")
            yield key, document


@contextlib.contextmanager
def open_memory(directory: Path, name: str, deployment: str) -> Iterator[Memory]:
    """The memory in `directory`, made when there never was one.

    Raises `AuditRefused` when another process has it, when it is damaged or gone, or belongs to another anchor.
    """
    make_directory(directory)
    lock = os.open(directory / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise AuditRefused(f"another anchor is at work in {directory}") from error
        with contextlib.closing(_connect(directory / _FILE)) as database:
            yield _opened(directory, database, Ledger(name=name, deployment=deployment))
    finally:
        os.close(lock)


def _connect(path: Path) -> sqlite3.Connection:
    os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
    return sqlite3.connect(path, isolation_level=None)


def _opened(directory: Path, database: sqlite3.Connection, ledger: Ledger) -> Memory:
    memory = Memory(directory, ledger, _database=database)
    try:
        # EXTRA also syncs the directory behind the removal of the rollback journal, which is what commits.
        database.execute("PRAGMA synchronous = EXTRA")
        if database.execute("SELECT count(*) FROM sqlite_master").fetchone() == (0,):
            for table in _TABLES:
                database.execute(f"CREATE TABLE {table} {_COLUMNS}")
        memory.load()
    except (sqlite3.Error, *NOT_PARSED, AuditRefused) as error:
        what = error if isinstance(error, AuditRefused) else type(error).__name__
        raise AuditRefused(f"the anchor's memory in {directory} is refused: {what}; restore it from a copy") from error
    # An epoch without a segment yet is remembered, and nothing is said of it: then the log is empty, and not forgotten.
    nothing = memory.ledger.size == 0 and not memory.heads
    if nothing and (left := [each for each in GIVEN_OUT if (directory / each).exists()]):
        raise AuditRefused(f"{directory} has {left[0]} and no memory of it; restore it, or begin in an empty directory")
    if (memory.ledger.name, memory.ledger.deployment) != (ledger.name, ledger.deployment):
        raise AuditRefused(f"{directory} is the memory of {memory.ledger.name} for {memory.ledger.deployment}")
    return memory
