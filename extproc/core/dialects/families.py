"""Which events of a stream continue the same texts, which events are complete in themselves, and which end a text.

A *family* is the part of a text's id that the event gives: its kind and its indexes. Deltas of one family continue one
another string by string. The events of a known protocol that are no deltas say what they say once: their strings are
masked as in a whole answer, and keep nothing behind them waiting.
"""

from typing import TypeGuard

from extproc.core.dialects.leaves import Path
from extproc.core.reasons import Malformed, Reason

_MAX_INDEX = 99_999
"""Of a choice, block, item or tool call. Larger numbers are no index, and could be a card."""
_BLOCK_DELTA = "content_block_delta"
_ANTHROPIC_WHOLE = frozenset(
    {"message_start", "content_block_start", "content_block_stop", "message_delta", "message_stop", "ping", "error"}
)
# OpenAI Responses: which delta goes on with the text that a part or an item begins with.
_PART_DELTAS = {
    "output_text": ("text", "response.output_text.delta"),
    "refusal": ("refusal", "response.refusal.delta"),
    "reasoning_text": ("text", "response.reasoning_text.delta"),
    "summary_text": ("text", "response.reasoning_summary_text.delta"),
}
_ITEM_DELTAS = {
    "function_call": ("arguments", "response.function_call_arguments.delta"),
    "mcp_call": ("arguments", "response.mcp_call_arguments.delta"),
    "custom_tool_call": ("input", "response.custom_tool_call_input.delta"),
    "code_interpreter_call": ("code", "response.code_interpreter_call_code.delta"),
}
_PART_TEXTS = ("text", "refusal", "thinking")
_ANNOUNCED = frozenset({"response.created", "response.queued", "response.in_progress"})
_ITEM_KINDS = frozenset(delta for _, delta in _ITEM_DELTAS.values())
_BEGINNINGS = {
    "response.content_part.added": ("part", _PART_DELTAS),
    "response.reasoning_summary_part.added": ("part", _PART_DELTAS),
    "response.output_item.added": ("item", _ITEM_DELTAS),
}


def is_index(value: object) -> TypeGuard[int]:
    """Whether clients agree on what it counts."""
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= _MAX_INDEX


def kind_of(document: dict[str, object]) -> str:
    """The event's `type`, empty where it has none or where its clients do not read it (Ollama's)."""
    kind = document.get("type")
    return kind if isinstance(kind, str) and not _is_ollama(document) else ""


def family_of(document: dict[str, object]) -> Path:
    """The family of an event's strings. Raises `Malformed` for an index that is none."""
    kind = kind_of(document)
    return _family(document, kind, strict=not is_whole(kind))


def is_whole(kind: str) -> bool:
    """Whether events of this kind are complete in themselves (Anthropic Messages, OpenAI Responses and audio)."""
    return kind in _ANTHROPIC_WHOLE or kind.endswith(".done") or (kind[:9] == "response." and kind[-6:] != ".delta")


def beginnings(document: dict[str, object]) -> dict[Path, Path]:
    """The texts that an event begins and deltas continue: where each stands in the event, and the deltas' text."""
    kind = kind_of(document)
    if kind == "content_block_start":
        deltas = _family(document, _BLOCK_DELTA)
        return {("content_block", key): (*deltas, "delta", key) for key in ("text", "thinking", "partial_json")}
    name, table = _BEGINNINGS.get(kind, ("", {}))
    part = document.get(name)
    part_kind = part.get("type") if isinstance(part, dict) else None
    if not isinstance(part_kind, str) or part_kind not in table:
        return {}
    key, delta = table[part_kind]
    return {(name, key): (*_family(document, delta), "delta")}


def begins_early(document: dict[str, object]) -> bool:
    """Whether an event that only announces an answer or an item says text of it already.

    Clients put the deltas behind such a text. No server is known to send any.
    """
    kind = kind_of(document)
    if kind == "message_start":
        return _says_text(document.get("message"), "content")
    if kind == "response.output_item.added":
        return any(_says_text(document.get("item"), key) for key in ("content", "summary"))
    response = document.get("response")
    return kind in _ANNOUNCED and isinstance(response, dict) and bool(response.get("output"))


def _says_text(item: object, key: str) -> bool:
    parts = item.get(key) if isinstance(item, dict) else None
    if not isinstance(parts, list):
        return bool(parts)
    return any(not isinstance(part, dict) or any(part.get(key) for key in _PART_TEXTS) for part in parts)


def family_ended_by(document: dict[str, object]) -> Path | None:
    """The family of which an event says that nothing more follows."""
    kind = kind_of(document)
    if kind == "content_block_stop":
        return _family(document, _BLOCK_DELTA)
    return _family(document, kind.removesuffix("done") + "delta") if kind.endswith(".done") else None


def repeats_itself(document: dict[str, object]) -> bool:
    """Whether each event says all of the text so far again (SGLang's and vLLM's first `/generate`).

    The last of its characters are undecided in every event, so that none of them could go on before the end.
    """
    text = document.get("text")
    return (isinstance(text, str) and "meta_info" in document) or (isinstance(text, list) and len(document) == 1)


def _is_ollama(document: dict[str, object]) -> bool:
    return isinstance(document.get("done"), bool) and ("message" in document or "response" in document)


def _indexes(document: dict[str, object], kind: str) -> tuple[str, ...]:
    """What clients tell the texts of this kind of event by. Any other field must not part them."""
    if kind[:9] != "response.":
        # TGI counts its tokens under `index`; Ollama has one answer.
        return () if isinstance(document.get("token"), dict) or _is_ollama(document) else ("index",)
    if kind in _ITEM_KINDS:
        return ("output_index",)
    return ("output_index", "summary_index") if "summary" in kind else ("output_index", "content_index")


def _family(document: dict[str, object], kind: str, *, strict: bool = False) -> Path:
    """`strict`: deltas are told apart by it. Events that are complete may count from -1 (vLLM)."""
    family: list[str | int] = ["type", kind]
    for name in _indexes(document, kind):
        value = document.get(name)
        if is_index(value):
            family += (name, value)
        elif strict and value is not None and (kind == _BLOCK_DELTA or kind[:9] == "response."):
            raise Malformed(Reason.RESPONSE_MALFORMED)
    item = document.get("item_id")
    # llama.cpp's Responses events have no indexes.
    return (*family, "item_id", item) if len(family) == 2 and isinstance(item, str) else tuple(family)
