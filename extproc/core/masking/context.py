"""Words that say what the digits after them are: a card number, a security code, a PIN, an expiry.

Every judgement looks at a window of at most `WORD_WINDOW` characters before the digits, so a stream that remembers that
many released characters judges exactly as the whole text does.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import islice
from typing import Final

import re2

from extproc.core.masking.alphabet import NO_GAP, SHAPES_ASCII, TABLE_GAP, WEAK_GAP, find_dense
from extproc.core.masking.iin import passes_luhn
from extproc.core.masking.spots import in_characters

WORD_WINDOW = 64
# Most characters between a keyword and the digits it announces.
MAX_CODE_DISTANCE = 24
MAX_PAN_DISTANCE = 24

_FILL = (
    " \t\r\n\xa0:=#\"'(,|\\*`<>{[)]?~-\u2010\u2011\u2012\u2013\u2014/_\uff1a\u2192"
    "\u2018\u2019\u201a\u201c\u201d\u201e\u00ab\u00bb\u2039\u203a" + WEAK_GAP + TABLE_GAP + NO_GAP
)
# Markup between a word and its digits. Inside a word it separates, but for the 2 of CVV2.
_TAG = re.compile(r"</?[A-Za-z][^<>]{0,20}>")
_TAGS_APART = re.compile(rf"(?<=[A-Za-z0-9])(?:{_TAG.pattern})+(?=[A-Za-z])")
# An element of XML that says what it holds; elements of HTML do not.
_NAMED = re.compile(r"<([A-Za-z][A-Za-z0-9_.:-]{1,20})>\s*\Z")
_HTML = frozenset(
    (
        *("b", "i", "u", "em", "strong", "span", "code", "td", "th", "tr", "li", "p", "div", "br", "hr", "a", "s", "q"),
        *("sup", "sub", "small", "big", "mark", "font", "pre", "tt", "kbd"),
    )
)
# A mask announces nothing.
_in_mask = re.compile(r"\[(?:PAN|CVV|PIN|EXPIRY)\Z").search

# A word that needs no boundary on its left, because no ordinary word ends in it.
_CODE_SURE = (
    *("cvv", "cvv2", "cvc", "cvc2", "securitycode", "cardcode"),
    *("security code", "security_code", "security-code", "card code", "card_code", "card-code"),
    *("verification code", "verification value", "verification number", "verificationcode", "verificationvalue"),
    *("verification_code", "verification_value", "card verification"),
)
# Something is said of it, behind such a phrase: with a sign, or a link.
_CODE_SIGNED = ("on the back", "on the front")
# Words that other words end in.
_CODE_BOUNDED = ("cvn", "cvn2", "cvp2", "ccv", "cav2", "cvv1", "cvc1")
# Words that mean something else inside longer words, and outside payments; read by the profile `pci-strict` only.
_CODE_AMBIGUOUS = ("cid", "csc", "cav", "cvd")
_ON_THE_CARD = tuple(
    f"{word} {which} card is" for word in ("for", "on", "of") for which in ("the", "this", "that", "my", "your")
)
_CODE_LINKS = (
    *("is", "was", "code", "number", "no", "no.", "num", "value", "digits", "are", "of", "equals", "on back"),
    *("3 digits", "4 digits", "3-digit", "4-digit", "3 digit", "4 digit", *_ON_THE_CARD),
)

_PAN_SURE = ("creditcard", "debitcard", "mastercard", "paymentcard", "bankcard")
_HEX_WORD = "cc"
_PAN_BOUNDED = ("card", "visa", "maestro", "amex", "pan", "cc", "primary account")
_PAN_LINKS = ("'s", "is", "was", "number", "no", "num", "nr", "no.", "nr.", "num.", "account")

_PIN_SURE = ("cardpin", "atmpin", "debitpin")
_PIN_LINKS = ("is", "was", "code", "number", "no", "num", "digits", "are")
_CARD_NEAR = re.compile("card|atm|debit", re.IGNORECASE)
_EXPIRY_SURE = (
    *("valid thru", "good thru", "valid through", "exp date", "exp. date", "exp_date", "expdate", "expiry date"),
    *("expiry_date", "expirydate", "expiration date", "expiration_date", "expirationdate", "card expiry", "card exp"),
    *("card_expiry", "card_exp", "card expires", "card expiration", "mm/yy", "mm/yyyy", "valid\nthru", "valid till"),
)
_EXPIRY_LINKS = ("is", "was", "on", *_ON_THE_CARD)
# With a card shortly before; elsewhere anything expires.
_EXPIRY_BOUNDED = ("exp", "exp.", "expiry", "expires", "expiration", "expiring", "valid until", "valid to")
_PAYMENT_NEAR = re.compile(r"card|debit|cvv|cvc|\bPAN(?![a-z])", re.IGNORECASE | re.ASCII)
# Where no card is spoken of, codes of so many digits are something else behind these: what is sent to a phone, a check.
_MEANS_OTHER = {
    3: re.compile(r"verification[ _]?(?:value|number)", re.IGNORECASE | re.ASCII),
    4: re.compile(r"verification|passcode", re.IGNORECASE | re.ASCII),
}
_CODE_NEAR = re.compile(r"card|debit|amex|american|cvv|cvc|\bPAN(?![a-z])", re.IGNORECASE | re.ASCII)
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

    A letter may stand before the `sure` ones only. Something must stand behind those that are `apart`, and a sign or a
    link behind those that are `signed`.
    """

    sure: tuple[str, ...]
    bounded: tuple[str, ...]
    apart: tuple[str, ...]
    signed: tuple[str, ...]
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
        *,
        apart: tuple[str, ...] = (),
        signed: tuple[str, ...] = (),
    ) -> "Announcement":
        last = "".join(word[-1] for word in (*sure, *bounded, *apart, *signed, *links))
        longest_first = tuple(sorted(links, key=len, reverse=True))
        return cls(sure, bounded, apart, signed, longest_first, distance, frozenset(last + last.upper()))

    def _is_said(self, rest: str, between: str, *, linked: bool) -> bool:
        if rest.endswith(self.sure) or (
            rest.endswith(self.signed) and (linked or _has_sign(between)) and _speaks_of_digits(rest)
        ):
            return True
        words = (*self.bounded, *self.apart) if between or linked else self.bounded
        return any(rest.endswith(word) and not _joins(rest[: -len(word)][-1:], word) for word in words)

    def stands_before(self, text: str, start: int) -> bool:
        """Whether such words stand directly before the digits at `start`."""
        window = text[max(0, start - WORD_WINDOW) : start]
        if ">" in window:
            named = _NAMED.search(window)
            element = ""
            if named is not None and named[1].lower() not in _HTML:
                window, element = window[: named.start()], f" {named[1]}>"
            window = _TAG.sub("", _TAGS_APART.sub(" ", window)) + element
        rest = window.rstrip(_FILL)
        size = len(window)
        if rest[-1:] not in self.last or size - len(rest) > self.distance:
            return False
        lower = _lower(rest)
        end, linked = size, False
        while size - len(rest) <= self.distance:
            if window.startswith("]", len(rest)) and _in_mask(rest):
                return False
            if self._is_said(lower, window[len(rest) : end], linked=linked):
                return True
            link = next((word for word in self.links if lower.endswith(word)), None)
            if link is None:
                return False
            linked, end = True, len(rest) - len(link)
            rest = rest[:end].rstrip(_FILL)
            lower = lower[: len(rest)]
        return False


