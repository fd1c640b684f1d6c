"""The answer of a model server on its way to the client: what may leave now, and what the record needs of it."""

import codecs
import re
from typing import Protocol, cast

from extproc.core.dialects.content_type import Form, find_form
from extproc.core.dialects.disguise import Disguise
from extproc.core.dialects.errors import stream_error
from extproc.core.dialects.json_body import JsonBody, JsonLines
from extproc.core.dialects.masker import Masker
from extproc.core.dialects.observed import IN_RESPONSE, Observed
from extproc.core.dialects.request import needs_body
from extproc.core.dialects.stream import EventStream
from extproc.core.dialects.strict_json import encode_json
from extproc.core.policy import Operation
from extproc.core.reasons import Malformed, Reason
from extproc.core.snapshot import Limits
from extproc.core.trust import Masked

_NO_TEXT = re.compile("[\0\udc80-\udcff]")
"""A NUL, or a byte that is no UTF-8."""


class ResponseFilter(Protocol):
    """One response body. After `Malformed` nothing more may be released but what `cut` returns."""

    streamed: bool
    input_tokens: int
    output_tokens: int
    finish_reasons: tuple[str, ...]
    response_model: str
    response_id: str
    events: int
    characters: int

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
    match form := find_form(content_type):
        case Form.JSON:
            # The tokenizer's numbers are the answer, and its input was masked.
            return JsonBody(masker, limits, drop=operation is not Operation.TOKENIZE or status >= 400)
        case Form.JSON_LINES if operation is Operation.UNKNOWN:
            return JsonLines(masker, limits)
        case Form.SSE | Form.NDJSON | Form.JSON_LINES:
            return EventStream(form, operation, masker, limits)
        case Form.TEXT:
            # Clients raise at an error, whatever it says, and join nothing.
            return TextAnswer(masker) if needs_body(operation) and status < 400 else TextBody(masker)
        case Form.NONE:
            return EmptyBody(masker)
        case Form.OTHER:
            raise Malformed(Reason.RESPONSE_TYPE_UNSUPPORTED)


class TextBody(Observed):
    """Plain UTF-8 text without a NUL (which UTF-16 has), as it comes."""

    def __init__(self, masker: Masker) -> None:
        super().__init__(masker)
        self._decoder = codecs.getincrementaldecoder("utf-8")("surrogateescape")
        self._channel = masker.channel()

    def feed(self, data: bytes) -> Masked:
        text = self._decode(data, final=False)
        self.characters += len(text)
        with IN_RESPONSE:
            safe = self._channel.feed(text).encode()
        return Masked(data if safe == data else safe)

    def finish(self) -> Masked:
        rest = self._decode(b"", final=True)
        self.characters += len(rest)
        with IN_RESPONSE:
            return Masked((self._channel.feed(rest) + self._channel.finish()).encode())

    def cut(self, sentence: str, code: str, exchange_id: str) -> Masked:
        return Masked(f"\n{sentence} ({code}, {exchange_id})\n".encode())

    def _decode(self, data: bytes, *, final: bool) -> str:
        text = self._decoder.decode(data, final)
        broken = _NO_TEXT.search(text)
        # What stands before is judged first, so that the reason is the same for every cut.
        sound = self._judged(text[: broken.start()] if broken else text, final=final)
        if broken:
            raise Malformed(Reason.RESPONSE_TYPE_UNSUPPORTED if broken[0] == "\0" else Reason.RESPONSE_MALFORMED)
        return sound

    def _judged(self, text: str, *, final: bool) -> str:
        return text


class TextAnswer(TextBody):
    """Plain text where a model was asked: refused when its clients would read it as JSON or events all the same."""

    def __init__(self, masker: Masker) -> None:
        super().__init__(masker)
        self._disguise = Disguise()

    def _judged(self, text: str, *, final: bool) -> str:
        passed = self._disguise.feed(text)
        return passed + self._disguise.finish() if final else passed


class OpaqueBody(Observed):
    """A body that a connection lets through unread. It has no error of its own to end with."""

    def feed(self, data: bytes) -> Masked:
        self.characters += len(data)
        return cast("Masked", data)

    def finish(self) -> Masked:
        return Masked(b"")

    def cut(self, sentence: str, code: str, exchange_id: str) -> Masked:
        return Masked(b"")


class EmptyBody(Observed):
    """A body of no type: there must be none."""

    def feed(self, data: bytes) -> Masked:
        if data:
            raise Malformed(Reason.RESPONSE_TYPE_UNSUPPORTED)
        return Masked(data)

    def finish(self) -> Masked:
        return Masked(b"")

    def cut(self, sentence: str, code: str, exchange_id: str) -> Masked:
        return Masked(encode_json(stream_error(sentence, code, exchange_id)))
