"""The file the journal's thread writes: one write and one fdatasync a group commit."""

import errno
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec

from extproc.audit.files import sync_directory, write_all
from extproc.audit.log.frames import Kind, pack_commit
from extproc.audit.log.segment import ChainState
from extproc.audit.names import JOURNAL, segment_file

_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})


class NoRoom(OSError):
    """A write found the disk full. Unlike after a failed sync, what is on disk is known."""


@dataclass(frozen=True, slots=True)
class Position:
    """With which commit, frame number and digest of the frame before the next frame is written."""

    commit: int
    number: int
    previous: bytes


FIRST = Position(0, 0, bytes(32))


class SegmentFile:
    """One journal file. After `NoRoom` from `commit`, `retry` may follow; every other error is final."""

    size: int
    empty_size: int
    """The size with nothing but the header."""

    def __init__(self, directory: Path, chain: ChainState, started_ms: int, position: Position) -> None:
        """Create the file with its header, durably. Raises FileExistsError: a segment is begun once."""
        self._start(directory / segment_file(chain.segment, JOURNAL), 0, position, os.O_CREAT | os.O_EXCL)
        try:
            self.commit([(Kind.HEADER, msgspec.json.encode(chain.header(started_ms)))])
            sync_directory(directory)
        except OSError:
            self.close()
            self._path.unlink(missing_ok=True)
            raise
        self.empty_size = self.size

    def _start(self, path: Path, size: int, position: Position, flags: int) -> None:
        self._path = path
        self._unwritten = b""
        self.position = position
        self.size = size
        self.empty_size = size
        self._fd = -1
        try:
            self._fd = os.open(path, os.O_WRONLY | os.O_CLOEXEC | flags, 0o600)
        except OSError as error:
            if error.errno in _FULL:
                raise NoRoom(error.errno, "the spool's disk is full") from error
            raise

    def commit(self, payloads: Sequence[tuple[Kind, bytes]]) -> None:
        """Durable on return. Raises OSError, and then nothing of it may be acknowledged."""
        position = self.position
        self._unwritten, number, previous = pack_commit(payloads, position.commit, position.number, position.previous)
        self.position = Position(position.commit + 1, number, previous)
        self.retry()

    def retry(self) -> None:
        """Write what the last `commit` could not, from the same offset."""
        os.lseek(self._fd, self.size, os.SEEK_SET)
        try:
            write_all(self._fd, self._unwritten)
        except OSError as error:
            if error.errno in _FULL:
                raise NoRoom(error.errno, "the spool's disk is full") from error
            raise
        os.fdatasync(self._fd)
        self.size += len(self._unwritten)
        self._unwritten = b""

    def close(self) -> None:
        """Repeating it does nothing."""
        fd, self._fd = self._fd, -1  # Linux gives the number away whatever close says
        if fd >= 0:
            os.close(fd)


class AdoptedFile(SegmentFile):
    """A dead writer's file, cut to its first `size` bytes, in which an adopter goes on."""

    def __init__(self, path: Path, size: int, position: Position) -> None:
        self._start(path, size, position, 0)
        os.ftruncate(self._fd, size)
        os.fsync(self._fd)
