"""Envoy's spans reach the collector, join the client's trace, and carry no content."""

import time
from collections.abc import Iterator
from concurrent import futures
from pathlib import Path
from typing import Any

import grpc
import httpx
import pytest
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2, trace_service_pb2_grpc

from extproc.edge.settings_telemetry import Protocol, TelemetrySettings
from tests.edge.telemetry.posts import taking_posts

TRACE = "0af7651916cd43dd8448eb211c80319c"
PARENT = "b7ad6b7169203331"


class Collector(trace_service_pb2_grpc.TraceServiceServicer):
    def __init__(self) -> None:
        self.resources: list[Any] = []

    def Export(self, request: Any, context: Any) -> Any:  # noqa: N802
        self.resources.extend(request.resource_spans)
        return trace_service_pb2.ExportTraceServiceResponse()

    def spans(self) -> list[Any]:
        return [span for resource in self.resources for scope in resource.scope_spans for span in scope.spans]

    def wait(self, count: int) -> list[Any]:
        until = time.monotonic() + 10
        while time.monotonic() < until and len(self.spans()) < count:
            time.sleep(0.05)
        return self.spans()


@pytest.fixture
def collector() -> Iterator[tuple[Collector, int]]:
    server = grpc.server(futures.ThreadPoolExecutor(2))
    servicer = Collector()
    trace_service_pb2_grpc.add_TraceServiceServicer_to_server(servicer, server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    yield servicer, port
    server.stop(0).wait()


class HttpCollector(Collector):
    """The same, by HTTP/protobuf, with the headers of each request."""

    def __init__(self) -> None:
        super().__init__()
        self.headers: list[dict[str, str]] = []


@pytest.fixture
def http_collector() -> Iterator[tuple[HttpCollector, int]]:
    sink = HttpCollector()

    def take(path: str, body: bytes, headers: dict[str, str]) -> None:
        assert path == "/v1/traces"
        sink.headers.append(headers)
        sink.Export(trace_service_pb2.ExportTraceServiceRequest.FromString(body), None)

    with taking_posts(take) as port:
        yield sink, port


CARD = "4111111111111111"


def test_spans_join_the_trace_and_carry_no_content(start_edge: Any, collector: tuple[Collector, int]) -> None:
    sink, port = collector
    edge = start_edge(telemetry=TelemetrySettings(otlp_endpoint=f"http://127.0.0.1:{port}"))
    headers = {
        "traceparent": f"00-{TRACE}-{PARENT}-01",
        "user-agent": f"agent-{CARD}",
        "x-client-trace-id": CARD,
        "x-envoy-downstream-service-cluster": CARD,
        "referer": f"http://a/{CARD}",
    }
    response = httpx.post(f"{edge.url}/alpha/{CARD}?card={CARD}", content=b"{}", headers=headers)
    assert response.status_code == 200
    edge.service.plan = {"request_headers": "respond"}
    assert httpx.get(f"{edge.url}/{CARD}", headers={"host": f"{CARD}.example"}).status_code == 403
    exported = sink.wait(4)
    assert CARD not in "\n".join(str(span) for span in exported)
    spans = [span for span in exported if span.trace_id.hex() == TRACE]
    server = next(span for span in spans if span.parent_span_id.hex() == PARENT)
    assert server.name == "ingress"
    assert any(span.parent_span_id == server.span_id for span in spans)
    (name,) = {a.value.string_value for r in sink.resources for a in r.resource.attributes if a.key == "service.name"}
    assert name == "extproc-envoy"
    sent = edge.model.received[0].headers["traceparent"]
    assert sent.split("-")[1] == TRACE
    assert sent.split("-")[2] != PARENT


GRPC = {"content-type": "application/grpc", "grpc-timeout": CARD}
"""Of what is gRPC, as its content type says, Envoy's spans tell more."""


@pytest.mark.parametrize(
    ("method", "headers"),
    [("POST", GRPC), ("POST", {**GRPC, "content-type": f"application/grpc+{CARD}"}), (f"M{CARD}", {})],
    ids=["grpc", "grpc subtype", "method"],
)
def test_no_word_that_a_client_chooses_is_a_tag(
    start_edge: Any, collector: tuple[Collector, int], method: str, headers: dict[str, str]
) -> None:
    sink, port = collector
    edge = start_edge(telemetry=TelemetrySettings(otlp_endpoint=f"http://127.0.0.1:{port}"))
    edge.service.plan = {"request_headers": "respond"}
    asked = {**headers, "host": f"{CARD}.example"}
    with httpx.Client(http1=False, http2=True) as client:
        client.request(method, f"{edge.url}/{CARD}?card={CARD}", content=b"{}", headers=asked)
    exported = sink.wait(2)
    assert exported
    assert CARD not in "\n".join(str(span) for span in exported)


def test_by_http_the_spans_come_with_the_headers_of_the_file_and_with_the_deployment(
    start_edge: Any, http_collector: tuple[HttpCollector, int], tmp_path: Path
) -> None:
    sink, port = http_collector
    (tmp_path / "otlp.headers").write_text("x-tenant=guard\nauthorization=Basic 100%\n")
    edge = start_edge(
        telemetry=TelemetrySettings(
            otlp_endpoint=f"http://127.0.0.1:{port}",
            otlp_protocol=Protocol.HTTP,
            otlp_headers_file=tmp_path / "otlp.headers",
        )
    )
    assert httpx.post(f"{edge.url}/alpha", content=b"{}").status_code == 200
    assert sink.wait(3)
    assert (sink.headers[0]["x-tenant"], sink.headers[0]["authorization"]) == ("guard", "Basic 100%")
    said = {pair.key: pair.value.string_value for pair in sink.resources[0].resource.attributes}
    assert (said["service.name"], said["service.namespace"]) == ("extproc-envoy", edge.settings.deployment)


def test_a_stranger_can_neither_join_a_trace_nor_force_one(start_edge: Any, collector: tuple[Collector, int]) -> None:
    sink, port = collector
    edge = start_edge(
        telemetry=TelemetrySettings(otlp_endpoint=f"http://127.0.0.1:{port}", trust_client_trace=False, sampling=0.0)
    )
    theirs = {
        "traceparent": f"00-{TRACE}-{PARENT}-01",
        "tracestate": "vendor=1",
        "x-client-trace-id": "1",
        "x-envoy-force-trace": "true",
    }
    assert httpx.post(f"{edge.url}/alpha", content=b"{}", headers=theirs).status_code == 200
    sent = edge.model.received[0].headers
    assert sent["traceparent"].split("-")[1] != TRACE
    assert sent["traceparent"].endswith("-00")
    assert sent.get("tracestate", "") == ""
    time.sleep(0.2)
    assert sink.spans() == []


def test_a_trusted_callers_state_goes_on(start_edge: Any, collector: tuple[Collector, int]) -> None:
    _, port = collector
    edge = start_edge(telemetry=TelemetrySettings(otlp_endpoint=f"http://127.0.0.1:{port}", sampling=0.0))
    theirs = {"traceparent": f"00-{TRACE}-{PARENT}-01", "tracestate": "vendor=1"}
    assert httpx.post(f"{edge.url}/alpha", content=b"{}", headers=theirs).status_code == 200
    sent = edge.model.received[0].headers
    assert (sent["traceparent"].split("-")[1], sent["traceparent"][-2:]) == (TRACE, "01")
    assert sent["tracestate"] == "vendor=1"
