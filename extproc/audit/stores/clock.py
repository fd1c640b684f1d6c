"""From which moment and until when an object is locked, by two clocks: ours and the store's.

A lock in COMPLIANCE mode cannot be shortened, and one in the past locks nothing. So the store's time is followed on a
clock that nobody sets, and each date is held against it: a local clock that was set back or forward is seen at once.
"""

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

from extproc.audit.stores.store import Fault, StoreFailed

MAX_SKEW_SECONDS = 300.0
"""Beyond this difference between the two clocks nothing is stored. S3 itself refuses requests beyond 900 s."""
MARGIN_SECONDS = 300.0
"""Added to the retention, which so is never a moment too short."""
MAX_AGE_SECONDS = 900.0
"""How long the store's time is followed before it is asked again."""
CLOCK_DIFFERS = "the clock differs from the store's"


def steady_seconds() -> float:
    """Since this machine started, its sleep included. Nobody sets it."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


class StoreClock:
    """What the store last said its time is, and how long ago."""

    def __init__(
        self, wall_seconds: Callable[[], float] = time.time, steady: Callable[[], float] = steady_seconds
    ) -> None:
        self._wall, self._steady = wall_seconds, steady
        self._told = self._told_at = 0.0

    def note(self, date: str) -> None:
        """A `Date` header (RFC 9110 §6.6.1). One that does not parse says nothing."""
        try:
            told = parsedate_to_datetime(date).timestamp()
        except (ValueError, OverflowError):
            return
        self._told, self._told_at = told, self._steady()

    def must_be_asked(self) -> bool:
        """The store's time is not known, or no more, or it does not fit ours: which of them jumped is to be seen."""
        return not self._told or self._steady() - self._told_at > MAX_AGE_SECONDS or self._differs()

    def store_time(self) -> datetime:
        """The store's time. Raises `StoreFailed` when it never told it."""
        if not self._told:
            raise StoreFailed("the store does not tell its time", Fault.CLOCK)
        return datetime.fromtimestamp(self._store_seconds(), UTC)

    def retain_until(self, retention_days: int, max_retention_days: int) -> datetime:
        """From the later clock, whole seconds, never beyond the longest retention counted from the store's time.

        Raises `StoreFailed` when the clocks differ, or when the store does not tell its time.
        """
        told = self.store_time().timestamp()
        if self._differs():
            raise StoreFailed(CLOCK_DIFFERS, Fault.CLOCK)
        kept = timedelta(days=min(retention_days, max_retention_days), seconds=MARGIN_SECONDS)
        start = min(max(self._wall(), told), told + MAX_SKEW_SECONDS)
        return datetime.fromtimestamp(int(start) + 1, UTC) + kept

    def _store_seconds(self) -> float:
        return self._told + self._steady() - self._told_at

    def _differs(self) -> bool:
        return abs(self._wall() - self._store_seconds()) > MAX_SKEW_SECONDS
