"""Images, sound and files in a JSON request: where they stand, of which kind they are, and how they are sealed.

Sealed are the bytes of media alone: a data URL or a long run of base64 under a key that carries bytes. Everything else
of the same part (its name, its title, an address on the web) is text like any other.
"""

import re
from collections import Counter
from collections.abc import Iterator

from extproc.core.dialects.fields import MEDIA_FIELDS, MEDIA_KEYS, MEDIA_TYPES, PAYLOAD_KEYS, PROMPTS
from extproc.core.dialects.strict_json import Sealed

_DEFINITIONS = frozenset({"tools", "functions", "response_format"})
"""JSON Schema, in which the names of media are names of properties."""
_DATA_URL = re.compile(r"data:[a-z0-9.+/-]{0,127}(?:;[a-z0-9=._-]{1,127}){0,8};base64,", re.IGNORECASE)
_BASE64 = re.compile(r"[A-Za-z0-9+/_\r\n-]+={0,2}\s?\Z")
_LETTER = re.compile(r"[A-Za-z]")
_MIN_BASE64_CHARACTERS = 64
"""A shorter string is text: the smallest images are longer."""


def find_media(document: dict[str, object]) -> Iterator[tuple[str, object]]:
    """Each piece of media with its kind: a content part, or the value of a field that holds nothing else."""
    for part in (document, *_messages(document), *prompt_objects(document)):
        for key in part.keys() & MEDIA_FIELDS.keys():
            # A count, a flag or something empty carries nothing.
            if part[key] and isinstance(part[key], str | list | dict):
                yield MEDIA_FIELDS[key], part[key]
    for message in _messages(document):
        content = message.get("content")
        for part in content if isinstance(content, list) else ():
            if isinstance(part, dict) and "type" not in part and (keys := part.keys() & MEDIA_KEYS.keys()):
                yield MEDIA_KEYS[min(keys)], part
    yield from ((MEDIA_TYPES[kind], part) for kind, part in typed_parts(document) if kind in MEDIA_TYPES)


def typed_parts(document: dict[str, object]) -> Iterator[tuple[str, dict[str, object]]]:
    """Every object with a `type` outside of definitions and of a tool's arguments: content parts, wherever they are."""
    below = [value for key, value in document.items() if key not in {*_DEFINITIONS, "messages"}]
    below += [message.get("content") for message in _messages(document)]
    while below:
        item = below.pop()
        if isinstance(item, dict):
            kind = item.get("type")
            if isinstance(kind, str):
                yield kind, item
            below.extend(value for key, value in item.items() if kind != "tool_use" or key != "input")
        elif isinstance(item, list):
            below.extend(item)


def seal_media(document: dict[str, object]) -> dict[str, int]:
    """Seal the bytes of all media, in place, and count its pieces by kind."""
    counts: Counter[str] = Counter()
    for kind, part in list(find_media(document)):
        counts[kind] += len(part) if isinstance(part, list) else 1
        _seal(part)
    for part in (document, *_messages(document), *prompt_objects(document)):
        for key in part.keys() & MEDIA_FIELDS.keys():
            part[key] = _sealed(part[key])
    return dict(counts)


def _seal(part: object) -> None:
    below = [part]
    while below:
        item = below.pop()
        if isinstance(item, dict):
            below.extend(item.values())
            for key in item.keys() & PAYLOAD_KEYS if item.get("type") != "text" else ():
                item[key] = _sealed(item[key])
        elif isinstance(item, list):
            below.extend(item)
            item[:] = map(_sealed, item)


def prompt_objects(document: dict[str, object]) -> Iterator[dict[str, object]]:
    """The prompts, or items of a prompt, that are objects (llama.cpp's `prompt_string` with its `multimodal_data`)."""
    for key in PROMPTS:
        value = document.get(key)
        yield from (item for item in (value if isinstance(value, list) else [value]) if isinstance(item, dict))


def _messages(document: dict[str, object]) -> Iterator[dict[str, object]]:
    messages = document.get("messages")
    return (message for message in (messages if isinstance(messages, list) else ()) if isinstance(message, dict))


def _sealed(value: object) -> object:
    if not isinstance(value, str):
        return value
    url = _DATA_URL.match(value)
    bytes_ = value[url.end() :] if url else value
    long = len(bytes_) >= _MIN_BASE64_CHARACTERS and _LETTER.search(bytes_) is not None
    return Sealed(value) if long and _BASE64.match(bytes_) else value
