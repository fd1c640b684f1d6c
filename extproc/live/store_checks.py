"""The audit store and the spool before it: reachable, locked, with room, and as fast as a durable write must be."""

import os
import statistics
import time
from collections.abc import Callable, Iterator
from typing import Any, Final

from extproc.audit.log.spool import measure
from extproc.audit.refusal import AuditRefused
from extproc.audit.settings import DirectoryStore, LockMode, S3Store
from extproc.audit.stores.store import Directory, StoreFailed
from extproc.edge.settings import Settings
from extproc.live.check import Check, failed, left, passed, warned
from extproc.live.clock_checks import OtherClock, compare_clock

SLOW_SYNC_SECONDS: Final = 0.02
"""Each exchange waits for three of these."""
_SYNCS: Final = 9
_ALARM: Final = 0.6
"""Of `max_spool`: from there on the service tells of an alarm."""
_REACH: Final = "is `audit.store` right, and do its credentials reach it?"


def check_store(settings: Settings, inspect: Callable[[], Iterator[Check]] | None) -> Iterator[Check]:
    """Reads only; `inspect` asks the store to break its rules."""
    where = settings.audit.store
    if isinstance(where, S3Store):
        yield from _check_bucket(where, settings.audit.deployment)
    else:
        yield from _check_directory(where)
    if inspect is None:
        yield left("store, rules", "not asked to break them without --probe-store, which writes")
    else:
        yield from inspect()


def _check_directory(where: DirectoryStore) -> Iterator[Check]:
    try:
        Directory(where).require_root()
    except StoreFailed as error:
        yield failed("store", str(error), _REACH)
        return
    if not os.access(where.directory, os.W_OK | os.X_OK):
        yield failed("store", f"{where.directory} cannot be written", "give the service's user the right to write")
    else:
        yield passed("store", f"{where.directory} can be written")
    said = "a directory has no locks: whoever may write to its disk can delete the log"
    yield warned("store, lock", said, "for write-once storage take a bucket with Object Lock")


def _check_bucket(where: S3Store, deployment: str) -> Iterator[Check]:
    from extproc.audit.stores.s3 import Bucket  # noqa: PLC0415 - boto3 takes a second to import

    bucket = Bucket(where)
    try:
        next(iter(bucket.list(f"v1/registry/{deployment}/")), None)
    except (StoreFailed, FileNotFoundError) as error:
        yield failed("store", f"bucket {where.bucket} cannot be listed ({error})", _REACH)
        return
    yield passed("store", f"bucket {where.bucket} can be listed")
    yield _check_lock(bucket, where)
    try:
        told = bucket.wire.clock.store_time().timestamp()
    except StoreFailed:
        yield left("clock, the store", "it does not tell its time")
    else:
        yield compare_clock(OtherClock("the store", told, time.time()))


def _check_lock(bucket: Any, where: S3Store) -> Check:
    name = "store, lock"
    try:
        bucket.check()
        lock = bucket.lock_configuration(where.bucket)
    except (AuditRefused, StoreFailed) as error:
        return failed(name, str(error), "`extproc audit inspect-store` says what the bucket enforces")
    if lock is None:
        return warned(name, f"bucket {where.bucket} has no Object Lock: `accept_no_object_lock`", "it can be deleted")
    rule = lock.get("Rule", {}).get("DefaultRetention", {})
    if rule.get("Mode") == LockMode.GOVERNANCE:
        return warned(
            name, "the bucket's default retention is GOVERNANCE", "evidence is locked in COMPLIANCE all the same"
        )
    return passed(name, f"bucket {where.bucket} has Object Lock; evidence is kept {where.retention_days} days")


def check_spool(settings: Settings) -> Iterator[Check]:
    """Room, what waits for the store, and the time of a durable write."""
    audit, spool = settings.audit, settings.audit.spool
    try:
        room = os.statvfs(spool)
        state = measure(spool, time.time())
        slowest = _sync_seconds(settings)
    except OSError as error:
        yield failed(
            "spool", f"{spool} cannot be used: {error.strerror}", "is `audit.spool` a folder of the service's?"
        )
        return
    free = room.f_bavail * room.f_frsize
    needed = audit.max_spool_bytes - state.used_bytes
    if free < needed:
        said = f"{_mib(free)} are free, and it may yet grow by {_mib(needed)}"
        yield failed("spool, room", said, "give the volume as much as `audit.max_spool`, or lower that")
    elif state.used_bytes >= audit.max_spool_bytes - audit.reserve_bytes:
        yield failed("spool, room", f"full with {_mib(state.used_bytes)}: new requests are refused", _REACH)
    elif state.used_bytes > _ALARM * audit.max_spool_bytes:
        yield warned("spool, room", f"{_mib(state.used_bytes)} wait, of {_mib(audit.max_spool_bytes)}", _REACH)
    else:
        yield passed(
            "spool, room", f"{_mib(state.used_bytes)} used of {_mib(audit.max_spool_bytes)}, {_mib(free)} free"
        )
    yield _check_lag(state.oldest_pending_seconds, state.divergent, audit.max_lag_seconds)
    said = f"a durable write takes {slowest * 1000:.1f} ms (median of {_SYNCS})"
    if slowest > SLOW_SYNC_SECONDS:
        yield warned("spool, speed", said, "take a local disk: each exchange waits for three of them")
    else:
        yield passed("spool, speed", said)


def _check_lag(lag: float, divergent: int, limit: float) -> Check:
    if divergent:
        mend = "extproc/audit/README.md says how a person moves the epoch's folder out of the spool"
        return failed("spool, lag", f"the store holds other bytes than {divergent} epoch(s) of the spool", mend)
    if lag > limit:
        return failed(
            "spool, lag", f"a segment waits for {lag:.0f} s, more than {limit:.0f} s: requests are refused", _REACH
        )
    if lag > limit / 2:
        return warned("spool, lag", f"a segment waits for {lag:.0f} s, of {limit:.0f} s", _REACH)
    return passed("spool, lag", f"nothing waits for the store for longer than {lag:.0f} s")


def _sync_seconds(settings: Settings) -> float:
    """The median of some durable writes of a page. Leaves nothing. Raises OSError."""
    path = settings.audit.spool / f".doctor-{os.getpid()}"
    file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        took = []
        for _ in range(_SYNCS):
            began = time.monotonic()
            os.write(file, bytes(4096))
            os.fdatasync(file)
            took.append(time.monotonic() - began)
        return statistics.median(took)
    finally:
        os.close(file)
        path.unlink()


def _mib(count: float) -> str:
    return f"{count / 1024 / 1024:.0f} MiB"
