"""The wire transcript of one exchange, encrypted under a key of its own.

A content frame is `stream(8) | exchange(1+n) | number(4) | direction(1) | ciphertext`. Number 0 opens the stream and
carries the commitment to its key; `stream` is the commitment's beginning. The head is authenticated with the
ciphertext, and the key is derived for one origin and exchange, so a frame opens in its own place only. The plaintext is
`count(4) | count times: at_us(8) length(4) | data`: one frame holds what arrived in one direction during one group
commit, with the time and length of each piece. A sealed original (`extproc.audit.retention.sealed`) is a piece like any
other, of a direction of its own: it shares the exchange's key, and goes with it.
"""

import base64
import hashlib
import hmac
import os
import struct
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from threading import Lock
from typing import TYPE_CHECKING

import msgspec
from cryptography.exceptions import InvalidTag

from extproc.audit.keys.keys import KEY_BYTES, AuditKeys, transcripts_of
from extproc.audit.keys.seal import derive, open_in, seal_in
from extproc.audit.log.frames import Kind
from extproc.audit.refusal import NOT_PARSED, AuditRefused
from extproc.core.record import Direction
from extproc.core.trust import Masked, Sealed

if TYPE_CHECKING:
    from extproc.audit.log.queue import CommitQueue, Done

MAX_FRAME_DATA_BYTES = 1024 * 1024
"""Pieces are put into one frame until it holds this much, so that a reader needs little memory."""
_STREAM_BYTES = 8
_PIECE = struct.Struct(">QI")
_COUNT = struct.Struct(">I")
_TAIL = struct.Struct(">IB")
_DIRECTIONS = {
    Direction.TO_MODEL: 1,
    Direction.TO_CLIENT: 2,
    Direction.SEALED_TO_MODEL: 3,
    Direction.SEALED_TO_CLIENT: 4,
}
"""Readers of before 3 and 4 verify such a transcript and say of it that it does not open."""
_BY_NUMBER = {number: direction for direction, number in _DIRECTIONS.items()}
_US_MASK = (1 << 64) - 1


@dataclass(frozen=True, slots=True)
class Piece:
    """What crossed the boundary at once, or a sealed original of that.

    `at_us` is on the writer's monotonic clock, in microseconds.
    """

    direction: Direction
    at_us: int
    data: Masked | Sealed = field(repr=False)


@dataclass(frozen=True, slots=True)
class ContentFrame:
    """A parsed frame, still encrypted. `number` 0: `ciphertext` is the key commitment."""

    stream: bytes
    exchange_id: str
    number: int
    direction: int
    head: bytes
    ciphertext: bytes


class WrappedKey(msgspec.Struct, frozen=True, kw_only=True):
    """One line of a key bag. Without it the exchange's transcript cannot be read; the chain does not depend on it."""

    origin: str
    exchange_id: str
    stream: str
    wrapped: str


def find_key_lines(lines: Iterable[bytes], origin: str, exchange_id: str) -> Iterator[WrappedKey]:
    """An exchange's lines of a key bag. One that does not parse is none; the verifier tells of it."""
    for line in lines:
        with suppress(*NOT_PARSED):
            wrapped = msgspec.json.decode(line, type=WrappedKey)
            if (wrapped.origin, wrapped.exchange_id) == (origin, exchange_id):
                yield wrapped


def parse_content_frame(payload: bytes) -> ContentFrame:
    """Raises `AuditRefused`."""
    try:
        length = payload[_STREAM_BYTES]
        end = _STREAM_BYTES + 1 + length
        number, direction = _TAIL.unpack_from(payload, end)
        exchange_id = payload[_STREAM_BYTES + 1 : end].decode()
    except (IndexError, struct.error, UnicodeDecodeError) as error:
        raise AuditRefused("a content frame does not parse") from error
    head = payload[: end + _TAIL.size]
    return ContentFrame(payload[:_STREAM_BYTES], exchange_id, number, direction, head, payload[len(head) :])


def parse_content_head(payload: memoryview) -> tuple[bytes, str, int]:
    """Stream, exchange and number, for those who do not open the frame. Raises `AuditRefused`."""
    try:
        end = _STREAM_BYTES + 1 + payload[_STREAM_BYTES]
        number, _ = _TAIL.unpack_from(payload, end)
        return bytes(payload[:_STREAM_BYTES]), str(payload[_STREAM_BYTES + 1 : end], "utf-8"), number
    except (IndexError, struct.error, UnicodeDecodeError) as error:
        raise AuditRefused("a content frame does not parse") from error


def chain_digest(digest: bytes, payload: bytes) -> bytes:
    """The running digest over one stream's frames; starts from nothing."""
    return hashlib.sha256(digest + payload).digest()


def _key_context(origin: str, exchange_id: str) -> bytes:
    return b"content\x00" + origin.encode() + b"\x00" + exchange_id.encode()


