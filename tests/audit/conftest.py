"""A small audit log to look at, and the servers its objects go to."""

import os
import shutil
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import msgspec
import pytest
from click.testing import CliRunner

from extproc.audit.keys.keys import AuditKeys
from extproc.audit.log.adopt import adopt_orphans
from extproc.audit.log.journal import Journal
from extproc.audit.log.shipper import Shipper
from extproc.audit.reading.holdings import Holdings
from extproc.audit.records.line import parse_mark, parse_record
from extproc.audit.settings import AuditSettings, DirectoryStore
from extproc.audit.signed import PublicKey, VerifyKey
from extproc.audit.stores.store import ObjectStore, StoredObject, open_store
from extproc.audit.verify.report import Report
from extproc.audit.verify.verify import verify
from extproc.cli.main import main
from extproc.core.record import Actor, Direction, EventCode, Outcome, PolicyRef, Record, Resource
from extproc.core.trust import Masked
from extproc.local.issuer import RunningIssuer, start_issuer
from extproc.local.ports import free_port
from tests.audit.configured import write_config

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Log:
    """One deployment in a temporary folder."""

    settings: AuditSettings
    keys: AuditKeys

    def open(self, writer: str = "worker-0") -> Journal:
        return Journal.open(self.settings, self.keys, writer=writer, deliver=lambda run: run())

    def ship(self) -> int:
        return Shipper(self.settings).ship_pending().shipped

    def adopt(self):
        return adopt_orphans(self.settings, self.keys)

    @property
    def store(self) -> ObjectStore:
        return open_store(self.settings)

    @property
    def store_path(self) -> Path:
        assert isinstance(self.settings.store, DirectoryStore)
        return self.settings.store.directory

    @property
    def public(self) -> PublicKey:
        return self.keys.signing.public_key()

    def look(self) -> Holdings:
        return Holdings.look(self.store, self.settings.spool, self.settings.deployment)

    def verify(
        self,
        *,
        store: ObjectStore | None = None,
        spool: bool = True,
        later: bool = True,
        key: VerifyKey | None = None,
        **more: Any,
    ) -> Report:
        """`later`: as if asked an hour from now, when nothing counts as young."""
        more.setdefault("now_ms", int(time.time() * 1000) + (3_600_000 if later else 0))
        return verify(
            store or self.store,
            key or self.public,
            deployment=self.settings.deployment,
            spool=self.settings.spool if spool else None,
            **more,
        )

    def with_(self, **changes: object) -> "Log":
        return Log(replace(self.settings, **changes), self.keys)


def make_log(folder: Path) -> Log:
    """A deployment with spool, keys and store in `folder`."""
    (folder / "store").mkdir(exist_ok=True)
    settings = AuditSettings(
        deployment="test",
        spool=folder / "spool",
        keys=folder / "keys",
        store=DirectoryStore(folder / "store"),
        segment_seconds=60.0,
        max_spool_bytes=64 * 1024 * 1024,
        reserve_bytes=256 * 1024,
        max_lag_seconds=60.0,
        heartbeat_seconds=60.0,
    )
    return Log(settings, AuditKeys.load_or_create(settings.keys))


@pytest.fixture
def log(tmp_path: Path) -> Log:
    return make_log(tmp_path)


class Memory:
    """A copy of a store, to be damaged quickly."""

    def __init__(self, directory: Path) -> None:
        self.objects = {
            path.relative_to(directory).as_posix(): path.read_bytes() for path in directory.rglob("*") if path.is_file()
        }

    def get(self, key: str, version: str = "") -> bytes:
        try:
            return self.objects[key]
        except KeyError:
            raise FileNotFoundError(key) from None

    def pieces(self, key: str, version: str = "") -> Iterator[bytes]:
        yield self.get(key, version)

    def list(self, prefix: str) -> Iterator[StoredObject]:
        return (StoredObject(key) for key in sorted(self.objects) if key.startswith(prefix))


@pytest.fixture
def memory() -> type[Memory]:
    return Memory


def make_record(event_code: EventCode, exchange_id: str = "", **fields: object) -> Record:
    return Record(
        event_code=event_code,
        time_ms=int(time.time() * 1000),
        actor=Actor(uid="https://idp.test|analyst", name="analyst"),
        status=fields.pop("status", Outcome.COMPLETED),
        src_address="192.0.2.7",
        resource=Resource(connection="llama", operation="chat", protocol="HTTP/1.1", model="tiny"),
        exchange_id=exchange_id,
        policy=PolicyRef(digest="d1", effect="allow", rule="analysts"),
        **fields,
    )


@pytest.fixture
def record() -> Callable[..., Record]:
    return make_record


class Acks:
    """Collects what `done` was called with."""

    def __init__(self) -> None:
        self.values: list[bool] = []
        self._changed = threading.Condition()

    def __call__(self, durable: bool) -> None:
        with self._changed:
            self.values.append(durable)
            self._changed.notify_all()

    def wait(self, count: int, seconds: float = 10.0) -> list[bool]:
        with self._changed:
            assert self._changed.wait_for(lambda: len(self.values) >= count, seconds), "no answer from the journal"
            return list(self.values)


@pytest.fixture
def acks() -> Acks:
    return Acks()


PROMPT = b'{"messages":[{"role":"user","content":"hello, card [PAN]"}]}'
ANSWER = [b"data: one\n\n", b"data: two [PAN]\n\n", b"data: [DONE]\n\n"]


