"""The patterns of rules as trees, and what follows from a tree: lengths, prefixes, first characters, the tail.

A character is a bit of a mask of 256: patterns are matched over the bytes of `view`.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final, TypeAlias

ALL: Final = (1 << 256) - 1


@dataclass(frozen=True, slots=True)
class Chars:
    """One character of a set."""

    mask: int


@dataclass(frozen=True, slots=True)
class Boundary:
    r"""`\b`."""


@dataclass(frozen=True, slots=True)
class Concat:
    items: tuple["Node", ...]


@dataclass(frozen=True, slots=True)
class Choice:
    items: tuple["Node", ...]


@dataclass(frozen=True, slots=True)
class Repeat:
    """`most` is None where nothing bounds it. `position` is where the quantifier stands in the source."""

    item: "Node"
    least: int
    most: int | None
    position: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True)
class Value:
    """The group that is replaced, in place of all of the match."""

    item: "Node"


Node: TypeAlias = Chars | Boundary | Concat | Choice | Repeat | Value
EMPTY: Final[Node] = Concat(())


def mask_of(characters: str) -> int:
    """The set of these ASCII characters."""
    mask = 0
    for character in characters:
        mask |= 1 << ord(character)
    return mask


WORD: Final = mask_of("0123456789_abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ")


def write(node: Node) -> str:
    """The tree as a pattern of RE2; the group `value` is its only group."""
    match node:
        case Chars():
            return write_mask(node.mask)
        case Boundary():
            return r"\b"
        case Concat():
            return "".join(map(write, node.items))
        case Choice():
            return f"(?:{'|'.join(map(write, node.items))})"
        case Repeat():
            inner = write(node.item)
            inner = inner if isinstance(node.item, Chars) else f"(?:{inner})"
            bounds = f"{node.least},{'' if node.most is None else node.most}"
            return f"{inner}{{{bounds}}}"
        case Value():
            return f"({write(node.item)})"


def write_mask(mask: int) -> str:
    """A set as a class, for RE2 in Latin-1 and for `re` over bytes and ASCII alike."""
    parts = [f"\\x{low:02x}" if low == high else f"\\x{low:02x}-\\x{high:02x}" for low, high in _ranges(mask)]
    return f"[{''.join(parts)}]"


def _ranges(mask: int) -> Iterator[tuple[int, int]]:
    low = -1
    for code in range(257):
        if mask >> code & 1:
            low = code if low < 0 else low
        elif low >= 0:
            yield low, code - 1
            low = -1


def shortest(node: Node) -> int:
    """Fewest characters of a match."""
    match node:
        case Chars():
            return 1
        case Boundary():
            return 0
        case Concat():
            return sum(map(shortest, node.items))
        case Choice():
            return min(map(shortest, node.items))
        case Repeat():
            return shortest(node.item) * node.least
        case Value():
            return shortest(node.item)


def longest(node: Node) -> int | None:
    """Most characters of a match, or None where nothing bounds them."""
    match node:
        case Chars():
            return 1
        case Boundary():
            return 0
        case Concat():
            return _sum(map(longest, node.items))
        case Choice():
            lengths = [longest(item) for item in node.items]
            return None if None in lengths else max(length or 0 for length in lengths)
        case Repeat():
            length = longest(node.item)
            if length == 0 or node.most == 0:
                return 0
            return None if length is None or node.most is None else length * node.most
        case Value():
            return longest(node.item)


def _sum(lengths: Iterator[int | None]) -> int | None:
    total = 0
    for length in lengths:
        if length is None:
            return None
        total += length
    return total


def unbounded(node: Node) -> Iterator[Repeat]:
    """Every repetition that nothing bounds."""
    match node:
        case Concat() | Choice():
            for item in node.items:
                yield from unbounded(item)
        case Repeat():
            if node.most is None:
                yield node
            yield from unbounded(node.item)
        case Value():
            yield from unbounded(node.item)


def split_tail(node: Node) -> tuple[Node, int]:
    """The tree with the unbounded repetition of a class at its very end cut to the least, and that class; 0 if none.

    The longest match of the tree is the longest match of the cut one with all characters of the class that follow it.
    """
    match node:
        case Repeat(item=Chars() as item, most=None):
            return (Repeat(item, node.least, node.least) if node.least else EMPTY), item.mask
        case Concat() if node.items:
            last, mask = split_tail(node.items[-1])
            return Concat((*node.items[:-1], last)), mask
        case Value():
            inner, mask = split_tail(node.item)
            return Value(inner), mask
        case _:
            return node, 0


def needed(node: Node) -> bytes:
    """A character that every match has in it; a sign rather than a letter or digit, and empty where there is none."""
    match node:
        case Chars():
            return bytes([node.mask.bit_length() - 1]) if node.mask.bit_count() == 1 else b""
        case Concat():
            found = [one for one in map(needed, node.items) if one]
            return next((one for one in found if not one.isalnum()), found[0] if found else b"")
        case Repeat() if node.least:
            return needed(node.item)
        case Value():
            return needed(node.item)
        case Choice():
            first, *others = {needed(item) for item in node.items}
            return b"" if others else first
        case _:
            return b""


def has_value(node: Node) -> bool:
    """Whether the group `value` is in the tree."""
    match node:
        case Value():
            return True
        case Concat() | Choice():
            return any(map(has_value, node.items))
        case _:
            return False


def ends_in_value(node: Node) -> bool:
    """Whether nothing stands behind the group `value`."""
    return isinstance(node, Value) or (isinstance(node, Concat) and bool(node.items) and ends_in_value(node.items[-1]))


def prefixes(node: Node) -> Node | None:
    r"""A tree for everything but the empty text that a match of `node` can begin with, itself included.

    None where that is nothing. Boundaries are left out, so that it takes in a little more; only one at the very
    beginning stays, where both characters that it looks at are there. Nothing in `node` is unbounded.
    """
    found = _prefixes(node)
    if found is not None and isinstance(node, Concat) and node.items and isinstance(node.items[0], Boundary):
        return Concat((Boundary(), found))
    return found


def _prefixes(node: Node) -> Node | None:
    match node:
        case Chars():
            return node
        case Boundary():
            return None
        case Value():
            return _prefixes(node.item)
        case Choice():
            found = [one for one in map(_prefixes, node.items) if one is not None]
            return Choice(tuple(found)) if found else None
        case Repeat(item=Chars() as item, most=int(most)):
            return Repeat(item, 1, most) if most else None
        case Repeat():
            inner = _prefixes(node.item)
            if inner is None or not node.most:
                return None
            return inner if node.most == 1 else Concat((Repeat(_plain(node.item), 0, node.most - 1), inner))
        case Concat():
            return _prefixes_of_row(node.items)


def _prefixes_of_row(items: tuple[Node, ...]) -> Node | None:
    rest: Node | None = None
    for item in reversed(items):
        own = _prefixes(item)
        if rest is None or own is None:
            rest = rest or own
        elif isinstance(item, Chars):
            rest = Concat((item, Repeat(rest, 0, 1)))
        elif isinstance(item, Repeat) and isinstance(item.item, Chars) and item.least:
            # As below, but the repetition is written once.
            going_on = Concat((item, Repeat(rest, 0, 1)))
            rest = Choice((Repeat(item.item, 1, item.least - 1), going_on)) if item.least > 1 else going_on
        else:
            rest = Choice((own, Concat((_plain(item), rest))))
    return rest


def _plain(node: Node) -> Node:
    """The tree without boundaries."""
    match node:
        case Boundary():
            return EMPTY
        case Concat():
            return Concat(tuple(map(_plain, node.items)))
        case Choice():
            return Choice(tuple(map(_plain, node.items)))
        case Repeat():
            return Repeat(_plain(node.item), node.least, node.most)
        case Value():
            return _plain(node.item)
        case Chars():
            return node
