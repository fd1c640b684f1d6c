"""Which time is proven: from the first to the last moment, without the holes that are in between."""

from collections.abc import Iterable
from dataclasses import dataclass, field

Hole = tuple[int, int]
"""Unix milliseconds. Up to and with the first all is proven, and again from the second on; 0: no end is known."""
MAX_HOLES = 10_000
"""Kept; more are one that reaches over all of them: less is said to be proven than is."""


@dataclass(slots=True)
class HoleFinder:
    """Told of one epoch in its order what is broken and what holds again."""

    holes: list[Hole] = field(default_factory=list)
    _begin_ms: int | None = None

    def begin(self, known_ms: int) -> None:
        """Something does not hold; `known_ms` is the last moment before it that does."""
        if self._begin_ms is None:
            self._begin_ms = known_ms

    def end(self, moment_ms: int) -> None:
        """From this moment on all holds again."""
        if self._begin_ms is not None:
            self.holes.append((self._begin_ms, max(moment_ms, self._begin_ms)))
            self._begin_ms = None

    def finish(self) -> None:
        """The epoch is over. What does not hold at its end may have gone on for longer than is known."""
        if self._begin_ms is not None:
            self.holes.append((self._begin_ms, 0))
            self._begin_ms = None


def bounded(holes: list[Hole]) -> list[Hole]:
    """As they are, or one over all of them."""
    if len(holes) <= MAX_HOLES:
        return holes
    ends = [end for _, end in holes]
    return [(min(begin for begin, _ in holes), max(ends) if all(ends) else 0)]


def spans_between(first_ms: int, last_ms: int, holes: Iterable[Hole]) -> list[tuple[int, int]]:
    """What is left of the time from `first_ms` to `last_ms`, in order; nothing touches or overlaps."""
    spans = []
    at_ms = first_ms
    for begin, end in sorted(holes):
        if begin >= last_ms:
            break
        if begin > at_ms:
            spans.append((at_ms, begin))
        if not end:
            return spans
        at_ms = max(at_ms, end)
    if at_ms < last_ms or at_ms == first_ms == last_ms:
        spans.append((at_ms, last_ms))
    return spans
