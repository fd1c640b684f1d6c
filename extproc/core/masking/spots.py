"""Where the view of a whole text may hold something that the text does not: one RE2 search, so that prose is not read.

Finds all such places, and some others.
"""

import re
from itertools import islice
from typing import Final

import re2

from extproc.core.masking.alphabet import MAX_GAP, NO_GAP, SEPARATOR_CLASS
from extproc.core.masking.iin import GROUPINGS, MIN_PAN_DIGITS
from extproc.core.masking.number_words import WORD_BYTES, WORDS
from extproc.core.masking.reader import LETTERS, MAX_TOKEN, SHAPED, TAG, shown_tag
from extproc.core.masking.run import FEW, LISTED

_S = r"[ \t\n\r\v\f./_\-\x80-\xff]"
_TOKEN = rf"<[^<>]{{1,{MAX_TOKEN - 2}}}>|&#?[A-Za-z0-9]{{1,31}};?|%[0-9A-Fa-f]|\\+[nrt]?"
# What separates numbers in the text as in its view, and what else may stand between the digits of one number.
_PLAIN = rf"(?:{_S}|[,;:|])"
_GAP = rf"(?:{_PLAIN}|[\"'*~`]|{_TOKEN})"
_WEAK = rf"{_S}*[,;:|]{_S}*"
_JOINT = rf"{_PLAIN}*(?:[\"'*~`]|{_TOKEN}){_GAP}*"
_D = f"[0-9{LETTERS}]"
_L = f"[{LETTERS}]"
_MOST_GAPS: Final = 5 * MAX_GAP
# As many digits as a card has, to the end of their run, so that it is found once; of interest where it has a joint.
_JOINED: Final = rf"(?:{_D}{_GAP}*){{{MIN_PAN_DIGITS - 1}}}{_D}(?:{_GAP}*{_D})*"
# Any byte of another character may belong to a digit.
_ANY = r"[0-9\x80-\xff]"
# The same where digits and separators may be any characters: in the text itself, whose bytes do not tell.
_find_joined = re.compile(
    rf"[\d{LETTERS}](?:(?:[{SEPARATOR_CLASS},;:|\"'*~`]|<[^<>]{{1,{MAX_TOKEN - 2}}}>|&#?[A-Za-z0-9]{{1,31}}+;?"
    rf"|%[0-9A-Fa-f]|\\++[nrt]?){{0,{_MOST_GAPS}}}+[\d{LETTERS}]){{{MIN_PAN_DIGITS - 1},}}+"
).finditer
_find_joint = re.compile(r"[\"'*~`<&%\\]").search
_find_listing = re.compile(r"[,;:|\"'*~`<&%\\]").search
_find_letter = re.compile(_L).search
_find_other_joint = re.compile(r"[*~`&%\\]").search
# Lengths of groups that may be a card's, whatever stands between them: forms, ones, pairs, threes and more.
_FORMS = sorted(",".join(map(str, form)) for form in {*LISTED, *FEW, *GROUPINGS, (4, 4, 4)})
_find_card = re.compile(
    rf"\b(?:1[2-9]|{'|'.join(_FORMS)}|(?:1,){{11}}1|(?:2,){{5}}[12]|(?:(?:[3-9]|1[0-9]),){{3}}\d)"
).search
# Then all groups around may be one, or parts of several.
_find_unseen = re.compile(rf"\d[\"'{NO_GAP}]+\d").search
_find_groups = re.compile(r"\d+").findall
# Two hex digits that are a letter, a digit, or no ASCII.
_MEANING = "(?:3[0-9]|[46][1-9A-Fa-f]|[57][0-9Aa]|[89A-Fa-f][0-9A-Fa-f])"
_ESCAPE = r"(?:&#?[A-Za-z0-9]{1,31};|&#[xX]?[0-9A-Fa-f]{1,7}|%[0-9A-Fa-f]{2}|\\[ux][0-9A-Fa-f]{2,4})"
_FILL = r"[ \t\n\r\v\f:=#\"'(,|\\*`<>{\[)\]?\-/_.;~\x80-\xff]"
# What stands in announcements behind their first word, and between them and the digits; and those that stand apart.
_LINKS = (
    "(?i:cvn2?|cvp2|ccv|cav2?|cid|csc|cvd|card|visa|maestro|amex|pan|cc|primary|pin|is|was|on|are|code|number|no|num|nr|value|digits|account|verification|back|front|the|thru|through|date|"
    "exp|expiry|expires|expiration|month|year|mm|yy|yyyy|of|equals|in|for|this|that|my|your|till|[34])"
)
_EXPIRY = rf"(?i:exp|thru|valid|until|date)[A-Za-z{_FILL[1:]}{{0,24}}"


