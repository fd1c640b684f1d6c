"""Object keys that say what their value is: what no pattern finds, a key announces."""

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
    KeyRule.PIN: "pin pinnumber",
    KeyRule.EXPIRY: "exp expiry expiration expires expdate",
    KeyRule.PIN_BLOCK: "epb",
    KeyRule.CARDHOLDER: "ccname holdername",
}
_ENDS: dict[KeyRule, str] = {
    KeyRule.CODE: (
        "cvv cvv2 cvc cvc2 ccv cvp2 securitycode cardcode verificationvalue verificationcode verificationnumber"
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
    KeyRule.EXPIRY: "expirydate expirationdate cardexpiry cardexpiration cardexp ccexp",
    KeyRule.CARDHOLDER: "cardholder cardholdername nameoncard cardownername",
}
_NOISE = str.maketrans("", "", "_- .")
_EXACTLY = {key: rule for rule, keys in _EXACT.items() for key in keys.split()}
_ENDINGS = {key: rule for rule, keys in _ENDS.items() for key in keys.split()}
_ALL_ENDINGS = tuple(_ENDINGS)
_BY_LENGTH = sorted(_ENDINGS, key=len, reverse=True)
# Keys under which an announced value may be wrapped. Others (`type`, `maxLength`) keep a tool's schema as it is.
_WRAPPERS = frozenset(("value", "number", "code", "text", "data", "example", "default"))


def key_rule(key: str, outer: KeyRule) -> KeyRule:
    """The rule for the value under `key`, in an object that itself stands under the rule `outer`."""
    name = key[-MAX_KEY:].translate(_NOISE).lower()
    if name in _EXACTLY:
        return _EXACTLY[name]
    if name.endswith(_ALL_ENDINGS):
        return next(_ENDINGS[end] for end in _BY_LENGTH if name.endswith(end))
    return outer if name in _WRAPPERS else KeyRule.NONE
