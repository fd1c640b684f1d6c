"""What a text says once its escapes, markup and other ways of writing a digit are read: its *view*.

Every character of the view stands for one or more characters of the text, in order and without rest, so what is found
in the view is replaced in the text. Digits are read wherever they stand; markup and punctuation are read as gaps only
where they follow a digit, as between the digits of one number. Anything else stands for itself.
"""

import contextlib
import html
import re
import unicodedata
from itertools import chain
from typing import Final

from extproc.core.masking.alphabet import (
    FOLDED_DIGITS,
    MAX_GAP,
    NO_GAP,
    SEPARATOR_CLASS,
    SPELLED_DIGITS,
    TABLE_GAP,
    WEAK_GAP,
)
from extproc.core.masking.effort import TOKEN_STEPS, Effort
from extproc.core.masking.number_words import (
    AFTER_FIRST,
    FIRST_LETTERS,
    NUMBER_WORDS,
    match_begun,
    match_word,
)

MAX_TOKEN: Final = 40
"""Characters of the longest token, a tag."""

# How a gap that the scanner does not know is shown to it.
_GAPS = dict.fromkeys(",;:", WEAK_GAP) | {"|": TABLE_GAP} | dict.fromkeys("\"'*`", NO_GAP)

LISTING = ",;:|\"'"
_SHOWN = str.maketrans({char: _GAPS[char] for char in LISTING})
_LISTED = re.compile(rf"[0-9]+(?:[ \t\n\r\v\f./_\-{LISTING}]{{1,{MAX_GAP}}}[0-9]+)+")

_CIRCLED_ZEROS = "\u24ff\U0001f10b\U0001f10c"
_SHAPED_RANGES = (range(0xB2, 0xBA), range(0x2070, 0x208A), range(0x2460, 0x2794), range(0x1F100, 0x1F10A))
SHAPED: Final = {
    **{
        char: str(value)
        for char in map(chr, chain.from_iterable(_SHAPED_RANGES))
        if (value := unicodedata.digit(char, None)) is not None and unicodedata.decimal(char, None) is None
    },
    **dict.fromkeys(_CIRCLED_ZEROS, "0"),
    **{char: str(value) for digits in (FOLDED_DIGITS, SPELLED_DIGITS) for value, char in enumerate(digits)},
}
"""Superscripts, subscripts, digits in circles and the like, and the digits that they are to a reader."""
# Letters that stand for digits, and words, are shown as digits that nobody writes, so that the judge can tell them.
# Whoever does write these means digits.
_MEANT = {"O": 0, "o": 0, "Q": 0, "I": 1, "l": 1, "S": 5, "B": 8}
_FOLDED = {letter: FOLDED_DIGITS[value] for letter, value in _MEANT.items()}

SHAPED_CLASS = "".join(map(re.escape, sorted(SHAPED)))
LETTERS: Final = "".join(_MEANT)
"""Letters that may stand for digits."""

# Tags between cells and lines separate; others are not seen between digits.
_BLOCKS = frozenset(["br", "td", "th", "tr", "p", "div", "li", "hr", "dd", "dt", "table", "tbody", "thead"])

FIGURES = rf"\d&%\\{SHAPED_CLASS}"
_find = re.compile(rf"[{FIGURES}{FIRST_LETTERS}](?:(?<=[{FIGURES}])|{AFTER_FIRST})").search
_DIGITS = re.compile(r"\d+")
_SEPARATORS = re.compile(f"[{SEPARATOR_CLASS}]+")
_ENTITY = re.compile(r"&(?:#(?:[0-9]{1,7}|[xX][0-9A-Fa-f]{1,6});?|[A-Za-z][A-Za-z0-9]{1,30};)")
_TRAIL = "%[89abAB][0-9A-Fa-f]"
_PERCENT = re.compile(
    rf"%(?:[0-7][0-9A-Fa-f]|[cCdD][0-9A-Fa-f]{_TRAIL}|[eE][0-9A-Fa-f](?:{_TRAIL}){{2}}|[fF][0-7](?:{_TRAIL}){{3}})"
)
_ESCAPE = re.compile(r"""\\{1,4}(?:u([0-9A-Fa-f]{4})|x([0-9A-Fa-f]{2})|([nrt/"'*`|.,:;_ -]))""")
_ESCAPED = {"n": "\n", "r": "\r", "t": "\t"}
TAG: Final = re.compile(
    rf"<(?:!--[^<>]{{0,{MAX_TOKEN - 7}}}--|/?([A-Za-z][A-Za-z0-9]{{0,14}})[^<>]{{0,{MAX_TOKEN - 18}}})>"
)
_EMPHASIS = re.compile(r"\*{1,3}(?!\*)|~{1,2}(?!~)|`{1,3}(?!`)")
# A letter for a digit: its word has nothing but digits and such letters, and at least one digit.
# What a truncated PAN begins with, our own mask, is never read together with what stands before it.
_WORD_END = r"(?![A-Za-z0-9]|\*{4})"
_FOLD_AFTER_DIGIT = re.compile(rf"[0-9{LETTERS}]{{1,19}}{_WORD_END}")
_FOLD = re.compile(rf"(?=[{LETTERS}]{{1,18}}[0-9])[0-9{LETTERS}]{{2,19}}{_WORD_END}")

