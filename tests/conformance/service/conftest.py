"""The whole data path on loopback: a real Envoy, real workers, a development issuer, and a model server that does as told."""

import contextlib
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest

from extproc.audit.holdings import Holdings
from extproc.audit.reader import find_records
from extproc.audit.store import open_store
from extproc.local.guard import AUDIENCE, Guard, Wanted, start_guard
from extproc.local.issuer import mint_token

POLICY = """
apiVersion: extproc/v1
kind: Policy
name: conformance
masking: {profile: pci-strict, pan: label}
rules:
  - name: analysts
    effect: allow
    match: {groups: [analysts]}
  - name: bulk
    effect: hold
    match: {at_least: {max_tokens: 2000}}
    text: Bulk needs an approval.
    hold: {approvers: [approvers], wait: 3s, expire: 1h}
  - name: slow-bulk
    effect: hold
    match: {models: ["held-*"]}
    text: This model needs an approval.
    hold: {approvers: [approvers], wait: 40s, expire: 1h}
  - name: no-model-changes
    effect: deny
    match: {operations: [model_admin]}
    text: Models are changed by a release.
"""

Answer = Callable[["_Handler", bytes], None]


@dataclass
class Seen:
    method: str
    path: str
    headers: dict[str, str]
    body: bytes


@dataclass
class Upstream:
    """A model server under the test's thumb: `answer` writes the response on the handler."""

    url: str = ""
    seen: list[Seen] = field(default_factory=list)
    answer: Answer | None = None

    def requests(self, marker: str) -> list[Seen]:
        """What arrived with `marker` in its body or path."""
        return [seen for seen in self.seen if marker.encode() in seen.body or marker in seen.path]


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    upstream: Upstream

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Quiet."""

    def serve(self) -> None:
        if self.headers.get("transfer-encoding", "").lower() == "chunked":
            body = b""
            while size := int(self.rfile.readline().split(b";")[0], 16):
                body += self.rfile.read(size)
                self.rfile.readline()
            self.rfile.readline()
        else:
            body = self.rfile.read(int(self.headers.get("content-length") or 0))
        self.upstream.seen.append(Seen(self.command, self.path, {k.lower(): v for k, v in self.headers.items()}, body))
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            (self.upstream.answer or answer_chat)(self, body)

    do_GET = do_POST = do_PUT = do_DELETE = do_HEAD = serve  # noqa: N815

    def start(self, status: int, content_type: str, **headers: str) -> None:
        self.send_response(status)
        self.send_header("content-type", content_type)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)

    def whole(self, status: int, content_type: str, body: bytes, **headers: str) -> None:
        self.start(status, content_type, content_length=str(len(body)), **headers)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def chunks(self, status: int, content_type: str, pieces: list[bytes], pause: float = 0.0, **headers: str) -> None:
        self.start(status, content_type, transfer_encoding="chunked", **headers)
        self.end_headers()
        for piece in pieces:
            if piece:
                self.wfile.write(b"%x\r\n%b\r\n" % (len(piece), piece))
                self.wfile.flush()
            if pause:
                time.sleep(pause)
        self.wfile.write(b"0\r\n\r\n")


def sse_event(content: str, **more: Any) -> bytes:
    event = {"id": "c1", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": [{"index": 0, "delta": {"content": content}, "finish_reason": None, **more}]}
    return b"data: " + json.dumps(event).encode() + b"\n\n"


FINISH = b'data: {"id":"c1","object":"chat.completion.chunk","created":1,"model":"m","choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}\n\n'
DONE = b"data: [DONE]\n\n"


def disguise(piece: str) -> str:
    """Moved to a private-use plane, so that the request's own masking does not see what the model shall answer."""
    return "".join(chr(0xE000 + ord(character)) for character in piece)


def reveal(piece: str) -> str:
    return "".join(chr(ord(c) - 0xE000) if 0xE000 <= ord(c) < 0xF000 else c for c in piece)


