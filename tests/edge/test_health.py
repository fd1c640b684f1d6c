"""Probes of the supervisor: what is alive, what is ready, and that nobody can make it wait."""

import http.client
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from concurrent import futures
from pathlib import Path
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health, health_pb2, health_pb2_grpc

from extproc.edge.health import HEAD_SECONDS, MAX_CONNECTIONS, MAX_HEAD_BYTES, HealthEndpoint
from extproc.edge.policy_status import PolicyStatus, status_path, write_status
from extproc.edge.settings import HealthSettings
from extproc.edge.standing import Standing
from extproc.edge.worker_health import WorkersHealth
from extproc.local.ports import free_port

WORKERS = 2
SOON = 8.0
ALIVE = Standing(alive=True, draining=False)


class Workers:
    """Their gRPC health, on their sockets; each serves once it is told to."""

    def __init__(self, run_directory: Path) -> None:
        self._servicers: list[Any] = []
        self._servers: list[grpc.Server] = []
        for index in range(WORKERS):
            servicer: Any = health.HealthServicer()  # type: ignore[no-untyped-call]
            server = grpc.server(futures.ThreadPoolExecutor(2))
            health_pb2_grpc.add_HealthServicer_to_server(servicer, server)
            server.add_insecure_port(f"unix:{run_directory}/worker-{index}.sock")
            server.start()
            self._servicers.append(servicer)
            self._servers.append(server)
            self.serve(index, serving=False)

    def serve(self, index: int, *, serving: bool) -> None:
        status = health_pb2.HealthCheckResponse.SERVING if serving else health_pb2.HealthCheckResponse.NOT_SERVING
        self._servicers[index].set("", status)

    def stop(self) -> None:
        for server in self._servers:
            server.stop(0).wait()


class Probed:
    def __init__(self, run_directory: Path) -> None:
        self.run_directory = run_directory
        self.port = free_port()
        self.standing = ALIVE
        self.workers = Workers(run_directory)
        asked = WorkersHealth(run_directory, WORKERS)
        self.endpoint = HealthEndpoint(HealthSettings("127.0.0.1", self.port), asked, lambda: self.standing)

    def ask(self, path: str, method: str = "GET") -> tuple[int, dict[str, Any]]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=5)
        connection.request(method, path)
        answer = connection.getresponse()
        body = answer.read()
        connection.close()
        return answer.status, json.loads(body) if body else {}

    def await_ready(self, status: int) -> dict[str, Any]:
        deadline = time.monotonic() + SOON
        while (found := self.ask("/readyz"))[0] != status:
            assert time.monotonic() < deadline, found
            time.sleep(0.05)
        return found[1]

    def connected(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), timeout=5)


@pytest.fixture(scope="module")
def endpoint(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Probed]:
    made = Probed(tmp_path_factory.mktemp("run"))
    made.endpoint.start()
    yield made
    made.endpoint.stop()
    made.workers.stop()


@pytest.fixture
def probed(endpoint: Probed) -> Probed:
    endpoint.standing = ALIVE
    for index in range(WORKERS):
        endpoint.workers.serve(index, serving=False)
    return endpoint


def test_ready_is_what_has_a_worker_that_serves(probed: Probed) -> None:
    probed.await_ready(503)
    probed.workers.serve(1, serving=True)
    said = probed.await_ready(200)
    assert [worker["serving"] for worker in said["workers"]] == [False, True]
    assert said["ready"] is True
    probed.workers.serve(1, serving=False)
    assert probed.await_ready(503)["ready"] is False


def test_what_is_told_to_stop_is_alive_and_not_ready(probed: Probed) -> None:
    probed.workers.serve(0, serving=True)
    probed.await_ready(200)
    probed.standing = Standing(alive=True, draining=True)
    assert (probed.ask("/livez")[0], probed.ask("/readyz")[0]) == (200, 503)
    assert probed.ask("/readyz")[1]["draining"] is True


def test_what_is_not_alive_says_so(probed: Probed) -> None:
    assert probed.ask("/livez") == (200, {"alive": True})
    probed.standing = Standing(alive=False, draining=False)
    assert probed.ask("/livez") == (503, {"alive": False})


