"""Walks over a text from one group of digits to the next and notes what to replace, in texts and in streams."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from extproc.core.masking.alphabet import ASCII_RUN, DIGITS, find_letters
from extproc.core.masking.candidate import REACH, REACH_OF_RUN, Search
from extproc.core.masking.context import Words
from extproc.core.masking.effort import (
    ANNOUNCED_STEPS,
    FOUND_STEPS,
    GROUP_STEPS,
    SEARCHED_PER_STEP,
    SPOT_STEPS,
    TEXT_STEPS,
    Effort,
)
from extproc.core.masking.neighbours import list_end
from extproc.core.masking.pan import Pan, PanJudge
from extproc.core.masking.settings import Kind
from extproc.core.masking.short import MAX_BESIDE, Pans, ShortJudge
from extproc.core.masking.track import pan_of_track, track_end
from extproc.core.masking.wait import Wait

# Shorter stretches are walked through group by group.
_WORTH_A_SEARCH = 12

_next_digits = DIGITS.search


@dataclass(frozen=True, slots=True)
class Found:
    """A stretch of text to replace. `digits` is the whole PAN, also where only its rest is still to be replaced.

    `kind` is a `Kind`, or what a rule says it finds; `rest` of a rule's find is not counted or replaced once more.
    `unnamed`: its label stands for it, whatever the style.
    """

    start: int
    end: int
    kind: str
    digits: str = field(repr=False, default="")
    rest: bool = False
    unnamed: bool = False

    def moved(self, by: int) -> "Found":
        """The same find in a text that begins elsewhere."""
        return replace(self, start=self.start + by, end=self.end + by)

    def between(self, start: int, end: int, *, rest: bool = False) -> "Found":
        """The same find at another place. `rest`: the place is only what is still to be replaced of it."""
        return replace(self, start=start, end=end, rest=self.rest or rest)


@dataclass(slots=True)
class Trace:
    """What a walk remembers of what it decided: offsets in the text it walks over. `effort` is what it may still do."""

    effort: Effort
    masked_end: int = -1
    pans: Pans = field(default_factory=Pans)
    # Equal to `masked_end` when the digits after it are known to begin another PAN.
    row_end: int = -2

    @property
    def beside_end(self) -> int:
        """Before this, digits may stand beside a PAN and be its code or expiry."""
        return max(self.pans.ends) + MAX_BESIDE + 1 if self.pans.ends else 0

    def copy(self) -> "Trace":
        return replace(self)

    def shift(self, count: int) -> None:
        """Keeps the offsets right after `count` characters were dropped from the text's beginning."""
        self.masked_end = max(-1, self.masked_end - count)
        self.row_end = max(-2, self.row_end - count)
        if self.pans.ends:
            self.pans = Pans(tuple(end - count for end in self.pans.ends if end >= count), self.pans.digits)


class _Stretch:
    """Finds the groups of one walk that must be looked at: up to `quick`, and from `near` on, only candidates.

    What stands beside a PAN may be its code, and what stands close to the end of a stream may still grow.
    """

    __slots__ = ("_limit", "_search", "_text", "near", "quick")

    def __init__(self, text: str, quick: int, trace: Trace, search: Search, reach: int) -> None:
        self.quick = quick
        self.near = trace.beside_end
        self._text = text
        self._search = search
        self._limit = min(quick + reach, len(text))

    def next(self, at: int) -> re.Match[str] | None:
        """The next group of digits to look at; its match may end inside the group."""
        if self.near <= at < self.quick:
            group = self._search(self._text, at, self._limit)
            if group is not None and group.start() < self.quick:
                return group
            at = self.quick
        return DIGITS.search(self._text, at)

    def list_end(self, first: int, masked_end: int) -> int:
        """Where the list of numbers ends in which the group at `first` stands; `first` if it is to be judged."""
        return list_end(self._text, first, masked_end) if self.near <= first < self.quick else first


