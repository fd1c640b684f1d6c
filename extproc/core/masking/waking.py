"""When a piece of a stream has to be looked at, and when its view has to be read too: quick answers for most pieces."""

import re

from extproc.core.masking.alphabet import MAX_GAP, SEPARATOR_CLASS
from extproc.core.masking.iin import MIN_PAN_DIGITS
from extproc.core.masking.names import names_may_follow
from extproc.core.masking.number_words import AFTER_FIRST, BEGINNINGS, FIRST_LETTERS
from extproc.core.masking.reader import FIGURES, LETTERS, LISTING, SHAPED_CLASS

_find_unsigned = re.compile(rf"[{FIGURES}{FIRST_LETTERS}](?:(?<=[{FIGURES}])|{AFTER_FIRST})").search
# With the signs behind which a name may stand.
_find_signed = re.compile(rf"[:=|{FIGURES}{FIRST_LETTERS}](?:(?<=[:=|{FIGURES}])|{AFTER_FIRST})").search
_LIST = rf"[{SEPARATOR_CLASS}{LISTING}]{{0,{MAX_GAP}}}"
_WORD = rf"[{FIRST_LETTERS}]{AFTER_FIRST}"
# What a number may go on with that is neither a digit nor a gap in the text; or there is no more of it yet.
_ON = rf"(?:[{SHAPED_CLASS}<~*`&%\\]|{_WORD}|[{LETTERS}]{{1,18}}(?:[0-9]|\Z)|\Z)"
wakes = re.compile(
    rf"[{SHAPED_CLASS}]|{_WORD}(?={_LIST}(?:\d|{_ON}))"
    rf"|&(?:#?[A-Za-z0-9]|#?\Z)|%(?:[0-9A-Fa-f]|\Z)|\\(?:\\{{0,3}}[ux]|\\{{0,3}}\Z)"
    rf"|\d[{SEPARATOR_CLASS}]{{0,{MAX_GAP}}}(?:{_WORD}|[<~*`\\{LETTERS}])"
    # Punctuation in a list of numbers that has as many digits as a card, or may.
    rf"|\d(?:{_LIST}\d){{{MIN_PAN_DIGITS - 1}}}"
    rf"|\d[{SEPARATOR_CLASS}]{{0,{MAX_GAP}}}[{LISTING}](?:{_LIST}\d){{0,{MIN_PAN_DIGITS}}}{_LIST}{_ON}"
).search
"""Finds a place from which on the view of a text may say something that the text does not, and every such place but for
those after it.

What is undecided directly before, and as many characters as a gap has, must be part of the text that is searched.
"""


def interesting(text: str) -> object:
    """Whether a find or a token may begin in a piece of a text where nothing is undecided: `None` if not."""
    word = text[1:] if text[:1] == " " else text
    if word.isalpha():
        # As most pieces are: the quick way to the same answer, or to yes where another word goes on.
        return word if word.lower() in BEGINNINGS else None
    return _find_signed(text)


def worth_a_look(text: str) -> object:
    """Whether there may be a find in a short text that is whole: false if not."""
    return _find_unsigned(text) or names_may_follow("", text)


def word_begun(text: str, before: str) -> int:
    """Where a word for a digit may begin that goes on behind `text`, with nothing of interest before it; -1 if none.

    `before` is the character before `text`, or empty.
    """
    found = _find_signed(text)
    if found is None:
        return -1
    at = found.start()
    if at == 0 and before.isalpha():
        return -1
    word = text[at:]
    return at if word.isalpha() and word.lower() in BEGINNINGS else -1
