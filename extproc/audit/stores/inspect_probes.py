"""Small objects of our own in an S3 store, and what the store does with them."""

import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from extproc.audit.settings import LockMode, S3Store
from extproc.audit.stores.inspect import Result
from extproc.audit.stores.s3 import Bucket
from extproc.audit.stores.s3_wire import NO_VERSION, Version, code_of
from extproc.audit.stores.store import StoreFailed

LOCK_SECONDS = 120
"""How long probes are locked: longer than asking takes, and no longer."""
TEXT = b"extproc audit inspect-store\n"
_TRIES = 2


@dataclass(frozen=True, slots=True)
class Outcome:
    """A call's answer: HTTP status, 0 without one, and the code of a refusal."""

    status: int
    code: str = ""

    def refusal(self) -> Result:
        """Of a request that is to be refused as wrong. Missing rights and a store in trouble say nothing of a rule."""
        if 200 <= self.status < 300:
            return Result.NOT_ENFORCED
        return Result.ENFORCED if 400 <= self.status < 500 and self.status not in (401, 403) else Result.NOT_ASKED


@dataclass(frozen=True, slots=True)
class Probe:
    """One version of one of our objects."""

    bucket: str
    key: str
    version: str

    def at(self) -> dict[str, str]:
        return {"Bucket": self.bucket, "Key": self.key, "VersionId": self.version}


class Probes:
    """Everything lies below `place`."""

    def __init__(self, settings: S3Store) -> None:
        self.store = Bucket(settings)
        self.client: Any = self._client()
        stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
        self.place = f"{self.store.prefix}inspect/{stamp}-{os.urandom(4).hex()}/"
        self._settings = settings
        self._number = 0
        self._lock_seconds = LOCK_SECONDS

    def _client(self, **more: Any) -> Any:
        settings = self.store.settings
        checksums = more.pop("request_checksum_calculation", "when_supported")
        config = Config(
            retries={"mode": "standard", "total_max_attempts": _TRIES},
            request_checksum_calculation=checksums,
            connect_timeout=3,
            read_timeout=30,
        )
        return boto3.client(
            "s3",
            endpoint_url=settings.endpoint_url or None,
            region_name=settings.region or None,
            config=config,
            **more,
        )

    def without_checksums(self) -> Any:
        """A client that adds no checksum of its own."""
        return self._client(request_checksum_calculation="when_required")

    def with_wrong_secret(self) -> Any:
        """A client that knows the key's id and not its secret; None where the credentials cannot be found."""
        found = boto3.Session().get_credentials()
        if found is None:
            return None
        known = found.get_frozen_credentials()
        return self._client(
            aws_access_key_id=known.access_key,
            aws_secret_access_key="not-the-secret-key",  # noqa: S106 - that is the point
            aws_session_token=known.token,
        )

    def key(self) -> str:
        """A name that nothing has."""
        self._number += 1
        return f"{self.place}{self._number:02d}"

    def ask(self, operation: Callable[..., Any], **parameters: Any) -> tuple[Outcome, Any]:
        """The outcome and the answer, which is empty after a refusal."""
        try:
            answer = operation(**parameters)
        except ClientError as error:
            status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
            return Outcome(int(status), code_of(error)), {}
        except BotoCoreError as error:
            return Outcome(0, type(error).__name__), {}
        return Outcome(200), answer

    def put(self, bucket: str, key: str, body: bytes = TEXT, client: Any = None, **more: Any) -> tuple[Outcome, Probe]:
        """One PUT; the probe is the version it made, or of no use after a refusal."""
        operation = (client or self.client).put_object
        outcome, answer = self.ask(operation, Bucket=bucket, Key=key, Body=body, **more)
        return outcome, Probe(bucket, key, answer.get("VersionId", NO_VERSION))

    def now(self) -> datetime:
        """The store's time."""
        return self.store.wire.clock.store_time()

    def lock(self, mode: LockMode) -> dict[str, Any]:
        """The shortest lock that outlasts the asking."""
        until = self.now() + timedelta(seconds=self._lock_seconds)
        return {"ObjectLockMode": mode.value, "ObjectLockRetainUntilDate": until}

    def put_locked(self, mode: LockMode) -> tuple[Outcome, Probe]:
        """Under the shortest lock; where the store's policy forbids that, under the configured retention."""
        outcome, probe = self.put(self._settings.bucket, self.key(), ChecksumAlgorithm="SHA256", **self.lock(mode))
        if outcome.status == 403 and self._lock_seconds == LOCK_SECONDS:
            self._lock_seconds = self._settings.retention_days * 86_400 + LOCK_SECONDS
            return self.put_locked(mode)
        return outcome, probe

    def is_there(self, probe: Probe) -> bool | None:
        """None: the store does not say."""
        try:
            return any(version.id == probe.version for version in self.store.wire.versions(probe.bucket, probe.key))
        except StoreFailed:
            return None

    def lock_of(self, probe: Probe) -> tuple[str, datetime] | None:
        """Mode and end; None when there is none, or when the store does not say."""
        _, head = self.ask(self.client.head_object, **probe.at())
        if "ObjectLockMode" not in head or "ObjectLockRetainUntilDate" not in head:
            return None
        return str(head["ObjectLockMode"]), head["ObjectLockRetainUntilDate"]

    def clear(self) -> tuple[str, ...]:
        """Take away what can be taken away; the keys of what stays until its lock is over."""
        try:
            return tuple(dict.fromkeys(version.key for bucket in self._buckets() for version in self._left(bucket)))
        except StoreFailed:
            return (self.place + "*",)

    def _buckets(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys((self._settings.bucket, self._settings.keys_bucket or self._settings.bucket)))

    def _left(self, bucket: str) -> Iterator[Version]:
        for version in list(self.store.wire.versions(bucket, self.place)):
            at = Probe(bucket, version.key, version.id).at()
            for more in ({}, {"BypassGovernanceRetention": True}):
                if self.ask(self.client.delete_object, **at, **more)[0].status == 200:
                    break
            else:
                yield version
