"""An OTLP collector of our own: a real gRPC server that keeps what it is sent."""

import threading
import time
from collections.abc import Callable, Iterator
from concurrent import futures
from types import SimpleNamespace
from typing import Any

import grpc
import pytest
from opentelemetry.proto.collector.logs.v1 import logs_service_pb2, logs_service_pb2_grpc
from opentelemetry.proto.collector.metrics.v1 import metrics_service_pb2, metrics_service_pb2_grpc
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2, trace_service_pb2_grpc

from extproc.core.record import (
    Actor,
    EventCode,
    Measures,
    Outcome,
    PolicyRef,
    Record,
    Resource,
    Summary,
)
from extproc.edge.settings_telemetry import TelemetrySettings
from extproc.edge.telemetry import Telemetry
from extproc.local import ports
from tests.edge.telemetry.posts import taking_posts

TRACE_ID = "4bf92f3577b34da6a3ce929d0e0e4736"
PARENT_ID = "00f067aa0ba902b7"


class Sink(
    trace_service_pb2_grpc.TraceServiceServicer,
    metrics_service_pb2_grpc.MetricsServiceServicer,
    logs_service_pb2_grpc.LogsServiceServicer,
):
    """Keeps every span, metric and log line, and the bytes and headers of every request."""

    def __init__(self) -> None:
        self.spans: list[Any] = []
        self.metrics: dict[str, Any] = {}
        self.logs: list[Any] = []
        self.resources: list[dict[str, Any]] = []
        self.scopes: list[Any] = []
        self.raw: list[bytes] = []
        self.headers: list[dict[str, str]] = []
        self._arrived = threading.Condition()

    def Export(self, request: Any, context: Any) -> Any:  # noqa: N802 - the service's method
        self.keep(request, {key: str(value) for key, value in context.invocation_metadata()})
        return ANSWERS[type(request)]()

    def keep(self, request: Any, headers: dict[str, str]) -> None:
        with self._arrived:
            self.raw.append(request.SerializeToString())
            self.headers.append(headers)
            match request:
                case trace_service_pb2.ExportTraceServiceRequest():
                    for resource in request.resource_spans:
                        self.resources.append(attributes(resource.resource))
                        for scope in resource.scope_spans:
                            self.scopes.append(scope)
                            self.spans.extend(scope.spans)
                case metrics_service_pb2.ExportMetricsServiceRequest():
                    for resource in request.resource_metrics:
                        for scope in resource.scope_metrics:
                            self.metrics |= {metric.name: metric for metric in scope.metrics}
                case logs_service_pb2.ExportLogsServiceRequest():
                    for resource in request.resource_logs:
                        for scope in resource.scope_logs:
                            self.logs.extend(scope.log_records)
            self._arrived.notify_all()

    def span(self, name: str) -> Any:
        (found,) = [span for span in self.spans if span.name == name]
        return found


ANSWERS: dict[type, type] = {
    trace_service_pb2.ExportTraceServiceRequest: trace_service_pb2.ExportTraceServiceResponse,
    metrics_service_pb2.ExportMetricsServiceRequest: metrics_service_pb2.ExportMetricsServiceResponse,
    logs_service_pb2.ExportLogsServiceRequest: logs_service_pb2.ExportLogsServiceResponse,
}
PATHS: dict[str, type] = {
    f"/v1/{name}": request for name, request in zip(("traces", "metrics", "logs"), ANSWERS, strict=True)
}


def attributes(of: Any) -> dict[str, Any]:
    return {pair.key: _value(pair.value) for pair in of.attributes}


def _value(value: Any) -> Any:
    kind = value.WhichOneof("value")
    if kind == "array_value":
        return [_value(item) for item in value.array_value.values]
    return getattr(value, kind)


@pytest.fixture
def sink() -> Sink:
    return Sink()


