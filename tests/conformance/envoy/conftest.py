"""The real Envoy between a toy ext_proc service and a toy model server, all on loopback."""

import threading
import time
from collections.abc import Callable, Iterator
from concurrent import futures
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import grpc
import pytest

from extproc.approvals.settings import ApprovalSettings
from extproc.audit.settings import AuditSettings, DirectoryStore
from extproc.core.connections import CONNECTION_HEADER, find_candidates
from extproc.core.dialects.routing import normalize_path
from extproc.core.reasons import Malformed
from extproc.core.snapshot import Limits
from extproc.edge import gate
from extproc.edge.bootstrap import render_following, write_discovery, write_secret_configs
from extproc.edge.settings import (
    ConnectionSettings,
    EnvoySettings,
    ListenerSettings,
    Settings,
    TlsSettings,
)
from extproc.edge.settings_telemetry import TelemetrySettings
from extproc.local.envoy_process import RunningEnvoy, start_envoy
from extproc.local.ports import free_port
from extproc.pb import ext_proc_pb2 as pb
from extproc.pb import ext_proc_pb2_grpc as pb_grpc

GATE = "a-gate-secret-for-tests-0123456789abcdef"
VERSION = "sha256:first"
MAX_BODY = 200_000
LABELS = {
    gate.EXCHANGE_ID: "ex-0001",
    gate.EFFECT: "allow",
    gate.RULE: "analysts",
    gate.POLICY: "sha256:00",
    gate.OPERATION: "chat",
    gate.CONNECTION: "alpha",
}


def settings_in(directory: Path, **changes: Any) -> Settings:
    """Settings that render; `changes` replace whole fields."""
    plain = Settings(
        deployment="demo",
        run_directory=directory,
        workers=1,
        drain_seconds=5.0,
        listener=ListenerSettings(),
        envoy=EnvoySettings(),
        connections=(ConnectionSettings("model", "http://127.0.0.1:8000"),),
        issuers=(),
        policy_file=directory / "policy.yaml",
        digest_key_file=directory / "digest.key",
        approvals=ApprovalSettings("sqlite://"),
        approvals_url="",
        audit=AuditSettings("demo", directory / "spool", directory / "keys", DirectoryStore(directory / "audit")),
        telemetry=TelemetrySettings(),
        limits=Limits(),
    )
    return replace(plain, **changes)


@dataclass
class Seen:
    kind: str
    message: pb.ProcessingRequest

    def header(self, name: str) -> str | None:
        part = getattr(self.message, self.kind)
        for header in part.headers.headers:
            if header.key == name:
                return (header.raw_value or header.value.encode()).decode("latin-1")
        return None

    def attribute(self, name: str) -> str:
        return str(self.message.attributes["envoy.filters.http.ext_proc"].fields[name].string_value)


class ToyService(pb_grpc.ExternalProcessorServicer):
    """Answers like the real service, unless `plan` names another way out for a phase.

    Ways: `close` ends the gRPC stream with OK, `abort` with an error, `respond` sends an immediate response, `bare`
    leaves the marker or the decision away.
    """

    def __init__(self, connections: tuple[ConnectionSettings, ...] = ()) -> None:
        self.connections = tuple(each.served(None) for each in connections)
        self.reset()

    def reset(self) -> None:
        self.plan: dict[str, str] = {}
        self.choice: str | None = None
        """The connection to choose, or what to say as the choice, whatever the path; None: the one that the settings
        give it."""
        self.seen: list[Seen] = []
        self.status = 403
        self.delay_seconds = 0.0

    def kinds(self) -> list[str]:
        return [seen.kind for seen in self.seen]

    def of(self, kind: str) -> Seen:
        return next(seen for seen in self.seen if seen.kind == kind)

    def Process(self, request_iterator: Any, context: grpc.ServicerContext) -> Iterator[pb.ProcessingResponse]:  # noqa: N802
        path = b""
        for message in request_iterator:
            kind = message.WhichOneof("request")
            if kind == "request_headers":
                path = next((h.raw_value for h in message.request_headers.headers.headers if h.key == ":path"), b"")
            self.seen.append(Seen(kind, message))
            time.sleep(self.delay_seconds)
            match self.plan.get(kind, "pass"):
                case "close":
                    return
                case "abort":
                    context.abort(grpc.StatusCode.INTERNAL, "toy")
                case "respond":
                    yield self._immediate()
                case way:
                    yield self._answer(kind, message, path, bare=way == "bare")

    def _immediate(self) -> pb.ProcessingResponse:
        answer = pb.ProcessingResponse()
        answer.immediate_response.status.code = self.status
        answer.immediate_response.body = b"by the service"
        answer.immediate_response.details = "policy_denied"
        self._label(answer, "deny")
        return answer

    def _answer(self, kind: str, message: pb.ProcessingRequest, path: bytes, *, bare: bool) -> pb.ProcessingResponse:
        answer = pb.ProcessingResponse()
        match kind:
            case "request_headers":
                answer.request_headers.response.SetInParent()
                if message.request_headers.end_of_stream:
                    self._choose(answer.request_headers.response, path)
                    if not bare:
                        self._label(answer, gate.ALLOW)
            case "request_body":
                self._choose(answer.request_body.response, path)
                if not bare:
                    self._label(answer, gate.ALLOW)
            case "response_headers":
                answer.response_headers.response.SetInParent()
                if not bare:
                    _mark(answer.response_headers.response.header_mutation)
            case "response_body":
                streamed = answer.response_body.response.body_mutation.streamed_response
                streamed.body = message.response_body.body
                streamed.end_of_stream = message.response_body.end_of_stream
            case "request_trailers":
                answer.request_trailers.SetInParent()
            case _:
                answer.response_trailers.SetInParent()
        return answer

    def _choose(self, common: pb.CommonResponse, path: bytes) -> None:
        """The connection for the path, as the service says it; nothing for a path that has none."""
        common.SetInParent()
        said = {each.name: each.route for each in self.connections}.get(self.choice or "", self.choice)
        if said is None:
            try:
                said = find_candidates(self.connections, b"", normalize_path(path)).first.route
            except Malformed:
                return
        common.clear_route_cache = True
        option = common.header_mutation.set_headers.add()
        option.header.key, option.header.raw_value = CONNECTION_HEADER, said.encode()

    def _label(self, answer: pb.ProcessingResponse, decision: str) -> None:
        answer.dynamic_metadata.update({gate.NAMESPACE: {gate.DECISION: decision, **LABELS}})


