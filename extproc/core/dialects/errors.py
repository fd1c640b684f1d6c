"""How a refusal looks to a client: OpenAI's error object, which the clients of all compatible servers read."""

from collections.abc import Mapping

from extproc.core.dialects.strict_json import encode_json
from extproc.core.policy import Operation
from extproc.core.reasons import REFUSALS, Reason, Refusal

JSON_TYPE = "application/json"


def render_error(  # noqa: PLR0917 the edge calls it by position
    operation: Operation,
    refusal: Refusal,
    reason: Reason,
    message: str,
    exchange_id: str,
    extra: Mapping[str, object] | None = None,
) -> tuple[bytes, str]:
    """The body and its content type. `message` is public text of ours or of the policy's author, never of a peer.

    `extra` adds fields to the error object (an approval id and its URL) and replaces none.
    """
    error = _error(refusal.error_type, reason.value, message, exchange_id)
    error = {**(extra or {}), **error}
    # Anthropic's clients read `type` beside `error`, and find message and type where OpenAI's do.
    envelope = {"type": "error"} if operation is Operation.MESSAGES else {}
    return encode_json({**envelope, "error": error}), JSON_TYPE


def stream_error(sentence: str, code: str, exchange_id: str) -> dict[str, object]:
    """The error object for an answer that has begun."""
    kind = REFUSALS[Reason(code)].error_type if code in set(Reason) else "server_error"
    return {"error": _error(kind, code, sentence, exchange_id)}


def sse_farewell(operation: Operation, error: Mapping[str, object]) -> bytes:
    """The events that end a stream with an error, as the clients of its dialect read them.

    Anthropic's raise at an event named `error`, OpenAI's at an `error` in the data of any.
    """
    if operation is Operation.MESSAGES:
        return b"event: error\ndata: " + encode_json({"type": "error", **error}) + b"\n\n"
    return b"data: " + encode_json(error) + b"\n\ndata: [DONE]\n\n"


def ndjson_farewell(sentence: str, code: str, exchange_id: str) -> bytes:
    """The line that ends a stream with an error. Ollama's errors are strings, and its clients read no others."""
    return encode_json({"error": f"{sentence} ({code}, {exchange_id})"}) + b"\n"


def _error(kind: str, code: str, message: str, exchange_id: str) -> dict[str, object]:
    return {"message": message, "type": kind, "code": code, "param": None, "exchange_id": exchange_id}
