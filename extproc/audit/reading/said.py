"""What the documents of an answer say, whatever the dialect: whole answers, and the events of streams.

For showing only: nothing is decided by it. A document that no dialect here knows is said as it is.
"""

import json
from collections.abc import Container, Iterator
from typing import Any, NamedTuple

from extproc.core.dialects.families import kind_of

Document = dict[str, Any]
ASSISTANT = "assistant"
THINKING = "assistant, thinking"
REFUSAL = "assistant, refusal"
_MESSAGE_ROLES = {
    "reasoning_content": THINKING,
    "reasoning": THINKING,
    "thinking": THINKING,
    "content": ASSISTANT,
    "refusal": REFUSAL,
}
"""In the order in which one message says them."""
_FLAT = ("content", "text_output", "text", "generated_text", "response")
"""Where llama.cpp, KServe, SGLang, transcriptions, TGI and Ollama have the text of an answer."""
_DELTAS = {
    "response.output_text.delta": ASSISTANT,
    "response.refusal.delta": REFUSAL,
    "response.reasoning_text.delta": THINKING,
    "response.reasoning_summary_text.delta": THINKING,
    "response.code_interpreter_call_code.delta": "code",
    "transcript.text.delta": ASSISTANT,
}
_ITEM_KEYS = {"text": ASSISTANT, "output_text": ASSISTANT, "refusal": REFUSAL, "thinking": THINKING}
_BLOCK_DELTAS = {"text": ASSISTANT, "thinking": THINKING}
_FRAMING = frozenset({"message_start", "content_block_stop", "message_delta", "message_stop", "ping"})
_AROUND = frozenset(
    {"type", "role", "signature", "tool_calls", "function_call", "id", "index", "status", "obfuscation"}
)
"""Keys of a message or a part that say nothing a person asks for."""
_NO_ARGUMENTS = " "
"""A call without any is said all the same."""
_DETAILS = "answer, details"


class Said(NamedTuple):
    """`text` goes on with what the same `role` of the same `voice` (one of several answers) said just before, unless it
    `begins` something: a second call of a tool, say."""

    voice: int
    role: str
    text: str
    begins: bool = False


