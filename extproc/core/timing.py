"""How long things take in one exchange. Times come from outside; nothing is decided by them."""

from collections import deque
from collections.abc import Callable

Clock = Callable[[], float]
"""Monotonic seconds."""
Lap = Callable[[str], None]
"""Called with its name when a step is over."""


def no_lap(name: str) -> None:
    """For a computation that nobody times."""


class Laps:
    """Notes each step of one computation as a phase. Without a clock, which an exchange in a test has not, none."""

    __slots__ = ("_clock", "_note", "_since")

    def __init__(self, clock: Clock | None, note: Callable[[str, float, float], None]) -> None:
        self._clock = clock
        self._note = note
        self._since = 0.0 if clock is None else clock()

    def lap(self, name: str) -> None:
        """The step `name` ends here, and the next begins."""
        if self._clock is None:
            return
        now = self._clock()
        self._note(name, self._since, now)
        self._since = now


class Waits:
    """The longest time that anything of an answer waited to be durable, and that masking kept characters back."""

    __slots__ = ("_held_since", "_queued", "held_seconds", "stored_seconds")

    def __init__(self) -> None:
        self.stored_seconds = 0.0
        self.held_seconds = 0.0
        self._queued: deque[tuple[int, float]] = deque()
        self._held_since = 0.0

    def queued(self, ticket: int, at: float) -> None:
        """Something waits for `ticket`."""
        self._queued.append((ticket, at))

    def stored(self, ticket: int, at: float) -> None:
        """Everything up to `ticket` is durable: of what it ends, the oldest waited longest."""
        queued = self._queued
        if queued and queued[0][0] <= ticket:
            self.stored_seconds = max(self.stored_seconds, at - queued[0][1])
            while queued and queued[0][0] <= ticket:
                queued.popleft()

    def holds(self, characters: int, at: float) -> None:
        """So many characters are held back now."""
        if characters:
            self._held_since = self._held_since or at
        elif self._held_since:
            self.held_seconds = max(self.held_seconds, at - self._held_since)
            self._held_since = 0.0
