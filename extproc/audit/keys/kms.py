"""The deployment's keys in AWS KMS: neither ever is on this machine, but for data keys in memory.

The signing key is ECC_NIST_P256 (`kms:Sign`, `kms:GetPublicKey`, `kms:DescribeKey`). The content key is symmetric: a
writer needs `kms:GenerateDataKey` and never `kms:Decrypt`, a reader of transcripts needs `kms:Decrypt`. Every data key
is bound to its place by the encryption context `{deployment, writer, epoch, plane}`, so that a wrapped key that was
moved does not open. A writer takes its data key when its epoch begins: no later trouble of the KMS stops recording.
"""

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeVar

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePublicKey
from cryptography.hazmat.primitives.serialization import load_der_public_key

from extproc.audit.keys.keys import (
    KEY_BYTES,
    AuditKeys,
    Place,
    locked,
    public_facts,
    retired_content_keys,
    retired_facts,
)
from extproc.audit.keys.public_keys import pin_public_key
from extproc.audit.keys.register import DAY_MS, KeyFact, Provider, Purpose
from extproc.audit.names import Origin
from extproc.audit.refusal import AuditRefused
from extproc.audit.settings import AuditSettings, KmsKeys
from extproc.audit.signed import PublicKey, signature_from_der, verify_signature

if TYPE_CHECKING:
    from mypy_boto3_kms import KMSClient

MAX_PLAIN_BYTES = 4096
"""What KMS signs without a digest made here. Certificates and registry entries have about 400 bytes."""
_CONFIG = Config(retries={"mode": "standard", "total_max_attempts": 3}, connect_timeout=3, read_timeout=10)
_T = TypeVar("_T")


def open_kms_keys(settings: AuditSettings, kms: KmsKeys) -> AuditKeys:
    """Both keys, looked at and fit. Raises `AuditRefused` when one is not, or the KMS cannot be reached."""
    client = connect(kms)
    signing = KmsSigningKey.open(client, kms.signing_key)
    content = _describe(client, kms.content_key, "SYMMETRIC_DEFAULT", "ENCRYPT_DECRYPT")
    directory, period = settings.keys, settings.cryptoperiod_days
    with locked(directory):
        pin_public_key(directory, signing.public_key())
        files = retired_content_keys(directory)  # for what they wrapped before there was a KMS
        retired = [
            *[fact for fact in public_facts(directory, period) if not fact.active],
            *retired_facts(directory, period),
        ]
    facts = (_fact(signing.described, Purpose.SIGNING, period), _fact(content, Purpose.CONTENT, period), *retired)
    return AuditKeys(signing, KmsContentKeys(client, content.arn, settings.deployment, files), facts, directory)


def connect(kms: KmsKeys) -> "KMSClient":
    """Credentials come from the environment's usual chain."""
    try:
        return boto3.client(
            "kms",
            endpoint_url=kms.endpoint_url or None,
            region_name=kms.region or _region_of(kms.signing_key),
            config=_CONFIG,
        )
    except (BotoCoreError, ValueError) as error:
        raise AuditRefused(f"the KMS is not configured ({type(error).__name__})") from error


def _region_of(arn: str) -> str | None:
    parts = arn.split(":")
    return parts[3] if len(parts) > 5 and parts[0] == "arn" else None


@dataclass(frozen=True, slots=True)
class _Described:
    arn: str
    spec: str
    created_ms: int


def _describe(client: "KMSClient", key: str, spec: str, usage: str) -> _Described:
    """Raises `AuditRefused` unless the key is of this kind and enabled."""
    found = _call("kms:DescribeKey", lambda: client.describe_key(KeyId=key))["KeyMetadata"]
    if found.get("KeySpec") != spec or found.get("KeyUsage") != usage:
        raise AuditRefused(f"the KMS key {key} must have key spec {spec} and usage {usage}")
    if ":key/" in key and found["Arn"] != key:
        raise AuditRefused(f"the KMS describes another key than {key}")
    if not found.get("Enabled"):
        raise AuditRefused(f"the KMS key {key} is not enabled")
    return _Described(
        found["Arn"], spec, int(_newest_material(client, found["Arn"], found["CreationDate"].timestamp()) * 1000)
    )


def _newest_material(client: "KMSClient", arn: str, created: float) -> float:
    """When KMS last made new material for the key, in seconds. Without the right to ask, its creation counts."""
    try:
        rotations = client.list_key_rotations(KeyId=arn).get("Rotations", [])
    except (BotoCoreError, ClientError):
        return created
    return max([created, *(each["RotationDate"].timestamp() for each in rotations)])


