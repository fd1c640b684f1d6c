"""Counters that hold so many names and no more: names come from tokens and requests, and nobody bounds their number."""

from collections import Counter
from collections.abc import Hashable, Iterator
from typing import Generic, TypeVar

MAX_NAMES = 2_000
"""Each has a line in the pack; beyond it nobody reads the list, and the total still counts everything."""
_T = TypeVar("_T", bound=Hashable)


class Tally(Generic[_T]):
    """Counts by name. What comes after `MAX_NAMES` different ones is counted in `unnamed`."""

    def __init__(self) -> None:
        self._counts: Counter[_T] = Counter()
        self.unnamed = 0

    def add(self, name: _T, count: int = 1) -> None:
        if name in self._counts or len(self._counts) < MAX_NAMES:
            self._counts[name] += count
        else:
            self.unnamed += count

    def __getitem__(self, name: _T) -> int:
        return self._counts[name]

    def __iter__(self) -> Iterator[tuple[_T, int]]:
        """Most frequent first; of equals the one that came first."""
        return iter(self._counts.most_common())

    @property
    def total(self) -> int:
        return self._counts.total() + self.unnamed
