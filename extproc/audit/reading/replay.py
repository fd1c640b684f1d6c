"""The transcript of one exchange, decrypted: what crossed the boundary, in both directions, and when.

Every frame is authenticated for this exchange and place, and the frames are held against the record that closed the
exchange, so what is shown is what was sent.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from extproc.audit.keys.keys import AuditKeys
from extproc.audit.log.content import (
    ContentCipher,
    ContentFrame,
    Piece,
    WrappedKey,
    chain_digest,
    find_key_lines,
    parse_content_frame,
    unwrap_key,
)
from extproc.audit.log.frames import Kind
from extproc.audit.log.journal_file import JournalFile
from extproc.audit.log.segment import unpack_content
from extproc.audit.names import Origin, Part, parse_key
from extproc.audit.reading.exchanges import ExchangeRecords, show_exchange
from extproc.audit.reading.holdings import Epoch, Holdings, SealedSegment
from extproc.audit.reading.reader import Evidence, time_text
from extproc.audit.records.line import parse_mark
from extproc.audit.refusal import AuditRefused
from extproc.core.printable import printable_line
from extproc.core.record import ENDS_EXCHANGE, OPENS_EXCHANGE, Direction

_CROSSED = (Direction.TO_MODEL, Direction.TO_CLIENT)
_WITH_CONTENT = OPENS_EXCHANGE | ENDS_EXCHANGE


@dataclass(frozen=True, slots=True)
class Transcript:
    """Pieces in the order of their times. `closed`: the exchange's end is recorded and binds exactly these frames.

    `sealed` are originals that nobody here can open, with the epoch in which each was sealed.
    """

    exchange: ExchangeRecords
    pieces: tuple[Piece, ...]
    closed: bool
    sealed: tuple[tuple[str, Piece], ...] = ()


def read_transcript(holdings: Holdings, keys: AuditKeys, exchange_id: str) -> Transcript | None:
    """None when there is no such exchange. `holdings` need not list more than the evidence.

    Raises `AuditRefused` or `Malformed` when it does not open as stored, and `StoreFailed`.
    """
    exchange = show_exchange(holdings, exchange_id)
    if exchange is None:
        return None
    pieces: list[Piece] = []
    sealed: list[tuple[str, Piece]] = []
    gone = _why_gone(exchange)
    closed = True
    for origin in sorted({item.origin for item in exchange.records}):
        places = [item for item in exchange.records if item.origin == origin]
        if not any(item.record.event_code in _WITH_CONTENT for item in places):
            continue  # a decision, say
        epoch = holdings.epochs[origin]
        list_content(holdings, origin)
        found = _Streams(keys, str(origin), exchange_id, gone)
        for segment in _segments(places, epoch.last_segment):
            found.read(*_content(holdings, epoch, segment))
        marks = [parse_mark(item.line) for item in places]
        ends = [mark for mark in marks if mark.content_frames]
        for mark in ends:
            if found.digests.get(mark.content_frames) != mark.content_digest:
                raise AuditRefused("the transcript is not the one that the exchange's end recorded")
        closed = closed and (bool(ends) or not found.frames)
        for piece in found.pieces():
            if piece.direction in _CROSSED:
                pieces.append(piece)
            else:
                sealed.append((str(origin), piece))
    return Transcript(exchange, tuple(sorted(pieces, key=lambda piece: piece.at_us)), closed, tuple(sealed))


def _segments(places: list[Evidence], last: int) -> range:
    """Where one epoch may have content of the exchange with these records."""
    # Content may be durable just before the first record, in the segment before it; the end comes after all of it.
    first = max(min(item.segment for item in places) - 1, 1)
    ends = [item.segment for item in places if item.record.event_code in ENDS_EXCHANGE]
    return range(first, (max(ends) if ends else last) + 1)


def list_content(holdings: Holdings, origin: Origin) -> None:
    """Take note of what the store holds of an epoch's content and keys."""
    for part in (Part.CONTENT, Part.KEYS):
        for stored in holdings.store.list(origin.object_key(part, 0).rpartition("/")[0] + "/"):
            name = parse_key(stored.key)
            if name is not None and stored.versions:
                holdings.add(name, stored)


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
