"""The cheap question before the dear one: which characters can a match begin with?

A piece of a stream in which none of them stands goes by for the price of one search.
"""

import re
from collections.abc import Iterable, Sequence
from typing import Final, TypeAlias

from extproc.core.masking.pattern import WORD, Boundary, Chars, Choice, Concat, Node, Repeat, Value, write_mask

Head: TypeAlias = tuple[int, ...]
"""The sets of the first characters of some matches. Shorter than asked for where a match may end there."""

MAX_DEPTH: Final = 3
MAX_HEADS: Final = 512
"""More are not told apart to that depth: the search for them would be slow."""


def heads(node: Node) -> frozenset[Head]:
    """How matches of a tree begin, up to `MAX_DEPTH` characters."""
    return next(
        found for depth in range(MAX_DEPTH, 0, -1) if len(found := _heads(node, depth)) <= MAX_HEADS or depth == 1
    )


def _heads(node: Node, depth: int) -> frozenset[Head]:
    match node:
        case Chars():
            return frozenset([(node.mask,)[:depth]])
        case Boundary():
            return frozenset([()])
        case Concat():
            found = frozenset[Head]([()])
            for item in node.items:
                if all(len(head) == depth for head in found):
                    break
                found = _followed(found, _heads(item, depth), depth)
            return found
        case Choice():
            return frozenset[Head]().union(*(_heads(item, depth) for item in node.items))
        case Repeat():
            inner = _heads(node.item, depth)
            found = row = frozenset[Head]([()])
            for count in range(1, (depth if node.most is None else min(node.most, depth)) + 1):
                row = _followed(row, inner, depth)
                found = found | row if count > node.least else row
            return found
        case Value():
            return _heads(node.item, depth)


def _followed(found: frozenset[Head], more: frozenset[Head], depth: int) -> frozenset[Head]:
    return frozenset((head + rest)[:depth] for head in found for rest in more)


def written_starts(found: Iterable[Head], apart_from: int = 0) -> tuple[int, str]:
    """The set of first characters, and what then tells a beginning, as a pattern for `re` that stands behind the first.

    Where the first character is in the set `apart_from`, no other of the set may stand before it.
    """
    rests = _by_first(found)
    firsts = 0
    branches: list[str] = []
    for mask, rest in rests:
        firsts |= mask
        for part, apart in ((mask & apart_from, True), (mask & ~apart_from, False)):
            if part:
                behind = f"(?<!{write_mask(apart_from)}.)" if apart else ""
                branches.append(f"(?<={write_mask(part)}){behind}{_written_rest(rest)}")
    return firsts, "|".join(branches)


def _by_first(found: Iterable[Head]) -> list[tuple[int, frozenset[Head]]]:
    """First sets with what may follow them; sets with the same continuation are one."""
    rests: dict[int, set[Head]] = {}
    for head in found:
        if head:
            rests.setdefault(head[0], set()).add(head[1:])
    masks: dict[frozenset[Head], int] = {}
    for mask, rest in rests.items():
        key = frozenset([()]) if () in rest else frozenset(rest)
        masks[key] = masks.get(key, 0) | mask
    return [(mask, rest) for rest, mask in masks.items()]


def _written_rest(rest: frozenset[Head]) -> str:
    if () in rest:
        return ""
    branches = [write_mask(mask) + _written_rest(deeper) for mask, deeper in _by_first(rest)]
    return f"(?:{'|'.join(branches)}|\\Z)"


class Starts:
    """Where matches of some rules can begin; at the end of a text, where they could with more text."""

    __slots__ = ("_by_first", "_in_ascii", "_in_view", "_next_in_view")

    def __init__(self, parts: Sequence[tuple[int, str]]) -> None:
        """`parts`, one for each rule, as `written_starts` gives them."""
        firsts = 0
        for mask, _ in parts:
            firsts |= mask
        # A search that can look for one set first is several times as fast; it stops behind that character, so that the
        # next search misses nothing.
        rest = "|".join(dict.fromkeys(branch for mask, branch in parts if mask))
        pattern = f"{write_mask(firsts)}(?=(?:{rest}))" if firsts else r"(?!)"
        self._in_ascii = re.compile(pattern, re.DOTALL).search
        in_view = re.compile(pattern.encode("ascii"), re.DOTALL)
        self._in_view = in_view.search
        self._next_in_view = in_view.finditer
        # By character: a bit for each rule of which a match can begin with it.
        self._by_first = [
            sum(1 << index for index, (mask, _) in enumerate(parts) if mask >> code & 1) for code in range(256)
        ]

    def search_ascii(self, text: str) -> re.Match[str] | None:
        """The first beginning in an ASCII text."""
        return self._in_ascii(text)

    def search(self, view: bytes, at: int = 0) -> re.Match[bytes] | None:
        """The first beginning from `at` on; what stands before is looked at."""
        return self._in_view(view, at)

    def rules(self, view: bytes, at: int) -> int:
        """A bit for each rule of which a match may begin from `at` on, and for some others."""
        found = 0
        by_first = self._by_first
        for start in self._next_in_view(view, at):
            found |= by_first[view[start.start()]]
        return found


def pattern_starts(node: Node) -> tuple[int, str]:
    r"""`written_starts` of a pattern; one that begins with `\b` begins apart from other word characters."""
    bounded = isinstance(node, Concat) and bool(node.items) and isinstance(node.items[0], Boundary)
    return written_starts(heads(node), WORD if bounded else 0)