# What may be the beginning of a token whose rest has not come yet.
_CONT = "%(?:[89abAB]|\\Z)(?:[0-9A-Fa-f]|\\Z)"
_BEGUN = re.compile(
    r"&(?:#(?:[0-9]{0,7}|[xX][0-9A-Fa-f]{0,6})|[A-Za-z][A-Za-z0-9]{0,30})?\Z"
    rf"|%(?:[0-7]|[cCdD](?:[0-9A-Fa-f](?:{_CONT})?)?|[eE](?:[0-9A-Fa-f](?:{_CONT}){{0,2}})?"
    rf"|[fF](?:[0-7](?:{_CONT}){{0,3}})?)?\Z"
    r"|\\{1,4}(?:u[0-9A-Fa-f]{0,3}|x[0-9A-Fa-f]?)?\Z"
)
_BEGUN_IN_GAP = re.compile(
    rf"<[^<>]{{0,{MAX_TOKEN - 2}}}\Z|\*{{1,3}}\Z|~{{1,2}}\Z|`{{1,3}}\Z|[0-9{LETTERS}]{{1,19}}\*{{0,3}}\Z"
)

_READ_PER_STEP = 2
"""Characters that are read in a microsecond, at worst: digits and separators in turn."""
MAX_SINCE: Final = 1 << 30
OUTSIDE: Final = MAX_GAP + 1
"""The gap of a reader that is not between digits."""


def shown_tag(tag: re.Match[str]) -> str:
    """What a tag between digits is shown as."""
    return TABLE_GAP if (tag[1] or "").lower() in _BLOCKS else NO_GAP


