"""Words that say what the digits after them are: a card number, a security code, a PIN, an expiry.

Every judgement looks at a window of at most `WORD_WINDOW` characters before the digits, so a stream that remembers that
many released characters judges exactly as the whole text does.
"""

import re
from dataclasses import dataclass
from typing import Final

import re2

from extproc.core.masking.alphabet import DENSE_ASCII, DENSE_WIDE, NO_GAP, TABLE_GAP, WEAK_GAP
from extproc.core.masking.spots import in_characters

WORD_WINDOW = 64
# Most characters between a keyword and the digits it announces.
MAX_CODE_DISTANCE = 20
MAX_PAN_DISTANCE = 24

_FILL = " \t\r\n\xa0:=#\"'(,|\\*`<>{[)-\u2010\u2011\u2012\u2013\u2014/_\uff1a" + WEAK_GAP + TABLE_GAP + NO_GAP
# Markup between a word and its digits.
_TAG = re.compile(r"</?[A-Za-z][^<>]{0,20}>")

# A word that needs no boundary on its left, because no ordinary word ends in it.
_CODE_SURE = (
    *("cvv", "cvv2", "cvc", "cvc2", "securitycode", "cardcode"),
    *("security code", "security_code", "security-code", "card code", "card_code", "card-code"),
    *("verification code", "verification value", "verification number", "verificationcode", "verificationvalue"),
    *("verification_code", "verification_value", "card verification", "on the back", "on the front"),
)
# Words that other words end in.
_CODE_BOUNDED = ("cvn", "cvn2", "cvp2", "ccv", "cav2")
# Words that mean something else inside longer words, and outside payments; read by the profile `pci-strict` only.
_CODE_AMBIGUOUS = ("cid", "csc", "cav", "cvd")
# Non-ASCII fill takes up to three bytes a character.
_LONGEST_FILL = 3 * MAX_CODE_DISTANCE
_CODE_LINKS = ("is", "was", "code", "number", "no", "num", "value", "digits", "are")

_PAN_SURE = ("creditcard", "debitcard", "mastercard", "paymentcard", "bankcard")
_HEX_WORD = "cc"
_PAN_BOUNDED = ("card", "visa", "maestro", "amex", "pan", "cc", "primary account")
_PAN_LINKS = ("is", "was", "number", "no", "num", "nr", "no.", "nr.", "num.", "account")

_PIN_LINKS = ("is", "was", "code", "number", "no", "num", "digits", "are")
_CARD_NEAR = re.compile("card|atm|debit", re.IGNORECASE)
_EXPIRY_SURE = (
    *("valid thru", "good thru", "valid through", "exp date", "exp. date", "exp_date", "expdate", "expiry date"),
    *("expiry_date", "expirydate", "expiration date", "expiration_date", "expirationdate", "card expiry", "card exp"),
    *("card_expiry", "card_exp", "card expires", "card expiration", "mm/yy", "mm/yyyy"),
)
_EXPIRY_LINKS = ("is", "was", "on")
_EXPIRY_PARTS = (
    *("exp month", "exp year", "exp_month", "exp_year", "expmonth", "expyear", "expiry month", "expiry year"),
    *("expiry_month", "expiry_year", "expirymonth", "expiryyear", "expiration month", "expiration year"),
    *("expiration_month", "expiration_year", "expirationmonth", "expirationyear"),
)

_UPPER: Final = dict(zip(range(65, 91), range(97, 123), strict=True))


def _lower(text: str) -> str:
    """ASCII letters in lower case. `str.lower` also changes other letters, and some of them to two."""
    return text.lower() if text.isascii() else text.translate(_UPPER)


@dataclass(frozen=True, slots=True)
class Announcement:
    """Words after which, with at most `distance` characters of punctuation and links between, digits mean something.

    A letter may stand before the `sure` ones only, and something must stand behind those that are `apart`.
    """

    sure: tuple[str, ...]
    bounded: tuple[str, ...]
    apart: tuple[str, ...]
    links: tuple[str, ...]
    distance: int
    last: frozenset[str]

    @classmethod
    def of(
        cls,
        sure: tuple[str, ...],
        bounded: tuple[str, ...],
        links: tuple[str, ...],
        distance: int,
        apart: tuple[str, ...] = (),
    ) -> "Announcement":
        last = "".join(word[-1] for word in (*sure, *bounded, *apart, *links))
        return cls(sure, bounded, apart, links, distance, frozenset(last + last.upper()))

    def _is_said(self, rest: str, *, apart: bool) -> bool:
        words = (*self.bounded, *self.apart) if apart else self.bounded
        return rest.endswith(self.sure) or any(
            rest.endswith(word) and not _joins(rest[: -len(word)][-1:], word) for word in words
        )

    def stands_before(self, text: str, start: int) -> bool:
        """Whether such words stand directly before the digits at `start`."""
        window = text[max(0, start - WORD_WINDOW) : start]
        if ">" in window:
            window = _TAG.sub("", window)
        rest = window.rstrip(_FILL)
        size = len(window)
        if rest[-1:] not in self.last or size - len(rest) > self.distance:
            return False
        rest = _lower(rest)
        while size - len(rest) <= self.distance:
            if self._is_said(rest, apart=size > len(rest)):
                return True
            link = next((word for word in self.links if rest.endswith(word)), None)
            if link is None:
                return False
            rest = rest[: -len(link)].rstrip(_FILL)
        return False


