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
# Most characters between the end of a PAN and what stands beside it, expiry and a name included.
MAX_BESIDE = 96

_QUOTES = "\u2018-\u201f\u00ab\u00bb\u2039\u203a"
_WIDE = "\uff0c\u3001\uff1b\uff1a\uff08\uff09\u2022\u2192"
_SEP = rf"[\s,;|/:\"'\\.()\[\]\-+&*_`\u2010-\u2015{_QUOTES}{_WIDE}{WEAK_GAP}{TABLE_GAP}{NO_GAP}]"
_BETWEEN = f"{_SEP}{{1,8}}"
_EXPIRY_WORD = (
    r"(?:exp(?:iry|ires|iration|\.)?(?:[ _]?date)?|valid (?:thru|until|to)|good thru)"
    rf"[:=\s*_`\"'({_QUOTES}{WEAK_GAP}{NO_GAP}]{{0,6}}"
)
_TO_EXPIRY = rf"(?:{_SEP}{{0,8}}{_EXPIRY_WORD}|{_BETWEEN})"
_IN_DATE = rf"[\s/|,;:.\-\"'{WEAK_GAP}{TABLE_GAP}]{{1,5}}"
_EXPIRY = (
    rf"(?:(?:0?[1-9]|1[0-2]){_IN_DATE}(?:20)?\d\d|(?:0[1-9]|1[0-2])(?:20)?\d\d"
    rf"|20[2-4]\d{_IN_DATE}(?:0?[1-9]|1[0-2]))"
)
# A name in a field of its own, in a list or a row of a table.
_LIST_SIGN = rf"[ \xa0]?[,;|\t\uff0c{WEAK_GAP}{TABLE_GAP}][ \xa0]?"
_NAME_WORD = r"(?-i:[A-Z\u00c0-\u00de])[^\W\d_]{0,20}[.'\u2019\-]?"
_NAME_FIELD = rf"(?:{_LIST_SIGN}[\"']?{_NAME_WORD}(?:[ '\u2019]?{_NAME_WORD}){{1,3}}[\"']?(?={_LIST_SIGN}))?"
_AFTER_EXPIRY = re.compile(f"{_NAME_FIELD}{_TO_EXPIRY}{_EXPIRY}{_BETWEEN}(?:code{_BETWEEN})?", re.IGNORECASE)
# A code may stand first, of as many digits as the brand's. The group has no digits: what is compiled from it is
# remembered.
_BEFORE_EXPIRY = {
    digits: re.compile(
        rf"{_NAME_FIELD}(?:{_BETWEEN}(?:(?:cvv2?|cvc2?|cvn|cid|csc|code)[:=\s]{{0,3}}\d{{3,4}}|\d{{{digits}}}))?"
        f"({_TO_EXPIRY})",
        re.IGNORECASE,
    )
    for digits in (MIN_CODE_DIGITS, MAX_CODE_DIGITS)
}
_AFTER_PAN = re.compile(
    rf"[ \t\xa0,;|/:\"'\\()\[\]\-+&*`{_QUOTES}{_WIDE}{WEAK_GAP}{TABLE_GAP}{NO_GAP}]{{1,8}}(?:code{_BETWEEN})?"
)
# Sums of money beside a PAN: what is paid with it.
_CURRENCIES = (
    *("EUR", "USD", "GBP", "CHF", "CAD", "AUD", "JPY", "INR", "CNY", "SEK", "NOK", "DKK", "PLN", "euros", "dollars"),
    *("\u20ac", "$", "\u00a3", "\u00a5", "%"),
)
_match_money = re.compile(rf"[ \xa0{WEAK_GAP}]?(?:{'|'.join(map(re.escape, _CURRENCIES))})").match
_match_money_begun = re.compile(
    rf"[ \xa0{WEAK_GAP}]?(?:{'|'.join(re.escape(word[:cut]) for word in _CURRENCIES for cut in range(len(word)))})\Z"
).match

