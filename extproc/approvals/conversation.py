"""The masked request as a conversation that a person can read before deciding. Nothing in the request is left out."""

import json
from dataclasses import dataclass
from typing import Any

from extproc.core.printable import printable
from extproc.core.trust import Masked


@dataclass(frozen=True, slots=True)
class Turn:
    """One thing said: `role` says by whom (`parameters` for the rest of the request), `text` is what."""

    role: str
    text: str


def read_conversation(preview: Masked) -> tuple[Turn, ...]:
    """The turns of a chat, the prompt of a completion, or the whole text where the format is neither.

    Every text is printable: what a terminal or a reader's eye could be misled by is shown as `<U+202E>`.
    """
    try:
        return _turns(json.loads(preview))
    except (ValueError, RecursionError):
        return (_turn("request", preview.decode("utf-8", "backslashreplace")),)


def _turns(document: object) -> tuple[Turn, ...]:
    if not isinstance(document, dict):
        return (_turn("request", _pretty(document)),)
    rest = dict(document)
    turns = [_turn(key, _content(rest.pop(key))) for key in ("system", "instructions") if key in rest]
    for key in ("messages", "input"):
        said = rest.get(key)
        if isinstance(said, list) and said and all(isinstance(item, dict) for item in said):
            turns += [_message(item) for item in rest.pop(key)]
    turns += [_turn(key, _content(rest.pop(key))) for key in ("input", "prompt", "suffix") if key in rest]
    if rest:
        turns.append(_turn("parameters", _pretty(rest)))
    return tuple(turns)


def _message(message: dict[str, Any]) -> Turn:
    rest = dict(message)
    role = rest.pop("role", rest.get("type", "message"))
    parts = [_content(rest.pop("content"))] if "content" in rest else []
    if rest:
        parts.append(_pretty(rest))
    return _turn(role if isinstance(role, str) else _pretty(role), "\n".join(part for part in parts if part))


def _content(content: Any) -> str:
    """Plain text, or the text parts of a list one after the other; anything else as JSON."""
    if content is None:
        return ""
    if isinstance(content, str):
        return content
    if isinstance(content, list):
        return "\n".join(_part(part) for part in content)
    return _pretty(content)


def _part(part: Any) -> str:
    match part:
        case str():
            return part
        case {"text": str(text), "type": "text" | "input_text" | "output_text", **rest} if not rest:
            return text
    return _pretty(part)


def _pretty(value: Any) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False)


def _turn(role: str, text: str) -> Turn:
    return Turn(printable(role), printable(text))
