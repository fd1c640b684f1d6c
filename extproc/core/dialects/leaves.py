"""Documents as trees: what is removed from them, what is left unmasked, and a value put at a path."""

import re
from collections.abc import Sequence
from typing import Any

from extproc.core.dialects.fields import DROPPED, DROPPED_TEXT, ENVELOPE, PICTURES, PIECES, TOOL_INPUT
from extproc.core.dialects.masker import Masker
from extproc.core.masking.keys import KeyRule, key_rule
from extproc.core.reasons import Malformed, Reason

Path = tuple[str | int, ...]

_PICTURE = re.compile(r"data:[a-z]|[a-z0-9+/_=-]{256}", re.IGNORECASE | re.ASCII)
_MAX_ENVELOPE_CHARACTERS = 256
_MAX_ENVELOPE_NUMBER = 10**11
"""Seconds since 1970 have ten digits; a card number has at least twelve."""


def value_at(document: object, path: Path) -> object:
    """What stands at `path`. A path through a key that was masked is refused: its value has no place."""
    at: Any = document
    for step in path:
        if isinstance(at, dict) and step not in at:
            raise Malformed(Reason.RESPONSE_MALFORMED)
        at = at[step]
    return at


def put(document: object, path: Path, value: object) -> None:
    """Set the value at `path`, in place. Raises as `value_at` does."""
    value_at(document, path)
    parent: Any = value_at(document, path[:-1])
    parent[path[-1]] = value


def announced_rule(path: Path) -> KeyRule:
    """What the keys on the way to a value announce about it."""
    rule = KeyRule.NONE
    for step in path:
        rule = key_rule(step, rule) if isinstance(step, str) else rule
    return rule


def is_dropped(key: str, value: object) -> bool:
    """Whether a response's field is one that cannot be inspected. A null, a count, plain text or nothing is not."""
    if key in PIECES:
        return isinstance(value, list) and any(isinstance(piece, dict) and "start" in piece for piece in value)
    if key in PICTURES:
        texts = value if isinstance(value, list) else [value]
        return any(isinstance(text, str) and _PICTURE.match(text) for text in texts)
    if key in DROPPED_TEXT:
        return isinstance(value, dict | list | str) and bool(value)
    return key in DROPPED and isinstance(value, dict | list) and bool(value)


def envelope_of(document: object) -> tuple[str, ...]:
    """The fields of an OpenAI answer that are the server's own short scalars; elsewhere `id` may be anybody's."""
    if not isinstance(document, dict) or "choices" not in document:
        return ()
    return tuple(key for key in ENVELOPE if key in document and _is_short(document[key]))


def _is_short(value: object) -> bool:
    if isinstance(value, str):
        return len(value) <= _MAX_ENVELOPE_CHARACTERS
    return value is None or (isinstance(value, int | float) and abs(value) < _MAX_ENVELOPE_NUMBER)


def mask_envelope(document: object, masker: Masker) -> bool:
    """Mask the envelope's texts, in place and each alone; whether one changed."""
    changed = False
    if isinstance(document, dict):
        for key in envelope_of(document):
            value = document[key]
            if isinstance(value, str) and (masked := masker.mask_text(value)) != value:
                document[key] = masked
                changed = True
    return changed


def mask_document(document: object, masker: Masker, keep: Sequence[str]) -> object:
    """The masked document; the same object when nothing changed. `keep` names top-level fields that are not masked."""
    kept = {key: document[key] for key in keep if key in document} if isinstance(document, dict) else {}
    rest = {**document, **dict.fromkeys(kept)} if kept and isinstance(document, dict) else document
    masked = masker.mask_value(rest)
    if masked is rest:
        return document
    return {**masked, **kept} if isinstance(masked, dict) else masked


def _is_tool_input(key: str, value: object, around: dict[str, object]) -> bool:
    if not isinstance(value, dict):
        return False
    return key == TOOL_INPUT or (key == "input" and str(around.get("type")).endswith("tool_use"))


def drop_uninspectable(document: object) -> object:
    """The document without what `is_dropped`; the same object when there is nothing to remove."""
    if isinstance(document, dict):
        kept = {
            key: value if _is_tool_input(key, value, document) else drop_uninspectable(value)
            for key, value in document.items()
            if not is_dropped(key, value)
        }
        same = len(kept) == len(document) and all(kept[key] is document[key] for key in kept)
        return document if same else kept
    if isinstance(document, list):
        items = [drop_uninspectable(item) if isinstance(item, dict | list) else item for item in document]
        return document if all(new is old for new, old in zip(items, document, strict=True)) else items
    return document