def _mark(mutation: pb.HeaderMutation) -> None:
    option = mutation.set_headers.add()
    option.header.key = gate.GATE_HEADER
    option.header.raw_value = GATE.encode()


@dataclass
class Received:
    method: str
    target: str
    headers: dict[str, str]
    body: bytes


class ToyModel:
    """A model server that says what it is told to and remembers what it got."""

    def __init__(self) -> None:
        model = self

        class Answers(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def _answer(self) -> None:
                model.answer(self)

            do_GET = do_POST = do_PUT = _answer  # noqa: N815

            def log_message(self, *_: Any) -> None:
                pass

        self.reset()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Answers)
        self._server.daemon_threads = True
        self.port = int(self._server.server_address[1])
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        self._thread.start()

    def reset(self) -> None:
        self.received: list[Received] = []
        self.status = 200
        self.headers: dict[str, str] = {}
        self.body = b'{"answer": "from the model"}'

    def answer(self, request: BaseHTTPRequestHandler) -> None:
        body = request.rfile.read(int(request.headers.get("content-length", "0")))
        headers = {name.lower(): value for name, value in request.headers.items()}
        self.received.append(Received(request.command, request.path, headers, body))
        request.send_response(self.status)
        for name, value in {"content-type": "application/json", **self.headers}.items():
            request.send_header(name, value)
        request.send_header("content-length", str(len(self.body)))
        request.end_headers()
        request.wfile.write(self.body)

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


@dataclass
class Edge:
    """A running Envoy and both its neighbours."""

    settings: Settings
    service: ToyService
    model: ToyModel
    envoy: RunningEnvoy
    directory: Path
    url: str = field(init=False)

    def __post_init__(self) -> None:
        scheme = "http" if self.settings.listener.tls is None else "https"
        self.url = f"{scheme}://localhost:{self.settings.listener.port}"


def serve_toy(service: ToyService, sockets: list[Path]) -> grpc.Server:
    server = grpc.server(
        futures.ThreadPoolExecutor(16), options=[("grpc.max_receive_message_length", 64 * 1024 * 1024)]
    )
    pb_grpc.add_ExternalProcessorServicer_to_server(service, server)
    for path in sockets:
        server.add_insecure_port(f"unix:{path}")
    server.start()
    return server


StartEdge = Callable[..., Edge]


@pytest.fixture(scope="session")
def start_edge(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StartEdge]:
    """Starts one more Envoy with neighbours of its own; keyword arguments replace fields of the settings."""
    stops: list[Callable[[], Any]] = []

    def start(*, tls: TlsSettings | None = None, live_workers: int = 1, **changes: Any) -> Edge:
        directory = tmp_path_factory.mktemp("edge")
        model = ToyModel()
        stops.append(model.stop)
        settings = settings_in(
            directory,
            listener=ListenerSettings(port=free_port(), tls=tls),
            envoy=EnvoySettings(access_log=str(directory / "access.json")),
            connections=(
                ConnectionSettings("alpha", f"http://127.0.0.1:{model.port}", "/alpha"),
                ConnectionSettings("beta", f"http://localhost:{model.port}", "/alpha/beta/"),
            ),
            limits=Limits(max_body_bytes=MAX_BODY),
        )
        settings = replace(settings, **changes)
        service = ToyService(settings.connections)
        if live_workers:
            server = serve_toy(service, [directory / f"worker-{index}.sock" for index in range(live_workers)])
            stops.append(lambda: server.stop(0).wait())
        write_secret_configs(settings)
        write_discovery(settings, VERSION)
        envoy = start_envoy(render_following(settings, GATE), directory / "envoy", ready_timeout_seconds=20)
        stops.append(envoy.stop)
        return Edge(settings, service, model, envoy, directory)

    yield start
    for stop in reversed(stops):
        stop()


@pytest.fixture(scope="session")
def shared_edge(start_edge: StartEdge) -> Edge:
    return start_edge()


@pytest.fixture
def edge(shared_edge: Edge) -> Edge:
    """The shared Envoy, its neighbours as new."""
    shared_edge.service.reset()
    shared_edge.model.reset()
    return shared_edge


@pytest.fixture
def make_settings(tmp_path: Path) -> Callable[..., Settings]:
    return lambda **changes: settings_in(tmp_path, **changes)
