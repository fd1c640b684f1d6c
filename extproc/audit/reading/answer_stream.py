"""An answer's bytes, as they reached the client, cut into what is said: events, lines, one document, or plain text.

For showing only. A transcript holds no headers, so the form is told by the first bytes.
"""

import codecs
import json
import re
from enum import Enum

from extproc.audit.reading.said import Said, Speech

_EVENT_END = re.compile(rb"\r\n\r\n|\n\n|\r\r")
_LINE_END = re.compile(rb"\r\n|\n|\r")
_SSE_FIELDS = (b"data:", b"event:", b"id:", b"retry:", b":")
_LONGEST_FIELD = 8
_LONGEST_END = 3
"""Of the end of an event, less its last byte."""
_FIELDS = frozenset({b"data", b"event", b"id", b"retry", b""})
_BLANK = b" \t\r\n"
_BOM = b"\xef\xbb\xbf"
_DONE = b"[DONE]"
_NOT_UNDERSTOOD = "answer"


class _Form(Enum):
    SSE = "sse"
    JSON = "json"
    """Lines or one document: its first line tells."""
    LINES = "lines"
    DOCUMENT = "document"
    TEXT = "text"


class AnswerReader:
    """Feed it the answer piece by piece. What it does not understand it says as it is; nothing is left out silently
    but what only frames an answer. Takes time in proportion to the answer, however it is cut."""

    def __init__(self) -> None:
        self._form: _Form | None = None
        self._buffer = bytearray()
        self._speech = Speech()
        self._decoder = codecs.getincrementaldecoder("utf-8")("backslashreplace")

    def feed(self, data: bytes) -> list[Said]:
        """What this piece says."""
        if self._form is None:
            data = (bytes(self._buffer) + data).lstrip(_BLANK).removeprefix(_BOM)
            self._buffer.clear()
            self._form = _form_of(data[:_LONGEST_FIELD])
        if self._form is _Form.JSON and b"\n" in data:
            data = bytes(self._buffer) + data
            self._buffer.clear()
            self._form = _Form.LINES if _is_json(data.partition(b"\n")[0]) else _Form.DOCUMENT
        match self._form:
            case _Form.SSE:
                return [said for event in self._cut(_EVENT_END, data) for said in self._event(event)]
            case _Form.LINES:
                return [said for line in self._cut(_LINE_END, data) for said in self._document(line)]
            case _Form.TEXT:
                return self._plain(data, final=False)
            case None | _Form.JSON | _Form.DOCUMENT:
                self._buffer += data
                return []

    def finish(self) -> list[Said]:
        """What is left."""
        match self._form:
            case _Form.TEXT:
                return self._plain(b"", final=True)
            case _Form.SSE:
                return self._event(bytes(self._buffer))
            case _:
                return self._document(bytes(self._buffer))

    def _cut(self, end: re.Pattern[bytes], data: bytes) -> list[bytes]:
        """The parts that are whole now. What was searched before is not searched again, but for an end that was cut."""
        searched = max(len(self._buffer) - _LONGEST_END, 0)
        self._buffer += data
        parts, start = [], 0
        for match in end.finditer(self._buffer, searched):
            parts.append(bytes(self._buffer[start : match.start()]))
            start = match.end()
        del self._buffer[:start]
        return parts

    def _plain(self, data: bytes, *, final: bool) -> list[Said]:
        text = self._decoder.decode(data, final)
        return [Said(0, _NOT_UNDERSTOOD, text)] if text else []

    def _event(self, event: bytes) -> list[Said]:
        lines = [line.partition(b":") for line in _LINE_END.split(event)]
        if any(name not in _FIELDS for name, _, _ in lines):
            return [Said(0, _NOT_UNDERSTOOD, event.decode("utf-8", "backslashreplace"))]
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
    if any(field.startswith(beginning) and field != beginning for field in (*_SSE_FIELDS, _BOM)):
        return None
    if beginning.startswith(_SSE_FIELDS):
        return _Form.SSE
    return _Form.JSON if beginning[:1] in (b"{", b"[") else _Form.TEXT


def _is_json(line: bytes) -> bool:
    try:
        json.loads(line)
    except (ValueError, RecursionError):
        return False
    return True
