"""Follows the audit store: what is newly sealed there is in the session index seconds later.

Several consoles may follow at once: the watermarks are in the database, and what two take over is there once. The
store is asked for little: each writer's next segment by its name, the register of the last two days for new writers,
and now and then whether a segment is missing in between.
"""

import asyncio
import datetime as dt
import logging
import threading
import time
from collections.abc import Callable, Iterator

from extproc.approvals.index.taking import MISSING, SegmentTaker, Taken
from extproc.approvals.index.writer import IndexWriter, Watermark
from extproc.audit.names import Origin, Part, parse_key
from extproc.audit.refusal import AuditRefused
from extproc.audit.stores.store import ObjectStore, StoreFailed
from extproc.core.reasons import Unavailable

LOOK_SECONDS = 3.0
GAPS_SECONDS = 60.0
EVERYTHING_SECONDS = 3600.0
LIVES_MS = 2 * 3600 * 1000
"""A writer seals something every few minutes. What sealed nothing for so long is looked at hourly."""
SAID_SECONDS = 15.0
"""How often it is written down that there is nothing new."""
SEGMENTS_AT_ONCE = 200
"""After so many it is said how far the index is."""
RETRIED_AT_ONCE = 50
_log = logging.getLogger("extproc.index")


class Follower:
    """Takes over what is new. Blocking, for one thread."""

    def __init__(self, store: ObjectStore, deployment: str, writer: IndexWriter) -> None:
        self._store = store
        self._deployment = deployment
        self._writer = writer
        self._taker = SegmentTaker(store, writer)
        self._gaps_at = self._everything_at = self._said_at = float("-inf")
        self._stopping = threading.Event()
        self._known: set[Origin] = set()
        self._retried = ("", 0)

    def look(self, now: float) -> int:
        """Take over what is new at `now` (Unix seconds); how many segments. Raises `StoreFailed`, `Unavailable`."""
        now_ms = int(now * 1000)
        marks = self._writer.watermarks()
        everything = now >= self._everything_at + EVERYTHING_SECONDS
        self._known |= self._registered("") if everything else self._registered_lately(now)
        taken, left = 0, 0
        for origin in sorted(self._known, key=lambda origin: (origin.epoch, origin)):
            mark = marks.get(str(origin))
            if everything or mark is None or mark.sealed_ms > now_ms - LIVES_MS:
                more, whole = self._take_from(origin, mark, now_ms, SEGMENTS_AT_ONCE - taken)
                taken += more
                left += not whole
        if not left and now >= self._gaps_at + GAPS_SECONDS:
            self._retry(now_ms)
            taken += self._pass_over_gaps(now_ms)
            self._gaps_at = now
        if everything and not left:
            self._everything_at = now
        if taken or left or now >= self._said_at + SAID_SECONDS:
            self._writer.note_look(now_ms if not left else None, left)
            self._said_at = now
        return taken

    def stop(self) -> None:
        """A look that is under way ends behind the segment that it takes."""
        self._stopping.set()

    def _take_from(self, origin: Origin, mark: Watermark | None, now_ms: int, most: int) -> tuple[int, bool]:
        """How many, and whether that is all."""
        segment = mark.next_segment if mark else 1
        for number in range(most):
            if self._stopping.is_set():
                return number, False
            if self._taker.take(origin, segment + number, now_ms) is Taken.NOT_THERE:
                return number, True
        return max(most, 0), False

    def _registered_lately(self, now: float) -> set[Origin]:
        """Whoever began today or yesterday (UTC)."""
        today = dt.datetime.fromtimestamp(now, dt.UTC).date()
        return {
            origin
            for day in (today - dt.timedelta(days=1), today)
            for origin in self._registered(day.strftime("%Y/%m/%d/"))
        }

    def _registered(self, day: str) -> set[Origin]:
        names = (parse_key(stored.key) for stored in self._store.list(f"v1/registry/{self._deployment}/{day}"))
        return {name.origin for name in names if name is not None}

    def _retry(self, now_ms: int) -> None:
        """What was passed over may have been mended, or come late. Some each time, in turn."""
        problems = sorted((origin, number) for origin, numbers in self._writer.problems().items() for number in numbers)
        later = [each for each in problems if each > self._retried]
        for text, number in (later or problems)[:RETRIED_AT_ONCE]:
            self._taker.take(Origin.parse(text), number, now_ms)
            self._retried = (text, number)

    def _pass_over_gaps(self, now_ms: int) -> int:
        """Where a segment is missing and later ones are there, go on behind it."""
        taken = 0
        for text, mark in self._writer.watermarks().items():
            if mark.sealed_ms <= now_ms - LIVES_MS and mark.sealed_ms:
                continue
            origin = Origin.parse(text)
            later = min((n for n in self._sealed(origin) if n > mark.next_segment), default=0)
            for missing in range(mark.next_segment, later):
                if self._taker.take(origin, missing, now_ms) is Taken.NOT_THERE:
                    self._taker.pass_over(origin, missing, MISSING, now_ms)
            if later:
                taken += self._take_from(origin, Watermark(text, later, 0), now_ms, SEGMENTS_AT_ONCE)[0]
        return taken

    def _sealed(self, origin: Origin) -> Iterator[int]:
        for stored in self._store.list(f"v1/evidence/{origin.folder}/"):
            name = parse_key(stored.key)
            if name is not None and name.part is Part.MANIFEST:
                yield name.segment


async def follow(follower: Follower, clock: Callable[[], float] = time.time) -> None:
    """Look every few seconds, until cancelled. What fails is said, once until it works again, and tried again."""
    said = ""
    while True:
        try:
            taken = await asyncio.to_thread(follower.look, clock())
            said = ""
        except asyncio.CancelledError:
            follower.stop()
            raise
        except (StoreFailed, Unavailable, AuditRefused, OSError) as error:
            taken = 0
            if said != (words := type(error).__name__):
                said = words
                _log.warning("the session index cannot follow the audit store", extra={"failure": words})
        await asyncio.sleep(0 if taken >= SEGMENTS_AT_ONCE else LOOK_SECONDS)
