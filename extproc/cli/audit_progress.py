"""How far a verification is, on a terminal: segments and megabytes done, of how many."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from extproc.audit.verify.report import Unwatched, Watch

_MB = 1_000_000


class TerminalWatch:
    """Moves one bar. Its length is in bytes, because segments differ."""

    def __init__(self, progress: Progress, task: TaskID) -> None:
        self._progress, self._task = progress, task
        self._segments = self._segments_listed = 0
        self._size = self._size_listed = 0

    def listed(self, segments: int, size: int) -> None:
        self._segments_listed, self._size_listed = segments, size
        self._progress.update(self._task, total=size or None, done=self._done())

    def proven(self, segments: int, size: int) -> None:
        self._segments += segments
        self._size += size
        self._progress.update(self._task, advance=size, done=self._done())

    def _done(self) -> str:
        megabytes = f"{self._size / _MB:.0f}/{self._size_listed / _MB:.0f} MB"
        return f"{self._segments}/{self._segments_listed} segments, {megabytes}"


@contextmanager
def watch_on_terminal() -> Iterator[Watch]:
    """A bar on standard error while the block runs; nothing where that is no terminal."""
    if not sys.stderr.isatty():
        yield Unwatched()
        return
    columns = (
        TextColumn("verify"),
        BarColumn(),
        TextColumn("{task.fields[done]}"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        yield TerminalWatch(progress, progress.add_task("verify", total=None, done="listing"))
