"""What the doctor asks of spool, audit store and approval store, each broken alone. Nothing of ours runs."""

import os
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import boto3
import pytest
import sqlalchemy
from moto.server import ThreadedMotoServer

from extproc.approvals.revisions import NEWEST
from extproc.audit.settings import DirectoryStore, S3Store
from extproc.edge.settings import Settings
from extproc.live import approval_checks, store_checks
from extproc.live.approval_checks import check_approvals
from extproc.live.check import Check, State
from extproc.live.store_checks import check_spool, check_store
from extproc.local.ports import free_port
from tests.approvals.postgres_server import PostgresServer, started_postgres
from tests.live.doctor.unwell import unwell


def _spool(settings: Settings, **changed: Any) -> dict[str, Check]:
    return unwell(check_spool(replace(settings, audit=replace(settings.audit, **changed))))


def test_a_spool_without_room(settings: Settings, tmp_path: Path) -> None:
    assert set(_spool(settings, max_spool_bytes=10**18)) == {"spool, room"}
    epoch = tmp_path / "epochs" / "worker-0" / "e"
    epoch.mkdir(parents=True)
    (epoch / "0000000001.jsonl").write_bytes(bytes(700))
    assert _spool(settings, spool=tmp_path, max_spool_bytes=4096, reserve_bytes=64) == {}
    found = _spool(settings, spool=tmp_path, max_spool_bytes=1024, reserve_bytes=64)
    assert found["spool, room"].state is State.WARN
    found = _spool(settings, spool=tmp_path, max_spool_bytes=1024, reserve_bytes=324)
    assert found["spool, room"].state is State.FAIL


def test_a_spool_that_is_not_there(settings: Settings, tmp_path: Path) -> None:
    assert set(_spool(settings, spool=tmp_path / "none")) == {"spool"}


def test_a_segment_that_waits_too_long_and_one_that_the_store_contradicts(settings: Settings, tmp_path: Path) -> None:
    epoch = tmp_path / "spool" / "epochs" / "worker-0" / "e"
    epoch.mkdir(parents=True)
    sealed = epoch / "0000000001.manifest.json"
    sealed.touch()
    os.utime(sealed, (time.time() - 600, time.time() - 600))
    assert _spool(settings, spool=tmp_path / "spool", max_lag_seconds=900.0)["spool, lag"].state is State.WARN
    found = _spool(settings, spool=tmp_path / "spool", max_lag_seconds=300.0)
    assert found["spool, lag"].state is State.FAIL
    assert "600 s, more than 300 s" in found["spool, lag"].said
    from extproc.audit.log.spool import DIVERGENT

    (epoch / DIVERGENT).touch()
    assert "other bytes" in _spool(settings, spool=tmp_path / "spool")["spool, lag"].said


def test_a_disk_that_is_slow_to_sync(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    before = set(settings.audit.spool.iterdir())
    monkeypatch.setattr(os, "fdatasync", lambda _: time.sleep(store_checks.SLOW_SYNC_SECONDS * 1.5))
    assert set(_spool(settings)) == {"spool, speed"}
    assert set(settings.audit.spool.iterdir()) == before


def _stored(settings: Settings, store: DirectoryStore | S3Store) -> dict[str, Check]:
    return unwell(check_store(replace(settings, audit=replace(settings.audit, store=store)), None))


def test_a_directory_that_is_not_there_or_not_ours_to_write(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert set(_stored(settings, DirectoryStore(tmp_path / "none"))) == {"store"}
    monkeypatch.setattr(os, "access", lambda *_: False)  # root may write everywhere
    assert set(_stored(settings, DirectoryStore(tmp_path))) == {"store", "store, lock"}


@pytest.fixture(scope="module")
def s3() -> Iterator[str]:
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=free_port(), verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def bucket(s3: str, monkeypatch: pytest.MonkeyPatch) -> Callable[..., S3Store]:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "doctor-test-credential")

    def make(name: str, *, locks: bool) -> S3Store:
        client = boto3.client("s3", endpoint_url=s3, region_name="us-east-1")
        client.create_bucket(Bucket=name, ObjectLockEnabledForBucket=locks)
        return S3Store(bucket=name, endpoint_url=s3, region="us-east-1")

    return make


def test_a_bucket_with_and_without_locks(settings: Settings, bucket: Callable[..., S3Store]) -> None:
    assert _stored(settings, bucket("locks", locks=True)) == {}
    loose = bucket("loose", locks=False)
    found = _stored(settings, loose)
    assert {name: check.state for name, check in found.items()} == {"store, lock": State.FAIL}
    accepted = replace(loose, accept_no_object_lock="these objects can be deleted")
    assert {name: check.state for name, check in _stored(settings, accepted).items()} == {"store, lock": State.WARN}


def test_a_bucket_that_is_not_there_and_nothing_is_written(settings: Settings, bucket: Callable[..., S3Store]) -> None:
    known = bucket("untouched", locks=True)
    assert set(_stored(settings, replace(known, bucket="nowhere"))) == {"store"}
    _stored(settings, known)
    client = boto3.client("s3", endpoint_url=known.endpoint_url, region_name="us-east-1")
    assert client.list_object_versions(Bucket="untouched").get("Versions", []) == []


def _approvals(settings: Settings, address: str) -> dict[str, Check]:
    return unwell(check_approvals(replace(settings, approvals=replace(settings.approvals, database=address))))


def test_an_approval_store_without_tables_of_another_revision_or_broken(settings: Settings, tmp_path: Path) -> None:
    assert "no tables" in _approvals(settings, f"sqlite:///{tmp_path}/none.db")["approvals"].said
    assert not (tmp_path / "none.db").exists()
    for revision, said in (("0001", "is at revision 0001"), ("9999", f"this version knows {NEWEST}")):
        engine = sqlalchemy.create_engine(f"sqlite:///{tmp_path}/{revision}.db")
        with engine.begin() as connection:
            connection.execute(sqlalchemy.text("CREATE TABLE alembic_version (version_num TEXT)"))
            connection.execute(sqlalchemy.text(f"INSERT INTO alembic_version VALUES ('{revision}')"))
        engine.dispose()
        assert said in _approvals(settings, f"sqlite:///{tmp_path}/{revision}.db")["approvals"].said
    (tmp_path / "broken.db").write_bytes(b"no database" * 100)
    found = _approvals(settings, f"sqlite:///{tmp_path}/broken.db")
    assert "cannot be reached" in found["approvals"].said


@pytest.fixture(scope="module")
def postgres() -> Iterator[PostgresServer]:
    with started_postgres() as server:
        yield server


def test_a_postgresql_that_is_away_keeps_its_password_and_one_that_is_there_tells_its_time(
    settings: Settings, postgres: PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    gone = _approvals(settings, f"postgresql+psycopg://app:not-to-be-told@127.0.0.1:{free_port()}/app")
    assert "cannot be reached" in gone["approvals"].said
    assert "not-to-be-told" not in gone["approvals"].line()
    address = f"postgresql+psycopg://app@{postgres.address}/postgres"
    assert set(_approvals(settings, address)) == {"approvals"}  # no tables yet; its clock is ours
    monkeypatch.setattr(approval_checks.time, "time", lambda: 4_000_000_000.0)
    assert set(_approvals(settings, address)) == {"approvals", "clock, the approval store"}