_MONTH = r"(?:0?[1-9]|1[0-2])"
_TWO_DIGIT_MONTH = r"(?:0[1-9]|1[0-2])"
_LONGEST_FRACTION = 3
_match_fraction = re.compile(rf"\d{{1,{_LONGEST_FRACTION + 1}}}").match
# Before a fraction; a comma shows in a view as the last one.
_POINTS = (".", ",", WEAK_GAP)
# No longer date and no longer number.
_NO_MORE = r"(?![/\-.]?\d)"
_DASH = r"\-\u2010-\u2015"
# 12/28, 12-2028, 2028-12, and 1228 for the years in which a card can expire.
_DATES = rf"{_MONTH} ?[/{_DASH}] ?(?:20)?\d\d|20[2-4]\d[/{_DASH}]{_TWO_DIGIT_MONTH}|{_TWO_DIGIT_MONTH}(?:20)?[2-3]\d"
_DATE = re.compile(rf"(?:{_DATES}){_NO_MORE}")
_DATE_BEGUN = re.compile(rf"(?:{_MONTH}(?: ?[/{_DASH}]? ?\d{{0,4}})|\d{{1,4}}[/{_DASH}]\d{{0,2}}|\d{{1,6}})[/\-.]?\Z")
# Behind words that say so, also 12.28.
_SAID_DATE = re.compile(rf"(?:{_DATES}|{_MONTH}\.(?:20)?\d\d){_NO_MORE}")
_SAID_DATE_BEGUN = re.compile(rf"(?:{_DATE_BEGUN.pattern}|{_MONTH}\.\d{{0,4}}[/\-.]?\Z)")
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

    def judge(
        self, text: str, first: int, end: int, pans: Pans, *, final: bool, may_be_announced: bool = True
    ) -> tuple[Kind, int] | Wait | None:
        """What the group of digits from `first` to `end` is, and where that ends. `final`: nothing follows `text`.

        `may_be_announced`: words that announce a number may stand before it.
        """
        if not pans.ends and not may_be_announced:
            return None
        count = end - first
        growing = end == len(text) and not final
        truncated = begins_truncated(text, first, end, final)
        if truncated or count > MAX_PIN_DIGITS:
            return WAIT if truncated is WAIT else None
        besides = pans.between(text, first)
        if count <= MAX_CODE_DIGITS and self._words.code_announced(text, first):
            if growing:
                return WAIT
            if count >= MIN_CODE_DIGITS and (besides or not self._words.means_other(text, first, count)):
                return Kind.SECURITY_CODE, end
        sizes = _possible_sizes(count, growing)
        code = None
        if any(_is_code_beside(between, size, pans.digits) for between in besides for size in sizes):
            code = WAIT if growing else _whole_code(text, first, end, final=final, may_be_sum=_is_direct(besides))
        if code is not None:
            return code
        expiry = self._expiry(text, first, besides, MAX_CODE_DIGITS if pans.digits == 15 else MIN_CODE_DIGITS, final)
        if expiry is not None:
            return WAIT if isinstance(expiry, Wait) else (Kind.EXPIRY, expiry)
        if self._words.pin_announced(text, first):
            if growing:
                return WAIT
            if count >= MIN_PIN_DIGITS:
                return Kind.PIN, end
        return None

    def _expiry(self, text: str, first: int, besides: list[str], code_digits: int, final: bool) -> int | Wait | None:
        shapes: list[tuple[re.Pattern[str], re.Pattern[str]]] = []
        before = [match[1] for match in map(_BEFORE_EXPIRY[code_digits].fullmatch, besides) if match]
        if self._words.expiry_announced(text, first):
            shapes.append((_SAID_DATE, _SAID_DATE_BEGUN))
        elif before:
            shapes.append((_DATE, _DATE_BEGUN))
        if self._words.expiry_part_announced(text, first):
            shapes.append((_PART, _PART_BEGUN))
        # Two elements of XML are no list.
        shapes += [_listed(one) for one in before if one.strip(NO_GAP)]
        waiting = False
        for whole, begun in shapes:
            date = whole.match(text, first)
            if not final and (date is None or len(text) - date.end() <= 1) and begun.match(text, first):
                waiting = True
            elif date is not None and not waiting:
                return date.end()
        return WAIT if waiting else None


@lru_cache(maxsize=256)
def _listed(before: str) -> tuple[re.Pattern[str], re.Pattern[str]]:
    """Month and year as two fields of a list, in the separator that stands before the first of them."""
    sep = re.escape(before)
    begun = "".join(f"(?:{re.escape(c)}" for c in before)
    return (
        re.compile(rf"(?:{_MONTH}{sep}(?:20)?[2-3]\d|20[2-4]\d{sep}{_MONTH}){_NO_MORE}"),
        re.compile(rf"\d{{1,4}}{begun}\d{{0,4}}[/\-.]?{')?' * len(before)}\Z"),
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


def _is_direct(besides: list[str]) -> bool:
    """Whether nothing but punctuation stands between a PAN and what is beside it."""
    return any(map(_AFTER_PAN.fullmatch, besides))


def _whole_code(text: str, first: int, end: int, *, final: bool, may_be_sum: bool) -> tuple[Kind, int] | Wait | None:
    """The code from `first` to `end`, unless it is a part of an amount: "[PAN] 123,45", or with a currency behind.

    "[PAN],123,45" is a list, and so is "[PAN] 123,5555": fractions are shorter. `may_be_sum`: no expiry stands before.
    """
    if text[end : end + 1] in _POINTS and text[end] != text[first - 1]:
        fraction = _match_fraction(text, end + 1)
        if fraction is None or fraction.end() - end - 1 <= _LONGEST_FRACTION:
            if (fraction.end() if fraction else end + 1) == len(text) and not final:
                return WAIT
            if fraction is not None:
                return None
    if may_be_sum:
        if _match_money(text, end):
            return None
        if not final and _match_money_begun(text, end):
            return WAIT
    return Kind.SECURITY_CODE, end
