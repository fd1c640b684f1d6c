"""Reads digits and the gaps between them, from one digit on, as far as one PAN can reach."""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field

from extproc.core.masking.alphabet import GAP, SOFT_GAP, TABLE_GAP, WEAK_GAP, ascii_digits, find_all_folded, visible
from extproc.core.masking.iin import GROUPINGS, MAX_PAN_DIGITS
from extproc.core.masking.wait import WAIT, Wait

_MIN_LOOSE_GROUP = 3
# Cards whose groups are separated by punctuation, as numbers in a list are. Ones and pairs are the others.
LISTED = ((4, 4, 4, 4), (4, 4, 4, 4, 3), (4, 6, 5), (4, 6, 4))
_MAX_PAIR = 2
# The only other cards of two and three groups: numbers beside each other are a value and its time, or the like.
FEW = frozenset(((8, 8), (4, 12), (12, 4), (4, 4, 8), (4, 8, 4), (8, 4, 4), (5, 5, 6), (6, 4, 6), (6, 6, 4), (4, 6, 6)))
_MAX_FEW = 3
_MAX_PRINTED = 6
# Groups of so many digits, or of one more or less, are numbers of one kind.
_LIKE_NUMBERS = 5
_TABLE_GAP = re.compile(r"[\t\n\r\v\f\x85\u2028\u2029]").search

# One digit more than a PAN can have is enough to know that a group is too long.
GROUP = re.compile(f"\\d{{1,{MAX_PAN_DIGITS + 1}}}")

# A truncated PAN is our own mask: its digits are never part of another PAN.
_TRUNCATED_REST = re.compile(r"\*{4,9}\d{4}")
_TRUNCATED_OPEN = re.compile(r"\*{1,9}\d{0,4}\Z")
_TRUNCATED_BEFORE = re.compile(r"(?<!\d)\d{6}\*{4,9}\Z")
_TRUNCATED_WINDOW = 16


@dataclass(frozen=True, slots=True)
class Run:
    """Groups of digits that begin at one place, at most 19 digits.

    `ends` are offsets in the text; `lens` and `gaps` describe the groups. A gap that does not show is empty in `gaps`.
    `folded` are the places in `digits` of those that are letters in the text.
    `open_digits`: the last group may still grow or turn out to be a mask. `open_gap`: another group may follow.
    """

    digits: str = field(repr=False)
    ends: tuple[int, ...]
    lens: tuple[int, ...]
    gaps: tuple[str, ...]
    open_digits: bool
    open_gap: bool
    folded: tuple[int, ...] = ()

    def layout(self, last: int) -> tuple[list[int], list[str]]:
        """Group lengths and gaps as a reader sees them, up to group `last`."""
        return _merged(self.lens[: last + 1], self.gaps[:last])


def _merged(lens: tuple[int, ...], gaps: tuple[str, ...]) -> tuple[list[int], list[str]]:
    if all(gaps):
        return list(lens), list(gaps)
    shown_lens, shown_gaps = [lens[0]], []
    for gap, count in zip(gaps, lens[1:], strict=True):
        if gap:
            shown_gaps.append(gap)
            shown_lens.append(count)
        else:
            shown_lens[-1] += count
    return shown_lens, shown_gaps


def read_run(text: str, start: int, final: bool) -> Run:
    """The run at `start`, where a group of digits begins. `final`: nothing follows `text`."""
    ends: list[int] = []
    lens: list[int] = []
    gaps: list[str] = []
    total, at, size = 0, start, len(text)
    open_digits = open_gap = False
    gap = first_gap = ""
    first_count = 0
    while True:
        match = GROUP.match(text, at)
        if match is None:
            break
        end = match.end()
        count = end - at
        if total + count > MAX_PAN_DIGITS:
            break
        unsettled = end == size and not final
        truncated = begins_truncated(text, at, end, final)
        if truncated is True:
            break
        unsettled = unsettled or truncated is WAIT
        if gap and first_gap and gap != first_gap and first_count != 4:
            # Only cards printed in fours change their spacing on the way.
            break
        first_gap = first_gap or gap
        first_count += 0 if first_gap else count
        if ends:
            gaps.append(gap)
        ends.append(end)
        lens.append(count)
        total += count
        if unsettled:
            open_digits = True
            break
        match = GAP.match(text, end)
        if match is None:
            break
        at = match.end()
        if at == size:
            open_gap = not final
            break
        gap = visible(text[end:at])
    written = "".join(text[e - n : e] for e, n in zip(ends, lens, strict=True))
    folded = () if written.isascii() else tuple(match.start() for match in find_all_folded(written))
    return Run(ascii_digits(written), tuple(ends), tuple(lens), tuple(gaps), open_digits, open_gap, folded)


