"""How long an answer may be at most: the limit of a request set, in the field that its server reads.

An unlimited, missing, null or larger limit becomes the given one, a smaller one stays. How many answers are asked for
(`n`, `best_of`) is not touched: each of them has the limit.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field

from extproc.core.dialects.fields import LIMITS, NESTED, OPEN_LIMITS
from extproc.core.dialects.splice import splice
from extproc.core.dialects.strict_json import parse_json
from extproc.core.policy import Operation
from extproc.core.reasons import Malformed, Reason
from extproc.core.trust import Masked

_Path = tuple[str, ...]

_OF_OPERATION: dict[Operation, _Path] = {
    # vLLM, SGLang, llama.cpp, TGI and Ollama read `max_tokens`; not all of them know its new name.
    Operation.CHAT: ("max_tokens",),
    Operation.TEXT_COMPLETION: ("max_tokens",),
    Operation.RESPONSES: ("max_output_tokens",),
    Operation.MESSAGES: ("max_tokens",),
}
WITHOUT_TOKENS = frozenset({Operation.EMBEDDINGS, Operation.TOKENIZE, Operation.MODEL_LIST, Operation.MODEL_ADMIN})
"""Operations whose answers no model writes: there is nothing to limit."""
_LIMITS = frozenset({*LIMITS, *OPEN_LIMITS})
_OLLAMA: tuple[_Path, ...] = (("options", "num_predict"),)
_OF_PATH: dict[str, tuple[_Path, ...]] = {
    "/api/chat": _OLLAMA,
    "/api/generate": _OLLAMA,
    "/completion": (("n_predict",),),
    "/completions": (("n_predict",), ("max_tokens",)),
    "/infill": (("n_predict",),),
    "/inference/v1/generate": (("sampling_params", "max_tokens"),),
}
_OF_PROMPT: dict[str, tuple[_Path, ...]] = {
    "inputs": (("parameters", "max_new_tokens"),),  # TGI
    "text": (("sampling_params", "max_new_tokens"),),  # SGLang
    "prompt": (("max_tokens",),),  # vLLM
    "messages": (("max_tokens",),),  # vLLM behind SageMaker
    "text_input": (("max_tokens",), ("parameters", "max_tokens")),  # Triton: TensorRT-LLM and vLLM
}
"""What serves a path that several servers have: known by the field that its prompt stands in."""
_BY_PROMPT = frozenset({"/", "/generate", "/generate_stream", "/invocations"})
_TRITON = ("/generate", "/generate_stream")
MAX_LIMITS = 8
"""Of a body, by whatever names: to hold one to less takes a look through all of the body. Clients give one or two."""
_OPAQUE = ("sampling_parameters",)
"""Triton's vLLM takes limits as a text of JSON too, which wins over those that stand beside it."""


@dataclass(frozen=True, slots=True)
class Clamped:
    """A request whose answer is limited. `fields` are those that were set, as `options.num_predict`."""

    body: Masked = field(repr=False)
    fields: tuple[str, ...]


def clamp_answer(operation: Operation, path: str, body: Masked, most: int, max_depth: int) -> Clamped:
    """`body`, a masked JSON object for `path`, so that an answer has at most `most` tokens.

    Every limit that stands in it is held to `most`, and the one that its server reads is there. Raises
    `Malformed(OBLIGATION_UNMET)` for a request of which it is not known where its limit stands, and BODY_TOO_COSTLY for
    one with more limits than `MAX_LIMITS`.
    """
    document = _document(body, max_depth)
    own = _own_limits(operation, path.rstrip("/") or "/", document)
    if not own or any(name in part for part in (document, *_nested(document)) for name in _OPAQUE):
        raise Malformed(Reason.OBLIGATION_UNMET)
    given = tuple(_given(document))
    if len(given) > MAX_LIMITS:
        raise Malformed(Reason.BODY_TOO_COSTLY)
    held = [limit for place in given if (limit := _limit(document, place, most))]
    text, fields = body.decode(), []
    for place in dict.fromkeys((*given, *own)):
        if not _limit(document, place, most):
            added = _at(document, place) is None
            text = _set(text, place, min(held, default=most) if added else most)
            fields.append(".".join(place))
    return Clamped(Masked(text.encode()) if fields else body, tuple(fields))


def _nested(document: dict[str, object]) -> tuple[dict[str, object], ...]:
    return tuple(part for key in NESTED if isinstance(part := document.get(key), dict))


def _document(body: Masked, max_depth: int) -> dict[str, object]:
    document = parse_json(body, max_depth, Reason.OBLIGATION_UNMET)
    if not isinstance(document, dict):
        raise Malformed(Reason.OBLIGATION_UNMET)
    return document


def _own_limits(operation: Operation, path: str, document: dict[str, object]) -> tuple[_Path, ...]:
    if path in _OF_PATH:
        return _OF_PATH[path]
    if operation in _OF_OPERATION:
        return (_OF_OPERATION[operation],)
    if operation is Operation.GENERATE and (path in _BY_PROMPT or path.endswith(_TRITON)):
        return tuple(place for name, places in _OF_PROMPT.items() if name in document for place in places)
    return ()


def _given(document: dict[str, object]) -> Iterator[_Path]:
    """Where a limit stands, whichever server reads it."""
    yield from ((name,) for name in document if name in _LIMITS)
    for key in NESTED:
        part = document.get(key)
        if isinstance(part, dict):
            yield from ((key, name) for name in part if name in _LIMITS)


def _at(document: dict[str, object], place: _Path) -> object:
    value: object = document
    for step in place:
        value = value.get(step) if isinstance(value, dict) else None
    return value


def _limit(document: dict[str, object], place: _Path, most: int) -> int:
    """The limit at `place` if it holds; 0 if not: nothing, zero and less mean "no limit" to one server or another."""
    value = _at(document, place)
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 < value <= most else 0


def _set(text: str, place: _Path, value: int) -> str:
    try:
        return splice(text, place, value)
    except ValueError:
        pass
    # Raised outside the `except` so that no chained exception carries the payload.
    raise Malformed(Reason.OBLIGATION_UNMET)
