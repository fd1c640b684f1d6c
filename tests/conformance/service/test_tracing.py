"""One trace from the client through both hops to the model, and nothing of what was said in any span."""

import json
import threading
import time
from collections.abc import Callable, Iterator
from concurrent import futures
from typing import Any

import grpc
import httpx
import pytest
from opentelemetry.proto.collector.logs.v1 import logs_service_pb2, logs_service_pb2_grpc
from opentelemetry.proto.collector.metrics.v1 import metrics_service_pb2, metrics_service_pb2_grpc
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2, trace_service_pb2_grpc

PAN = "4111 1111 1111 1111"
WORD = "quokka"
CHAT_PATH = "/v1/chat/completions"


class Sink(
    trace_service_pb2_grpc.TraceServiceServicer,
    metrics_service_pb2_grpc.MetricsServiceServicer,
    logs_service_pb2_grpc.LogsServiceServicer,
):
    """An OTLP collector that keeps what it is sent."""

    def __init__(self) -> None:
        self.raw: list[bytes] = []
        self.spans: list[tuple[str, Any]] = []
        self.lines: list[tuple[str, Any]] = []
        self._arrived = threading.Condition()

    def Export(self, request: Any, context: Any) -> Any:  # noqa: N802 - the service's method
        traces = isinstance(request, trace_service_pb2.ExportTraceServiceRequest)
        with self._arrived:
            self.raw.append(request.SerializeToString())
            for resource in request.resource_spans if traces else ():
                service = attributes(resource.resource)["service.name"]
                self.spans += [(service, span) for scope in resource.scope_spans for span in scope.spans]
            if isinstance(request, logs_service_pb2.ExportLogsServiceRequest):
                for resource in request.resource_logs:
                    service = attributes(resource.resource)["service.name"]
                    self.lines += [(service, line) for scope in resource.scope_logs for line in scope.log_records]
            self._arrived.notify_all()
        if traces:
            return trace_service_pb2.ExportTraceServiceResponse()
        if isinstance(request, logs_service_pb2.ExportLogsServiceRequest):
            return logs_service_pb2.ExportLogsServiceResponse()
        return metrics_service_pb2.ExportMetricsServiceResponse()

    def trace(self, trace_id: str, wanted: Callable[["Trace"], bool]) -> "Trace":
        """The trace, once it is what is wanted."""

        def found() -> "Trace":
            return Trace([(service, span) for service, span in self.spans if span.trace_id.hex() == trace_id])

        with self._arrived:
            assert self._arrived.wait_for(lambda: wanted(found()), 12), [span.name for _, span in found().spans]
            return found()


class Trace:
    def __init__(self, spans: list[tuple[str, Any]]) -> None:
        self.spans = spans

    def by(self, service: str) -> list[Any]:
        return [span for name, span in self.spans if name == service]

    def find(self, span_id: bytes) -> tuple[str, Any]:
        return next((name, span) for name, span in self.spans if span.span_id == span_id)

    def ours(self) -> Any:
        """The one span of ours that is no child of another of ours."""
        own = self.by("extproc")
        (root,) = [span for span in own if span.parent_span_id not in {other.span_id for other in own}]
        return root


def attributes(of: Any) -> dict[str, Any]:
    def plain(value: Any) -> Any:
        kind = value.WhichOneof("value")
        return [plain(v) for v in value.array_value.values] if kind == "array_value" else getattr(value, kind)

    return {pair.key: plain(pair.value) for pair in of.attributes}


