"""The spool's folders: `epochs/<writer>/<epoch>/`, each held by its writer's flock for as long as the process lives."""

import fcntl
import os
import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from extproc.audit.files import sync_directory
from extproc.audit.names import JOURNAL, Origin, Part, segment_file
from extproc.audit.refusal import AuditRefused

LOCK = "lock"
RESERVE = "reserve"
REGISTRY = "registry.json"
REGISTERED = "registry.shipped"
"""The store holds the registry entry."""
DIVERGENT = "divergent.json"
"""Names the object whose key holds other bytes in the store. While it is here the epoch is not shipped, and no new
exchange is taken: a person looks, and moves the epoch's folder out of the spool."""
GIVEN_UP = "given-up"
"""The epoch could not be adopted, and that is recorded."""
_UNFINISHED = ".tmp-"
_UNBORN_SECONDS = 600.0
"""A directory without a lock: younger, its maker may be about to create one; older, somebody died over it."""


def make_directory(path: Path) -> None:
    """Create a directory with its parents, durably."""
    if not path.is_dir():
        make_directory(path.parent)
        path.mkdir(mode=0o700, exist_ok=True)
        sync_directory(path.parent)


def new_epoch(now_seconds: float) -> str:
    """A name for this process's lifetime: UTC second and 64 random bits."""
    return time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(now_seconds)) + "-" + os.urandom(8).hex()


def epoch_path(spool: Path, origin: Origin) -> Path:
    return spool / "epochs" / origin.writer / origin.epoch


@dataclass(frozen=True, slots=True)
class EpochLock:
    """The flock of one epoch directory. Held: its writer lives, or an adopter is at work."""

    fd: int

    @classmethod
    def take(cls, directory: Path) -> "EpochLock | None":
        """None when someone holds it. Raises FileNotFoundError when the epoch is gone."""
        fd = os.open(directory / LOCK, os.O_RDWR | os.O_CLOEXEC)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(fd)
            return None
        if not (directory / LOCK).exists():  # the epoch was removed between open and flock
            os.close(fd)
            raise FileNotFoundError(directory)
        return cls(fd)

    def release(self) -> None:
        os.close(self.fd)


