"""What keeps a waiting client's connection alive where nothing is said for minutes, on the real Envoy: TCP and HTTP/2."""

import json
import os
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Self

import h2.config
import h2.connection
import h2.events
import pytest

from tests.conformance.service.conftest import Bootstrap

LONGEST_SILENCE_SECONDS = 30
KEEPALIVE = "02"


def body(model: str) -> bytes:
    return json.dumps({"model": model, "messages": [{"role": "user", "content": "marker-kept-alive"}]}).encode()


def timer_of(port: int, peer: int) -> tuple[str, float]:
    """Which timer of the kernel runs for the socket at `port` that `peer` is connected to, and its seconds left."""
    for line in Path("/proc/net/tcp").read_text("ascii").splitlines()[1:]:
        fields = line.split()
        here, there = (int(address.rpartition(":")[2], 16) for address in fields[1:3])
        if (here, there) == (port, peer):
            kind, _, left = fields[5].partition(":")
            return kind, int(left, 16) / os.sysconf("SC_CLK_TCK")
    raise AssertionError("there is no such connection")


def test_the_kernel_keeps_a_waiting_clients_connection_alive(world: Any) -> None:
    port, sent = world.guard.settings.listener.port, body("brief-1")
    with socket.create_connection(("127.0.0.1", port), timeout=20) as client:
        head = f"POST /v1/chat/completions HTTP/1.1\r\nhost: a\r\nauthorization: Bearer {world.token()}\r\n"
        client.sendall(f"{head}content-type: application/json\r\ncontent-length: {len(sent)}\r\n\r\n".encode() + sent)
        deadline = time.monotonic() + 10
        while (timer := timer_of(port, client.getsockname()[1]))[0] != KEEPALIVE:
            assert time.monotonic() < deadline, timer
        assert 0 < timer[1] <= LONGEST_SILENCE_SECONDS
        assert client.recv(65536).startswith(b"HTTP/1.1 202")


@pytest.fixture(scope="module")
def hasty(shared_world: Any, tmp_path_factory: pytest.TempPathFactory, make_another_envoy: Any) -> Iterator[Any]:
    """The shared workers behind an Envoy that pings, and despairs, in a hundredth of the time."""
    starter = make_another_envoy(tmp_path_factory.mktemp("hasty"))

    def hasten(bootstrap: Bootstrap) -> None:
        keepalive = bootstrap.manager["http2_protocol_options"]["connection_keepalive"]
        for name in ("interval", "timeout"):
            keepalive[name] = f"{float(keepalive[name][:-1]) / 100}s"

    yield starter(shared_world, hasten)
    starter.stop()


class Client:
    """Asks over HTTP/2 and waits; whether it answers a PING is the test's choice."""

    def __init__(self, world: Any, model: str) -> None:
        self._socket = socket.create_connection(("127.0.0.1", world.guard.settings.listener.port), timeout=20)
        self.source = "{}:{}".format(*self._socket.getsockname())
        self._h2 = h2.connection.H2Connection(h2.config.H2Configuration(header_encoding="utf-8"))
        self._h2.initiate_connection()
        target = {":method": "POST", ":scheme": "http", ":authority": "a", ":path": "/v1/chat/completions"}
        self._h2.send_headers(1, [*target.items(), *world.headers(content_type="application/json").items()])
        self._h2.send_data(1, body(model), end_stream=True)
        self.answer()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def events(self) -> Iterator[h2.events.Event]:
        """Until Envoy closes the connection."""
        while received := self._socket.recv(65536):
            yield from self._h2.receive_data(received)

    def answer(self) -> None:
        self._socket.sendall(self._h2.data_to_send())


def test_a_waiting_http2_client_is_pinged_and_then_answered(hasty: Any) -> None:
    pings = 0
    with Client(hasty, "brief-1") as client:
        for event in client.events():
            client.answer()
            pings += isinstance(event, h2.events.PingReceived)
            if isinstance(event, h2.events.ResponseReceived):
                assert (event.headers or [])[0] == (":status", "202")
                break
    assert pings >= 1


def test_an_http2_client_that_answers_no_ping_is_gone_and_its_hold_withdrawn(hasty: Any) -> None:
    with Client(hasty, "held-1") as client:
        events = [*client.events()]
    assert [event for event in events if isinstance(event, h2.events.PingReceived)]
    assert not [event for event in events if isinstance(event, h2.events.ResponseReceived)]
    hasty.await_record(lambda r: r["event_code"] == "approval.withdraw" and r["src_address"] == client.source)
    assert not hasty.upstream.requests("marker-kept-alive")
