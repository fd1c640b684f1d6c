"""The deployment's long-lived keys: an Ed25519 signing key and the 32-byte key that wraps content keys.

Files in one directory outside the spool, mode 0600, created once and synced. A file key provider does not meet PCI DSS
3.6.1.2 (key-encrypting keys in an HSM or KMS); the evidence must say so.
"""

import fcntl
import os
import stat
from dataclasses import dataclass, field
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_public_key

from extproc.audit.files import sync_directory, write_new
from extproc.audit.refusal import AuditRefused

KEY_BYTES = 32
SIGNING_KEY = "deployment.key"
CONTENT_KEY = "content.key"
PUBLIC_KEY = "deployment.pub"


@dataclass(frozen=True, slots=True)
class AuditKeys:
    """Neither key prints. `signing` certifies epoch keys and signs registry entries; `content_kek` wraps keys."""

    signing: Ed25519PrivateKey = field(repr=False)
    content_kek: bytes = field(repr=False)

    @classmethod
    def load_or_create(cls, directory: Path) -> "AuditKeys":
        """The same keys every time. Raises `AuditRefused` when a file is open to others, malformed or missing."""
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock = os.open(directory / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            present = {name for name in (SIGNING_KEY, CONTENT_KEY) if (directory / name).exists()}
            if not present:
                write_new(directory / CONTENT_KEY, os.urandom(KEY_BYTES), mode=0o600)
                write_new(directory / SIGNING_KEY, os.urandom(KEY_BYTES), mode=0o600)
            return cls._load(directory)
        finally:
            os.close(lock)

    @classmethod
    def _load(cls, directory: Path) -> "AuditKeys":
        keys = cls(
            Ed25519PrivateKey.from_private_bytes(_read_secret(directory / SIGNING_KEY)),
            _read_secret(directory / CONTENT_KEY),
        )
        public = directory / PUBLIC_KEY
        if not public.exists():
            write_new(public, keys.signing.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
            sync_directory(directory)
        elif load_public_key(public) != keys.signing.public_key():
            raise AuditRefused(f"{public} does not belong to {SIGNING_KEY}")
        return keys


def load_public_key(path: Path) -> Ed25519PublicKey:
    """A deployment's public key from PEM, all that a verifier needs. Raises `AuditRefused`."""
    try:
        key = load_pem_public_key(path.read_bytes())
    except (OSError, ValueError) as error:
        raise AuditRefused(f"{path} is not a readable public key") from error
    if not isinstance(key, Ed25519PublicKey):
        raise AuditRefused(f"{path} is not an Ed25519 public key")
    return key


def _read_secret(path: Path) -> bytes:
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    except OSError as error:
        raise AuditRefused(f"{path} is missing or not readable, while its companion exists") from error
    try:
        if stat.S_IMODE(os.fstat(fd).st_mode) & 0o077:
            raise AuditRefused(f"{path} is accessible to group or others; it must have mode 0600")
        data = os.read(fd, KEY_BYTES + 1)
    finally:
        os.close(fd)
    if len(data) != KEY_BYTES:
        raise AuditRefused(f"{path} does not hold {KEY_BYTES} bytes")
    return data
