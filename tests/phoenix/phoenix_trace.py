"""The demo's trace in a real back end: stored by OTLP, read back, one trace an exchange, and nothing of what was said.

`make test-phoenix` runs it; what the sink of `tests/conformance/service/test_tracing.py` sees is in `make check`.
"""

import io
import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import httpx
import pytest
from opentelemetry import propagate
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from rich.console import Console

from extproc.audit.reading.holdings import Holdings
from extproc.audit.reading.reader import find_records
from extproc.audit.stores.store import open_store
from extproc.local.scene import chat
from extproc.local.stage import Stage
from extproc.local.story import STEPS, tell
from tests.phoenix.backend import Backend, Span, run_backend

PLANTED = (
    "4111 1111 1111 1111", "4111111111111111", "Summarise", "Which card is on file", "demo-model-key-of-the-gateway",
    "quarterly report", "seen in the console", "cvv 123", "adapters/x",
)  # fmt: skip
"""What the story's people, prompts, answers and keys say."""

ENDS = {"inference.end", "policy.deny", "request.refuse", "auth.fail"}


@dataclass(frozen=True, slots=True)
class Told:
    """A story that was told, and what was kept of it."""

    failed: int
    backend: Backend
    spans: list[Span]
    ends: list[Any]
    """The closing record of each exchange."""
    seen: list[dict[str, str]]
    """The headers of each request that the model server got."""
    tokens: tuple[str, ...]
    client: Span
    """The span of a client that traces, for its own request."""

    def of(self, trace_id: str) -> list[Span]:
        return [span for span in self.spans if span.trace_id == trace_id]


def ask_as_a_traced_client(backend: Backend, scene: Any) -> str:
    """One more exchange, by a client with a span of its own; its trace id."""
    tracers = TracerProvider(resource=Resource.create({"service.name": "a-client"}))
    tracers.add_span_processor(SimpleSpanProcessor(OTLPSpanExporter(endpoint=backend.otlp, insecure=True)))
    with tracers.get_tracer("client").start_as_current_span("client asks") as span:
        headers = {"authorization": f"Bearer {scene.tokens['analyst']}"}
        propagate.inject(headers)
        body = chat(scene, "Card 4111 1111 1111 1111: is it clean", max_tokens=16)
        answer = httpx.post(f"{scene.url}/v1/chat/completions", json=body, headers=headers, timeout=60, trust_env=False)
        assert answer.status_code == 200
        trace_id = f"{span.get_span_context().trace_id:032x}"
    tracers.shutdown()
    return trace_id


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Told]:
    demo = tmp_path_factory.mktemp("demo")
    with run_backend(tmp_path_factory.mktemp("kept")) as backend, pytest.MonkeyPatch.context() as patch:
        patch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", backend.otlp)
        patch.setenv("OTEL_TRACES_EXPORTER", "otlp")
        patch.setenv("OTEL_METRICS_EXPORTER", "none")  # this back end keeps traces alone
        patch.setenv("OTEL_LOGS_EXPORTER", "none")
        patch.setenv("OTEL_BSP_SCHEDULE_DELAY", "500")
        with Stage(demo, Console(file=io.StringIO(), width=160)) as stage:
            failed = tell(stage.scene)
            trace_id = ask_as_a_traced_client(backend, stage.scene)
            audit = stage.guard.settings.audit
            holdings = Holdings.look(open_store(audit), audit.spool, audit.deployment)
            records = [found.record for found in find_records(holdings)]
            ends = [each for each in records if each.exchange_id and each.event_code.value in ENDS]
            wanted = {each.exchange_id for each in ends}
            # Envoy sends its spans every 5 s, and not when it ends.
            spans = backend.wait(
                lambda spans: (
                    wanted <= {span.attributes.get("extproc.exchange_id") for span in spans}
                    and {"ingress", "client asks"} <= {span.name for span in spans if span.trace_id == trace_id}
                )
            )
            tokens = tuple(stage.scene.tokens.values())
            seen = [dict(each["headers"]) for each in stage.scene.seen()]
        (client,) = [span for span in spans if span.name == "client asks"]
        yield Told(failed, backend, spans, ends, seen, tokens, client)


