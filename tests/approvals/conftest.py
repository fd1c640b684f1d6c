"""Stores on a real SQLite file and in a real PostgreSQL server, with the deployment's own seal."""

import contextlib
import itertools
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from extproc.approvals.settings import ApprovalSettings
from extproc.approvals.store import ApprovalStore, open_store
from extproc.audit.keys.keys import AuditKeys
from extproc.audit.keys.seal import open_bytes, seal_bytes
from extproc.core.approval import ApprovalRequest
from extproc.core.identity import Principal
from extproc.core.trust import Masked

ROOT = Path(__file__).parents[2]
DRIVER = ROOT / ".servers" / "postgres" / "driver"


class PostgresServer:
    """A server of our own. PostgreSQL does not run as root: then the account `postgres` owns it."""

    def __init__(self, folder: Path) -> None:
        binaries = max(Path("/usr/lib/postgresql").glob("*/bin"), default=None, key=lambda path: int(path.parent.name))
        self._binaries = binaries or Path(str(shutil.which("initdb"))).parent
        self._user = "postgres" if os.geteuid() == 0 else None
        self._folder = folder
        if self._user:
            shutil.chown(folder, self._user)
        self._data = folder / "data"
        initdb = [self._binaries / "initdb", "-D", self._data, "-U", "app", "--auth=trust", "--no-sync", "-E", "UTF8"]
        subprocess.run(
            [*initdb, "--locale=C"], check=True, stdout=subprocess.DEVNULL, user=self._user, cwd=folder, timeout=60
        )
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self._port = free.getsockname()[1]
        self.address = f"127.0.0.1:{self._port}"
        self.start()

    def start(self) -> None:
        settings = {
            "port": self._port,
            "listen_addresses": "127.0.0.1",
            "unix_socket_directories": self._folder,
            "fsync": "off",
        }
        options = [part for key, value in settings.items() for part in ("-c", f"{key}={value}")]
        self._server = subprocess.Popen(
            [self._binaries / "postgres", "-D", self._data, *options],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            user=self._user,
            cwd=self._folder,
        )
        _wait_for_port(self._port)

    def stop(self) -> None:
        """Whoever is connected is cut off."""
        self._server.send_signal(signal.SIGINT)
        self._server.wait(30)


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[PostgresServer]:
    subprocess.run([ROOT / "tests" / "servers" / "install_postgres.sh"], check=True, timeout=300)
    sys.path.append(str(DRIVER))
    folder = Path(tempfile.mkdtemp(prefix="pg-"))
    server = PostgresServer(folder)
    try:
        yield server
    finally:
        server.stop()
        shutil.rmtree(folder)


@pytest.fixture
def postgres(postgres_server: PostgresServer) -> str:
    """`host:port` of the server."""
    return postgres_server.address


def _wait_for_port(port: int) -> None:
    deadline = time.monotonic() + 30
    while True:
        try:
            with socket.create_connection(("127.0.0.1", port), 1):
                break
        except OSError:
            assert time.monotonic() < deadline
            time.sleep(0.05)
    import psycopg

    while True:
        try:
            psycopg.connect(f"host=127.0.0.1 port={port} user=app dbname=postgres").close()
            return
        except psycopg.OperationalError:
            assert time.monotonic() < deadline
            time.sleep(0.05)


_numbers = itertools.count()


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The address of a database that nobody has opened yet, on each engine."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/approvals.db"
    server = request.getfixturevalue("postgres")
    import psycopg

    name = f"approvals_{next(_numbers)}"
    with contextlib.closing(
        psycopg.connect(f"host={server.replace(':', ' port=')} user=app dbname=postgres", autocommit=True)
    ) as connection:
        connection.execute(f"CREATE DATABASE {name}")
    return f"postgresql+psycopg://app@{server}/{name}"


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
    return open_at(f"sqlite:///{tmp_path}/approvals.db")


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