class Reader:
    """Reads the view of one text, cut anywhere."""

    __slots__ = ("_before", "_effort", "_gap", "_pending", "since")

    def __init__(self, effort: Effort, before: str = "") -> None:
        """`before` is what stands before the text, as it is."""
        self._effort = effort
        self._gap = gap_before(before)
        self._before = before[-1:]
        self._pending = ""
        self.since = MAX_SINCE
        """Characters of the view since the last that does not stand for itself; what stands before the text does."""

    @property
    def quiet(self) -> bool:
        """Whether nothing waits for its rest, and what comes next does not follow a digit."""
        return self._gap > MAX_GAP and not self._pending

    def pass_by(self, text: str) -> None:
        """Remembers text that is its own view. Only while `quiet`."""
        self._before = text[-1:] or self._before
        self.since += len(text)

    def read(self, text: str, final: bool) -> tuple[str, list[int]]:
        """The view of `text` as far as it is certain, and how many characters each of its characters stands for."""
        self._effort.spend(len(text) // _READ_PER_STEP)
        # The character before is not read again, but tells whether a word begins.
        at = len(self._before)
        text = self._before + self._pending + text
        chars: list[str] = []
        sizes: list[int] = []
        size = len(text)
        self._pending = ""
        while at < size:
            if listed := _LISTED.match(text, at):
                chars.append(self._list(listed.group()))
                sizes += [1] * len(chars[-1])
                at = listed.end()
                continue
            end = self._as_it_is(text, at)
            if end > at:
                chars.append(text[at:end])
                sizes += [1] * (end - at)
                self.since += end - at
                at = end
                continue
            self._effort.spend(TOKEN_STEPS)
            if not final and self._is_begun(text, at):
                self._pending = text[at:]
                break
            char, length = self._token(text, at)
            self._count(char)
            self.since = 0 if length > 1 or char != text[at] else self.since + 1
            chars.append(char)
            sizes.append(length)
            at += length
        self._before = text[at - 1 : at] if at else ""
        return "".join(chars), sizes

    def _list(self, written: str) -> str:
        """The view of digits and of the punctuation of lists between them: the quick way through tables of numbers."""
        last = max(map(written.rfind, LISTING))
        self.since = self.since + len(written) if last < 0 else len(written) - 1 - last
        self._gap = 0
        return written.translate(_SHOWN)

    def _as_it_is(self, text: str, at: int) -> int:
        """Where the characters end that stand for themselves; `at` when there may be a token."""
        if self._gap > MAX_GAP:
            found = _find(text, at)
            end = found.start() if found else len(text)
            if end > at:
                return end
        if digits := _DIGITS.match(text, at):
            self._gap = 0
            end = digits.end()
            return end if text[at:end].isascii() else self._unshaped(text, at, end)
        if self._gap <= MAX_GAP and (separators := _SEPARATORS.match(text, at)):
            self._gap += separators.end() - at
            return separators.end()
        return at

    @staticmethod
    def _unshaped(text: str, at: int, end: int) -> int:
        return next((index for index in range(at, end) if text[index] in SHAPED), end)

    def _is_begun(self, text: str, at: int) -> bool:
        char = text[at]
        if char in "&%\\":
            return _BEGUN.match(text, at) is not None
        if match_begun(text, at):
            return True
        return self._gap <= MAX_GAP and _BEGUN_IN_GAP.match(text, at) is not None

    def _count(self, char: str) -> None:
        """Follows whether the next character stands after a digit."""
        if char.isdecimal():
            self._gap = 0
        elif self._gap <= MAX_GAP:
            self._gap = self._gap + 1 if _SEPARATORS.match(char) else OUTSIDE

    def _token(self, text: str, at: int) -> tuple[str, int]:
        """The character at `at` of the view, and how many characters stand for it."""
        char = text[at]
        if char in SHAPED:
            return SHAPED[char], 1
        between = self._gap <= MAX_GAP
        if char in "&%\\":
            length, meant = _decoded(text, at, between)
            if meant:
                meant = SHAPED.get(meant, meant)
                return _GAPS.get(meant, meant) if between else meant, length
            return char, 1
        word = match_word(text, at)
        value = NUMBER_WORDS.get(word.group().lower()) if word else None
        if word and value is not None:
            return SPELLED_DIGITS[value], len(word.group())
        return self._gap_token(text, at, char) if between else (char, 1)

    def _folds(self, text: str, at: int) -> bool:
        """Whether the letter at `at` stands for a digit: in a word with digits of ASCII, or behind one."""
        behind = self._gap == 0 and text[at - 1].isascii()
        return (_FOLD_AFTER_DIGIT if behind else _FOLD).match(text, at) is not None

    def _gap_token(self, text: str, at: int, char: str) -> tuple[str, int]:
        if char == "<":
            tag = TAG.match(text, at)
            if tag:
                return shown_tag(tag), len(tag.group())
        elif char in "*~`":
            emphasis = _EMPHASIS.match(text, at)
            if emphasis:
                return NO_GAP, len(emphasis.group())
        elif char in _GAPS:
            return _GAPS[char], 1
        elif char in _FOLDED and self._folds(text, at):
            return _FOLDED[char], 1
        return char, 1


def _decoded(text: str, at: int, between: bool) -> tuple[int, str]:
    """How long the escape at `at` is and the one character it means; an empty text for none.

    `between`: it stands after a digit. Elsewhere a backslash before a letter is more often itself.
    """
    match text[at]:
        case "&":
            found = _ENTITY.match(text, at)
            meant = html.unescape(found.group()) if found else ""
        case "%":
            found = _PERCENT.match(text, at)
            meant = ""
            if found:
                with contextlib.suppress(UnicodeDecodeError):
                    meant = bytes.fromhex(found.group().replace("%", "")).decode()
        case _:
            found = _ESCAPE.match(text, at)
            meant = _escaped(found, between) if found else ""
    return (len(found.group()), meant) if found and len(meant) == 1 else (1, "")


def _escaped(found: re.Match[str], between: bool) -> str:
    code = found[1] or found[2]
    if code:
        return chr(int(code, 16))
    return _ESCAPED.get(found[3], found[3]) if between else ""


def gap_before(text: str) -> int:
    """The separators since the last digit at the end of a text that is its own view."""
    at = len(text)
    while at and len(text) - at <= MAX_GAP and _SEPARATORS.match(text[at - 1]):
        at -= 1
    return len(text) - at if at and text[at - 1].isdecimal() else OUTSIDE
