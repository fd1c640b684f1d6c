"""What must be true of a match besides its pattern. A check gets the view's bytes of what would be replaced."""

import re
from collections.abc import Callable, Mapping
from typing import Final, TypeAlias

from extproc.core.masking.iin import passes_luhn
from extproc.core.masking.rule_data import IBAN_LENGTHS

Check: TypeAlias = Callable[[bytes], bool]

_NO_DIGIT = re.compile(rb"[^0-9]+")
_NO_SIGN = re.compile(rb"[^0-9A-Za-z]+")
_LETTER_VALUES = {code: str(code - 55).encode() for code in range(ord("A"), ord("Z") + 1)}
_LETTER = re.compile(rb"[A-Z]")
_NO_NAME = re.compile(rb"[^A-Za-z._:/\xff-]")
# Numbers that were printed in advertisements and are nobody's (SSA).
_NO_SSN = frozenset((b"078051120", b"219099999", b"123456789"))


def _luhn(value: bytes) -> bool:
    digits = _NO_DIGIT.sub(b"", value)
    return len(digits) > 1 and passes_luhn(digits.decode("ascii"))


def _remainder_97(value: bytes) -> int:
    """ISO 7064 MOD 97-10; letters count from A = 10."""
    return int(_LETTER.sub(lambda letter: _LETTER_VALUES[letter.group()[0]], value)) % 97


def _mod97(value: bytes) -> bool:
    """Check digits at the end (LEI, ISO 17442), or behind two letters (IBAN, ISO 13616)."""
    signs = _NO_SIGN.sub(b"", value).upper()
    return len(signs) > 4 and 1 in (_remainder_97(signs), _remainder_97(signs[4:] + signs[:4]))


def _iban(value: bytes) -> bool:
    signs = _NO_SIGN.sub(b"", value)
    return IBAN_LENGTHS.get(signs[:2].decode("ascii")) == len(signs) and _remainder_97(signs[4:] + signs[:4]) == 1


def _ssn(value: bytes) -> bool:
    """Area 000, 666 and 900-999, group 00 and serial 0000 are never given out (SSA, POMS RM 10201.030)."""
    digits = _NO_DIGIT.sub(b"", value)
    if len(digits) != 9 or digits in _NO_SSN or len(set(digits)) == 1:
        return False
    area = digits[:3]
    return area not in (b"000", b"666") and area < b"900" and digits[3:5] != b"00" and digits[5:] != b"0000"


def _mixed(value: bytes) -> bool:
    """A digit, or a sign that is in no name of code: neither a word, a reference nor what is starred out already."""
    return _NO_NAME.search(value) is not None and b"**" not in value


CHECKS: Final[Mapping[str, Check]] = {
    "luhn": _luhn,
    "mod97": _mod97,
    "iban": _iban,
    "ssn": _ssn,
    "mixed": _mixed,
}
POLICY_CHECKS: Final = ("luhn", "mod97")
"""Those that a policy can name."""
