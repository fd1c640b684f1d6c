"""Spans as a real OTLP collector receives them."""

import time
from collections.abc import Callable
from typing import Any

import pytest

from extproc.core.decision_record import DecisionRef, RequestFacts, ShadowRef
from extproc.core.record import Actor, ApprovalRef, EventCode, Outcome, PolicyRef, Record, Resource
from extproc.edge.telemetry import Telemetry
from extproc.edge.traceparent import parse_traceparent

TRACE_ID = "4bf92f3577b34da6a3ce929d0e0e4736"
PARENT_ID = "00f067aa0ba902b7"
PAN = "4111 1111 1111 1111"
OFFSETS = (
    ("identity", 0.000, 0.001),
    ("decision", 0.001, 0.003),
    ("hold", 0.003, 0.103),
    ("record", 0.103, 0.108),
    ("model", 0.108, 0.150),
    ("response", 0.150, 0.300),
)

ALLOWED = frozenset(
    {
        "error.type",
        "extproc.approval_id",
        "extproc.approval_state",
        "extproc.audit_wait_ms",
        "extproc.effect",
        "extproc.exchange_id",
        "extproc.held_characters",
        "extproc.held_ms",
        "extproc.opened_by",
        "extproc.operation",
        "extproc.outcome",
        *(f"extproc.phase.{name}_ms" for name in ("identity", "parse", "mask", "decide", "budgets", "hold", "record")),
        "extproc.phase.upstream_first_byte_ms",
        "extproc.policy_digest",
        "extproc.principal_kind",
        "extproc.rule",
        "extproc.sampled_for",
        "extproc.shadow",
        "gen_ai.operation.name",
        "gen_ai.provider.name",
        "gen_ai.request.model",
        "gen_ai.request.stream",
        "gen_ai.response.finish_reasons",
        "gen_ai.response.time_to_first_chunk",
        "gen_ai.usage.input_tokens",
        "gen_ai.usage.output_tokens",
        "http.request.method",
        "http.response.status_code",
        "rpc.method",
        "rpc.system.name",
    }
)
"""Every attribute a span may have, beside counts of findings. A new one is added here on purpose."""


def exported(telemetry: Telemetry, sink: Any) -> list[Any]:
    telemetry.stop(5.0)
    return list(sink.spans)


def test_an_exchange_is_a_server_span_under_the_proxys_with_a_child_for_each_phase(world: Any) -> None:
    telemetry = world.start(otlp_endpoint=world.collector)
    world.record_exchange(telemetry, world.make_record(), offsets=OFFSETS)
    spans = exported(telemetry, world.sink)
    server = world.sink.span("chat llama-3")
    assert server.kind == server.SPAN_KIND_SERVER
    assert server.trace_id.hex() == TRACE_ID
    assert server.parent_span_id.hex() == PARENT_ID
    children = {span.name: span for span in spans if span is not server}
    assert set(children) == {"identity", "decision", "hold", "record"}
    assert {child.parent_span_id for child in children.values()} == {server.span_id}
    assert {child.trace_id for child in children.values()} == {server.trace_id}
    assert len({span.span_id for span in spans}) == len(spans)


def test_times_are_those_of_the_exchange_not_of_the_export(world: Any) -> None:
    telemetry = world.start(otlp_endpoint=world.collector)
    unix, _ = world.record_exchange(telemetry, world.make_record(), offsets=OFFSETS)
    exported(telemetry, world.sink)
    for name, begin, end in (("chat llama-3", 0.0, 0.300), *OFFSETS[:4]):
        span = world.sink.span(name)
        assert span.start_time_unix_nano / 1e9 == pytest.approx(unix + begin, abs=1e-4)
        assert span.end_time_unix_nano / 1e9 == pytest.approx(unix + end, abs=1e-4)


