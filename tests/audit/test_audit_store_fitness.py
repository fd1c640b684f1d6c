"""Which bucket is accepted at start, and that what was accepted is said in the log."""

import hashlib
import json
from dataclasses import replace

import boto3
import pytest
from botocore.exceptions import ClientError

from extproc.audit.refusal import AuditRefused
from extproc.audit.settings import NO_OBJECT_LOCK_SENTENCE, LockMode, S3Store
from extproc.audit.stores.s3 import Bucket
from extproc.audit.stores.store import StoreFailed

BAG = "v1/keys/test/2026/01/02/worker-0/20260102T030405Z-0123456789abcdef/0000000001.keys.jsonl"


@pytest.fixture
def raw(moto_url, s3_credentials):
    return boto3.client("s3", endpoint_url=moto_url)


@pytest.fixture
def make(raw, request):
    """A bucket's settings. `default`: it locks every new object."""
    stem = hashlib.sha256(request.node.name.encode()).hexdigest()[:20]

    def make_bucket(name: str, *, lock: bool, default: bool = False) -> S3Store:
        bucket = f"{name}-{stem}"
        raw.create_bucket(Bucket=bucket, ObjectLockEnabledForBucket=lock)
        if default:
            rule = {"DefaultRetention": {"Mode": "COMPLIANCE", "Days": 400}}
            raw.put_object_lock_configuration(
                Bucket=bucket, ObjectLockConfiguration={"ObjectLockEnabled": "Enabled", "Rule": rule}
            )
        return S3Store(bucket, endpoint_url=raw.meta.endpoint_url, region="us-east-1")

    return make_bucket


@pytest.mark.parametrize("words", ["", "yes", "true", NO_OBJECT_LOCK_SENTENCE + ".", NO_OBJECT_LOCK_SENTENCE.upper()])
def test_a_bucket_without_object_lock_is_refused_with_the_sentence_that_would_accept_it(make, words):
    with pytest.raises(AuditRefused) as refused:
        Bucket(replace(make("plain", lock=False), accept_no_object_lock=words)).check()
    assert NO_OBJECT_LOCK_SENTENCE in str(refused.value)


def test_the_exact_sentence_accepts_it_and_then_nothing_is_locked(make, raw):
    settings = replace(make("plain", lock=False), accept_no_object_lock=NO_OBJECT_LOCK_SENTENCE)
    store = Bucket(settings)
    store.check()
    store.put_once("v1/a", b"one")
    assert "ObjectLockMode" not in raw.head_object(Bucket=settings.bucket, Key="v1/a")


def test_the_sentence_unlocks_no_bucket_that_has_object_lock(make, raw):
    settings = replace(make("locked", lock=True), accept_no_object_lock=NO_OBJECT_LOCK_SENTENCE)
    store = Bucket(settings)
    store.check()
    store.put_once("v1/a", b"one")
    assert raw.head_object(Bucket=settings.bucket, Key="v1/a")["ObjectLockMode"] == "COMPLIANCE"


def test_a_bucket_that_would_lock_key_bags_is_refused_unless_they_go_elsewhere(make, raw):
    settings = make("default", lock=True, default=True)
    with pytest.raises(AuditRefused, match="keys_bucket"):
        Bucket(settings).check()
    with pytest.raises(AuditRefused, match="keys_bucket"):
        Bucket(replace(make("main", lock=True), keys_bucket=settings.bucket)).check()
    apart = replace(settings, keys_bucket=make("keys", lock=False).bucket)
    store = Bucket(apart)
    store.check()
    store.put_once("v1/a", b"one")
    store.put_once(BAG, b"key")
    assert [item["Key"] for item in raw.list_objects_v2(Bucket=apart.keys_bucket)["Contents"]] == [BAG]
    assert [item["Key"] for item in raw.list_objects_v2(Bucket=apart.bucket)["Contents"]] == ["v1/a"]
    assert [stored.key for stored in store.list("v1/")] == ["v1/a", BAG]
    store.delete_for_good(BAG)
    assert [stored.key for stored in store.list("v1/")] == ["v1/a"]


def test_key_bags_from_before_they_had_a_bucket_are_read_replaced_and_deleted(make, raw):
    old = make("old", lock=True)
    Bucket(old).put_once(BAG, b"key")
    store = Bucket(replace(old, keys_bucket=make("keys", lock=True).bucket))
    (stored,) = store.list("v1/")
    assert store.get(BAG) == store.get(BAG, stored.versions[0]) == b"key"
    store.replace_key_bag(BAG, b"other")
    assert "Versions" not in raw.list_object_versions(Bucket=old.bucket)
    assert store.get(BAG) == b"other"
    store.delete_for_good(BAG)
    assert list(store.list("v1/")) == []


def test_a_whole_log_is_proven_with_its_key_bags_apart(log, make, exchange):
    settings = replace(make("main", lock=True), keys_bucket=make("keys", lock=False).bucket, prefix="guards")
    apart = log.with_(store=settings)
    journal = apart.open()
    exchange(journal, "x")
    journal.close()
    assert apart.ship() == 1
    assert apart.verify(spool=False).exit_code == 0


@pytest.mark.parametrize("days", [0, 1201])
def test_a_retention_out_of_bounds_is_refused(make, days):
    with pytest.raises(AuditRefused, match="retention"):
        Bucket(replace(make("b", lock=True), retention_days=days)).check()


def test_a_bucket_that_is_not_there_may_come(make):
    with pytest.raises(StoreFailed, match="NoSuchBucket"):
        Bucket(replace(make("b", lock=True), bucket="nowhere")).check()


def test_an_answer_that_nothing_is_there_is_a_failure_and_no_missing_file(make, monkeypatch):
    store = Bucket(make("b", lock=True))

    def nothing(**_: object) -> None:
        raise ClientError({"Error": {"Code": "404"}}, "GetObjectLockConfiguration")

    monkeypatch.setattr(store.wire.client, "get_object_lock_configuration", nothing)
    with pytest.raises(StoreFailed):
        store.check()


def test_every_start_says_in_the_log_what_was_accepted(log):
    settings = S3Store("b", content_mode=LockMode.COMPLIANCE, accept_no_object_lock=NO_OBJECT_LOCK_SENTENCE)
    log.with_(store=settings).open().close()
    (line,) = [
        line
        for path in log.settings.spool.rglob("*.jsonl")
        for line in path.read_bytes().splitlines()
        if b"log.start" in line
    ]
    words = json.dumps(json.loads(line))
    assert NO_OBJECT_LOCK_SENTENCE in words
    assert '"content_mode": "COMPLIANCE"' in words
    assert settings.words()["retention_days"] == 400
    assert log.settings.store.words() == {"store": "directory"}
