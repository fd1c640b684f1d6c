"""Of every key that the service uses: what it is for, how old it is, when its time is over (PCI DSS v4.0.1 3.7.4).

A file says nothing of its age that a copy would keep, so the folder of the audit keys remembers when each key was first
seen, by fingerprint. A key management service says itself when it made a key. The register also pins the content key
in a file: with another one the log would go on, and what was recorded before would open no more.
"""

import hashlib
import hmac
from collections.abc import Iterable
from enum import StrEnum
from pathlib import Path

import msgspec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from extproc.audit.files import replace
from extproc.audit.keys.given import is_given
from extproc.audit.refusal import NOT_PARSED, AuditRefused
from extproc.audit.signed import PublicKey

REGISTER = "keys.json"
DAY_MS = 86_400_000
WARN_DAYS = 30
"""So long before a key's end it is said to be near."""


NOT_MET = "file provider: PCI DSS v4.0.1 3.6.1.2 is not met (key-encrypting keys belong into an HSM or a KMS)"
"""Of keys that fall short."""


class Purpose(StrEnum):
    SIGNING = "signing"
    CONTENT = "content"
    DIGEST = "digest"
    MASK = "mask"


class Provider(StrEnum):
    FILE = "file"
    KMS = "aws-kms"


class KeyFact(msgspec.Struct, frozen=True, kw_only=True):
    """One key, without anything of its material. `id` is a fingerprint, or what the key management service calls it.

    `active`: new signatures or ciphertexts are made with it. Times are Unix milliseconds.
    """

    id: str
    purpose: Purpose
    algorithm: str
    provider: Provider
    created_ms: int
    expires_ms: int
    active: bool = True

    def expired(self, now_ms: int) -> bool:
        return self.active and now_ms >= self.expires_ms

    @property
    def falls_short(self) -> bool:
        """A secret for account data or the log that stands in a file: 3.6.1.2 is not met.

        Digests are of masked text. A retired key still opens what it wrapped; of a retired signing key nothing is left.
        """
        is_there = self.active or self.purpose is not Purpose.SIGNING
        return is_there and self.provider is Provider.FILE and self.purpose is not Purpose.DIGEST

    def days_left(self, now_ms: int) -> int:
        """Whole days; negative when it is over."""
        return (self.expires_ms - now_ms) // DAY_MS


class _Register(msgspec.Struct, forbid_unknown_fields=True):
    version: int = 1
    created_ms: dict[str, int] = {}
    content: tuple[str, ...] = ()
    """The fingerprint of the content key in force; two while it is replaced, none before it was first seen."""


class KeyRegister:
    """`keys.json` in the folder of the audit keys. Used under that folder's lock."""

    def __init__(self, directory: Path) -> None:
        self._path = directory / REGISTER
        try:
            self._register = msgspec.json.decode(self._path.read_bytes(), type=_Register)
        except FileNotFoundError:
            self._register = _Register()
        except NOT_PARSED as error:
            raise AuditRefused(f"{self._path} does not parse; it says how old the keys are") from error

    def created_ms(self, key_id: str, found_ms: int) -> int:
        """When the key was made, as far as is known. `found_ms`: what is to be remembered of a key not seen before."""
        created = self._register.created_ms.get(key_id)
        if created is None:
            created = self._register.created_ms[key_id] = found_ms
            self._write()
        return created

    def public_keys(self) -> frozenset[str]:
        """The fingerprints of all signing keys that were ever seen in `deployment.pub`."""
        return frozenset(key_id for key_id in self._register.created_ms if len(key_id) == PUBLIC_FINGERPRINT_DIGITS)

    def pin_content_key(self, *key_ids: str) -> None:
        """From now on the content key is one of these."""
        if self._register.content != key_ids:
            self._register.content = key_ids
            self._write()

    def require_content_key(self, key_id: str) -> None:
        """The first one that is seen is pinned. Raises `AuditRefused` for another one."""
        pinned = self._register.content
        if pinned and key_id not in pinned:
            raise AuditRefused(
                f"the content key here ({key_id}) is another than the one that wrapped so far ({' or '.join(pinned)}), "
                "and what that one wrapped would not open: put its file back. Only when that key is lost for good, "
                f"take `content` out of {self._path} to go on with this one"
            )
        self.pin_content_key(key_id)

    def _write(self) -> None:
        """A key whose age nobody knows would never come to its end, so in a folder that is given it must be known."""
        if is_given(self._path.parent):
            raise AuditRefused(
                f"{self._path} does not know every key that is used here, and cannot be written: run `extproc audit "
                "make-keys` over a copy of its Secret, and put the new keys.json there"
            )
        replace(self._path, msgspec.json.format(msgspec.json.encode(self._register)))


PUBLIC_FINGERPRINT_DIGITS = 64
"""Of a secret key's fingerprint there are 16."""


def secret_fingerprint(key: bytes) -> str:
    """Names a secret key and tells nothing of it."""
    return hmac.digest(key, b"extproc key fingerprint v1", "sha256").hex()[:16]


def public_fingerprint(key: PublicKey) -> str:
    """SHA-256 of the SubjectPublicKeyInfo: what `openssl pkey -pubin -outform DER | sha256sum` prints."""
    return hashlib.sha256(key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).hexdigest()


def refuse_expired(facts: Iterable[KeyFact], now_ms: int) -> None:
    """Raises `AuditRefused` when a key that is in use has passed its cryptoperiod."""
    for fact in facts:
        if fact.expired(now_ms):
            raise AuditRefused(
                f"the {fact.purpose} key {fact.id} is past its cryptoperiod; {REMEDY[fact.purpose]}, then start again"
            )


def refuse_of_tomorrow(facts: Iterable[KeyFact], now_ms: int) -> None:
    """Raises `AuditRefused` when a key that is in use will only be made: the clock is wrong, or it was when the key was
    first seen, which then would not come to its end in time."""
    for fact in facts:
        if fact.active and fact.created_ms > now_ms + DAY_MS:
            raise AuditRefused(
                f"the {fact.purpose} key {fact.id} was made in the future: is the clock right? If it is, "
                f"{REMEDY[fact.purpose]}, then start again"
            )


def near_their_end(facts: Iterable[KeyFact], now_ms: int) -> list[KeyFact]:
    """The keys in use that have `WARN_DAYS` or less."""
    return [fact for fact in facts if fact.active and fact.days_left(now_ms) < WARN_DAYS]


def state_of(fact: KeyFact, now_ms: int) -> str:
    """In words."""
    if not fact.active:
        return "retired"
    if fact.expired(now_ms):
        return "expired"
    days = fact.days_left(now_ms)
    return "in use" if days >= WARN_DAYS else f"in use, ends in {days} day(s)"


REMEDY = {
    Purpose.SIGNING: "run `extproc audit rotate-keys`",
    Purpose.CONTENT: "run `extproc audit rotate-keys`",
    Purpose.DIGEST: "put new random bytes into the file of `digest_key`",
    Purpose.MASK: "put a new key first in `mask_keys`",
}
"""How each is replaced."""
