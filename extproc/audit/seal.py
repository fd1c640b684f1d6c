"""Small secrets encrypted under the deployment's content key: content keys, previews of held requests.

`version(1) | salt(24) | commitment(32) | AES-256-GCM ciphertext`. HKDF-SHA-512 derives from the key-encrypting key, a
fresh salt and the context: an AES key, a nonce and a commitment, so that one ciphertext opens under one key and one
context only.
"""

import hmac
import os

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA512
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from extproc.audit.keys import AuditKeys
from extproc.core.reasons import Malformed, Reason

_VERSION = b"\x01"
_SALT_BYTES = 24
_KEY, _NONCE, _COMMITMENT = 32, 12, 32
_OVERHEAD = len(_VERSION) + _SALT_BYTES + _COMMITMENT + 16


def derive(key: bytes, salt: bytes | None, context: bytes) -> tuple[AESGCM, bytes, bytes]:
    """A cipher, its nonce and the commitment to its key."""
    okm = HKDF(SHA512(), _KEY + _NONCE + _COMMITMENT, salt, context).derive(key)
    return AESGCM(okm[:_KEY]), okm[_KEY : _KEY + _NONCE], okm[_KEY + _NONCE :]


def seal_bytes(keys: AuditKeys, context: bytes, data: bytes) -> bytes:
    """Encrypt `data`; only the same `context` opens it again."""
    salt = os.urandom(_SALT_BYTES)
    cipher, nonce, commitment = derive(keys.content_kek, salt, b"extproc seal\x00" + context)
    return _VERSION + salt + commitment + cipher.encrypt(nonce, data, context)


def open_bytes(keys: AuditKeys, context: bytes, sealed: bytes) -> bytes:
    """What `seal_bytes` was given. Raises `Malformed` for any other key, context or byte."""
    if len(sealed) < _OVERHEAD or sealed[:1] != _VERSION:
        raise Malformed(Reason.AUDIT_UNAVAILABLE)
    salt, commitment = sealed[1 : 1 + _SALT_BYTES], sealed[1 + _SALT_BYTES : 1 + _SALT_BYTES + _COMMITMENT]
    cipher, nonce, expected = derive(keys.content_kek, salt, b"extproc seal\x00" + context)
    if not hmac.compare_digest(commitment, expected):
        raise Malformed(Reason.AUDIT_UNAVAILABLE)
    try:
        return cipher.decrypt(nonce, sealed[1 + _SALT_BYTES + _COMMITMENT :], context)
    except InvalidTag as error:
        raise Malformed(Reason.AUDIT_UNAVAILABLE) from error
