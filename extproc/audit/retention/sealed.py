"""Sealed originals: HPKE (RFC 9180) to a key whose private half is the custodian's and never here.

    1 | key fingerprint(8) | offset(8) | length(8) | commitment(32) | HPKE ciphertext of: nonce(32) | text

`text` stands for `length` bytes of the exchange's transcript in one direction, from `offset` on. The commitment is
HMAC-SHA-256 of the text under the nonce, which only the ciphertext holds: it proves the text to who opens it, and tells
nothing to who does not (PCI DSS 3.5.1.1). Everything in front of the ciphertext, and the epoch, exchange and direction,
are HPKE's `info`: it opens in its own place only.
"""

import hashlib
import hmac
import os
import stat
import struct
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from cryptography.exceptions import InvalidTag, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.hpke import AEAD, KDF, KEM, Suite
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
    load_pem_public_key,
)

from extproc.audit.files import write_new
from extproc.audit.log.content import Piece
from extproc.audit.refusal import AuditRefused
from extproc.core.originals import OriginalPlace
from extproc.core.record import Direction
from extproc.core.trust import Sealed, Unmasked

MAX_KEY_BYTES = 4096
"""A PEM file of such a key has 120; one beyond this is some other file."""
PUBLIC_SUFFIX = ".pub"
_SUITE = Suite(KEM.X25519, KDF.HKDF_SHA256, AEAD.AES_256_GCM)
_VERSION = 1
_FINGERPRINT_BYTES = 8
_NONCE_BYTES = 32
_HEAD = struct.Struct(">B8sQQ32s")
_PRIVATE = b"PRIVATE KEY-----"


def load_custodian_key(path: Path) -> X25519PublicKey:
    """The public key that originals are sealed to. Raises `AuditRefused`, for a private key in words of its own."""
    data = _read(path)
    if _PRIVATE in data:
        raise AuditRefused(
            f"{path} holds a private key: give the public one (`{PUBLIC_SUFFIX}`), and take this one away from here"
        )
    try:
        key = load_pem_public_key(data)
    except (ValueError, UnsupportedAlgorithm):
        key = None
    if not isinstance(key, X25519PublicKey):
        raise AuditRefused(f"{path} is not an X25519 public key in PEM; `extproc audit sealed-key` makes one")
    return key


def load_private_key(path: Path) -> X25519PrivateKey:
    """The custodian's own. Raises `AuditRefused`, also when others may read the file."""
    data = _read(path)
    if stat.S_IMODE(path.stat().st_mode) & 0o077:
        raise AuditRefused(f"{path} is accessible to group or others; it must have mode 0600")
    try:
        key = load_pem_private_key(data, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        key = None
    if not isinstance(key, X25519PrivateKey):
        raise AuditRefused(f"{path} is not an X25519 private key in PEM, without a password")
    return key


def write_custodian_keys(path: Path) -> str:
    """A new private key in `path` (0600) and its public half beside it; the fingerprint. Raises OSError."""
    key = X25519PrivateKey.generate()
    public = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    write_new(path, key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()), mode=0o600)
    write_new(path.with_name(path.name + PUBLIC_SUFFIX), public)
    return fingerprint(key.public_key()).hex()


def fingerprint(key: X25519PublicKey) -> bytes:
    """Names the key; the first 8 bytes of SHA-256 of it."""
    return hashlib.sha256(key.public_bytes_raw()).digest()[:_FINGERPRINT_BYTES]


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            data = file.read(MAX_KEY_BYTES + 1)
    except OSError as error:
        raise AuditRefused(f"{path} cannot be read ({error.strerror})") from error
    if len(data) > MAX_KEY_BYTES:
        raise AuditRefused(f"{path} is too large for a key")
    return data


def _info(origin: str, exchange_id: str, direction: Direction, head: bytes) -> bytes:
    return b"\0".join((b"extproc sealed original", origin.encode(), exchange_id.encode(), direction.encode(), head))


@dataclass(frozen=True, slots=True)
class Sealer:
    """Seals the originals of one epoch; a `SealOriginal`. It cannot open what it sealed."""

    key: X25519PublicKey
    origin: str

    def __call__(self, place: OriginalPlace, original: Unmasked) -> Sealed:
        nonce = os.urandom(_NONCE_BYTES)
        head = _HEAD.pack(
            _VERSION, fingerprint(self.key), place.offset, place.length, _commitment(nonce, original.data)
        )
        info = _info(self.origin, place.exchange_id, place.direction, head)
        return Sealed(head + _SUITE.encrypt(nonce + original.data, self.key, info))


def _commitment(nonce: bytes, text: bytes) -> bytes:
    return hmac.new(nonce, text, hashlib.sha256).digest()


@dataclass(frozen=True, slots=True)
class OpenedOriginal:
    """What stood in the place of `length` bytes of the transcript from `offset` on."""

    offset: int
    length: int
    text: bytes = field(repr=False)


def sealed_to(sealed: bytes) -> bytes:
    """The fingerprint of the key that opens it. Raises `AuditRefused`."""
    return _parse_head(sealed)[1]


def _parse_head(sealed: bytes) -> tuple[int, bytes, int, int, bytes]:
    if len(sealed) < _HEAD.size or sealed[0] != _VERSION:
        raise AuditRefused("a sealed original is of a form that this version does not know")
    version, named, offset, length, commitment = _HEAD.unpack_from(sealed)
    return version, named, offset, length, commitment


def open_original(
    key: X25519PrivateKey, origin: str, exchange_id: str, direction: Direction, sealed: bytes
) -> OpenedOriginal:
    """Raises `AuditRefused` for another key, another place, or a changed byte."""
    head = sealed[: _HEAD.size]
    _, named, offset, length, commitment = _parse_head(sealed)
    if named != fingerprint(key.public_key()):
        raise AuditRefused(f"the original is sealed to the key {named.hex()}, and this is another one")
    try:
        plain = _SUITE.decrypt(sealed[_HEAD.size :], key, _info(origin, exchange_id, direction, head))
    except (InvalidTag, ValueError) as error:
        raise AuditRefused("a sealed original does not open: it was changed or moved") from error
    nonce, text = plain[:_NONCE_BYTES], plain[_NONCE_BYTES:]
    if not hmac.compare_digest(commitment, _commitment(nonce, text)):
        raise AuditRefused("a sealed original is not what was committed to")
    return OpenedOriginal(offset, length, text)


def splice(pieces: Iterable[Piece], direction: Direction, originals: Iterable[OpenedOriginal]) -> bytes:
    """A transcript's one direction with the originals in their places. Raises `AuditRefused` when they do not fit."""
    transcript = b"".join(piece.data for piece in pieces if piece.direction is direction)
    parts: list[bytes] = []
    at = 0
    for original in sorted(originals, key=lambda one: one.offset):
        end = original.offset + original.length
        if original.offset < at or end > len(transcript):
            raise AuditRefused("the sealed originals do not fit the transcript")
        parts += (transcript[at : original.offset], original.text)
        at = end
    return b"".join((*parts, transcript[at:]))
