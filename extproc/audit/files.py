"""Files that are there whole and durable, or not there."""

import os
from pathlib import Path

TEMPORARY = ".tmp-"
"""How the name of a file that is not whole yet begins."""
_ZEROS = 64 * 1024


def sync_directory(directory: Path) -> None:
    """Make the directory's entries durable."""
    fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def write_all(fd: int, data: bytes) -> None:
    """Write every byte; a short write goes on where it stopped."""
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]


def _write_temporary(path: Path, data: bytes, mode: int) -> Path:
    temporary = path.with_name(f"{TEMPORARY}{os.urandom(8).hex()}")
    fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
    try:
        write_all(fd, data)
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


def replace_erased(path: Path, data: bytes, mode: int = 0o600) -> None:
    """`replace`, and the old bytes are overwritten once the new ones are durable. Raises FileNotFoundError."""
    fd = os.open(path, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
    try:
        replace(path, data, mode)
        _overwrite(fd)
    finally:
        os.close(fd)


def write_new(path: Path, data: bytes, mode: int = 0o644) -> None:
    """Create `path` durably and whole. Raises FileExistsError, and then changes nothing, when it exists."""
    temporary = _write_temporary(path, data, mode)
    try:
        os.link(temporary, path)
    finally:
        temporary.unlink()
    sync_directory(path.parent)


def replace(path: Path, data: bytes, mode: int = 0o600) -> None:
    """Put `data` at `path`, durably: a reader sees the old bytes or the new ones."""
    os.replace(_write_temporary(path, data, mode), path)
    sync_directory(path.parent)
