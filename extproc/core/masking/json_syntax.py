"""The parts of JSON text (RFC 8259), also while their rest has not come."""

import re
from enum import Enum, auto
from typing import Final

from extproc.core.masking.iin import MAX_PAN_DIGITS

SPACE: Final = frozenset(" \t\r\n")
LITERALS: Final = ("true", "false", "null", "NaN", "Infinity")
match_body = re.compile(r'[^"\\]*+(?:\\.[^"\\]*+)*+', re.DOTALL).match
"""The inside of a string, to its end or to the end of the text; without a last backslash."""

MAX_NUMBER: Final = 64
"""The longest number that is held until it ends. A longer one with no more digits than a PAN is padding around one."""
MAX_SPACE_AFTER_NUMBER: Final = 8

match_whole_number = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?").fullmatch
match_begun_number = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]*)?(?:[eE][+-]?[0-9]*)?").fullmatch
match_number_chars = re.compile(r"[0-9+\-.eE]+").match
match_digits = re.compile(r"[0-9]+").match
_find_digits = re.compile(r"[0-9]+").findall


class State(Enum):
    """Where in JSON text the next character stands."""

    OUTSIDE = auto()
    STRING = auto()
    WHOLE = auto()  # a string that goes whole
    NUMBER = auto()
    AFTER_NUMBER = auto()
    LONG_NUMBER = auto()  # too long for a card, given on as it comes
    SWALLOW = auto()  # the rest of a number that is masked already
    TEXT = auto()  # what came is not JSON: from here on it is text with JSON escapes


def number_of(written: str) -> int | float:
    """The value of a whole number."""
    return int(written) if written.lstrip("-").isdecimal() else float(written)


def is_padded(written: str) -> bool:
    """Whether a long number is no integer, and has no more digits than a PAN but for the zeros around them."""
    digits = "".join(_find_digits(written)).strip("0")
    return not written.lstrip("-").isdecimal() and len(digits) <= MAX_PAN_DIGITS