def _whole(text: str, spots: list[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    """The stretches, each to the end of its run of digits and separators."""
    for start, stop in spots:
        run = ASCII_RUN.match(text, stop)
        yield start, run.end() if run else stop


def _joined(spots: list[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    """The stretches, with those joined that the search would look into twice: it looks `REACH` beyond each."""
    first, last = spots[0]
    for start, stop in spots:
        if start > last + REACH:
            yield first, last
            first = start
        last = max(last, stop)
    yield first, last


class Walker:
    """Finds what to mask. Holds no state of its own; `Trace` does."""

    __slots__ = ("_judge", "_short", "_words")

    def __init__(self, judge: PanJudge, words: Words) -> None:
        self._judge = judge
        self._short = ShortJudge(words)
        self._words = words

    def find(self, text: str, effort: Effort) -> list[Found]:
        """Everything to mask in a whole text, in order, without overlaps. Raises `Malformed` when it costs too much.

        Walks only through the stretches that can hold something; any other text costs one RE2 search.
        """
        effort.spend(TEXT_STEPS)
        found: list[Found] = []
        spots = self._words.spots(text, effort.at_most(FOUND_STEPS))
        effort.spend(FOUND_STEPS * len(spots))
        if spots:
            trace = Trace(effort)
            search = self._judge.candidates.search(text)
            at = 0
            ascii_only = text.isascii()
            reach = REACH_OF_RUN if ascii_only else REACH
            for start, stop in _whole(text, spots) if ascii_only else _joined(spots):
                at = max(at, start)
                if at >= stop:
                    continue
                effort.spend(SPOT_STEPS + (stop - at) // SEARCHED_PER_STEP)
                if at > trace.beside_end:
                    first = search(text, at, min(stop + reach, len(text)))
                    if first is None or first.start() >= stop:
                        at = stop
                        continue
                    at = first.start()
                at = self.walk(text, at, stop, trace, found, final=True, search=search, reach=reach)
        return found

    def walk(
        self,
        text: str,
        start: int,
        stop: int,
        trace: Trace,
        found: list[Found],
        *,
        final: bool,
        search: Search | None = None,
        reach: int = REACH,
    ) -> int:
        """Judges every group of digits that begins in `start..stop`, in order, and adds to `found`. `search` is the
        search for candidates in `text`, where it is known already, and `reach` how far behind `stop` it has to look.

        After a PAN it goes on beyond `stop` as far as a security code can stand beside it. Returns where it stopped:
        everything before is decided. Less than the text's length with `final` false: the group there waits for more.
        """
        at = start
        quick = min(stop, len(text) if final else len(text) - REACH)
        stretch = None
        if quick - at >= _WORTH_A_SEARCH:
            stretch = _Stretch(text, quick, trace, search or self._judge.candidates.search(text), reach)
        while (group := stretch.next(at) if stretch else _next_digits(text, at)) is not None:
            first, end = group.span()
            if first >= stop:
                return first
            at = end
            trace.effort.spend(GROUP_STEPS)
            if (first and text[first - 1].isdecimal()) or first < trace.masked_end == trace.row_end:
                continue
            if stretch is not None and (beyond := stretch.list_end(first, trace.masked_end)) > first:
                at = beyond
                continue
            announced = self._words.may_announce(text, first)
            if announced:
                trace.effort.spend(ANNOUNCED_STEPS)
            pan = self._pan_at(text, first, trace, final, announced)
            if isinstance(pan, Wait):
                return first
            track = self._track_at(text, first, end, pan, final)
            if isinstance(track, Wait):
                return first
            if track is not None:
                at = self._note_track(text, *track, trace, found)
            elif pan is not None:
                beside = pan.end + MAX_BESIDE + 1
                stop = max(stop, beside)
                if stretch is not None:
                    stretch.near = beside
                self._note(text, first, pan, trace, found)
            elif first >= trace.masked_end and not self._note_short(
                text, first, end, trace, found, final=final, announced=announced
            ):
                return first
        return len(text)

    def _pan_at(self, text: str, first: int, trace: Trace, final: bool, announced: bool) -> Pan | Wait | None:
        pan = self._judge.judge(text, first, trace.masked_end, final, announced, effort=trace.effort)
        if isinstance(pan, Pan) and first < trace.masked_end < pan.end:
            return self._overlapping(pan, text, trace, final)
        return pan

    def _overlapping(self, pan: Pan, text: str, trace: Trace, final: bool) -> Pan | Wait | None:
        """The PAN, unless its digits beyond the PAN before it begin a PAN of their own: two cards in a row."""
        rest = DIGITS.search(text, trace.masked_end)
        own = self._judge.judge(text, rest.start(), trace.masked_end, final, effort=trace.effort) if rest else None
        if isinstance(own, Wait):
            return own
        if own is None:
            return pan
        trace.row_end = trace.masked_end
        return None

    @staticmethod
    def _track_at(text: str, first: int, end: int, pan: Pan | None, final: bool) -> tuple[int, int] | Wait | None:
        """A track's PAN and data, from and to, where the group of digits at `first` begins one or ends with its PAN."""
        start = first if pan else pan_of_track(text, first, end, final)
        if start is None or isinstance(start, Wait):
            return start
        stop = track_end(text, pan.end if pan else end, final)
        if stop is None or isinstance(stop, Wait):
            return stop
        return None if _has_letters(text, start, stop) else (start, stop)

    def _note_short(
        self, text: str, first: int, end: int, trace: Trace, found: list[Found], *, final: bool, announced: bool
    ) -> bool:
        """Masks the group of digits, if it is a code, a PIN or an expiry. False: more text is needed."""
        short = self._short.judge(text, first, end, trace.pans, final=final, may_be_announced=announced)
        if isinstance(short, Wait):
            return False
        if short is not None and not _has_letters(text, first, short[1]):
            kind, trace.masked_end = short
            found.append(Found(first, trace.masked_end, kind))
        return True

    @staticmethod
    def _note_track(text: str, start: int, stop: int, trace: Trace, found: list[Found]) -> int:
        """Masks the track, or what a PAN that overlaps it has left of it. Where it ends."""
        if start < trace.masked_end:
            group = DIGITS.search(text, trace.masked_end, stop)
            start = group.start() if group else stop
        if start < stop:
            found.append(Found(start, stop, Kind.TRACK))
        trace.masked_end = max(trace.masked_end, stop)
        trace.pans = Pans()
        return stop

    @staticmethod
    def _note(text: str, first: int, pan: Pan, trace: Trace, found: list[Found]) -> None:
        """Masks the PAN, or what an overlapping PAN has left of it."""
        trace.pans = Pans(pan.ends, len(pan.digits))
        if first >= trace.masked_end:
            found.append(Found(first, pan.end, Kind.PAN, pan.digits))
        elif pan.end > trace.masked_end:
            group = DIGITS.search(text, trace.masked_end)
            if group is not None:
                found.append(Found(group.start(), pan.end, Kind.PAN, pan.digits, rest=True))
        trace.masked_end = max(trace.masked_end, pan.end)


def _has_letters(text: str, start: int, stop: int) -> bool:
    """Whether digits there are letters in the text that is viewed: these are read in PANs only."""
    return not text.isascii() and find_letters(text, start, stop) is not None
