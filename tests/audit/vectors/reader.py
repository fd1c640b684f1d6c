"""A reader of transcripts that uses nothing of extproc, as an auditor may write one by `extproc/audit/README.md`.

    python reader.py STORE CONTENT_KEY EXCHANGE_ID

prints what crossed the boundary, a line a piece: direction, microseconds, bytes. CONTENT_KEY is the key's file, 32 bytes.
Raises ValueError or `InvalidTag` for what is not as it was written.
"""

import base64
import hashlib
import json
import struct
import sys
from collections.abc import Iterator
from pathlib import Path

from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA512
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

MAGIC = b"extproc content v1\n"
DIRECTIONS = {1: "to_model", 2: "to_client", 3: "sealed_to_model", 4: "sealed_to_client"}
Piece = tuple[str, int, bytes]


def derive(key: bytes, salt: bytes | None, info: bytes) -> tuple[AESGCM, bytes, bytes]:
    okm = HKDF(SHA512(), 76, salt, info).derive(key)
    return AESGCM(okm[:32]), okm[32:44], okm[44:]


def context_of(origin: str, exchange_id: str) -> bytes:
    return b"content\0" + origin.encode() + b"\0" + exchange_id.encode()


def unwrap(content_key: bytes, line: dict[str, str]) -> bytes:
    """The exchange's key, of a line of a key bag. `content_key`: the file's, or the data key that the KMS gave back."""
    sealed = base64.b64decode(line["wrapped"], validate=True)
    if sealed[0] == 2:
        (length,) = struct.unpack_from(">H", sealed, 1)
        sealed = sealed[2 + length :]
    salt, commitment, ciphertext = sealed[1:25], sealed[25:57], sealed[57:]
    context = context_of(line["origin"], line["exchange_id"])
    cipher, nonce, expected = derive(content_key, salt, b"extproc seal\0" + context)
    if commitment != expected:
        raise ValueError("wrapped with another content key")
    return cipher.decrypt(nonce, ciphertext, context)


def frames_of(content_object: bytes) -> Iterator[bytes]:
    if not content_object.startswith(MAGIC):
        raise ValueError("no content object")
    offset = len(MAGIC)
    while offset < len(content_object):
        (length,) = struct.unpack_from(">I", content_object, offset)
        offset += 4 + length
        yield content_object[offset - length : offset]


def parse(frame: bytes) -> tuple[bytes, str, int, int, bytes, bytes]:
    """Stream, exchange, number, direction, head, ciphertext."""
    end = 9 + frame[8]
    number, direction = struct.unpack_from(">IB", frame, end)
    return frame[:8], frame[9:end].decode(), number, direction, frame[: end + 5], frame[end + 5 :]


def open_frame(key: bytes, origin: str, frame: bytes) -> list[Piece]:
    """What the frame holds; nothing for frame 0, whose commitment must be the key's."""
    stream, exchange_id, number, direction, head, ciphertext = parse(frame)
    cipher, nonce, commitment = derive(key, None, b"extproc " + context_of(origin, exchange_id))
    if stream != commitment[:8] or (number == 0 and ciphertext != commitment):
        raise ValueError("a frame of another key")
    if number == 0:
        return []
    plain = cipher.decrypt((int.from_bytes(nonce) ^ number).to_bytes(12), ciphertext, head)
    (count,) = struct.unpack_from(">I", plain)
    offset, pieces = 4 + 12 * count, []
    for at_us, length in struct.iter_unpack(">QI", plain[4:offset]):
        pieces.append((DIRECTIONS[direction], at_us, plain[offset : offset + length]))
        offset += length
    if offset != len(plain):
        raise ValueError("a frame with bytes left over")
    return pieces


def read_transcript(store: Path, content_key: bytes, exchange_id: str) -> Iterator[Piece]:
    """Every epoch's part of it, held against the record that ends the exchange, where there is one."""
    for bag in sorted(store.glob("v1/keys/**/*.keys.jsonl")):
        for line in map(json.loads, bag.read_text().splitlines()):
            if line["exchange_id"] == exchange_id:
                folder = bag.parent.relative_to(store / "v1" / "keys")
                key, number, digest = unwrap(content_key, line), 0, b""
                for path in sorted((store / "v1" / "content" / folder).glob("*.content")):
                    for frame in frames_of(path.read_bytes()):
                        if parse(frame)[0].hex() == line["stream"]:
                            if parse(frame)[2] != number:
                                raise ValueError("a frame is missing")
                            digest, number = hashlib.sha256(digest + frame).digest(), number + 1
                            yield from open_frame(key, line["origin"], frame)
                hold_against_end(store / "v1" / "evidence" / folder, exchange_id, digest.hex(), number - 1)


def hold_against_end(evidence: Path, exchange_id: str, digest: str, frames: int) -> None:
    for path in evidence.glob("*.jsonl"):
        for line in map(json.loads, path.read_text().splitlines()):
            chain, ours = line["chain"], line["metadata"].get("correlation_uid") == exchange_id
            if (
                ours
                and "content_digest" in chain
                and (chain["content_digest"], chain["content_frames"]) != (digest, frames)
            ):
                raise ValueError("not the transcript that the exchange's end recorded")


if __name__ == "__main__":
    for direction, at_us, data in read_transcript(Path(sys.argv[1]), Path(sys.argv[2]).read_bytes(), sys.argv[3]):
        print(direction, at_us, data)
