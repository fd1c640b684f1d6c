"""Stores on a real SQLite file and in a real PostgreSQL server, with the deployment's own seal."""

import contextlib
import itertools
import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from extproc.approvals.database import Database, open_database
from extproc.approvals.settings import ApprovalSettings
from extproc.approvals.store import ApprovalStore, open_store
from extproc.audit.keys.keys import AuditKeys
from extproc.audit.keys.seal import open_bytes, seal_bytes
from extproc.core.approval import ApprovalRequest
from extproc.core.identity import Principal
from extproc.core.trust import Masked
from tests.approvals.postgres_server import DRIVER, ROOT, PostgresServer, started_postgres
from tests.approvals.prepared import sqlite_at_newest


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[PostgresServer]:
    with started_postgres() as server:
        yield server


@pytest.fixture
def postgres(postgres_server: PostgresServer) -> str:
    """`host:port` of the server."""
    return postgres_server.address


_numbers = itertools.count()


ENGINES = ("sqlite", "postgresql")


@pytest.fixture(scope="session")
def postgres_at_newest(postgres_server: PostgresServer) -> str:
    """The name of a database that was migrated, to make others of."""
    create(postgres_server, "newest")
    open_database(f"postgresql+psycopg://app@{postgres_server.address}/newest").close()
    return "newest"


def create(server: PostgresServer, name: str, like: str = "template1") -> None:
    import psycopg

    where = f"host={server.address.replace(':', ' port=')} user=app dbname=postgres"
    with contextlib.closing(psycopg.connect(where, autocommit=True)) as connection:
        connection.execute(f"CREATE DATABASE {name} TEMPLATE {like}")


@pytest.fixture(params=ENGINES)
def first_database(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The address of a database that nobody has opened yet, on each engine."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/approvals.db"
    server = request.getfixturevalue("postgres_server")
    create(server, name := f"approvals_{next(_numbers)}")
    return f"postgresql+psycopg://app@{server.address}/{name}"


@pytest.fixture(params=ENGINES)
def database(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The address of an empty database at the newest revision, on each engine."""
    return _new_database(request, tmp_path)


@pytest.fixture(scope="module", params=ENGINES)
def shared_database(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Database]:
    """One for all tests of a module, on each engine, for those that leave it as they found it or empty it first."""
    opened = open_database(_new_database(request, tmp_path_factory.mktemp("database")))
    yield opened
    opened.close()


def _new_database(request: pytest.FixtureRequest, folder: Path) -> str:
    if request.param == "sqlite":
        return sqlite_at_newest(folder / "approvals.db")
    server = request.getfixturevalue("postgres_server")
    create(server, name := f"approvals_{next(_numbers)}", request.getfixturevalue("postgres_at_newest"))
    return f"postgresql+psycopg://app@{server.address}/{name}"


@pytest.fixture
def keys(tmp_path: Path) -> AuditKeys:
    return AuditKeys.load_or_create(tmp_path / "keys")


@pytest.fixture
def open_at(keys: AuditKeys) -> Iterator[Callable[[str], ApprovalStore]]:
    """Opens a store at an address; closes what it opened."""
    opened: list[ApprovalStore] = []

    def at(address: str) -> ApprovalStore:
        store = open_store(
            ApprovalSettings(address),
            lambda context, data: seal_bytes(keys, context, data),
            lambda context, sealed: open_bytes(keys, context, sealed),
        )
        opened.append(store)
        return store

    yield at
    for store in opened:
        store.close()


@pytest.fixture
def store(database: str, open_at: Callable[[str], ApprovalStore]) -> ApprovalStore:
    return open_at(database)


@pytest.fixture
def sqlite_store(tmp_path: Path, open_at: Callable[[str], ApprovalStore]) -> ApprovalStore:
    return open_at(sqlite_at_newest(tmp_path / "approvals.db"))


@pytest.fixture
def approver() -> Principal:
    return Principal(issuer="https://idp.test", subject="approver", name="Approver", groups=("approvers",))


@pytest.fixture
def ask() -> Callable[..., ApprovalRequest]:
    """A request by id; created at 1000, expires at 1100 unless told otherwise."""

    def make(
        approval_id: str, preview: bytes = b"{}", created_at: float = 1000.0, expires_at: float = 1100.0
    ) -> ApprovalRequest:
        return ApprovalRequest(
            approval_id=approval_id,
            exchange_id=f"exchange-{approval_id}",
            requester_uid="https://idp.test|analyst",
            requester_name="Analyst",
            rule="bulk",
            rule_text="Large requests are approved.",
            policy_digest="sha256:00",
            request_digest=f"digest-{approval_id}",
            connection="main",
            operation="chat",
            model="small",
            findings=(("pan", 2), ("security_code", 1)),
            approver_groups=("approvers", "größe"),
            created_at=created_at,
            expires_at=expires_at,
            preview=Masked(preview),
        )

    return make


class Racers:
    """Processes of `racer.py`. They live as long as the tests, because starting one costs most of a second."""

    def __init__(self, processes: list[subprocess.Popen[str]]) -> None:
        self._processes = processes

    def race(self, address: str, actions: list[str], count: int) -> list[list[str]]:
        """One process an action; all are ready before the first may go. What each of them won."""
        racing = self._processes[: len(actions)]
        for number, (process, action) in enumerate(zip(racing, actions, strict=True)):
            self._tell(process, [address, action, number, count])
        assert [self._hear(process) for process in racing] == ["ready"] * len(racing)
        for process in racing:
            self._tell(process, "go")
        return [self._hear(process) for process in racing]

    def _tell(self, process: subprocess.Popen[str], value: object) -> None:
        assert process.stdin is not None
        process.stdin.write(json.dumps(value) + "\n")
        process.stdin.flush()

    def _hear(self, process: subprocess.Popen[str]) -> Any:
        assert process.stdout is not None
        return json.loads(process.stdout.readline())


@pytest.fixture(scope="session")
def racers() -> Iterator[Racers]:
    environment = {"PATH": "/usr/bin:/bin", "PYTHONPATH": f"{ROOT}:{DRIVER}"}
    processes = [
        subprocess.Popen(
            [sys.executable, Path(__file__).with_name("racer.py")],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=environment,
        )
        for _ in range(4)
    ]
    yield Racers(processes)
    for process in processes:
        process.kill()
        process.communicate()