class Speech:
    """Reads one answer's documents in order: events name a tool once, and say at their end again what they said."""

    def __init__(self) -> None:
        self._tools: dict[object, str] = {}
        self._heard: set[object] = set()

    def read(self, document: object) -> list[Said]:
        """What a document says. Empty where it only frames an answer."""
        if isinstance(document, list) and document and all(isinstance(item, dict) for item in document):
            return [said for item in document for said in self.read(item)]
        if not isinstance(document, dict):
            return [Said(0, "answer", as_text(document))]
        said = self._known(document)
        return [Said(0, "answer", as_text(document))] if said is None else [one for one in said if one.text]

    def _known(self, document: Document) -> list[Said] | None:
        """None where no dialect knows the document."""
        kind = kind_of(document)
        if isinstance(choices := document.get("choices"), list):
            return [said for at, choice in enumerate(choices) for said in self._choice(at, choice)]
        if document.get("error"):
            return [Said(0, "error", as_text(document["error"]))]
        if kind in _DELTAS or kind.startswith("response."):
            return self._responses_event(kind, document)
        if document.get("object") == "response":
            return self._items(document.get("output"))
        if kind in _FRAMING or kind.startswith("content_block_"):
            return self._anthropic_event(kind, document)
        if kind == "message":
            return [said for block in _list(document, "content") for said in _block(block)]
        return self._flat(document)

    # -- OpenAI chat and completions -----------------------------------------------------------------------------------

    def _choice(self, at: int, choice: object) -> Iterator[Said]:
        if not isinstance(choice, dict):
            yield Said(at, "answer", as_text(choice))
            return
        index = choice.get("index", at)
        voice = index if isinstance(index, int) else at
        for key in ("delta", "message"):
            if isinstance(message := choice.get(key), dict):
                yield from self._message(voice, message)
        if isinstance(text := choice.get("text"), str):
            yield Said(voice, ASSISTANT, text)

    def _message(self, voice: int, message: Document) -> Iterator[Said]:
        for key, role in _MESSAGE_ROLES.items():
            yield Said(voice, role, _content(message.get(key)))
        yield from _rest(voice, message, _MESSAGE_ROLES)
        calls = _list(message, "tool_calls")
        if isinstance(call := message.get("function_call"), dict):
            calls = [*calls, {"function": call}]
        for at, call in enumerate(calls):
            function = call.get("function") if isinstance(call, dict) else None
            if not isinstance(function, dict):
                yield Said(voice, "tool call", as_text(call))
                continue
            index = (voice, _name(call.get("index", at)))
            if name := function.get("name"):
                self._tools[index] = str(name)
            yield from self._call(voice, index, function.get("arguments"))

    def _call(self, voice: int, index: object, arguments: object) -> Iterator[Said]:
        """Arguments of the tool that is known by `index`."""
        role = f"tool call {self._tools.get(index, '')}".strip()
        begun = index in self._heard
        self._heard.add(index)
        yield Said(voice, role, _content(arguments) or ("" if begun else _NO_ARGUMENTS), not begun)

    # -- OpenAI Responses ----------------------------------------------------------------------------------------------

    def _responses_event(self, kind: str, document: Document) -> list[Said]:
        index = _name(document.get("output_index", document.get("item_id")))
        item = document.get("item")
        if kind.endswith(".delta"):
            self._heard |= {index, "anything"}
            role = _DELTAS.get(kind) or f"tool call {self._tools.get(index, '')}".strip()
            return [Said(0, role, _content(document.get("delta")))]
        if isinstance(item, dict):
            index = _name(document.get("output_index", item.get("id")))
            self._tools[index] = str(item.get("name") or item.get("type"))
            if kind == "response.output_item.done" and index not in self._heard:
                self._heard |= {index, "anything"}
                return self._items([item])
            return []
        if kind.endswith("annotation.added"):
            return [Said(0, _DETAILS, as_text(document.get("annotation")))]
        response = document.get("response")
        if not isinstance(response, dict):
            return []
        if response.get("error"):
            return [Said(0, "error", as_text(response["error"]))]
        return self._items(response.get("output")) if "anything" not in self._heard else []

    def _items(self, items: object) -> list[Said]:
        said: list[Said] = []
        every: list[Any] = items if isinstance(items, list) else [items]
        for item in every:
            match item:
                case {"type": "message", "content": list(parts)}:
                    said += [one for part in parts for one in _block(part)]
                case {"type": "function_call" | "custom_tool_call" | "mcp_call", "name": str(name)}:
                    arguments = _content(item.get("arguments", item.get("input")))
                    said.append(Said(0, f"tool call {name}", arguments or _NO_ARGUMENTS, begins=True))
                case {"type": "reasoning"}:
                    parts = [*_list(item, "summary"), *_list(item, "content")]
                    said += [Said(0, THINKING, _content(part)) for part in parts]
                case _:
                    said.append(Said(0, "answer", as_text(item)))
        return said

    # -- Anthropic Messages --------------------------------------------------------------------------------------------

    def _anthropic_event(self, kind: str, document: Document) -> list[Said]:
        index = _name(document.get("index"))
        block, delta = document.get("content_block"), document.get("delta")
        if kind == "content_block_start" and isinstance(block, dict):
            if "input" in block:
                self._tools[index] = str(block.get("name", ""))
                return list(self._call(0, index, block["input"] or ""))
            return list(_block(block))
        if kind == "content_block_delta" and isinstance(delta, dict):
            if "partial_json" in delta:
                return list(self._call(0, index, delta["partial_json"]))
            if "signature" in delta:
                return []
            said = [Said(0, role, _content(delta[key])) for key, role in _BLOCK_DELTAS.items() if key in delta]
            return said or [Said(0, "answer", as_text(delta))]
        return []

    # -- the others ----------------------------------------------------------------------------------------------------

    def _flat(self, document: Document) -> list[Said] | None:
        """One answer, with its text right in the document."""
        if isinstance(message := document.get("message"), dict):  # Ollama's chat
            return list(self._message(0, message))
        if isinstance(token := document.get("token"), dict) and isinstance(token.get("text"), str):  # TGI's stream
            self._heard.add("token")
            return [Said(0, ASSISTANT, token["text"])]
        thinking = [Said(0, THINKING, text)] if isinstance(text := document.get("thinking"), str) else []
        for key in _FLAT:
            if isinstance(text := document.get(key), str):
                return [*thinking, Said(0, ASSISTANT, "" if self._repeats(key) else text)]
        return None

    def _repeats(self, key: str) -> bool:
        return key == "generated_text" and "token" in self._heard


def _block(block: Any) -> Iterator[Said]:
    """A content part of a whole answer."""
    match block:
        case {"type": "tool_use", "name": str(name), "input": arguments}:
            yield Said(0, f"tool call {name}", _content(arguments) or _NO_ARGUMENTS, begins=True)
        case {"type": "redacted_thinking"}:
            return
        case {"type": str()}:
            for key, role in _ITEM_KEYS.items():
                yield Said(0, role, _content(block.get(key)))
            yield from _rest(0, block, _ITEM_KEYS)
        case _:
            yield Said(0, "answer", as_text(block))


def _rest(voice: int, part: Document, known: Container[str]) -> Iterator[Said]:
    """What else a message or a part says: citations, and what no dialect here knows."""
    rest = {key: value for key, value in part.items() if value and key not in _AROUND and key not in known}
    if rest:
        yield Said(voice, _DETAILS, as_text(rest))


def _content(content: object) -> str:
    """Text as it is, the texts of parts one after the other, anything else as JSON; nothing for nothing."""
    match content:
        case None | "":
            return ""
        case str():
            return content
        case {"text": str(text), **rest} if not any(value for key, value in rest.items() if key not in _AROUND):
            return text
        case list():
            return "\n".join(_content(part) for part in content)
    return as_text(content)


def _name(index: object) -> object:
    """What a tool is remembered by: a model may send anything for a number, also what cannot be looked up."""
    return as_text(index) if isinstance(index, list | dict) else index


def as_text(value: object) -> str:
    """Its JSON."""
    return json.dumps(value, indent=2, ensure_ascii=False)


def _list(document: Document, key: str) -> list[Any]:
    value = document.get(key)
    return value if isinstance(value, list) else []
