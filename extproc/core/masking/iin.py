"""Issuer identification numbers: which digit prefixes are payment cards, and how long those PANs are.

Facts as of 2026-06, collected from braintree/credit-card-type (commit fbd8ed8, 2026-06-30), the schemes' public BIN
ranges, iindatabase and the ISO/IEC 7812 overviews. Tiers:

- `S` strong: prefix, length and Luhn together are enough to mask;
- `N` national and legacy: as strong, switched on by the profile `pci-strict`;
- `W` weak: masked only in a card's own grouping (4-4-4-4 and the like) or after a keyword.

UATP (`1`, 15 digits) is not listed: a tenth of all 15-digit identifiers that begin with 1 pass Luhn, so it is masked
after a keyword only, like every number there.
"""

from collections.abc import Iterable
from enum import StrEnum


class Tier(StrEnum):
    STRONG = "S"
    NATIONAL = "N"
    WEAK = "W"


MIN_PAN_DIGITS = 12
MAX_PAN_DIGITS = 19
MAX_IIN_DIGITS = 8

# brand, prefixes (`a-b` is an inclusive range), lengths, tier
ROWS: tuple[tuple[str, str, str, Tier], ...] = (
    ("visa", "4", "13 16 18 19", Tier.STRONG),
    ("mastercard", "51-55 2221-2720", "16", Tier.STRONG),
    ("amex", "34 37", "15", Tier.STRONG),
    ("discover", "6011 644-649 65 622126-622925", "16-19", Tier.STRONG),
    ("diners", "300-305 3095 36 38 39", "14-19", Tier.STRONG),
    ("jcb", "3528-3589", "16-19", Tier.STRONG),
    ("unionpay", "62 8100-8171", "14-19", Tier.STRONG),
    (
        "maestro",
        "5018 5020 5038 5893 6304 6759 6761 6762 6763 6799 676770 676774",
        "12-19",
        Tier.STRONG,
    ),
    ("mir", "2200-2204", "16-19", Tier.STRONG),
    ("rupay", "60 65 81 82 508 353 356", "16", Tier.STRONG),
    ("troy", "9792", "16", Tier.STRONG),
    ("verve", "506099-506198 507865-507964 650002-650027", "16 18 19", Tier.STRONG),
    ("elo", "504175 506699-506778 509000-509999 627780 636297 636368", "16", Tier.STRONG),
    ("hipercard", "606282", "13 16 19", Tier.STRONG),
    ("hiper", "637095 63737423 63743358 637568 637599 637609 637612", "16", Tier.STRONG),
    ("naranja", "589562", "16", Tier.STRONG),
    ("dankort", "5019", "16", Tier.STRONG),
    ("forbrugsforeningen", "600722", "16", Tier.STRONG),
    ("china-t-union", "31", "19", Tier.NATIONAL),
    ("jcb-legacy", "2131 1800", "15", Tier.NATIONAL),
    ("uzcard", "8600 5614", "16", Tier.NATIONAL),
    ("humo", "9860", "16", Tier.NATIONAL),
    ("napas", "9704", "16 19", Tier.NATIONAL),
    ("gpn", "1946", "16 18 19", Tier.NATIONAL),
    ("borica", "2205", "16", Tier.NATIONAL),
    ("ukrcard", "6040-6049", "16-19", Tier.NATIONAL),
    ("lankapay", "357111", "16", Tier.NATIONAL),
    ("nps", "605474", "16", Tier.NATIONAL),
    ("maestro-range", "50 56-69", "12-19", Tier.WEAK),
)


def span(text: str) -> range:
    """The inclusive range that `a-b`, or `a` alone, writes."""
    low, _, high = text.partition("-")
    return range(int(low), int(high or low) + 1)


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
        for _brand, prefixes, lengths, tier in ROWS:
            bits = sum(1 << n for part in lengths.split() for n in span(part))
            if tier is Tier.WEAK:
                bits <<= _WEAK_SHIFT
            elif tier not in wanted:
                continue
            for part in prefixes.split():
                for number in span(part):
                    self._add(str(number), bits)

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
