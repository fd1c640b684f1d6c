"""The whole data path on loopback: a real Envoy, real workers, a development issuer, and a model server that does as told."""

import contextlib
import itertools
import json
import queue
import socket
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import grpc
import httpx
import msgspec
import pytest
import yaml

from extproc.app import socket_path
from extproc.audit.reading.holdings import Holdings
from extproc.audit.reading.reader import find_records
from extproc.audit.stores.store import open_store
from extproc.local.envoy_process import RunningEnvoy, start_envoy
from extproc.local.guard import AUDIENCE, Guard, Wanted, start_guard
from extproc.local.issuer import mint_token
from extproc.local.ports import free_port
from extproc.pb import ext_proc_pb2 as pb
from extproc.pb import ext_proc_pb2_grpc as pb_grpc
from tests.envoy_in_one import in_one

POLICY = """
apiVersion: extproc/v1
kind: Policy
name: conformance
masking: {profile: pci-strict, styles: {pan: label}}
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
    hold: {approvers: [approvers], wait: 60s, expire: 1h}
  - name: brief
    effect: hold
    match: {models: ["brief-*"]}
    text: This model needs an approval, soon.
    hold: {approvers: [approvers], wait: 1s, expire: 1h}
  - name: short-lived
    effect: hold
    match: {models: ["fleeting-*"]}
    text: This model needs an approval at once.
    hold: {approvers: [approvers], wait: 2s, expire: 2s}
  - name: expiring
    effect: hold
    match: {models: ["expiring-*"]}
    text: This model needs an approval within seconds.
    hold: {approvers: [approvers], wait: 1s, expire: 15s}
  - name: windowed
    effect: hold
    match: {models: ["window-*"]}
    text: One grant serves twice.
    hold: {approvers: [approvers], wait: 1s, expire: 1h, window: {for: 1h, uses: 2}}
  - name: twofold
    effect: hold
    match: {models: ["twofold-*"]}
    text: Two people look at this.
    hold: {approvers: [approvers], wait: 1s, expire: 1h, quorum: 2, reason: required}
  - name: urgent
    effect: hold
    match: {models: ["urgent-*"]}
    text: This can wait, or not.
    hold: {approvers: [approvers], wait: 1s, expire: 1h, emergency: {groups: [on-call]}}
  - name: patient
    effect: hold
    match: {models: ["patient-*"]}
    text: Somebody looks at this, some time.
    hold: {approvers: [approvers], wait: 3m, expire: 1h}
  - name: detached
    effect: hold
    match: {models: ["detached-*"]}
    text: Go, and come back.
    hold: {approvers: [approvers], wait: 1m, expire: 1h, detach: true}
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
    disable_nagle_algorithm = True  # as model servers do: pieces would wait for each other, up to 40 ms
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
    event = {
        "id": "c1",
        "object": "chat.completion.chunk",
        "created": 1,
        "model": "m",
        "choices": [{"index": 0, "delta": {"content": content}, "finish_reason": None, **more}],
    }
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


def run_upstream(port: int = 0) -> tuple[Upstream, ThreadingHTTPServer]:
    """`port` 0: any free one."""
    upstream = Upstream()
    handler = type("Handler", (_Handler,), {"upstream": upstream})

    class Server(ThreadingHTTPServer):
        daemon_threads = True
        request_queue_size = 512

        def handle_error(self, request: Any, client_address: Any) -> None:
            """A client that left is part of the tests."""

    server = Server(("127.0.0.1", port), handler)
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

    def chat(
        self, content: str, *, client: httpx.Client | None = None, headers: dict[str, str] | None = None, **more: Any
    ) -> httpx.Response:
        body = {"model": "m", "messages": [{"role": "user", "content": content}], **more}
        send = client.post if client else httpx.post
        return send(
            self.guard.url + "/v1/chat/completions",
            json=body,
            headers={**self.headers(), **(headers or {})},
            timeout=60,
        )

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
    guard = start_guard(
        Wanted(directory=directory, upstream=upstream.url, policy=policy, credential="model-key-of-ours", **wanted)
    )

    def stop() -> None:
        guard.stop()
        server.shutdown()
        server.server_close()

    return World(guard, upstream, directory), stop


@pytest.fixture(scope="session")
def make_world() -> Callable[..., tuple[World, Callable[[], None]]]:
    """For worlds that several tests share: the world, and what stops it."""
    return build_world


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


# -- the same workers behind an Envoy that is configured otherwise ------------------------------------------------------


class Bootstrap:
    """A bootstrap of ours as a document that a test may change."""

    def __init__(self, text: str) -> None:
        self.document = in_one(text)
        self.listener = self.document["static_resources"]["listeners"][0]
        self.manager = self.listener["filter_chains"][0]["filters"][0]["typed_config"]
        self.filters: list[dict[str, Any]] = self.manager["http_filters"]
        self.ext_proc = next(f for f in self.filters if f["name"] == "envoy.filters.http.ext_proc")["typed_config"]
        self.routes = self.manager["route_config"]["virtual_hosts"][0]["routes"]

    def cluster(self, name: str) -> dict[str, Any]:
        """By the name that metrics have."""
        clusters = self.document["static_resources"]["clusters"]
        return next(c for c in clusters if c.get("alt_stat_name", c["name"]) == name)

    def protocol(self, cluster: str) -> dict[str, Any]:
        """`http_protocol_options` or `http2_protocol_options` of a cluster."""
        (options,) = self.cluster(cluster)["typed_extension_protocol_options"].values()
        (protocol,) = options["explicit_http_config"].values()
        return protocol

    def duplex_requests(self) -> None:
        """Full duplex both ways, as behind Envoy Gateway."""
        self.ext_proc["processing_mode"] |= {
            "request_body_mode": "FULL_DUPLEX_STREAMED",
            "request_trailer_mode": "SEND",
        }

    def idle_seconds(self, seconds: float) -> None:
        for route in self.routes:
            if "route" in route:
                route["route"]["idle_timeout"] = f"{seconds}s"


class AnotherEnvoy:
    """Starts Envoys before the workers of a world, each on ports of its own; `admin` answers for the last one."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self.running: list[RunningEnvoy] = []
        self.admin_port = 0

    def __call__(self, world: World, change: Callable[[Bootstrap], None]) -> World:
        """`world` as it is reached through an Envoy whose bootstrap `change` has altered."""
        guard = world.guard
        bootstrap = Bootstrap((world.directory / "envoy" / "envoy.yaml").read_text("utf-8"))
        port, self.admin_port = free_port(), free_port()
        bootstrap.listener["address"]["socket_address"]["port_value"] = port
        admin = {"address": "127.0.0.1", "port_value": self.admin_port}
        bootstrap.document["admin"] = {"address": {"socket_address": admin}}
        change(bootstrap)
        directory = self._directory / f"envoy-{len(self.running)}"
        envoy = start_envoy(yaml.safe_dump(bootstrap.document), directory, ready_timeout_seconds=30)
        self.running.append(envoy)
        settings = replace(guard.settings, listener=replace(guard.settings.listener, port=port))
        return replace(world, guard=replace(guard, envoy=envoy, settings=settings, url=f"http://127.0.0.1:{port}"))

    def stats(self, pattern: str) -> dict[str, int]:
        """Counters and gauges of the last Envoy whose names contain `pattern`."""
        text = httpx.get(f"http://127.0.0.1:{self.admin_port}/stats", params={"filter": pattern}, timeout=10).text
        pairs = (line.rpartition(": ") for line in text.splitlines())
        return {name: int(value) for name, _, value in pairs if value.isdigit()}

    def stop(self) -> None:
        for envoy in self.running:
            envoy.stop()


