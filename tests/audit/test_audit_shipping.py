"""Shipping: in order, once, and gone from the spool only when the store holds it."""

import base64
import contextlib
import fcntl
import hashlib
import os
import time
import tracemalloc
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from extproc.audit.files import sha256_of
from extproc.audit.log.shipper import Shipper
from extproc.audit.settings import DirectoryStore, S3Store
from extproc.audit.stores.s3 import Bucket
from extproc.audit.stores.store import Directory, Divergent, Fault, StoreFailed
from extproc.core.reasons import Unavailable


class TestDirectory:
    def test_a_pass_without_anything_new_ships_nothing(self, shipped):
        before = {path: path.read_bytes() for path in shipped.store_path.rglob("*") if path.is_file()}
        assert shipped.ship() == 0
        assert before == {path: path.read_bytes() for path in shipped.store_path.rglob("*") if path.is_file()}
        assert list((shipped.settings.spool / "epochs").rglob("*.jsonl")) == []

    def test_a_living_writer_keeps_its_epoch(self, log, exchange):
        journal = log.open()
        exchange(journal, "x-1")
        assert log.ship() == 0
        exchange(journal, "x-2")
        assert log.ship() == 0
        journal.close()
        assert log.ship() > 0
        assert log.verify().exit_code == 0

    def test_while_another_ships_it_leaves_everything_to_that_one(self, log, exchange):
        journal = log.open()
        exchange(journal, "x-1")
        journal.close()
        lock = os.open(log.settings.spool / "ship.lock", os.O_RDWR | os.O_CREAT, 0o600)
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert log.ship() == 0
        os.close(lock)
        assert log.ship() > 0

    def test_taken_by_the_same_bytes_is_done_by_others_is_divergent(self, tmp_path):
        store = Directory(DirectoryStore(tmp_path))
        store.put_once("v1/a/b", b"one")
        store.put_once("v1/a/b", b"one")
        with pytest.raises(Divergent):
            store.put_once("v1/a/b", b"two")
        assert store.get("v1/a/b") == b"one"

    def test_a_death_before_the_link_leaves_no_object(self, tmp_path, monkeypatch):
        store = Directory(DirectoryStore(tmp_path))

        def dies(*_: object) -> None:
            raise OSError("dies")

        monkeypatch.setattr(os, "link", dies)
        with pytest.raises(StoreFailed):
            store.put_once("v1/a/b", b"one")
        assert list(store.list("v1/")) == []

    def test_a_death_at_any_step_is_made_good_by_the_next_pass(self, log, exchange, monkeypatch):
        """The shipper dies at its 1st, 2nd, … unlink or put; another finishes; the log is proven."""
        for step in range(1, 12):
            journal = log.open(f"worker-{step}")
            exchange(journal, f"x-{step}")
            journal.close()
            calls = 0
            real_unlink, real_put = Path.unlink, Directory.put_once

            def counted(real, step=step):
                def call(*arguments, **named):
                    nonlocal calls
                    calls += 1
                    if calls == step:
                        raise StoreFailed("dies")
                    return real(*arguments, **named)

                return call

            monkeypatch.setattr(Path, "unlink", counted(real_unlink))
            monkeypatch.setattr(Directory, "put_once", counted(real_put))
            with contextlib.suppress(Unavailable):
                log.ship()
            monkeypatch.undo()
            assert log.verify().exit_code == 0, step
            log.ship()
            assert log.verify(spool=False).exit_code == 0, step
            assert list((log.settings.spool / "epochs" / f"worker-{step}").iterdir()) == []

    def test_a_store_that_is_away_keeps_everything_in_the_spool(self, log, exchange, tmp_path):
        journal = log.open()
        exchange(journal, "x")
        journal.close()
        (tmp_path / "file").write_text("no directory")
        away = log.with_(store=DirectoryStore(tmp_path / "file" / "store"))
        with pytest.raises((Unavailable, OSError)):
            away.ship()
        assert log.ship() == 1
        assert log.verify().exit_code == 0

    def test_one_divergent_epoch_does_not_stop_the_others(self, log, exchange):
        for writer in ("a", "b", "c"):
            journal = log.open(writer)
            exchange(journal, f"x-{writer}")
            journal.close()
        bad = next((log.settings.spool / "epochs" / "b").iterdir())
        key = f"v1/evidence/test/{bad.name[:4]}/{bad.name[4:6]}/{bad.name[6:8]}/b/{bad.name}/0000000001.jsonl"
        (log.store_path / key).parent.mkdir(parents=True)
        (log.store_path / key).write_bytes(b"other")
        with pytest.raises(Unavailable):
            log.ship()
        assert not list((log.settings.spool / "epochs" / "c").iterdir())
        assert bad.exists()

    def test_the_age_of_the_oldest_pending_segment_is_told(self, log, exchange, monkeypatch):
        journal = log.open()
        exchange(journal, "x")
        journal.close()
        manifest = next(log.settings.spool.rglob("*.manifest.json"))
        os.utime(manifest, (manifest.stat().st_mtime - 100, manifest.stat().st_mtime - 100))

        def away(*_: object, **__: object) -> None:
            raise StoreFailed("away")

        monkeypatch.setattr(Directory, "put_once", away)
        with pytest.raises(Unavailable):
            log.ship()
        monkeypatch.undo()
        assert Shipper(log.settings).ship_pending().oldest_pending_age_seconds == 0.0


