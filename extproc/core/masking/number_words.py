"""Digits that are spelled out, in English, Spanish and French.

Not in German: `a` begins `acht`, and every English "a" at the end of a piece would have to wait for the next.
"""

import re
from typing import Final

_SPELLED = (
    "zero cero zéro",
    "one uno un",
    "two dos deux",
    "three tres trois",
    "four cuatro quatre",
    "five cinco cinq",
    "six seis",
    "seven siete sept",
    "eight ocho huit",
    "nine nueve neuf",
)
NUMBER_WORDS: Final = {word: value for value, words in enumerate(_SPELLED) for word in words.split()}
"""The words and their digits."""
LONGEST_WORD: Final = max(map(len, NUMBER_WORDS))

_LETTER = r"[^\W\d_]"


def _any_case(text: str) -> str:
    return "".join(f"[{char}{char.upper()}]" for char in text)


def _beginnings(rest: str) -> str:
    """Each beginning of `rest`, the empty one included."""
    return f"(?:{_any_case(rest[0])}{_beginnings(rest[1:])})?" if rest else ""


def _after(first: str) -> str:
    """What follows the first letter in a word, or in what one begins with at the end of a text."""
    rests = [word[1:] for word in NUMBER_WORDS if word[0] == first]
    whole = "|".join(_any_case(rest) for rest in sorted(rests, key=len, reverse=True))
    begun = "|".join(map(_beginnings, rests))
    return rf"(?<=[{first}{first.upper()}])(?:(?:{whole})(?!{_LETTER})|(?:{begun})\Z)"


_FIRSTS = sorted({word[0] for word in NUMBER_WORDS})
FIRST_LETTERS: Final = "".join(_FIRSTS) + "".join(_FIRSTS).upper()
"""What such words begin with: a character class to search for."""
AFTER_FIRST: Final = rf"(?<!{_LETTER}.)(?:{'|'.join(map(_after, _FIRSTS))})"
"""The rest of a word behind its first letter, without letters around, or what there is of it at the end of a text."""
BEGINNINGS: Final = frozenset(word[:cut] for word in NUMBER_WORDS for cut in range(1, len(word) + 1))
"""All that such a word may begin with, in small letters."""

WORDS: Final = "|".join(sorted(NUMBER_WORDS, key=len, reverse=True))
"""All words, as a pattern."""
match_word = re.compile(rf"(?<!{_LETTER})(?:{WORDS})(?!{_LETTER})", re.IGNORECASE).match
"""A word for a digit, without letters around it."""
match_begun = re.compile(
    rf"(?<!{_LETTER})(?:{'|'.join(_any_case(word[0]) + _beginnings(word[1:]) for word in NUMBER_WORDS)})\Z"
).match
"""What such a word may begin with, at the end of a text; the word itself, if it may go on."""
find_word = re.compile(rf"(?<!{_LETTER})(?:{WORDS})(?!{_LETTER})", re.IGNORECASE).search
WORD_BYTES: Final = rf"(?i:\b(?:{WORDS})\b)"
"""The same in UTF-8, for RE2 over bytes."""