@pytest.fixture(scope="session")
def make_another_envoy() -> type[AnotherEnvoy]:
    """For Envoys that several tests share; whoever makes one stops it."""
    return AnotherEnvoy


@pytest.fixture
def another_envoy(tmp_path: Path) -> Iterator[AnotherEnvoy]:
    starter = AnotherEnvoy(tmp_path)
    yield starter
    starter.stop()


@pytest.fixture(scope="session")
def shared_duplex(shared_world: World, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    starter = AnotherEnvoy(tmp_path_factory.mktemp("duplex"))
    yield starter(shared_world, Bootstrap.duplex_requests)
    starter.stop()


@pytest.fixture
def duplex_world(world: World, shared_duplex: World) -> World:
    """The shared workers behind an Envoy in full duplex both ways."""
    return shared_duplex


# -- Envoy's side of a gRPC stream, played ------------------------------------------------------------------------------

MODE = pb.ProcessingMode
CHAT = {"model": "m", "messages": [{"role": "user", "content": "hello"}]}
_sources = (f"192.0.2.{number % 250}:{number}" for number in itertools.count(10_000))


class DataPlane:
    """Envoy's side of one stream to a real worker. Every answer is judged by the rules that a real Envoy enforces.

    `source` is the client's address: no other exchange has it, so it finds this one's records. As Envoy does, it closes
    the stream once it has all it needs, unless it `lingers`.
    """

    def __init__(
        self,
        channel: grpc.Channel,
        token: str = "",
        *,
        request_mode: int = MODE.BUFFERED,
        response_mode: int = MODE.FULL_DUPLEX_STREAMED,
        metadata: tuple[tuple[str, str], ...] = (),
        reading: bool = True,
        lingers: bool = False,
        seconds: float = 60.0,
    ) -> None:
        self.duplex = request_mode == MODE.FULL_DUPLEX_STREAMED
        self.modes = (request_mode, response_mode)
        self.source = next(_sources)
        self.answers: list[pb.ProcessingResponse] = []
        self.overrides: list[float] = []
        self.released = b""
        self._token = token
        self._lingers = lingers
        self._sent = 0
        self._asked: dict[str, int] = {}
        self._headers_only: set[str] = set()
        self._answered: set[str] = set()
        self._over: set[str] = set()
        self._outgoing: queue.SimpleQueue[pb.ProcessingRequest | None] = queue.SimpleQueue()
        self._incoming: queue.SimpleQueue[pb.ProcessingResponse | None] = queue.SimpleQueue()
        stub = pb_grpc.ExternalProcessorStub(channel)
        self.call = stub.Process(iter(self._outgoing.get, None), metadata=metadata, timeout=seconds)
        if reading:
            threading.Thread(target=self._read, daemon=True).start()

    # what Envoy sends

    def send(self, message: pb.ProcessingRequest) -> None:
        if not self._sent:
            message.protocol_config.request_body_mode, message.protocol_config.response_body_mode = self.modes
            message.attributes["envoy.filters.http.ext_proc"].fields["source.address"].string_value = self.source
        self._sent += 1
        kind = message.WhichOneof("request") or "nothing"
        self._asked[kind] = self._asked.get(kind, 0) + 1
        self._outgoing.put(message)

    def _headers(self, kind: str, pairs: dict[str, str | bytes], *, eos: bool) -> None:
        message = pb.ProcessingRequest()
        part = getattr(message, kind)
        part.end_of_stream = eos
        if eos:
            self._headers_only.add(kind)
        for name, value in pairs.items():
            raw = value.encode() if isinstance(value, str) else value
            part.headers.headers.add(key=name.replace("_", "-"), raw_value=raw)
        self.send(message)

    def _body(self, kind: str, data: bytes, *, eos: bool) -> None:
        message = pb.ProcessingRequest()
        part = getattr(message, kind)
        part.body, part.end_of_stream = data, eos
        self.send(message)

    def _trailers(self, kind: str, pairs: dict[str, str]) -> None:
        message = pb.ProcessingRequest()
        part = getattr(message, kind)
        part.SetInParent()
        for name, value in pairs.items():
            part.trailers.headers.add(key=name, raw_value=value.encode())
        self.send(message)

    def request_headers(
        self, method: str = "POST", path: str = "/v1/chat/completions", *, eos: bool = False, **more: str | bytes
    ) -> None:
        pairs: dict[str, str | bytes] = {":method": method, ":path": path, "content-type": "application/json"}
        if self._token:
            pairs["authorization"] = f"Bearer {self._token}"
        self._headers("request_headers", {**pairs, **more}, eos=eos)

    def request_body(self, document: Any = CHAT, *, eos: bool = True) -> None:
        data = document if isinstance(document, bytes) else json.dumps(document).encode()
        self._body("request_body", data, eos=eos)

    def request_trailers(self, **pairs: str) -> None:
        self._trailers("request_trailers", pairs)

    def response_headers(
        self, content_type: str = "text/event-stream", status: int = 200, *, eos: bool = False, **more: str | bytes
    ) -> None:
        pairs: dict[str, str | bytes] = {":status": str(status), "content-type": content_type}
        self._headers("response_headers", {**pairs, **more}, eos=eos)

    def response_body(self, data: bytes, *, eos: bool = False) -> None:
        self._body("response_body", data, eos=eos)

    def response_trailers(self, **pairs: str) -> None:
        self._trailers("response_trailers", pairs)

    def close(self) -> None:
        """Envoy has nothing more to send."""
        self._outgoing.put(None)

    def cancel(self) -> None:
        """Envoy resets the stream."""
        self.call.cancel()

    # what Envoy is answered

    def _read(self) -> None:
        with contextlib.suppress(grpc.RpcError):
            for answer in self.call:
                self._incoming.put(answer)
        self._incoming.put(None)

    def answer(self, seconds: float = 5.0) -> pb.ProcessingResponse:
        """The next answer that is not an override of the timeout."""
        while True:
            got = self._incoming.get(timeout=seconds)
            if got is None:
                self._incoming.put(None)
                raise AssertionError(f"the stream ended with {self.call.code()}")
            self._judge(got)
            self.answers.append(got)
            if got.WhichOneof("response"):
                return got

    def kinds(self, count: int) -> list[str]:
        return [str(self.answer().WhichOneof("response")) for _ in range(count)]

    def quiet(self, seconds: float = 0.2) -> bool:
        """Nothing comes."""
        try:
            got = self._incoming.get(timeout=seconds)
        except queue.Empty:
            return True
        self._incoming.put(got)
        return False

    def status(self, seconds: float = 15.0) -> grpc.StatusCode:
        """How the stream ends; what is answered until then is judged."""
        while (got := self._incoming.get(timeout=seconds)) is not None:
            self._judge(got)
            self.answers.append(got)
        code = self.call.code()
        assert code is not grpc.StatusCode.OK or self.complete, "the stream ended with OK before its exchange was over"
        return code

    @property
    def complete(self) -> bool:
        """Envoy has what it needs: a whole response of ours, or all of the model's."""
        return "immediate" in self._over or "response" in self._over

    def forwarded(self, document: Any = CHAT) -> pb.ProcessingResponse:
        """All the way to the model server; the answer that lets the request go on."""
        self.request_headers()
        if not self.duplex:
            assert self.answer().WhichOneof("response") == "request_headers"
        self.request_body(document)
        answer = self.answer()
        if self.duplex:
            while "request" not in self._over:
                self.answer()
        return answer

    def read_to_end(self) -> bytes:
        """The response body as the client gets it."""
        while "response" not in self._over:
            self.answer()
        return self.released

    # the rules

    def _judge(self, answer: pb.ProcessingResponse) -> None:
        self._judge_order(answer)
        if self.complete and not self._lingers:
            self.close()

    def _judge_order(self, answer: pb.ProcessingResponse) -> None:
        assert not self._over & {"immediate"}, "an answer after an immediate response"
        kind = answer.WhichOneof("response")
        if kind is None:
            assert answer.HasField("override_message_timeout"), "an empty answer"
            self.overrides.append(answer.override_message_timeout.ToNanoseconds() / 1e9)
            return
        direction = kind.partition("_")[0]
        assert direction not in self._over, f"{kind} after the end of its direction"
        if kind == "immediate_response":
            self._judge_immediate(answer.immediate_response)
        elif kind.endswith("_headers"):
            self._judge_headers(kind, getattr(answer, kind).response)
        elif kind.endswith("_body"):
            self._judge_body(kind, getattr(answer, kind).response)
        else:
            assert self._asked.get(kind), f"{kind} was not asked for"
            assert not getattr(answer, kind).header_mutation.set_headers
            self._over.add(direction)
        self._answered.add(kind)

    def _judge_immediate(self, immediate: pb.ImmediateResponse) -> None:
        assert 200 <= immediate.status.code <= 599
        assert immediate.details
        assert " " not in immediate.details
        assert "response_headers" not in self._answered, "an immediate response after the headers were released"
        unanswered = [kind for kind in self._asked if kind != "nothing" and kind not in self._answered]
        assert unanswered, "an immediate response, and no message to answer"
        self._judge_mutation(immediate.headers)
        assert "x-extproc-gate" not in {option.header.key for option in immediate.headers.set_headers}
        self._over.add("immediate")

    def _judge_headers(self, kind: str, common: pb.CommonResponse) -> None:
        assert self._asked.get(kind), f"{kind} was not asked for"
        assert kind not in self._answered, f"{kind} answered twice"
        self._judge_common(common)
        assert not common.HasField("body_mutation")
        if kind in self._headers_only:
            self._over.add(kind.partition("_")[0])

    def _judge_body(self, kind: str, common: pb.CommonResponse) -> None:
        direction = kind.partition("_")[0]
        assert f"{direction}_headers" in self._answered, "a body before its headers were answered"
        self._judge_common(common)
        mutation = common.body_mutation
        if direction == "request" and not self.duplex:
            assert kind not in self._answered, f"{kind} answered twice"
            assert mutation.WhichOneof("mutation") in (None, "body")
            if mutation.WhichOneof("mutation"):
                headers = {option.header.key: option.header.raw_value for option in common.header_mutation.set_headers}
                assert int(headers["content-length"]) == len(mutation.body)
            return
        assert mutation.WhichOneof("mutation") == "streamed_response"
        assert not common.HasField("header_mutation"), "Envoy would ignore it"
        if direction == "response":
            self.released += mutation.streamed_response.body
        if mutation.streamed_response.end_of_stream:
            assert f"{direction}_trailers" not in self._asked, "trailers were received and end the body"
            self._over.add(direction)

    def _judge_common(self, common: pb.CommonResponse) -> None:
        assert common.status == pb.CommonResponse.CONTINUE
        if common.clear_route_cache:  # Envoy heeds it only beside a header mutation
            names = [option.header.key for option in common.header_mutation.set_headers]
            assert "x-extproc-connection" in names, "a route is looked for again without the model server's name"
        self._judge_mutation(common.header_mutation)

    def _judge_mutation(self, mutation: pb.HeaderMutation) -> None:
        names = [option.header.key for option in mutation.set_headers]
        assert len(names) == len(set(names)), "a header is set twice"
        for option in mutation.set_headers:
            assert not option.header.value, "Envoy ignores `value`"
            assert not set(option.header.raw_value) & set(b"\r\n\0")
            assert not option.append.value
            assert option.append_action == pb.HeaderValueOption.OVERWRITE_IF_EXISTS_OR_ADD
        for name in (*names, *mutation.remove_headers):
            assert name == name.lower()
            assert name.strip()
            assert not name.startswith((":", "x-envoy-"))
            assert name != "host"


@pytest.fixture
def play_envoy() -> type[DataPlane]:
    return DataPlane


@pytest.fixture
def data_plane(world: World) -> Iterator[Callable[..., DataPlane]]:
    """Opens streams to the first of the shared workers; `token=""` sends none."""
    limits = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]
    with grpc.insecure_channel(f"unix:{socket_path(world.guard.settings, 0)}", options=limits) as channel:
        yield lambda token=None, **more: DataPlane(channel, world.token() if token is None else token, **more)