def client(url: str):
    return boto3.client("s3", endpoint_url=url, config=Config(retries={"total_max_attempts": 1}))


def md5(data: bytes) -> str:
    return base64.b64encode(hashlib.md5(data, usedforsecurity=False).digest()).decode()


def bucket_settings(url: str, name: str, *, lock: bool = True, retention_days: int = 400) -> S3Store:
    client(url).create_bucket(Bucket=name, ObjectLockEnabledForBucket=lock)
    return S3Store(bucket=name, prefix="audit", endpoint_url=url, region="us-east-1", retention_days=retention_days)


@pytest.fixture
def on_s3(log, moto_url, s3_credentials, request):
    name = "b-" + hashlib.sha256(request.node.name.encode()).hexdigest()[:20]
    return log.with_(store=bucket_settings(moto_url, name))


def test_a_large_object_is_sent_and_read_in_little_memory(on_s3, tmp_path):
    sent, read = [], []
    for number, mebibytes in enumerate((1, 2, 12)):  # the first for what is imported and cached once
        path, key = tmp_path / str(number), f"v1/content/{number}"
        path.write_bytes(number.to_bytes(4) * (mebibytes * 2**18))
        for peaks, run in (
            (sent, lambda path=path, key=key: on_s3.store.put_once(key, path)),
            (read, lambda key=key: [None for _ in on_s3.store.pieces(key)]),
        ):
            tracemalloc.start()
            try:
                run()
                peaks.append(tracemalloc.get_traced_memory()[1])
            finally:
                tracemalloc.stop()
        assert sha256_of(path) == hashlib.sha256(on_s3.store.get(key)).digest()
    assert sent[2] < 1.2 * sent[1] < 6 * 2**20
    assert read[2] < 1.2 * read[1] < 6 * 2**20
    on_s3.store.put_once("v1/content/2", tmp_path / "2")
    with pytest.raises(Divergent):
        on_s3.store.put_once("v1/content/2", tmp_path / "1")


