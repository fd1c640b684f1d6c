"""Where a page goes on, and between which times a question looks. Pure."""

import re
from dataclasses import dataclass

from extproc.approvals.index.query import SessionQuery, SessionRow
from extproc.audit.reading.reader import CLOCK_SLACK_MS, FOREVER_MS

_CURSOR = re.compile(r"(o|n)\.(\d{1,15})\.(.{1,200})", re.ASCII | re.DOTALL)
_OUR_ID = re.compile(r"[0-9a-f]{1,12}|[0-9a-f]{12}-[0-9a-f]{0,16}", re.ASCII)
_TIME_DIGITS = 12
_WHOLE = 29


@dataclass(frozen=True, slots=True)
class Cursor:
    """Next to this row, on the older or the newer side."""

    older: bool
    started_ms: int
    exchange_id: str

    @classmethod
    def behind(cls, row: SessionRow) -> str:
        return str(cls(True, row.started_ms, row.exchange_id))

    @classmethod
    def before(cls, row: SessionRow) -> str:
        return str(cls(False, row.started_ms, row.exchange_id))

    def turned(self) -> str:
        return str(Cursor(not self.older, self.started_ms, self.exchange_id))

    def __str__(self) -> str:
        return f"{'o' if self.older else 'n'}.{self.started_ms}.{self.exchange_id}"


def read_cursor(text: str) -> Cursor | None:
    """None for what is none: it comes from the address bar."""
    match = _CURSOR.fullmatch(text)
    if match is None or "\0" in text:
        return None
    return Cursor(match[1] == "o", int(match[2]), match[3].encode("utf-8", "replace").decode())


@dataclass(frozen=True, slots=True)
class Bounds:
    """Between which times, and with which id. 0 and empty: open."""

    since_ms: int = 0
    until_ms: int = 0
    prefix: str = ""
    whole_id: str = ""


def bounds_of(query: SessionQuery) -> Bounds:
    """Ids begin with their time, which bounds where those with a prefix are. What is no beginning of ours is whole."""
    text = query.exchange_id.strip()[:200]
    since, until = min(max(query.since_ms, 0), FOREVER_MS), min(max(query.until_ms, 0), FOREVER_MS)
    if not text:
        return Bounds(since, until)
    if not _OUR_ID.fullmatch(text.lower()) or len(text) == _WHOLE:
        return Bounds(since, until, whole_id=text if len(text) != _WHOLE else text.lower())
    prefix = text.lower()
    first = int(prefix[:_TIME_DIGITS].ljust(_TIME_DIGITS, "0"), 16) - CLOCK_SLACK_MS
    last = int(prefix[:_TIME_DIGITS].ljust(_TIME_DIGITS, "f"), 16) + CLOCK_SLACK_MS
    return Bounds(max(since, first, 0), min(until, last + 1) if until else last + 1, prefix)
