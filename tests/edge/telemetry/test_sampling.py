"""Which exchanges get spans: those that matter always, the others as their caller says, or by a share."""

from typing import Any

import pytest

from extproc.core.record import ApprovalRef, EventCode, Outcome, PolicyRef
from extproc.edge.otel_environment import SamplingTerms
from extproc.edge.sampling import Sampling
from extproc.edge.settings_telemetry import Keep
from extproc.edge.traceparent import TraceParent

TRACE_ID = "4bf92f3577b34da6a3ce929d0e0e4736"
PARENT_ID = "00f067aa0ba902b7"
UNSAMPLED = f"00-{TRACE_ID}-{PARENT_ID}-00"
SAMPLED = f"00-{TRACE_ID}-{PARENT_ID}-01"
ORDINARY: dict[str, Any] = {"findings_request": {}, "findings_response": {}}
APPROVAL = ApprovalRef(id="apr-019a9d8c1234-0123456789abcdef", state="granted")
KEPT = {
    "denied": ORDINARY | {"status": Outcome.REFUSED, "http_status": 403},
    "held": ORDINARY | {"approval": APPROVAL},
    "failed": ORDINARY | {"status": Outcome.CUT},
    "found": {"findings_request": {}, "findings_response": {"pan": 1}},
}
MORE = (
    ("failed", ORDINARY | {"http_status": 503}),
    ("failed", {"status": Outcome.FAILED, "approval": APPROVAL}),
    ("denied", ORDINARY | {"status": Outcome.REFUSED, "event_code": EventCode.AUTH_FAIL}),
    ("held", ORDINARY | {"status": Outcome.HELD, "policy": PolicyRef(digest="none", effect="hold", rule="r")}),
    ("", ORDINARY | {"status": Outcome.ABANDONED}),
    ("", ORDINARY),
)


def exported(world: Any, telemetry: Any) -> list[dict[str, Any]]:
    telemetry.stop(5.0)
    return [world.read_attributes(span) for span in world.sink.spans if span.kind == span.SPAN_KIND_SERVER]


@pytest.mark.parametrize("why", KEPT)
def test_what_matters_is_kept_where_nobody_sampled_it(world: Any, why: str) -> None:
    telemetry = world.start(otlp_endpoint=world.collector, sampling=0.0)
    for traceparent in (UNSAMPLED, ""):
        world.record_exchange(telemetry, world.make_record(**KEPT[why]), traceparent=traceparent)
    assert [span["extproc.sampled_for"] for span in exported(world, telemetry)] == [why, why]
    assert world.sink.spans[0].trace_id.hex() == TRACE_ID


@pytest.mark.parametrize("why", KEPT)
def test_keep_parent_leaves_the_last_word_to_the_caller(world: Any, why: str) -> None:
    telemetry = world.start(otlp_endpoint=world.collector, keep=Keep.PARENT, sampling=0.0)
    for traceparent in (UNSAMPLED, SAMPLED, ""):
        world.record_exchange(telemetry, world.make_record(**KEPT[why]), traceparent=traceparent)
    assert len(exported(world, telemetry)) == 2


@pytest.mark.parametrize(("why", "changed"), MORE)
def test_a_sampled_exchange_says_why_it_would_be_kept(world: Any, why: str, changed: dict[str, Any]) -> None:
    telemetry = world.start(otlp_endpoint=world.collector)
    world.record_exchange(telemetry, world.make_record(**changed))
    (span,) = exported(world, telemetry)
    assert span.get("extproc.sampled_for", "") == why


def test_an_ordinary_exchange_follows_its_caller_and_is_counted_in_any_case(world: Any) -> None:
    telemetry = world.start(otlp_endpoint=world.collector, sampling=0.0)
    for traceparent in (UNSAMPLED, SAMPLED, ""):
        world.record_exchange(telemetry, world.make_record(**ORDINARY), traceparent=traceparent)
    exported(world, telemetry)
    assert [span.trace_id.hex() for span in world.sink.spans] == [TRACE_ID]
    (point,) = world.sink.metrics["extproc.exchange.duration"].histogram.data_points
    assert point.count == 3


def test_without_a_caller_a_share_by_trace_id_is_taken_as_the_sdks_take_it() -> None:
    from opentelemetry.sdk.trace.sampling import TraceIdRatioBased

    sampling, sdk = Sampling(SamplingTerms(0.25), Keep.ALWAYS), TraceIdRatioBased(0.25)
    ids = [f"{number * 0x9E3779B97F4A7C15F39CC0605CEDC835 % 2**128:032x}" for number in range(1, 400)]
    taken = [sampling.takes("", None, trace_id) for trace_id in ids]
    assert taken == [sdk.should_sample(None, int(one, 16), "").decision.is_sampled() for one in ids]
    assert 60 < sum(taken) < 140


def test_a_share_for_all_thins_what_callers_sampled_too_and_off_is_off() -> None:
    parent = TraceParent(TRACE_ID, PARENT_ID, sampled=True)
    assert not Sampling(SamplingTerms(0.0, by_parent=False), Keep.ALWAYS).takes("", parent, TRACE_ID)
    assert Sampling(SamplingTerms(0.0, by_parent=False), Keep.ALWAYS).takes("found", parent, TRACE_ID)
    assert not Sampling(SamplingTerms(off=True), Keep.ALWAYS).takes("denied", parent, TRACE_ID)


def test_a_retry_links_to_the_exchange_that_opened_its_approval(world: Any) -> None:
    telemetry = world.start(otlp_endpoint=world.collector)
    first, second = "019a9d8c1234-00000000000000aa", "019a9d8c1234-00000000000000bb"
    for exchange in (first, second):
        record = world.make_record(exchange_id=exchange, approval=APPROVAL)
        world.record_exchange(telemetry, record, traceparent="", opened_by=first)
    exported(world, telemetry)
    opener, retry = world.sink.spans
    assert not opener.links
    assert [(link.trace_id, link.span_id) for link in retry.links] == [(opener.trace_id, opener.span_id)]
    assert "extproc.opened_by" not in world.read_attributes(opener)
    assert world.read_attributes(retry)["extproc.opened_by"] == first
