"""One search that skips what cannot be card data: the judges are slow, and long lists of numbers are not cards.

It finds every group of digits at which something to mask can begin, and some others. What it leaves out is what no
judge accepts: too few digits, groups that nobody writes a card in, and codes that no word can announce.
"""

import re
from collections.abc import Callable, Iterable

from extproc.core.masking.alphabet import INVISIBLE_CLASS, MAX_GAP, SEPARATOR_CLASS, VISIBLE_CLASS, find_invisible
from extproc.core.masking.iin import MAX_PAN_DIGITS, MIN_PAN_DIGITS
from extproc.core.masking.short import MAX_PIN_DIGITS

Search = Callable[[str, int, int], re.Match[str] | None]

REACH = 256
"""Characters after the first digit of a group that the search may look at: a run of 19 digits in the widest spacing."""
REACH_OF_RUN = 2
"""The same, where the rest of the run of digits and separators is looked at anyway."""

# All of them begin behind the first digit: a search that can look for a digit first is several times as fast.
_GAP = f"[{SEPARATOR_CLASS}]{{1,{MAX_GAP}}}"
_ONE_GROUP = rf"\d{{{MIN_PAN_DIGITS - 1},{MAX_PAN_DIGITS - 1}}}(?!\d)"
# Fours and the brands' own groupings, whose gaps may differ.
_PRINTED = rf"\d{{3}}{_GAP}\d{{4,6}}{_GAP}\d{{4}}"
# The same gap throughout: ones, pairs, or groups of three and more with any rest, twelve digits at least.
_ONES = rf"(?P<one>{_GAP})\d(?!\d)(?:(?P=one)\d(?!\d)){{10}}"
_PAIRS = rf"\d(?P<two>{_GAP})\d\d(?!\d)(?:(?P=two)\d\d(?!\d)){{4}}"
_LOOSE = (
    rf"(?=\d{{2,17}}(?P<gap>{_GAP})\d)"
    rf"(?:\d(?:(?P=gap)(?=\d{{3}}))?){{8}}\d(?P=gap)?\d(?P=gap)?\d"
)
_SHAPES = "|".join((_ONE_GROUP, _PRINTED, _ONES, _PAIRS, _LOOSE))
# EMV's tag and length before a PAN of up to 19 digits.
_TAGGED = rf"(?<=5)71[0-3]\d{{{MIN_PAN_DIGITS},{MAX_PAN_DIGITS}}}[Dd]"
# A gap that does not show joins groups: such runs are left to the judge.
_VEILED = rf"[\d{VISIBLE_CLASS}]{{0,{MAX_PAN_DIGITS * (MAX_GAP + 1)}}}+[{INVISIBLE_CLASS}]"


class Candidates:
    """The search for one table of IINs; `prefixes` are all of them."""

    __slots__ = ("_plain", "_veiled")

    def __init__(self, prefixes: Iterable[str]) -> None:
        heads = {prefix[:2] for prefix in prefixes}
        self._plain = _compile(heads, _SHAPES)
        self._veiled = _compile(heads, f"{_SHAPES}|{_VEILED}")

    def search(self, text: str) -> Search:
        """What finds, in `text` from an offset on and up to another, the first group that a judge must see."""
        plain = text.isascii() or find_invisible(text) is None
        return self._plain.search if plain else self._veiled.search


def _compile(heads: set[str], shapes: str) -> re.Pattern[str]:
    any_second = "".join(sorted(head for head in heads if len(head) == 1))
    seconds: dict[str, str] = {}
    for head in sorted(heads):
        if head[0] not in any_second:
            seconds[head[0]] = seconds.get(head[0], "") + head[1]
    begins = "|".join(
        [rf"(?<=[^\x00-\x7f]|[{any_second}])"]
        + [rf"(?<={first})(?=[{second}]|[^0-9]|\Z)" for first, second in seconds.items()]
    )
    # Close after another number no word announces anything; "CVV2" is no number, nor is one in a tag or behind it.
    apart = "".join(rf"(?<![^A-Za-z>]\d[^A-Za-z>]{{{count}}}\d)" for count in (1, 2, 3))
    sentinel = r"(?<=;\d)|(?<=%[Bb]\d)"
    short = rf"{apart}(?=\d{{0,{MAX_PIN_DIGITS - 1}}}(?!\d))"
    return re.compile(rf"\d(?<!\d\d)(?:(?={begins}|{apart}|{sentinel})(?={shapes})|(?={_TAGGED})|{short})\d*")
