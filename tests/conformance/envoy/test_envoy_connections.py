"""Which model server a request reaches is the service's choice: made after the body, by a header, on the real Envoy."""

import socket
from typing import Any

import httpx
import pytest

from extproc.core.connections import CONNECTION_HEADER
from tests.conformance.envoy.test_envoy_edge import access_lines

PROMPT = b'{"model": "m", "messages": []}'


def test_a_choice_made_with_the_body_decides_the_route(edge: Any) -> None:
    """Envoy looks for the route again, although the request came with another path's prefix too."""
    edge.service.choice = "beta"
    response = httpx.post(f"{edge.url}/alpha/beta/v1/x", content=PROMPT)
    assert response.status_code == 200
    assert edge.service.kinds()[:2] == ["request_headers", "request_body"]
    assert edge.service.of("response_headers").attribute("xds.route_name").startswith("beta.")
    assert edge.model.received[0].target == "/v1/x"


@pytest.mark.parametrize("name", [CONNECTION_HEADER, CONNECTION_HEADER.upper(), CONNECTION_HEADER.replace("-", "_")])
def test_a_client_cannot_choose(edge: Any, name: str) -> None:
    """Its header is gone before a route is looked for; the service, which chooses nothing here, does not see it."""
    edge.service.choice = ""
    response = httpx.post(f"{edge.url}/alpha/v1", content=PROMPT, headers={name: "alpha"})
    seen = edge.service.of("request_headers")
    assert (seen.header(CONNECTION_HEADER), seen.attribute("xds.route_name")) == (None, "")
    assert (response.status_code, edge.model.received) == (404, [])


def test_a_client_cannot_choose_on_a_request_without_a_body(edge: Any) -> None:
    edge.service.choice = ""
    with socket.create_connection(("127.0.0.1", edge.settings.listener.port), timeout=5) as connection:
        head = f"GET /alpha/v1 HTTP/1.1\r\nhost: a\r\n{CONNECTION_HEADER}: alpha\r\n{CONNECTION_HEADER}: beta\r\n\r\n"
        connection.sendall(head.encode())
        assert connection.recv(65536).startswith(b"HTTP/1.1 404")
    assert edge.model.received == []


@pytest.mark.parametrize("choice", ["", "gamma", "beta", "model_alpha", "extproc"])
def test_an_allowed_request_without_a_fitting_choice_reaches_no_model(edge: Any, choice: str) -> None:
    """No choice, no such connection, one with another prefix, the names of clusters."""
    edge.service.choice = choice
    assert httpx.post(f"{edge.url}/alpha/v1", content=PROMPT).status_code == 404
    assert edge.model.received == []


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_the_request_lock_holds_after_the_route_was_looked_for_again(edge: Any, method: str) -> None:
    edge.service.plan = {"request_headers": "bare", "request_body": "bare"}
    response = httpx.request(method, f"{edge.url}/alpha/v1", content=PROMPT if method == "POST" else b"")
    assert (response.status_code, edge.model.received) == (403, [])


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_the_model_server_gets_no_word_of_the_choice(edge: Any, method: str) -> None:
    httpx.request(method, f"{edge.url}/alpha/v1", content=PROMPT if method == "POST" else b"")
    (received,) = edge.model.received
    assert not [name for name in received.headers if name.startswith("x-extproc")]


def test_the_access_log_names_the_connection_that_was_chosen(edge: Any) -> None:
    response = httpx.post(f"{edge.url}/alpha/v1", content=PROMPT)
    (line,) = access_lines(edge, response.headers["x-request-id"])
    assert line["connection"] == "alpha"
