"""Signed documents: the body's bytes, a newline, the Ed25519 signature in lower-case hex, a newline.

The signature covers a domain string and the body as stored, so nothing is re-serialised to verify it, and a document of
one kind never passes for another. An epoch's key lives in memory only; the deployment's key certifies it for an origin.
"""

from dataclasses import dataclass, field
from enum import StrEnum

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from extproc.audit.refusal import AuditRefused

_SIGNATURE_HEX = 128


class Domain(StrEnum):
    CERTIFICATE = "extproc audit certificate v1"
    MANIFEST = "extproc audit manifest v1"
    REGISTRY = "extproc audit registry v1"


def sign_document(key: Ed25519PrivateKey, domain: Domain, body: bytes) -> bytes:
    """The stored form. `body` is one line."""
    signature = key.sign(domain.encode() + b"\x00" + body)
    return body + b"\n" + signature.hex().encode() + b"\n"


def verify_document(key: Ed25519PublicKey, domain: Domain, data: bytes) -> bytes:
    """The body. Raises `AuditRefused` unless every stored byte is as it was signed."""
    body, signature = split_document(data)
    try:
        key.verify(signature, domain.encode() + b"\x00" + body)
    except InvalidSignature as error:
        raise AuditRefused("the signature does not hold") from error
    return body


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
    def certified(cls, deployment_key: Ed25519PrivateKey, origin: str, role: Role, issued_ms: int) -> "Signer":
        """A fresh key that never touches a disk."""
        key = Ed25519PrivateKey.generate()
        public_key = key.public_key().public_bytes_raw().hex()
        certificate = Certificate(origin=origin, role=role, public_key=public_key, issued_ms=issued_ms)
        document = sign_document(deployment_key, Domain.CERTIFICATE, msgspec.json.encode(certificate))
        return cls(key, document.decode())


def verify_certificate(key: Ed25519PublicKey, document: str) -> Certificate:
    """Raises `AuditRefused`."""
    body = verify_document(key, Domain.CERTIFICATE, document.encode())
    try:
        return msgspec.json.decode(body, type=Certificate)
    except msgspec.DecodeError as error:
        raise AuditRefused("the certificate is not one") from error
