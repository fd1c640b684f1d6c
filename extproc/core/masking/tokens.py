"""What a candidate may be a part of that is no card: floats, UUIDs, digests, hex literals and IBANs.

An answer is final or `Wait.WAIT`, as in `pan`.
"""

import re

from extproc.core.masking.checks import CHECKS
from extproc.core.masking.rule_data import IBAN_LENGTHS
from extproc.core.masking.wait import WAIT, Wait

# A float has at most 17 significant digits: a long fraction follows a short integer part.
MAX_INTEGER_PART = 5
# SHA-256 in hex; the longest hex token that is told from a PAN with letters beside it.
MAX_HEX = 64

_EXPONENT = re.compile(r"[eE][+-]?\d{1,3}(?![0-9A-Za-z])")
_LONGEST_EXPONENT = 6
_FRACTION = re.compile(r"\.\d")
_FLOAT_BEGUN = re.compile(r"|\.|[eE][+-]?\d{0,3}")
_HEX_AFTER = re.compile(rf"[0-9A-Fa-f-]{{0,{MAX_HEX + 1}}}")
_HEX_BEFORE = frozenset("0123456789abcdefABCDEF-")
_UUID = re.compile(r"[0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}")
_HEX_LITERAL = re.compile(r"(?=[0-9]*[A-Fa-f])[0-9A-Fa-f]+")
_HEX_PREFIXES = frozenset(("0x", "0X"))
_HEX_TOKEN = re.compile(r"(?=[0-9]*[A-Fa-f])(?:[0-9A-Fa-f]{64}|[0-9A-Fa-f]{40}|[0-9A-Fa-f]{32})")
# An IBAN (ISO 13616) up to a candidate, in one piece or in fours.
_IBAN_BEFORE = re.compile(r"(?<![A-Za-z0-9])[A-Z]{2}[0-9]{2}(?:[ -]?[0-9A-Z]{4}){0,7}[ -]?[0-9A-Z]{0,3}\Z")
_IBAN_WINDOW = 48
_IBAN_SIGN = re.compile(r"[ -]?([0-9A-Z])")
_is_iban = CHECKS["iban"]


def follows_integer(text: str, point: int) -> bool:
    """Whether a short integer stands before the decimal point at `point`."""
    at = point
    while at > 0 and point - at <= MAX_INTEGER_PART and text[at - 1].isdecimal():
        at -= 1
    return 1 <= point - at <= MAX_INTEGER_PART


def goes_on(text: str, end: int, grouped: bool, final: bool) -> bool | Wait:
    """Whether the digits go on behind `end`, as those of a float do: an exponent, or a fraction of the last group."""
    rest = text[end : end + _LONGEST_EXPONENT]
    if not final and end + len(rest) == len(text) and _FLOAT_BEGUN.fullmatch(rest):
        return WAIT
    return bool(_EXPONENT.match(rest) or (grouped and _FRACTION.match(rest)))


def in_hex_token(text: str, start: int, end: int, final: bool) -> bool | Wait:
    """Whether the candidate lies inside a UUID or a hex digest of 32, 40 or 64 characters with a letter in it."""
    size = len(text)
    before = text[start - 1] if start else ""
    after = text[end] if end < size else ""
    if before not in _HEX_BEFORE and after not in _HEX_BEFORE:
        return False
    if not all(c in _HEX_BEFORE for c in text[start:end]):
        return False
    left = start
    while left > 0 and start - left <= MAX_HEX and text[left - 1] in _HEX_BEFORE:
        left -= 1
    prefixed = text[max(0, left - 2) : left] in _HEX_PREFIXES
    if left > 0 and text[left - 1].isalnum() and not prefixed:
        return False
    tail = _HEX_AFTER.match(text, end)
    right = tail.end() if tail else end
    if right - left > MAX_HEX:
        return False
    if right == size and not final:
        return WAIT
    if right < size and text[right].isalnum():
        return False
    token = text[left:right]
    return bool(_UUID.fullmatch(token) or _HEX_TOKEN.fullmatch(token) or (prefixed and _HEX_LITERAL.fullmatch(token)))


def in_iban(text: str, start: int, end: int, final: bool) -> bool | Wait:
    """Whether the candidate lies inside an IBAN with right check digits."""
    head = _IBAN_BEFORE.search(text, max(0, start - _IBAN_WINDOW), start)
    length = IBAN_LENGTHS.get(head.group()[:2], 0) if head else 0
    if head is None or not length:
        return False
    signs = ""
    at = head.start()
    while len(signs) < length:
        sign = _IBAN_SIGN.match(text, at)
        if sign is None:
            return WAIT if not final and len(text) - at <= 1 else False
        signs += sign[1]
        at = sign.end()
    if at < end or text[at : at + 1].isalnum():
        return False
    if at == len(text) and not final:
        return WAIT
    return _is_iban(signs.encode("ascii"))
