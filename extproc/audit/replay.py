"""The transcript of one exchange, decrypted: what crossed the boundary, in both directions, and when.

Every frame is authenticated for this exchange and place, and the frames are held against the record that closed the
exchange, so what is shown is what was sent.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from extproc.audit.content import (
    ContentCipher,
    ContentFrame,
    Piece,
    WrappedKey,
    chain_digest,
    find_key_lines,
    parse_content_frame,
    unwrap_key,
)
from extproc.audit.frames import Kind
from extproc.audit.holdings import Epoch, Holdings, SealedSegment
from extproc.audit.keys import AuditKeys
from extproc.audit.line import parse_mark
from extproc.audit.reader import ExchangeRecords, show_exchange, time_text
from extproc.audit.refusal import AuditRefused
from extproc.audit.segment import JournalFile, unpack_content
from extproc.core.printable import printable_line


@dataclass(frozen=True, slots=True)
class Transcript:
    """Pieces in the order of their times. `closed`: the exchange's end is recorded and binds exactly these frames."""

    pieces: tuple[Piece, ...]
    closed: bool


def read_transcript(holdings: Holdings, keys: AuditKeys, exchange_id: str) -> Transcript | None:
    """None when there is no such exchange. Raises `AuditRefused` or `Malformed` when it does not open as stored."""
    exchange = show_exchange(holdings, exchange_id)
    if exchange is None:
        return None
    pieces: list[Piece] = []
    gone = _why_gone(exchange)
    closed = True
    for origin in sorted({item.origin for item in exchange.records}):
        places = [item for item in exchange.records if item.origin == origin]
        # Content may be durable just before the first record, in the segment before it.
        first = max(min(item.segment for item in places) - 1, 1)
        found = _Streams(keys, str(origin), exchange_id, gone)
        for segment in range(first, holdings.epochs[origin].last_segment + 1):
            found.read(*_content(holdings, holdings.epochs[origin], segment))
        marks = [parse_mark(item.line) for item in places]
        ends = [mark for mark in marks if mark.content_frames]
        for mark in ends:
            if found.digests.get(mark.content_frames) != mark.content_digest:
                raise AuditRefused("the transcript is not the one that the exchange's end recorded")
        closed = closed and (bool(ends) or not found.frames)
        pieces += found.pieces()
    return Transcript(tuple(sorted(pieces, key=lambda piece: piece.at_us)), closed)


def _why_gone(exchange: ExchangeRecords) -> str:
    record = exchange.shredded
    if record is None:
        return "the exchange's content key is gone, and no record of it tells why: it is over-age or lost"
    reason = printable_line(str(record.detail.get("reason", "")))
    return f"the exchange was shredded on {time_text(record.time_ms)}: {reason}"


def _content(holdings: Holdings, epoch: Epoch, segment: int) -> tuple[list[bytes], list[bytes]]:
    """A segment's content frames and wrapped keys."""
    match holdings.load(epoch, segment):
        case SealedSegment() as sealed:
            return unpack_content(sealed.content) if sealed.content else [], (sealed.keys or b"").splitlines()
        case JournalFile() as journal:
            return (
                [frame.payload for frame in journal.frames if frame.kind is Kind.CONTENT],
                [frame.payload for frame in journal.frames if frame.kind is Kind.KEY],
            )
        case _:
            return [], []


class _Streams:
    """Collects one exchange's frames in one epoch."""

    def __init__(self, keys: AuditKeys, origin: str, exchange_id: str, gone: str) -> None:
        """`gone`: what to say when there is no key."""
        self._keys, self._origin, self._exchange_id, self._gone = keys, origin, exchange_id, gone
        self._wrapped: dict[str, WrappedKey] = {}
        self.frames: list[ContentFrame] = []
        self.digests: dict[int, str] = {}
        self._digest = b""

    def read(self, payloads: list[bytes], keys: list[bytes]) -> None:
        for wrapped in find_key_lines(keys, self._origin, self._exchange_id):
            self._wrapped[wrapped.stream] = wrapped
        for payload in payloads:
            frame = parse_content_frame(payload)
            if frame.exchange_id == self._exchange_id:
                self._digest = chain_digest(self._digest if frame.number else b"", payload)
                self.digests[frame.number] = self._digest.hex()
                self.frames.append(frame)

    def pieces(self) -> Iterator[Piece]:
        ciphers: dict[bytes, ContentCipher] = {}
        expected = 0
        for frame in self.frames:
            if frame.number == 0:
                wrapped = self._wrapped.get(frame.stream.hex())
                if wrapped is None:
                    raise AuditRefused(self._gone)
                ciphers[frame.stream] = unwrap_key(self._keys, wrapped, frame)
                expected = 1
                continue
            if frame.number != expected or frame.stream not in ciphers:
                raise AuditRefused("a content frame is missing or out of order")
            expected += 1
            yield from ciphers[frame.stream].open(frame)
