"""The characters that card numbers are written with: digits of any script, and what may stand between them."""

import re
import unicodedata
from functools import lru_cache

# Longest gap between two digits of one PAN. Seven separators in a row are seen in the wild; eight is the limit.
MAX_GAP = 8

_SPACES = " \t\n\r\v\f\x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000"
_DASHES = "\u002d\u2010-\u2015\u2212\ufe58\ufe63\uff0d"
_OTHER = "./_\uff0e\uff0f\u2044\u2215\u00b7\uff3f"
WEAK_GAP = "\u2215"
"""What punctuation that separates numbers more often than groups of one number is shown as in a view."""
TABLE_GAP = "\u2044"
"""What separates the cells of a table is shown as in a view."""
NO_GAP = "\u2060"
"""What is shown in a view for what is not seen between digits."""
# Zero-width and joining characters, bidi marks, soft hyphen, variation selectors, tag characters.
_INVISIBLE = (
    "\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e\u2060-\u2064\u2066-\u206f"
    "\ufe00-\ufe0f\ufeff\U000e0001-\U000e007f\U000e0100-\U000e01ef"
    # Marks that are drawn on the character before them: strokes, underlines, keycaps.
    "\u0300-\u036f\u20d0-\u20f0"
)


def _class(members: str) -> str:
    # The only literal that a character class could misread is a leading hyphen.
    return members.replace("\u002d\u2010", "\\-\u2010")


INVISIBLE_CLASS = _INVISIBLE
VISIBLE_CLASS = _class(_SPACES + _DASHES + _OTHER)
SEPARATOR_CLASS = _class(_SPACES + _DASHES + _OTHER + _INVISIBLE)

DIGIT = re.compile(r"\d")
DIGITS = re.compile(r"\d+")
GAP = re.compile(f"[{SEPARATOR_CLASS}]{{1,{MAX_GAP}}}")
# Stretches that begin like something that is a layout for `extproc.core.masking.run`, and others: one group, also
# behind a short one, groups of three and more digits, two of eight, ones and pairs. For RE2 over ASCII.
_GAP_ASCII = rf"[ \t\n\r\v\f./_\-]{{1,{MAX_GAP}}}"
_SHAPES_ASCII = "|".join(
    (
        rf"[0-9]{{12}}|[0-9]{{4,6}}{_GAP_ASCII}[0-9]{{12}}",
        rf"[0-9]{{3,}}{_GAP_ASCII}[0-9]{{3,}}{_GAP_ASCII}[0-9]|[0-9]{{8}}{_GAP_ASCII}[0-9]{{8}}",
        rf"(?:[0-9]{_GAP_ASCII}){{11}}[0-9]|(?:[0-9]{{2}}{_GAP_ASCII}){{5}}[0-9]{{2}}",
    )
)
SHAPES_ASCII = rf"(?:{_SHAPES_ASCII})[0-9 \t\n\r\v\f./_\-]*"
# Likewise for any text, where gaps may not show: as many digits as the shortest PAN has.
find_dense = re.compile(rf"\d(?:[{SEPARATOR_CLASS}]{{0,{MAX_GAP}}}+\d){{11}}+[\d{SEPARATOR_CLASS}]*+").finditer
"""Finds stretches that hold every PAN."""
ASCII_RUN = re.compile(r"[0-9 \t\n\r\v\f./_\-]*")
# A gap within a line, and none as between the columns of a table.
_IN_LINE = " \xa0\u1680\u2000-\u200a\u202f\u205f\u3000"
SOFT_GAP = re.compile(f"(?:[{_IN_LINE}]+|[{_IN_LINE}]*[{_class(_DASHES)}][{_IN_LINE}]*)\\Z")
_INVISIBLES = re.compile(f"[{_INVISIBLE}]+")
find_invisible = _INVISIBLES.search

FOLDED_DIGITS = "\U0001d7f6\U0001d7f7\U0001d7f8\U0001d7f9\U0001d7fa\U0001d7fb\U0001d7fc\U0001d7fd\U0001d7fe\U0001d7ff"
"""Decimal digits, 0 to 9, that show in a view where the text has letters that look like digits."""
SPELLED_DIGITS = "\U0001d7e2\U0001d7e3\U0001d7e4\U0001d7e5\U0001d7e6\U0001d7e7\U0001d7e8\U0001d7e9\U0001d7ea\U0001d7eb"
"""Likewise, where the text has words for digits."""
find_all_folded = re.compile(f"[{FOLDED_DIGITS}]").finditer
find_letters = re.compile(f"[{FOLDED_DIGITS}{SPELLED_DIGITS}]").search
"""Finds a digit of a view that is letters in the text."""


@lru_cache(maxsize=512)
def visible(gap: str) -> str:
    """The gap without characters that do not show; empty when nothing shows."""
    return gap if gap.isascii() else _INVISIBLES.sub("", gap)


def ascii_digits(text: str) -> str:
    """The same digits in ASCII; `text` holds decimal digits of any script and nothing else."""
    return text if text.isascii() else "".join(str(unicodedata.decimal(c)) for c in text)
