"""The lock of a run directory: one service at a time has it, and says there which process it is."""

import fcntl
import os
import signal
from pathlib import Path


def take(run_directory: Path) -> int | None:
    """Held until the process ends; None: another service has it, and the two would take each other's sockets.

    Raises `OSError`.
    """
    lock = os.open(_path(run_directory), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(lock)
        return None
    os.ftruncate(lock, 0)
    os.pwrite(lock, f"{os.getpid()}\n".encode(), 0)
    return lock


def end_holder(run_directory: Path) -> bool:
    """SIGTERM to the service that has the lock. False: none has, or it is not ours to end."""
    try:
        lock = os.open(_path(run_directory), os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        said = os.pread(lock, 32, 0).strip()
    else:
        return False  # nobody holds it: what the file says is of a process that has ended
    finally:
        os.close(lock)
    try:
        os.kill(int(said), signal.SIGTERM)
    except (ValueError, OSError):
        return False
    return True


def _path(run_directory: Path) -> Path:
    return run_directory / "lock"
