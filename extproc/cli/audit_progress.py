"""How far a verification is, on a terminal: segments and megabytes done, of how many."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from extproc.audit.report import Unwatched, Watch

_MB = 1_000_000


class TerminalWatch:
    """Moves one bar. Its length is in bytes, because segments differ."""

    def __init__(self, progress: Progress, task: TaskID) -> None:
        self._progress, self._task = progress, task
        self._segments = self._segments_listed = 0

    def listed(self, objects: int, size: int) -> None:
        self._segments_listed = objects
        self._progress.update(self._task, total=size or None, megabytes=f"{size / _MB:.0f}", segments=self._count())

    def proven(self, size: int) -> None:
        self._segments += 1
        self._progress.update(self._task, advance=size, segments=self._count())

    def _count(self) -> str:
        return f"{self._segments}/{self._segments_listed} segments"


@contextmanager
def watch_on_terminal() -> Iterator[Watch]:
    """A bar on standard error while the block runs; nothing where that is no terminal."""
    if not sys.stderr.isatty():
        yield Unwatched()
        return
    columns = (
        TextColumn("verify"),
        BarColumn(),
        TextColumn("{task.fields[segments]}"),
        TextColumn("{task.completed:.0f}/{task.total} bytes"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        yield TerminalWatch(progress, progress.add_task("verify", total=None, segments="listing"))
