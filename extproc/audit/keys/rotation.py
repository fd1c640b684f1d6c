"""A new key in the place of the one that signed and wrapped so far (PCI DSS v4.0.1 3.7.4, 3.7.5).

What the old keys signed stays proven, because their public halves stay in `deployment.pub`. What they wrapped still
opens, because retired content keys stay in the folder; nothing is wrapped with them. The old signing key is destroyed.
Running workers go on with the keys they have until they are started again.
"""

import os
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from extproc.audit.files import erase, replace, sync_directory, write_new
from extproc.audit.keys.keys import (
    CONTENT_KEY,
    KEY_BYTES,
    SIGNING_KEY,
    AuditKeys,
    finish_rotation,
    locked,
    read_secret,
    refuse_no_keys,
)
from extproc.audit.keys.public_keys import put_first
from extproc.audit.keys.register import KeyRegister, public_fingerprint, secret_fingerprint
from extproc.audit.settings import AuditSettings


def rotate_keys(settings: AuditSettings, now_ms: int) -> None:
    """File keys are made anew. With a KMS its signing key is put first, and file keys that were before it are retired.

    Raises `AuditRefused` or OSError; repeating it after a crash is harmless.
    """
    refuse_no_keys(settings)
    if settings.kms is not None:
        from extproc.audit.keys.kms import KmsSigningKey, connect  # noqa: PLC0415 - boto3 takes a second to import

        signing = KmsSigningKey.open(connect(settings.kms), settings.kms.signing_key)
        with locked(settings.keys):
            _retire_content_key(settings.keys)
            put_first(settings.keys, signing.public_key())
            for name in (SIGNING_KEY, CONTENT_KEY):
                erase(settings.keys / name)
        return
    AuditKeys.load_or_create(settings.keys)
    with locked(settings.keys):
        finish_rotation(settings.keys)
        register = KeyRegister(settings.keys)
        _retire_content_key(settings.keys)
        content = os.urandom(KEY_BYTES)
        name, before = secret_fingerprint(content), secret_fingerprint(read_secret(settings.keys / CONTENT_KEY))
        register.created_ms(name, now_ms)
        register.pin_content_key(before, name)
        replace(settings.keys / CONTENT_KEY, content)
        register.pin_content_key(name)
        _replace_signing_key(settings.keys, register, now_ms)


def _retire_content_key(directory: Path) -> None:
    path = directory / CONTENT_KEY
    if path.exists():
        key = read_secret(path)
        kept = directory / f"content-{secret_fingerprint(key)}.key"
        if not kept.exists():
            write_new(kept, key, mode=0o600)


def _replace_signing_key(directory: Path, register: KeyRegister, now_ms: int) -> None:
    """In this order a crash leaves either the old key in force or a new one that the next start puts into its place."""
    secret = os.urandom(KEY_BYTES)
    public = Ed25519PrivateKey.from_private_bytes(secret).public_key()
    replace(directory / f"{SIGNING_KEY}.next", secret)
    put_first(directory, public)
    register.created_ms(public_fingerprint(public), now_ms)
    finish_rotation(directory)
    sync_directory(directory)
