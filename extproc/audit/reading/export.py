"""The records of a span as files in a new directory, a partition a day: `dt=YYYY-MM-DD/part-0000.…`. Never content.

Whole or not at all: everything is written beside the directory, under a name that begins with `.tmp-`, and gets its
name at the end.
"""

import fcntl
import os
import re
import shutil
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar, Protocol

from extproc.audit.files import TEMPORARY, sync_directory
from extproc.audit.reading.reader import Evidence, Reader, time_text

OPEN_DAYS = 3
"""Records come by time, but for those that were written around midnight or by a clock that was set."""
REPORT_EVERY = 10_000


class RecordFile(Protocol):
    """A file that takes records one after the other."""

    suffix: ClassVar[str]

    def __init__(self, path: Path) -> None: ...

    def write(self, item: Evidence) -> None: ...

    def close(self) -> None: ...


@dataclass(slots=True)
class Exported:
    """What was written."""

    records: int = 0
    files: int = 0
    bytes: int = 0
    days: set[str] = field(default_factory=set)


@contextmanager
def new_directory(output: Path) -> Iterator[Path]:
    """A directory to fill, which becomes `output` when all went well and is gone when it did not.

    What an export to the same place left that was killed is taken away: it holds its directory's lock while it lives.
    Raises FileExistsError when `output` exists, and OSError.
    """
    if os.path.lexists(output):
        raise FileExistsError(output)
    _remove_dead(output)
    work = output.with_name(f"{TEMPORARY}{output.name}-{os.urandom(4).hex()}")
    work.mkdir(mode=0o700)
    lock = os.open(work, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        with suppress(OSError):  # a file system without locks gives none to `_remove_dead` either
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield work
        os.rename(work, output)
    except BaseException:
        shutil.rmtree(work, ignore_errors=True)
        raise
    finally:
        os.close(lock)
    sync_directory(output.parent)


def _remove_dead(output: Path) -> None:
    """Directories of ours beside `output`, named as half of it, that nobody holds. What cannot be removed stays."""
    half = re.compile(re.escape(f"{TEMPORARY}{output.name}-") + "[0-9a-f]{8}")
    for work in list(output.parent.iterdir()):
        if not half.fullmatch(work.name):
            continue
        with suppress(OSError):
            held = os.open(work, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
            try:
                fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if os.fstat(held).st_uid == os.geteuid():
                    shutil.rmtree(work)
            finally:
                os.close(held)


def write_days(
    reader: Reader, directory: Path, open_file: type[RecordFile], progress: Callable[[int, str], None]
) -> Exported:
    """Every record of the reader into the file of its day. Memory: what `OPEN_DAYS` files and the reader need.

    Raises `StoreFailed`, OSError, and `AuditRefused` for a record that no file of the kind takes.
    """
    exported = Exported()
    files = _Days(directory, open_file, exported)
    try:
        for item in reader.in_order():
            day = time_text(item.record.time_ms)[:10]
            files.of(day).write(item)
            exported.records += 1
            if exported.records % REPORT_EVERY == 0:
                progress(exported.records, day)
    finally:
        files.close()
    for path in directory.rglob("part-*"):
        exported.files += 1
        exported.bytes += path.stat().st_size
        _sync(path)
    return exported


class _Days:
    """The files that are open, the one used last at the end."""

    def __init__(self, directory: Path, open_file: type[RecordFile], exported: Exported) -> None:
        self._directory, self._open_file, self._exported = directory, open_file, exported
        self._open: OrderedDict[str, RecordFile] = OrderedDict()

    def of(self, day: str) -> RecordFile:
        if day not in self._open:
            if len(self._open) >= OPEN_DAYS:
                self._open.popitem(last=False)[1].close()
            self._open[day] = self._new(day)
        self._open.move_to_end(day)
        return self._open[day]

    def _new(self, day: str) -> RecordFile:
        folder = self._directory / f"dt={day}"
        folder.mkdir(mode=0o700, exist_ok=True)
        self._exported.days.add(day)
        number = sum(1 for _ in folder.iterdir())
        return self._open_file(folder / f"part-{number:04}{self._open_file.suffix}")

    def close(self) -> None:
        while self._open:
            self._open.popitem()[1].close()


def _sync(path: Path) -> None:
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
