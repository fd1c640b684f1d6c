"""The status listener of the real Envoy: what probes and scrapes may ask, and that nobody asks the admin anything else."""

import http.client
import select
import socket
import stat
import time
from collections.abc import Iterator
from pathlib import Path

import h2.connection
import h2.events
import pytest

from extproc.edge.envoy_admin import admin_socket
from extproc.edge.settings import EnvoySettings
from extproc.local.ports import free_port

from .conftest import GATE, Edge, StartEdge

ALLOWED = ("/ready", "/stats/prometheus", "/stats/prometheus?usedonly")
ADMIN_PATHS = (
    "/", "/config_dump", "/certs", "/clusters", "/listeners", "/memory", "/server_info", "/stats", "/stats/",
    "/stats/prometheu", "/stats/prometheus/", "/runtime", "/help", "/quitquitquit", "/hot_restart_version",
    "/drain_listeners", "/healthcheck/fail", "/logging", "/cpuprofiler", "/heap_dump", "/contention", "/init_dump",
)  # fmt: skip
TRICKS = (
    "/ready/../config_dump", "/ready/%2e%2e/config_dump", "/ready/%2E%2E/config_dump", "/ready%2f..%2fconfig_dump",
    "/ready/..;/config_dump", "//ready", "//config_dump", "/./ready", "/.//config_dump", "/ready/", "/ready;/config_dump",
    "/ready%3f", "/ready%00", "/ready%0d%0a/config_dump", "/ready\\..\\config_dump", "/READY", "/%72eady", "/ready%20",
    "/stats/prometheus/../../config_dump", "/stats/../config_dump", "/config_dump?/ready", "/config_dump;/ready",
    "http://127.0.0.1/config_dump", "http://127.0.0.1/ready/../config_dump", "http://x//config_dump", "*", "/ready,/config_dump",
)  # fmt: skip
METHODS = ("POST", "HEAD", "PUT", "DELETE", "OPTIONS", "PATCH", "TRACE", "CONNECT", "get", "G")


@pytest.fixture(scope="module")
def watched(start_edge: StartEdge) -> Edge:
    return start_edge(envoy=EnvoySettings(status_port=free_port()))


@pytest.fixture(autouse=True)
def _lives_on(watched: Edge) -> Iterator[None]:
    yield
    assert watched.envoy.poll() is None
    assert get(watched, "/ready")[0] == 200


def say(edge: Edge, request: bytes) -> tuple[int, bytes]:
    """Status (0: the connection ended without one) and body."""
    with connected(edge) as connection:
        connection.sendall(request)
        answer = http.client.HTTPResponse(connection)
        try:
            answer.begin()
            return answer.status, answer.read()
        except (http.client.HTTPException, ConnectionError):
            return 0, b""


def connected(edge: Edge) -> socket.socket:
    return socket.create_connection(("127.0.0.1", edge.settings.envoy.status_port), timeout=10)


def get(edge: Edge, path: str, *, method: str = "GET", headers: str = "") -> tuple[int, bytes]:
    return say(edge, f"{method} {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n{headers}\r\n".encode("latin-1"))


def get_by_http2(edge: Edge, *headers: tuple[str, str]) -> tuple[int, bytes]:
    """As it stands: nothing of the path is checked or changed on this side."""
    config = h2.config.H2Configuration(validate_outbound_headers=False, normalize_outbound_headers=False)
    client = h2.connection.H2Connection(config)
    client.initiate_connection()
    client.send_headers(1, list(headers), end_stream=True)
    status, body = 0, b""
    with connected(edge) as connection:
        connection.sendall(client.data_to_send())
        while data := connection.recv(65536):
            for event in client.receive_data(data):
                match event:
                    case h2.events.ResponseReceived():
                        status = int(dict(event.headers)[b":status"])
                    case h2.events.DataReceived():
                        body += event.data
                        client.acknowledge_received_data(event.flow_controlled_length, 1)
                    case h2.events.StreamEnded() | h2.events.StreamReset() | h2.events.ConnectionTerminated():
                        return status, body
            connection.sendall(client.data_to_send())
    return status, body


