"""What the edge lets in, what it tells the service, and what it writes down."""

import contextlib
import json
import socket
import time
from pathlib import Path
from typing import Any

import httpx
import pytest

from extproc.edge import gate

PROMPT = b'{"prompt": "hello"}'


def raw(edge: Any, request: str) -> bytes:
    """Bytes in, the first bytes of the answer out."""
    with socket.create_connection(("127.0.0.1", edge.settings.listener.port), timeout=30) as connection:
        connection.sendall(request.encode())
        return connection.recv(65536)


def access_lines(edge: Any, request_id: str) -> list[dict[str, Any]]:
    path = Path(edge.settings.envoy.access_log)
    until = time.monotonic() + 30
    while time.monotonic() < until:
        lines = [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
        found = [line for line in lines if line["request_id"] == request_id]
        if found:
            return found
        time.sleep(0.1)
    return []


# Routes


@pytest.mark.parametrize(
    ("path", "route", "target"),
    [
        ("/alpha/v1/models", "alpha", "/v1/models"),
        ("/alpha", "alpha", "/"),
        ("/alpha/beta/v1/models?x=1", "beta", "/v1/models?x=1"),
        ("/alpha/betamax", "alpha", "/betamax"),
        ("/alpha/./beta//v1", "beta", "/v1"),
        ("/alpha/beta/../v1", "alpha", "/v1"),
        ("/alpha/alpha/v1", "alpha", "/alpha/v1"),
    ],
)
def test_the_longest_prefix_on_whole_segments_wins(edge: Any, path: str, route: str, target: str) -> None:
    with socket.create_connection(("127.0.0.1", edge.settings.listener.port), timeout=30) as connection:
        connection.sendall(f"GET {path} HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n".encode())
        answer = b"".join(iter(lambda: connection.recv(65536), b""))
    assert answer.startswith(b"HTTP/1.1 200")
    assert edge.service.of("request_headers").attribute("xds.route_name") == ""
    assert edge.service.of("response_headers").attribute("xds.route_name").rpartition(".")[0] == route
    assert edge.model.received[0].target == target
    assert edge.model.received[0].headers["host"] != "a"


@pytest.mark.parametrize("path", ["/", "/nowhere", "/alphabet/v1", "/%61lpha2"])
def test_an_unknown_path_is_seen_by_the_service_and_reaches_no_model(edge: Any, path: str) -> None:
    response = httpx.post(f"{edge.url}{path}", content=PROMPT)
    assert edge.service.kinds()[:2] == ["request_headers", "request_body"]
    assert edge.service.of("request_headers").attribute("xds.route_name") == ""
    assert response.status_code == 404
    assert edge.model.received == []


def test_the_service_can_refuse_an_unknown_path_itself(edge: Any) -> None:
    edge.service.plan = {"request_headers": "respond"}
    edge.service.status = 404
    assert httpx.get(f"{edge.url}/nowhere").content == b"by the service"


@pytest.mark.parametrize("path", ["/alpha%2Fbeta/v1", "/alpha/%5c..%5cbeta", "/alpha%2f..%2fbeta"])
def test_an_escaped_slash_is_refused(edge: Any, path: str) -> None:
    assert raw(edge, f"GET {path} HTTP/1.1\r\nhost: a\r\n\r\n").startswith(b"HTTP/1.1 400")
    assert edge.model.received == []


# What does not get in


@pytest.mark.parametrize("protocol", ["websocket", "anything"])
def test_an_upgrade_is_refused(edge: Any, protocol: str) -> None:
    request = f"GET /alpha/v1 HTTP/1.1\r\nhost: a\r\nconnection: upgrade\r\nupgrade: {protocol}\r\n\r\n"
    assert raw(edge, request).startswith(b"HTTP/1.1 403")
    assert edge.model.received == []


def test_connect_is_the_services_to_refuse_and_reaches_no_model(edge: Any) -> None:
    edge.service.plan = {"request_headers": "respond"}
    answer = raw(edge, "CONNECT 127.0.0.1:22 HTTP/1.1\r\nhost: 127.0.0.1:22\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 403")
    assert edge.service.of("request_headers").header(":method") == "CONNECT"
    assert edge.model.received == []


def test_a_body_over_the_limit_is_413_and_the_service_sees_it(edge: Any) -> None:
    limit = edge.settings.limits.max_body_bytes
    assert httpx.post(f"{edge.url}/alpha/v1", content=b"x" * (limit - 1000)).status_code == 200
    edge.service.reset()
    response = httpx.post(f"{edge.url}/alpha/v1", content=b"x" * (limit * 2))
    assert response.status_code == 413
    assert edge.service.kinds()[:2] == ["request_headers", "response_headers"]
    assert edge.service.of("response_headers").attribute("response.code_details") == "request_payload_too_large"
    assert len(edge.model.received) == 1


def test_headers_with_underscores_are_dropped(edge: Any) -> None:
    request = "GET /alpha/v1 HTTP/1.1\r\nhost: a\r\nx_forwarded_user: root\r\n\r\n"
    assert raw(edge, request).startswith(b"HTTP/1.1 200")
    assert edge.service.of("request_headers").header("x_forwarded_user") is None
    assert "x_forwarded_user" not in edge.model.received[0].headers


def test_headers_over_the_limit_end_the_connection(edge: Any) -> None:
    # A 431 is made, but the connection is closed before ext_proc, which sees every local reply, has answered it.
    request = f"GET /alpha/v1 HTTP/1.1\r\nhost: a\r\nx-long: {'a' * 80_000}\r\n\r\n"
    with contextlib.suppress(ConnectionResetError):
        assert raw(edge, request)[:12] in (b"", b"HTTP/1.1 431")
    assert edge.model.received == []


def test_a_client_cannot_steer_envoy(edge: Any) -> None:
    edge.model.status = 500
    steering = {
        "x-envoy-retry-on": "5xx",
        "x-envoy-max-retries": "3",
        "x-envoy-upstream-rq-timeout-ms": "1",
        "x-envoy-decorator-operation": "mine",
        "x-request-id": "mine",
        "x-forwarded-client-cert": "mine",
    }
    response = httpx.get(f"{edge.url}/alpha/v1", headers=steering)
    assert response.status_code == 500
    assert len(edge.model.received) == 1
    got = edge.model.received[0].headers
    assert "mine" not in got.values()
    assert not [name for name in got if name.startswith("x-envoy-") and name != "x-envoy-external-address"]
    assert got["x-request-id"] == response.headers["x-request-id"] != "mine"
    assert response.headers["server"] == "extproc"


def test_the_service_learns_who_connects_and_nothing_is_forged(edge: Any) -> None:
    httpx.get(f"{edge.url}/alpha/v1", headers={"x-forwarded-for": "203.0.113.9"})
    seen = edge.service.of("request_headers")
    assert seen.attribute("source.address").startswith("127.0.0.1:")
    assert seen.attribute("request.id") == seen.header("x-request-id")
    response = edge.service.of("response_headers")
    assert response.attribute("response.code_details") == "via_upstream"
    assert response.attribute("upstream.address") == f"127.0.0.1:{edge.model.port}"


def test_the_first_message_names_the_modes(edge: Any) -> None:
    httpx.get(f"{edge.url}/alpha/v1")
    config = edge.service.of("request_headers").message.protocol_config
    assert (config.request_body_mode, config.response_body_mode) == (2, 4)  # BUFFERED, FULL_DUPLEX_STREAMED


# What is written down


def test_an_access_line_names_the_exchange_and_no_content(edge: Any) -> None:
    response = httpx.post(
        f"{edge.url}/alpha/v1/chat?card=4111111111111111",
        content=PROMPT,
        headers={"user-agent": "agent-4111111111111111", "referer": "http://a/?card=4111111111111111"},
    )
    (line,) = access_lines(edge, response.headers["x-request-id"])
    assert (line["exchange_id"], line["effect"], line["rule"], line["operation"]) == (
        "ex-0001",
        "allow",
        "analysts",
        "chat",
    )
    assert line["policy"] == "sha256:00"
    assert (line["status"], line["method"], line["connection"]) == (200, "POST", "alpha")
    assert line["upstream"] == f"127.0.0.1:{edge.model.port}"
    assert line["ext_proc"].startswith("rh:")
    assert "4111111111111111" not in json.dumps(line)
    assert "/v1/chat" not in json.dumps(line)


def test_an_access_line_says_why_the_request_lock_refused(edge: Any) -> None:
    edge.service.plan = {"request_body": "close"}
    response = httpx.post(f"{edge.url}/alpha/v1", content=PROMPT)
    (line,) = access_lines(edge, response.headers["x-request-id"])
    assert line["details"].startswith("rbac_access_denied")


def test_an_access_line_says_that_the_response_lock_withheld(edge: Any) -> None:
    edge.service.plan = {"response_headers": "close"}
    response = httpx.post(f"{edge.url}/alpha/v1", content=PROMPT)
    (line,) = access_lines(edge, response.headers["x-request-id"])
    assert (line["status"], line["details"]) == (502, "via_upstream")


def test_the_metadata_namespace_is_the_only_one_the_service_can_write(edge: Any) -> None:
    assert gate.NAMESPACE == "extproc"
    httpx.get(f"{edge.url}/alpha/v1")
    assert edge.service.of("response_headers").message.metadata_context.filter_metadata == {}
