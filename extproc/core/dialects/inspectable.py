"""What a request may not carry or ask for, because nobody could look at it: refused or taken out."""

from extproc.core.dialects.fields import (
    MEDIA_KEYS,
    MEDIA_TYPES,
    NESTED,
    PROMPTS,
    STRIPPED,
    TEXT_TYPES,
    UNINSPECTABLE,
    VECTOR_TYPES,
)
from extproc.core.dialects.media import find_media, prompt_objects, typed_parts
from extproc.core.masking.settings import Media
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


def refuse_uninspectable(operation: Operation, document: dict[str, object], media: Media) -> None:
    """Raise `Malformed(BODY_NOT_INSPECTABLE)` for token ids, vectors, sound to come; media unless let through."""
    _refuse_fields(document)
    for part in prompt_objects(document):
        _refuse_fields(part)
    for part in _instances(document):
        if any(isinstance(part[key], list) for key in part.keys() & UNINSPECTABLE.keys()):
            raise Malformed(Reason.BODY_NOT_INSPECTABLE)
    for key in PROMPTS:
        if _has_numbers(document.get(key)):
            raise Malformed(Reason.BODY_NOT_INSPECTABLE)
    _refuse_tensors(document)
    modalities = document.get("modalities")
    if modalities is not None and modalities != ["text"]:
        raise Malformed(Reason.BODY_NOT_INSPECTABLE)
    messages = document.get("messages")
    for message in messages if isinstance(messages, list) else []:
        _check_message(operation, message)
    if any(kind in VECTOR_TYPES for kind, _ in typed_parts(document)):
        raise Malformed(Reason.BODY_NOT_INSPECTABLE)
    if media is not Media.OPAQUE and next(find_media(document), None) is not None:
        raise Malformed(Reason.BODY_NOT_INSPECTABLE)


def _instances(document: dict[str, object]) -> list[dict[str, object]]:
    """Of KServe's and Vertex AI's predictions. Lists in them are features, but those named as token ids or vectors."""
    instances = document.get("instances")
    return [each for each in instances if isinstance(each, dict)] if isinstance(instances, list) else []


def _check_message(operation: Operation, message: object) -> None:
    if not isinstance(message, dict):
        raise Malformed(Reason.BODY_MALFORMED)
    _refuse_fields(message)
    content = message.get("content")
    if operation is not Operation.CHAT or isinstance(content, str) or content is None:
        return
    if not isinstance(content, list):
        raise Malformed(Reason.BODY_MALFORMED)
    if not all(isinstance(part, str) or _is_known_part(part) for part in content):
        raise Malformed(Reason.BODY_NOT_INSPECTABLE)


def _is_known_part(part: object) -> bool:
    if not isinstance(part, dict):
        return False
    kind = part.get("type", "text")
    if not isinstance(kind, str) or (kind in TEXT_TYPES and "type" in part and not part.keys().isdisjoint(MEDIA_KEYS)):
        return False
    return kind in TEXT_TYPES or kind in MEDIA_TYPES


def _refuse_fields(part: dict[str, object]) -> None:
    for key in part.keys() & UNINSPECTABLE.keys():
        # A count, a flag or something empty carries nothing.
        if part[key] and isinstance(part[key], str | list | dict):
            raise Malformed(Reason.BODY_NOT_INSPECTABLE)


def _has_numbers(value: object) -> bool:
    """Whether a prompt, or one of a batch of prompts, is a list of numbers."""
    return _numbers_in(value) > 0


def _numbers_in(value: object) -> int:
    if not isinstance(value, list):
        return 0
    return sum(1 if isinstance(item, int | float) else _numbers_in(item) for item in value)


def _refuse_tensors(document: dict[str, object]) -> None:
    """KServe's and Triton's tensors: text (`BYTES`) and single numbers can be looked at, vectors and token ids cannot.

    Nor can what stands in shared memory, on the way in or out.
    """
    for name in ("inputs", "outputs"):
        tensors = document.get(name)
        for tensor in tensors if isinstance(tensors, list) else ():
            if not isinstance(tensor, dict):
                continue
            datatype = tensor.get("datatype")
            parameters = tensor.get("parameters")
            shared = isinstance(parameters, dict) and any(key.startswith("shared_memory") for key in parameters)
            numbers = _numbers_in(tensor.get("data")) if datatype is not None and datatype != "BYTES" else 0
            if shared or numbers > 1:
                raise Malformed(Reason.BODY_NOT_INSPECTABLE)
