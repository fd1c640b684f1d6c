"""What each worker says of its policy: a small file in the run directory, written anew every second while it looks.

`extproc policy status` reads them. Nobody listens on the socket of a worker that is gone, and the file of one that
hangs, or whose watch on the policy does, gets old: neither counts as having a policy in force.
"""

import asyncio
import contextlib
import os
import socket
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

import msgspec

from extproc.edge.bounded_file import read_bounded

TELL_SECONDS: Final = 1.0
FRESH_SECONDS: Final = 10.0
"""How old a worker's word may be: ten times the pace at which it is given."""


class PolicyStatus(msgspec.Struct, frozen=True):
    """`digest` is of the policy in force since `since_unix`; `problems` are those of the file as it is now.

    `looked_unix`: when the file was looked at last. Unix seconds. `controls`: names of those that fail in this worker.
    `configuration`: the digest of the one that it serves by.
    """

    digest: str
    since_unix: float
    looked_unix: float
    failing: bool = False
    problems: tuple[str, ...] = ()
    controls: tuple[str, ...] = ()
    configuration: str = ""


def status_path(run_directory: Path, index: int) -> Path:
    return run_directory / f"worker-{index}.policy.json"


def write_status(path: Path, status: PolicyStatus) -> None:
    """At once: a reader sees this or what was there before. Raises `OSError`."""
    draft = path.with_name(f"{path.name}.{os.getpid()}")
    draft.write_bytes(msgspec.json.encode(status))
    draft.replace(path)


def read_status(path: Path) -> PolicyStatus | None:
    """What the worker said last; None where it said nothing that can be read."""
    try:
        return msgspec.json.decode(read_bounded(path), type=PolicyStatus)
    except (OSError, msgspec.DecodeError):
        return None


async def tell_status(path: Path, status: Callable[[], PolicyStatus]) -> None:
    """Write the status every second until cancelled. One that cannot be written gets old, which says enough."""
    while True:
        with contextlib.suppress(OSError):
            await asyncio.to_thread(write_status, path, status())
        await asyncio.sleep(TELL_SECONDS)


def why_not_in_force(digest: str, status: PolicyStatus | None, socket_path: Path) -> str:
    """Why the worker does not serve by the file with this digest; empty where it does."""
    if status is None or not _listens(socket_path):
        return "not running"
    if not abs(time.time() - status.looked_unix) <= FRESH_SECONDS:
        return f"has not looked at the file for {time.time() - status.looked_unix:.0f} s"
    if status.failing:
        return "refuses the file as it is"
    return "" if status.digest == digest else "has not taken the file over"


def _listens(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as probe:
        probe.settimeout(1.0)
        try:
            probe.connect(str(path))
        except OSError:
            return False
        return True
