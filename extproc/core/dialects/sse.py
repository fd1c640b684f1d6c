"""Server-sent events, incrementally (WHATWG HTML 9.2.6): LF, CR, CRLF, comments, several `data` lines, a BOM."""

import re

from extproc.core.dialects.framing import Frame
from extproc.core.dialects.masker import Masker
from extproc.core.reasons import Malformed, Reason

# Atomic groups: the two halves of a CRLF are never taken for two line ends.
_EVENT_END = re.compile(rb"(?>\r\n|\n|\r)(?>\r\n|\n|\r)")
_LINE_END = re.compile(rb"\r\n|\n|\r")
_BOM = b"\xef\xbb\xbf"
# Names with a short number. Whatever has three digits is looked at by the masker.
_HARMLESS = re.compile(rb"[ -/:-~]*+[0-9]{0,2}+[ -/:-~]*+\Z")
_COMMENT = re.compile(rb"[ -/:-~]*\Z")
_LONGEST_END = 4


class SseFraming:
    """The frames of one SSE stream. An event larger than `max_event_bytes` is refused."""

    def __init__(self, masker: Masker, max_event_bytes: int) -> None:
        self._masker = masker
        self._max_event_bytes = max_event_bytes
        self._buffer = bytearray()
        self._searched = 0
        self._at_start = True

    @property
    def pending(self) -> int:
        return len(self._buffer)

    def feed(self, data: bytes) -> list[Frame]:
        if not self._buffer and data.endswith(b"\n\n") and b"\r" not in data and not self._at_start:
            if data.find(b"\n\n") == len(data) - 2:
                return [self._frame(data)]
            return [self._frame(block + b"\n\n") for block in data[:-2].split(b"\n\n")]
        self._buffer += data
        frames = []
        while (end := self._event_end()) > 0:
            frames.append(self._frame(bytes(self._buffer[:end])))
            del self._buffer[:end]
            self._searched = 0
        if len(self._buffer) > self._max_event_bytes:
            raise Malformed(Reason.RESPONSE_TOO_LARGE)
        return frames

    def finish(self) -> list[Frame]:
        raw = bytes(self._buffer)
        self._buffer.clear()
        if not raw:
            return []
        frame = self._frame(raw)
        return [frame._replace(clean=False) if raw.strip(b"\r\n") else frame]

    def wrap(self, head: bytes, payload: bytes) -> bytes:
        return head + b"data: " + payload + b"\n\n"

    def blank(self, head: bytes) -> bytes:
        return (head or b":\n") + b"\n"

    def _event_end(self) -> int:
        match = _EVENT_END.search(self._buffer, self._searched)
        # The LF of a CRLF cut in two becomes a blank line before the next event, which means nothing.
        if match is None:
            self._searched = max(0, len(self._buffer) - _LONGEST_END)
            return 0
        return match.end()

    def _frame(self, raw: bytes) -> Frame:
        if len(raw) > self._max_event_bytes:
            raise Malformed(Reason.RESPONSE_TOO_LARGE)
        # Almost every event is a single `data: …` line.
        if raw.startswith(b"data: ") and raw.endswith(b"\n\n") and raw.find(b"\n") == len(raw) - 2 and b"\r" not in raw:
            self._at_start = False
            return Frame(raw, raw[6:-2], b"", True)
        return self._parse(raw)

    def _parse(self, raw: bytes) -> Frame:
        text = raw
        if self._at_start:
            text = text.removeprefix(_BOM)
            self._at_start = False
        data: list[bytes] = []
        fields: dict[bytes, bytes] = {}
        clean = True
        for line in _LINE_END.split(text):
            name, _, value = line.partition(b":")
            value = value.removeprefix(b" ")
            if name == b"data":
                data.append(value)
            elif not line:
                continue
            elif not name:
                # A comment means nothing, so one that might is left out.
                clean = clean and _COMMENT.match(value) is not None
            elif name in {b"event", b"id", b"retry"} and self._harmless(value):
                fields[name] = value
            else:
                clean = False
        head = b"".join(name + b": " + value + b"\n" for name, value in fields.items())
        # An event without data is not dispatched (WHATWG HTML 9.2.6).
        return Frame(raw, b"\n".join(data) or None, head, clean)

    def _harmless(self, value: bytes) -> bool:
        if len(value) > 256:
            return False
        if _HARMLESS.match(value):
            return True
        try:
            text = value.decode()
        except UnicodeDecodeError:
            return False
        return self._masker.mask_text(text) is text