def _joins(before: str, word: str) -> bool:
    """Whether the word is part of a longer one, or of hex digits."""
    return before.isalpha() or (before.isdecimal() and word == _HEX_WORD)


PAN_WORDS: Final = Announcement.of(_PAN_SURE, _PAN_BOUNDED, _PAN_LINKS, MAX_PAN_DISTANCE)
PIN_WORDS: Final = Announcement.of((), ("pin",), _PIN_LINKS, MAX_CODE_DISTANCE)
EXPIRY_WORDS: Final = Announcement.of(_EXPIRY_SURE, (), _EXPIRY_LINKS, MAX_CODE_DISTANCE)
EXPIRY_PART_WORDS: Final = Announcement.of(_EXPIRY_PARTS, (), _EXPIRY_LINKS, MAX_CODE_DISTANCE)
_LAST_TWO: Final = frozenset(
    word[-2:]
    for word in (
        *(
            *_CODE_SURE,
            *_CODE_BOUNDED,
            *_CODE_AMBIGUOUS,
            *_CODE_LINKS,
            *_PAN_SURE,
            *_PAN_BOUNDED,
            *_PAN_LINKS,
            "pin",
            *_PIN_LINKS,
        ),
        *(*_EXPIRY_SURE, *_EXPIRY_PARTS, *_EXPIRY_LINKS),
    )
)


class Words:
    """The keyword rules of one profile."""

    __slots__ = ("_gate", "_gate_wide", "code")

    @staticmethod
    def may_announce(text: str, start: int) -> bool:
        """Whether any of the questions below may be answered with yes: one look, for the many digits without words."""
        window = text[max(0, start - WORD_WINDOW) : start]
        return window.rstrip(_FILL)[-2:].lower() in _LAST_TWO or ">" in window

    pan_announced = staticmethod(PAN_WORDS.stands_before)
    expiry_announced = staticmethod(EXPIRY_WORDS.stands_before)
    expiry_part_announced = staticmethod(EXPIRY_PART_WORDS.stands_before)

    def __init__(self, ambiguous: tuple[str, ...] = _CODE_AMBIGUOUS) -> None:
        self.code = Announcement.of(_CODE_SURE, _CODE_BOUNDED, _CODE_LINKS, MAX_CODE_DISTANCE, ambiguous)
        announcing = {*_CODE_SURE, *_CODE_BOUNDED, *ambiguous, "pin", *_EXPIRY_SURE, *_EXPIRY_PARTS}
        words = "|".join(map(re.escape, sorted(announcing, key=len, reverse=True)))
        fill = re.escape("".join(c for c in _FILL if c.isascii()))
        links = "|".join(sorted({*_CODE_LINKS, *_PIN_LINKS, *_EXPIRY_LINKS}))
        between = f"(?:[{fill}\\x80-\\xff]|{links}|</?[A-Za-z][^<>]*>){{0,{_LONGEST_FILL}}}"
        near = f"(?i:(?:{words}){between}[0-9\\x80-\\xff])"
        # RE2 over bytes as they are, so that lone surrogates do not matter.
        options = re2.Options()
        options.encoding = re2.Options.Encoding.LATIN1
        self._gate = re2.compile(f"{DENSE_ASCII}|{near}".encode(), options)
        self._gate_wide = re2.compile(f"{DENSE_WIDE}|{near}".encode(), options)

    def code_announced(self, text: str, start: int) -> bool:
        """Whether the digits at `start` stand directly after words such as "CVV:" or "security code is"."""
        return self.code.stands_before(text, start)

    @staticmethod
    def pin_announced(text: str, start: int) -> bool:
        """Whether the digits at `start` stand after "PIN", with a card before it: elsewhere it is a post code."""
        near = max(0, start - WORD_WINDOW)
        return PIN_WORDS.stands_before(text, start) and _CARD_NEAR.search(text, near, start) is not None

    def spots(self, text: str) -> list[tuple[int, int]]:
        """Stretches of a whole text, in order, that hold every digit at which something to mask can begin."""
        encoded = text.encode("utf-8", "surrogatepass")
        if len(encoded) == len(text):
            return [match.span() for match in self._gate.finditer(encoded)]
        return in_characters(encoded, [match.span() for match in self._gate_wide.finditer(encoded)])
