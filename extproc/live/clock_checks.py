"""The clock: what the kernel says of its discipline, and what time others have it."""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Final

from extproc.audit.log.clock import Synchronised, ask_kernel
from extproc.edge.settings import Settings
from extproc.live.check import Check, failed, left, passed, warned

NOTICED_SECONDS: Final = 5.0
"""A `Date` has whole seconds, and an answer takes some."""
REFUSED_SECONDS: Final = 300.0
"""Beyond it nothing is stored under a lock."""


@dataclass(frozen=True, slots=True)
class OtherClock:
    """Somebody else's time when ours was `our_unix`."""

    whose: str
    their_unix: float
    our_unix: float

    @classmethod
    def parse(cls, whose: str, date: str, our_unix: float | None = None) -> "OtherClock | None":
        """Of a `Date` header (RFC 9110 §6.6.1); None where that says nothing."""
        try:
            theirs = parsedate_to_datetime(date).timestamp()
        except (ValueError, OverflowError, TypeError):
            return None
        return cls(whose, theirs, time.time() if our_unix is None else our_unix)


def check_clock(settings: Settings) -> Iterator[Check]:
    """The machine's own word."""
    kernel = ask_kernel()
    name, mend = "clock", "start chronyd or systemd-timesyncd on the node (PCI DSS 10.6)"
    if kernel.synchronised is Synchronised.NO:
        if settings.audit.refuse_unsynchronised_clock:
            yield failed(name, "the kernel does not call it synchronised, and requests are refused for it", mend)
        else:
            yield warned(name, "the kernel does not call it synchronised", mend)
    elif kernel.synchronised is Synchronised.UNKNOWN:
        yield left(name, "the kernel does not say whether it is synchronised")
    else:
        yield passed(name, f"synchronised, within {kernel.error_ms:g} ms by the kernel's estimate")


def compare_clock(other: OtherClock) -> Check:
    """Ours against somebody else's."""
    name, skew = f"clock, {other.whose}", other.our_unix - other.their_unix
    said = f"{abs(skew):.0f} s {'ahead of' if skew > 0 else 'behind'} {other.whose}"
    mend = "which of the two is wrong? Tokens and locks of objects count by both"
    if abs(skew) > REFUSED_SECONDS:
        return failed(name, said, mend)
    return warned(name, said, mend) if abs(skew) > NOTICED_SECONDS else passed(name, said)
