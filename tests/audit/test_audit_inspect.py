"""`extproc audit inspect-store`: what a store enforces is asked, told, recorded, and never assumed."""

import hashlib
import json
import os
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import boto3
import pytest
from click.testing import CliRunner

from extproc.audit.records.line import parse_record
from extproc.audit.settings import DirectoryStore, S3Store
from extproc.audit.stores import inspect_probes
from extproc.audit.stores.inspect import MEANINGS, Capabilities, Finding, Inspection, Result, Rule, capabilities
from extproc.audit.stores.inspect_directory import inspect_directory
from extproc.audit.stores.inspect_probes import Outcome, Probes
from extproc.audit.stores.inspect_s3 import NO_RIGHT, inspect_s3
from extproc.audit.stores.store import Directory, StoreFailed
from extproc.cli.main import main
from extproc.core.record import EventCode, Record
from tests.audit.configured import write_config

EXPECTED = json.loads(Path(__file__).with_name("localstack_enforces.json").read_bytes())


def make_buckets(url: str, name: str) -> S3Store:
    """A bucket with Object Lock, and one without for the key bags."""
    raw = boto3.client("s3", endpoint_url=url, region_name="us-east-1")
    raw.create_bucket(Bucket=name, ObjectLockEnabledForBucket=True)
    raw.create_bucket(Bucket=f"{name}-keys")
    return S3Store(name, prefix="guards", keys_bucket=f"{name}-keys", endpoint_url=url, region="us-east-1")


def raw_versions(settings: S3Store) -> list[dict[str, object]]:
    raw = boto3.client("s3", endpoint_url=settings.endpoint_url, region_name="us-east-1")
    return [
        item
        for bucket in (settings.bucket, settings.keys_bucket)
        for item in raw.list_object_versions(Bucket=bucket).get("Versions", [])
    ]


def result_of(inspection: Inspection, rule: Rule) -> Finding:
    (finding,) = [finding for finding in inspection.findings if finding.rule is rule]
    return finding


@pytest.fixture
def run(tmp_path: Path, log):
    """The command, with a configuration that names the store; and the records that the log then holds."""

    def invoke(store: dict[str, object], *arguments: str):
        config = write_config(tmp_path, audit={"store": store})
        command = ["audit", "inspect-store", "--config", str(config), *arguments]
        return CliRunner().invoke(main, command)

    return invoke


def records(spool: Path) -> list[Record]:
    lines = [line for path in spool.rglob("*.jsonl") for line in path.read_bytes().splitlines()]
    found = [parse_record(line) for line in lines if b"store.inspect" in line]
    return sorted(found, key=lambda record: record.time_ms)


class TestOnAServerWithObjectLock:
    def test_it_enforces_what_it_was_seen_to_enforce_before(self, locking_url, s3_credentials, record_property):
        settings = make_buckets(locking_url, "inspected")
        before = datetime.now(UTC)
        inspection = inspect_s3(settings)
        assert {finding.rule.value: finding.result.value for finding in inspection.findings} == EXPECTED
        for finding in inspection.findings:
            if finding.result is not Result.ENFORCED:
                meaning = MEANINGS[finding.rule]
                record_property(
                    "not enforced", f"LocalStack, {finding.rule.value}: that it {meaning.expected}: {meaning.otherwise}"
                )
        assert inspection.exit_code == 1, "a wrong secret key is taken"
        assert capabilities(inspection.detail()).immutable
        left = raw_versions(settings)
        assert {item["Key"] for item in left} == set(inspection.kept), "what stays is named, and nothing else stays"
        assert all(key.startswith(inspection.place) for key in inspection.kept)
        assert inspection.place.startswith("guards/inspect/")
        raw = boto3.client("s3", endpoint_url=locking_url, region_name="us-east-1")
        for item in left:
            lock = raw.head_object(Bucket=settings.bucket, Key=item["Key"], VersionId=item["VersionId"])
            assert lock["ObjectLockRetainUntilDate"] < before + timedelta(seconds=300), "the shortest lock"

    def test_the_command_tells_it_and_records_it_before_and_after(self, run, locking_url, s3_credentials, tmp_path):
        settings = make_buckets(locking_url, "commanded")
        store = {"bucket": settings.bucket, "endpoint_url": locking_url, "region": "us-east-1"}
        answer = run({"s3": store})
        assert answer.exit_code == 1, answer.output
        lines = answer.output.splitlines()
        assert any(line.startswith("not enforced") and "wrong_secret" in line for line in lines)
        assert any("this matters: whoever knows the key's id can write and read" in line for line in lines)
        assert any(line.startswith("could not be asked") and "lock_needs_locking_bucket" in line for line in lines)
        assert any(line.startswith("stays until its lock is over: inspect/") for line in lines)
        assert lines[-1] == "NOT everything that matters is enforced"
        begun, done = records(tmp_path / "spool")
        assert (begun.event_code, begun.detail) == (EventCode.STORE_INSPECT, {"state": "begun"})
        assert begun.actor.uid.startswith("os|")
        known = capabilities(done.detail)
        assert known.results[Rule.DELETE_LOCKED] is Result.ENFORCED
        assert known.results[Rule.WRONG_SECRET] is Result.NOT_ENFORCED
        assert capabilities(begun.detail) is None