def _has_card(text: str, start: int, stop: int) -> bool:
    """Whether a number there has the length and the check digit of a card's."""
    return any(
        passes_luhn("".join(filter(str.isdecimal, number.group()))) for number in _find_numbers(text, start, stop)
    )


_find_numbers = re.compile(r"(?<!\d)\d(?:[ -]?\d){12,18}(?!\d)", re.ASCII).finditer
_speaks_of_digits = re.compile(r"digit|number|code|card|cvv|cvc|three|four").search
_has_sign = re.compile("[:=(|>]").search


def _joins(before: str, word: str) -> bool:
    """Whether the word is part of a longer one, or of hex digits."""
    return before.isalpha() or (before.isdecimal() and word == _HEX_WORD)


PAN_WORDS: Final = Announcement.of(_PAN_SURE, _PAN_BOUNDED, _PAN_LINKS, MAX_PAN_DISTANCE)
PIN_WORDS: Final = Announcement.of(_PIN_SURE, ("pin",), _PIN_LINKS, MAX_CODE_DISTANCE)
EXPIRY_WORDS: Final = Announcement.of(_EXPIRY_SURE, (), _EXPIRY_LINKS, MAX_CODE_DISTANCE)
CARD_EXPIRY_WORDS: Final = Announcement.of((), _EXPIRY_BOUNDED, _EXPIRY_LINKS, MAX_CODE_DISTANCE)
EXPIRY_PART_WORDS: Final = Announcement.of(_EXPIRY_PARTS, (), _EXPIRY_LINKS, MAX_CODE_DISTANCE)
_ANNOUNCING: Final = {
    *(
        *_CODE_SURE,
        *_CODE_SIGNED,
        *_CODE_BOUNDED,
        *_CODE_AMBIGUOUS,
        *_PIN_SURE,
        *_PAN_SURE,
        *_PAN_BOUNDED,
        "pin",
        *_EXPIRY_SURE,
        *_EXPIRY_PARTS,
    ),
    *_EXPIRY_BOUNDED,
}
_LINKING: Final = {*_CODE_LINKS, *_PAN_LINKS, *_PIN_LINKS, *_EXPIRY_LINKS}