def is_alive(directory: Path) -> bool:
    """Whether a writer or adopter holds the epoch now. Disturbs no writer: it only asks for a shared lock."""
    try:
        fd = os.open(directory / LOCK, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    else:
        return False
    finally:
        os.close(fd)


@dataclass(slots=True)
class NewEpoch:
    """An epoch directory that others do not see until `publish`, so that nobody adopts it half made."""

    origin: Origin
    path: Path
    lock: EpochLock
    _final: Path

    @classmethod
    def create(cls, spool: Path, origin: Origin) -> "NewEpoch":
        final = epoch_path(spool, origin)
        make_directory(final.parent)
        if final.exists():
            raise AuditRefused("this epoch exists already")
        path = final.with_name(_UNFINISHED + origin.epoch + "-" + os.urandom(4).hex())
        path.mkdir(mode=0o700)
        os.close(os.open(path / LOCK, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
        lock = EpochLock.take(path)
        if lock is None:
            raise AuditRefused("a fresh epoch directory is held by someone else")
        return cls(origin, path, lock, final)

    def publish(self) -> None:
        """Raises `AuditRefused` when the epoch exists: one writer, one epoch."""
        try:
            os.rename(self.path, self._final)  # fails on a directory that is not empty
        except OSError as error:
            self.discard()
            raise AuditRefused("this epoch exists already") from error
        self.path = self._final
        sync_directory(self.path.parent)

    def discard(self) -> None:
        shutil.rmtree(self.path)
        self.lock.release()


def epochs(spool: Path, deployment: str) -> Iterator[tuple[Origin, Path]]:
    """Every published epoch in the spool, oldest first within a writer. Strays are passed over."""
    for path, origin in _published(spool, deployment):
        if origin is not None:
            yield origin, path


def strays(spool: Path, deployment: str) -> list[Path]:
    """Directories among the epochs that no writer made."""
    return [path for path, origin in _published(spool, deployment) if origin is None]


def _published(spool: Path, deployment: str) -> Iterator[tuple[Path, Origin | None]]:
    for writer in sorted(_directories(spool / "epochs")):
        for path in sorted(_directories(writer)):
            if path.name.startswith(_UNFINISHED):
                continue
            try:
                yield path, Origin.parse(f"{deployment}/{writer.name}/{path.name}")
            except AuditRefused:
                yield path, None


def remove_epoch(directory: Path) -> None:
    """Take an epoch out of the spool. The caller holds its lock. At no moment does half of it look like an epoch."""
    gone = directory.with_name(_UNFINISHED + directory.name + "-" + os.urandom(4).hex())
    os.rename(directory, gone)
    sync_directory(directory.parent)
    shutil.rmtree(gone, ignore_errors=True)  # what stays is swept


def sweep_unfinished(spool: Path, now_seconds: float) -> None:
    """Remove what died before it was published or while it was removed; it holds nothing that is needed."""
    for writer in _directories(spool / "epochs"):
        for path in _directories(writer):
            if path.name.startswith(_UNFINISHED):
                _sweep(path, now_seconds)


def _sweep(path: Path, now_seconds: float) -> None:
    try:
        lock = EpochLock.take(path)
    except OSError:
        try:
            abandoned = now_seconds - path.stat().st_mtime > _UNBORN_SECONDS
        except FileNotFoundError:
            return
        if abandoned:
            shutil.rmtree(path, ignore_errors=True)
        return
    if lock is not None:
        shutil.rmtree(path, ignore_errors=True)
        lock.release()


def _directories(path: Path) -> list[Path]:
    try:
        return [entry for entry in path.iterdir() if entry.is_dir()]
    except FileNotFoundError:
        return []


def segments(directory: Path, suffix: str) -> list[int]:
    """The numbers of an epoch's segments that have a file of this kind, in order."""
    try:
        names = [name for name in os.listdir(directory) if name.endswith(suffix)]
    except FileNotFoundError:
        return []
    return sorted(int(name[:10]) for name in names if len(name) == 10 + len(suffix) and name[:10].isdigit())


_QUIET_SECONDS = 5.0
"""Whether a journal's writer lives is asked only when nothing is written for so long: asking takes the lock."""


@dataclass(frozen=True, slots=True)
class SpoolState:
    """Bytes in the spool without its reserves, the age of the oldest finished segment that is not in the store, and how
    many epochs the store contradicts."""

    used_bytes: int
    oldest_pending_seconds: float
    divergent: int


def measure(spool: Path, now_seconds: float) -> SpoolState:
    """Walk the spool. What vanishes meanwhile has been shipped. A dead writer's last journal is finished, too.

    The journals of an epoch that was given up take room, and are waited for no more. A file of tomorrow counts as one
    of yesterday: the clock was set, and how long it really waits is not known.
    """
    used = divergent = 0
    longest = 0.0
    for directory in (epoch for writer in _directories(spool / "epochs") for epoch in _directories(writer)):
        journals = [segment_file(segment, JOURNAL) for segment in segments(directory, JOURNAL)]
        entries = _entries(directory)
        if any(entry.name == GIVEN_UP for entry in entries):
            journals = []
        for entry in entries:
            try:
                status = entry.stat()
            except FileNotFoundError:
                continue
            if entry.name != RESERVE:
                used += status.st_size
            divergent += entry.name == DIVERGENT
            waits = entry.name in journals[:-1] or entry.name.endswith(Part.MANIFEST)
            waited = abs(now_seconds - status.st_mtime)
            if entry.name in journals[-1:] and waited > max(longest, _QUIET_SECONDS):
                waits = waits or not is_alive(directory)
            if waits:
                longest = max(longest, waited)
    return SpoolState(used, longest, divergent)


def _entries(directory: Path) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(directory) as entries:
            return list(entries)
    except FileNotFoundError:
        return []
