"""The deployment's long-lived keys: one that signs, and one that wraps content keys.

From files (Ed25519, and 32 bytes) in one directory outside the spool, mode 0600, created once and synced; or from AWS
KMS (`kms.py`). A file key provider does not meet PCI DSS 3.6.1.2 (key-encrypting keys in an HSM or KMS); the evidence
must say so. `deployment.pub` is all that a verifier needs: the public key in force, and behind it those before it.
"""

import contextlib
import dataclasses
import fcntl
import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from extproc.audit.files import TEMPORARY, erase, erase_name, replace, replace_erased, write_new
from extproc.audit.keys.given import forbidden_bits, is_given, said_mode
from extproc.audit.keys.public_keys import PUBLIC_KEY, algorithm_of, load_public_key, pin_public_key
from extproc.audit.keys.register import (
    DAY_MS,
    KeyFact,
    KeyRegister,
    Provider,
    Purpose,
    public_fingerprint,
    secret_fingerprint,
)
from extproc.audit.keys.register import refuse_expired as refuse_expired_keys
from extproc.audit.refusal import AuditRefused
from extproc.audit.settings import CRYPTOPERIOD_DAYS, AuditSettings
from extproc.audit.signed import Domain, SigningKey, verify_document

KEY_BYTES = 32
SIGNING_KEY = "deployment.key"
CONTENT_KEY = "content.key"
_BEGUN = (SIGNING_KEY, PUBLIC_KEY)
"""Without either nothing was ever signed here. The content key is made first, and alone it is not begun."""


@dataclass(frozen=True, slots=True)
class Place:
    """What a content key is for: the transcripts of one origin, or what waits for an approval (`origin` empty)."""

    plane: str
    origin: str = ""


APPROVALS = Place("approvals")


def transcripts_of(origin: str) -> Place:
    return Place("content", origin)


class ContentKeys(Protocol):
    """Key-encrypting keys. What they wrapped carries `wrapped`, which gives the key back; empty for a file's key."""

    def prepare(self, place: Place) -> None:
        """Have a key ready, so that nothing is waited for later. Raises `AuditRefused` when there is none to be had."""

    def wrapping(self, place: Place) -> tuple[bytes, bytes]:
        """32 bytes of key, and `wrapped`. Raises `AuditRefused`."""

    def unwrapping(self, wrapped: bytes, place: Place) -> tuple[bytes, ...]:
        """The keys that may open what carries `wrapped`, likeliest first. Raises `AuditRefused`."""


@dataclass(frozen=True, slots=True)
class FileContentKeys:
    """One key for every place, and those that were before it."""

    key: bytes = field(repr=False)
    retired: tuple[bytes, ...] = field(default=(), repr=False)

    def prepare(self, place: Place) -> None:
        """It is there."""

    def wrapping(self, place: Place) -> tuple[bytes, bytes]:
        return self.key, b""

    def unwrapping(self, wrapped: bytes, place: Place) -> tuple[bytes, ...]:
        if wrapped:
            raise AuditRefused("the content key is wrapped by a key management service, and `audit.kms` is not set")
        return (self.key, *self.retired)


class NoContentKeys:
    """For an epoch that holds records and no transcript."""

    def prepare(self, place: Place) -> None:
        """Nothing is needed."""

    def wrapping(self, place: Place) -> tuple[bytes, bytes]:
        raise AuditRefused("this epoch takes no transcript")

    def unwrapping(self, wrapped: bytes, place: Place) -> tuple[bytes, ...]:
        raise AuditRefused("this epoch takes no transcript")


