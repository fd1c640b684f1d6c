"""Audit objects in S3 under Object Lock: nobody deletes, shortens or replaces a version of the evidence.

Object Lock protects versions, not keys: a newer version or a delete marker can always be put on top. So the verifier
lists versions and reads the oldest.
"""

import heapq
import itertools
import random
import time
from collections.abc import Iterator
from contextlib import suppress
from datetime import datetime
from typing import Any

from extproc.audit.files import Body
from extproc.audit.names import Plane
from extproc.audit.refusal import AuditRefused
from extproc.audit.settings import NO_OBJECT_LOCK_SENTENCE, LockMode, S3Store
from extproc.audit.stores.s3_wire import NO_VERSION, Conflict, Taken, Version, Wire, checksum_of, sha256_text
from extproc.audit.stores.store import Divergent, Fault, StoredObject, StoreFailed, require_key_bag

CONFLICT_TRIES = 5
VANISHED = "what was stored is not there"
NO_LOCK = (
    "the bucket has no Object Lock, so whoever may write to it can delete the log. Create it with Object Lock, or say "
    f'in `audit.store.s3`: accept_no_object_lock: "{NO_OBJECT_LOCK_SENTENCE}"'
)
LOCKED_BAGS = (
    "the bucket of the key bags locks every new object by default, so no exchange could be shredded. Remove its "
    "default retention, or name another bucket as `audit.store.s3.keys_bucket`"
)


