"""Object keys that say what their value is: what no pattern finds, a key announces."""

import re
from dataclasses import dataclass
from enum import Enum

from extproc.core.masking.settings import Kind

# Longer keys are judged by their end.
MAX_KEY = 64


@dataclass(frozen=True, slots=True)
class Announced:
    """`primer` is put before the value, so that one set of rules serves text and keys. `whole`: all of it goes."""

    primer: str
    whole: Kind | None = None


class KeyRule(Enum):
    """What an object key announces about its value."""

    NONE = Announced("")
    PAN = Announced("card number ")
    CARD = Announced("card ")
    CODE = Announced("cvv ")
    TRACK = Announced("track ;")
    PIN = Announced("card pin ")
    EXPIRY = Announced("card expiry ")
    EXPIRY_PART = Announced("exp month ")
    WHOLE_TRACK = Announced("track data ", Kind.TRACK)
    PIN_BLOCK = Announced("pin block ", Kind.PIN_BLOCK)
    CARDHOLDER = Announced("cardholder ", Kind.CARDHOLDER)

    @property
    def primer(self) -> str:
        return self.value.primer

    @property
    def whole(self) -> Kind | None:
        return self.value.whole


# A key is one of the first, or ends in one of the second. Case, spaces, dots, dashes and underscores do not count.
_EXACT: dict[KeyRule, str] = {
    KeyRule.CODE: "cid csc cvn cvn2 cvd cav cav2",
    KeyRule.PAN: "pan cc creditcard debitcard",
    KeyRule.CARD: "card paymentcard bankcard",
    KeyRule.PIN: "pin pinnumber",
    KeyRule.EXPIRY: "exp expiry expiration expires",
    KeyRule.PIN_BLOCK: "epb",
    KeyRule.CARDHOLDER: "ccname holdername",
}
_ENDS: dict[KeyRule, str] = {
    KeyRule.CODE: (
        "cvv cvv2 cvc cvc2 ccv cvp2 securitycode cardcode verificationvalue verificationcode verificationnumber "
        "cvvcode cvccode cvvnumber cvcnumber cvvvalue cvcvalue cvvno securitycodenumber"
    ),
    KeyRule.PAN: "primaryaccountnumber cardnumber ccnumber ccnum cardno cardnum cardpan",
    KeyRule.TRACK: "track1 track2 trackdata",
    KeyRule.WHOLE_TRACK: (
        "track1data track2data magstripe magstripedata magneticstripe magneticstripedata track2equivalent "
        "track2equivalentdata emvtag57 tag57"
    ),
    KeyRule.PIN_BLOCK: "pinblock encryptedpin",
    KeyRule.PIN: "cardpin atmpin debitpin",
    KeyRule.EXPIRY_PART: "expmonth expyear expirymonth expiryyear expirationmonth expirationyear",
    KeyRule.EXPIRY: (
        "expdate expirydate expirationdate cardexpiry cardexpiration cardexp ccexp validthru validthrough goodthru "
        "cardvalidto cardvaliduntil"
    ),
    KeyRule.CARDHOLDER: "cardholder cardholdername nameoncard cardownername",
}
_NOISE = str.maketrans("", "", "_- .")
_EXACTLY = {key: rule for rule, keys in _EXACT.items() for key in keys.split()}
_ENDINGS = {key: rule for rule, keys in _ENDS.items() for key in keys.split()}
_ALL_ENDINGS = tuple(_ENDINGS)
_BY_LENGTH = sorted(_ENDINGS, key=len, reverse=True)
# Keys under which an announced value may be wrapped. Others (`type`, `maxLength`) keep a tool's schema as it is.
_WRAPPERS = frozenset(("value", "number", "code", "text", "data", "example", "default"))
# Keys that say what they are of together with the key around them.
_INSIDE: dict[KeyRule, tuple[KeyRule, frozenset[str]]] = {
    KeyRule.EXPIRY: (KeyRule.EXPIRY_PART, frozenset(("month", "year", "mm", "yy", "yyyy"))),
    KeyRule.CARDHOLDER: (
        KeyRule.CARDHOLDER, frozenset(("name", "fullname", "firstname", "lastname", "first", "last", "given", "family"))
    ),
    KeyRule.CARD: (KeyRule.CARDHOLDER, frozenset(("holder",))),
}  # fmt: skip
_NOTHING = (KeyRule.NONE, frozenset[str]())
# A member that says what another one of the same object is: `{"name": "cvv", "value": "737"}`.
_LABELS = frozenset(("name", "key", "label", "field", "fieldname", "field_name", "parameter", "id"))
_LABELLED = frozenset(("value", "val", "answer", "input"))
# Of a description too, where numbers alone go.
_LABELLED_TEXTS = frozenset(("text", "content"))


_WORD_BORDERS = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|[_\-.]+")


def said_by(key: str, outer: str) -> str:
    """What `key` says of its value, in words, for rules that look for theirs before a match.

    A wrapper says what is said around it: `outer`.
    """
    words = _WORD_BORDERS.sub(" ", key[-MAX_KEY:])
    return f"{outer}{words} " if words.lower() in _WRAPPERS else f"{words} "


def key_rule(key: str, outer: KeyRule) -> KeyRule:
    """The rule for the value under `key`, in an object that itself stands under the rule `outer`."""
    name = key[-MAX_KEY:].translate(_NOISE).lower()
    if name in _EXACTLY:
        return _EXACTLY[name]
    if name.endswith(_ALL_ENDINGS):
        return next(_ENDINGS[end] for end in _BY_LENGTH if name.endswith(end))
    if outer is KeyRule.NONE or name in _WRAPPERS:
        return outer
    inside, names = _INSIDE.get(outer, _NOTHING)
    return inside if name in names else KeyRule.NONE


def is_label(key: str) -> bool:
    """Whether the value under `key` says what another value of the same object is."""
    return key.lower() in _LABELS


def labelled_rule(key: str, label: str, rule: KeyRule) -> KeyRule:
    """The rule for the value under `key`, where `label` says what it is, and otherwise `rule` does."""
    if rule is not KeyRule.NONE or not label:
        return rule
    name = key.translate(_NOISE).lower()
    said = key_rule(label, KeyRule.NONE)
    return said if name in _LABELLED or (name in _LABELLED_TEXTS and said.whole is None) else rule
