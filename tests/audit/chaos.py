"""An HTTP proxy on loopback in front of an S3 server, which does to chosen requests what networks and stores do."""

import contextlib
import http.client
import socket
import struct
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from email.utils import formatdate
from enum import Enum, auto
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

HOP_BY_HOP = {"connection", "keep-alive", "transfer-encoding", "content-length", "expect"}


class Network(Enum):
    """What becomes of a request and its answer."""

    PASS = auto()
    RESET_BEFORE = auto()
    """The whole body came, the store never saw it, and the connection is reset."""
    RESET_AFTER = auto()
    """The store has it, and the connection is reset in place of the answer."""
    SILENCE_AFTER = auto()
    """The store has it, and no answer comes while the client waits."""
    TWICE = auto()
    """Delivered twice; the client gets the second answer."""
    OTHER_CHECKSUM = auto()
    """The answer names another SHA-256 than that of what was sent."""


@dataclass(frozen=True)
class Says:
    """The store refuses. `clock_seconds`: how far its time is from ours."""

    status: int
    code: str
    message: str = "no"
    clock_seconds: float = 0.0


Fault = Network | Says


class ChaosProxy:
    """Forwards to `target`. `faults` are what happens to the next requests of `method` that name an object."""

    def __init__(self, target: str) -> None:
        self.host, _, port = target.removeprefix("http://").partition(":")
        self.port = int(port)
        self.method = "PUT"
        self.faults: list[Fault] = []
        self.seen: list[tuple[str, str]] = []
        self.over = threading.Event()
        self._lock = threading.Lock()
        proxy = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def handle_any(self) -> None:
                proxy.carry(self)

            do_GET = do_PUT = do_HEAD = do_DELETE = do_POST = handle_any  # noqa: N815 - http.server's names

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_port}"

    def fault_of(self, method: str, path: str) -> Fault:
        names_object = len(path.partition("?")[0].strip("/").split("/")) > 1
        with self._lock:
            if names_object:
                self.seen.append((method, path))
            return self.faults.pop(0) if names_object and method == self.method and self.faults else Network.PASS

    def carry(self, client: BaseHTTPRequestHandler) -> None:
        body = client.rfile.read(int(client.headers.get("content-length") or 0))
        fault = self.fault_of(client.command, client.path)
        match fault:
            case Says():
                answer_refusal(client, fault)
            case Network.RESET_BEFORE:
                reset(client)
            case Network.RESET_AFTER:
                self.forward(client, body)
                reset(client)
            case Network.SILENCE_AFTER:
                self.forward(client, body)
                self.over.wait(60)
                reset(client)
            case Network.TWICE:
                self.forward(client, body)
                answer(client, *self.forward(client, body))
            case Network.OTHER_CHECKSUM:
                status, headers, content = self.forward(client, body)
                others = [pair for pair in headers if pair[0].lower() != "x-amz-checksum-sha256"]
                answer(client, status, [*others, ("x-amz-checksum-sha256", "AAAA")], content)
            case _:
                answer(client, *self.forward(client, body))

    def forward(self, client: BaseHTTPRequestHandler, body: bytes) -> tuple[int, list[tuple[str, str]], bytes]:
        connection = http.client.HTTPConnection(self.host, self.port, timeout=60)
        with contextlib.closing(connection):
            headers = {name: value for name, value in client.headers.items() if name.lower() not in HOP_BY_HOP}
            connection.request(client.command, client.path, body, headers)
            response = connection.getresponse()
            return response.status, response.getheaders(), response.read()


def answer(client: BaseHTTPRequestHandler, status: int, headers: list[tuple[str, str]], content: bytes) -> None:
    client.send_response_only(status)
    for name, value in headers:
        if name.lower() not in HOP_BY_HOP or (name.lower() == "content-length" and client.command == "HEAD"):
            client.send_header(name, value)
    if client.command != "HEAD":
        client.send_header("Content-Length", str(len(content)))
    client.end_headers()
    if client.command != "HEAD":
        client.wfile.write(content)


def answer_refusal(client: BaseHTTPRequestHandler, says: Says) -> None:
    body = f"<Error><Code>{says.code}</Code><Message>{says.message}</Message></Error>".encode()
    date = formatdate(time.time() + says.clock_seconds, usegmt=True)
    answer(client, says.status, [("Date", date), ("Content-Type", "application/xml")], body)


def reset(client: BaseHTTPRequestHandler) -> None:
    """A TCP reset, not an orderly end."""
    client.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    client.close_connection = True
    client.connection.close()


@contextlib.contextmanager
def chaos(target: str) -> Iterator[ChaosProxy]:
    proxy = ChaosProxy(target)
    thread = threading.Thread(target=proxy.server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield proxy
    finally:
        proxy.over.set()
        proxy.server.shutdown()
        proxy.server.server_close()
        thread.join(10)