class ContentCipher:
    """Seals and opens the frames of one stream."""

    def __init__(self, key: bytes, origin: str, exchange_id: str) -> None:
        self._cipher, self._nonce, self.commitment = derive(key, None, b"extproc " + _key_context(origin, exchange_id))
        name = exchange_id.encode()
        self.head = self.commitment[:_STREAM_BYTES] + bytes([len(name)]) + name

    def _nonce_of(self, number: int) -> bytes:
        return (int.from_bytes(self._nonce) ^ number).to_bytes(len(self._nonce))

    def opening(self) -> bytes:
        """Frame 0."""
        return self.head + _TAIL.pack(0, 0) + self.commitment

    def seal(self, number: int, pieces: Sequence[Piece]) -> bytes:
        """One frame of pieces that share a direction."""
        head = self.head + _TAIL.pack(number, _DIRECTIONS[pieces[0].direction])
        parts = [_COUNT.pack(len(pieces))]
        parts += [_PIECE.pack(piece.at_us & _US_MASK, len(piece.data)) for piece in pieces]
        parts += [piece.data for piece in pieces]
        return head + self._cipher.encrypt(self._nonce_of(number), b"".join(parts), head)

    def open(self, frame: ContentFrame) -> tuple[Piece, ...]:
        """Raises `AuditRefused` when the frame is not this stream's, or was changed."""
        try:
            plain = self._cipher.decrypt(self._nonce_of(frame.number), frame.ciphertext, frame.head)
            (count,) = _COUNT.unpack_from(plain)
            sizes = [_PIECE.unpack_from(plain, _COUNT.size + index * _PIECE.size) for index in range(count)]
            direction = _BY_NUMBER[frame.direction]
        except (InvalidTag, struct.error, KeyError, OverflowError) as error:
            raise AuditRefused("a content frame does not open: it was changed or moved") from error
        offset = _COUNT.size + count * _PIECE.size
        pieces = []
        for at_us, length in sizes:
            pieces.append(Piece(direction, at_us, Masked(plain[offset : offset + length])))
            offset += length
        if offset != len(plain):
            raise AuditRefused("a content frame does not open: its lengths do not add up")
        return tuple(pieces)


def wrap_key(keys: AuditKeys, cipher: ContentCipher, key: bytes, origin: str, exchange_id: str) -> bytes:
    """The key-bag line for a content key."""
    wrapped = seal_in(keys, transcripts_of(origin), _key_context(origin, exchange_id), key)
    return msgspec.json.encode(
        WrappedKey(
            origin=origin,
            exchange_id=exchange_id,
            stream=cipher.commitment[:_STREAM_BYTES].hex(),
            wrapped=base64.b64encode(wrapped).decode(),
        )
    )


def unwrap_key(keys: AuditKeys, line: WrappedKey, opening: ContentFrame) -> ContentCipher:
    """The cipher of the stream that `opening` opened. Raises `AuditRefused` or `Malformed`."""
    context = _key_context(line.origin, line.exchange_id)
    try:
        wrapped = base64.b64decode(line.wrapped, validate=True)
    except ValueError as error:
        raise AuditRefused("a line of a key bag does not parse") from error
    key = open_in(keys, transcripts_of(line.origin), context, wrapped)
    cipher = ContentCipher(key, line.origin, line.exchange_id)
    if not hmac.compare_digest(cipher.commitment, opening.ciphertext):
        raise AuditRefused("the content key is not the one the stream was opened with")
    return cipher


class ContentLog:
    """One exchange's transcript. `append` only queues; the writer's thread encrypts, one frame a group commit."""

    def __init__(self, queue: "CommitQueue", keys: AuditKeys, origin: str, exchange_id: str) -> None:
        self.exchange_id = exchange_id
        self.pending: list[Piece] = []
        self.queued = False
        self._queue = queue
        self._keys = keys
        self._origin = origin
        self._cipher: ContentCipher | None = None
        self._sealing = Lock()
        self._sealed: list[tuple[Kind, bytes]] = []
        self._digest = b""
        self._number = 0

    def append(self, direction: Direction, at_us: int, data: Masked | Sealed, done: "Done | None" = None) -> None:
        """Queue masked bytes. Never blocks. Raises `Unavailable` when they cannot be recorded."""
        self._queue.put_content(self, Piece(direction, at_us, data), done)

    def summary(self) -> tuple[str, int]:
        """Digest (hex) and number of the ciphertext frames of everything appended so far."""
        with self._sealing:
            self._seal(self._queue.take_pending(self))
            return self._digest.hex(), self._number

    def take_frames(self) -> tuple[list[tuple[Kind, bytes]], str, int]:
        """What the writer must store now, and the summary that then holds."""
        with self._sealing:
            self._seal(self._queue.take_pending(self))
            frames, self._sealed = self._sealed, []
            return frames, self._digest.hex(), self._number

    def _seal(self, pieces: Sequence[Piece]) -> None:
        start = 0
        size = 0
        for index, piece in enumerate(pieces):
            if index > start and (
                piece.direction is not pieces[start].direction or size + len(piece.data) > MAX_FRAME_DATA_BYTES
            ):
                self._seal_frame(pieces[start:index])
                start, size = index, 0
            size += len(piece.data)
        if pieces:
            self._seal_frame(pieces[start:])

    def _seal_frame(self, pieces: Sequence[Piece]) -> None:
        cipher = self._cipher
        if cipher is None:
            key = os.urandom(KEY_BYTES)
            self._cipher = cipher = ContentCipher(key, self._origin, self.exchange_id)
            self._sealed.append((Kind.KEY, wrap_key(self._keys, cipher, key, self._origin, self.exchange_id)))
            self._store(cipher.opening())
        self._number += 1
        self._store(cipher.seal(self._number, pieces))

    def _store(self, payload: bytes) -> None:
        self._digest = chain_digest(self._digest, payload)
        self._sealed.append((Kind.CONTENT, payload))
