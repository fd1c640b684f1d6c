"""Judges short numbers by what stands before them: security codes, PINs and expiries.

A judgement is final or `Wait.WAIT`, as in `pan`.
"""

import re
from dataclasses import dataclass
from functools import lru_cache

from extproc.core.masking.alphabet import NO_GAP, TABLE_GAP, WEAK_GAP
from extproc.core.masking.context import Words
from extproc.core.masking.run import begins_truncated
from extproc.core.masking.settings import Kind
from extproc.core.masking.wait import WAIT, Wait

MIN_CODE_DIGITS = 3
MAX_CODE_DIGITS = 4
# ISO 9564-1.
MIN_PIN_DIGITS = 4
MAX_PIN_DIGITS = 12
# Most characters between the end of a PAN and what stands beside it, expiry included.
MAX_BESIDE = 48

_SEP = rf"[\s,;|/:\"'\\.)\]\-\u2010-\u2015{WEAK_GAP}{TABLE_GAP}{NO_GAP}]"
_EXPIRY_WORD = r"(?:exp(?:iry|ires|iration|\.)?(?: date)?|valid (?:thru|until|to)|good thru)"
_EXPIRY = r"(?:(?:0?[1-9]|1[0-2])[\s/|,;.\-\"']{1,5}(?:20)?\d\d|(?:0[1-9]|1[0-2])(?:20)?\d\d)"
_AFTER_EXPIRY = re.compile(f"{_SEP}{{1,5}}(?:{_EXPIRY_WORD}[:\\s]{{0,3}})?{_EXPIRY}{_SEP}{{1,5}}", re.IGNORECASE)
_BEFORE_EXPIRY = re.compile(f"{_SEP}{{1,5}}(?:{_EXPIRY_WORD}[:\\s]{{0,3}})?", re.IGNORECASE)
_AFTER_PAN = re.compile(rf"[ \t\xa0,;|/:\"'\\\-{WEAK_GAP}{TABLE_GAP}{NO_GAP}]{{1,5}}")

_MONTH = r"(?:0?[1-9]|1[0-2])"
_TWO_DIGIT_MONTH = r"(?:0[1-9]|1[0-2])"
# No longer date and no longer number.
_NO_MORE = r"(?![/\-.]?\d)"
# 12/28, 12-2028, 2028-12, and 1228 for the years in which a card can expire.
_DATES = rf"{_MONTH} ?[/-] ?(?:20)?\d\d|20[2-4]\d[/-]{_TWO_DIGIT_MONTH}|{_TWO_DIGIT_MONTH}(?:20)?[2-3]\d"
_DATE = re.compile(rf"(?:{_DATES}){_NO_MORE}")
_DATE_BEGUN = re.compile(rf"(?:{_MONTH}(?: ?[/-]? ?\d{{0,4}})|\d{{1,4}}[/-]\d{{0,2}}|\d{{1,6}})[/\-.]?\Z")
_PART = re.compile(rf"(?:{_MONTH}|20\d\d|\d\d){_NO_MORE}")
_PART_BEGUN = re.compile(r"\d{1,4}[/\-.]?\Z")


@dataclass(frozen=True, slots=True)
class Pans:
    """Where the last PAN can have ended, and how many digits it has."""

    ends: tuple[int, ...] = ()
    digits: int = 0

    def between(self, text: str, first: int) -> list[str]:
        """What stands between the PAN and `first`, when that is beside it."""
        return [text[end:first] for end in self.ends if end <= first <= end + MAX_BESIDE]


