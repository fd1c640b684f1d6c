"""The session index made of everything that the audit store lists: what is new, what is younger, or all of it."""

from collections.abc import Callable
from dataclasses import dataclass

from extproc.approvals.index.taking import MISSING, SegmentTaker, Taken
from extproc.approvals.index.writer import IndexWriter
from extproc.audit.names import Origin, Part
from extproc.audit.reading.holdings import Epoch, Holdings
from extproc.audit.reading.reader import CLOCK_SLACK_MS, Reader, Span, evidence_of
from extproc.audit.stores.store import ObjectStore


@dataclass(frozen=True, slots=True)
class Reindexed:
    """How many segments were read, and rows of the index that were new or changed."""

    segments: int
    changed: int


class Reindexing:
    """Blocking. Interrupted, it goes on from the watermarks; done twice, it changes nothing."""

    def __init__(self, store: ObjectStore, deployment: str, writer: IndexWriter) -> None:
        self._store = store
        self._deployment = deployment
        self._writer = writer

    def run(self, now_ms: int, from_ms: int, told: Callable[[int, int], None]) -> Reindexed:
        """Everything behind the watermarks, what was passed over, and what was sealed from `from_ms` on (0: nothing
        more). `told` is given how many segments are done, of how many. Raises `StoreFailed` and `Unavailable`."""
        span = Span(since_ms=from_ms)
        holdings = Holdings.look(self._store, None, self._deployment, listing=evidence_of(self._deployment, span))
        taker, work = SegmentTaker(self._store, self._writer), self._work(Reader(holdings, span), from_ms)
        total = sum(map(len, work.values()))
        segments = 0
        for origin, numbers in work.items():
            for number in numbers:
                if taker.take(origin, number, now_ms) is Taken.NOT_THERE:
                    taker.pass_over(origin, number, MISSING, now_ms)
                segments += 1
                told(segments, total)
        self._writer.note_look(now_ms, 0)
        return Reindexed(segments, taker.changed)

    def _work(self, reader: Reader, from_ms: int) -> dict[Origin, list[int]]:
        """The segments to read, by the time of their epochs."""
        marks, problems = self._writer.watermarks(), self._writer.problems()
        work: dict[Origin, list[int]] = {}
        epochs = reader.holdings.epochs
        for origin in sorted(epochs, key=lambda origin: (origin.epoch, origin)):
            last = _last_sealed(epochs[origin])
            mark = marks.get(str(origin))
            first = mark.next_segment if mark else 1
            if from_ms and mark is not None and mark.sealed_ms >= from_ms - CLOCK_SLACK_MS:
                first = min(first, reader.first_segment(epochs[origin]))
            again = [number for number in problems.get(str(origin), []) if number < first]
            work[origin] = [*again, *range(first, last + 1)]
        return work


def _last_sealed(epoch: Epoch) -> int:
    return max((number for part, number in epoch.stored if part is Part.MANIFEST), default=0)
