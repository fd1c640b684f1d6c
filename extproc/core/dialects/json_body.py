"""JSON that is masked when it is whole: a document, or a file of lines that are documents each."""

from extproc.core.dialects.errors import ndjson_farewell, stream_error
from extproc.core.dialects.framing import Frame
from extproc.core.dialects.leaves import drop_uninspectable, envelope_of, mask_document, mask_envelope
from extproc.core.dialects.masker import Masker
from extproc.core.dialects.ndjson import NdjsonFraming
from extproc.core.dialects.observed import IN_RESPONSE, Observed
from extproc.core.dialects.strict_json import encode_json, holds_too_many_values, parse_json
from extproc.core.reasons import Malformed, Reason
from extproc.core.snapshot import Limits
from extproc.core.trust import Masked


class _Documents(Observed):
    """Documents that stand alone."""

    def __init__(self, masker: Masker, limits: Limits, *, drop: bool) -> None:
        super().__init__(masker)
        self._masker = masker
        self._limits = limits
        self._drop = drop

    def _masked(self, body: bytes) -> bytes:
        """The masked document; `body` itself when nothing changed. Raises `Malformed`."""
        if holds_too_many_values(body, self._limits.max_scan_steps):
            raise Malformed(Reason.RESPONSE_TOO_COSTLY)
        document = parse_json(body, self._limits.max_json_depth, Reason.RESPONSE_MALFORMED)
        inspectable = drop_uninspectable(document) if self._drop else document
        with IN_RESPONSE:
            self.observe(document)
            changed = mask_envelope(inspectable, self._masker)
            masked = mask_document(inspectable, self._masker, envelope_of(document))
        out = body if masked is document and not changed else encode_json(masked)
        self.characters += len(out)
        return out


class JsonBody(_Documents):
    """A JSON document, held until it is whole."""

    def __init__(self, masker: Masker, limits: Limits, *, drop: bool) -> None:
        super().__init__(masker, limits, drop=drop)
        self._body = bytearray()

    def feed(self, data: bytes) -> Masked:
        self._body += data
        if len(self._body) > self._limits.max_response_bytes:
            raise Malformed(Reason.RESPONSE_TOO_LARGE)
        return Masked(b"")

    def finish(self) -> Masked:
        body = bytes(self._body)
        self._body.clear()
        return Masked(self._masked(body) if body else b"")

    def cut(self, sentence: str, code: str, exchange_id: str) -> Masked:
        return Masked(encode_json(stream_error(sentence, code, exchange_id)))


class JsonLines(_Documents):
    """A file of JSON lines, such as the answers of a batch. Nothing goes on from one line to the next.

    A line in which nothing changed goes on as the bytes it came in.
    """

    def __init__(self, masker: Masker, limits: Limits) -> None:
        super().__init__(masker, limits, drop=True)
        self._framing = NdjsonFraming(limits.max_event_bytes)

    def feed(self, data: bytes) -> Masked:
        return Masked(b"".join(map(self._line, self._framing.feed(data))))

    def finish(self) -> Masked:
        return Masked(b"".join(map(self._line, self._framing.finish())))

    def cut(self, sentence: str, code: str, exchange_id: str) -> Masked:
        return Masked(ndjson_farewell(sentence, code, exchange_id))

    def _line(self, frame: Frame) -> bytes:
        if frame.payload is None:
            return frame.raw
        masked = self._masked(frame.payload)
        return frame.raw if masked is frame.payload else self._framing.wrap(b"", masked)
