"""Audit objects in S3 under Object Lock in COMPLIANCE mode: nobody deletes, shortens or replaces a version.

Object Lock protects versions, not keys: a newer version or a delete marker can always be put on top. So the verifier
lists versions and reads the oldest.
"""

import base64
import hashlib
import itertools
import random
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any, TypeVar

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from extproc.audit.refusal import AuditRefused
from extproc.audit.settings import S3Store
from extproc.audit.store import Divergent, StoredObject, StoreFailed

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

MAX_SKEW_SECONDS = 300.0
"""Retain-until dates are computed from a clock; beyond this difference to the store's, nothing is stored."""
CONFLICT_TRIES = 5
_CONFIG = Config(
    retries={"mode": "standard", "total_max_attempts": 4},
    request_checksum_calculation="when_supported",
    connect_timeout=3,
    read_timeout=30,
    tcp_keepalive=True,
)
_T = TypeVar("_T")


class Bucket:
    """One bucket, with credentials from the environment's usual chain."""

    def __init__(self, settings: S3Store) -> None:
        self._settings = settings
        self._prefix = settings.prefix.strip("/") + "/" if settings.prefix.strip("/") else ""
        self._client: S3Client = boto3.client(
            "s3",
            endpoint_url=settings.endpoint_url or None,
            region_name=settings.region or None,
            config=_CONFIG,
        )
        self._skew_seconds = 0.0

    def check(self) -> None:
        """The bucket has Object Lock. Raises `AuditRefused` when it has not: what is stored there could be removed."""
        if self._settings.retention_days < 1:
            raise AuditRefused("the retention must be at least one day")
        try:
            answer = _call(lambda: self._client.get_object_lock_configuration(Bucket=self._settings.bucket))
        except ClientError as error:
            if _code(error) == "ObjectLockConfigurationNotFoundError":
                raise AuditRefused("the bucket has no Object Lock") from error
            raise StoreFailed(_code(error)) from error
        self._note_clock(answer)
        if answer["ObjectLockConfiguration"].get("ObjectLockEnabled") != "Enabled":
            raise AuditRefused("the bucket has no Object Lock")

    def put_once(self, key: str, data: bytes, *, retained: bool) -> None:
        """One conditional, checksummed, locked PUT. A lost answer is settled by comparing what is there."""
        checksum = base64.b64encode(hashlib.sha256(data).digest()).decode()
        lock: dict[str, Any] = {}
        if retained:
            lock = {"ObjectLockMode": "COMPLIANCE", "ObjectLockRetainUntilDate": self._retain_until()}
        for attempt in range(CONFLICT_TRIES):
            try:
                answer = _call(
                    lambda: self._client.put_object(
                        Bucket=self._settings.bucket,
                        Key=self._prefix + key,
                        Body=data,
                        IfNoneMatch="*",
                        ChecksumAlgorithm="SHA256",
                        ChecksumSHA256=checksum,
                        ContentType="application/octet-stream",
                        **lock,
                    )
                )
            except ClientError as error:
                if _code(error) in ("PreconditionFailed", "412"):
                    return self._compare(key, data, checksum)
                if _code(error) not in ("ConditionalRequestConflict", "409"):
                    raise StoreFailed(_code(error)) from error
                time.sleep(random.uniform(0.05, 0.2) * (attempt + 1))  # noqa: S311 - jitter
                continue
            self._note_clock(answer)
            if answer.get("ChecksumSHA256", checksum) != checksum:
                raise StoreFailed("the store received other bytes")
            return None
        raise StoreFailed("ConditionalRequestConflict")

    def _compare(self, key: str, data: bytes, checksum: str) -> None:
        try:
            head = _call(
                lambda: self._client.head_object(
                    Bucket=self._settings.bucket, Key=self._prefix + key, ChecksumMode="ENABLED"
                )
            )
        except ClientError as error:
            raise StoreFailed(_code(error)) from error
        stored = head.get("ChecksumSHA256")
        same = stored == checksum if stored else self.get(key) == data
        if not same:
            raise Divergent(f"{key} is taken by other bytes")

    def get(self, key: str, version: str = "") -> bytes:
        which: dict[str, Any] = {"VersionId": version} if version else {}
        try:
            answer = _call(
                lambda: self._client.get_object(Bucket=self._settings.bucket, Key=self._prefix + key, **which)
            )
            return answer["Body"].read()
        except ClientError as error:
            if _code(error) in ("NoSuchKey", "NoSuchVersion", "404"):
                raise FileNotFoundError(key) from error
            raise StoreFailed(_code(error)) from error
        except BotoCoreError as error:
            raise StoreFailed(type(error).__name__) from error

    def list(self, prefix: str) -> Iterator[StoredObject]:
        for key, group in itertools.groupby(self._versions(prefix), key=lambda pair: pair[0]):
            versions = [version for _, version in group]
            kept = tuple(version for version in reversed(versions) if version)
            yield StoredObject(key, kept, len(versions) - len(kept))

    def _versions(self, prefix: str) -> Iterator[tuple[str, str]]:
        """(key, version), newest first within a key; an empty version is a delete marker."""
        pages = self._client.get_paginator("list_object_versions").paginate(
            Bucket=self._settings.bucket, Prefix=self._prefix + prefix
        )
        try:
            for page in pages:
                found = [(item["Key"], item["VersionId"]) for item in page.get("Versions", [])]
                found += [(item["Key"], "") for item in page.get("DeleteMarkers", [])]
                for key, version in sorted(found, key=lambda pair: pair[0]):
                    yield key.removeprefix(self._prefix), version
        except ClientError as error:
            raise StoreFailed(_code(error)) from error
        except BotoCoreError as error:
            raise StoreFailed(type(error).__name__) from error

    def _retain_until(self) -> datetime:
        """From the later of both clocks, so that a slow one never shortens the retention."""
        if abs(self._skew_seconds) > MAX_SKEW_SECONDS:
            raise StoreFailed("the clock differs from the store's")
        now = datetime.now(UTC) + timedelta(seconds=max(self._skew_seconds, 0.0))
        return now + timedelta(days=self._settings.retention_days, minutes=5)

    def _note_clock(self, answer: Any) -> None:
        date = answer["ResponseMetadata"]["HTTPHeaders"].get("date")
        if date:
            self._skew_seconds = (parsedate_to_datetime(date) - datetime.now(UTC)).total_seconds()


def _code(error: ClientError) -> str:
    return str(error.response.get("Error", {}).get("Code", "unknown"))


def _call(operation: Callable[[], _T]) -> _T:
    try:
        return operation()
    except BotoCoreError as error:
        raise StoreFailed(type(error).__name__) from error
