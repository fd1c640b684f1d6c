"""What the policy judges of a JSON request. A field of the wrong type is refused: servers disagree on it."""

from collections.abc import Iterator

from extproc.core.dialects.fields import (
    ADAPTERS,
    LIMITS,
    MEDIA_FIELDS,
    MEDIA_KEYS,
    NESTED,
    OPEN_LIMITS,
    STRIPPED,
    STRUCTURAL,
    UNINSPECTABLE,
)
from extproc.core.dialects.media import messages_and_parts
from extproc.core.dialects.routing import MAX_MODEL_CHARACTERS
from extproc.core.policy import Facts, Operation
from extproc.core.reasons import Malformed, Reason

_UNLIMITED = 2**31 - 1
_CHOICES = ("n", "best_of", "num_return_sequences")
_MAX_TOOL_NAMES = 1024
"""OpenAI takes 128, agents with many servers of tools send some hundreds."""
_MAX_TOOL_NAME_CHARACTERS = 256
"""OpenAI takes 64, Anthropic 128."""
_PLAIN_TOOLS = ("function", "custom")
"""Types of tools that the client carries out: their names say all."""
_NAMED_IN = ("function", "custom")
"""Objects in which a tool's name stands."""
_JUDGED_IN_TOOLS = frozenset({"type", "name", "tools", *_NAMED_IN})
_MAX_TOOL_CHARACTERS = 32_768
"""Of all names together: a rule may hold a pattern against each."""
COUNTS = frozenset({*LIMITS, *OPEN_LIMITS, *_CHOICES})
"""Fields whose value is a whole number."""
_JUDGED = frozenset(
    {"model", *ADAPTERS, "stream", "messages", "tools", "functions", "prompt", "input", *LIMITS, *OPEN_LIMITS}
    | {*_CHOICES, *NESTED, *STRIPPED, *UNINSPECTABLE, *MEDIA_FIELDS}
)
_JUDGED_IN_MESSAGES = frozenset({"content", "type", "source", *UNINSPECTABLE, *MEDIA_FIELDS, *MEDIA_KEYS})
_ADMIN_NAMES = ("model", "name", "lora_name", "source")


def check_spelling(document: dict[str, object]) -> None:
    """Refuse a field that is one we judge but for its letter case: servers written in Go read it as that field."""
    for part in _parts(document):
        _check_keys(part, _JUDGED)
    for tool in _tools(document):
        _check_keys(tool, _JUDGED_IN_TOOLS)
        for key in _NAMED_IN:
            if isinstance(inner := tool.get(key), dict):
                _check_keys(inner, _JUDGED_IN_TOOLS)
    for part in messages_and_parts(document):
        _check_keys(part, _JUDGED_IN_MESSAGES)


def _check_keys(part: dict[str, object], judged: frozenset[str]) -> None:
    for key in part:
        if key not in judged and key.casefold() in judged:
            raise Malformed(Reason.BODY_MALFORMED)


def read_facts(operation: Operation, document: dict[str, object], body_bytes: int) -> Facts:
    """The facts, or `Malformed(BODY_MALFORMED)`. Of several names for one limit the largest value counts."""
    parts = list(_parts(document))
    messages, tools = _list(document, "messages"), list(_tools(document))
    asked = document.get("prompt" if operation is Operation.TEXT_COMPLETION else "input")
    prompt = [document.get(key) for key in ("messages", "prompt", "input", "system", "suffix")]
    given = prompt if operation in {Operation.CHAT, Operation.TEXT_COMPLETION, Operation.EMBEDDINGS} else [document]
    return Facts(
        model=_model(operation, document, parts),
        stream=_flag(document, "stream"),
        max_tokens=max([_count(part, key) for part in parts for key in LIMITS] + _open_counts(parts)),
        choices=max(1, *(_count(part, key) for part in parts for key in _CHOICES)),
        messages=len(messages),
        inputs=len(asked) if isinstance(asked, list) else int(asked is not None),
        tools=len(tools),
        prompt_characters=sum(map(_characters, given)),
        body_bytes=body_bytes,
        tool_names=_tool_names(tools),
    )


def _tools(part: dict[str, object]) -> Iterator[dict[str, object]]:
    """Each tool, and those that it brings with it (OpenAI's namespaces)."""
    for tool in (*_list(part, "tools"), *_list(part, "functions")):
        if not isinstance(tool, dict):
            raise Malformed(Reason.BODY_MALFORMED)
        yield tool
        yield from _tools(tool)