def is_nothing_of_the_admin(answer: tuple[int, bytes]) -> bool:
    status, came = answer
    return status in {0, 400, 403, 404, 405, 501} and not any(
        word in came for word in (GATE.encode(), b"envoy_server_live", b"static_resources", b"LIVE\n")
    )


def test_probes_and_scrapes_are_answered(watched: Edge) -> None:
    assert get(watched, "/ready")[1] == b"LIVE\n"
    assert b"envoy_server_live" in get(watched, "/stats/prometheus")[1]
    assert all(get(watched, path)[0] == 200 for path in ALLOWED)


@pytest.mark.parametrize("path", [*ADMIN_PATHS, *TRICKS])
def test_nothing_else_of_the_admin_is_reached(watched: Edge, path: str) -> None:
    assert is_nothing_of_the_admin(get(watched, path))
    assert is_nothing_of_the_admin(get(watched, path, method="POST", headers="content-length: 0\r\n"))
    headers = ((":method", "GET"), (":scheme", "http"), (":authority", "x"))
    assert is_nothing_of_the_admin(get_by_http2(watched, *headers, (":path", path)))


@pytest.mark.parametrize("method", METHODS)
def test_only_get_is_answered(watched: Edge, method: str) -> None:
    for path in ("/ready", "/stats/prometheus"):
        assert is_nothing_of_the_admin(get(watched, path, method=method))
        headers = ((":scheme", "http"), (":authority", "x"), (":path", path))
        assert is_nothing_of_the_admin(get_by_http2(watched, (":method", method), *headers))


@pytest.mark.parametrize(
    "headers",
    ["x-envoy-original-path: /config_dump\r\n", "x-http-method-override: POST\r\n", "x-original-url: /config_dump\r\n",
     "upgrade: websocket\r\nconnection: upgrade\r\n", "upgrade: h2c\r\nhttp2-settings: AAMAAABkAARAAAAAAAIAAAAA\r\n"],
    ids=["path", "method", "url", "websocket", "h2c"],
)  # fmt: skip
def test_no_header_leads_elsewhere(watched: Edge, headers: str) -> None:
    status, came = get(watched, "/ready", headers=headers)
    assert (status, GATE.encode() in came) in {(200, False), (403, False)}
    assert is_nothing_of_the_admin(get(watched, "/other", headers=headers))


def test_a_second_request_in_a_body_is_none(watched: Edge) -> None:
    inner = b"GET /config_dump HTTP/1.1\r\nhost: x\r\n\r\n"
    head = f"GET /ready HTTP/1.1\r\nhost: x\r\ncontent-length: {len(inner)}\r\n\r\n".encode()
    with connected(watched) as connection:
        connection.sendall(head + inner)
        connection.settimeout(0.5)
        came = b""
        with pytest.raises(TimeoutError):
            while chunk := connection.recv(65536):
                came += chunk
            raise TimeoutError
    assert (came.count(b"HTTP/1.1 "), came.count(b"HTTP/1.1 200 ")) == (1, 1)
    assert b"static_resources" not in came


def test_the_admin_is_for_its_owner_alone(watched: Edge) -> None:
    path: Path = admin_socket(watched.settings.run_directory)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    connection = http.client.HTTPConnection("localhost")
    connection.sock = socket.socket(socket.AF_UNIX)
    connection.sock.connect(str(path))
    connection.request("GET", "/config_dump")
    assert GATE in connection.getresponse().read().decode()
    connection.close()


def test_a_crowd_is_turned_away_and_the_edge_serves(watched: Edge) -> None:
    crowd = [connected(watched) for _ in range(100)]
    try:
        deadline, ended = time.monotonic() + 10, 0
        while ended < 100 - 64 and time.monotonic() < deadline:
            ended = len(select.select(crowd, [], [], 0.1)[0])
        assert ended >= 100 - 64
        answer = http.client.HTTPConnection("127.0.0.1", watched.settings.listener.port, timeout=10)
        answer.request("GET", "/alpha/v1/models")
        assert answer.getresponse().status == 200
        answer.close()
    finally:
        for each in crowd:
            each.close()
