"""What the audit log is told at start."""

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

CRYPTOPERIOD_DAYS = 365
"""How long a key may make new signatures and ciphertexts (PCI DSS v4.0.1 3.7.4), unless told otherwise."""
Words = dict[str, str | int | float | bool]

NO_OBJECT_LOCK_SENTENCE = "these objects can be deleted"
"""Who wants a bucket without Object Lock writes this into the configuration; every evidence pack repeats it."""


class LockMode(StrEnum):
    """S3 Object Lock. COMPLIANCE: nobody deletes before the date. GOVERNANCE: who has a right of its own for it can."""

    COMPLIANCE = "COMPLIANCE"
    GOVERNANCE = "GOVERNANCE"


@dataclass(frozen=True, slots=True)
class DirectoryStore:
    """Audit objects in a local directory: tamper-evident, not write-once."""

    directory: Path

    @property
    def retention_days(self) -> int:
        """Nothing removes a file; so long transcripts are readable unless `content_retention` says otherwise."""
        return 400

    def words(self) -> Words:
        """What every `log.start` says of the store."""
        return {"store": "directory"}


@dataclass(frozen=True, slots=True)
class S3Store:
    """Audit objects in a bucket with Object Lock: evidence in COMPLIANCE mode, content in `content_mode`.

    They are kept `retention_days` (PCI DSS 10.5.1: at least 365), and never more than `max_retention_days`: a lock in
    COMPLIANCE mode that was set too long cannot be taken back.
    """

    bucket: str
    prefix: str = ""
    endpoint_url: str = ""
    region: str = ""
    retention_days: int = 400
    max_retention_days: int = 1200
    content_mode: LockMode = LockMode.GOVERNANCE
    keys_bucket: str = ""
    """Holds the key bags, under the same prefix; empty: `bucket` does."""
    accept_no_object_lock: str = ""
    """`NO_OBJECT_LOCK_SENTENCE`, or empty: a bucket without Object Lock is refused."""

    def words(self) -> Words:
        """What every `log.start` says of the store."""
        words: Words = {
            "store": "s3",
            "retention_days": self.retention_days,
            "content_mode": self.content_mode.value,
        }
        if self.accept_no_object_lock:
            words["accept_no_object_lock"] = self.accept_no_object_lock
        return words


@dataclass(frozen=True, slots=True)
class KmsKeys:
    """The deployment's keys in AWS KMS, by ARN: `signing_key` is ECC_NIST_P256, `content_key` is symmetric."""

    signing_key: str
    content_key: str
    endpoint_url: str = ""
    region: str = ""


@dataclass(frozen=True, slots=True)
class AuditSettings:
    """`spool` is a local directory on a disk that really syncs; `keys` holds the key files (0600), outside it.

    With `kms` the folder `keys` holds public keys and what is known of the keys' age, and no secret that is in use.
    """

    deployment: str
    spool: Path
    keys: Path
    store: DirectoryStore | S3Store
    segment_bytes: int = 32 * 1024 * 1024
    """So much is 900 exchanges of 100 streamed events each. Nobody but who shows a transcript holds it in memory."""
    segment_seconds: float = 45.0
    """A segment is at most four objects, so that a worker with 20 exchanges a second makes 4.5 PUTs for 1 000 of them.
    What is not sealed yet is in the spool only: with this disk that much can be lost, and no more."""
    heartbeat_seconds: float = 300.0
    """How often an epoch says that it lives, and what its clock is like."""
    max_spool_bytes: int = 1024 * 1024 * 1024
    reserve_bytes: int = 16 * 1024 * 1024
    """Of `max_spool_bytes`, kept for refusals and control failures."""
    max_lag_seconds: float = 900.0
    """Oldest sealed segment that is not in the store; beyond it new exchanges are refused (PCI DSS 10.3.3)."""
    refuse_unsynchronised_clock: bool = False
    """Refuse new exchanges while the kernel does not say that its clock is synchronised. Else that is only recorded."""
    program: str = ""
    """Name and version of what writes. This and the digests below stand in `log.start` where they are known."""
    program_digest: str = ""
    configuration_digest: str = ""
    policy_digest: str = ""
    content_retention_days: int = 400
    """How long transcripts can be read; then `extproc audit retention-check` counts their keys as over-age (3.2.1)."""
    shredders: tuple[str, ...] = ()
    """Groups of which two people together may shred a transcript. Without one nobody may."""
    sealed_key: Path | None = None
    """The custodian's public key; None: no original is kept."""
    sealed_to: str = ""
    """Its fingerprint, which stands in `log.start`."""
    openers: tuple[str, ...] = ()
    """Groups of which two people together may open a sealed original. Without one nobody may."""
    kms: KmsKeys | None = None
    cryptoperiod_days: int = CRYPTOPERIOD_DAYS