def _tool_names(tools: list[dict[str, object]]) -> tuple[str, ...]:
    """Of each tool, in order: every name by which some server knows it, and what kind of tool of the server it is.

    The name of its function (OpenAI chat, Ollama) or of what is `custom` (OpenAI chat), its own (Anthropic, OpenAI
    responses), its type where that is neither. More names, or longer ones, than the bounds are refused: a rule would
    not see them.
    """
    names: list[str] = []
    for tool in tools:
        named = (*(_named(tool.get(key)) for key in _NAMED_IN), tool.get("name"))
        said = [each for each in named if each is not None]
        kind = tool.get("type")
        if kind is not None and (kind not in _PLAIN_TOOLS or not said):
            said.append(kind)
        if not all(isinstance(each, str) for each in said):
            raise Malformed(Reason.BODY_MALFORMED)
        names += dict.fromkeys(str(each) for each in said if each)
    lengths = [len(name) for name in names]
    if (
        len(lengths) > _MAX_TOOL_NAMES
        or max(lengths, default=0) > _MAX_TOOL_NAME_CHARACTERS
        or sum(lengths) > _MAX_TOOL_CHARACTERS
    ):
        raise Malformed(Reason.BODY_TOO_COSTLY)
    return tuple(names)


def _named(inner: object) -> object:
    return inner.get("name") if isinstance(inner, dict) else None


def _parts(document: dict[str, object]) -> Iterator[dict[str, object]]:
    """The document, and the objects in which some servers keep its limits."""
    yield document
    for key in NESTED:
        part = document.get(key)
        if isinstance(part, list) and any(isinstance(each, dict) for each in part):
            raise Malformed(Reason.BODY_MALFORMED)  # limits for each item of a batch: nothing here reads them
        if isinstance(part, dict):
            yield from _parts(part)


def _model(operation: Operation, document: dict[str, object], parts: list[dict[str, object]]) -> str:
    """An adapter is a model of its own: beside another name it is refused."""
    names = _ADMIN_NAMES if operation in {Operation.MODEL_ADMIN, Operation.MODEL_LIST} else ("model",)
    given = [document[name] for name in names if document.get(name) is not None]
    if operation is not Operation.MODEL_ADMIN:
        given += [part[name] for part in parts for name in ADAPTERS if part.get(name) is not None]
    if any(value != given[0] for value in given):  # which of them counts is the server's choice
        raise Malformed(Reason.BODY_MALFORMED)
    value = given[0] if given else ""
    if (
        not isinstance(value, str)
        or len(value) > MAX_MODEL_CHARACTERS
        or not value.isprintable()
        or value != value.strip()
    ):
        raise Malformed(Reason.BODY_MALFORMED)
    return value


def _flag(document: dict[str, object], key: str) -> bool:
    value = document.get(key)
    if value is None or isinstance(value, bool):
        return bool(value)
    raise Malformed(Reason.BODY_MALFORMED)


def _list(document: dict[str, object], key: str) -> list[object]:
    value = document.get(key)
    if value is None or isinstance(value, list):
        return value or []
    raise Malformed(Reason.BODY_MALFORMED)


def _count(document: dict[str, object], key: str) -> int:
    value = _integer(document, key)
    if value < 0:
        raise Malformed(Reason.BODY_MALFORMED)
    return value


def _open_counts(parts: list[dict[str, object]]) -> list[int]:
    values = [_integer(part, key) for part in parts for key in OPEN_LIMITS]
    return [value if value >= 0 else _UNLIMITED for value in values]


def _integer(document: dict[str, object], key: str) -> int:
    value = document.get(key)
    if value is None:
        return 0
    # 5.0 and "5" are five to some servers and an error to others.
    if not isinstance(value, int) or isinstance(value, bool):
        raise Malformed(Reason.BODY_MALFORMED)
    return value


def _characters(value: object, key: str = "") -> int:
    if isinstance(value, str):
        return 0 if key in STRUCTURAL else len(value)
    if isinstance(value, list):
        return sum(_characters(item, key) for item in value)
    if isinstance(value, dict):
        return sum(_characters(item, name) for name, item in value.items())
    return 0
