"""The cheap question before the dear one: which characters can a match begin with?

A piece of a stream in which none of them stands goes by for the price of one search.
"""

import functools
import operator
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
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


@dataclass(frozen=True, slots=True)
class Beginning:
    """One way to begin: with a character of `first`, with none of `apart_from` before it, and with `rest` behind it.

    `rest` is a pattern for `re`, which also matches where the text ends too soon to tell.
    """

    first: int
    apart_from: int
    rest: str


def beginnings(found: Iterable[Head], apart_from: int = 0) -> tuple[Beginning, ...]:
    """All ways to begin. Where the first character is in the set `apart_from`, no other of the set stands before it."""
    written: list[Beginning] = []
    for mask, rest in _by_first(found):
        for part, apart in ((mask & apart_from, apart_from), (mask & ~apart_from, 0)):
            if part:
                written.append(Beginning(part, apart, _written_rest(rest)))
    return tuple(written)


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

    def __init__(self, parts: Sequence[tuple[Beginning, ...]]) -> None:
        """`parts` are the beginnings of each rule."""
        firsts = [_union(one.first for one in part) for part in parts]
        every = [one for part in parts for one in part]
        # A search that can look for one set first is several times as fast; it stops behind that character, so that the
        # next search misses nothing.
        pattern = f"{write_mask(_union(firsts))}(?={_alternatives(every)})" if every else r"(?!)"
        self._in_ascii = re.compile(pattern, re.DOTALL).search
        in_view = re.compile(pattern.encode("ascii"), re.DOTALL)
        self._in_view = in_view.search
        self._next_in_view = in_view.finditer
        # By character: a bit for each rule of which a match can begin with it.
        self._by_first = [
            sum(1 << index for index, mask in enumerate(firsts) if mask >> code & 1) for code in range(256)
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


def pattern_starts(node: Node) -> tuple[Beginning, ...]:
    r"""The beginnings of a pattern; one that begins with `\b` begins apart from other word characters."""
    bounded = isinstance(node, Concat) and bool(node.items) and isinstance(node.items[0], Boundary)
    return beginnings(heads(node), WORD if bounded else 0)


def _union(masks: Iterable[int]) -> int:
    return functools.reduce(operator.or_, masks, 0)


def _alternatives(every: Iterable[Beginning]) -> str:
    """For behind the first character. What stands before it is asked once for all: most characters fail there."""
    groups: dict[int, dict[str, int]] = {}
    for one in every:
        rests = groups.setdefault(one.apart_from, {})
        rests[one.rest] = rests.get(one.rest, 0) | one.first
    written = []
    for apart_from, rests in groups.items():
        behind = f"(?<!{write_mask(apart_from)}.)" if apart_from else ""
        written.append(f"{behind}(?:{'|'.join(f'(?<={write_mask(mask)}){rest}' for rest, mask in rests.items())})")
    return f"(?:{'|'.join(written)})"
