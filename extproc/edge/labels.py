"""What may become a span attribute, a metric label or a word in a log line: names, never text.

Span and metric values come from records, which hold no content; model names and finish reasons still began outside. So
each passes here: the shape of a name, no run of digits that could be an account number, a bounded number of them.
"""

import re
from typing import Final

OTHER: Final = "other"
"""Stands for a value that is not a name, or one too many."""
WITHHELD: Final = "[withheld]"

_MAX_CHARACTERS = 128
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._:/@+-]*")
_LONG_NUMBER = re.compile(r"[0-9](?:[^A-Za-z0-9]*[0-9]){11}")
"""Twelve digits, the shortest account number (ISO/IEC 7812), whatever stands between them but a letter."""
_LONG_NUMBER_IN_TEXT = re.compile(r"(?<![0-9A-Za-z])[0-9](?:[ ._:/-]?[0-9]){11,}+")
_IDENTIFIER = re.compile(r"(?:apr-)?[0-9a-f]{12}-[0-9a-f]{16}|sha256:[0-9a-f]{64}|[0-9a-f]{32}")
"""Exchange, approval and trace ids and digests: hexadecimal of a fixed length, of our making."""


def plain_name(text: str) -> str:
    """`text` where it is a name, otherwise `OTHER`."""
    if len(text) > _MAX_CHARACTERS or not _NAME.fullmatch(text) or _LONG_NUMBER.search(text):
        return OTHER
    return text


def identifier(text: str) -> str:
    """`text` where it is an exchange id, approval id, trace id or digest, otherwise the empty string."""
    return text if _IDENTIFIER.fullmatch(text) else ""


def withhold_numbers(text: str) -> str:
    """`text` with every number of twelve digits or more replaced, identifiers excepted. Linear in `text`."""
    return text if _IDENTIFIER.fullmatch(text) else _LONG_NUMBER_IN_TEXT.sub(WITHHELD, text)


class BoundedNames:
    """The first `limit` distinct names pass; every later one is `OTHER`, so that no label grows without bound."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._seen: dict[str, str] = {}

    def __call__(self, text: str) -> str:
        known = self._seen.get(text)
        if known is not None:
            return known
        name = plain_name(text)
        if name == OTHER or len(self._seen) >= self._limit:
            return OTHER
        self._seen[text] = name
        return name