@dataclass(frozen=True, slots=True)
class AuditKeys:
    """No key prints. `signing` certifies epoch keys and signs registry entries; `content` wraps keys."""

    signing: SigningKey = field(repr=False)
    content: ContentKeys = field(repr=False)
    facts: tuple[KeyFact, ...] = field(default=(), repr=False)
    directory: Path = field(default=Path())
    """Where `deployment.pub` is."""

    @classmethod
    def load_or_create(cls, directory: Path, cryptoperiod_days: int = CRYPTOPERIOD_DAYS) -> "AuditKeys":
        """File keys, the same every time. Raises `AuditRefused` when a file is open to others, malformed or missing."""
        with locked(directory):
            finish_rotation(directory)
            if not any((directory / name).exists() for name in _BEGUN):
                if is_given(directory):
                    raise AuditRefused(
                        f"there are no keys in {directory}, and none can be made there: put what `extproc audit "
                        "make-keys` makes into its Secret"
                    )
                if not (directory / CONTENT_KEY).exists():
                    write_new(directory / CONTENT_KEY, os.urandom(KEY_BYTES), mode=0o600)
                write_new(directory / SIGNING_KEY, os.urandom(KEY_BYTES), mode=0o600)
            signing = Ed25519PrivateKey.from_private_bytes(read_secret(directory / SIGNING_KEY))
            content = FileContentKeys(read_secret(directory / CONTENT_KEY), retired_content_keys(directory))
            KeyRegister(directory).require_content_key(secret_fingerprint(content.key))
            pin_public_key(directory, signing.public_key())
            return cls(signing, content, tuple(_file_facts(directory, content, cryptoperiod_days)), directory)

    def verify(self, domain: Domain, document: bytes) -> bytes:
        """The body of what this deployment signed, with this key or with another one that it has or had.

        Raises `AuditRefused`. The file is read now: another process may have rotated the keys.
        """
        try:
            return verify_document(self.signing.public_key(), domain, document)
        except AuditRefused:
            return verify_document(load_public_key(self.directory / PUBLIC_KEY), domain, document)

    def refuse_expired(self, now_ms: int) -> None:
        """Raises `AuditRefused` when a key is past its cryptoperiod: nothing new is signed or encrypted with it."""
        refuse_expired_keys(self.facts, now_ms)

    def for_records(self) -> "AuditKeys":
        """The same, for an epoch without transcripts."""
        return dataclasses.replace(self, content=NoContentKeys())


def there_are_keys(settings: AuditSettings) -> bool:
    """Whether this deployment has begun to have keys where the settings say. With a KMS it is the public file."""
    names = _BEGUN if settings.kms is None else (PUBLIC_KEY,)
    return any((settings.keys / name).exists() for name in names)


def refuse_no_keys(settings: AuditSettings) -> None:
    """Raises `AuditRefused` where there are none. A command that made some would sign the log with a foreign key."""
    if not there_are_keys(settings):
        raise AuditRefused(
            f"there are no keys in {settings.keys}: is `audit.keys` right? the service makes them when it first starts"
        )


def open_keys(settings: AuditSettings) -> AuditKeys:
    """The keys that there are, never new ones.

    Raises `AuditRefused`, also when a key management service cannot be reached.
    """
    refuse_no_keys(settings)
    return open_or_make_keys(settings)


def open_or_make_keys(settings: AuditSettings) -> AuditKeys:
    """Whether they may be made is for `first_keys` to say. Raises like `open_keys`."""
    if settings.kms is None:
        return AuditKeys.load_or_create(settings.keys, settings.cryptoperiod_days)
    from extproc.audit.keys.kms import open_kms_keys  # noqa: PLC0415 - boto3 takes a second to import

    return open_kms_keys(settings, settings.kms)


