"""What the model server is really sent: a loopback proxy that keeps the last requests and shows them as JSON.

For the demo and for tests. It stands between Envoy and the model server, so what it keeps is masked; all the same it
shows the model server's own key to whoever can read loopback, and has no place in a deployment.
"""

import base64
import json
import socket
import sys
import threading
import time
from collections import deque
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Final, Self
from urllib.parse import urlsplit

KEPT_REQUESTS: Final = 64
MAX_BODY_BYTES: Final = 32 * 1024 * 1024
"""Twice the largest request the gateway lets through by default."""
_SILENCE_SECONDS = 600.0
_READ_BYTES = 65536
_EVENT_END = b"\n\n"
_HOP_BY_HOP = frozenset({"connection", "keep-alive", "transfer-encoding", "content-length", "te", "trailer", "upgrade"})


@dataclass(frozen=True, slots=True)
class TappedRequest:
    """One request as it came, header names in lower case, in order."""

    method: str
    path: str
    headers: tuple[tuple[str, str], ...] = field(repr=False)
    body: bytes = field(repr=False)

    def header(self, name: str) -> str:
        """The first value of `name` (lower case), or the empty string."""
        return next((value for key, value in self.headers if key == name), "")

    def as_json(self) -> dict[str, object]:
        """The body as text; as `body_base64` where it is not UTF-8."""
        try:
            body = {"body": self.body.decode()}
        except UnicodeDecodeError:
            body = {"body_base64": base64.b64encode(self.body).decode()}
        return {"method": self.method, "path": self.path, "headers": [list(pair) for pair in self.headers], **body}


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def __init__(
        self, port: int, handler: type[BaseHTTPRequestHandler], upstream: tuple[str, int], pace_seconds: float = 0.0
    ) -> None:
        super().__init__(("127.0.0.1", port), handler)
        self.upstream = upstream
        self.pace_seconds = pace_seconds
        self.kept: deque[TappedRequest] = deque(maxlen=KEPT_REQUESTS)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def handle_error(self, request: object, client_address: object) -> None:
        """A peer that leaves in the middle is no event; anything else is a bug and shows."""
        if not isinstance(sys.exception(), OSError):
            super().handle_error(request, client_address)  # type: ignore[arg-type]


class _Quiet(BaseHTTPRequestHandler):
    server: _Server
    timeout = _SILENCE_SECONDS

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name in the base class
        """Nothing: what was asked is in the memory, not in a log."""


class _Tap(_Quiet):
    """Reads a request whole, keeps it, sends it on, and copies the answer byte by byte as it comes."""

    protocol_version = "HTTP/1.1"

    def _forward(self) -> None:
        self.close_connection = True
        body = self._read_body()
        if body is None:
            self.send_error(400)
            return
        headers = tuple((name.lower(), value) for name, value in self.headers.items())
        request = TappedRequest(self.command, self.path, headers, body)
        self.server.kept.append(request)
        try:
            upstream = socket.create_connection(self.server.upstream, timeout=_SILENCE_SECONDS)
        except OSError:
            self.send_error(502)
            return
        with upstream:
            upstream.sendall(_render(request))
            while chunk := upstream.recv(_READ_BYTES):
                self._pass_on(chunk)

    def _pass_on(self, chunk: bytes) -> None:
        """At once; with a pace, a pause after each event of a stream, however many of them came together."""
        if not self.server.pace_seconds:
            self.wfile.write(chunk)
            return
        *events, rest = chunk.split(_EVENT_END)
        for event in events:
            self.wfile.write(event + _EVENT_END)
            time.sleep(self.server.pace_seconds)
        self.wfile.write(rest)

    do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = do_PATCH = do_OPTIONS = _forward  # noqa: N815 - the base class's names

    def _read_body(self) -> bytes | None:
        """The whole body by either framing (RFC 9112, section 6), or None where it is not well-formed or too large."""
        if self.headers.get("transfer-encoding", "").lower() == "chunked":
            return self._read_chunks()
        length = self.headers.get("content-length", "0")
        if not length.isdigit() or int(length[:12]) > MAX_BODY_BYTES:
            return None
        body = self.rfile.read(int(length))
        return body if len(body) == int(length) else None

    def _read_chunks(self) -> bytes | None:
        body = bytearray()
        while True:
            try:
                size = int(self.rfile.readline(64).split(b";")[0], 16)
            except ValueError:
                return None
            if size < 0 or len(body) + size > MAX_BODY_BYTES:
                return None
            chunk = self.rfile.read(size)
            if size == 0:
                while self.rfile.readline(_READ_BYTES).strip():
                    pass
                return bytes(body)
            body += chunk
            if len(chunk) != size or self.rfile.read(2) != b"\r\n":
                return None


def _render(request: TappedRequest) -> bytes:
    """The request with a framing of our own: its length, and no further request on the connection."""
    kept = [f"{name}: {value}" for name, value in request.headers if name not in _HOP_BY_HOP]
    head = [f"{request.method} {request.path} HTTP/1.1", *kept, "connection: close"]
    if request.body or request.method in {"POST", "PUT", "PATCH"}:
        head.append(f"content-length: {len(request.body)}")
    return "\r\n".join([*head, "", ""]).encode("latin-1") + request.body


class _View(_Quiet):
    """`GET` anything: the requests kept, oldest first."""

    def do_GET(self) -> None:
        document = json.dumps([request.as_json() for request in list(self.server.kept)]).encode()
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(document)))
        self.end_headers()
        self.wfile.write(document)


class RunningWiretap:
    """Until `stop`: proxies at `url`, shows what passed at `view_url`."""

    def __init__(self, tap: _Server, view: _Server) -> None:
        self.url, self.view_url = tap.url, view.url
        self._servers = (tap, view)
        self._tap = tap
        self._threads = [
            threading.Thread(target=server.serve_forever, args=(0.05,), name="wiretap", daemon=True)
            for server in self._servers
        ]
        for thread in self._threads:
            thread.start()

    @property
    def requests(self) -> tuple[TappedRequest, ...]:
        """The last requests, oldest first."""
        return tuple(self._tap.kept)

    def forget(self) -> None:
        """Start afresh."""
        self._tap.kept.clear()

    def stop(self) -> None:
        """Both ports are free afterwards. May be called twice."""
        for server, thread in zip(self._servers, self._threads, strict=True):
            server.shutdown()
            thread.join()
            server.server_close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.stop()


def start_wiretap(upstream_url: str, port: int = 0, view_port: int = 0, *, pace_seconds: float = 0.0) -> RunningWiretap:
    """A wiretap before the model server at `upstream_url` (`http://host:port`); port 0 takes a free one.

    With `pace_seconds`, a streamed answer's events pass no faster than one in that time.
    Raises `OSError` when a port is taken, `ValueError` for another kind of URL.
    """
    parts = urlsplit(upstream_url)
    if parts.scheme != "http" or parts.hostname is None:
        raise ValueError("the wiretap stands before an `http://host:port` server")
    tap = _Server(port, _Tap, (parts.hostname, parts.port or 80), pace_seconds)
    try:
        view = _Server(view_port, _View, tap.upstream)
    except OSError:
        tap.server_close()
        raise
    view.kept = tap.kept
    return RunningWiretap(tap, view)