def run_exchange(journal: Journal, exchange_id: str, *, end: bool = True) -> None:
    """A whole exchange, each step durable before the next."""
    acks = Acks()
    content = journal.open_content(exchange_id)
    content.append(Direction.TO_MODEL, 1_000, Masked(PROMPT), acks)
    journal.append_record(make_record(EventCode.INFERENCE_REQUEST, exchange_id), acks)
    acks.wait(2)
    for index, event in enumerate(ANSWER):
        content.append(Direction.TO_CLIENT, 2_000 + index * 1_000, Masked(event), acks)
    acks.wait(5)
    if end:
        journal.append_record(make_record(EventCode.INFERENCE_END, exchange_id, http_status=200), acks)
        acks.wait(6)
    assert all(acks.values)


@pytest.fixture
def exchange() -> Callable[..., None]:
    return run_exchange


@pytest.fixture(scope="session")
def issuer(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, RunningIssuer]]:
    """Its folder, and where it is."""
    folder = tmp_path_factory.mktemp("issuer")
    with start_issuer(folder) as running:
        yield folder, running


@pytest.fixture
def story() -> tuple[bytes, list[bytes]]:
    return PROMPT, ANSWER


@pytest.fixture
def shipped(log: Log) -> Log:
    """Two closed epochs, the second with two segments, everything in the store."""
    first = log.open()
    run_exchange(first, "x-1")
    first.close()
    second = log.with_(segment_bytes=2_500).open("worker-1")
    for number in range(2, 5):
        run_exchange(second, f"x-{number}")
    second.close()
    log.ship()
    return log


def wait_for_http(process: subprocess.Popen[bytes], url: str, seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while True:
        assert process.poll() is None, "the server ended"
        assert time.monotonic() < deadline, "the server does not answer"
        try:
            with urllib.request.urlopen(url, timeout=1):
                return
        except OSError:
            time.sleep(0.1)


def stop(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(10)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait(10)


@pytest.fixture(scope="session")
def moto_url() -> Iterator[str]:
    port = free_port()
    process = subprocess.Popen(
        [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        wait_for_http(process, f"http://127.0.0.1:{port}/moto-api/data.json", 30)
        yield f"http://127.0.0.1:{port}"
    finally:
        stop(process)


@pytest.fixture(scope="session")
def locking_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """An S3 that enforces Object Lock: localstack-core in an environment of its own, installed once."""
    script = ROOT / "tests" / "servers" / "install_localstack.sh"
    subprocess.run(["sh", str(script), sys.executable], check=True, timeout=600, stdout=subprocess.DEVNULL)
    home = tmp_path_factory.mktemp("localstack")
    port = free_port()
    environment = {
        "PATH": os.environ.get("PATH", ""),
        "HOME": str(home),
        "SERVICES": "s3",
        "EAGER_SERVICE_LOADING": "1",
        "GATEWAY_LISTEN": f"127.0.0.1:{port}",
        "DISABLE_EVENTS": "1",
        "SKIP_SSL_CERT_DOWNLOAD": "1",
        "DNS_ADDRESS": "0",
        "LOCALSTACK_VOLUME_DIR": str(home / "volume"),
        "FILESYSTEM_ROOT": str(home / "root"),
    }
    with (home / "log").open("wb") as output:
        process = subprocess.Popen(
            [str(ROOT / ".servers" / "localstack" / "bin" / "python"), "-m", "localstack.runtime.main"],
            env=environment,
            cwd=home,
            stdout=output,
            stderr=output,
        )
    try:
        wait_for_http(process, f"http://127.0.0.1:{port}/_localstack/health", 60)
        yield f"http://127.0.0.1:{port}"
    finally:
        stop(process)
        shutil.rmtree(home, ignore_errors=True)


@pytest.fixture
def s3_credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_EC2_METADATA_DISABLED": "true",
    }.items():
        monkeypatch.setenv(name, value)


def flat(line: bytes) -> dict[str, object]:
    """A line's record with its place in the chain."""
    return msgspec.to_builtins(parse_record(line)) | msgspec.to_builtins(parse_mark(line))


def stored_lines(log: Log) -> list[dict[str, object]]:
    return [
        flat(line)
        for path in sorted(log.store_path.rglob("*.jsonl"))
        if "/evidence/" in path.as_posix()
        for line in path.read_bytes().splitlines()
    ]


@pytest.fixture
def lines_of() -> Callable[[Log], list[dict[str, object]]]:
    return stored_lines


@pytest.fixture
def config(log, tmp_path: Path) -> Path:
    return write_config(tmp_path)


@pytest.fixture
def run(config):
    def invoke(*arguments: str, configured: bool = True):
        environment = {"EXTPROC_CONFIG": str(config) if configured else ""}
        return CliRunner().invoke(main, ["audit", *arguments], env=environment)

    return invoke


@pytest.fixture
def living(log, exchange, record):
    """A service that runs: one exchange shipped, one only in its journal, one refused."""
    journal = log.with_(segment_bytes=1_000).open()
    exchange(journal, "x-1")
    log.ship()
    exchange(journal, "x-2")
    journal.append_record(record(EventCode.POLICY_DENY, "x-3", status=Outcome.REFUSED, status_detail="policy_denied"))
    time.sleep(0.1)
    yield journal
    journal.close()
