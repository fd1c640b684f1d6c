"""Lists of numbers: like groups beside a candidate make a card of it a coincidence."""

import re
from functools import lru_cache

from extproc.core.masking.alphabet import GAP_BEFORE, MAX_GAP, SEPARATOR_CLASS, visible

# So many groups of like length on one side of a candidate, or on both, in its own spacing, make it a coincidence in a
# list of numbers. Cards as they are printed stand more.
NEIGHBOURS_OF_PRINTED = (3, 4)
NEIGHBOURS_OF_OTHERS = (2, 2)

# A group too short to be a PAN alone, with the gap after it.
_SHORT_GROUP = re.compile(rf"(\d{{1,11}})([{SEPARATOR_CLASS}]{{1,{MAX_GAP}}})(?=\d)")


def like_groups(lens: list[int], *, listed: bool) -> range:
    """The lengths of groups that are like those of a candidate. `listed`: punctuation separates them."""
    body = lens[:-1]
    return range(1, max(body) + 2) if listed else range(max(1, min(body) - 1), max(body) + 2)


def in_list(text: str, start: int, masked_end: int) -> bool:
    """Whether so many like groups stand before, in the spacing that follows, that no candidate here can be accepted.

    The quick form of `neighbours_before`, for long lists of short numbers.
    """
    group = _SHORT_GROUP.match(text, start)
    if group is None:
        return False
    count = group.end(1) - start
    return _in_row(text, start, visible(group[2]), range(max(1, count - 1), count + 2), masked_end)


def _in_row(text: str, start: int, spacing: str, like: range, masked_end: int) -> bool:
    spacings = frozenset((spacing,))
    return bool(spacing) and neighbours_before(text, start, spacings, like, masked_end) >= NEIGHBOURS_OF_PRINTED[0]


def list_end(text: str, start: int, masked_end: int) -> int:
    """Where the list of numbers ends in which the group at `start` stands: no group before that begins a PAN.

    `start` itself when it stands in no such list. The list has one spacing and groups of two neighbouring sizes, so
    each of them has like groups before it. Whether a word announces the group at `start` is not asked.
    """
    group = _SHORT_GROUP.match(text, start)
    if group is None or visible(group[2]) != group[2]:
        return start
    count = group.end(1) - start
    for least in (count, count - 1):
        if least and _in_row(text, start, group[2], range(least, least + 2), masked_end):
            row = _row(least, group[2]).match(text, start)
            return row.end() if row else start
    return start


@lru_cache(maxsize=256)
def _row(least: int, gap: str) -> re.Pattern[str]:
    """Groups of `least` digits, or one more, each with `gap` and another group behind it."""
    return re.compile(rf"(?:\d{{{least},{least + 1}}}+{re.escape(gap)}(?=\d))*+")


def neighbours_before(text: str, start: int, spacings: frozenset[str], like: range, masked_end: int) -> int:
    """How many like groups stand before, unmasked and in the candidate's own spacings."""
    most = NEIGHBOURS_OF_PRINTED[0]
    count = 0
    at = start
    while count < most:
        left = at
        while left > 0 and at - left < MAX_GAP and GAP_BEFORE.match(text[left - 1]):
            left -= 1
        if visible(text[left:at]) not in spacings or left == 0 or left <= masked_end or not text[left - 1].isdecimal():
            break
        first = left
        while first > 0 and left - first < like.stop and text[first - 1].isdecimal():
            first -= 1
        if left - first not in like:
            break
        count += 1
        at = first
    return count
