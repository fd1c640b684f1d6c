"""Small secrets encrypted under the deployment's content key: content keys, previews of held requests.

Under a file's key: `1 | salt(24) | commitment(32) | AES-256-GCM ciphertext`. Under a data key of a key management
service: `2 | length(2) | wrapped data key | salt(24) | commitment(32) | ciphertext`. HKDF-SHA-512 derives from the
key-encrypting key, a fresh salt and the context: an AES key, a nonce and a commitment, so that one ciphertext opens
under one key and one context only.
"""

import hmac
import os
import struct

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA512
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from extproc.audit.keys.keys import APPROVALS, AuditKeys, Place
from extproc.core.reasons import Malformed, Reason

_PLAIN, _WRAPPED = b"\x01", b"\x02"
_LENGTH = struct.Struct(">H")
_SALT_BYTES = 24
_KEY, _NONCE, _COMMITMENT = 32, 12, 32
_OVERHEAD = _SALT_BYTES + _COMMITMENT + 16


def derive(key: bytes, salt: bytes | None, context: bytes) -> tuple[AESGCM, bytes, bytes]:
    """A cipher, its nonce and the commitment to its key."""
    okm = HKDF(SHA512(), _KEY + _NONCE + _COMMITMENT, salt, context).derive(key)
    return AESGCM(okm[:_KEY]), okm[_KEY : _KEY + _NONCE], okm[_KEY + _NONCE :]


def seal_bytes(keys: AuditKeys, context: bytes, data: bytes) -> bytes:
    """Encrypt what waits for an approval; only the same `context` opens it again. Raises `AuditRefused`."""
    return seal_in(keys, APPROVALS, context, data)


def open_bytes(keys: AuditKeys, context: bytes, sealed: bytes) -> bytes:
    """What `seal_bytes` was given. Raises `Malformed` for any other key, context or byte, and `AuditRefused`."""
    return open_in(keys, APPROVALS, context, sealed)


def seal_in(keys: AuditKeys, place: Place, context: bytes, data: bytes) -> bytes:
    """Encrypt `data` for one place. Raises `AuditRefused` when there is no key to be had."""
    key, wrapped = keys.content.wrapping(place)
    salt = os.urandom(_SALT_BYTES)
    cipher, nonce, commitment = derive(key, salt, b"extproc seal\x00" + context)
    head = _WRAPPED + _LENGTH.pack(len(wrapped)) + wrapped if wrapped else _PLAIN
    return head + salt + commitment + cipher.encrypt(nonce, data, context)


def open_in(keys: AuditKeys, place: Place, context: bytes, sealed: bytes) -> bytes:
    """What `seal_in` was given. Raises `Malformed` for any other key, context or byte, and `AuditRefused`."""
    wrapped, body = _split(sealed)
    salt, commitment = body[:_SALT_BYTES], body[_SALT_BYTES : _SALT_BYTES + _COMMITMENT]
    for key in keys.content.unwrapping(wrapped, place):
        cipher, nonce, expected = derive(key, salt, b"extproc seal\x00" + context)
        if hmac.compare_digest(commitment, expected):
            try:
                return cipher.decrypt(nonce, body[_SALT_BYTES + _COMMITMENT :], context)
            except InvalidTag as error:
                raise Malformed(Reason.AUDIT_UNAVAILABLE) from error
    raise Malformed(Reason.AUDIT_UNAVAILABLE)


def _split(sealed: bytes) -> tuple[bytes, bytes]:
    version, wrapped, body = sealed[:1], b"", sealed[1:]
    if version == _WRAPPED and len(body) >= _LENGTH.size:
        (length,) = _LENGTH.unpack_from(body)
        wrapped, body = body[_LENGTH.size :][:length], body[_LENGTH.size + length :]
    if len(body) < _OVERHEAD or version not in (_PLAIN, _WRAPPED) or (version == _WRAPPED) != bool(wrapped):
        raise Malformed(Reason.AUDIT_UNAVAILABLE)
    return wrapped, body
