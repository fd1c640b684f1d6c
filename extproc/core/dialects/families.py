"""Which events of a stream continue the same texts, which events are complete in themselves, and which end a text.

A *family* is the part of a text's id that the event gives: its kind and its indexes. Deltas of one family continue one
another string by string. The events of a known protocol that are no deltas say what they say once: their strings are
masked as in a whole answer, and keep nothing behind them waiting.
"""

from extproc.core.dialects.leaves import Path

_INDEXES = ("index", "output_index", "content_index", "summary_index", "annotation_index")
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
_BEGINNINGS = {
    "response.content_part.added": ("part", _PART_DELTAS),
    "response.reasoning_summary_part.added": ("part", _PART_DELTAS),
    "response.output_item.added": ("item", _ITEM_DELTAS),
}


def kind_of(document: dict[str, object]) -> str:
    """The event's `type`, empty where it has none."""
    kind = document.get("type")
    return kind if isinstance(kind, str) else ""


def family_of(document: dict[str, object]) -> Path:
    """The family of an event's strings."""
    return _family(document, kind_of(document))


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


def _family(document: dict[str, object], kind: str) -> Path:
    # TGI counts its tokens under `index`.
    names = _INDEXES[1:] if isinstance(document.get("token"), dict) else _INDEXES
    family: list[str | int] = ["type", kind]
    for name in names:
        value = document.get(name)
        if isinstance(value, str | int):
            family += (name, value)
    item = document.get("item_id")
    # llama.cpp's Responses events have no indexes.
    return (*family, "item_id", item) if len(family) == 2 and isinstance(item, str) else tuple(family)
