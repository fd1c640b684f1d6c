"""Images, sound and files in a JSON request: where they stand, of which kind they are, and how they are sealed.

Sealed are the bytes of media alone: a data URL or a long run of base64 under a key that carries bytes. Everything else
of the same part (its name, its title, an address on the web) is text like any other.
"""

import re
from collections import Counter
from collections.abc import Iterator

from extproc.core.dialects.fields import MEDIA_FIELDS, MEDIA_KEYS, MEDIA_PLACES, MEDIA_TYPES, PAYLOAD_KEYS, PROMPTS
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
    yield from _untyped_media(document)
    for kind, part in typed_parts(document):
        if kind in MEDIA_TYPES and not _is_text_document(kind, part):
            yield MEDIA_TYPES[kind], part


def _untyped_media(document: dict[str, object]) -> Iterator[tuple[str, object]]:
    """The parts without a `type` that hold media under one of the known keys; in messages, under any value."""
    below = [(document.get(key), False) for key in MEDIA_PLACES]
    below += [(message.get("content"), True) for message in _messages(document)]
    while below:
        item, said = below.pop()
        if isinstance(item, list):
            below.extend((value, said) for value in item)
        elif isinstance(item, dict) and isinstance(item.get("type"), str):
            # Of items with one (messages of Responses, results of tools), what they say; media are found by theirs.
            below.extend((item.get(key), said) for key in ("content", "output") if item["type"] not in MEDIA_TYPES)
        elif isinstance(item, dict):
            keys = [key for key in item.keys() & MEDIA_KEYS.keys() if _is_media(item[key], said)]
            if keys:
                yield MEDIA_KEYS[min(keys)], item
            below.extend((value, said) for key, value in item.items() if key not in keys)


def _is_media(value: object, said: bool) -> bool:
    """Whether a key of media has some: not a number, a matrix (features), a part with a type.

    Nor a name or a word, unless it is `said` in a message, where servers fetch what the key names.
    """
    if isinstance(value, list):
        return any(_is_media(item, said) for item in value)
    if isinstance(value, dict):
        kind = value.get("type")
        return bool(value) and not (isinstance(kind, str) and kind in MEDIA_TYPES)
    if not isinstance(value, str):
        return False
    return (said and bool(value)) or "://" in value or _sealed(value) is not value


def _is_text_document(kind: str, part: dict[str, object]) -> bool:
    """Anthropic's document that is plain text, and nothing else."""
    source = part.get("source")
    if kind != "document" or not isinstance(source, dict) or not part.keys().isdisjoint(PAYLOAD_KEYS):
        return False
    plain = source.get("type") == "text" and source.get("media_type", "text/plain") == "text/plain"
    return plain and source.keys() <= {"type", "media_type", "data"} and isinstance(source.get("data"), str)


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


def messages_and_parts(document: dict[str, object]) -> Iterator[dict[str, object]]:
    """The messages of a chat, the items of an `input`, and the objects in their contents."""
    items = document.get("input")
    below: list[object] = [*_messages(document), *(items if isinstance(items, list) else ())]
    while below:
        part = below.pop()
        if isinstance(part, dict):
            yield part
            content = part.get("content")
            # An object there is what a tool said.
            below.extend(content if isinstance(content, list) else ())


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
