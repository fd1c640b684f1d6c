"""The characters that card numbers are written with: digits of any script, and what may stand between them."""

import re
import unicodedata

# Longest gap between two digits of one PAN. Seven separators in a row are seen in the wild; eight is the limit.
MAX_GAP = 8

_SPACES = " \t\n\r\v\f\x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000"
_DASHES = "\u002d\u2010-\u2015\u2212\ufe58\ufe63\uff0d"
_OTHER = "./_\uff0e\uff0f\u2044\u2215\u00b7\uff3f"
# Zero-width and joining characters, bidi marks, soft hyphen, variation selectors, tag characters.
_INVISIBLE = (
    "\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e\u2060-\u2064\u2066-\u206f"
    "\ufe00-\ufe0f\ufeff\U000e0001-\U000e007f\U000e0100-\U000e01ef"
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
GAP_BEFORE = re.compile(f"[{SEPARATOR_CLASS}]")
# Stretches that hold every PAN, whatever else they hold: a digit and at least ten more digits or separators.
DENSE = re.compile(f"\\d[\\d{SEPARATOR_CLASS}]{{10,}}+")
# The same for RE2 over UTF-8 that is known to be ASCII.
DENSE_ASCII = r"[0-9][0-9 \t\n\r\v\f./_\-]{10,}"
SOFT_GAP = re.compile(f"(?:[{_SPACES}]+|[{_SPACES}]*[{_class(_DASHES)}][{_SPACES}]*)\\Z")
_INVISIBLES = re.compile(f"[{_INVISIBLE}]+")
find_invisible = _INVISIBLES.search


def visible(gap: str) -> str:
    """The gap without characters that do not show; empty when nothing shows."""
    return gap if gap.isascii() else _INVISIBLES.sub("", gap)


def ascii_digits(text: str) -> str:
    """The same digits in ASCII; `text` holds decimal digits of any script and nothing else."""
    return text if text.isascii() else "".join(str(unicodedata.decimal(c)) for c in text)
