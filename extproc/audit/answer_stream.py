"""An answer's bytes, as they reached the client, cut into what is said: events, lines, one document, or plain text.

For showing only. A transcript holds no headers, so the form is told by the first bytes.
"""

import codecs
import json
import re
from collections.abc import Iterator
from enum import Enum

from extproc.audit.said import Said, Speech

_EVENT_END = re.compile(rb"\r\n\r\n|\n\n|\r\r")
_LINE_END = re.compile(rb"\r\n|\n|\r")
_SSE_FIELDS = (b"data:", b"event:", b"id:", b"retry:", b":")
_BLANK = b" \t\r\n\xef\xbb\xbf"
_DONE = b"[DONE]"
_NOT_UNDERSTOOD = "answer"


class _Form(Enum):
    SSE = "sse"
    LINES = "lines"
    DOCUMENT = "document"
    TEXT = "text"


class AnswerReader:
    """Feed it the answer piece by piece. What it does not understand it says as it is; nothing is left out silently
    but what only frames an answer."""

    def __init__(self) -> None:
        self._form: _Form | None = None
        self._buffer = bytearray()
        self._speech = Speech()
        self._decoder = codecs.getincrementaldecoder("utf-8")("backslashreplace")

    def feed(self, data: bytes) -> list[Said]:
        """What this piece says."""
        self._buffer += data
        if self._form is None:
            self._form = _form_of(bytes(self._buffer))
        match self._form:
            case _Form.SSE:
                return [said for event in self._cut(_EVENT_END) for said in self._event(event)]
            case _Form.LINES:
                return [said for line in self._cut(_LINE_END) for said in self._document(line)]
            case _Form.TEXT:
                return self._plain(final=False)
            case _:
                return []

    def finish(self) -> list[Said]:
        """What is left."""
        match self._form:
            case _Form.TEXT:
                return self._plain(final=True)
            case _Form.SSE:
                return self._event(bytes(self._buffer))
            case _:
                return self._document(bytes(self._buffer))

    def _cut(self, end: re.Pattern[bytes]) -> Iterator[bytes]:
        while match := end.search(self._buffer):
            part = bytes(self._buffer[: match.start()])
            del self._buffer[: match.end()]
            yield part

    def _plain(self, *, final: bool) -> list[Said]:
        text = self._decoder.decode(bytes(self._buffer), final)
        self._buffer.clear()
        return [Said(0, _NOT_UNDERSTOOD, text)] if text else []

    def _event(self, event: bytes) -> list[Said]:
        lines = [line.partition(b":") for line in _LINE_END.split(event)]
        data = b"\n".join(value.removeprefix(b" ") for name, _, value in lines if name == b"data")
        return [] if data.strip() == _DONE else self._document(data)

    def _document(self, data: bytes) -> list[Said]:
        if not data.strip(_BLANK):
            return []
        try:
            return self._speech.read(json.loads(data.strip(_BLANK)))
        except (ValueError, RecursionError):
            return [Said(0, _NOT_UNDERSTOOD, data.decode("utf-8", "backslashreplace"))]


def _form_of(beginning: bytes) -> _Form | None:
    """None while it cannot be told."""
    text = beginning.lstrip(_BLANK)
    if not text or any(field.startswith(text) for field in _SSE_FIELDS):
        return None
    if text.startswith(_SSE_FIELDS):
        return _Form.SSE
    if text[:1] not in (b"{", b"["):
        return _Form.TEXT
    line, newline, _ = text.partition(b"\n")
    if not newline:
        return None
    try:
        json.loads(line)
    except (ValueError, RecursionError):
        return _Form.DOCUMENT
    return _Form.LINES
