"""The journal's frames on disk: self-describing, chained, checked.

`mark(4) | length(4) | kind(1) | commit(4) | number(8) | previous(32) | payload | crc32c(4)`, big-endian. `length` is
the payload's, `number` counts frames within the epoch, `previous` is the SHA-256 of the frame before, and `commit`
counts group commits; the high bit of `kind` marks the last frame of one. A commit is begun only after the last is
durable, so damage that is followed by a later commit is no torn tail.
"""

import hashlib
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import IntEnum

import google_crc32c

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


def parse_at(data: bytes, offset: int) -> Frame | None:
    """The whole, undamaged frame at `offset`, or None."""
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
    return Frame(Kind(kind), commit, number, previous, bool(flagged & _ENDS_COMMIT), body[_HEAD.size :], digest, end)


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
    frames: list[Frame] = []
    offset = 0
    while (frame := parse_at(data, offset)) is not None:
        if frames and (frame.previous != frames[-1].digest or frame.number != frames[-1].number + 1):
            break
        frames.append(frame)
        offset = frame.end
    later = {frame.commit for frame in _find_behind(data, offset)}
    if frames:
        damaged = frames[-1].commit + 1 if frames[-1].ends_commit else frames[-1].commit
    else:
        damaged = min(later, default=0)
    corrupt = max(later, default=0) > damaged
    return Scan(tuple(frames), offset, len(data) - offset, corrupt)


def _find_behind(data: bytes, offset: int) -> Iterator[Frame]:
    while (offset := data.find(MARK, offset)) >= 0:
        frame = parse_at(data, offset)
        if frame is None:
            offset += 1
        else:
            yield frame
            offset = frame.end