def test_attributes_follow_the_conventions(world: Any) -> None:
    telemetry = world.start(otlp_endpoint=world.collector)
    world.record_exchange(
        telemetry,
        world.make_record(approval=ApprovalRef(id="apr-019a9d8c1234-0123456789abcdef", state="granted")),
        offsets=(*OFFSETS, ("parse", 0.001, 0.0015), ("mask", 0.0015, 0.0025), ("decide", 0.0025, 0.003)),
        held_seconds=0.25,
        stored_seconds=0.0125,
        opened_by="019a9d8c1234-00000000000000aa",
    )
    exported(telemetry, world.sink)
    found = world.read_attributes(world.sink.span("chat llama-3"))
    assert {name: round(value, 6) if isinstance(value, float) else value for name, value in found.items()} == {
        "extproc.approval_id": "apr-019a9d8c1234-0123456789abcdef",
        "extproc.approval_state": "granted",
        "extproc.audit_wait_ms": 12.5,
        "extproc.effect": "allow",
        "extproc.exchange_id": "019a9d8c1234-0123456789abcdef",
        "extproc.findings.request.pan": 1,
        "extproc.findings.response.cvv": 1,
        "extproc.findings.response.pan": 2,
        "extproc.held_characters": 19,
        "extproc.held_ms": 250.0,
        "extproc.opened_by": "019a9d8c1234-00000000000000aa",
        "extproc.operation": "chat",
        "extproc.outcome": "completed",
        "extproc.phase.decide_ms": 0.5,
        "extproc.phase.hold_ms": 100.0,
        "extproc.phase.identity_ms": 1.0,
        "extproc.phase.mask_ms": 1.0,
        "extproc.phase.parse_ms": 0.5,
        "extproc.phase.record_ms": 5.0,
        "extproc.phase.upstream_first_byte_ms": 42.0,
        "extproc.policy_digest": f"sha256:{'ab' * 32}",
        "extproc.rule": "analysts-may-chat",
        "extproc.sampled_for": "held",
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "local",
        "gen_ai.request.model": "llama-3",
        "gen_ai.request.stream": True,
        "gen_ai.response.finish_reasons": ["stop"],
        "gen_ai.response.time_to_first_chunk": 0.04,
        "gen_ai.usage.input_tokens": 10,
        "gen_ai.usage.output_tokens": 20,
        "http.request.method": "POST",
        "http.response.status_code": 200,
        "rpc.method": "envoy.service.ext_proc.v3.ExternalProcessor/Process",
        "rpc.system.name": "grpc",
    }
    (resource,) = world.sink.resources
    assert (resource["service.name"], resource["service.namespace"]) == ("extproc", "tests")
    assert resource["extproc.worker"] == 0


def test_every_span_names_the_policy_in_force_and_the_rules_in_shadow_that_would_change_something(world: Any) -> None:
    telemetry = world.start(otlp_endpoint=world.collector)
    shadow = (
        ShadowRef(rule="dry", effect="deny", would_change=True),
        ShadowRef(rule="agrees", effect="allow"),
        ShadowRef(rule="4111 1111 1111 1111", effect="deny", would_change=True),
    )
    decision = DecisionRef(time_ms=1, facts=RequestFacts(choices=1), shadow=shadow)
    actor = Actor(uid="https://idp|batch", kind="service")
    world.record_exchange(telemetry, world.make_record(decision=decision, actor=actor))
    unauthenticated = world.make_record(event_code=EventCode.AUTH_FAIL, policy=PolicyRef(digest=f"sha256:{'cd' * 32}"))
    world.record_exchange(telemetry, unauthenticated)
    spans = [span for span in exported(telemetry, world.sink) if span.kind == span.SPAN_KIND_SERVER]
    first, second = map(world.read_attributes, spans)
    assert first["extproc.policy_digest"] == f"sha256:{'ab' * 32}"
    assert second["extproc.policy_digest"] == f"sha256:{'cd' * 32}"
    assert (first["extproc.shadow"], first["extproc.principal_kind"]) == (["dry", "other"], "service")


