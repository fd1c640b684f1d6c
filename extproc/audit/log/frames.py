"""The journal's frames on disk: self-describing, chained, checked.

`mark(4) | length(4) | kind(1) | commit(4) | number(8) | previous(32) | payload | crc32c(4)`, big-endian. `length` is
the payload's, `number` counts frames within the epoch, `previous` is the SHA-256 of the frame before, and `commit`
counts group commits; the high bit of `kind` marks the last frame of one. A commit is begun only after the last is
durable, so damage that is followed by a later commit is no torn tail.
"""

import hashlib
import io
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import BinaryIO

import google_crc32c

from extproc.audit.files import PIECE_BYTES

MARK = b"\xf5XP1"
_HEAD = struct.Struct(">4sIBIQ32s")
_CRC = struct.Struct(">I")
_ENDS_COMMIT = 0x80
OVERHEAD = _HEAD.size + _CRC.size
MAX_PAYLOAD_BYTES = 256 * 1024 * 1024
"""A length beyond it is damage: no exchange body comes near."""


class Kind(IntEnum):
    HEADER = 1
    """First of a segment: where the chains stand (JSON)."""
    RECORD = 2
    """One evidence line."""
    KEY = 3
    """One wrapped content key (JSON)."""
    CONTENT = 4
    """Ciphertext of one exchange and direction."""


_KINDS = frozenset(Kind)


@dataclass(frozen=True, slots=True)
class Frame:
    kind: Kind
    commit: int
    number: int
    previous: bytes
    ends_commit: bool
    payload: bytes
    digest: bytes
    end: int
    """Offset behind the frame."""


def pack_commit(
    payloads: Sequence[tuple[Kind, bytes]], commit: int, number: int, previous: bytes
) -> tuple[bytes, int, bytes]:
    """One group commit's bytes, the next frame's number, and the last frame's SHA-256, its successor's `previous`."""
    frames: list[bytes] = []
    last = len(payloads) - 1
    for index, (kind, payload) in enumerate(payloads):
        flagged = kind | _ENDS_COMMIT if index == last else kind
        body = _HEAD.pack(MARK, len(payload), flagged, commit, number, previous) + payload
        frame = body + _CRC.pack(google_crc32c.value(body))
        previous = hashlib.sha256(frame).digest()
        number += 1
        frames.append(frame)
    return b"".join(frames), number, previous


def parse_at(data: bytes, offset: int, base: int = 0) -> Frame | None:
    """The whole, undamaged frame at `offset`, or None. `base`: where in the file `data` begins."""
    if offset + OVERHEAD > len(data) or data[offset : offset + 4] != MARK:
        return None
    _, length, flagged, commit, number, previous = _HEAD.unpack_from(data, offset)
    end = offset + OVERHEAD + length
    kind = flagged & ~_ENDS_COMMIT
    if length > MAX_PAYLOAD_BYTES or end > len(data) or kind not in _KINDS:
        return None
    body = data[offset : end - 4]
    if _CRC.unpack_from(data, end - 4)[0] != google_crc32c.value(body):
        return None
    digest = hashlib.sha256(data[offset:end]).digest()
    ends_commit = bool(flagged & _ENDS_COMMIT)
    return Frame(Kind(kind), commit, number, previous, ends_commit, body[_HEAD.size :], digest, base + end)


class _Window:
    """The first `size` bytes of a file by their offsets, of which little is in memory at a time."""

    def __init__(self, file: BinaryIO, size: int) -> None:
        self._file, self.size = file, size
        self._start, self._data = 0, b""

    def frame_at(self, offset: int) -> Frame | None:
        """The whole, undamaged frame at `offset`, or None."""
        frame = parse_at(self._data, offset - self._start, self._start)
        if frame is None and self._hold(offset, _HEAD.size):
            mark, length, *_ = _HEAD.unpack_from(self._data, offset - self._start)
            if mark == MARK and length <= MAX_PAYLOAD_BYTES and self._hold(offset, OVERHEAD + length):
                frame = parse_at(self._data, offset - self._start, self._start)
        return frame

    def find_mark(self, offset: int) -> int:
        """Where the next one is from `offset` on, or -1."""
        while self._hold(offset, len(MARK)):
            if (at := self._data.find(MARK, offset - self._start)) >= 0:
                return self._start + at
            offset = self._start + len(self._data) - len(MARK) + 1
        return -1

    def _hold(self, offset: int, count: int) -> bool:
        """Have these bytes in memory, and a piece behind them; False when the file ends before."""
        behind = self._start + len(self._data)
        if offset + count > self.size:
            return False
        if offset + count > behind:
            self._file.seek(behind)
            kept = self._data[offset - self._start :]
            wanted = max(offset + count - behind, PIECE_BYTES)
            self._data = kept + self._file.read(min(wanted, self.size - behind))
            self._start = offset
        return offset + count <= self._start + len(self._data)


class FrameWalk:
    """The chained frames of a journal file, one at a time from its start, up to the first that is not whole or not in
    its place. Memory: a frame and a piece of the file.

    Once all of them are taken, `good_bytes`, `torn_bytes` and `corrupt` are as in `Scan`.
    """

    def __init__(self, file: BinaryIO, size: int) -> None:
        """Of `file`, which can seek, the first `size` bytes."""
        self._window = _Window(file, size)
        self.last: Frame | None = None
        """The newest that was taken."""
        self.good_bytes = 0
        self.torn_bytes = 0
        self.corrupt = False

    def __iter__(self) -> Iterator[Frame]:
        last = self.last
        while (frame := self._window.frame_at(self.good_bytes)) is not None:
            if last is not None and (frame.previous != last.digest or frame.number != last.number + 1):
                break
            self.last = last = frame
            self.good_bytes = frame.end
            yield frame
        self.torn_bytes = self._window.size - self.good_bytes
        self.corrupt = self._is_corrupt()

    def _is_corrupt(self) -> bool:
        later = {frame.commit for frame in self._find_behind()}
        if self.last is not None:
            damaged = self.last.commit + 1 if self.last.ends_commit else self.last.commit
        else:
            damaged = min(later, default=0)
        return max(later, default=0) > damaged

    def _find_behind(self) -> Iterator[Frame]:
        offset = self.good_bytes
        while (offset := self._window.find_mark(offset)) >= 0:
            frame = self._window.frame_at(offset)
            if frame is None:
                offset += 1
            else:
                yield frame
                offset = frame.end


@dataclass(frozen=True, slots=True)
class Scan:
    """The chained frames from the start of a journal file, and what comes behind them.

    `good_bytes` is where the chain ends; `torn_bytes` lie behind it. `corrupt` says that they are no torn tail: a frame
    of a later commit stands behind the damage, so what was damaged had been durable.
    """

    frames: tuple[Frame, ...]
    good_bytes: int
    torn_bytes: int
    corrupt: bool


def scan(data: bytes) -> Scan:
    """Every frame that is whole and in its place, up to the first that is not."""
    walk = FrameWalk(io.BytesIO(data), len(data))
    frames = tuple(walk)
    return Scan(frames, walk.good_bytes, walk.torn_bytes, walk.corrupt)
