"""A bounded queue in front of an exporter: nobody who puts something into it ever waits."""

import contextlib
import threading
from collections import deque
from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

from extproc.edge.otel_environment import BatchTerms

T = TypeVar("T")
_DYING_SECONDS = 1.0
"""After the time to flush is up: for an export that was told to stop."""


class Batches(Generic[T]):
    """Exports in a thread of its own, many at once. What finds the queue full, or no taker, is lost and counted."""

    def __init__(
        self,
        name: str,
        terms: BatchTerms,
        export: Callable[[Sequence[T]], bool],
        lost: Callable[[int, str], None],
        give_up: Callable[[], None],
    ) -> None:
        """`export` says whether a batch was taken, and may take its time; after `give_up` it returns soon."""
        self._terms = terms
        self._export = export
        self._lost = lost
        self._give_up = give_up
        self._queue: deque[T] = deque()
        self._due = threading.Event()
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    @property
    def exporting(self) -> bool:
        """Whether this is the thread that exports: what it says of its own troubles must not come back to it."""
        return threading.current_thread() is self._thread

    def put(self, item: T) -> None:
        """For any thread."""
        waiting = len(self._queue)
        if waiting >= self._terms.room or self._stopping:
            self._lost(1, "queue")
            return
        self._queue.append(item)
        if waiting + 1 == self._terms.batch:
            self._due.set()

    def stop(self, timeout_seconds: float) -> None:
        """Flush for at most `timeout_seconds`; what is not taken by then is lost. Call it once."""
        self._stopping = True
        self._due.set()
        self._thread.join(timeout_seconds)
        if self._thread.is_alive():
            left = len(self._queue)
            self._queue.clear()
            self._lost(left, "queue")
        self._give_up()
        self._thread.join(_DYING_SECONDS)

    def _run(self) -> None:
        while not self._stopping:
            self._due.wait(self._terms.delay_seconds)
            self._due.clear()
            self._empty()
        self._empty()

    def _empty(self) -> None:
        while batch := self._next():
            if not self._taken(batch):
                self._lost(len(batch), "collector")

    def _next(self) -> list[T]:
        batch: list[T] = []
        with contextlib.suppress(IndexError):  # `stop` may empty the queue at any moment
            while len(batch) < self._terms.batch:
                batch.append(self._queue.popleft())
        return batch

    def _taken(self, batch: Sequence[T]) -> bool:
        try:
            return self._export(batch)
        except Exception:  # noqa: BLE001 - a boundary: whatever an exporter meets, the next batch is tried
            return False
