"""Histograms name an exchange of each bucket, by OTLP and in a scrape that asks for OpenMetrics."""

from typing import Any

import httpx
import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families

TRACE_ID = "4bf92f3577b34da6a3ce929d0e0e4736"
PARENT_ID = "00f067aa0ba902b7"
OPEN_METRICS = {"accept": "application/openmetrics-text; version=1.0.0"}


def exemplars(port: int, name: str) -> list[tuple[str, dict[str, str], float]]:
    """Of the buckets of `name`: `le`, labels and value of each exemplar."""
    answer = httpx.get(f"http://127.0.0.1:{port}/metrics", headers=OPEN_METRICS, trust_env=False)
    assert answer.headers["content-type"].startswith("application/openmetrics-text")
    return [
        (sample.labels["le"], sample.exemplar.labels, sample.exemplar.value)
        for family in text_string_to_metric_families(answer.text)
        for sample in family.samples
        if sample.name == f"{name}_bucket" and sample.exemplar
    ]


def test_a_scrape_and_a_push_name_the_last_traced_exchange_of_a_bucket(world: Any, free_port: int) -> None:
    telemetry = world.start(otlp_endpoint=world.collector, metrics_port=free_port)
    world.record_exchange(telemetry, world.make_record())
    ((bound, labels, value),) = exemplars(free_port, "extproc_exchange_duration_seconds")
    assert (float(bound), value) == (0.25, 0.25)
    telemetry.stop(5.0)
    server = world.sink.span("chat llama-3")
    assert labels == {"trace_id": TRACE_ID, "span_id": server.span_id.hex()}
    (point,) = world.sink.metrics["extproc.exchange.duration"].histogram.data_points
    (exemplar,) = point.exemplars
    assert (exemplar.trace_id, exemplar.span_id, exemplar.as_double) == (server.trace_id, server.span_id, 0.25)
    assert sum(point.bucket_counts) == point.count == 1


def test_an_exchange_without_spans_is_no_example(world: Any, free_port: int) -> None:
    telemetry = world.start(otlp_endpoint=world.collector, metrics_port=free_port)
    ordinary = world.make_record(findings_request={}, findings_response={})
    world.record_exchange(telemetry, ordinary, traceparent=f"00-{TRACE_ID}-{PARENT_ID}-00")
    assert exemplars(free_port, "extproc_exchange_duration_seconds") == []


def test_the_filter_turns_them_off(world: Any, free_port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_METRICS_EXEMPLAR_FILTER", "always_off")
    telemetry = world.start(otlp_endpoint=world.collector, metrics_port=free_port)
    world.record_exchange(telemetry, world.make_record())
    assert exemplars(free_port, "extproc_exchange_duration_seconds") == []


def test_the_conventions_histograms_are_those_of_the_model_server(world: Any, free_port: int) -> None:
    telemetry = world.start(metrics_port=free_port)
    phases = (("record", 0.0, 0.01), ("model", 0.01, 0.03), ("response", 0.03, 0.25))
    world.record_exchange(telemetry, world.make_record(), offsets=phases)
    text = httpx.get(f"http://127.0.0.1:{free_port}/metrics", trust_env=False).text
    labels = 'gen_ai_operation_name="chat",gen_ai_provider_name="local",gen_ai_request_model="llama-3"'
    found = {line.partition(" ")[0]: float(line.rpartition(" ")[2]) for line in text.splitlines() if line[:1] != "#"}
    assert found[f'gen_ai_server_request_duration_seconds_sum{{error_type="",{labels}}}'] == pytest.approx(0.24)
    assert found[f"gen_ai_server_time_to_first_token_seconds_sum{{{labels}}}"] == pytest.approx(0.03)
    assert found[f"gen_ai_server_time_per_output_token_seconds_sum{{{labels}}}"] == pytest.approx(0.21 / 19)
    for kind, count in (("input", 10), ("output", 20)):
        assert found[f'gen_ai_client_token_usage_sum{{{labels},gen_ai_token_type="{kind}"}}'] == count
    assert found['extproc_added_duration_seconds_sum{operation="chat"}'] == pytest.approx(0.01)
    assert found['extproc_phase_duration_seconds_sum{phase="model"}'] == pytest.approx(0.02)