def _backwards(words: Iterable[str]) -> str:
    return "|".join(re.escape(word[::-1]) for word in sorted(words, key=len, reverse=True))


# From right to left, as far as there is fill, and links.
_match_announcement = re.compile(
    rf"(?:[{re.escape(_FILL)}]|{_backwards(_LINKING)})*?(?:{_backwards(_ANNOUNCING)})", re.IGNORECASE | re.ASCII
).match


class Words:
    """The keyword rules of one profile."""

    __slots__ = ("_gate", "_near", "code")

    @staticmethod
    def may_announce(text: str, start: int) -> bool:
        """Whether any of the questions below may be answered with yes: one look, for the many digits without words."""
        window = text[max(0, start - WORD_WINDOW) : start]
        return ">" in window or _match_announcement(window[::-1]) is not None

    pan_announced = staticmethod(PAN_WORDS.stands_before)
    expiry_part_announced = staticmethod(EXPIRY_PART_WORDS.stands_before)

    def __init__(self, ambiguous: tuple[str, ...] = _CODE_AMBIGUOUS) -> None:
        self.code = Announcement.of(
            _CODE_SURE, _CODE_BOUNDED, _CODE_LINKS, MAX_CODE_DISTANCE, apart=ambiguous, signed=_CODE_SIGNED
        )
        announcing = {
            *_CODE_SURE,
            *_CODE_SIGNED,
            *_CODE_BOUNDED,
            *ambiguous,
            "pin",
            *_PIN_SURE,
            *_EXPIRY_SURE,
            *_EXPIRY_BOUNDED,
            *_EXPIRY_PARTS,
        }
        words = "|".join(map(re.escape, sorted(announcing, key=len, reverse=True)))
        fill = re.escape("".join(c for c in _FILL if c.isascii()))
        links = "|".join(sorted({*_CODE_LINKS, *_PIN_LINKS, *_EXPIRY_LINKS}))
        between = f"(?:[{fill}\\x80-\\xff]|{links}|</?[A-Za-z][^<>]*>)*"
        near = f"(?i:(?:cv[vc](?:<[^<>]*>)+2|{words}){between}[0-9\\x80-\\xff])"
        # RE2 over bytes as they are, so that lone surrogates do not matter.
        options = re2.Options()
        options.encoding = re2.Options.Encoding.LATIN1
        self._gate = re2.compile(f"{SHAPES_ASCII}|{near}".encode(), options)
        self._near = re2.compile(near.encode(), options)

    def code_announced(self, text: str, start: int) -> bool:
        """Whether the digits at `start` stand directly after words such as "CVV:" or "security code is"."""
        return self.code.stands_before(text, start)

    @staticmethod
    def means_other(text: str, start: int, digits: int) -> bool:
        """Whether an announced code of so many digits at `start` is more likely no card's: none is spoken of."""
        near = max(0, start - WORD_WINDOW)
        other = _MEANS_OTHER[digits].search(text, near, start)
        return other is not None and _CODE_NEAR.search(text, near, start) is None

    @staticmethod
    def expiry_announced(text: str, start: int) -> bool:
        """Whether the digits at `start` stand after "exp date", or after "expires" with a card before it."""
        near = max(0, start - WORD_WINDOW)
        return EXPIRY_WORDS.stands_before(text, start) or (
            CARD_EXPIRY_WORDS.stands_before(text, start)
            and (_PAYMENT_NEAR.search(text, near, start) is not None or _has_card(text, near, start))
        )

    @staticmethod
    def pin_announced(text: str, start: int) -> bool:
        """Whether the digits at `start` stand after "PIN", with a card before it: elsewhere it is a post code."""
        near = max(0, start - WORD_WINDOW)
        return PIN_WORDS.stands_before(text, start) and _CARD_NEAR.search(text, near, start) is not None

    def spots(self, text: str, most: int) -> list[tuple[int, int]]:
        """Stretches of a whole text, in order, that hold every digit at which something to mask can begin.

        The first `most` of a kind, where there are more.
        """
        encoded = text.encode("utf-8", "surrogatepass")
        if len(encoded) == len(text):
            return [match.span() for match in islice(self._gate.finditer(encoded), most)]
        near = in_characters(encoded, [match.span() for match in islice(self._near.finditer(encoded), most)])
        return sorted([*near, *(match.span() for match in islice(find_dense(text), most))])
