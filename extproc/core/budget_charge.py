"""What an exchange adds to its budgets, and the sliding window in which that counts.

A window is cut into `BUCKETS` buckets. What was added counts in its own bucket and in the `BUCKETS` after it, hence for
at least the window and at most one bucket longer: in no stretch as long as the window, wherever it begins, does a
budget give more than it says, and what it took is back one bucket late at the latest.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field

BUCKETS = 24
"""An hour of a day; finer ones mean more rows, coarser ones a longer wait for what is back."""


@dataclass(frozen=True, slots=True)
class Charge:
    """To be added to one budget of one holder. What is new is counted with what counts already.

    `series` says what is counted, per what, in which window: a budget that changes one of these begins at nothing.
    `cards` are digests (`extproc.core.masking.cards`); each counts once in a window.
    A count that reaches `stop_at` stores nothing of all charges that are made together; 0: nothing stops it.
    """

    budget: str
    series: str
    holder: str
    window_seconds: float
    amount: int = 0
    cards: frozenset[bytes] = field(default=frozenset(), repr=False)
    stop_at: int = 0

    @property
    def adds(self) -> bool:
        return self.amount > 0 or bool(self.cards)


@dataclass(frozen=True, slots=True)
class Counted:
    """What a budget has counted, the charge included. `stopped`: it reached `stop_at`.

    `frees_unix`: from then on, if nothing is added meanwhile, the same charge does not reach it; 0 when it always does.
    """

    budget: str
    count: int
    stopped: bool = False
    frees_unix: float = 0.0


def bucket_at(now_unix: float, window_seconds: float) -> int:
    """The number of the bucket that `now_unix` lies in."""
    return int(now_unix * BUCKETS // window_seconds)


def ends_unix(bucket: int, window_seconds: float) -> float:
    """When a bucket counts no longer."""
    return (bucket + BUCKETS + 1) * window_seconds / BUCKETS


def oldest_live(bucket: int) -> int:
    """The oldest bucket that counts in `bucket`."""
    return bucket - BUCKETS


def counted(charge: Charge, bucket: int, sums: Iterable[tuple[int, int]]) -> Counted:
    """The count of a charge that was added in `bucket`. `sums` are what live buckets hold, that included, by bucket."""
    in_order = sorted(sums)
    total = sum(amount for _, amount in in_order)
    if not 0 < charge.stop_at <= total:
        return Counted(charge.budget, total)
    own = charge.amount + len(charge.cards)
    left = total
    for number, amount in in_order:
        left -= amount - own if number == bucket else amount
        if left < charge.stop_at:
            return Counted(charge.budget, total, True, ends_unix(number, charge.window_seconds))
    return Counted(charge.budget, total, True)
