"""The answer of a model server on its way to the client: what may leave now, and what the record needs of it."""

import codecs
import contextlib
from typing import Protocol

from extproc.core.dialects.content_type import Form, find_form
from extproc.core.dialects.errors import stream_error
from extproc.core.dialects.leaves import drop_uninspectable, envelope_of, mask_document, mask_envelope
from extproc.core.dialects.masker import Masker
from extproc.core.dialects.ndjson import NdjsonFraming
from extproc.core.dialects.observed import IN_RESPONSE, Observed
from extproc.core.dialects.sse import SseFraming
from extproc.core.dialects.stream import EventStream
from extproc.core.dialects.strict_json import encode_json, holds_too_many_values, parse_json
from extproc.core.policy import Operation
from extproc.core.reasons import Malformed, Reason
from extproc.core.snapshot import Limits
from extproc.core.trust import Masked


class ResponseFilter(Protocol):
    """One response body. After `Malformed` nothing more may be released but what `cut` returns."""

    input_tokens: int
    output_tokens: int
    finish_reasons: tuple[str, ...]
    response_model: str
    response_id: str
    events: int

    def feed(self, data: bytes) -> Masked:
        """What may go on now; `data` itself when all of it may go on as it is. Raises `Malformed`."""
        ...

    def finish(self) -> Masked:
        """The rest. Raises `Malformed` when the body ends where it must not."""
        ...

    def cut(self, sentence: str, code: str, exchange_id: str) -> Masked:
        """The dialect's own error and a clean end, instead of everything not released yet."""
        ...


def open_response(
    operation: Operation, status: int, content_type: str, masker: Masker, limits: Limits
) -> ResponseFilter:
    """The filter for a response body, by its content type. Errors (4xx, 5xx) are masked like answers.

    Raises `Malformed(RESPONSE_TYPE_UNSUPPORTED)` for a type that cannot be inspected. Without a content type, the body
    must be empty.
    """
    match find_form(content_type):
        case Form.JSON:
            # The tokenizer's numbers are the answer, and its input was masked.
            return JsonBody(masker, limits, drop=operation is not Operation.TOKENIZE or status >= 400)
        case Form.SSE:
            return EventStream(SseFraming(masker, limits.max_event_bytes), masker, limits)
        case Form.NDJSON:
            return EventStream(NdjsonFraming(limits.max_event_bytes), masker, limits)
        case Form.TEXT:
            return TextBody(masker)
        case Form.NONE:
            return EmptyBody(masker)
        case Form.OTHER:
            raise Malformed(Reason.RESPONSE_TYPE_UNSUPPORTED)


class JsonBody(Observed):
    """A JSON document, held until it is whole."""

    def __init__(self, masker: Masker, limits: Limits, *, drop: bool) -> None:
        super().__init__(masker)
        self._masker = masker
        self._limits = limits
        self._drop = drop
        self._body = bytearray()

    def feed(self, data: bytes) -> Masked:
        self._body += data
        if len(self._body) > self._limits.max_response_bytes:
            raise Malformed(Reason.RESPONSE_TOO_LARGE)
        return Masked(b"")

    def finish(self) -> Masked:
        body = bytes(self._body)
        self._body.clear()
        if not body:
            return Masked(b"")
        if holds_too_many_values(body, self._limits.max_scan_steps):
            raise Malformed(Reason.RESPONSE_TOO_COSTLY)
        document = parse_json(body, self._limits.max_json_depth, Reason.RESPONSE_MALFORMED)
        self.observe(document)
        changed = mask_envelope(document, self._masker)
        inspectable = drop_uninspectable(document) if self._drop else document
        with IN_RESPONSE:
            masked = mask_document(inspectable, self._masker, envelope_of(document))
        return Masked(body if masked is document and not changed else encode_json(masked))

    def cut(self, sentence: str, code: str, exchange_id: str) -> Masked:
        return Masked(stream_error(sentence, code, exchange_id))


class TextBody(Observed):
    """Plain UTF-8 text, as it comes."""

    def __init__(self, masker: Masker) -> None:
        super().__init__(masker)
        self._decoder = codecs.getincrementaldecoder("utf-8")()
        self._channel = masker.channel()

    def feed(self, data: bytes) -> Masked:
        text = self._decode(data, final=False)
        with IN_RESPONSE:
            safe = self._channel.feed(text).encode()
        return Masked(data if safe == data else safe)

    def finish(self) -> Masked:
        rest = self._decode(b"", final=True)
        with IN_RESPONSE:
            return Masked((self._channel.feed(rest) + self._channel.finish()).encode())

    def cut(self, sentence: str, code: str, exchange_id: str) -> Masked:
        return Masked(f"\n{sentence} ({code}, {exchange_id})\n".encode())

    def _decode(self, data: bytes, *, final: bool) -> str:
        text: str | None = None
        with contextlib.suppress(UnicodeDecodeError):
            text = self._decoder.decode(data, final)
        # Raised out here so that no chained exception carries the text.
        if text is None:
            raise Malformed(Reason.RESPONSE_MALFORMED)
        return text


class EmptyBody(Observed):
    """A body of no type: there must be none."""

    def feed(self, data: bytes) -> Masked:
        if data:
            raise Malformed(Reason.RESPONSE_TYPE_UNSUPPORTED)
        return Masked(data)

    def finish(self) -> Masked:
        return Masked(b"")

    def cut(self, sentence: str, code: str, exchange_id: str) -> Masked:
        return Masked(stream_error(sentence, code, exchange_id))