_GATE: Final = "|".join(
    (
        # Escapes of letters and digits, wherever they stand, and of anything else close before digits.
        r"&#0*(?:4[89]|5[0-7]|6[5-9]|[78][0-9]|90|9[789]|1[01][0-9]|12[0-27-9]|1[3-9][0-9]|[2-9][0-9]{2}|[0-9]{4})",
        rf"&#[xX]0*(?:{_MEANING}|[0-9A-Fa-f]{{3}})|%{_MEANING}|&sup[123]",
        rf"\\x{_MEANING}|\\u(?:00{_MEANING}|20[7-9A-Fa-f]|2[1-9A-Fa-f]|0[1-9A-Fa-f]|[13-9A-Fa-f][0-9A-Fa-f])",
        rf"{_ESCAPE}(?:{_FILL}|{_LINKS}|{_ESCAPE}|<[^<>]{{1,{MAX_TOKEN - 2}}}>)*{_ANY}",
        # Escaped line ends and markup, which are read behind digits only, behind a word that ends in one.
        rf"(?i:cv[vcnp][12]|cav2){_FILL}*(?:\\[nrt]|<[^<>]*>)(?:{_FILL}|\\[nrt]|<[^<>]*>)*{_ANY}",
        # A code behind an expiry, with something between them that is not seen there.
        rf"{_EXPIRY}(?:{_ANY}{_PLAIN}*){{1,24}}{_JOINT}{_ANY}",
        # A line that begins behind a number, with a word that may announce another.
        rf"{_ANY}{_GAP}*\\[nrt][A-Za-z]",
        # A word for a digit, beside a digit or another.
        rf"{WORD_BYTES}{_GAP}*(?:[0-9]|{WORD_BYTES})|[0-9]{_GAP}*{WORD_BYTES}",
        rf"[0-9_](?i:{WORDS})(?:[0-9_]|\b)|\b(?i:{WORDS})[0-9_]",
        # Groups in punctuation, as cards are printed, in ones or in pairs.
        rf"[0-9]{{4}}{_WEAK}[0-9]{{4,6}}{_GAP}+[0-9]{{4}}|[0-9]{{4}}{_GAP}+[0-9]{{4,6}}{_WEAK}[0-9]{{4}}",
        rf"(?:[0-9]{_WEAK}){{11}}[0-9]|(?:[0-9]{{2}}{_WEAK}){{5}}[0-9]{{2}}",
        # Letters that look like digits: in a long number, or beside a group of digits.
        rf"[0-9]{_D}{{3,17}}{_L}|[0-9]{{1,3}}{_L}{_D}{{7}}",
        rf"(?:[0-9]{_D}{{0,4}}{_L}|{_L}{_D}{{0,4}}[0-9]){_D}{{0,4}}{_GAP}+{_D}{{4}}",
        rf"{_D}{{4}}{_GAP}+(?:[0-9]{_D}{{0,4}}{_L}|{_L}{_D}{{0,4}}[0-9])",
    )
)
# Where characters that do not show may stand between digits: a letter beside a digit or such a character.
_BESIDE = rf"(?:[0-9]{_L}|{_L}[0-9])"
_VEILED: Final = "|".join(
    (
        rf"[0-9][\x80-\xff]+{_L}|{_L}[\x80-\xff]+[0-9]",
        rf"{_BESIDE}{_D}{{0,17}}[\x80-\xff]|[\x80-\xff]{_D}{{0,17}}{_BESIDE}",
    )
)
# Bytes of UTF-8 that do not begin a character.
_INNER = bytes(range(0x80, 0xC0))


# RE2 over bytes as they are, so that lone surrogates do not matter.
OPTIONS: Final = re2.Options()
OPTIONS.encoding = re2.Options.Encoding.LATIN1
_gate = re2.compile(_GATE.encode(), OPTIONS)
_joined = re2.compile(_JOINED.encode(), OPTIONS)
_gate_wide = re2.compile(b"|".join([_GATE.encode(), _VEILED.encode(), *map(str.encode, SHAPED)]), OPTIONS)


def unlike_spots(text: str, most: int) -> list[tuple[int, int]]:
    """Stretches of a whole text, in order; the first `most`, where there are more."""
    encoded = text.encode("utf-8", "surrogatepass")
    wide = len(encoded) != len(text)
    spots = [match.span() for match in islice((_gate_wide if wide else _gate).finditer(encoded), most)]
    if wide:
        spots = in_characters(encoded, spots)
        joined = [match.span() for match in islice(_find_joined(text), most)]
    else:
        joined = [match.span() for match in islice(_joined.finditer(encoded), most)]
    joined = [(start, stop) for start, stop in joined if _may_join(text[start:stop])]
    return sorted(spots + joined)[:most] if joined else spots


def _may_join(run: str) -> bool:
    """Whether the view of a run of digits, with what may stand between them, may have a card that the text has not."""
    if not run.isascii() and _find_listing(run) is not None:
        return True
    if _find_joint(run) is None or sum(map(len, _find_groups(run))) < MIN_PAN_DIGITS:
        return False
    if _find_other_joint(run) is not None or _find_letter(run) is not None:
        return True
    shown = TAG.sub(shown_tag, run)
    if _find_unseen(shown) is not None:
        return True
    return _find_card(",".join(str(len(group)) for group in _find_groups(shown))) is not None


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