class TestOnAServerThatOnlyLooksLikeIt:
    """moto: nothing is claimed from it."""

    @pytest.fixture
    def settings(self, moto_url, s3_credentials, request) -> S3Store:
        return make_buckets(moto_url, f"inspect-{hashlib.sha256(request.node.name.encode()).hexdigest()[:12]}")

    def test_what_can_be_shortened_is_not_immutable(self, settings):
        inspection = inspect_s3(settings)
        found = {finding.rule for finding in inspection.findings if finding.matters}
        assert found >= {Rule.SHORTEN, Rule.DOWNGRADE, Rule.SUSPEND_VERSIONS, Rule.CHECKSUM_HONEST}
        assert inspection.exit_code == 1
        known = capabilities(inspection.detail())
        assert not known.immutable
        assert known.sentences()[0].startswith("It was not shown")

    def test_versions_that_it_turned_off_are_on_again(self, settings):
        inspect_s3(settings)
        raw = boto3.client("s3", endpoint_url=settings.endpoint_url)
        assert raw.get_bucket_versioning(Bucket=settings.bucket)["Status"] == "Enabled"

    def test_a_refusal_for_want_of_rights_proves_nothing(self, settings, monkeypatch):
        """The writer's own credentials may not delete at all: that is no lock."""
        real = Probes.ask

        def ask(probes, operation, **parameters):
            forbidden = ("delete_object", "delete_objects", "put_object_retention", "put_bucket_versioning")
            if operation.__name__ in forbidden:
                return Outcome(403, "AccessDenied"), {}
            return real(probes, operation, **parameters)

        monkeypatch.setattr(Probes, "ask", ask)
        inspection = inspect_s3(settings)
        for rule in (Rule.DELETE_LOCKED, Rule.DELETE_LOCKED_BYPASS, Rule.DELETE_MANY_LOCKED, Rule.GOVERNANCE_DELETE):
            assert result_of(inspection, rule) == Finding(rule, Result.NOT_ASKED, NO_RIGHT)
        for rule in (Rule.SHORTEN, Rule.DOWNGRADE, Rule.SUSPEND_VERSIONS, Rule.BAG_DELETE, Rule.WRITE_ONCE_MARKER):
            assert result_of(inspection, rule).result is Result.NOT_ASKED
        assert set(inspection.kept) == {item["Key"] for item in raw_versions(settings)}

    def test_where_the_policy_forbids_short_locks_the_configured_one_is_used_and_named(self, settings, monkeypatch):
        real = Probes.put

        def put(probes, bucket, key, *body, **more):
            until = more.get("ObjectLockRetainUntilDate")
            if until is not None and until < datetime.now(UTC) + timedelta(days=396):
                return Outcome(403, "AccessDenied"), inspect_probes.Probe(bucket, key, "")
            return real(probes, bucket, key, *body, **more)

        monkeypatch.setattr(Probes, "put", put)
        inspection = inspect_s3(settings)
        assert result_of(inspection, Rule.DELETE_LOCKED).result is Result.ENFORCED
        assert inspection.kept

    def test_a_default_retention_on_the_key_bags_is_told_and_nothing_is_put_there(self, settings):
        raw = boto3.client("s3", endpoint_url=settings.endpoint_url)
        rule = {"DefaultRetention": {"Mode": "COMPLIANCE", "Days": 400}}
        raw.put_object_lock_configuration(
            Bucket=settings.bucket, ObjectLockConfiguration={"ObjectLockEnabled": "Enabled", "Rule": rule}
        )
        inspection = inspect_s3(replace(settings, keys_bucket=""))
        assert result_of(inspection, Rule.BAG_DEFAULT).result is Result.NOT_ENFORCED
        assert result_of(inspection, Rule.BAG_DELETE).result is Result.NOT_ENFORCED
        for item in raw.list_object_versions(Bucket=settings.bucket)["Versions"]:
            head = raw.head_object(Bucket=settings.bucket, Key=item["Key"], VersionId=item["VersionId"])
            until = head.get("ObjectLockRetainUntilDate")  # none where moto took a lock without a date
            assert until is None or until < datetime.now(UTC) + timedelta(days=1)

    def test_a_bucket_without_object_lock_holds_nothing(self, settings):
        inspection = inspect_s3(replace(settings, bucket=settings.keys_bucket, keys_bucket=""))
        assert result_of(inspection, Rule.OBJECT_LOCK).result is Result.NOT_ENFORCED
        assert result_of(inspection, Rule.DELETE_LOCKED).result is Result.NOT_ENFORCED
        assert inspection.exit_code == 1
        assert inspection.kept == ()


