"""Signed documents: the body's bytes, a newline, the signature in lower-case hex, a newline.

The signature covers a domain string and the body as stored, so nothing is re-serialised to verify it, and a document of
one kind never passes for another. An epoch's key lives in memory only; the deployment's key certifies it for an origin.

A signature is 64 bytes and has one way to be written. Ed25519 (RFC 8032) has it by itself. ECDSA on P-256 is written as
`r | s`, 32 bytes each, with `s` in the lower half of the group's order: DER would allow other lengths, and of two
numbers `s` and `n - s`, which both verify, whoever sees a signature can make one from the other.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ec import ECDSA, SECP256R1, EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256

from extproc.audit.refusal import NOT_PARSED, AuditRefused

_SIGNATURE_HEX = 128
_HALF = 32
P256_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
"""The order n of the group (NIST SP 800-186 §3.2.1.3)."""

PublicKey = Ed25519PublicKey | EllipticCurvePublicKey


@dataclass(frozen=True, slots=True)
class TrustedKeys:
    """What a verifier is given: the deployment's public key, and behind it those it had before. Newest first."""

    keys: tuple[PublicKey, ...]

    def __iter__(self) -> Iterator[PublicKey]:
        return iter(self.keys)


VerifyKey = PublicKey | TrustedKeys

UNNAMED_KEY = (
    "signed by a key that is not in the public key file: rotated, or forged? Fetch the new deployment.pub, which holds "
    "all keys, from a source that you trust, and try again"
)


class UnnamedKey(AuditRefused):
    """A document of the right form that none of the verifier's keys signed. A forger's key looks like a new one."""

    def __init__(self) -> None:
        super().__init__(UNNAMED_KEY)


class SigningKey(Protocol):
    """A deployment's key: Ed25519 from a file, or P-256 in a KMS."""

    def sign(self, data: bytes, /) -> bytes:
        """64 bytes. Raises `AuditRefused` when the key cannot be used now."""

    def public_key(self) -> PublicKey: ...


class Domain(StrEnum):
    CERTIFICATE = "extproc audit certificate v1"
    MANIFEST = "extproc audit manifest v1"
    REGISTRY = "extproc audit registry v1"


def sign_document(key: SigningKey, domain: Domain, body: bytes) -> bytes:
    """The stored form. `body` is one line."""
    signature = key.sign(domain.encode() + b"\x00" + body)
    return body + b"\n" + signature.hex().encode() + b"\n"


def verify_document(key: VerifyKey, domain: Domain, data: bytes) -> bytes:
    """The body. Raises `AuditRefused` unless every stored byte is as it was signed."""
    body, signature = split_document(data)
    keys = key if isinstance(key, TrustedKeys) else (key,)
    if not any(verify_signature(each, signature, domain.encode() + b"\x00" + body) for each in keys):
        raise AuditRefused("the signature does not hold")
    return body


def verify_signature(key: PublicKey, signature: bytes, message: bytes) -> bool:
    """Whether it holds, and is written in the one way. Raises nothing: the caller must look at the answer."""
    try:
        if isinstance(key, Ed25519PublicKey):
            key.verify(signature, message)
            return True
        r, s = int.from_bytes(signature[:_HALF]), int.from_bytes(signature[_HALF:])
        if len(signature) != 2 * _HALF or s > P256_ORDER // 2 or not isinstance(key.curve, SECP256R1):
            return False
        key.verify(encode_dss_signature(r, s), message, ECDSA(SHA256()))
    except InvalidSignature:
        return False
    return True


def signature_from_der(der: bytes) -> bytes:
    """An ECDSA signature on P-256 as a KMS gives it, in the one way that it is stored. Raises ValueError."""
    r, s = decode_dss_signature(der)
    if not (0 < r < P256_ORDER and 0 < s < P256_ORDER):
        raise ValueError("not a signature on P-256")
    return r.to_bytes(_HALF) + min(s, P256_ORDER - s).to_bytes(_HALF)


def split_document(data: bytes) -> tuple[bytes, bytes]:
    """Body and signature, unverified. Raises `AuditRefused`."""
    body, newline, rest = data.partition(b"\n")
    # Compared after decoding: upper-case hex would be a second way to write the same signature.
    try:
        signature = bytes.fromhex(rest[:_SIGNATURE_HEX].decode("ascii"))
    except ValueError as error:
        raise AuditRefused("the document is not a signed one") from error
    if not newline or rest != signature.hex().encode() + b"\n" or len(rest) != _SIGNATURE_HEX + 1:
        raise AuditRefused("the document is not a signed one")
    return body, signature


class Role(StrEnum):
    EPOCH = "epoch"
    ADOPT = "adopt"


class Certificate(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The deployment vouches for a key that signs manifests of one origin."""

    origin: str
    role: Role
    public_key: str
    issued_ms: int


@dataclass(frozen=True, slots=True)
class Signer:
    """A key that signs manifests of one origin, and the deployment's certificate for it."""

    key: Ed25519PrivateKey = field(repr=False)
    certificate: str

    @classmethod
    def certified(cls, deployment_key: SigningKey, origin: str, role: Role, issued_ms: int) -> "Signer":
        """A fresh key that never touches a disk."""
        key = Ed25519PrivateKey.generate()
        public_key = key.public_key().public_bytes_raw().hex()
        certificate = Certificate(origin=origin, role=role, public_key=public_key, issued_ms=issued_ms)
        document = sign_document(deployment_key, Domain.CERTIFICATE, msgspec.json.encode(certificate))
        return cls(key, document.decode())


def unverified_certificate(document: str) -> Certificate:
    """What it says, whoever signed it. Raises `AuditRefused`."""
    try:
        return msgspec.json.decode(split_document(document.encode())[0], type=Certificate)
    except NOT_PARSED as error:
        raise AuditRefused("the certificate is not one") from error


def verify_certificate(key: VerifyKey, document: str) -> Certificate:
    """Raises `AuditRefused`; `UnnamedKey` where it is a certificate, and none of the given keys signed it."""
    certificate = unverified_certificate(document)
    try:
        verify_document(key, Domain.CERTIFICATE, document.encode())
    except AuditRefused as error:
        raise UnnamedKey from error
    return certificate
