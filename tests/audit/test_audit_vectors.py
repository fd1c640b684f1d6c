"""The published vectors of the content format hold, for our code and for a reader that uses none of it."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import msgspec
import pytest
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from extproc.audit.keys.keys import AuditKeys, Place
from extproc.audit.log.content import (
    ContentCipher,
    Piece,
    WrappedKey,
    chain_digest,
    parse_content_frame,
    unwrap_key,
    wrap_key,
)
from extproc.audit.log.segment import pack_content, unpack_content
from extproc.audit.refusal import AuditRefused
from extproc.audit.retention.sealed import fingerprint, open_original
from extproc.core.record import Direction
from extproc.core.trust import Masked
from tests.audit.vectors import reader

FOLDER = Path(__file__).parent / "vectors"
VECTORS: dict[str, Any] = json.loads((FOLDER / "content.json").read_bytes())
STREAMS: list[dict[str, Any]] = VECTORS["streams"]
FRAMES = [(stream, frame) for stream in STREAMS for frame in stream["frames"]]
of_streams = pytest.mark.parametrize("stream", STREAMS, ids=range(len(STREAMS)))
of_wrapped = pytest.mark.parametrize("wrapped", VECTORS["wrapped"], ids=("file", "kms"))


class DataKeys:
    """Content keys that wrap with one key; `wrapped` stands before it, as of a KMS."""

    def __init__(self, key: bytes, wrapped: bytes) -> None:
        self.key, self.wrapped = key, wrapped

    def prepare(self, place: Place) -> None:
        """It is there."""

    def wrapping(self, place: Place) -> tuple[bytes, bytes]:
        return self.key, self.wrapped

    def unwrapping(self, wrapped: bytes, place: Place) -> tuple[bytes, ...]:
        assert wrapped == self.wrapped
        return (self.key,)


def keys_of(vector: dict[str, Any]) -> AuditKeys:
    content = DataKeys(bytes.fromhex(vector["content_key"]), bytes.fromhex(vector["wrapped_data_key"]))
    return AuditKeys(Ed25519PrivateKey.generate(), content)


def pieces_of(frame: dict[str, Any]) -> list[Piece]:
    return [
        Piece(Direction(frame["direction"]), piece["at_us"], Masked(bytes.fromhex(piece["data"])))
        for piece in frame["pieces"]
    ]


def test_there_are_vectors() -> None:
    assert len(FRAMES) >= 8
    assert VECTORS["version"] == 1


@of_streams
def test_our_code_writes_what_is_published(stream: dict[str, Any]) -> None:
    cipher = ContentCipher(bytes.fromhex(stream["key"]), stream["origin"], stream["exchange_id"])
    digest = b""
    for frame in stream["frames"]:
        number = frame["number"]
        stored = cipher.seal(number, pieces_of(frame)) if number else cipher.opening()
        digest = chain_digest(digest, stored)
        assert (stored.hex(), digest.hex()) == (frame["stored"], frame["digest"]), number


@of_streams
def test_our_code_reads_what_is_published(stream: dict[str, Any]) -> None:
    cipher = ContentCipher(bytes.fromhex(stream["key"]), stream["origin"], stream["exchange_id"])
    for frame in stream["frames"][1:]:
        assert list(cipher.open(parse_content_frame(bytes.fromhex(frame["stored"])))) == pieces_of(frame)


@of_streams
def test_a_reader_that_uses_nothing_of_ours_reads_it_too(stream: dict[str, Any]) -> None:
    for frame in stream["frames"]:
        opened = reader.open_frame(bytes.fromhex(stream["key"]), stream["origin"], bytes.fromhex(frame["stored"]))
        pieces = pieces_of(frame) if frame["number"] else []
        assert opened == [(piece.direction, piece.at_us, piece.data) for piece in pieces]


@pytest.mark.parametrize("refused", VECTORS["refused"], ids=range(len(VECTORS["refused"])))
def test_what_must_not_open_does_not(refused: dict[str, Any]) -> None:
    key, stored = bytes.fromhex(refused["key"]), bytes.fromhex(refused["stored"])
    frame = parse_content_frame(stored)
    cipher = ContentCipher(key, refused["origin"], STREAMS[0]["exchange_id"])
    if frame.number:
        with pytest.raises(AuditRefused):
            cipher.open(frame)
    else:
        assert frame.ciphertext != cipher.commitment
    with pytest.raises((ValueError, InvalidTag)):
        reader.open_frame(key, refused["origin"], stored)


@of_wrapped
def test_a_wrapped_key_is_what_is_published(wrapped: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    key, place = bytes.fromhex(wrapped["key"]), (wrapped["origin"], wrapped["exchange_id"])
    cipher = ContentCipher(key, *place)
    monkeypatch.setattr("os.urandom", lambda count: bytes.fromhex(wrapped["salt"])[:count])
    assert wrap_key(keys_of(wrapped), cipher, key, *place).decode() == wrapped["line"]
    line = msgspec.json.decode(wrapped["line"], type=WrappedKey)
    opened = unwrap_key(keys_of(wrapped), line, parse_content_frame(cipher.opening()))
    assert opened.opening() == cipher.opening()
    assert line.stream == wrapped["stream"]
    assert reader.unwrap(bytes.fromhex(wrapped["content_key"]), json.loads(wrapped["line"])) == key


@of_wrapped
def test_a_line_of_another_place_does_not_open(wrapped: dict[str, Any]) -> None:
    line = json.loads(wrapped["line"]) | {"exchange_id": "y"}
    with pytest.raises(ValueError, match="another content key"):
        reader.unwrap(bytes.fromhex(wrapped["content_key"]), line)
    with pytest.raises(ValueError, match="another content key"):
        reader.unwrap(bytes(32), json.loads(wrapped["line"]))


def test_a_content_object_is_its_frames() -> None:
    stored = bytes.fromhex(VECTORS["object"]["stored"])
    frames = [bytes.fromhex(frame["stored"]) for frame in STREAMS[0]["frames"]]
    assert pack_content(frames) == stored
    assert unpack_content(stored) == list(reader.frames_of(stored)) == frames


@pytest.mark.parametrize("sealed", VECTORS["sealed_originals"], ids=range(len(VECTORS["sealed_originals"])))
def test_a_sealed_original_opens_to_what_is_published(sealed: dict[str, Any]) -> None:
    key, stored = (
        X25519PrivateKey.from_private_bytes(bytes.fromhex(sealed["private_key"])),
        bytes.fromhex(sealed["stored"]),
    )
    assert fingerprint(key.public_key()).hex() == sealed["fingerprint"]
    opened = open_original(key, sealed["origin"], sealed["exchange_id"], Direction(sealed["direction"]), stored)
    assert (opened.offset, opened.length, opened.text.hex()) == (sealed["offset"], sealed["length"], sealed["text"])
    with pytest.raises(AuditRefused):
        open_original(key, sealed["origin"], "y", Direction(sealed["direction"]), stored)


def test_the_reader_reads_a_store_as_it_is(shipped, story, tmp_path: Path) -> None:
    """As its usage says."""
    words = [str(FOLDER / "reader.py"), str(shipped.store_path), str(tmp_path / "keys" / "content.key"), "x-3"]
    result = subprocess.run([sys.executable, *words], capture_output=True, text=True, timeout=60, check=True)
    prompt, answer = story
    expected = [("to_model", 1000, prompt), *(("to_client", 2000 + 1000 * at, data) for at, data in enumerate(answer))]
    assert result.stdout.splitlines() == [f"{direction} {at_us} {data}" for direction, at_us, data in expected]


def test_a_dropped_frame_is_seen_by_the_reader(shipped, tmp_path: Path) -> None:
    key = (tmp_path / "keys" / "content.key").read_bytes()
    for path in shipped.store_path.rglob("*.content"):
        frames = unpack_content(path.read_bytes())
        path.write_bytes(pack_content(frames[:-1]))
    with pytest.raises(ValueError, match=r"not the transcript|is missing"):
        list(reader.read_transcript(shipped.store_path, key, "x-1"))
