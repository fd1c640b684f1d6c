"""On an S3 that enforces Object Lock: what was shipped cannot be deleted, shortened or replaced, by nobody's key."""

import hashlib
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import boto3
import pytest
from botocore.exceptions import ClientError

from extproc.audit.log.journal import write_once
from extproc.audit.names import Origin, Part
from extproc.audit.reading.exchanges import show_exchange
from extproc.audit.reading.replay import read_transcript
from extproc.audit.refusal import AuditRefused
from extproc.audit.retention import retention
from extproc.audit.retention.over_age import WRITER, RetentionJob
from extproc.audit.retention.retention import check_retention
from extproc.audit.retention.shredding import find_keys
from extproc.audit.settings import LockMode, S3Store
from extproc.audit.stores.store import Divergent
from extproc.core.record import Actor


@pytest.fixture(scope="module")
def s3(locking_url):
    return boto3.client(
        "s3",
        endpoint_url=locking_url,
        aws_access_key_id="test",
        aws_secret_access_key="test",
        region_name="us-east-1",
    )


@pytest.fixture
def locked(log, s3, s3_credentials, exchange, tmp_path):
    """A closed epoch in a bucket with Object Lock."""
    bucket = "lock-" + hashlib.sha256(bytes(tmp_path)).hexdigest()[:12]
    s3.create_bucket(Bucket=bucket, ObjectLockEnabledForBucket=True)
    log = log.with_(store=S3Store(bucket=bucket, endpoint_url=s3.meta.endpoint_url, region="us-east-1"))
    journal = log.with_(segment_bytes=1_500).open()
    exchange(journal, "x-1")
    exchange(journal, "x-2")
    journal.close()
    assert log.ship() >= 2
    return log


def versions(s3, bucket: str) -> list[tuple[str, str]]:
    return [(item["Key"], item["VersionId"]) for item in s3.list_object_versions(Bucket=bucket)["Versions"]]


def refused(operation, **params) -> str:
    with pytest.raises(ClientError) as error:
        operation(**params)
    return str(error.value.response["Error"]["Code"])


def test_the_log_is_proven_from_the_bucket_alone(locked):
    assert locked.verify(spool=False).exit_code == 0
    assert locked.verify().exit_code == 0
    assert locked.ship() == 0


def test_no_retained_version_can_be_deleted_shortened_or_downgraded(locked, s3):
    bucket = locked.settings.store.bucket
    soon = datetime.now(UTC) + timedelta(days=1)
    for key, version in versions(s3, bucket):
        if key.startswith(("v1/keys/", "v1/content/")):
            continue
        at = {"Bucket": bucket, "Key": key, "VersionId": version}
        retention = s3.get_object_retention(**at)["Retention"]
        assert retention["Mode"] == "COMPLIANCE"
        assert retention["RetainUntilDate"] > datetime.now(UTC) + timedelta(days=399)
        assert refused(s3.delete_object, **at) == "AccessDenied"
        assert refused(s3.delete_object, **at, BypassGovernanceRetention=True) == "AccessDenied"
        for changed in (
            {"Mode": "COMPLIANCE", "RetainUntilDate": soon},
            {"Mode": "GOVERNANCE", "RetainUntilDate": soon},
        ):
            assert refused(s3.put_object_retention, **at, Retention=changed) == "AccessDenied"
    assert locked.verify(spool=False).exit_code == 0


@pytest.mark.parametrize("mode", LockMode)
def test_content_is_locked_in_the_mode_that_the_configuration_names(log, s3, s3_credentials, mode):
    """GOVERNANCE goes only to who has a right of its own for it."""
    s3.create_bucket(Bucket=f"content-{mode.lower()}", ObjectLockEnabledForBucket=True)
    settings = S3Store(f"content-{mode.lower()}", endpoint_url=s3.meta.endpoint_url, region="us-east-1")
    log = log.with_(store=replace(settings, content_mode=mode))
    key = Origin("test", "worker-0", "20260102T030405Z-0123456789abcdef").object_key(Part.CONTENT, 1)
    log.store.put_once(key, b"sealed")
    ((_, version),) = versions(s3, settings.bucket)
    at = {"Bucket": settings.bucket, "Key": key, "VersionId": version}
    assert s3.get_object_retention(**at)["Retention"]["Mode"] == mode
    assert refused(s3.delete_object, **at) == "AccessDenied"
    if mode is LockMode.COMPLIANCE:
        assert refused(s3.delete_object, **at, BypassGovernanceRetention=True) == "AccessDenied"
    else:
        s3.delete_object(**at, BypassGovernanceRetention=True)


