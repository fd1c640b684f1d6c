"""What a person typed, as it may be kept: a reason, an argument, a filter. A record is never changed afterwards."""

import re

from extproc.core.masking.scanner import Scanner
from extproc.core.masking.settings import MaskingSettings
from extproc.core.principal import Principal, names_card_data, with_masked_words
from extproc.core.reasons import Reason, Unverified

_OWN_ID = re.compile(r"(?:[0-9a-f]{12}|\d{8}T\d{6}Z)-[0-9a-f]{16}", re.ASCII)
"""Of an exchange or a request. One in some ten thousand has digits that could be a card number, and none is one."""


def recordable(person: Principal) -> Principal:
    """Somebody as records may name them, with card data masked.

    Raises `Unverified(TOKEN_CARD_DATA)` where what tells them from others would have to be masked.
    """
    mask = Scanner(MaskingSettings()).masker().mask_text
    if names_card_data(person, mask):
        raise Unverified(Reason.TOKEN_CARD_DATA)
    return with_masked_words(person, mask)


def mask_argument(argument: str) -> str:
    """What a person typed to name something: an id of ours as it is, all else as a reason."""
    return argument if _OWN_ID.fullmatch(argument) else mask_reason(argument)


def mask_reason(reason: str) -> str:
    """What a person wrote, with card data masked. What is no text is written as `\\udcff`."""
    return Scanner(MaskingSettings()).masker().mask_text(reason.encode("utf-8", "backslashreplace").decode())
