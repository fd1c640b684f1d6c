"""Files that are there whole and durable, or not there."""

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

TEMPORARY = ".tmp-"
"""How the name of a file that is not whole yet begins."""
PIECE_BYTES = 256 * 1024
"""What is in memory of a large file at a time. No file is mapped: who cuts it kills the process that maps it."""
UNSYNCED_BYTES = 4 * 1024 * 1024
"""What a growing file holds that is not on the disk yet. A file system may make others that sync wait for all of it."""
_ZEROS = 64 * 1024
Body = bytes | Path
"""Bytes, or the file that holds them."""


def pieces_of_file(file: BinaryIO) -> Iterator[bytes]:
    """From where it stands to its end, in pieces of `PIECE_BYTES`."""
    while piece := file.read(PIECE_BYTES):
        yield piece


def pieces_of(body: Body) -> Iterator[bytes]:
    """Raises OSError."""
    if isinstance(body, bytes):
        yield body
        return
    with body.open("rb", buffering=0) as file:
        yield from pieces_of_file(file)


def sha256_of(body: Body) -> bytes:
    """Raises OSError."""
    digest = hashlib.sha256()
    for piece in pieces_of(body):
        digest.update(piece)
    return digest.digest()


def sync_directory(directory: Path) -> None:
    """Make the directory's entries durable."""
    fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def write_all(fd: int, data: bytes | bytearray) -> None:
    """Write every byte; a short write goes on where it stopped."""
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]


def _create_temporary(path: Path, mode: int) -> tuple[Path, int]:
    """Beside `path`; its name, and its descriptor."""
    temporary = path.with_name(f"{TEMPORARY}{os.urandom(8).hex()}")
    return temporary, os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)


def _write_temporary(path: Path, body: Body, mode: int) -> Path:
    temporary, fd = _create_temporary(path, mode)
    try:
        for piece in pieces_of(body):
            write_all(fd, piece)
        os.fsync(fd)
    except OSError:
        temporary.unlink(missing_ok=True)
        raise
    finally:
        os.close(fd)
    return temporary


def _overwrite(fd: int) -> None:
    """Zeros over every byte that a file holds, on the disk."""
    size = os.fstat(fd).st_size
    os.lseek(fd, 0, os.SEEK_SET)
    for start in range(0, size, _ZEROS):
        write_all(fd, bytes(min(_ZEROS, size - start)))
    os.fsync(fd)


def erase(path: Path) -> None:
    """Take a file away durably, its bytes overwritten first. A file that is not there is erased already.

    A disk or a file system that writes elsewhere than asked (flash, copy on write, snapshots) may keep old bytes.
    """
    try:
        fd = os.open(path, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
    except FileNotFoundError:
        return
    try:
        _overwrite(fd)
        path.unlink(missing_ok=True)
    finally:
        os.close(fd)
    sync_directory(path.parent)


def erase_name(path: Path) -> None:
    """Take one name of a file away; the bytes are overwritten when no other name is left. Raises OSError.

    In this order: a name that its maker gives the file meanwhile keeps the bytes, and a file without a name gets none.
    """
    try:
        fd = os.open(path, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
    except FileNotFoundError:
        return
    try:
        path.unlink(missing_ok=True)
        if os.fstat(fd).st_nlink == 0:
            _overwrite(fd)
    finally:
        os.close(fd)
    sync_directory(path.parent)


def replace_erased(path: Path, data: bytes, mode: int = 0o600) -> None:
    """`replace`, and the old bytes are overwritten once the new ones are durable. Raises FileNotFoundError."""
    fd = os.open(path, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
    try:
        replace(path, data, mode)
        _overwrite(fd)
    finally:
        os.close(fd)


def write_new(path: Path, body: Body, mode: int = 0o644) -> None:
    """Create `path` durably and whole. Raises FileExistsError, and then changes nothing, when it exists."""
    temporary = _write_temporary(path, body, mode)
    try:
        os.link(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
    sync_directory(path.parent)


def replace(path: Path, body: Body, mode: int = 0o600) -> None:
    """Put `body` at `path`, durably: a reader sees the old bytes or the new ones."""
    os.replace(_write_temporary(path, body, mode), path)
    sync_directory(path.parent)


class GrowingFile:
    """A file that is written piece by piece under another name, and takes `path`'s once it is whole.

    Little of it is in memory, and little of it is not on the disk yet. Every method raises OSError.
    """

    def __init__(self, path: Path, mode: int = 0o600) -> None:
        self.size = 0
        """Up to the newest `sha256`."""
        self._path = path
        self._kept = False
        self._temporary, self._fd = _create_temporary(path, mode)
        self._digest = hashlib.sha256()
        self._held = bytearray()
        self._unsynced = 0

    def write(self, data: bytes) -> None:
        self._held += data
        if len(self._held) >= PIECE_BYTES:
            self._flush()

    def sha256(self) -> str:
        """Of all that was written, in hex."""
        self._flush()
        return self._digest.hexdigest()

    def keep(self) -> None:
        """Durable under its name; a reader sees what was there before, or all of this."""
        self._flush()
        os.fsync(self._fd)
        self._close()
        os.replace(self._temporary, self._path)
        self._kept = True
        sync_directory(self._path.parent)

    def discard(self) -> None:
        """Take it away unless it was kept."""
        self._close()
        if not self._kept:
            self._temporary.unlink(missing_ok=True)

    def _flush(self) -> None:
        held, self._held = self._held, bytearray()
        self._digest.update(held)
        write_all(self._fd, held)
        self.size += len(held)
        self._unsynced += len(held)
        if self._unsynced >= UNSYNCED_BYTES:
            os.fdatasync(self._fd)
            self._unsynced = 0

    def _close(self) -> None:
        fd, self._fd = self._fd, -1
        if fd >= 0:
            os.close(fd)