def answer_chat(handler: _Handler, body: bytes) -> None:
    """Echoes the last message, streamed or not; with `"pieces"` in the request those are the tokens."""
    document = json.loads(body) if body else {}
    if not isinstance(document, dict) or "messages" not in document:
        handler.whole(200, "application/json", json.dumps({"object": "list", "data": []}).encode())
        return
    pieces = [reveal(piece) for piece in document.get("pieces") or []] or [str(document["messages"][-1]["content"])]
    if document.get("stream"):
        handler.chunks(200, "text/event-stream", [*map(sse_event, pieces), FINISH, DONE], document.get("pause", 0.0))
        return
    answer = {
        "id": "c1", "object": "chat.completion", "created": 1, "model": document.get("model"),
        "choices": [{"index": 0, "message": {"role": "assistant", "content": "".join(pieces)}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 3, "completion_tokens": len(pieces), "total_tokens": 3 + len(pieces)},
    }  # fmt: skip
    handler.whole(200, "application/json", json.dumps(answer).encode())


def run_upstream() -> tuple[Upstream, ThreadingHTTPServer]:
    upstream = Upstream()
    handler = type("Handler", (_Handler,), {"upstream": upstream})

    class Server(ThreadingHTTPServer):
        daemon_threads = True
        request_queue_size = 512

        def handle_error(self, request: Any, client_address: Any) -> None:
            """A client that left is part of the tests."""

    server = Server(("127.0.0.1", 0), handler)
    upstream.url = f"http://127.0.0.1:{server.server_address[1]}"
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    return upstream, server


@dataclass
class World:
    """A running guard, its upstream, and ways to look at both."""

    guard: Guard
    upstream: Upstream
    directory: Path

    def token(self, subject: str = "analyst", groups: tuple[str, ...] = ("analysts",), **more: Any) -> str:
        return mint_token(
            self.guard.issuer_directory,
            subject=subject,
            groups=list(groups),
            audience=AUDIENCE,
            issuer=self.guard.issuer.url,
            **more,
        )

    def headers(self, **more: str) -> dict[str, str]:
        return {"authorization": f"Bearer {self.token()}", **{k.replace("_", "-"): v for k, v in more.items()}}

    def chat(self, content: str, *, client: httpx.Client | None = None, headers: dict[str, str] | None = None, **more: Any) -> httpx.Response:
        body = {"model": "m", "messages": [{"role": "user", "content": content}], **more}
        send = client.post if client else httpx.post
        return send(self.guard.url + "/v1/chat/completions", json=body, headers={**self.headers(), **(headers or {})}, timeout=60)

    def stream_text(self, content: str, pieces: list[str], **more: Any) -> str:
        """What a client reads from a streamed chat whose model answers `pieces`."""
        answer = self.chat(content, stream=True, pieces=[disguise(piece) for piece in pieces], **more)
        assert answer.status_code == 200, answer.text
        text = ""
        for line in answer.text.split("\n"):
            if line.startswith("data: {"):
                for choice in json.loads(line[6:]).get("choices", []):
                    text += choice["delta"].get("content") or ""
        return text

    def raw(self, data: bytes, *, seconds: float = 20.0, until_closed: bool = True) -> bytes:
        """Bytes in, bytes out, on a connection of its own."""
        with socket.create_connection(("127.0.0.1", self.guard.settings.listener.port), timeout=seconds) as connection:
            connection.sendall(data)
            received = b""
            with contextlib.suppress(TimeoutError, ConnectionResetError):
                while chunk := connection.recv(65536):
                    received += chunk
                    if not until_closed and b"\r\n\r\n" in received:
                        break
            return received

    def records(self) -> list[dict[str, Any]]:
        """Every evidence record so far, shipped or not."""
        audit = self.guard.settings.audit
        holdings = Holdings.look(open_store(audit), audit.spool, audit.deployment)
        return [msgspec.to_builtins(evidence.record) for evidence in find_records(holdings)]

    def records_of(self, exchange_id: str) -> list[dict[str, Any]]:
        return [record for record in self.records() if record.get("exchange_id") == exchange_id]

    def await_record(self, matches: Callable[[dict[str, Any]], bool], seconds: float = 15.0) -> dict[str, Any]:
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            found = [record for record in self.records() if matches(record)]
            if found:
                return found[-1]
            time.sleep(0.1)
        raise AssertionError("no such record appeared")

    def worker_pids(self) -> list[int]:
        import psutil

        return [child.pid for child in psutil.Process(self.guard.service.process.pid).children()]

    def log_text(self) -> str:
        return (self.directory / "service.log").read_text("utf-8", "replace")


def build_world(directory: Path, **wanted: Any) -> tuple[World, Callable[[], None]]:
    upstream, server = run_upstream()
    directory.mkdir(parents=True, exist_ok=True)
    policy = directory / "policy.yaml"
    policy.write_text(wanted.pop("policy_text", POLICY), "utf-8")
    guard = start_guard(Wanted(directory=directory, upstream=upstream.url, policy=policy, credential="model-key-of-ours", **wanted))

    def stop() -> None:
        guard.stop()
        server.shutdown()
        server.server_close()

    return World(guard, upstream, directory), stop


@pytest.fixture(scope="session")
def shared_world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    world, stop = build_world(tmp_path_factory.mktemp("guard"), workers=2, drain_seconds=5)
    yield world
    stop()


@pytest.fixture
def world(shared_world: World) -> Iterator[World]:
    """The guard that all tests share, with the default model server behind it."""
    shared_world.upstream.answer = None
    yield shared_world
    shared_world.upstream.answer = None


@pytest.fixture
def own_world(tmp_path: Path) -> Iterator[Callable[..., World]]:
    """A guard of one's own, for tests that break it."""
    stops: list[Callable[[], None]] = []

    def build(**wanted: Any) -> World:
        world, stop = build_world(tmp_path / f"guard-{len(stops)}", **wanted)
        stops.append(stop)
        return world

    yield build
    for stop in stops:
        stop()