def test_exchanges_alike_but_for_one_thing_differ_in_it(world: Any) -> None:
    """What exchanges have in common is encoded once."""
    telemetry = world.start(otlp_endpoint=world.collector)
    changes: tuple[tuple[dict[str, Any], str, Any], ...] = (
        ({}, "extproc.rule", "analysts-may-chat"),
        ({"policy": PolicyRef(digest=f"sha256:{'ab' * 32}", effect="allow", rule="other")}, "extproc.rule", "other"),
        ({"policy": PolicyRef(digest=f"sha256:{'cd' * 32}", effect="allow", rule="analysts-may-chat")},
         "extproc.policy_digest", f"sha256:{'cd' * 32}"),
        ({"actor": Actor(uid="x", kind="person")}, "extproc.principal_kind", "person"),
        ({"http_status": 201}, "http.response.status_code", 201),
        ({"status_detail": "response_rule"}, "error.type", "response_rule"),
        ({"finish_reasons": ("length",)}, "gen_ai.response.finish_reasons", ["length"]),
        ({"resource": Resource(connection="b", operation="chat", protocol="HTTP POST", model="llama-3")},
         "gen_ai.provider.name", "b"),
        ({"findings_request": {}, "findings_response": {}}, "extproc.sampled_for", None),
    )  # fmt: skip
    for changed, _, _ in changes * 2:
        world.record_exchange(telemetry, world.make_record(**changed))
    spans = [world.read_attributes(span) for span in exported(telemetry, world.sink)]
    assert [span.get(name) for span, (_, name, _) in zip(spans, changes * 2, strict=True)] == [
        value for _, _, value in changes * 2
    ]


def test_a_refusal_has_its_reason_as_error_type_and_no_model_of_the_callers_choice(world: Any) -> None:
    telemetry = world.start(otlp_endpoint=world.collector)
    denied = world.make_record(
        event_code=EventCode.POLICY_DENY,
        status=Outcome.REFUSED,
        status_detail="policy_denied",
        http_status=403,
        policy=PolicyRef(digest=f"sha256:{'ab' * 32}", effect="deny", rule="default-deny"),
    )
    world.record_exchange(telemetry, denied)
    exported(telemetry, world.sink)
    span = world.sink.span("chat other")
    values = world.read_attributes(span)
    assert (values["error.type"], values["http.response.status_code"]) == ("policy_denied", 403)
    assert (values["extproc.effect"], values["extproc.rule"]) == ("deny", "default-deny")
    assert span.status.code == span.status.STATUS_CODE_UNSET


@pytest.mark.parametrize(("outcome", "status"), [(Outcome.CUT, 200), (Outcome.FAILED, 0), (Outcome.REFUSED, 503)])
def test_what_failed_on_our_side_is_an_error_span(world: Any, outcome: Outcome, status: int) -> None:
    telemetry = world.start(otlp_endpoint=world.collector)
    world.record_exchange(
        telemetry, world.make_record(status=outcome, http_status=status, status_detail="audit_unavailable")
    )
    (span,) = exported(telemetry, world.sink)
    assert span.status.code == span.status.STATUS_CODE_ERROR
    assert span.status.message == ""


def poisoned(make_record: Callable[..., Record]) -> Record:
    """A record whose every text field is a card number."""
    return make_record(
        status_detail=PAN,
        exchange_id=PAN,
        src_address=PAN,
        resource=Resource(connection=PAN, operation=PAN, protocol=PAN, model=PAN),
        policy=PolicyRef(digest=PAN, effect="allow", rule=PAN),
        approval=ApprovalRef(id=PAN, state=PAN, decided_by=PAN, reason=PAN, request_digest=PAN),
        findings_request={PAN: 1},
        findings_response={"4111-1111-1111-1111": 1},
        finish_reasons=("4111111111111111", "4.111.111.111.111.111", PAN),
        stripped=(PAN,),
        trace_id=PAN,
        request_digest=PAN,
        detail={"text": PAN},
    )


def test_no_content_can_appear_in_a_span(world: Any) -> None:
    telemetry = world.start(otlp_endpoint=world.collector)
    world.record_exchange(telemetry, poisoned(world.make_record), offsets=OFFSETS)
    world.record_exchange(telemetry, world.make_record(status_detail="internal"), offsets=OFFSETS)
    spans = exported(telemetry, world.sink)
    assert len(spans) == 10
    names = {name for span in spans for name in world.read_attributes(span)}
    beyond = {name for name in names - ALLOWED if not name.startswith("extproc.findings.")}
    assert beyond == set()
    for data in world.sink.raw:
        assert b"4111" not in data
        assert b"4.111" not in data


