"""The audit log's store on Ceph. `make test-ceph` names this file; `make test` does not collect it.

Ceph RGW 16 looks neither at `If-None-Match` in a bucket with versions nor at the SHA-256 header. So a duplicate is stored,
what is stored is read back, and the verifier is what finds the rest.
"""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from botocore.exceptions import ClientError

from extproc.audit.stores.inspect import MEANINGS, Result, capabilities
from extproc.audit.stores.inspect_s3 import inspect_s3
from extproc.audit.stores.s3 import Bucket
from extproc.audit.stores.store import Divergent
from tests.audit.chaos import Network, chaos

EXPECTED = json.loads(Path(__file__).with_name("ceph_enforces.json").read_bytes())
BAG = "v1/keys/test/2026/01/02/worker-0/20260102T030405Z-0123456789abcdef/0000000001.keys.jsonl"


@pytest.fixture
def ship(log, exchange):
    def into(store):
        there = log.with_(store=store)
        journal = there.open()
        exchange(journal, "x")
        journal.close()
        assert there.ship() == 1
        return there

    return into


def versions(raw, bucket: str) -> list[dict[str, object]]:
    return raw.list_object_versions(Bucket=bucket).get("Versions", [])


def test_it_enforces_what_it_was_seen_to_enforce_before(make, record_property):
    inspection = inspect_s3(replace(make("inspected"), keys_bucket=make("inspected-keys", lock=False).bucket))
    for finding in inspection.findings:
        if finding.result is not Result.ENFORCED:
            meaning = MEANINGS[finding.rule]
            record_property(
                "not enforced", f"Ceph, {finding.rule.value}: that it {meaning.expected}: {meaning.otherwise}"
            )
    assert {finding.rule.value: finding.result.value for finding in inspection.findings} == EXPECTED
    assert inspection.exit_code == 0, "what it does not enforce is found by others"
    known = capabilities(inspection.detail())
    assert known.immutable
    assert known.shreddable
    assert not known.write_once


def test_a_log_is_proven_from_the_bucket_and_nothing_locked_can_be_deleted(make, ship, raw):
    log = ship(make("proven"))
    assert log.verify(spool=False).exit_code == 0
    for version in versions(raw, "proven"):
        at = {"Bucket": "proven", "Key": version["Key"], "VersionId": version["VersionId"]}
        if "/keys/" in str(version["Key"]):
            continue
        with pytest.raises(ClientError):
            raw.delete_object(**at)
    assert log.verify(spool=False).exit_code == 0


def test_delivered_twice_is_stored_twice_and_is_no_finding(make, ship, raw, ceph_url):
    with chaos(ceph_url) as proxy:
        proxy.faults[:] = [Network.TWICE] * 5
        log = ship(replace(make("twice"), endpoint_url=proxy.url))
        assert len(versions(raw, "twice")) == 10
        assert log.verify(spool=False).exit_code == 0


def test_other_bytes_in_our_place_are_an_alarm_though_ceph_takes_ours_too(make, raw):
    store = checked(make("taken"))
    raw.put_object(Bucket="taken", Key="v1/evidence/a", Body=b"other")
    with pytest.raises(Divergent):
        store.put_once("v1/evidence/a", b"ours")


def test_the_verifier_finds_what_is_put_on_top(make, ship, raw):
    log = ship(make("topped"))
    (key,) = [
        str(item["Key"])
        for item in versions(raw, "topped")
        if "/evidence/" in str(item["Key"]) and str(item["Key"]).endswith(".jsonl")
    ]
    raw.put_object(Bucket="topped", Key=key, Body=b"{}", IfNoneMatch="*")
    report = log.verify(spool=False)
    assert report.exit_code == 1
    assert {finding.name for finding in report.findings} == {"SHADOWED"}


def test_key_bags_are_replaced_and_deleted_for_good(make, raw):
    store = checked(make("bags"))
    store.put_once(BAG, b"one")
    store.replace_key_bag(BAG, b"two")
    assert [item["Size"] for item in versions(raw, "bags")] == [3]
    assert store.get(BAG) == b"two"
    store.delete_for_good(BAG)
    assert versions(raw, "bags") == []


def checked(settings):
    store = Bucket(settings)
    store.check()
    return store