class ShortJudge:
    """The rules of one profile for numbers that are too short to be a PAN."""

    __slots__ = ("_words",)

    def __init__(self, words: Words) -> None:
        self._words = words

    def judge(self, text: str, first: int, end: int, pans: Pans, *, final: bool) -> tuple[Kind, int] | Wait | None:
        """What the group of digits from `first` to `end` is, and where that ends. `final`: nothing follows `text`."""
        if not pans.ends and not self._words.may_announce(text, first):
            return None
        count = end - first
        growing = end == len(text) and not final
        truncated = begins_truncated(text, first, end, final)
        if truncated or count > MAX_PIN_DIGITS:
            return WAIT if truncated is WAIT else None
        if count <= MAX_CODE_DIGITS and self._words.code_announced(text, first):
            if growing:
                return WAIT
            if count >= MIN_CODE_DIGITS:
                return Kind.SECURITY_CODE, end
        besides = pans.between(text, first)
        sizes = _possible_sizes(count, growing)
        code = None
        if any(_is_code_beside(between, size, pans.digits) for between in besides for size in sizes):
            code = WAIT if growing else _whole_code(text, end, final)
        if code is not None:
            return code
        expiry = self._expiry(text, first, besides, final)
        if expiry is not None:
            return WAIT if isinstance(expiry, Wait) else (Kind.EXPIRY, expiry)
        if self._words.pin_announced(text, first):
            if growing:
                return WAIT
            if count >= MIN_PIN_DIGITS:
                return Kind.PIN, end
        return None

    def _expiry(self, text: str, first: int, besides: list[str], final: bool) -> int | Wait | None:
        shapes: list[tuple[re.Pattern[str], re.Pattern[str]]] = []
        if self._words.expiry_announced(text, first) or any(map(_BEFORE_EXPIRY.fullmatch, besides)):
            shapes.append((_DATE, _DATE_BEGUN))
        if self._words.expiry_part_announced(text, first):
            shapes.append((_PART, _PART_BEGUN))
        shapes += [_listed(between) for between in besides if _BEFORE_EXPIRY.fullmatch(between)]
        waiting = False
        for whole, begun in shapes:
            date = whole.match(text, first)
            if not final and (date is None or len(text) - date.end() <= 1) and begun.match(text, first):
                waiting = True
            elif date is not None and not waiting:
                return date.end()
        return WAIT if waiting else None


@lru_cache(maxsize=256)
def _listed(between: str) -> tuple[re.Pattern[str], re.Pattern[str]]:
    """Month and year as two fields of a list, in the separator that stands between the PAN and the month."""
    sep = re.escape(between)
    begun = "".join(f"(?:{re.escape(c)}" for c in between)
    return (
        re.compile(rf"{_MONTH}{sep}(?:20)?[2-3]\d{_NO_MORE}"),
        re.compile(rf"\d{{1,2}}{begun}\d{{0,4}}[/\-.]?{')?' * len(between)}\Z"),
    )


def _is_code_beside(between: str, code_digits: int, pan_digits: int) -> bool:
    """Whether `code_digits` digits that stand `between` away from a PAN's end are its security code.

    After an expiry, three or four digits are. Directly after the PAN, only as many digits as the brand uses: four
    after a 15-digit PAN, three after any other, so that a year after a PAN stays.
    """
    if _AFTER_PAN.fullmatch(between):
        return code_digits == (4 if pan_digits == 15 else 3)
    return _AFTER_EXPIRY.fullmatch(between) is not None


def _possible_sizes(count: int, growing: bool) -> range:
    """How many digits a security code can have of which `count` are there."""
    least = max(count, MIN_CODE_DIGITS) if growing else count
    if not MIN_CODE_DIGITS <= least <= MAX_CODE_DIGITS:
        return range(0)
    return range(least, MAX_CODE_DIGITS + 1 if growing else least + 1)


def _whole_code(text: str, end: int, final: bool) -> tuple[Kind, int] | Wait | None:
    """The code that ends at `end`, unless it has a fraction: "[PAN] 123.45" is an amount."""
    if text[end : end + 1] in (".", ","):
        if end + 1 == len(text) and not final:
            return WAIT
        if text[end + 1 : end + 2].isdecimal():
            return None
    return Kind.SECURITY_CODE, end