def test_the_story_is_as_it_should_be_while_it_is_traced(told: Told) -> None:
    assert told.failed == 0
    assert len(STEPS) == 9


def test_every_exchange_is_one_trace_with_one_span_of_ours(told: Told) -> None:
    assert len(told.ends) >= 7
    for end in told.ends:
        (ours,) = [span for span in told.spans if span.attributes.get("extproc.exchange_id") == end.exchange_id]
        assert ours.trace_id == end.trace_id
        roots = [span for span in told.of(ours.trace_id) if not span.parent_id]
        assert [span.name for span in roots] in (["ingress"], ["client asks"])
    assert len({end.trace_id for end in told.ends}) == len(told.ends)


def test_a_trace_leads_from_the_client_through_envoy_to_us_and_to_the_model(told: Told) -> None:
    trace = {span.span_id: span for span in told.of(told.client.trace_id)}
    (ours,) = [span for span in trace.values() if "extproc.exchange_id" in span.attributes]
    call = trace[ours.parent_id]
    ingress = trace[call.parent_id]
    assert ingress.name == "ingress"
    assert ingress.parent_id == told.client.span_id
    assert call.name.endswith("egress")
    children = {span.name for span in trace.values() if span.parent_id == ours.span_id}
    assert {"identity", "decision", "record"} <= children
    (reached,) = [each["traceparent"] for each in told.seen if told.client.trace_id in each.get("traceparent", "")]
    model = trace[reached.split("-")[2]]
    # Envoy's own: its `ingress`, or a span of it for the call.
    assert model.parent_id in {told.client.span_id, ingress.span_id}
    assert model.span_id not in {told.client.span_id, call.span_id, ours.span_id}


def test_every_request_that_reached_the_model_carried_its_trace(told: Told) -> None:
    reached = {each["traceparent"].split("-")[1] for each in told.seen if "traceparent" in each}
    went_on = {end.trace_id for end in told.ends if end.http_status == 200}
    assert went_on <= reached
    assert not {end.trace_id for end in told.ends if end.http_status in {401, 403}} & reached


def test_a_span_says_what_happened(told: Told) -> None:
    spans = [span for span in told.spans if "extproc.exchange_id" in span.attributes]
    by_effect: dict[str, list[Span]] = {}
    for span in spans:
        by_effect.setdefault(span.attributes.get("extproc.effect", ""), []).append(span)
    assert {"allow", "deny", "hold"} <= set(by_effect)
    (nobody,) = [span for span in spans if span.attributes.get("error.type") == "token_missing"]
    assert nobody.attributes["http.response.status_code"] == 401
    masked = [span for span in by_effect["allow"] if span.attributes.get("extproc.findings.request.pan")]
    assert masked
    assert any(span.attributes.get("extproc.findings.response.pan") for span in by_effect["allow"])
    denied = {span.attributes["error.type"] for span in by_effect["deny"]}
    assert denied == {"policy_denied"}
    for span in by_effect["hold"]:
        assert span.attributes["extproc.approval_state"] == "granted"
        children = {each.name for each in told.of(span.trace_id) if each.parent_id == span.span_id}
        assert "hold" in children
    for span in spans:
        assert span.attributes["extproc.policy_digest"].startswith("sha256:") or span is nobody
        assert span.attributes["gen_ai.provider.name"]


def test_nothing_that_was_said_is_in_what_the_back_end_keeps(told: Told) -> None:
    """Its answers, and every byte of its database and write-ahead log."""
    kept = told.backend.stored()
    assert told.client.trace_id.encode() in kept
    answered = (
        json.dumps([span.attributes for span in told.spans]).encode()
        + json.dumps([s.name for s in told.spans]).encode()
    )
    for secret in (*PLANTED, *told.tokens, *(token.split(".")[2] for token in told.tokens)):
        for where in (kept, answered):
            found = where.find(secret.encode())
            assert found < 0, where[max(0, found - 80) : found + 60]