class TestOnADirectory:
    def test_it_says_plainly_that_nothing_is_prevented(self, run, tmp_path):
        answer = run({"directory": "store"})
        assert answer.exit_code == 1, answer.output
        assert "A directory is tamper-evident only" in answer.output
        assert "not enforced        delete_locked" in answer.output
        assert "enforced            write_once" in answer.output
        assert list((tmp_path / "store").iterdir()) == [], "its own files are gone"
        begun, done = records(tmp_path / "spool")
        assert begun.detail["state"] == "begun"
        assert not capabilities(done.detail).immutable
        assert capabilities(done.detail).write_once
        assert capabilities(done.detail).shreddable

    def test_one_that_is_not_there_is_not_created(self, run, tmp_path):
        (tmp_path / "store").rmdir()
        answer = run({"directory": "store"})
        assert answer.exit_code == 2
        assert f"{tmp_path / 'store'} is not there" in answer.output
        assert not (tmp_path / "store").exists()

    def test_json(self, run):
        body = json.loads(run({"directory": "store"}, "--json").output)
        assert body["exit_code"] == 1
        assert {finding["rule"]: finding["result"] for finding in body["findings"]}["bag_delete"] == "enforced"
        assert body["sentences"][0].startswith("A directory is tamper-evident only")

    def test_a_store_that_keeps_nothing_is_seen(self, tmp_path, monkeypatch):
        monkeypatch.setattr(Directory, "put_once", lambda store, key, data: replace_file(store._root / key, data))
        inspection = inspect_directory(DirectoryStore(tmp_path))
        assert result_of(inspection, Rule.WRITE_ONCE).result is Result.NOT_ENFORCED

    def test_one_that_cannot_be_written_is_a_failure(self, tmp_path):
        (tmp_path / "file").write_text("")
        with pytest.raises((StoreFailed, OSError)):
            inspect_directory(DirectoryStore(tmp_path / "file"))


def replace_file(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)


def test_a_store_that_cannot_be_reached_is_exit_2_and_its_asking_is_in_the_log(run, s3_credentials, tmp_path):
    answer = run({"s3": {"bucket": "nowhere", "endpoint_url": "http://127.0.0.1:9", "region": "us-east-1"}})
    assert answer.exit_code == 2
    assert "could not be asked" in answer.output
    (begun,) = records(tmp_path / "spool")
    assert begun.detail == {"state": "begun"}


def test_nothing_is_asked_that_cannot_be_recorded(run, tmp_path):
    (tmp_path / "spool").write_text("no folder")
    os.utime(tmp_path / "store", (1, 1))
    answer = run({"directory": "store"})
    assert answer.exit_code == 2
    assert (tmp_path / "store").stat().st_mtime == 1  # nothing was even tried in it


class TestWhatFollows:
    def test_every_rule_has_a_meaning(self):
        assert set(MEANINGS) == set(Rule)

    @pytest.mark.parametrize("rule", Rule)
    def test_a_rule_that_matters_decides_and_another_does_not(self, rule):
        for result in Result:
            findings = tuple(Finding(each, result if each is rule else Result.ENFORCED) for each in Rule)
            code = {Result.ENFORCED: 0, Result.NOT_ENFORCED: 1, Result.NOT_ASKED: 2}[result]
            assert Inspection("s3", "", findings).exit_code == (code if MEANINGS[rule].needed else 0)

    def test_only_what_was_shown_is_claimed(self):
        shown = {rule.value: "enforced" for rule in Rule}
        assert capabilities({"state": "done", "store": "s3", **shown}).immutable
        for rule in (Rule.OBJECT_LOCK, Rule.DELETE_LOCKED, Rule.SHORTEN, Rule.OLDEST_STAYS):
            less = {name: value for name, value in shown.items() if name != rule}
            assert not capabilities({"state": "done", "store": "s3", **less}).immutable

    def test_records_of_later_versions_are_read(self):
        later = {"state": "done", "store": "s3", "rule_of_2030": "enforced", "delete_locked": "perhaps", "kept": 3}
        assert capabilities(later) == Capabilities("s3", {})