@pytest.fixture(scope="module")
def sink() -> Iterator[tuple[Sink, str]]:
    server = grpc.server(futures.ThreadPoolExecutor(4))
    collected = Sink()
    trace_service_pb2_grpc.add_TraceServiceServicer_to_server(collected, server)
    metrics_service_pb2_grpc.add_MetricsServiceServicer_to_server(collected, server)
    logs_service_pb2_grpc.add_LogsServiceServicer_to_server(collected, server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    yield collected, f"http://127.0.0.1:{port}"
    server.stop(0).wait()


@pytest.fixture(scope="module")
def traced(
    sink: tuple[Sink, str], tmp_path_factory: pytest.TempPathFactory, make_world: Any, make_another_envoy: Any
) -> Iterator[Any]:
    """A world that exports; its Envoy and its worker send spans at once instead of every 5 s."""

    def hurry(bootstrap: Any) -> None:
        (layer,) = bootstrap.document["layered_runtime"]["layers"]
        layer["static_layer"]["tracing.opentelemetry.flush_interval_ms"] = 100

    directory = tmp_path_factory.mktemp("traced")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OTEL_BSP_SCHEDULE_DELAY", "100")
        world, stop = make_world(directory / "guard", workers=1, otlp_endpoint=sink[1])
    envoys = make_another_envoy(directory)
    yield envoys(world, hurry)
    envoys.stop()
    stop()


def parent(number: int) -> tuple[str, str, str]:
    """A client's trace id, span id and `traceparent`."""
    trace_id, span_id = f"{number:032x}", f"{number:016x}"
    return trace_id, span_id, f"00-{trace_id}-{span_id}-01"


def whole(trace: Trace) -> bool:
    """Everything that belongs to one forwarded exchange has arrived."""
    return len(trace.by("extproc-envoy")) >= 3 and any(s.name.startswith("chat") for s in trace.by("extproc"))


def test_30_our_span_hangs_under_envoys_and_envoys_under_the_clients(traced: Any, sink: Any) -> None:
    trace_id, span_id, traceparent = parent(0xA1)
    answer = traced.chat(f"marker-traced {PAN}", headers={"traceparent": traceparent, "baggage": "user=root"})
    assert answer.status_code == 200
    trace = sink[0].trace(trace_id, whole)
    ours = trace.ours()
    service, egress = trace.find(ours.parent_span_id)
    assert service == "extproc-envoy"
    service, ingress = trace.find(egress.parent_span_id)
    assert (service, ingress.name, ingress.parent_span_id.hex()) == ("extproc-envoy", "ingress", span_id)
    assert {span.trace_id.hex() for _, span in trace.spans} == {trace_id}
    children = {span.name for span in trace.by("extproc") if span.parent_span_id == ours.span_id}
    assert {"identity", "decision", "record"} <= children
    assert "hold" not in children


def test_30_the_trace_reaches_the_model_and_baggage_does_not(traced: Any, sink: Any) -> None:
    trace_id, span_id, traceparent = parent(0xA2)
    more = {"traceparent": traceparent, "tracestate": "vendor=1", "baggage": "user=root"}
    traced.chat("marker-hop", headers=more)
    (seen,) = traced.upstream.requests("marker-hop")
    version, sent_trace, sent_span, flags = seen.headers["traceparent"].split("-")
    assert (version, sent_trace, flags) == ("00", trace_id, "01")
    trace = sink[0].trace(trace_id, whole)
    assert trace.find(bytes.fromhex(sent_span))[0] == "extproc-envoy"
    assert sent_span != span_id
    assert "baggage" not in seen.headers
    assert seen.headers["tracestate"] == "vendor=1"


def test_what_was_refused_is_kept_though_its_caller_did_not_sample_it(traced: Any, sink: Any) -> None:
    trace_id, _, traceparent = parent(0xC1)
    headers = {**traced.headers(), "traceparent": traceparent[:-1] + "0"}
    answer = httpx.post(traced.guard.url + "/v1/load_lora_adapter", json={}, headers=headers, timeout=30)
    trace = sink[0].trace(trace_id, lambda trace: bool(trace.by("extproc")))
    assert trace.by("extproc-envoy") == []
    got = attributes(trace.ours())
    assert (got["extproc.sampled_for"], got["error.type"]) == ("denied", "policy_denied")
    assert got["extproc.exchange_id"] == answer.headers["x-extproc-exchange"]


def test_log_lines_of_workers_and_supervisor_arrive(traced: Any, sink: Any) -> None:
    until = time.monotonic() + 10
    while not any(service == "extproc" for service, _ in sink[0].lines) and time.monotonic() < until:
        time.sleep(0.05)
    said = {line.body.string_value: line for service, line in sink[0].lines if service == "extproc"}
    assert attributes(said["serving"])["policy_digest"].startswith("sha256:")


def test_30_without_a_parent_envoy_begins_the_trace(traced: Any, sink: Any) -> None:
    answer = traced.chat("marker-root")
    (seen,) = traced.upstream.requests("marker-root")
    trace = sink[0].trace(seen.headers["traceparent"].split("-")[1], whole)
    _, ingress = trace.find(trace.find(trace.ours().parent_span_id)[1].parent_span_id)
    assert not ingress.parent_span_id
    assert answer.headers["x-extproc-exchange"] == attributes(trace.ours())["extproc.exchange_id"]


def test_30_a_trace_that_is_not_sampled_stays_so(traced: Any, sink: Any) -> None:
    """The record still names it."""
    trace_id, _, traceparent = parent(0xA3)
    answer = traced.chat("marker-unsampled", headers={"traceparent": traceparent[:-1] + "0"})
    sampled, _, other = parent(0xA4)
    traced.chat("marker-sampled", headers={"traceparent": other})
    sink[0].trace(sampled, whole)
    assert not [span for _, span in sink[0].spans if span.trace_id.hex() == trace_id]
    (seen,) = traced.upstream.requests("marker-unsampled")
    assert seen.headers["traceparent"].endswith("-00")
    end = traced.await_record(
        lambda r: r.get("exchange_id") == answer.headers["x-extproc-exchange"] and r["event_code"] == "inference.end"
    )
    assert end["trace_id"] == trace_id


def test_a_span_says_what_happened(traced: Any, sink: Any) -> None:
    trace_id, _, traceparent = parent(0xA5)
    more = {
        "headers": {"traceparent": traceparent},
        "stream": True,
        "pieces": ["ok ", "card 4111 1111 1111", " 1111 ok"],
        "pause": 0.05,
    }
    answer = traced.chat(f"pay {PAN} cvv 737", **more)
    ours = sink[0].trace(trace_id, whole).ours()
    assert ours.name == "chat m"
    assert ours.kind == ours.SPAN_KIND_SERVER
    got = attributes(ours)
    assert got["extproc.exchange_id"] == answer.headers["x-extproc-exchange"]
    expected = {
        "extproc.operation": "chat", "extproc.outcome": "completed", "extproc.effect": "allow", "extproc.rule": "analysts",
        "gen_ai.operation.name": "chat", "gen_ai.request.model": "m", "gen_ai.provider.name": "model",
        "gen_ai.request.stream": True, "http.response.status_code": 200, "extproc.findings.request.pan": 1,
        "extproc.findings.request.security_code": 1, "extproc.findings.response.pan": 1,
    }  # fmt: skip
    assert {name: got.get(name) for name in expected} == expected
    assert 0 < got["gen_ai.response.time_to_first_chunk"] < 10
    assert got["extproc.sampled_for"] == "found"
    for name in ("identity", "parse", "mask", "decide", "record", "upstream_first_byte"):
        assert 0 < got[f"extproc.phase.{name}_ms"] < 10_000
    assert 40 < got["extproc.held_ms"] < 10_000  # a card in two pieces, 50 ms apart
    assert 0 < got["extproc.audit_wait_ms"] < 10_000
    assert ours.end_time_unix_nano > ours.start_time_unix_nano


REFUSED = {
    "denied": ("policy_denied", 403),
    "malformed": ("body_malformed", 400),
    "unknown": ("token_missing", 401),
    "withheld": ("response_type_unsupported", 502),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_refusal_has_a_span_that_says_why(traced: Any, sink: Any, name: str) -> None:
    (reason, status), number = REFUSED[name], 0xB1 + list(REFUSED).index(name)
    trace_id, _, traceparent = parent(number)
    headers = {**traced.headers(content_type="application/json"), "traceparent": traceparent}
    content, path = b'{"model":"m","messages":[]}', CHAT_PATH
    match name:
        case "denied":
            path = "/v1/load_lora_adapter"
        case "malformed":
            content = b"{broken"
        case "unknown":
            del headers["authorization"]
        case "withheld":
            traced.upstream.answer = lambda handler, _: handler.whole(200, "image/png", b"\x89PNG")
    answer = httpx.post(traced.guard.url + path, content=content, headers=headers, timeout=30)
    traced.upstream.answer = None
    assert answer.status_code == status
    got = attributes(sink[0].trace(trace_id, lambda trace: bool(trace.by("extproc"))).ours())
    assert (got["error.type"], got["http.response.status_code"]) == (reason, status)
    assert got["extproc.exchange_id"] == answer.json()["error"]["exchange_id"]


def test_a_hold_is_a_span_of_its_own(traced: Any, sink: Any) -> None:
    trace_id, _, traceparent = parent(0xB5)
    answer = traced.chat("marker-hold", model="brief-1", headers={"traceparent": traceparent})
    assert answer.status_code == 202
    trace = sink[0].trace(trace_id, lambda trace: any(span.name == "hold" for span in trace.by("extproc")))
    (hold,) = [span for span in trace.by("extproc") if span.name == "hold"]
    assert hold.parent_span_id == trace.ours().span_id
    assert 0.9 < (hold.end_time_unix_nano - hold.start_time_unix_nano) / 1e9 < 6
    assert attributes(trace.ours())["extproc.approval_id"] == answer.headers["x-extproc-approval"]


def test_an_access_line_names_exchange_effect_rule_and_trace(traced: Any, sink: Any) -> None:
    trace_id, _, traceparent = parent(0xB6)
    allowed = traced.chat("x", headers={"traceparent": traceparent}).headers["x-extproc-exchange"]
    denied = httpx.post(
        traced.guard.url + "/v1/load_lora_adapter", json={}, headers=traced.headers(), timeout=30
    ).headers["x-extproc-exchange"]
    lines: dict[str, dict[str, Any]] = {}
    until = time.monotonic() + 30
    while not {allowed, denied} <= set(lines) and time.monotonic() < until:
        time.sleep(0.1)
        text = (traced.directory / "access.log").read_text()
        lines = {line["exchange_id"]: line for line in map(json.loads, text.splitlines())}
    line = lines[allowed]
    assert (line["effect"], line["rule"], line["operation"], line["status"]) == ("allow", "analysts", "chat", 200)
    assert line["trace_id"] == trace_id
    line = lines[denied]
    assert (line["effect"], line["rule"], line["status"]) == ("deny", "no-model-changes", 403)
    assert line["details"] == "extproc:policy_denied:no-model-changes"


def test_nothing_that_was_said_is_in_any_span_or_metric(traced: Any, sink: Any) -> None:
    """Paths, queries, bodies, headers, tokens, model keys and cards, of forwarded, refused and withheld exchanges."""
    token = traced.token()
    trace_id, _, traceparent = parent(0xB8)
    headers = {
        "authorization": f"Bearer {token}", "user-agent": f"{WORD}-agent {PAN}", "referer": f"http://a/{WORD}",
        "x-client-trace-id": WORD, "traceparent": traceparent, "tracestate": "vendor=1", "x-note": f"{WORD} {PAN}",
        "content-type": "application/json",
    }  # fmt: skip
    url = traced.guard.url
    body = {
        "model": "m",
        "messages": [{"role": "user", "content": f"{WORD} {PAN}"}],
        "pieces": [WORD, PAN],
        "user": WORD,
    }
    httpx.post(f"{url}{CHAT_PATH}?{WORD}={WORD}", json=body, headers=headers, timeout=30)
    httpx.post(f"{url}/v1/{WORD}/4111111111111111", json=body, headers=headers, timeout=30)
    httpx.post(f"{url}{CHAT_PATH}", json={**body, "model": PAN}, headers=headers, timeout=30)
    httpx.post(f"{url}{CHAT_PATH}", content=f'{{"{WORD}'.encode(), headers=headers, timeout=30)
    httpx.get(f"{url}/v1/models", headers={**headers, "authorization": f"Bearer {WORD}.4111111111111111.x"}, timeout=30)
    error = {"error": {"message": f"{WORD} {PAN}"}}
    traced.upstream.answer = lambda handler, _: handler.whole(
        500, "application/json", json.dumps(error).encode(), x_back=WORD
    )
    httpx.post(f"{url}{CHAT_PATH}", json=body, headers=headers, timeout=30)
    traced.upstream.answer = None
    sink[0].trace(trace_id, lambda trace: len([s for s in trace.by("extproc") if s.kind == s.SPAN_KIND_SERVER]) == 6)
    time.sleep(0.5)
    exported = b"\n".join(sink[0].raw)
    for secret in (WORD, PAN, "4111111111111111", token, token.split(".")[2], "model-key-of-ours", "/v1/", "marker-"):
        found = exported.find(secret.encode())
        assert found < 0, exported[max(0, found - 80) : found + 40]
