"""JSON with one meaning: what two parsers could read differently is refused.

Refused: duplicate keys, NaN and Infinity, numbers beyond a double, lone surrogates, invalid UTF-8, a byte order mark,
nesting beyond a limit (RFC 8259 leaves all of these open). Integers of any size are kept.
"""

import json
from collections.abc import Sequence

import msgspec

from extproc.core.reasons import Malformed, Reason


class Sealed:
    """A string of a document that is written as it came and that no masker looks at. It does not print."""

    __slots__ = ("text",)

    def __init__(self, text: str) -> None:
        self.text = text


def _unseal(value: object) -> str:
    if isinstance(value, Sealed):
        return value.text
    raise TypeError("not a JSON value")


_DECODER = msgspec.json.Decoder()
_TEXT_DECODER = msgspec.json.Decoder(str)
_ENCODER = msgspec.json.Encoder(enc_hook=_unseal)
_FAILURES = (msgspec.MsgspecError, ValueError, RecursionError)


class _Broken:
    """No JSON value is this."""


_BROKEN = _Broken()


def holds_too_many_values(data: bytes, most: int) -> bool:
    """Whether `data` looks like more than twice `most` values: told before any of them costs memory and time.

    Separators inside strings count too, so twice as many are allowed as may be inspected.
    """
    return len(data) > most and data.count(b",") + data.count(b"[") + data.count(b"{") > 2 * most


def parse_json(data: bytes, max_depth: int, reason: Reason) -> object:
    """The document, or `Malformed(reason)`. At most `max_depth` arrays and objects stand inside one another."""
    document = _parse(data, max_depth)
    # Raised outside the `except` so that no chained exception carries the payload.
    if document is _BROKEN:
        raise Malformed(reason)
    return document


def parse_string_body(inner: bytes) -> str | None:
    """What `inner` means between two quotes, or None when that is not exactly one JSON string."""
    try:
        return _TEXT_DECODER.decode(b'"' + inner + b'"')
    except _FAILURES:
        return None


# U+0085, U+2028 and U+2029 in UTF-8.
_LINE_ENDS = ((b"\xc2\x85", b"\\u0085"), (b"\xe2\x80\xa8", b"\\u2028"), (b"\xe2\x80\xa9", b"\\u2029"))


def encode_json(document: object) -> bytes:
    """Compact UTF-8, keys in the order of the document, integers of any size, shortest faithful floats.

    What Unicode calls a line end is escaped: clients that read lines end one there (httpx, Python's `splitlines`).
    """
    data = _ENCODER.encode(document)
    if not data.isascii():
        for raw, escaped in _LINE_ENDS:
            data = data.replace(raw, escaped)
    return data


def _parse(data: bytes, max_depth: int) -> object:
    try:
        document = _DECODER.decode(data)
        # A text equal to its own canonical form has no duplicate keys; anything else is read once more to see.
        if _ENCODER.encode(document) != data:
            json.loads(data.decode(), object_pairs_hook=_distinct, parse_int=len, parse_float=len)
    except _FAILURES:
        return _BROKEN
    # Fewer brackets than the limit cannot nest deeper than the limit.
    if data.count(b"{") + data.count(b"[") > max_depth and _deeper_than(document, max_depth):
        return _BROKEN
    return document


def _distinct(pairs: Sequence[tuple[str, object]]) -> None:
    if len(dict(pairs)) != len(pairs):
        raise ValueError("duplicate key")


def _deeper_than(document: object, max_depth: int) -> bool:
    level: list[object] = [document]
    for _ in range(max_depth):
        below: list[object] = []
        for value in level:
            if isinstance(value, dict):
                below.extend(value.values())
            elif isinstance(value, list):
                below.extend(value)
        # Scalars below the last level are fine, containers are not.
        level = [value for value in below if isinstance(value, dict | list)]
        if not level:
            return False
    return True
