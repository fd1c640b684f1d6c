"""Newline-delimited JSON, incrementally: one document a line."""

from extproc.core.dialects.framing import Frame
from extproc.core.reasons import Malformed, Reason

_WHITESPACE = b" \t\r\n"


class NdjsonFraming:
    """The lines of one stream. A line longer than `max_event_bytes` is refused."""

    def __init__(self, max_event_bytes: int) -> None:
        self._max_event_bytes = max_event_bytes
        self._buffer = bytearray()

    @property
    def pending(self) -> int:
        return len(self._buffer)

    def feed(self, data: bytes) -> list[Frame]:
        frames = []
        start = 0
        # What is in the buffer has no line end, so only `data` is searched.
        while (end := data.find(b"\n", start) + 1) > 0:
            self._buffer += data[start:end]
            frames.append(self._frame(bytes(self._buffer)))
            self._buffer.clear()
            start = end
        self._buffer += data[start:]
        if len(self._buffer) > self._max_event_bytes:
            raise Malformed(Reason.RESPONSE_TOO_LARGE)
        return frames

    def finish(self) -> list[Frame]:
        frames = []
        if self._buffer:
            frames.append(self._frame(bytes(self._buffer))._replace(clean=False))
            self._buffer.clear()
        return frames

    def wrap(self, head: bytes, payload: bytes) -> bytes:
        return head + payload + b"\n"

    def blank(self, head: bytes) -> bytes:
        return head

    def _frame(self, raw: bytes) -> Frame:
        if len(raw) > self._max_event_bytes:
            raise Malformed(Reason.RESPONSE_TOO_LARGE)
        payload = raw.strip(_WHITESPACE)
        return Frame(raw, payload or None, b"", True)