class TestWireShape:
    """Against moto: what is sent. What a store enforces is tested in test_audit_object_lock.py."""

    def test_every_put_is_conditional_checksummed_and_locked_but_the_key_bags(self, on_s3, exchange):
        journal = on_s3.open()
        exchange(journal, "x")
        journal.close()
        store = on_s3.store
        sent = []
        shipper = Shipper(on_s3.settings)
        shipper._store = store
        store.wire.client.meta.events.register(
            "provide-client-params.s3.PutObject", lambda params, **_: sent.append(dict(params))
        )
        assert shipper.ship_pending().shipped == 1
        assert [params["Key"].rpartition("/")[2].partition(".")[2] for params in sent] == [
            "json",
            "jsonl",
            "content",
            "keys.jsonl",
            "manifest.json",
        ]
        for params in sent:
            assert params["Key"].startswith("audit/v1/")
            assert params["IfNoneMatch"] == "*"
            assert params["ChecksumAlgorithm"] == "SHA256"
            assert base64.b64decode(params["ChecksumSHA256"]) == hashlib.sha256(params["Body"]).digest()
            if "/keys/" in params["Key"]:
                assert "ObjectLockMode" not in params
            else:
                mode = "GOVERNANCE" if "/content/" in params["Key"] else "COMPLIANCE"
                assert params["ObjectLockMode"] == mode
                kept = params["ObjectLockRetainUntilDate"] - datetime.now(UTC)
                assert timedelta(days=400) <= kept <= timedelta(days=400, minutes=6)
        assert on_s3.verify().exit_code == 0
        assert on_s3.verify(spool=False).exit_code == 0

    def test_a_lost_answer_is_settled_by_comparing(self, on_s3):
        store = on_s3.store
        store.put_once("v1/a", b"one")
        store.put_once("v1/a", b"one")
        with pytest.raises(Divergent):
            store.put_once("v1/a", b"two")
        assert [len(stored.versions) for stored in store.list("v1/")] == [1]

    def test_where_no_checksum_is_told_the_version_that_counts_is_read_back(self, on_s3, monkeypatch):
        """As on a store that looks neither at the checksum nor at the condition."""
        store = on_s3.store
        real = store.wire.client.put_object

        def put_object(**params):
            for name in ("IfNoneMatch", "ChecksumAlgorithm", "ChecksumSHA256"):
                params.pop(name, None)
            damaged = params["Body"].replace(b"damage", b"mess")
            return {name: value for name, value in real(**{**params, "Body": damaged}, ContentMD5=md5(damaged)).items()
                    if not name.startswith("Checksum")}  # fmt: skip

        monkeypatch.setattr(store.wire.client, "put_object", put_object)
        store.put_once("v1/a", b"one")
        store.put_once("v1/a", b"one")
        for key, data in (("v1/a", b"two"), ("v1/b", b"damage")):
            with pytest.raises(Divergent):
                store.put_once(key, data)

    def test_a_conflict_is_tried_again_and_a_refusal_is_not(self, on_s3, monkeypatch):
        store = on_s3.store
        answers = [409, 409, None]
        real = store.wire.client.put_object

        def put_object(**params):
            code = answers.pop(0)
            if code is not None:
                name = "ConditionalRequestConflict" if code == 409 else "AccessDenied"
                raise ClientError({"Error": {"Code": name}}, "PutObject")
            return real(**params)

        monkeypatch.setattr(store.wire.client, "put_object", put_object)
        store.put_once("v1/a", b"one")
        assert answers == []
        answers[:] = [403, None]
        with pytest.raises(StoreFailed):
            store.put_once("v1/b", b"one")
        assert answers == [None]

    def test_a_bucket_without_object_lock_is_refused(self, log, moto_url, s3_credentials, exchange):
        plain = log.with_(store=bucket_settings(moto_url, "plain", lock=False))
        journal = plain.open()
        exchange(journal, "x")
        journal.close()
        with pytest.raises(Unavailable):
            plain.ship()
        assert list(plain.settings.spool.rglob("*.manifest.json"))

    @pytest.mark.parametrize("hours", [-1, 1, 24 * 365])
    def test_a_clock_far_from_the_stores_stores_nothing(self, on_s3, hours):
        store = on_s3.store
        store.wire.clock._wall = lambda: time.time() + hours * 3_600
        with pytest.raises(StoreFailed) as failed:
            store.put_once("v1/a", b"one")
        assert (failed.value.fault, str(failed.value)) == (Fault.CLOCK, "the clock differs from the store's")
        assert list(store.list("")) == []
        store.wire.clock._wall = time.time
        store.put_once("v1/a", b"one")

    def test_an_unreachable_store_keeps_everything(self, log, exchange, s3_credentials):
        settings = S3Store(bucket="b", endpoint_url="http://127.0.0.1:9", region="us-east-1")
        away = log.with_(store=settings)
        journal = away.open()
        exchange(journal, "x")
        journal.close()
        shipper = Shipper(away.settings)
        shipper._store = Bucket(settings)
        shipper._store.wire.client = client("http://127.0.0.1:9")
        with pytest.raises(Unavailable):
            shipper.ship_pending()
        assert log.ship() == 1

    def test_a_shadowed_object_is_found_and_the_oldest_version_is_read(self, on_s3, exchange):
        journal = on_s3.open()
        exchange(journal, "x")
        journal.close()
        on_s3.ship()
        raw = client(on_s3.settings.store.endpoint_url)
        bucket = on_s3.settings.store.bucket
        stored = [item for item in on_s3.store.list("v1/evidence/") if item.key.endswith(".jsonl")]
        raw.put_object(Bucket=bucket, Key="audit/" + stored[0].key, Body=b"{}")
        report = on_s3.verify()
        assert report.exit_code == 1
        assert {finding.name for finding in report.findings} == {"SHADOWED"}

    def test_a_delete_marker_is_found(self, on_s3, exchange):
        journal = on_s3.open()
        exchange(journal, "x")
        journal.close()
        on_s3.ship()
        raw = client(on_s3.settings.store.endpoint_url)
        for item in list(on_s3.store.list("v1/")):
            raw.delete_object(Bucket=on_s3.settings.store.bucket, Key="audit/" + item.key)
        report = on_s3.verify()
        assert report.exit_code == 1
        assert {finding.name for finding in report.findings} == {"SHADOWED"}
        assert report.records > 0, "and what lies below the markers is still proven"

    def test_the_same_bytes_twice_are_no_finding(self, on_s3, exchange):
        journal = on_s3.open()
        exchange(journal, "x")
        journal.close()
        on_s3.ship()
        raw = client(on_s3.settings.store.endpoint_url)
        for item in list(on_s3.store.list("v1/")):
            data = on_s3.store.get(item.key)
            raw.put_object(Bucket=on_s3.settings.store.bucket, Key="audit/" + item.key, Body=data)
        assert on_s3.verify().exit_code == 0

    def test_retention_must_be_positive(self, on_s3):
        with pytest.raises(Unavailable):
            on_s3.with_(store=replace(on_s3.settings.store, retention_days=0)).ship()
