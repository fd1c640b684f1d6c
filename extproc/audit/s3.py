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
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any, TypeVar

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from extproc.audit.names import Plane
from extproc.audit.refusal import AuditRefused
from extproc.audit.settings import S3Store
from extproc.audit.store import Divergent, StoredObject, StoreFailed, require_key_bag

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

MAX_SKEW_SECONDS = 300.0
"""Retain-until dates are computed from a clock; beyond this difference to the store's, nothing is stored."""
CONFLICT_TRIES = 5
NO_VERSION = "null"
"""What S3 calls the version of an object in a bucket without versions."""
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

    def put_once(self, key: str, data: bytes) -> None:
        """One conditional, checksummed, locked PUT. A lost answer is settled by comparing what is there."""
        lock: dict[str, Any] = {}
        if Plane.of(key) is not Plane.KEYS:
            lock = {"ObjectLockMode": "COMPLIANCE", "ObjectLockRetainUntilDate": self._retain_until()}
        for attempt in range(CONFLICT_TRIES):
            try:
                self._put(key, data, IfNoneMatch="*", **lock)
            except _Taken:
                return self._compare(key, data)
            except _Conflict:
                time.sleep(random.uniform(0.05, 0.2) * (attempt + 1))  # noqa: S311 - jitter
                continue
            return None
        raise StoreFailed("ConditionalRequestConflict")

    def _put(self, key: str, data: bytes, **more: Any) -> Any:
        checksum = _checksum(data)
        try:
            answer = _call(
                lambda: self._client.put_object(
                    Bucket=self._settings.bucket,
                    Key=self._prefix + key,
                    Body=data,
                    ChecksumAlgorithm="SHA256",
                    ChecksumSHA256=checksum,
                    ContentType="application/octet-stream",
                    **more,
                )
            )
        except ClientError as error:
            if _code(error) in ("PreconditionFailed", "412"):
                raise _Taken from error
            if _code(error) in ("ConditionalRequestConflict", "409"):
                raise _Conflict("ConditionalRequestConflict") from error
            raise StoreFailed(_code(error)) from error
        self._note_clock(answer)
        if answer.get("ChecksumSHA256", checksum) != checksum:
            raise StoreFailed("the store received other bytes")
        return answer

    def _compare(self, key: str, data: bytes) -> None:
        try:
            head = _call(
                lambda: self._client.head_object(
                    Bucket=self._settings.bucket, Key=self._prefix + key, ChecksumMode="ENABLED"
                )
            )
        except ClientError as error:
            raise StoreFailed(_code(error)) from error
        stored = head.get("ChecksumSHA256")
        same = stored == _checksum(data) if stored else self.get(key) == data
        if not same:
            raise Divergent(f"{key} is taken by other bytes")

    def replace_key_bag(self, key: str, data: bytes) -> None:
        """The new version is durable before the old ones go, so that a death in between loses no key."""
        require_key_bag(key)
        if all(version.marker for version in self._versions_of(key)):
            raise FileNotFoundError(key)
        answer = self._put(key, data)
        self._remove_versions(key, keep=answer.get("VersionId", NO_VERSION))

    def delete_for_good(self, key: str) -> None:
        require_key_bag(key)
        self._remove_versions(key, keep="")

    def _versions_of(self, key: str) -> list["_Version"]:
        return [version for version in self._versions(key) if version.key == key]

    def _remove_versions(self, key: str, keep: str) -> None:
        """Every version and every delete marker but the version `keep`; then looks whether they went."""
        for version in self._versions_of(key):
            if version.id != keep:
                self._delete(version)
        if [version.id for version in self._versions_of(key)] != ([keep] if keep else []):
            raise StoreFailed("a version of a key bag is left")

    def _delete(self, version: "_Version") -> None:
        try:
            _call(
                lambda: self._client.delete_object(
                    Bucket=self._settings.bucket, Key=self._prefix + version.key, VersionId=version.id
                )
            )
        except ClientError as error:
            raise StoreFailed(_code(error)) from error

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
        for key, group in itertools.groupby(self._versions(prefix), key=lambda each: each.key):
            each = list(group)
            kept = tuple(version.id for version in reversed(each) if not version.marker)
            yield StoredObject(key, kept, len(each) - len(kept))

    def _versions(self, prefix: str) -> Iterator["_Version"]:
        """By key; newest first within a key."""
        pages = self._client.get_paginator("list_object_versions").paginate(
            Bucket=self._settings.bucket, Prefix=self._prefix + prefix
        )
        try:
            for page in pages:
                found = [_Version(item["Key"], item["VersionId"], False) for item in page.get("Versions", [])]
                found += [_Version(item["Key"], item["VersionId"], True) for item in page.get("DeleteMarkers", [])]
                for each in sorted(found, key=lambda version: version.key):
                    yield replace(each, key=each.key.removeprefix(self._prefix))
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


@dataclass(frozen=True, slots=True)
class _Version:
    """A version of one key, or a delete marker, by the store's name for it."""

    key: str
    id: str
    marker: bool


class _Taken(Exception):
    """412: the key has a current version."""


class _Conflict(StoreFailed):
    """409: another write to the key is under way."""


def _checksum(data: bytes) -> str:
    return base64.b64encode(hashlib.sha256(data).digest()).decode()


def _code(error: ClientError) -> str:
    return str(error.response.get("Error", {}).get("Code", "unknown"))


def _call(operation: Callable[[], _T]) -> _T:
    try:
        return operation()
    except BotoCoreError as error:
        raise StoreFailed(type(error).__name__) from error