def begins_truncated(text: str, start: int, end: int, final: bool) -> bool | Wait:
    """Whether the digits from `start` to `end` begin a truncated PAN. `final`: nothing follows `text`."""
    if end - start != 6 or not text.startswith("*", end):
        return False
    if not final and _TRUNCATED_OPEN.match(text, end):
        return WAIT
    return _TRUNCATED_REST.match(text, end) is not None


def ends_truncated(text: str, start: int) -> bool:
    """Whether the digits at `start` stand where the last four of a truncated PAN stand."""
    if start == 0 or text[start - 1] != "*":
        return False
    return _TRUNCATED_BEFORE.search(text, max(0, start - _TRUNCATED_WINDOW), start) is not None


def has_weak(gaps: Iterable[str]) -> bool:
    """Whether punctuation stands between the groups."""
    return any(WEAK_GAP in gap or TABLE_GAP in gap for gap in gaps)


def _is_even(lens: list[int]) -> bool:
    """Ones, or pairs with a shorter rest."""
    return lens[0] <= _MAX_PAIR and all(n == lens[0] for n in lens[:-1]) and lens[-1] <= lens[0]


def _is_row_of_fours(lens: list[int], gaps: list[str]) -> bool:
    """Fours with a shorter rest, in the cells of a table."""
    return TABLE_GAP in gaps[0] and all(n == 4 for n in lens[:-1]) and lens[-1] <= 4


def _begins(lens: list[int], form: tuple[int, ...]) -> bool:
    whole = lens[:-1]
    return len(form) > len(whole) and tuple(whole) == form[: len(whole)] and lens[-1] <= form[len(whole)]


def is_brand_layout(lens: list[int]) -> bool:
    """Whether the groups are how cards are printed: fours with a short rest, 4-6-5, 4-6-4 and the like."""
    return tuple(lens) in GROUPINGS or (all(n == 4 for n in lens[:-1]) and 1 <= lens[-1] <= 4)


def is_printed(lens: list[int]) -> bool:
    """Whether the groups are as on the card itself: of no more than six digits."""
    return len(lens) > 1 and max(lens) <= _MAX_PRINTED and is_brand_layout(lens)


def is_layout(lens: list[int], gaps: list[str]) -> bool:
    """Whether people write one number like this.

    One group; a brand's grouping with any gaps; with the same gap throughout, ones and pairs; with the same space or
    dash throughout, groups of three and more with any rest, but for what numbers in a row look like. With the
    punctuation of lists, the same throughout, the commonest groupings and ones and pairs only.
    """
    if len(lens) == 1:
        return True
    if has_weak(gaps):
        return len(set(gaps)) == 1 and (tuple(lens) in LISTED or _is_even(lens) or _is_row_of_fours(lens, gaps))
    if is_brand_layout(lens) and (max(lens) <= _MAX_PRINTED or all(map(SOFT_GAP.match, gaps))):
        return True
    if any(gap != gaps[0] for gap in gaps):
        return False
    if _is_even(lens):
        return lens[0] == 1 or not _TABLE_GAP(gaps[0])
    if min(lens[:-1]) < _MIN_LOOSE_GROUP or SOFT_GAP.match(gaps[0]) is None:
        return False
    if len(lens) <= _MAX_FEW:
        return tuple(lens) in FEW
    return (len(set(lens[:-1])) == 1 and lens[-1] < lens[0]) or not is_row_of_numbers(lens)


def is_row_of_numbers(lens: list[int]) -> bool:
    """Whether the groups rather are four numbers, such as ports, than one."""
    return len(lens) > _MAX_FEW and are_like_numbers(lens)


def are_like_numbers(lens: list[int]) -> bool:
    """Whether the groups have five digits and more, or nearly: as numbers of one kind, when another stands beside."""
    return max(lens) >= _LIKE_NUMBERS and max(lens) - min(lens) <= 1


def may_become_layout(lens: list[int], gaps: list[str]) -> bool:
    """Whether more digits in the last group (0 for one that has not begun), or more groups, can make it a layout."""
    if len(lens) == 1:
        return True
    whole, last = lens[:-1], lens[-1]
    if has_weak(gaps):
        if len(set(gaps)) > 1:
            return False
        return _is_even(lens) or any(_begins(lens, form) for form in LISTED) or _is_row_of_fours(lens, gaps)
    if all(n == 4 for n in whole) or any(
        tuple(whole) == brand[: len(whole)] and len(brand) > len(whole) and last <= brand[len(whole)]
        for brand in GROUPINGS
    ):
        return True
    if any(gap != gaps[0] for gap in gaps):
        return False
    if _is_even(lens):
        return True
    return min(whole) >= _MIN_LOOSE_GROUP and (not gaps or SOFT_GAP.match(gaps[0]) is not None)
