"""Small values that a browser keeps for us and can neither read nor change: AES-256-GCM under the console's own key."""

import base64
import os
from pathlib import Path
from typing import Final

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from extproc.audit.files import write_new
from extproc.audit.keys.keys import KEY_BYTES, locked, read_secret

SESSION_KEY: Final = "session.key"
_NONCE_BYTES = 12


class _Sealed(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    expires_at: float
    value: str


class Sealing:
    """One key, any number of purposes: what was sealed for one does not open for another."""

    def __init__(self, key: bytes) -> None:
        self._cipher = AESGCM(key)

    def seal(self, purpose: str, value: str, expires_at: float) -> str:
        """Safe in a cookie. `expires_at` is Unix seconds."""
        nonce = os.urandom(_NONCE_BYTES)
        data = msgspec.json.encode(_Sealed(expires_at, value))
        return base64.urlsafe_b64encode(nonce + self._cipher.encrypt(nonce, data, purpose.encode())).decode()

    def open(self, purpose: str, sealed: str, now: float) -> str | None:
        """What was sealed for this purpose, until it expires; None for everything else."""
        try:
            data = base64.b64decode(sealed.encode("ascii"), b"-_", validate=True)
            plain = self._cipher.decrypt(data[:_NONCE_BYTES], data[_NONCE_BYTES:], purpose.encode())
            opened = msgspec.json.decode(plain, type=_Sealed)
        except (ValueError, InvalidTag, msgspec.MsgspecError):
            return None
        return opened.value if now < opened.expires_at else None


def open_sealing(folder: Path) -> Sealing:
    """By the key in `folder`, made when missing (0600). Replicas need the same file.

    Raises `AuditRefused` for a file that others may read or that holds no key, OSError when there can be none.
    """
    if (folder / SESSION_KEY).exists():  # also in a folder that takes nothing
        return Sealing(read_secret(folder / SESSION_KEY))
    with locked(folder):
        if not (folder / SESSION_KEY).exists():
            write_new(folder / SESSION_KEY, os.urandom(KEY_BYTES), mode=0o600)
        return Sealing(read_secret(folder / SESSION_KEY))
