"""Issuer identification numbers: which digit prefixes are payment cards, and how long those PANs are.

The table is `iin.toml`, which says what it is made of, and as of when.
"""

import importlib.resources
import tomllib
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final


class Tier(StrEnum):
    """How much a brand's IIN and length say; explained in `iin.toml`."""

    STRONG = "strong"
    NATIONAL = "national"
    WEAK = "weak"


MIN_PAN_DIGITS = 12
MAX_PAN_DIGITS = 19
MAX_IIN_DIGITS = 8


@dataclass(frozen=True, slots=True)
class Brand:
    """One row: the PANs of a brand begin with one of `prefixes` and have one of `lengths` digits."""

    name: str
    prefixes: tuple[str, ...]
    lengths: tuple[int, ...]
    tier: Tier
    groupings: tuple[tuple[int, ...], ...]

    @classmethod
    def of(cls, row: dict[str, Any]) -> "Brand":
        """Raises `ValueError` for a tier that does not exist, and for a range that holds nothing."""
        prefixes = tuple(str(number) for part in row["prefixes"] for number in _span(part))
        return cls(row["name"], prefixes, tuple(row["lengths"]), Tier(row["tier"]), _groupings(row))


def _span(text: str) -> range:
    """The inclusive range that `a-b`, or `a` alone, writes."""
    low, _, high = text.partition("-")
    if high and (len(low) != len(high) or low > high):
        raise ValueError(f"{text} is no range of prefixes of one length")
    return range(int(low), int(high or low) + 1)


def _groupings(row: dict[str, Any]) -> tuple[tuple[int, ...], ...]:
    return tuple(tuple(map(int, text.split("-"))) for text in row.get("groupings", ()))


_DATA: Final = tomllib.loads(importlib.resources.files("extproc.core.masking").joinpath("iin.toml").read_text("ascii"))

AS_OF: Final[str] = _DATA["as_of"]
"""The day as of which the table holds, `YYYY-MM-DD`."""
BRANDS: Final = tuple(map(Brand.of, _DATA["brands"]))
GROUPINGS: Final = frozenset({*_groupings(_DATA["announced"]), *(form for brand in BRANDS for form in brand.groupings)})
"""The lengths of the groups of cards that are not printed in fours."""


_WEAK_SHIFT = 32
_STRONG_BITS = (1 << _WEAK_SHIFT) - 1


class IinTable:
    """Answers which PAN lengths are possible for the digits seen so far, as bit sets (bit n: n digits)."""

    __slots__ = ("_below", "_ends")

    def __init__(self, strong: Iterable[Tier]) -> None:
        """`strong` are the tiers that need no more than IIN, length and Luhn. The weak tier is always there."""
        wanted = frozenset(strong)
        self._ends: dict[str, int] = {}
        self._below: dict[str, int] = {}
        for brand in BRANDS:
            bits = sum(1 << count for count in brand.lengths)
            if brand.tier is Tier.WEAK:
                bits <<= _WEAK_SHIFT
            elif brand.tier not in wanted:
                continue
            for prefix in brand.prefixes:
                self._add(prefix, bits)

    @property
    def prefixes(self) -> frozenset[str]:
        """Every IIN of the table."""
        return frozenset(self._ends)

    def _add(self, prefix: str, bits: int) -> None:
        self._ends[prefix] = self._ends.get(prefix, 0) | bits
        for cut in range(1, len(prefix)):
            head = prefix[:cut]
            self._below[head] = self._below.get(head, 0) | bits

    def lengths(self, digits: str) -> tuple[int, int]:
        """Lengths of strong and of weak PANs that begin with `digits`; exact from eight digits on."""
        bits = 0
        below: int | None = 0
        for cut in range(1, min(len(digits), MAX_IIN_DIGITS) + 1):
            head = digits[:cut]
            bits |= self._ends.get(head, 0)
            below = self._below.get(head)
            if below is None:
                break
        bits |= below or 0
        return bits & _STRONG_BITS, bits >> _WEAK_SHIFT


# Contribution of each digit to the Luhn sum, as ASCII byte -> value: plain, and doubled with its digits added.
_DOUBLED = bytes((2 * (c - 48) - 9 * (c > 52)) if 48 <= c <= 57 else 0 for c in range(256))


def passes_luhn(digits: str) -> bool:
    """Whether an ASCII digit string satisfies ISO/IEC 7812-1 annex B (the mod 10 check)."""
    data = digits.encode("ascii")[::-1]
    plain = data[::2]
    return (sum(plain) - 48 * len(plain) + sum(data[1::2].translate(_DOUBLED))) % 10 == 0
