"""Card numbers of every brand and length of the table, with fixed seeds: random digits and a check digit."""

import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import accumulate, pairwise

from extproc.core.masking.iin import BRANDS, Brand, Tier

SEED = 20260630


@dataclass(frozen=True, slots=True)
class Card:
    """A number that nobody was given on purpose, and the lengths of the groups it would be printed in."""

    brand: str
    tier: Tier
    digits: str = field(repr=False)
    groups: tuple[int, ...]

    def parts(self, groups: tuple[int, ...] | None = None) -> list[str]:
        """The digits in groups; as printed unless `groups` says otherwise."""
        ends = [0, *accumulate(groups or self.groups)]
        return [self.digits[start:end] for start, end in pairwise(ends)]

    def in_groups_of(self, size: int) -> list[str]:
        return self.parts(even_groups(len(self.digits), size))


def even_groups(length: int, size: int) -> tuple[int, ...]:
    """Groups of `size` and a shorter rest."""
    return (size,) * (length // size) + ((length % size,) if length % size else ())


def check_digit(body: str) -> str:
    """The digit that completes `body` (ISO/IEC 7812-1 annex B)."""
    doubled = sum(sum(divmod(2 * int(digit), 10)) for digit in body[::-2])
    return str(-(doubled + sum(map(int, body[-2::-2]))) % 10)


def make_cards(each: int) -> Iterator[Card]:
    """`each` cards for every brand and length of the table."""
    rng = random.Random(SEED)
    for brand in BRANDS:
        for length in brand.lengths:
            for _ in range(each):
                yield _made(brand, length, rng)


def _made(brand: Brand, length: int, rng: random.Random) -> Card:
    body = rng.choice(brand.prefixes)
    body += "".join(rng.choices("0123456789", k=length - len(body) - 1))
    printed = next((form for form in brand.groupings if sum(form) == length), even_groups(length, 4))
    return Card(brand.name, brand.tier, body + check_digit(body), printed)