def test_the_detail_names_policies_and_controls_that_fail(probed: Probed) -> None:
    now = time.time()
    status = PolicyStatus(
        "sha256:12", now, now, failing=True, problems=("rules[0]: 4111 1111",), controls=("identity",)
    )
    write_status(status_path(probed.run_directory, 0), status)
    probed.workers.serve(0, serving=True)
    probed.standing = Standing(alive=True, draining=False, failing=("audit_store",))
    deadline = time.monotonic() + SOON
    while not (said := probed.ask("/readyz")[1])["workers"][0]["policy"]:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert said["failing"] == ["audit_store"]
    assert said["workers"][0]["policy"] == "sha256:12"
    assert said["workers"][0]["failing"] == ["identity", "policy"]
    assert "4111" not in json.dumps(said)


@pytest.mark.parametrize(
    ("method", "path"),
    [("POST", "/livez"), ("HEAD", "/readyz"), ("PUT", "/livez"), ("GET", "/"), ("GET", "/livez/"), ("GET", "/livez?x"),
     ("GET", "/../livez"), ("GET", "/metrics"), ("GET", "//livez")],
)  # fmt: skip
def test_nothing_else_is_answered(probed: Probed, method: str, path: str) -> None:
    assert probed.ask(path, method)[0] == 404


def test_a_body_is_not_read(probed: Probed) -> None:
    with probed.connected() as connection:
        connection.sendall(b"GET /livez HTTP/1.1\r\nhost: x\r\ncontent-length: 1000000000\r\n\r\n")
        assert connection.recv(12) == b"HTTP/1.1 200"


@pytest.mark.parametrize("head", [b"GET /livez HT", b"", b"GET /livez HTTP/1.1\r\nx: " + b"y" * 2 * MAX_HEAD_BYTES])
def test_a_head_that_does_not_end_is_not_waited_for(probed: Probed, head: bytes) -> None:
    began = time.monotonic()
    with probed.connected() as connection:
        try:
            connection.sendall(head)
            assert connection.recv(1) == b""
        except ConnectionError:
            pass
    assert time.monotonic() - began < HEAD_SECONDS + 2


def test_a_crowd_is_turned_away_and_leaves_the_endpoint_answering(probed: Probed) -> None:
    crowd = [probed.connected() for _ in range(MAX_CONNECTIONS)]
    with probed.connected() as late:
        late.settimeout(HEAD_SECONDS / 2)
        assert late.recv(1) == b""
    for each in crowd:
        each.close()
    deadline = time.monotonic() + SOON
    while True:
        try:
            assert probed.ask("/livez")[0] == 200
            break
        except (http.client.HTTPException, ConnectionError):
            assert time.monotonic() < deadline
            time.sleep(0.05)


def test_a_port_that_is_taken_is_an_error(probed: Probed) -> None:
    other = HealthEndpoint(HealthSettings("127.0.0.1", probed.port), WorkersHealth(Path("/nowhere"), 1), lambda: ALIVE)
    with pytest.raises(OSError, match="in use"):
        other.start()


def test_a_worker_that_hangs_does_not_serve_and_no_probe_waits_for_it(tmp_path: Path) -> None:
    silent = socket.socket(socket.AF_UNIX)
    silent.bind(str(tmp_path / "worker-0.sock"))
    silent.listen()
    port = free_port()
    made = HealthEndpoint(HealthSettings("127.0.0.1", port), WorkersHealth(tmp_path, 1), lambda: ALIVE)
    made.start()
    try:
        asked: Callable[[], int] = lambda: _status(port)  # noqa: E731
        began = time.monotonic()
        assert [asked() for _ in range(20)] == [503] * 20
        assert time.monotonic() - began < 1.0
    finally:
        made.stop()
        silent.close()
    assert made._thread not in threading.enumerate()


def _status(port: int) -> int:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    connection.request("GET", "/readyz")
    status = connection.getresponse().status
    connection.close()
    return status
