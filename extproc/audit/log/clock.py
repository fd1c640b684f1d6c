"""What is known of the wall clock: whether the kernel holds it synchronised, and whether it steps (PCI DSS 10.6).

The wall clock is held against the monotonic one, which no administrator sets. A step does not change what is recorded;
it is recorded itself, so that the times around it can be read rightly.
"""

import ctypes
import threading
import time
from dataclasses import dataclass
from enum import StrEnum

from extproc.audit.log.own_records import Detail

MAX_STEP_SECONDS = 5.0
"""The wall clock may move so far against the monotonic one between two heartbeats; slewing moves it 0.15 s in 300 s."""
CALM_SECONDS = 10.0
"""So long after a step without another the clock counts as right again."""
_STA_UNSYNC = 0x0040
_TIMEX_BYTES = 256
"""More than `struct timex` has on any Linux."""


class Synchronised(StrEnum):
    """What the kernel says. A container may be forbidden to ask, and the kernel may have nobody to ask."""

    YES = "synchronised"
    NO = "unsynchronised"
    UNKNOWN = "unknown"


class _Timex(ctypes.Structure):
    """The beginning of `struct timex` (adjtimex(2))."""

    _fields_ = (
        ("modes", ctypes.c_uint),
        ("offset", ctypes.c_long),
        ("freq", ctypes.c_long),
        ("maxerror", ctypes.c_long),
        ("esterror", ctypes.c_long),
        ("status", ctypes.c_int),
        ("rest", ctypes.c_char * _TIMEX_BYTES),
    )


@dataclass(frozen=True, slots=True)
class KernelClock:
    """`error_ms` is the kernel's estimate; negative where it has none."""

    synchronised: Synchronised
    error_ms: float = -1.0

    def detail(self) -> Detail:
        """As it stands in a record."""
        detail: Detail = {"clock": self.synchronised.value}
        if self.error_ms >= 0:
            detail["clock_error_ms"] = self.error_ms
        return detail


def ask_kernel() -> KernelClock:
    """The state of the kernel's clock discipline, read only. Never raises."""
    found = _Timex()
    try:
        refused = ctypes.CDLL(None).adjtimex(ctypes.byref(found)) < 0
    except (OSError, AttributeError):
        refused = True
    if refused:
        return KernelClock(Synchronised.UNKNOWN)
    held = Synchronised.NO if found.status & _STA_UNSYNC else Synchronised.YES
    return KernelClock(held, round(found.esterror / 1000, 3))


@dataclass(frozen=True, slots=True)
class Step:
    """The wall clock moved so far, from what the monotonic clock would have it to what it says. Unix milliseconds."""

    step_ms: int
    expected_ms: int
    found_ms: int


class ClockWatch:
    """The wall clock of one epoch. Its methods are for any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._mark = self._beat = _offset()
        self._stepped_at: float | None = None
        self._step: Step | None = None

    def look(self) -> Step | None:
        """The newest step while it is not `CALM_SECONDS` old; None while the clock runs evenly."""
        with self._lock:
            offset, now = _offset(), time.monotonic()
            moved = offset - self._mark
            if abs(moved) > MAX_STEP_SECONDS:
                wall = offset + now
                self._step = Step(round(moved * 1000), round((wall - moved) * 1000), round(wall * 1000))
                self._mark, self._stepped_at = offset, now
            elif self._stepped_at is not None and now - self._stepped_at > CALM_SECONDS:
                self._step = self._stepped_at = None
            return self._step

    def beat(self) -> int:
        """How far the wall clock moved against the monotonic one since the last beat, in milliseconds."""
        with self._lock:
            offset = _offset()
            moved = offset - self._beat
            self._beat = offset
            if abs(offset - self._mark) <= MAX_STEP_SECONDS:  # else `look` still has to see it
                self._mark = offset
            return round(moved * 1000)


def _offset() -> float:
    return time.time() - time.monotonic()
