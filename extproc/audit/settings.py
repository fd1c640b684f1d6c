"""What the audit log is told at start."""

from dataclasses import dataclass
from pathlib import Path

CRYPTOPERIOD_DAYS = 365
"""How long a key may make new signatures and ciphertexts (PCI DSS v4.0.1 3.7.4), unless told otherwise."""


@dataclass(frozen=True, slots=True)
class DirectoryStore:
    """Audit objects in a local directory: tamper-evident, not write-once."""

    directory: Path

    @property
    def retention_days(self) -> int:
        """Nothing removes a file; so long transcripts are readable unless `content_retention` says otherwise."""
        return 400


@dataclass(frozen=True, slots=True)
class S3Store:
    """Audit objects in a bucket with Object Lock, in COMPLIANCE mode.

    They are kept `retention_days` (PCI DSS 10.5.1: at least 365).
    """

    bucket: str
    prefix: str = ""
    endpoint_url: str = ""
    region: str = ""
    retention_days: int = 400


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
    segment_bytes: int = 4 * 1024 * 1024
    segment_seconds: float = 5.0
    heartbeat_seconds: float = 300.0
    max_spool_bytes: int = 1024 * 1024 * 1024
    reserve_bytes: int = 16 * 1024 * 1024
    """Of `max_spool_bytes`, kept for refusals and control failures."""
    max_lag_seconds: float = 900.0
    """Oldest sealed segment that is not in the store; beyond it new exchanges are refused (PCI DSS 10.3.3)."""
    content_retention_days: int = 400
    """How long transcripts can be read; then `extproc audit retention-check` counts their keys as over-age (3.2.1)."""
    shredders: tuple[str, ...] = ()
    """Groups of which two people together may shred a transcript. Without one nobody may."""
    kms: KmsKeys | None = None
    cryptoperiod_days: int = CRYPTOPERIOD_DAYS
