"""One process a folder: what another still uses is neither overwritten nor removed."""

import fcntl
import os
from pathlib import Path


def lock_folder(directory: Path, name: str) -> int:
    """A file descriptor that holds `directory` until it is closed, or its process ends.

    `name` is the lock's file, which is made. Raises `BlockingIOError` when another process holds the folder, and
    `OSError`.
    """
    lock = os.open(directory / name, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(lock)
        raise
    return lock