def _fact(described: _Described, purpose: Purpose, cryptoperiod_days: int) -> KeyFact:
    return KeyFact(
        id=described.arn,
        purpose=purpose,
        algorithm={"ECC_NIST_P256": "ECDSA P-256 SHA-256", "SYMMETRIC_DEFAULT": "AES-256-GCM"}[described.spec],
        provider=Provider.KMS,
        created_ms=described.created_ms,
        expires_ms=described.created_ms + cryptoperiod_days * DAY_MS,
    )


@dataclass(frozen=True, slots=True)
class KmsSigningKey:
    """`sign` asks the KMS, and does not believe it: a signature that does not hold is refused here."""

    described: _Described
    _client: "KMSClient" = field(repr=False)
    _public: EllipticCurvePublicKey

    @classmethod
    def open(cls, client: "KMSClient", key: str) -> "KmsSigningKey":
        described = _describe(client, key, "ECC_NIST_P256", "SIGN_VERIFY")
        answer = _call("kms:GetPublicKey", lambda: client.get_public_key(KeyId=described.arn))
        public = load_der_public_key(answer["PublicKey"])
        if not isinstance(public, EllipticCurvePublicKey) or not isinstance(public.curve, SECP256R1):
            raise AuditRefused(f"the KMS key {key} has a public key that is not on P-256")
        return cls(described, client, public)

    def public_key(self) -> PublicKey:
        return self._public

    def sign(self, data: bytes, /) -> bytes:
        if len(data) > MAX_PLAIN_BYTES:
            raise AuditRefused("a document is too long for the KMS to sign")
        answer = _call(
            "kms:Sign",
            lambda: self._client.sign(
                KeyId=self.described.arn, Message=data, MessageType="RAW", SigningAlgorithm="ECDSA_SHA_256"
            ),
        )
        try:
            signature = signature_from_der(answer["Signature"])
        except ValueError as error:
            raise AuditRefused("the KMS gave no signature") from error
        if not verify_signature(self._public, signature, data):
            raise AuditRefused("the KMS gave a signature that does not hold")
        return signature


class KmsContentKeys:
    """Data keys under one KMS key: one a place, made when first asked for, kept in memory only."""

    def __init__(self, client: "KMSClient", key: str, deployment: str, files: tuple[bytes, ...]) -> None:
        self._client, self._key, self._deployment, self._files = client, key, deployment, files
        self._lock = threading.Lock()
        self._made: dict[Place, tuple[bytes, bytes]] = {}
        self._opened: dict[tuple[bytes, Place], bytes] = {}

    def prepare(self, place: Place) -> None:
        self.wrapping(place)

    def wrapping(self, place: Place) -> tuple[bytes, bytes]:
        with self._lock:
            if place not in self._made:
                answer = _call(
                    "kms:GenerateDataKey",
                    lambda: self._client.generate_data_key(
                        KeyId=self._key, KeySpec="AES_256", EncryptionContext=self._context(place)
                    ),
                )
                if answer["KeyId"] != self._key:
                    raise AuditRefused("the KMS gave a data key of another key than it was asked for")
                self._made[place] = _data_key(answer["Plaintext"]), answer["CiphertextBlob"]
            return self._made[place]

    def unwrapping(self, wrapped: bytes, place: Place) -> tuple[bytes, ...]:
        if not wrapped:
            if not self._files:
                raise AuditRefused("the content key was a file's, and the folder of the keys has it no more")
            return self._files
        with self._lock:
            if (wrapped, place) not in self._opened:
                # Without a KeyId, so that what an earlier key wrapped opens too. Whose key it was proves nothing here:
                # the seal and the transcript's signed opening are committed to the key that they open with.
                answer = _call(
                    "kms:Decrypt",
                    lambda: self._client.decrypt(CiphertextBlob=wrapped, EncryptionContext=self._context(place)),
                )
                self._opened[wrapped, place] = _data_key(answer["Plaintext"])
            return (self._opened[wrapped, place],)

    def _context(self, place: Place) -> dict[str, str]:
        if not place.origin:
            return {"deployment": self._deployment, "plane": place.plane}
        origin = Origin.parse(place.origin)
        return {
            "deployment": origin.deployment,
            "writer": origin.writer,
            "epoch": origin.epoch,
            "plane": place.plane,
        }


def _data_key(plain: bytes) -> bytes:
    if len(plain) != KEY_BYTES:
        raise AuditRefused("the KMS gave a data key of another length")
    return plain


def _call(action: str, operation: Callable[[], _T]) -> _T:
    try:
        return operation()
    except ClientError as error:
        code = error.response.get("Error", {}).get("Code", "unknown")
        raise AuditRefused(f"{action} was refused ({code})") from None
    except BotoCoreError as error:
        raise AuditRefused(f"{action} could not be asked ({type(error).__name__})") from None
