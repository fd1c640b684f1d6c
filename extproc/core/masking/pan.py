"""Judges whether a PAN begins at a given digit: IIN and length, Luhn, grouping, and what speaks against it.

A judgement is final or `Wait.WAIT`. A final judgement never changes when more text arrives; that makes the masking of a
stream equal to the masking of the whole text.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from extproc.core.masking.alphabet import GAP, ascii_digits, visible
from extproc.core.masking.candidate import Candidates
from extproc.core.masking.context import Words
from extproc.core.masking.effort import GROUPED_STEPS, PART_STEPS, Effort
from extproc.core.masking.iin import MAX_IIN_DIGITS, MAX_PAN_DIGITS, MIN_PAN_DIGITS, IinTable, passes_luhn
from extproc.core.masking.neighbours import (
    NEIGHBOURS_OF_OTHERS,
    NEIGHBOURS_OF_PRINTED,
    in_list,
    like_groups,
    neighbours_before,
    stands_in_row,
)
from extproc.core.masking.run import (
    GROUP,
    Run,
    are_like_numbers,
    ends_truncated,
    has_weak,
    is_brand_layout,
    is_layout,
    is_printed,
    is_row_of_numbers,
    may_become_layout,
    read_run,
)
from extproc.core.masking.tokens import follows_integer, goes_on, in_hex_token, in_iban
from extproc.core.masking.wait import WAIT, Wait

# After a keyword neither IIN nor Luhn is asked: people mistype, and test numbers fail Luhn.
MIN_ANNOUNCED_DIGITS = 13
_ANNOUNCED_BITS = sum(1 << n for n in range(MIN_ANNOUNCED_DIGITS, MAX_PAN_DIGITS + 1))

# In a list, shorter ones are more often numbers of their own.
MIN_LISTED_GROUP = 3
# One that is longer than a year beside numbers of one kind makes four of them.
MIN_LIKE_GROUP = 5
# Beside letters that are taken for digits.
MIN_TRUE_DIGITS = 12

_FEW_GROUPS = 5
# E.164.
MAX_PHONE_DIGITS = 15
_match_years = re.compile(r"(?:(?:19|20)[0-9]{2}(?:[^0-9]+|\Z))+").fullmatch
# Characters before a candidate that a judgement may read.
LEFT_WINDOW = 128


@dataclass(frozen=True, slots=True)
class Pan:
    """A PAN in a text. `ends` are all offsets where a PAN that begins here can end, the longest first."""

    ends: tuple[int, ...]
    digits: str = field(repr=False)

    @property
    def end(self) -> int:
        return self.ends[0]


class PanJudge:
    """The PAN rules of one profile, compiled."""

    __slots__ = ("_words", "candidates", "table")

    def __init__(self, table: IinTable, words: Words) -> None:
        self.table = table
        self._words = words
        self.candidates = Candidates(table.prefixes)

    def judge(
        self,
        text: str,
        start: int,
        masked_end: int,
        final: bool,
        may_be_announced: bool = True,
        *,
        effort: Effort | None = None,
    ) -> Pan | Wait | None:
        """The PAN whose first digit is at `start`, where a group of digits begins, or `None` if there is none.

        Digits before `masked_end` are masked already. `final`: nothing follows `text`. `may_be_announced`: words
        that announce a number may stand before it. `effort` pays for numbers in groups.
        """
        announced = may_be_announced and self._words.pan_announced(text, start)
        if not announced and (not self.may_begin(text, start) or in_list(text, start, masked_end)):
            return None
        if ends_truncated(text, start):
            group = GROUP.match(text, start)
            end = group.end() if group else start
            if end - start <= 4 and end == len(text) and not final:
                return WAIT
            if end - start == 4:
                return None
        run = read_run(text, start, final)
        if effort is not None:
            _pay(run, effort)
        strong, weak = self.table.lengths(run.digits)
        if _may_grow(run, strong | weak | (_ANNOUNCED_BITS if announced else 0)):
            return WAIT
        place = Place(text, start, masked_end, final)
        pan = self._unsuppressed(place, run, find_shapes(run, strong, weak), announced)
        return self.announced_pan(run) if pan is None and announced else pan

    def may_begin(self, text: str, start: int) -> bool:
        head = text[start : start + MAX_IIN_DIGITS]
        return any(self.table.lengths(ascii_digits(head[: _digit_count(head)])))

    def _unsuppressed(
        self, place: "Place", run: Run, shapes: Iterator[tuple[int, int]], announced: bool
    ) -> Pan | Wait | None:
        ends: list[int] = []
        longest = 0
        for last, count in shapes:
            end = run.ends[last]
            if not announced:
                against = self.suppressed(place, end, *run.layout(last))
                if against is WAIT:
                    return WAIT
                if against:
                    continue
            ends.append(end)
            longest = longest or count
        return Pan(tuple(ends), run.digits[:longest]) if ends else None

    @staticmethod
    def announced_pan(run: Run) -> Pan | None:
        """The number that a keyword announced, whatever its IIN and check digit: printed layouts before others."""
        other: Pan | None = None
        for last, count in run_lengths(run):
            if count < MIN_ANNOUNCED_DIGITS:
                break
            if count == MIN_ANNOUNCED_DIGITS and "14" <= run.digits[:2] <= "19":
                continue  # a time in milliseconds, from 2014 to 2033, and no brand's
            lens, gaps = run.layout(last)
            if is_layout(lens, gaps) and not _too_many_letters(run, count, lens):
                pan = Pan((run.ends[last],), run.digits[:count])
                if len(lens) == 1 or (is_brand_layout(lens) and lens[-1] > 2):
                    return pan
                other = other or pan
        return other

    def suppressed(self, place: "Place", end: int, lens: list[int], gaps: list[str]) -> bool | Wait:
        text, start = place.text, place.start
        before = text[start - 1] if start else ""
        printed = is_printed(lens)
        # Of a row of decimals, where the groups are printed as on a card.
        decimals = not printed or any("." in gap for gap in gaps)
        if decimals and before == "." and start - 1 > place.masked_end and follows_integer(text, start - 1):
            return True
        if not printed:
            if before == "+" and sum(lens) <= MAX_PHONE_DIGITS:
                return True
            beyond = goes_on(text, end, len(lens) > 1, place.final)
            if beyond is not False:
                return beyond
        hexadecimal = in_hex_token(text, start, end, place.final)
        if hexadecimal is not False:
            return hexadecimal
        iban = in_iban(text, start, end, place.final)
        if iban is not False:
            return iban
        if len(lens) == 1:
            return False
        if _match_years(text, start, end) or stands_in_row(text, start, gaps):
            return True
        spacings = frozenset(gaps)
        listed = has_weak(spacings)
        like = like_groups(lens, listed=listed)
        one_side, both_sides = NEIGHBOURS_OF_PRINTED if is_brand_layout(lens) and not listed else NEIGHBOURS_OF_OTHERS
        if are_like_numbers(lens):
            beside = self._neighbour(place, end, spacings, range(MIN_LIKE_GROUP, max(lens) + 2))
            if beside is not False:
                return beside
        if listed and max(lens) < MIN_LISTED_GROUP:
            one_side = both_sides = 1
        before_count = neighbours_before(text, start, spacings, like, place.masked_end)
        if before_count >= one_side:
            return True
        enough = min(one_side, both_sides - before_count)
        in_row = before_count <= 1 and not listed
        return self._neighbours_after(place, end, spacings, like, enough=enough, in_row=in_row)

    def _neighbour(self, place: "Place", end: int, spacings: frozenset[str], like: range) -> bool | Wait:
        """Whether a like group stands on either side."""
        if neighbours_before(place.text, place.start, spacings, like, place.masked_end):
            return True
        return self._neighbours_after(place, end, spacings, like, enough=1, in_row=True)

    def _neighbours_after(
        self, place: "Place", end: int, spacings: frozenset[str], like: range, *, enough: int, in_row: bool
    ) -> bool | Wait:
        """Whether `enough` like groups follow. `in_row`: a group that begins a card of its own is no neighbour."""
        text, final = place.text, place.final
        size = len(text)
        at = end
        for _ in range(enough):
            match = GAP.match(text, at)
            if match is None:
                return False
            spacing = visible(match.group())
            if match.end() == size:
                return WAIT if not final and any(gap.startswith(spacing) for gap in spacings) else False
            if spacing not in spacings:
                return False
            group = GROUP.match(text, match.end())
            if group is None:
                return False
            count = group.end() - group.start()
            if count >= like.stop:
                return False
            if group.end() == size and not final:
                return WAIT
            if count not in like:
                return False
            card = in_row and self._begins_shape(text, group.start(), final)
            if card is not False:
                return WAIT if card is WAIT else False
            at = group.end()
        return True

    def _begins_shape(self, text: str, start: int, final: bool) -> bool | Wait:
        run = read_run(text, start, final)
        strong, weak = self.table.lengths(run.digits)
        if _may_grow(run, strong | weak):
            return WAIT
        return next(find_shapes(run, strong, weak), None) is not None


@dataclass(frozen=True, slots=True)
class Place:
    """Where a candidate begins, and what is known around it."""

    text: str = field(repr=False)
    start: int
    masked_end: int
    final: bool


def _pay(run: Run, effort: Effort) -> None:
    groups = len(run.lens)
    if groups > _FEW_GROUPS:
        effort.spend(PART_STEPS * groups)
    if groups > 1 and len(run.digits) >= MIN_PAN_DIGITS:
        effort.spend(GROUPED_STEPS)


def run_lengths(run: Run) -> list[tuple[int, int]]:
    """Groups where a PAN can end, with the number of digits up to there, the longest first."""
    found: list[tuple[int, int]] = []
    total = 0
    for index in range(len(run.lens) - run.open_digits):
        total += run.lens[index]
        if total >= MIN_PAN_DIGITS:
            found.append((index, total))
    found.reverse()
    return found


def find_shapes(run: Run, strong: int, weak: int) -> Iterator[tuple[int, int]]:
    """Groups where a number ends that looks like a PAN, with its count of digits, the longest first."""
    weak &= ~strong
    for last, count in run_lengths(run):
        bit = 1 << count
        if not (strong | weak) & bit or not passes_luhn(run.digits[:count]):
            continue
        lens, gaps = run.layout(last)
        if _too_many_letters(run, count, lens) or is_row_of_numbers(lens):
            continue
        if is_layout(lens, gaps) and (strong & bit or (len(lens) > 1 and is_brand_layout(lens))):
            yield last, count


def _too_many_letters(run: Run, count: int, lens: list[int]) -> bool:
    """Whether letters that stand for digits make this no number: most digits are ones, and the layout is a card's."""
    letters = sum(1 for at in run.folded if at < count)
    return letters > 0 and (count - letters < MIN_TRUE_DIGITS or not (len(lens) == 1 or is_brand_layout(lens)))


def _may_grow(run: Run, bits: int) -> bool:
    """Whether more text can make an open run a longer candidate of one of the lengths in `bits`."""
    if not run.open_digits and not run.open_gap:
        return False
    if not bits >> (len(run.digits) + run.open_gap):
        return False
    if not run.lens:
        return True
    lens, gaps = run.layout(len(run.lens) - 1)
    return may_become_layout(lens, gaps) or (run.open_gap and may_become_layout([*lens, 0], gaps))


def _digit_count(text: str) -> int:
    return next((index for index, char in enumerate(text) if not char.isdecimal()), len(text))