@pytest.fixture
def collector(sink: Sink) -> Iterator[str]:
    server = grpc.server(futures.ThreadPoolExecutor(4))
    trace_service_pb2_grpc.add_TraceServiceServicer_to_server(sink, server)
    metrics_service_pb2_grpc.add_MetricsServiceServicer_to_server(sink, server)
    logs_service_pb2_grpc.add_LogsServiceServicer_to_server(sink, server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    yield f"http://127.0.0.1:{port}"
    server.stop(0).wait()


@pytest.fixture
def http_collector(sink: Sink) -> Iterator[str]:
    """The same, by HTTP/protobuf."""

    def take(path: str, body: bytes, headers: dict[str, str]) -> None:
        sink.keep(PATHS[path].FromString(body), headers)  # type: ignore[attr-defined]

    with taking_posts(take) as port:
        yield f"http://127.0.0.1:{port}"


@pytest.fixture
def free_port() -> int:
    return ports.free_port()


@pytest.fixture
def start() -> Iterator[Callable[..., Telemetry]]:
    """Telemetry by settings; what a test does not stop is stopped after it."""
    running: list[Telemetry] = []

    def begin(worker: int = 0, **settings: Any) -> Telemetry:
        telemetry = Telemetry.start(TelemetrySettings(**settings), worker=worker, deployment="tests")
        running.append(telemetry)
        stop = telemetry.stop

        def stop_once(timeout_seconds: float) -> None:
            running.remove(telemetry)
            stop(timeout_seconds)

        telemetry.stop = stop_once  # type: ignore[method-assign]
        return telemetry

    yield begin
    while running:
        running[0].stop(1.0)


@pytest.fixture
def make_record() -> Callable[..., Record]:
    def make(**changed: Any) -> Record:
        values: dict[str, Any] = {
            "event_code": EventCode.INFERENCE_END,
            "time_ms": 1,
            "actor": Actor(uid="https://idp|analyst"),
            "status": Outcome.COMPLETED,
            "src_address": "192.0.2.7:4711",
            "resource": Resource(connection="local", operation="chat", protocol="HTTP POST", model="llama-3"),
            "exchange_id": "019a9d8c1234-0123456789abcdef",
            "http_status": 200,
            "policy": PolicyRef(digest=f"sha256:{'ab' * 32}", effect="allow", rule="analysts-may-chat"),
            "findings_request": {"pan": 1},
            "findings_response": {"pan": 2, "cvv": 1},
            "finish_reasons": ("stop",),
            "measures": Measures(
                input_tokens=10,
                output_tokens=20,
                events=22,
                held_characters_max=19,
                duration_ms=250.0,
                decision_ms=1.5,
                first_byte_ms=40.0,
            ),
        }
        return Record(**(values | changed))

    return make


@pytest.fixture
def record_exchange() -> Callable[..., tuple[float, float]]:
    """Record one exchange that began now; returns its start on both clocks."""

    def record(
        telemetry: Telemetry,
        record: Record,
        *,
        traceparent: str = f"00-{TRACE_ID}-{PARENT_ID}-01",
        offsets: tuple[tuple[str, float, float], ...] = (),
        stream: bool = True,
        **more: Any,
    ) -> tuple[float, float]:
        unix, monotonic = time.time(), time.monotonic()
        phases = tuple((name, monotonic + start, monotonic + end) for name, start, end in offsets)
        telemetry.record_exchange(
            Summary(record=record, phases=phases, stream=stream, **more),
            traceparent=traceparent,
            started_unix=unix,
            started_monotonic=monotonic,
        )
        return unix, monotonic

    return record


@pytest.fixture
def world(sink: Sink, collector: str, start: Any, make_record: Any, record_exchange: Any) -> SimpleNamespace:
    """All of it together: a collector, what starts telemetry, and what feeds it."""
    return SimpleNamespace(
        sink=sink,
        collector=collector,
        start=start,
        make_record=make_record,
        record_exchange=record_exchange,
        read_attributes=attributes,
    )