def test_model_names_are_bounded(world: Any) -> None:
    telemetry = world.start(otlp_endpoint=world.collector)
    for index in range(200):
        resource = Resource(connection="local", operation="chat", protocol="HTTP POST", model=f"model-{index}")
        world.record_exchange(telemetry, world.make_record(resource=resource))
    names = {span.name for span in exported(telemetry, world.sink)}
    assert len(names) == 65
    assert "chat other" in names


BAD_TRACEPARENTS = (
    "",
    "garbage",
    f"00-{TRACE_ID}-{PARENT_ID}",
    f"00-{TRACE_ID}-{PARENT_ID}-01-extra",
    f"00-{TRACE_ID}-{PARENT_ID}-01\n",
    f" 00-{TRACE_ID}-{PARENT_ID}-01",
    f"ff-{TRACE_ID}-{PARENT_ID}-01",
    f"00-{TRACE_ID.upper()}-{PARENT_ID}-01",
    f"00-{'0' * 32}-{PARENT_ID}-01",
    f"00-{TRACE_ID}-{'0' * 16}-01",
    f"00-{TRACE_ID[:-1]}-{PARENT_ID}-01",
    f"00-{TRACE_ID[:-1]}٣-{PARENT_ID}-01",
)


@pytest.mark.parametrize("text", BAD_TRACEPARENTS)
def test_a_traceparent_that_is_not_well_formed_is_no_parent(text: str) -> None:
    assert parse_traceparent(text) is None


def test_a_bad_traceparent_starts_a_new_trace(world: Any) -> None:
    telemetry = world.start(otlp_endpoint=world.collector)
    world.record_exchange(telemetry, world.make_record(), traceparent="00-nonsense", offsets=OFFSETS)
    exported(telemetry, world.sink)
    server = world.sink.span("chat llama-3")
    assert server.parent_span_id == b""
    assert server.trace_id.hex() != TRACE_ID
    assert world.sink.span("hold").trace_id == server.trace_id


def test_the_environment_names_the_collector_and_the_service_where_the_settings_do_not(
    world: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", world.collector)
    monkeypatch.setenv("OTEL_SERVICE_NAME", "guard")
    monkeypatch.setenv("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment.name=staging")
    telemetry = world.start()
    world.record_exchange(telemetry, world.make_record())
    assert len(exported(telemetry, world.sink)) == 1
    assert world.sink.resources[0]["service.name"] == "guard"
    assert world.sink.resources[0]["deployment.environment.name"] == "staging"


@pytest.mark.parametrize(("variable", "value"), [("OTEL_SDK_DISABLED", "true"), ("OTEL_TRACES_EXPORTER", "none")])
def test_the_environment_turns_export_off(
    world: Any, monkeypatch: pytest.MonkeyPatch, variable: str, value: str
) -> None:
    monkeypatch.setenv(variable, value)
    telemetry = world.start(otlp_endpoint=world.collector)
    world.record_exchange(telemetry, world.make_record())
    assert exported(telemetry, world.sink) == []


def test_recording_an_exchange_with_everything_on_stays_cheap(
    world: Any, free_port: int, seconds_of: Callable[..., float]
) -> None:
    """About 20 us where nothing else runs; the bound leaves room for a busy machine, not for another order."""
    telemetry = world.start(otlp_endpoint=world.collector, metrics_port=free_port)
    record = world.make_record()

    def run() -> None:
        for _ in range(30):
            world.record_exchange(telemetry, record, offsets=OFFSETS)

    costs = []
    for _ in range(10):
        costs.append(seconds_of(run, time.thread_time) / 30)
        time.sleep(0.02)
    print(f"record_exchange: {min(costs) * 1e6:.0f} us at best, {sorted(costs)[5] * 1e6:.0f} us in the middle")
    assert min(costs) < 100e-6