def test_key_bags_are_not_retained_so_that_an_exchange_can_be_shredded(locked, s3):
    bucket = locked.settings.store.bucket
    bags = [(key, version) for key, version in versions(s3, bucket) if key.startswith("v1/keys/")]
    assert bags
    for key, version in bags:
        s3.delete_object(Bucket=bucket, Key=key, VersionId=version)
    report = locked.verify(spool=False)
    assert {finding.name for finding in report.findings} == {"CONTENT_KEY_ABSENT"}


def test_the_store_holds_a_key_against_other_bytes(locked):
    store = locked.store
    stored = next(iter(store.list("v1/evidence/")))
    store.put_once(stored.key, store.get(stored.key))
    with pytest.raises(Divergent):
        store.put_once(stored.key, b"other")


def test_the_strongest_attack_left_is_seen(locked, s3):
    """With every right on the bucket: delete markers over the newest objects, and new versions on top of others."""
    bucket = locked.settings.store.bucket
    keys = [key for key, _ in versions(s3, bucket) if key.startswith("v1/evidence/")]
    s3.delete_object(Bucket=bucket, Key=keys[-1])
    s3.put_object(Bucket=bucket, Key=keys[0], Body=b"{}")
    report = locked.verify(spool=False)
    assert report.exit_code == 1
    assert {(finding.name, finding.where) for finding in report.findings} == {
        ("SHADOWED", keys[0]),
        ("SHADOWED", keys[-1]),
    }
    assert report.records > 0


def test_after_shredding_no_version_of_any_bag_has_the_key(locked, s3):
    """Also where a version was put on top, and the bag hidden by a delete marker."""
    bucket = locked.settings.store.bucket
    bag = next(
        key
        for key, version in versions(s3, bucket)
        if key.startswith("v1/keys/") and b'"x-1"' in at(s3, bucket, key, version)
    )
    s3.put_object(Bucket=bucket, Key=bag, Body=at(s3, bucket, bag, versions_of(s3, bucket, bag)[0]) + b"\n")
    s3.delete_object(Bucket=bucket, Key=bag)
    log = locked.with_(shredders=("privacy",))
    holdings = log.look()
    found = find_keys(holdings, show_exchange(holdings, "x-1"))
    assert [holder.name for holder in found.holders] == [bag]
    found.destroy()
    for key, version in versions(s3, bucket):
        if key.startswith("v1/keys/"):
            assert b'"x-1"' not in at(s3, bucket, key, version)
    assert len(versions_of(s3, bucket, bag)) == 1
    assert "DeleteMarkers" not in s3.list_object_versions(Bucket=bucket, Prefix=bag)
    with pytest.raises(AuditRefused):
        read_transcript(log.look(), log.keys, "x-1")
    assert read_transcript(log.look(), log.keys, "x-2").closed
    assert {str(finding.name) for finding in log.verify(spool=False).findings} <= {"CONTENT_KEY_ABSENT"}


def test_over_age_keys_are_gone_in_every_version(locked, s3):
    bucket = locked.settings.store.bucket
    log = locked.with_(content_retention_days=1)
    job = RetentionJob(
        log.settings,
        log.store,
        lambda records: write_once(log.settings, log.keys, WRITER, records),
        lambda before: 0,
        Actor(uid="os|auditor"),
        "host",
        lambda approvals: 0,
    )
    assert any(key.startswith("v1/keys/") for key, _ in versions(s3, bucket))
    assert job.enforce(int((datetime.now(UTC) + timedelta(days=2)).timestamp() * 1000)).bags == 0
    assert not any(key.startswith("v1/keys/") for key, _ in versions(s3, bucket))
    assert "DeleteMarkers" not in s3.list_object_versions(Bucket=bucket)
    report = log.verify()
    assert (report.exit_code, {str(finding.name) for finding in report.findings}) == (0, {"CONTENT_KEY_ABSENT"})


def at(s3, bucket: str, key: str, version: str) -> bytes:
    return s3.get_object(Bucket=bucket, Key=key, VersionId=version)["Body"].read()


def versions_of(s3, bucket: str, key: str) -> list[str]:
    return [version for each, version in versions(s3, bucket) if each == key]


def test_the_retention_check_looks_at_locks(locked, monkeypatch):
    now_ms = int(datetime.now(UTC).timestamp() * 1000)
    found = check_retention(locked.settings, locked.look(), now_ms)
    assert (found.sampled > 0, found.unlocked, found.out_of_reach, found.over_age) == (True, (), (), ())
    assert found.bags > 0
    monkeypatch.setattr(retention, "HISTORY_DAYS", 800)
    assert len(check_retention(locked.settings, locked.look(), now_ms).unlocked) == found.sampled