@contextlib.contextmanager
def locked(directory: Path) -> Iterator[None]:
    """Alone in the folder of the keys, which is made when it is missing. In one that is given nobody changes any."""
    if is_given(directory):
        yield
        return
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    lock = os.open(directory / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
    finally:
        os.close(lock)


def retired_content_keys(directory: Path) -> tuple[bytes, ...]:
    """Content keys that nothing is wrapped with any more, for what was."""
    return tuple(read_secret(path) for path in sorted(directory.glob("content-*.key")))


def finish_rotation(directory: Path) -> None:
    """A new signing key that the public file names already takes its place: its rotation was interrupted.

    The one before it is destroyed with every name it has: a death between two names of a new file leaves both.
    """
    for unfinished in directory.glob(TEMPORARY + "*"):
        erase_name(unfinished)
    fresh = directory / f"{SIGNING_KEY}.next"
    if not fresh.exists():
        return
    secret = read_secret(fresh)
    public = Ed25519PrivateKey.from_private_bytes(secret).public_key()
    if (directory / PUBLIC_KEY).exists() and next(iter(load_public_key(directory / PUBLIC_KEY))) == public:
        if (directory / SIGNING_KEY).exists():
            replace_erased(directory / SIGNING_KEY, secret)
        else:
            replace(directory / SIGNING_KEY, secret)
    erase(fresh)


def public_facts(directory: Path, cryptoperiod_days: int) -> Iterator[KeyFact]:
    """What `deployment.pub` names: the first is in force."""
    register = KeyRegister(directory)
    found_ms = int((directory / PUBLIC_KEY).stat().st_mtime * 1000)
    for index, key in enumerate(load_public_key(directory / PUBLIC_KEY)):
        created_ms = register.created_ms(name := public_fingerprint(key), found_ms)
        yield KeyFact(
            id=name,
            purpose=Purpose.SIGNING,
            algorithm=algorithm_of(key),
            provider=Provider.FILE if isinstance(key, Ed25519PublicKey) else Provider.KMS,
            created_ms=created_ms,
            expires_ms=created_ms + cryptoperiod_days * DAY_MS,
            active=index == 0,
        )


def missing_public_keys(directory: Path) -> list[str]:
    """Fingerprints of the signing keys that `deployment.pub` held once and holds no more. Raises `AuditRefused`."""
    with locked(directory):
        named = {public_fingerprint(key) for key in load_public_key(directory / PUBLIC_KEY)}
        return sorted(KeyRegister(directory).public_keys() - named)


def secret_fact(
    directory: Path, path: Path, purpose: Purpose, algorithm: str, *, cryptoperiod_days: int, active: bool
) -> KeyFact:
    """A secret key in a file. Its age counts from when it was first seen, or from the file's time when that is now."""
    name = secret_fingerprint(path.read_bytes())
    created_ms = KeyRegister(directory).created_ms(name, int(path.stat().st_mtime * 1000))
    return KeyFact(
        id=name,
        purpose=purpose,
        algorithm=algorithm,
        provider=Provider.FILE,
        created_ms=created_ms,
        expires_ms=created_ms + cryptoperiod_days * DAY_MS,
        active=active,
    )


def retired_facts(directory: Path, cryptoperiod_days: int) -> Iterator[KeyFact]:
    for path in sorted(directory.glob("content-*.key")):
        yield secret_fact(
            directory, path, Purpose.CONTENT, "AES-256-GCM", cryptoperiod_days=cryptoperiod_days, active=False
        )


def _file_facts(directory: Path, content: FileContentKeys, cryptoperiod_days: int) -> Iterator[KeyFact]:
    yield from public_facts(directory, cryptoperiod_days)
    yield secret_fact(
        directory,
        directory / CONTENT_KEY,
        Purpose.CONTENT,
        "AES-256-GCM",
        cryptoperiod_days=cryptoperiod_days,
        active=True,
    )
    yield from retired_facts(directory, cryptoperiod_days)


def read_secret(path: Path) -> bytes:
    """The bytes of a key file of ours. Raises `AuditRefused`."""
    itself = 0 if is_given(path.parent) else os.O_NOFOLLOW
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | itself)
    except OSError as error:
        raise AuditRefused(f"{path} is missing or not readable, while its companion exists") from error
    try:
        if stat.S_IMODE(os.fstat(fd).st_mode) & forbidden_bits(path.parent):
            raise AuditRefused(f"{path} is accessible to group or others; it must have mode {said_mode(path.parent)}")
        data = os.read(fd, KEY_BYTES + 1)
    finally:
        os.close(fd)
    if len(data) != KEY_BYTES:
        raise AuditRefused(f"{path} does not hold {KEY_BYTES} bytes")
    return data
