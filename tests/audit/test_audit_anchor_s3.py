"""The anchor over buckets: it reads the gateway's, and keeps the copies of its own log in one of its own."""

import hashlib

import pytest

from extproc.audit.stores.s3 import Bucket
from tests.audit.anchoring import Witness
from tests.audit.test_audit_shipping import bucket_settings, client


@pytest.fixture
def bucket(log, moto_url, s3_credentials, request):
    def make(part: str):
        name = f"{part}-" + hashlib.sha256(request.node.name.encode()).hexdigest()[:20]
        return bucket_settings(moto_url, name)

    return make


def test_a_delete_marker_and_a_version_on_top_are_seen_and_the_oldest_is_read(
    log, exchange, bucket, moto_url, tmp_path
):
    settings = bucket("log")
    log = log.with_(store=settings)
    journal = log.open()
    exchange(journal, "x")
    journal.close()
    log.ship()
    witness = Witness(tmp_path / "anchor", log.public, copies=Bucket(bucket("copies")))
    store = Bucket(settings)
    assert (witness.watch(store).exit_code, witness.watch(store).epochs) == (0, 1)
    (manifest,) = [each.key for each in store.list("v1/evidence/") if each.key.endswith(".manifest.json")]
    (entry,) = [each.key for each in store.list("v1/registry/")]
    s3 = client(moto_url)
    s3.delete_object(Bucket=settings.bucket, Key="audit/" + manifest)
    s3.put_object(Bucket=settings.bucket, Key="audit/" + entry, Body=b"another")
    passed = witness.watch(store)
    assert [(alarm.name, alarm.where) for alarm in passed.open_alarms] == [("SHADOWED", manifest), ("SHADOWED", entry)]


def test_it_only_reads_the_gateways_bucket_and_locks_its_own_copies(log, exchange, bucket, tmp_path):
    settings, own = bucket("log"), bucket("copies")
    log = log.with_(store=settings)
    journal = log.open()
    exchange(journal, "x")
    journal.close()
    log.ship()
    called: list[tuple[str, str]] = []
    store, copies = Bucket(settings), Bucket(own)
    for name, each in (("log", store), ("copies", copies)):
        events = each.wire.client.meta.events
        events.register("before-call.s3", lambda model, name=name, **_: called.append((name, model.name)))
    Witness(tmp_path / "anchor", log.public, copies=copies).watch(store)
    assert {call for name, call in called if name == "log"} == {"ListObjectVersions", "GetObject"}
    assert {call for name, call in called if name == "copies"} == {"GetObject", "PutObject"}
    (line, note) = [each.key for each in copies.list("v1/anchor/")]
    assert (line.endswith(".jsonl"), note.endswith(".note")) == (True, True)
    head = copies.wire.client.head_object(Bucket=own.bucket, Key="audit/" + line)
    assert head["ObjectLockMode"] == "COMPLIANCE"
