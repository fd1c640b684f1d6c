"""One value of a JSON text replaced or added, and every other byte left as it came."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass

_BLANKS = re.compile(r"[ \t\n\r]*")
_READER = json.JSONDecoder(parse_int=len, parse_float=len)
"""Tells where a value ends; what it means was judged before."""


@dataclass(frozen=True, slots=True)
class _Entry:
    """One entry of an object: its key, and where its value stands."""

    key: str
    start: int
    end: int


def splice(text: str, path: tuple[str, ...], value: int) -> str:
    """`text`, a strict JSON object, with `value` at `path`; objects on the way that are missing or null are made.

    Raises `ValueError` where something on the way is no object.
    """
    return _splice(text, _blanks(text, 0), path, value)


def _splice(text: str, start: int, path: tuple[str, ...], value: int) -> str:
    if text[start] != "{":
        raise ValueError("not an object")
    entry = next((entry for entry in _entries(text, start) if entry.key == path[0]), None)
    if entry is None:
        first = _blanks(text, start + 1)
        more = "" if text[first] == "}" else ","
        return f"{text[: start + 1]}{json.dumps(path[0])}:{_made(path[1:], value)}{more}{text[start + 1 :]}"
    if len(path) == 1 or text[entry.start : entry.end] == "null":
        return text[: entry.start] + _made(path[1:], value) + text[entry.end :]
    return _splice(text, entry.start, path[1:], value)


def _made(path: tuple[str, ...], value: int) -> str:
    """The objects around `value`, which stands at `path` in them."""
    return f"{{{json.dumps(path[0])}:{_made(path[1:], value)}}}" if path else str(value)


def _entries(text: str, start: int) -> Iterator[_Entry]:
    at = _blanks(text, start + 1)
    while text[at] != "}":
        key, at = _READER.raw_decode(text, at)
        begin = _blanks(text, _blanks(text, at) + 1)
        _, end = _READER.raw_decode(text, begin)
        yield _Entry(key, begin, end)
        at = _blanks(text, end)
        if text[at] == ",":
            at = _blanks(text, at + 1)


def _blanks(text: str, at: int) -> int:
    """Where what is not blank begins, from `at` on."""
    match = _BLANKS.match(text, at)
    return match.end() if match else at
