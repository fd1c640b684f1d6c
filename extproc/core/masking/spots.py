"""Where the view of a whole text may hold something that the text does not: one RE2 search, so that prose is not read.

Finds all such places, and some others.
"""

from itertools import islice
from typing import Final

import re2

from extproc.core.masking.number_words import WORD_BYTES
from extproc.core.masking.reader import LETTERS, MAX_TOKEN, SHAPED

_S = r"[ \t\n\r\v\f./_\-\x80-\xff]"
_TOKEN = rf"<[^<>]{{1,{MAX_TOKEN - 2}}}>|&#?[A-Za-z0-9]{{1,31}};?|%[0-9A-Fa-f]|\\+[nrt]?"
_GAP = rf"(?:{_S}|[,;:|\"'*~`]|{_TOKEN})"
_WEAK = rf"{_S}*[,;:|]{_S}*"
_D = f"[0-9{LETTERS}]"
_L = f"[{LETTERS}]"

_GATE: Final = "|".join(
    (
        # Escapes of any character, of which digits may be made.
        r"&#?[A-Za-z0-9]{1,31};|&#[xX]?[0-9A-Fa-f]|%[0-9A-Fa-f]{2}|\\[ux][0-9A-Fa-f]{2}",
        # Digits joined by something that is not seen between them.
        rf"[0-9]{_GAP}*(?:[\"'*~`]|{_TOKEN}){_GAP}*[0-9]",
        # A line that begins behind a number, with a word that may announce another.
        rf"[0-9]{_GAP}*\\[nrt][A-Za-z]",
        # A word for a digit, beside a digit or another.
        rf"{WORD_BYTES}{_GAP}*(?:[0-9]|{WORD_BYTES})|[0-9]{_GAP}*{WORD_BYTES}",
        # Groups in punctuation, as cards are printed, in ones or in pairs.
        rf"[0-9]{{4}}{_WEAK}[0-9]{{4,6}}{_GAP}+[0-9]{{4}}|[0-9]{{4}}{_GAP}+[0-9]{{4,6}}{_WEAK}[0-9]{{4}}",
        rf"(?:[0-9]{_WEAK}){{11}}[0-9]|(?:[0-9]{{2}}{_WEAK}){{5}}[0-9]{{2}}",
        # Letters that look like digits: in a long number, or beside a group of digits.
        rf"[0-9]{_D}{{3,17}}{_L}|[0-9]{{1,3}}{_L}{_D}{{7}}",
        rf"(?:[0-9]{_D}{{0,4}}{_L}|{_L}{_D}{{0,4}}[0-9]){_D}{{0,4}}{_GAP}+{_D}{{4}}",
        rf"{_D}{{4}}{_GAP}+(?:[0-9]{_D}{{0,4}}{_L}|{_L}{_D}{{0,4}}[0-9])",
    )
)
# Bytes of UTF-8 that do not begin a character.
_INNER = bytes(range(0x80, 0xC0))


# RE2 over bytes as they are, so that lone surrogates do not matter.
OPTIONS: Final = re2.Options()
OPTIONS.encoding = re2.Options.Encoding.LATIN1
_gate = re2.compile(_GATE.encode(), OPTIONS)
_gate_wide = re2.compile(b"|".join([_GATE.encode(), *map(str.encode, SHAPED)]), OPTIONS)


def unlike_spots(text: str, most: int) -> list[tuple[int, int]]:
    """Stretches of a whole text, in order; the first `most`, where there are more."""
    encoded = text.encode("utf-8", "surrogatepass")
    if len(encoded) == len(text):
        return [match.span() for match in islice(_gate.finditer(encoded), most)]
    return in_characters(encoded, [match.span() for match in islice(_gate_wide.finditer(encoded), most)])


def in_characters(encoded: bytes, spots: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """Offsets in UTF-8, in order, as offsets in the text. A spot that begins inside a character begins with it."""
    at = counted = 0
    converted = []
    for start, stop in spots:
        counted += len(encoded[at:start].translate(None, _INNER))
        length = len(encoded[start:stop].translate(None, _INNER))
        inside = start < len(encoded) and encoded[start] in _INNER
        converted.append((counted - inside, counted + length))
        at, counted = stop, counted + length
    return converted
