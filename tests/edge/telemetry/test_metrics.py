"""Metrics as a real scrape and a real collector see them."""

import re
import socket
import time
from typing import Any

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from extproc.core.decision_record import DecisionRef, RequestFacts
from extproc.core.record import ApprovalRef, EventCode, Measures, Outcome, PolicyRef, Resource
from extproc.edge.labels import OTHER, BoundedNames, identifier, plain_name, withhold_numbers
from extproc.edge.metrics import Gauge

PAN = "4111 1111 1111 1111"


def scrape(port: int) -> str:
    answer = httpx.get(f"http://127.0.0.1:{port}/metrics", trust_env=False)
    assert answer.status_code == 200
    return answer.text


def values(text: str, name: str) -> dict[tuple[tuple[str, str], ...], float]:
    """The samples called `name`, by their labels."""
    return {
        tuple(sorted(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.name == name
    }


def test_a_scrape_shows_what_an_exchange_added(
    start: Any, make_record: Any, record_exchange: Any, free_port: int
) -> None:
    telemetry = start(metrics_port=free_port)
    record_exchange(telemetry, make_record())
    record_exchange(telemetry, make_record())
    text = scrape(free_port)
    labels = (("effect", "allow"), ("operation", "chat"), ("outcome", "completed"))
    assert values(text, "extproc_exchange_duration_seconds_count") == {labels: 2}
    assert values(text, "extproc_exchange_duration_seconds_sum")[labels] == pytest.approx(0.5)
    assert values(text, "extproc_decision_duration_seconds_sum") == {(("operation", "chat"),): pytest.approx(0.003)}
    assert values(text, "extproc_time_to_first_chunk_seconds_count") == {(("operation", "chat"),): 2}
    assert values(text, "extproc_tokens_total") == {
        (("model", "llama-3"), ("type", "input")): 20,
        (("model", "llama-3"), ("type", "output")): 40,
    }
    assert values(text, "extproc_findings_total") == {
        (("direction", "request"), ("kind", "pan")): 2,
        (("direction", "response"), ("kind", "cvv")): 2,
        (("direction", "response"), ("kind", "pan")): 4,
    }
    assert values(text, "extproc_decisions_total") == {(("effect", "allow"), ("rule", "analysts-may-chat")): 2}
    assert values(text, "extproc_refusals_total") == {}
    assert values(text, "process_resident_memory_bytes")[()] > 0


def test_refusals_and_holds_are_counted(start: Any, make_record: Any, record_exchange: Any, free_port: int) -> None:
    telemetry = start(metrics_port=free_port)
    refused = make_record(
        event_code=EventCode.REQUEST_REFUSE,
        status=Outcome.REFUSED,
        status_detail="approval_refused",
        http_status=403,
        policy=PolicyRef(digest="none", effect="hold", rule="large-exports"),
        approval=ApprovalRef(id="apr-019a9d8c1234-0123456789abcdef", state="refused"),
        measures=Measures(hold_ms=12_000.0, duration_ms=12_010.0, input_tokens=1),
    )
    record_exchange(telemetry, refused)
    text = scrape(free_port)
    assert values(text, "extproc_refusals_total") == {(("reason", "approval_refused"),): 1}
    assert values(text, "extproc_hold_wait_seconds_sum") == {(("state", "refused"),): 12}
    assert values(text, "extproc_tokens_total")[(("model", OTHER), ("type", "input"))] == 1


def test_steps_of_budgets_that_only_log_are_counted(
    start: Any, make_record: Any, record_exchange: Any, free_port: int
) -> None:
    telemetry = start(metrics_port=free_port)
    decision = DecisionRef(time_ms=1, facts=RequestFacts(choices=1), logging=("budget:cards", "budget:calls"))
    record_exchange(telemetry, make_record(decision=decision))
    record_exchange(telemetry, make_record())
    assert values(scrape(free_port), "extproc_budget_logged_total") == {
        (("rule", "budget:cards"),): 1,
        (("rule", "budget:calls"),): 1,
    }


def test_gauges_ask_whoever_knows_at_each_scrape(start: Any, free_port: int) -> None:
    telemetry = start(metrics_port=free_port)
    assert values(scrape(free_port), "extproc_exchanges_live") == {}
    live = 3.0
    telemetry.observe(Gauge.LIVE, lambda: live)
    telemetry.observe("extproc.audit.lag", lambda: 2.5)
    assert values(scrape(free_port), "extproc_exchanges_live") == {(): 3}
    live = 5.0
    text = scrape(free_port)
    assert values(text, "extproc_exchanges_live") == {(): 5}
    assert values(text, "extproc_audit_lag_seconds") == {(): 2.5}


def test_a_gauge_nobody_declared_is_refused(start: Any) -> None:
    with pytest.raises(ValueError, match="not a valid Gauge"):
        start().observe("extproc.anything", lambda: 1.0)


def test_a_gauge_that_raises_does_not_take_the_scrape_down(start: Any, free_port: int) -> None:
    telemetry = start(metrics_port=free_port)
    telemetry.observe(Gauge.LIVE, lambda: 1 / 0)
    telemetry.observe(Gauge.HOLDS_WAITING, lambda: 1.0)
    text = scrape(free_port)
    assert values(text, "extproc_exchanges_live") == {}
    assert values(text, "extproc_holds_waiting") == {(): 1}


def test_one_policy_is_in_force_at_a_time_and_its_age_grows(start: Any, free_port: int) -> None:
    telemetry = start(metrics_port=free_port)
    telemetry.set_policy("sha256:old", time.time() - 100)
    telemetry.set_policy("sha256:new", time.time() - 7)
    text = scrape(free_port)
    assert values(text, "extproc_policy_info") == {(("digest", "sha256:new"),): 1}
    assert values(text, "extproc_policy_age_seconds")[()] == pytest.approx(7, abs=2)


def test_a_control_failure_opens_once_and_closes(start: Any, free_port: int) -> None:
    telemetry = start(metrics_port=free_port)
    labels = (("control", "policy"),)
    for _ in range(3):
        telemetry.control_failure("policy", True)
    text = scrape(free_port)
    assert values(text, "extproc_control_failing") == {labels: 1}
    assert values(text, "extproc_control_failures_total") == {labels: 1}
    telemetry.control_failure("policy", False)
    assert values(scrape(free_port), "extproc_control_failing") == {labels: 0}


def test_a_control_that_has_not_failed_is_counted_from_0(start: Any, free_port: int) -> None:
    telemetry = start(metrics_port=free_port)
    telemetry.control_failure("policy", False)
    text = scrape(free_port)
    labels = (("control", "policy"),)
    assert values(text, "extproc_control_failing") == {labels: 0}
    assert values(text, "extproc_control_failures_total") == {labels: 0}


def test_each_worker_has_a_port_of_its_own(start: Any, free_port: int) -> None:
    start(metrics_port=free_port - 1, worker=1).set_policy("none", time.time())
    assert 'extproc_worker="1"' in scrape(free_port)


def test_a_taken_port_is_an_error_and_no_port_is_no_listener(start: Any, free_port: int) -> None:
    with socket.create_server(("127.0.0.1", free_port)), pytest.raises(OSError, match="in use"):
        start(metrics_port=free_port)
    start(metrics_port=0)


def test_no_content_can_appear_in_a_metric(world: Any, free_port: int) -> None:
    telemetry = world.start(metrics_port=free_port, otlp_endpoint=world.collector)
    poisoned = world.make_record(
        status_detail=PAN,
        resource=Resource(connection=PAN, operation=PAN, protocol=PAN, model="4111-1111-1111-1111"),
        policy=PolicyRef(digest=PAN, effect="allow", rule=PAN),
        approval=ApprovalRef(id=PAN, state=PAN),
        findings_request={PAN: 1},
        measures=Measures(hold_ms=1.0, input_tokens=1, duration_ms=1.0),
    )
    world.record_exchange(telemetry, poisoned)
    telemetry.control_failure(PAN, True)
    text = scrape(free_port)
    telemetry.stop(5.0)
    assert re.search(r"4111\D?1111", text) is None
    assert len(world.sink.metrics) > 5
    assert not any(b"4111" in data for data in world.sink.raw)


def test_label_values_are_names_of_bounded_number() -> None:
    assert [plain_name(text) for text in ("llama-3.1:8b", "org/model@v1")] == ["llama-3.1:8b", "org/model@v1"]
    refused = ("", "two words", PAN, "4111-1111-1111-1111", "x4111111111111111", "a" * 129, "naïve", "a\n")
    assert {plain_name(text) for text in refused} == {OTHER}
    bounded = BoundedNames(2)
    assert [bounded(text) for text in "abcab"] == ["a", "b", OTHER, "a", "b"]


def test_identifiers_are_of_our_making_only() -> None:
    ours = ("019a9d8c1234-0123456789abcdef", "apr-019a9d8c1234-0123456789abcdef", f"sha256:{'0' * 64}")
    assert [identifier(text) for text in ours] == list(ours)
    assert [identifier(text) for text in (PAN, "4111111111111111", "none", "4111111111111111\n")] == [""] * 4


def test_withholding_numbers_is_linear() -> None:
    def cost(text: str) -> float:
        began = time.perf_counter()
        withhold_numbers(text)
        return time.perf_counter() - began

    for unit in ("1 ", "1", "1-1-1-1-1-1-1-1-1-1-1a", "12345678901a "):
        once, twice = (min(cost(unit * count) for _ in range(5)) for count in (20_000, 40_000))
        assert twice < 4 * once + 0.005
