"""The guard with its audit log in an S3 that enforces Object Lock, through outages of that S3."""

import contextlib
import os
import re
import shutil
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import boto3
import httpx
import msgspec
import pytest
from botocore.exceptions import ClientError

from extproc.audit.log.keeper import WATCH_SECONDS
from extproc.audit.names import Part, parse_key
from extproc.audit.records.line import parse_record

ROOT = Path(__file__).parents[3]
BUCKET = "conformance-audit"
MAX_LAG_SECONDS = 4
CREDENTIALS = {
    "AWS_ACCESS_KEY_ID": "test",
    "AWS_SECRET_ACCESS_KEY": "test",
    "AWS_DEFAULT_REGION": "us-east-1",
    "AWS_EC2_METADATA_DISABLED": "true",
}
PANS = ["4111111111111111", "5555555555554444", "4000056655665556", "378282246310005"]
CODES = ["7391", "8624"]


class Line:
    """The network between the guard and its store: forwards, until it is cut."""

    def __init__(self, port: int) -> None:
        self._target = ("127.0.0.1", port)
        self._listener: socket.socket | None = None
        self._open: set[socket.socket] = set()
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = int(probe.getsockname()[1])
        self.mend()

    def mend(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", self.port))
        threading.Thread(target=self._accept, args=(self._listener,), daemon=True).start()

    def cut(self) -> None:
        """Refuses, and ends what is under way."""
        assert self._listener is not None
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for connection in list(self._open):
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=self._carry, args=(client,), daemon=True).start()

    def _carry(self, client: socket.socket) -> None:
        with client, socket.create_connection(self._target) as server:
            self._open |= {client, server}
            back = threading.Thread(target=self._pump, args=(server, client), daemon=True)
            back.start()
            self._pump(client, server)
            back.join()
            self._open -= {client, server}

    def _pump(self, source: socket.socket, sink: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                sink.sendall(data)
        with contextlib.suppress(OSError):
            sink.shutdown(socket.SHUT_RDWR)


@pytest.fixture(scope="module")
def s3_port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """localstack in an environment of its own, installed once."""
    script = ROOT / "tests" / "servers" / "install_localstack.sh"
    subprocess.run(["sh", str(script), sys.executable], check=True, timeout=600, stdout=subprocess.DEVNULL)
    home = tmp_path_factory.mktemp("localstack")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    environment = {
        "PATH": os.environ.get("PATH", ""), "HOME": str(home), "SERVICES": "s3", "EAGER_SERVICE_LOADING": "1",
        "GATEWAY_LISTEN": f"127.0.0.1:{port}", "DISABLE_EVENTS": "1", "SKIP_SSL_CERT_DOWNLOAD": "1", "DNS_ADDRESS": "0",
        "LOCALSTACK_VOLUME_DIR": str(home / "volume"), "FILESYSTEM_ROOT": str(home / "root"),
    }  # fmt: skip
    python = str(ROOT / ".servers" / "localstack" / "bin" / "python")
    with (home / "log").open("wb") as log:
        command = [python, "-m", "localstack.runtime.main"]
        process = subprocess.Popen(command, env=environment, cwd=home, stdout=log, stderr=log)
    try:
        until = time.monotonic() + 60
        while True:
            assert process.poll() is None, "the server ended"
            assert time.monotonic() < until, "the server does not answer"
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{port}/_localstack/health", timeout=1).close()
                break
            except OSError:
                time.sleep(0.1)
        yield port
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(10)
        shutil.rmtree(home, ignore_errors=True)


class Stored:
    """What lies in the bucket, asked without the line."""

    def __init__(self, port: int) -> None:
        self.s3 = boto3.client(
            "s3",
            endpoint_url=f"http://127.0.0.1:{port}",
            aws_access_key_id="test",
            aws_secret_access_key="test",
            region_name="us-east-1",
        )

    def versions(self) -> list[dict[str, Any]]:
        return [
            item
            for page in self.s3.get_paginator("list_object_versions").paginate(Bucket=BUCKET)
            for item in page.get("Versions", [])
        ]

    def keys(self) -> set[str]:
        return {item["Key"] for item in self.versions()}

    def read(self, item: dict[str, Any]) -> bytes:
        answer = self.s3.get_object(Bucket=BUCKET, Key=item["Key"], VersionId=item["VersionId"])
        return bytes(answer["Body"].read())

    def records(self) -> list[dict[str, Any]]:
        lines = [
            line
            for item in self.versions()
            if item["Key"].startswith("v1/evidence/") and item["Key"].endswith(".jsonl")
            for line in self.read(item).splitlines()
        ]
        return [msgspec.to_builtins(parse_record(line)) for line in lines]


@pytest.fixture(scope="module")
def locked(
    s3_port: int, tmp_path_factory: pytest.TempPathFactory, make_world: Any
) -> Iterator[tuple[Any, Line, Stored]]:
    """A guard that ships to the bucket over a line that can be cut."""
    stored, line = Stored(s3_port), Line(s3_port)
    stored.s3.create_bucket(Bucket=BUCKET, ObjectLockEnabledForBucket=True)
    store = {"bucket": BUCKET, "endpoint_url": f"http://127.0.0.1:{line.port}", "region": "us-east-1"}
    audit = {"store": {"s3": store}, "segment_interval": "500ms", "max_lag": f"{MAX_LAG_SECONDS}s"}
    with pytest.MonkeyPatch.context() as patch:
        for name, value in CREDENTIALS.items():
            patch.setenv(name, value)
        world, stop = make_world(tmp_path_factory.mktemp("locked") / "guard", workers=2, overrides={"audit": audit})
        yield world, line, stored
        stop()
        line.cut()


def until(what: Callable[[], bool], seconds: float = 20.0) -> None:
    deadline = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < deadline
        time.sleep(0.1)


def audit_verify(world: Any, *more: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "extproc", "audit", "verify", "--config", str(world.guard.config), *more],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def shipped_ends(stored: Stored, ids: set[str]) -> bool:
    ends = {r.get("exchange_id") for r in stored.records() if r["event_code"] in ("inference.end", "request.refuse")}
    return ids <= ends


def run_exchanges(world: Any) -> set[str]:
    """A few of each kind, with account data in both directions."""
    ids = set()
    for pan in PANS:
        answer = world.chat(f"card {pan} cvv {CODES[0]}", headers={"x-note": pan})
        assert answer.status_code == 200
        ids.add(answer.headers["x-extproc-exchange"])
    streamed = world.chat(
        "x", stream=True, pieces=[f"card {PANS[0][:9]}", f"{PANS[0][9:]} security code: {CODES[1]} ok"]
    )
    assert "[PAN]" in streamed.text
    ids.add(streamed.headers["x-extproc-exchange"])
    headers = world.headers(content_type="application/json")
    url = world.guard.url + "/v1/chat/completions"
    refused = httpx.post(url, content=b'{"broken ' + PANS[1].encode(), headers=headers, timeout=30)
    ids.add(refused.json()["error"]["exchange_id"])
    return ids


def test_exchanges_are_proven_from_the_bucket(locked: Any) -> None:
    world, _, stored = locked
    ids = run_exchanges(world)
    until(lambda: shipped_ends(stored, ids))
    verified = audit_verify(world)
    assert verified.returncode == 0, verified.stdout + verified.stderr
    assert all(record["exchange_id"] for record in stored.records() if record["event_code"].startswith("inference"))


def test_a_locked_version_cannot_be_deleted(locked: Any) -> None:
    _, _, stored = locked
    retained = [item for item in stored.versions() if not item["Key"].startswith("v1/keys/")]
    assert len(retained) > 4
    for item in retained[:10]:
        at = {"Bucket": BUCKET, "Key": item["Key"], "VersionId": item["VersionId"]}
        mode = "GOVERNANCE" if item["Key"].startswith("v1/content/") else "COMPLIANCE"
        assert stored.s3.get_object_retention(**at)["Retention"]["Mode"] == mode
        with pytest.raises(ClientError) as refused:
            stored.s3.delete_object(**at)
        assert refused.value.response["Error"]["Code"] == "AccessDenied"


def manifests(versions: list[dict[str, Any]]) -> dict[str, dict[int, Any]]:
    """When each sealed segment of each epoch came to be complete in the store."""
    found: dict[str, dict[int, Any]] = {}
    for item in versions:
        name = parse_key(item["Key"])
        assert name is not None, item["Key"]
        if name.part is Part.MANIFEST:
            found.setdefault(str(name.origin), {})[name.segment] = item["LastModified"]
    return found


def test_an_outage_costs_nothing_and_all_is_shipped_once_and_in_order(locked: Any) -> None:
    world, line, stored = locked
    line.cut()
    try:
        before = stored.keys()
        ids: set[str] = set()
        for number in range(3):
            answer = world.chat(f"during the outage {number} {PANS[2]}")
            assert answer.status_code == 200
            ids.add(answer.headers["x-extproc-exchange"])
            time.sleep(0.5)
        assert not shipped_ends(stored, ids)
        assert stored.keys() == before
    finally:
        line.mend()
    until(lambda: shipped_ends(stored, ids), 30)
    versions = stored.versions()
    assert len(versions) == len({item["Key"] for item in versions}), "an object was stored twice"
    epochs = manifests(versions)
    assert sum("/worker-" in origin for origin in epochs) == 2
    for origin, stored_at in epochs.items():
        assert sorted(stored_at) == list(range(1, len(stored_at) + 1)), origin
        assert [stored_at[n] for n in sorted(stored_at)] == sorted(stored_at.values()), origin
    verified = audit_verify(world)
    assert verified.returncode == 0, verified.stdout + verified.stderr


def test_beyond_the_longest_lag_exchanges_are_refused_until_the_store_is_back(locked: Any) -> None:
    """PCI DSS 10.3.3: 503 with Retry-After, recorded; what was running goes on; afterwards everything is in the store."""
    world, line, stored = locked
    line.cut()
    try:
        last = world.chat("the last one").headers["x-extproc-exchange"]
        running: list[str] = []
        body = {"model": "m", "stream": True, "messages": [{"role": "user", "content": "x"}], "pieces": ["w "] * 50}
        url = world.guard.url + "/v1/chat/completions"
        thread = threading.Thread(
            target=lambda: running.append(
                httpx.post(url, json={**body, "pause": 0.15}, headers=world.headers(), timeout=60).text
            )
        )
        thread.start()
        refused: list[httpx.Response] = []

        def refuses() -> bool:
            refused.append(world.chat("too late"))
            return refused[-1].status_code == 503

        until(refuses, MAX_LAG_SECONDS + 10)
        time.sleep(2 * WATCH_SECONDS)  # each worker looks for itself
        seen = len(world.upstream.seen)
        again = world.chat("marker-refused")
        assert (again.status_code, again.json()["error"]["code"]) == (503, "audit_unavailable")
        assert int(again.headers["retry-after"]) > 0
        assert len(world.upstream.seen) == seen
        thread.join(30)
        assert running[0].count('"w "') == 50
        assert running[0].endswith("data: [DONE]\n\n")
    finally:
        line.mend()
    until(lambda: world.chat("back again").status_code == 200, 30)
    ids = {last, again.headers["x-extproc-exchange"], refused[-1].headers["x-extproc-exchange"]}
    until(lambda: shipped_ends(stored, ids), 30)
    records = [r for r in stored.records() if r.get("exchange_id") == again.headers["x-extproc-exchange"]]
    assert [(r["event_code"], r["status_detail"]) for r in records] == [("request.refuse", "audit_unavailable")]


def test_a_failing_store_is_a_recorded_control_failure(locked: Any) -> None:
    """PCI DSS 10.7.2 and 10.7.3: that the audit log could not be shipped is itself in it, with its end."""
    _, _, stored = locked
    codes = {record["event_code"] for record in stored.records()}
    assert {"control.failure", "control.restored"} <= codes


def test_a_store_that_returns_at_the_very_end_gets_that_record_too(locked: Any) -> None:
    """The service stops while the store is away, and the store comes back before the last try."""
    world, line, _ = locked
    # Each worker looks for itself whether the store lags, once a second.
    until(lambda: all(world.chat("both of them").status_code == 200 for _ in range(8)), 20)
    line.cut()
    answer = world.chat("nearly over")
    until(lambda: "they wait" in world.log_text().rsplit("the audit store is back", 1)[-1], 20)
    assert answer.status_code == 200
    body = {"model": "m", "stream": True, "messages": [{"role": "user", "content": "x"}], "pieces": ["w "] * 20}
    url = world.guard.url + "/v1/chat/completions"
    live = threading.Thread(
        target=lambda: httpx.post(url, json={**body, "pause": 0.1}, headers=world.headers(), timeout=60)
    )
    live.start()
    time.sleep(0.5)
    world.guard.service.process.terminate()
    line.mend()
    live.join()
    assert world.guard.service.process.wait(40) == 0
    assert not list((world.directory / "spool" / "epochs").rglob("*.jsonl"))


def test_no_object_holds_account_data(locked: Any) -> None:
    """After the service has ended: every version of every object, and the record is complete and proven."""
    world, _, stored = locked
    assert world.guard.service.stop() == 0
    verified = audit_verify(world)
    assert verified.returncode == 0, verified.stdout + verified.stderr
    assert not list((world.directory / "spool" / "epochs").rglob("*.jsonl"))
    versions = stored.versions()
    assert len(versions) > 10
    for item in versions:
        data = stored.read(item)
        squeezed = re.sub(rb"[ \-]", b"", data)
        for pan in PANS:
            assert pan.encode() not in squeezed, item["Key"]
        for code in CODES:
            assert not re.search(rb"(?<![0-9A-Za-z.])" + code.encode() + rb"(?![0-9A-Za-z.])", data), item["Key"]
