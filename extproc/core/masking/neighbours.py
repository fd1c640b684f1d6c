"""Lists of numbers: like groups beside a candidate make a card of it a coincidence."""

import re
from functools import lru_cache

from extproc.core.masking.alphabet import MAX_GAP, SEPARATOR_CLASS, TABLE_GAP, WEAK_GAP, visible
from extproc.core.masking.iin import MAX_PAN_DIGITS

# So many groups of like length on one side of a candidate, or on both, in its own spacing, make it a coincidence in a
# list of numbers. Cards as they are printed stand more.
NEIGHBOURS_OF_PRINTED = (3, 4)
NEIGHBOURS_OF_OTHERS = (2, 2)

# From right to left: a gap, and the group before it. Nobody counts more digits than a candidate has, and a few.
_match_neighbour = re.compile(rf"([{SEPARATOR_CLASS}]{{1,{MAX_GAP}}})(\d{{1,{MAX_PAN_DIGITS + 3}}})").match
_BEFORE = NEIGHBOURS_OF_PRINTED[0] * (MAX_GAP + MAX_PAN_DIGITS + 3)

# A group too short to be a PAN alone, with the gap after it.
_SHORT_GROUP = re.compile(rf"(\d{{1,11}})([{SEPARATOR_CLASS}]{{1,{MAX_GAP}}})(?=\d)")


# As numbers in a list or table are separated, and not the groups of one number in a sentence.
_row_gap = re.compile(rf"[^\S ]|[,;:|{WEAK_GAP}{TABLE_GAP}]|  ").search
_AFTER_LABEL = r"[%.)\"'*]{0,3}"
_AS_SHOWN = str.maketrans(dict.fromkeys(",;:", WEAK_GAP))
_match_label = re.compile(rf"([{SEPARATOR_CLASS},;:|]{{1,{MAX_GAP}}}){_AFTER_LABEL}[^\W\d_]").match
# The label has a cell of its own.
_ends_in_cell = re.compile(
    rf"[^\W\d_]{_AFTER_LABEL}\s*</t[dh]>\s*<t[dh][^<>]{{0,20}}>\Z|\|[^|\n]*[^\W\d_]{_AFTER_LABEL} ?\| ?\Z",
    re.IGNORECASE,
).search
_CELL_WINDOW = 64


def stands_in_row(text: str, start: int, gaps: list[str]) -> bool:
    """Whether the groups are the numbers of a row of a table: behind its label, in their own spacing.

    So that "Revenue,4322,4886,8999,6601" stays. Whether a word announces a card is not asked.
    """
    gap = gaps[0]
    if any(other != gap for other in gaps) or _row_gap(gap) is None:
        return False
    if TABLE_GAP in gap:
        return _ends_in_cell(text[max(0, start - _CELL_WINDOW) : start]) is not None
    label = _match_label(text[max(0, start - MAX_GAP - 4) : start][::-1])
    return label is not None and visible(label[1][::-1]).translate(_AS_SHOWN) == gap


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
    before = text[max(0, start - _BEFORE) : start][::-1]
    count = at = 0
    while count < NEIGHBOURS_OF_PRINTED[0]:
        match = _match_neighbour(before, at)
        if match is None or len(match[2]) not in like:
            break
        if start - match.end(1) <= masked_end or visible(match[1][::-1]) not in spacings:
            break
        count += 1
        at = match.end()
    return count
