"""Connections that say nothing take the console away from nobody."""

import contextlib
import ipaddress
import socket
import threading
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest
import uvicorn

from extproc.console.connection import protocol_for
from extproc.local.ports import free_port

NO_PROXIES: tuple[Any, ...] = ()


async def app(scope: dict[str, Any], receive: Callable[[], Any], send: Callable[[Any], Any]) -> None:
    while (await receive()).get("more_body"):
        pass
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
    await send({"type": "http.response.body", "body": b"ok"})


@contextlib.contextmanager
def served(**bounds: Any) -> Iterator[int]:
    """The port of a server that serves 8 at once."""
    port = free_port()
    http = protocol_for(bounds.pop("proxies", NO_PROXIES), **bounds)
    server = uvicorn.Server(
        uvicorn.Config(app, port=port, http=http, lifespan="off", log_config=None, limit_concurrency=8)
    )
    started = threading.Event()
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not started.wait(0.01) and not server.started:
        pass
    try:
        yield port
    finally:
        server.should_exit = True
        thread.join(20)


def opened(port: int, said: bytes = b"") -> socket.socket:
    connection = socket.create_connection(("127.0.0.1", port), timeout=5)
    connection.sendall(said)
    return connection


def rest(connection: socket.socket) -> bytes:
    """What comes until the other side closes; an abort is a close."""
    said = b""
    with connection, contextlib.suppress(ConnectionResetError):
        while piece := connection.recv(4096):
            said += piece
    return said


@pytest.mark.parametrize("said", [b"", b"GET / HTTP/1.1\r\nhost: x\r\n"], ids=["nothing", "half a header"])
def test_who_sends_no_whole_header_in_time_loses_the_connection(said: bytes) -> None:
    with served(seconds=0.3) as port:
        idle = [opened(port, said) for _ in range(20)]
        assert [rest(connection) for connection in idle] == [b""] * 20  # it comes back: all of them are closed
        assert httpx.get(f"http://127.0.0.1:{port}/", trust_env=False).status_code == 200


def test_who_begins_another_request_and_does_not_end_it_loses_the_connection() -> None:
    with served(seconds=0.3) as port:
        connection = opened(port, b"GET / HTTP/1.1\r\nhost: x\r\n\r\n")
        said = b""
        while not said.endswith(b"ok"):
            said += connection.recv(4096)
        connection.sendall(b"GET / HTTP/1.1\r\nhost: x\r\n")
        assert rest(connection) == b""


def test_one_address_has_so_many_connections_and_others_are_served() -> None:
    with served(most=4, seconds=60) as port:
        idle = [opened(port) for _ in range(12)]
        closed = [rest(connection) for connection in idle[4:]]
        assert closed == [b""] * 8
        for connection in idle[:4]:
            connection.sendall(b"GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
            assert rest(connection).startswith(b"HTTP/1.1 200")


def test_a_proxy_may_open_more() -> None:
    with served(most=1, seconds=60, proxies=(ipaddress.ip_network("127.0.0.0/8"),)) as port:
        idle = [opened(port) for _ in range(4)]
        for connection in idle:
            connection.sendall(b"GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
            assert rest(connection).startswith(b"HTTP/1.1 200")


def test_a_body_may_take_longer_than_a_header() -> None:
    """It has a bound of its own."""
    with served(seconds=0.3) as port:
        connection = opened(port, b"POST / HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: 2\r\n\r\n")
        threading.Event().wait(0.6)
        connection.sendall(b"ab")
        assert rest(connection).startswith(b"HTTP/1.1 200")
