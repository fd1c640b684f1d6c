"""Files that are there whole and durable, or not there."""

import os
from pathlib import Path


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
    temporary = path.with_name(f".tmp-{os.urandom(8).hex()}")
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