class Bucket:
    """One bucket, and perhaps another for the key bags."""

    def __init__(self, settings: S3Store) -> None:
        self.settings = settings
        self.prefix = settings.prefix.strip("/") + "/" if settings.prefix.strip("/") else ""
        self.wire = Wire(settings)
        self._locks = True

    def check(self) -> None:
        """The bucket has Object Lock, and key bags are not locked. Raises `AuditRefused` or `StoreFailed`."""
        settings = self.settings
        if not 1 <= settings.retention_days <= settings.max_retention_days:
            raise AuditRefused("the retention must be at least one day, and at most `max_retention`")
        lock = self.lock_configuration(settings.bucket)
        if lock is None and settings.accept_no_object_lock != NO_OBJECT_LOCK_SENTENCE:
            raise AuditRefused(NO_LOCK)
        self._locks = lock is not None
        bags = self.lock_configuration(settings.keys_bucket) if settings.keys_bucket else lock
        if bags is not None and bags.get("Rule", {}).get("DefaultRetention"):
            raise AuditRefused(LOCKED_BAGS)

    def lock_configuration(self, bucket: str) -> Any:
        """S3's `ObjectLockConfiguration`, or None when the bucket has no Object Lock. Raises `StoreFailed`."""
        try:
            answer = self.wire.call(self.wire.client.get_object_lock_configuration, Bucket=bucket)
        except StoreFailed as error:
            if str(error) == "ObjectLockConfigurationNotFoundError":
                return None
            raise
        except FileNotFoundError as error:
            raise StoreFailed("404") from error
        found = answer["ObjectLockConfiguration"]
        return found if found.get("ObjectLockEnabled") == "Enabled" else None

    def put_once(self, key: str, body: Body) -> bool:
        """One conditional, checksummed, locked PUT. A lost answer is settled by comparing what is there."""
        lock, checksum = self._lock(Plane.of(key)), sha256_text(body)
        for attempt in range(CONFLICT_TRIES):
            try:
                answer = self.wire.put(self.buckets(key)[0], self.prefix + key, body, checksum, IfNoneMatch="*", **lock)
            except Taken:
                self._compare(key, checksum)
                return False
            except Conflict:
                time.sleep(random.uniform(0.05, 0.2) * (attempt + 1))  # noqa: S311 - jitter
                continue
            if "ChecksumSHA256" not in answer:  # the store may have looked neither at it nor at our condition
                self._read_back(key, checksum)
            return True
        raise StoreFailed("ConditionalRequestConflict", Fault.BUSY)

    def _lock(self, plane: Plane) -> dict[str, Any]:
        settings = self.settings
        if plane is Plane.KEYS or not self._locks:
            return {}
        if self.wire.clock.must_be_asked():
            with suppress(StoreFailed, FileNotFoundError):  # a refusal tells the time, too
                self.wire.call(self.wire.client.head_bucket, Bucket=settings.bucket)
        mode = settings.content_mode if plane is Plane.CONTENT else LockMode.COMPLIANCE
        until = self.wire.clock.retain_until(settings.retention_days, settings.max_retention_days)
        return {"ObjectLockMode": mode.value, "ObjectLockRetainUntilDate": until}

    def _compare(self, key: str, checksum: str) -> None:
        place = {"Bucket": self.buckets(key)[0], "Key": self.prefix + key}
        try:
            head = self.wire.call(self.wire.client.head_object, **place, ChecksumMode="ENABLED")
        except FileNotFoundError as error:
            raise StoreFailed(VANISHED) from error
        stored = head.get("ChecksumSHA256")
        if stored is None:
            self._read_back(key, checksum)
        elif stored != checksum:
            raise Divergent(key)

    def _read_back(self, key: str, checksum: str) -> None:
        """The oldest version is the one that counts."""
        bucket = self.buckets(key)[0]
        kept = [version for version in self._versions_of(bucket, key) if not version.marker]
        try:
            stored = checksum_of(self.wire.pieces(bucket, self.prefix + key, kept[-1].id if kept else ""))
        except FileNotFoundError as error:
            raise StoreFailed(VANISHED) from error
        if stored != checksum:
            raise Divergent(key)

    def replace_key_bag(self, key: str, data: bytes) -> None:
        """The new version is durable before the old ones go, so that a death in between loses no key."""
        require_key_bag(key)
        if not any(not version.marker for bucket in self.buckets(key) for version in self._versions_of(bucket, key)):
            raise FileNotFoundError(key)
        first, *others = self.buckets(key)
        answer = self.wire.put(first, self.prefix + key, data, sha256_text(data))
        self._remove_versions(first, key, keep=answer.get("VersionId", NO_VERSION))
        for bucket in others:
            self._remove_versions(bucket, key, keep="")

    def delete_for_good(self, key: str) -> None:
        require_key_bag(key)
        for bucket in self.buckets(key):
            self._remove_versions(bucket, key, keep="")

    def _versions_of(self, bucket: str, key: str) -> list[Version]:
        full = self.prefix + key
        return [version for version in self.wire.versions(bucket, full) if version.key == full]

    def _remove_versions(self, bucket: str, key: str, keep: str) -> None:
        """Every version and every delete marker but the version `keep`; then looks whether they went."""
        for version in self._versions_of(bucket, key):
            if version.id != keep:
                self.wire.delete(bucket, version)
        if [version.id for version in self._versions_of(bucket, key)] != ([keep] if keep else []):
            raise StoreFailed("a version of a key bag is left")

    def get(self, key: str, version: str = "") -> bytes:
        return b"".join(self.pieces(key, version))

    def pieces(self, key: str, version: str = "") -> Iterator[bytes]:
        *before, last = self.buckets(key)
        for bucket in before:
            with suppress(FileNotFoundError):
                yield from self.wire.pieces(bucket, self.prefix + key, version)
                return
        yield from self.wire.pieces(last, self.prefix + key, version)

    def lock_of(self, key: str, version: str) -> tuple[str, datetime | None]:
        """The lock's mode and end; empty and None without one. Raises FileNotFoundError or `StoreFailed`."""
        place = {"Bucket": self.buckets(key)[0], "Key": self.prefix + key}
        answer = self.wire.call(self.wire.client.head_object, **place, VersionId=version)
        return answer.get("ObjectLockMode", ""), answer.get("ObjectLockRetainUntilDate")

    def list(self, prefix: str) -> Iterator[StoredObject]:
        """Key bags of both buckets, where there are two."""
        settings = self.settings
        listings = [self.wire.versions(settings.bucket, self.prefix + prefix)]
        if settings.keys_bucket:
            listings.append(self.wire.versions(settings.keys_bucket, self.prefix + prefix))
        found = heapq.merge(*listings, key=lambda version: version.key)
        for key, group in itertools.groupby(found, key=lambda version: version.key):
            each = list(group)
            kept = [version for version in reversed(each) if not version.marker]
            ids, size = tuple(version.id for version in kept), kept[0].size if kept else 0
            yield StoredObject(key.removeprefix(self.prefix), ids, len(each) - len(kept), size)

    def buckets(self, key: str) -> tuple[str, ...]:
        """Where an object is written, then where else it may be: key bags were in `bucket` before it had a sibling."""
        settings = self.settings
        if settings.keys_bucket and Plane.of(key) is Plane.KEYS:
            return settings.keys_bucket, settings.bucket
        return (settings.bucket,)
