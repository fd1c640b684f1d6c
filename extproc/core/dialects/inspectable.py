"""What a request may not carry or ask for, because nobody could look at it: refused or taken out."""

from collections.abc import Iterator

from extproc.core.dialects.fields import (
    MEDIA_KEYS,
    MEDIA_TYPES,
    NESTED,
    PROMPTS,
    STRIPPED,
    TEXT_TYPES,
    UNINSPECTABLE,
)
from extproc.core.policy import Operation
from extproc.core.reasons import Malformed, Reason


def strip_uninspectable(document: dict[str, object]) -> tuple[str, ...]:
    """Take the `STRIPPED` fields out, in place, and name them. What asks for nothing (null, false) stays."""
    names: list[str] = []
    nested = ((f"{key}.", part) for key in NESTED if isinstance(part := document.get(key), dict))
    for prefix, part in (("", document), *nested):
        for key in [key for key, value in part.items() if key in STRIPPED and _asks(key, value)]:
            del part[key]
            names.append(prefix + key)
    return tuple(names)


def _asks(key: str, value: object) -> bool:
    """Whether the field asks for something. `logprobs: 0` does; a text or an object under the common words does not."""
    if key == "context":
        return isinstance(value, list)
    if key == "details":
        return value is True
    return value is not None and value is not False


def refuse_uninspectable(operation: Operation, document: dict[str, object]) -> None:
    """Raise `Malformed(BODY_NOT_INSPECTABLE)` for token ids, vectors, images, sound and files."""
    _refuse_fields(document)
    for key in PROMPTS:
        if _has_numbers(document.get(key)):
            raise Malformed(Reason.BODY_NOT_INSPECTABLE)
    modalities = document.get("modalities")
    if modalities is not None and modalities != ["text"]:
        raise Malformed(Reason.BODY_NOT_INSPECTABLE)
    messages = document.get("messages")
    for message in messages if isinstance(messages, list) else []:
        _check_message(operation, message)
    # Tool definitions are JSON Schema, in which these words are names of properties.
    for key, value in document.items():
        if key not in {"messages", "tools", "functions", "response_format"}:
            _refuse_media(value)


def _check_message(operation: Operation, message: object) -> None:
    if not isinstance(message, dict):
        raise Malformed(Reason.BODY_MALFORMED)
    _refuse_fields(message)
    if operation is not Operation.CHAT:
        _refuse_media(message)
        return
    content = message.get("content")
    if isinstance(content, str) or content is None:
        return
    if not isinstance(content, list):
        raise Malformed(Reason.BODY_MALFORMED)
    if not all(isinstance(part, str) or _is_text_part(part) for part in content):
        raise Malformed(Reason.BODY_NOT_INSPECTABLE)


def _is_text_part(part: object) -> bool:
    if not isinstance(part, dict):
        return False
    kind = part.get("type", "text")
    return isinstance(kind, str) and kind in TEXT_TYPES and part.keys().isdisjoint(MEDIA_KEYS)


def _refuse_fields(part: dict[str, object]) -> None:
    for key in part.keys() & UNINSPECTABLE.keys():
        # A count, a flag or something empty carries nothing.
        if part[key] and isinstance(part[key], str | list | dict):
            raise Malformed(Reason.BODY_NOT_INSPECTABLE)


def _has_numbers(value: object) -> bool:
    """Whether a prompt, or one of a batch of prompts, is a list of numbers."""
    if not isinstance(value, list):
        return False
    return any(isinstance(item, int | float) or _has_numbers(item) for item in value)


def _refuse_media(value: object) -> None:
    for part in _objects(value):
        kind = part.get("type")
        if isinstance(kind, str) and kind in MEDIA_TYPES:
            raise Malformed(Reason.BODY_NOT_INSPECTABLE)


def _objects(value: object) -> Iterator[dict[str, object]]:
    below = [value]
    while below:
        item = below.pop()
        if isinstance(item, dict):
            yield item
            below.extend(item.values())
        elif isinstance(item, list):
            below.extend(item)
