"""Which days of the store an anchor looks at in one pass: those where something may come, others in turn."""

import datetime as dt
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from extproc.audit.anchor.head import Head
from extproc.audit.names import Origin

OLD_DAYS = 31
"""Days without a living epoch that one pass lists: a year is looked at within twelve passes."""


@dataclass(frozen=True, slots=True)
class Days:
    """`due_days` as in object keys, `yyyy/mm/dd`, oldest first."""

    due_days: tuple[str, ...]

    @classmethod
    def due(cls, heads: Mapping[str, Head], registered: Iterable[str], now_ms: int, turn: int) -> "Days":
        """For the pass with number `turn`."""
        today = dt.datetime.fromtimestamp(now_ms / 1000, dt.UTC)
        busy = {f"{day:%Y/%m/%d}" for day in (today, today - dt.timedelta(days=1))}
        busy |= {_day(origin) for origin in registered if origin not in heads or not heads[origin].ended}
        busy |= {_day(origin) for origin, head in heads.items() if not head.ended and not head.expired}
        others = sorted({_day(origin) for origin, head in heads.items() if not head.expired} - busy)
        first = turn * OLD_DAYS % max(len(others), 1)
        return cls(tuple(sorted({*busy, *(others + others)[first : first + min(OLD_DAYS, len(others))]})))

    def is_due(self, origin: str) -> bool:
        return _day(origin) in self.due_days


def _day(origin: str) -> str:
    epoch = Origin.parse(origin).epoch
    return f"{epoch[:4]}/{epoch[4:6]}/{epoch[6:8]}"
