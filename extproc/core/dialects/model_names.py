"""The model's name, replaced where it stands: on the way to a server that calls it otherwise, and in its answer.

Nothing else is written anew. A request has one name: at the top of its document, in a field of its form, in its path.
An answer says it in `model` (Triton and KServe in `model_name`), at its top or in the `message` or `response` that an
event wraps (Anthropic's `message_start`, OpenAI Responses' lifecycle events). A listing names several, as `ListedNames`
says.
"""

import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace

from extproc.core.dialects.content_type import Form, find_form
from extproc.core.dialects.form import FormRequest
from extproc.core.dialects.multipart import parse_multipart, write_multipart
from extproc.core.dialects.request import ParsedRequest, needs_body
from extproc.core.dialects.strict_json import encode_json
from extproc.core.policy import Operation
from extproc.core.reasons import Malformed, Reason
from extproc.core.snapshot import Connection
from extproc.core.trust import Masked

_TOKEN = re.compile(rb'"([^"\\]*(?:\\.[^"\\]*)*)"(\s*:)?|([{}\[\]])', re.DOTALL)
"""A string, with the colon behind one that is a key, or a bracket. Numbers and words name nothing."""
_IN_REQUEST = (frozenset({b"model"}), frozenset({(b"",)}))
_IN_LISTING = (frozenset({b"model", b"name"}), frozenset({(b"",)}))
"""Ollama's `/api/show` takes either."""
_IN_ANSWER = (frozenset({b"model", b"model_name"}), frozenset({(b"",), (b"", b"message"), (b"", b"response")}))
_LISTED = (
    frozenset({b"id", b"root", b"parent", b"name", b"model", b"model_id", b"model_name", b"model_path"}),
    frozenset({(b"",), (b"[", b""), (b"", b"[", b"")}),
)
"""One model's own document, or one in a list: OpenAI's and Anthropic's `data`, Ollama's `models`, Triton's index."""

Where = tuple[frozenset[bytes], frozenset[tuple[bytes, ...]]]
"""Which keys, in objects under which keys."""


def sent_model(connection: Connection, operation: Operation, model: str) -> str:
    """What `model` is called on the server. Administrative requests speak the server's own names.

    Raises `Malformed` for one that `only_mapped` leaves out (`NO_SUCH_MODEL`), and for none where a model is asked
    (`NO_MODEL_NAMED`).
    """
    if operation is Operation.MODEL_ADMIN:
        return model
    sent = connection.model_map.get(model, "")
    if not sent and connection.only_mapped and (model or needs_body(operation)):
        raise Malformed(Reason.NO_SUCH_MODEL if model else Reason.NO_MODEL_NAMED)
    return sent or model


def rename_request(parsed: ParsedRequest | FormRequest, body: Masked, model: str) -> Masked:
    """The masked body of `parsed`, naming `model` where it names one."""
    if isinstance(parsed, FormRequest):
        parts = parse_multipart(parsed.content_type, body)
        named = [replace(part, content=model.encode()) if part.name == "model" else part for part in parts]
        return Masked(write_multipart(parsed.content_type, named))
    if parsed.document is None:
        return body
    where = _IN_LISTING if parsed.operation is Operation.MODEL_LIST else _IN_REQUEST
    return Masked(_replaced(body, _Walk(where).spans(body), lambda _: encode_json(model)))


class AnsweredName:
    """What a server's answer calls the model, as the client called it. Takes whole documents and whole events."""

    def __init__(self, content_type: str, model: str) -> None:
        self._form = find_form(content_type)
        name = encode_json(model)
        self._name: Callable[[bytes], bytes] = lambda _: name

    def restore(self, data: Masked) -> Masked:
        """`data` itself when it names no model."""
        if data.find(b'"model') < 0:
            return data
        match self._form:
            case Form.JSON:
                return Masked(_replaced(data, _Walk(_IN_ANSWER).spans(data), self._name))
            case Form.NDJSON | Form.JSON_LINES:
                return Masked(b"".join(self._line(line, _Walk(_IN_ANSWER)) for line in data.splitlines(keepends=True)))
            case Form.SSE:
                return Masked(b"".join(self._events(data)))
            case _:
                return data

    def _events(self, data: bytes) -> Iterator[bytes]:
        walk = _Walk(_IN_ANSWER)
        for line in data.splitlines(keepends=True):
            if not line.strip():
                walk = _Walk(_IN_ANSWER)
            yield self._line(line, walk) if line.startswith(b"data:") else line

    def _line(self, line: bytes, walk: "_Walk") -> bytes:
        return _replaced(line, walk.spans(line), self._name)


class ListedNames:
    """The models that a server lists, as clients call them; takes the whole document.

    What `model_map` does not lead to keeps its name. Of several names for one model the first is said, or `called`,
    where the request named it. Ollama lists a model without a tag as `:latest`.
    """

    def __init__(self, content_type: str, model_map: Mapping[str, str], called: str = "") -> None:
        self._form = find_form(content_type)
        asked = {model_map[called]: called} if called in model_map else {}
        first = {sent: model for model, sent in reversed(list(model_map.items()))}
        self._names = {sent: encode_json(model) for sent, model in (first | asked).items()}

    def restore(self, data: Masked) -> Masked:
        """`data` itself when it names none of the mapped models."""
        if self._form is not Form.JSON:
            return data
        return Masked(_replaced(data, _Walk(_LISTED).spans(data), self._called))

    def _called(self, name: bytes) -> bytes:
        """A JSON text, quotes and all."""
        text = str(json.loads(name))
        return self._names.get(text) or self._names.get(text.removesuffix(":latest"), name)


class _Walk:
    """Through one JSON document, which may come in pieces that end between two tokens."""

    def __init__(self, where: Where) -> None:
        self._keys, self._under = where
        self._open: list[bytes] = []
        self._key = b""

    def spans(self, data: bytes) -> Iterator[tuple[int, int]]:
        """Where the names stand in `data`, quotes and all."""
        for token in _TOKEN.finditer(data):
            text, colon, bracket = token.groups()
            if bracket in (b"{", b"["):
                self._open.append(self._key if bracket == b"{" else b"[")
            elif bracket is not None:
                del self._open[-1:]
            elif colon is None and self._key in self._keys and tuple(self._open) in self._under:
                yield token.span()
            self._key = _plain(text) if colon is not None else b""


def _plain(key: bytes) -> bytes:
    """A key without its escapes."""
    return str(json.loads(b'"' + key + b'"')).encode("utf-8", "surrogatepass") if b"\\" in key else key


def _replaced(data: bytes, spans: Iterator[tuple[int, int]], name: Callable[[bytes], bytes]) -> bytes:
    """`data` with what `name` makes of each name; the object itself where that is what it was."""
    pieces: list[bytes] = []
    end = 0
    for start, stop in spans:
        if (other := name(data[start:stop])) != data[start:stop]:
            pieces += (data[end:start], other)
            end = stop
    return b"".join((*pieces, data[end:])) if pieces else data
