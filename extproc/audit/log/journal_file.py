"""A segment's journal as it lies in the spool: read frame by frame, or whole by those who show what is in it."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import msgspec

from extproc.audit.log.frames import Frame, FrameWalk, Kind, Scan
from extproc.audit.log.segment import Header
from extproc.audit.refusal import NOT_PARSED, AuditRefused


@dataclass(frozen=True, slots=True)
class OpenJournal:
    """A journal file whose header is whole. What is appended to it after it was opened is not looked at."""

    header: Header
    first: Frame
    """The header's frame."""
    file: BinaryIO
    size: int

    def walk(self) -> FrameWalk:
        """From its beginning, behind the header. One walk at a time."""
        walk = FrameWalk(self.file, self.size)
        next(iter(walk))
        return walk

    def first_line(self) -> bytes:
        """The first evidence line; empty when there is none."""
        return next((frame.payload for frame in self.walk() if frame.kind is Kind.RECORD), b"")


@contextmanager
def open_journal(path: Path) -> Iterator[OpenJournal | None]:
    """None when not even the header is whole: nothing in it was ever acknowledged.

    Raises FileNotFoundError, and `AuditRefused` for a header that is whole and does not parse.
    """
    with path.open("rb", buffering=0) as file:
        yield _begin(path, file)


def _begin(path: Path, file: BinaryIO) -> OpenJournal | None:
    size = file.seek(0, 2)
    first = next(iter(FrameWalk(file, size)), None)
    if first is None or first.kind is not Kind.HEADER:
        return None
    try:
        return OpenJournal(msgspec.json.decode(first.payload, type=Header), first, file, size)
    except NOT_PARSED as error:
        raise AuditRefused(f"{path} has a header that does not parse") from error


@dataclass(frozen=True, slots=True)
class JournalFile:
    """A journal file as found, all of it in memory: its header and the chained frames."""

    header: Header
    scan: Scan

    @property
    def frames(self) -> tuple[Frame, ...]:
        return self.scan.frames[1:]

    def lines(self) -> list[bytes]:
        """The evidence lines."""
        return [frame.payload for frame in self.frames if frame.kind is Kind.RECORD]


@dataclass(frozen=True, slots=True)
class JournalLines:
    """When a journal was begun, and its evidence lines; nothing of its transcripts, which are most of it."""

    started_ms: int
    lines: tuple[bytes, ...]


def read_lines(path: Path) -> JournalLines | None:
    """As `open_journal`."""
    with open_journal(path) as journal:
        if journal is None:
            return None
        lines = tuple(frame.payload for frame in journal.walk() if frame.kind is Kind.RECORD)
        return JournalLines(journal.header.started_ms, lines)


def read_journal(path: Path) -> JournalFile | None:
    """As `open_journal`."""
    with open_journal(path) as journal:
        if journal is None:
            return None
        walk = journal.walk()
        frames = (journal.first, *walk)
        return JournalFile(journal.header, Scan(frames, walk.good_bytes, walk.torn_bytes, walk.corrupt))
