"""The standard variables, one row each: what they change where the settings say nothing, and what is said of the rest."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from extproc.edge import settings_telemetry
from extproc.edge.otel_environment import (
    BatchTerms,
    ExemplarFilter,
    OtelEnvironment,
    SamplingTerms,
    Signal,
    Way,
    for_envoy,
    read_environment,
    resource_of,
)
from extproc.edge.settings_telemetry import Protocol, TelemetrySettings

PAGE = Path(settings_telemetry.__file__).with_name("TELEMETRY.md")
NAMED = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector:4317"}
OURS = TelemetrySettings(otlp_endpoint="http://ours:4317")


def read(settings: TelemetrySettings = OURS, **variables: str) -> OtelEnvironment:
    return read_environment(settings, variables)


def ways(environment: OtelEnvironment) -> list[str]:
    return [environment.exports[signal].way.value for signal in Signal]


HONOURED: dict[str, tuple[str, Callable[[OtelEnvironment], object], object]] = {
    "OTEL_SDK_DISABLED": ("true", ways, ["none"] * 3),
    "OTEL_SERVICE_NAME": ("guard", lambda e: e.service_name, "guard"),
    "OTEL_TRACES_EXPORTER": ("console", lambda e: e.exports[Signal.TRACES].way, Way.CONSOLE),
    "OTEL_METRICS_EXPORTER": ("none", lambda e: e.exports[Signal.METRICS].way, Way.NONE),
    "OTEL_LOGS_EXPORTER": ("none", lambda e: e.exports[Signal.LOGS].way, Way.NONE),
    "OTEL_EXPORTER_OTLP_PROTOCOL": (
        "http/protobuf",
        lambda e: {export.protocol for export in e.exports.values()},
        {Protocol.HTTP},
    ),
    "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL": (
        "http/protobuf",
        lambda e: [e.exports[signal].protocol for signal in Signal],
        [Protocol.HTTP, Protocol.GRPC, Protocol.GRPC],
    ),
    "OTEL_EXPORTER_OTLP_METRICS_PROTOCOL": (
        "http/protobuf",
        lambda e: e.exports[Signal.METRICS].protocol,
        Protocol.HTTP,
    ),
    "OTEL_EXPORTER_OTLP_LOGS_PROTOCOL": ("http/protobuf", lambda e: e.exports[Signal.LOGS].protocol, Protocol.HTTP),
    "OTEL_TRACES_SAMPLER": ("always_off", lambda e: e.sampling, SamplingTerms(off=True)),
    "OTEL_BSP_MAX_QUEUE_SIZE": ("64", lambda e: e.spans, BatchTerms(64, 64, 5.0)),
    "OTEL_BSP_MAX_EXPORT_BATCH_SIZE": ("16", lambda e: e.spans, BatchTerms(2048, 16, 5.0)),
    "OTEL_BSP_SCHEDULE_DELAY": ("250", lambda e: e.spans.delay_seconds, 0.25),
    "OTEL_BLRP_MAX_QUEUE_SIZE": ("64", lambda e: e.logs, BatchTerms(64, 64, 1.0)),
    "OTEL_BLRP_MAX_EXPORT_BATCH_SIZE": ("16", lambda e: e.logs.batch, 16),
    "OTEL_BLRP_SCHEDULE_DELAY": ("250", lambda e: e.logs.delay_seconds, 0.25),
    "OTEL_METRIC_EXPORT_INTERVAL": ("500", lambda e: e.metric_interval_millis, 500.0),
    "OTEL_METRICS_EXEMPLAR_FILTER": ("always_off", lambda e: e.exemplars, ExemplarFilter.NEVER),
    "OTEL_PROPAGATORS": ("tracecontext,baggage", lambda e: e.unmet, ()),
}
"""A value, what it changes, and to what."""
ELSEWHERE = {
    "OTEL_TRACES_SAMPLER_ARG",
    "OTEL_EXPORTER_OTLP_ENDPOINT",
    "OTEL_RESOURCE_ATTRIBUTES",
    *(f"OTEL_EXPORTER_OTLP_{signal}_ENDPOINT" for signal in Signal),
    *(f"OTEL_EXPORTER_OTLP_{what}" for what in ("HEADERS", "TIMEOUT", "COMPRESSION", "CERTIFICATE")),
}
"""Shown by tests of their own, below and in test_exporting.py."""
UNMET = (
    ("OTEL_BSP_EXPORT_TIMEOUT", "1000"),
    ("OTEL_BLRP_EXPORT_TIMEOUT", "1000"),
    ("OTEL_TRACES_SAMPLER", "jaeger_remote"),
    ("OTEL_TRACES_SAMPLER_ARG", "2"),
    ("OTEL_TRACES_EXPORTER", "zipkin"),
    ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/json"),
    ("OTEL_PROPAGATORS", "b3"),
    ("OTEL_PROPAGATORS", "none"),
    ("OTEL_METRICS_EXEMPLAR_FILTER", "always_on"),
    ("OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE", "delta"),
    ("OTEL_EXPORTER_OTLP_METRICS_DEFAULT_HISTOGRAM_AGGREGATION", "base2_exponential_bucket_histogram"),
    ("OTEL_CONFIG_FILE", "otel.yaml"),
    ("OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT", "4"),
    ("OTEL_BSP_MAX_QUEUE_SIZE", "many"),
    ("OTEL_METRIC_EXPORT_INTERVAL", "-1"),
)


@pytest.mark.parametrize("name", HONOURED)
def test_a_variable_is_honoured(name: str) -> None:
    value, look, expected = HONOURED[name]
    assert look(read(**{name: value})) == expected
    assert look(read()) != expected or name == "OTEL_PROPAGATORS"
    assert read(**{name: value}).unmet == ()


@pytest.mark.parametrize(("name", "value"), UNMET, ids=lambda text: text)
def test_what_cannot_be_honoured_has_the_default_and_is_told(name: str, value: str) -> None:
    told = read(**{name: value})
    assert told.unmet == (name,)
    plain = read()
    assert (told.exports, told.spans, told.sampling) == (plain.exports, plain.spans, plain.sampling)


def test_the_page_has_a_row_for_each_and_no_other() -> None:
    text = PAGE.read_text("utf-8")
    rows = {name for line in text.splitlines() if line.startswith("| `OTEL_") for name in re.findall(r"OTEL_\w+", line)}
    shown = set(HONOURED) | ELSEWHERE | {name for name, _ in UNMET}
    assert shown - rows == set()
    assert {name for name in rows if name.split("_")[1] != "EXPORTER"} - shown <= {
        name for name in rows if "LIMIT" in name or "PROMETHEUS" in name or name == "OTEL_LOG_LEVEL"
    }


@pytest.mark.parametrize(
    ("sampler", "argument", "expected"),
    [
        ("", "", SamplingTerms()),
        ("always_on", "", SamplingTerms(by_parent=False)),
        ("always_off", "", SamplingTerms(off=True)),
        ("traceidratio", "0.25", SamplingTerms(0.25, by_parent=False)),
        ("parentbased_always_on", "", SamplingTerms()),
        ("parentbased_always_off", "", SamplingTerms(0.0)),
        ("parentbased_traceidratio", "0.25", SamplingTerms(0.25)),
    ],
)
def test_samplers(sampler: str, argument: str, expected: SamplingTerms) -> None:
    assert read(OTEL_TRACES_SAMPLER=sampler, OTEL_TRACES_SAMPLER_ARG=argument).sampling == expected


def test_an_endpoint_of_the_environment_exports_and_nothing_named_does_not() -> None:
    nothing = TelemetrySettings()
    assert ways(read(nothing)) == ["none"] * 3
    assert ways(read(nothing, **NAMED)) == ["otlp"] * 3
    assert ways(read(nothing, OTEL_EXPORTER_OTLP_LOGS_ENDPOINT="http://logs:4317")) == ["none", "none", "otlp"]
    assert {export.endpoint for export in read(nothing, **NAMED).exports.values()} == {""}  # the exporter reads it


def test_settings_go_before_the_environment() -> None:
    ours = TelemetrySettings(otlp_endpoint="http://ours:4318", otlp_protocol=Protocol.HTTP, sampling=0.5)
    environment = read(
        ours, **NAMED, OTEL_EXPORTER_OTLP_PROTOCOL="grpc", OTEL_TRACES_SAMPLER="always_off", OTEL_SERVICE_NAME=""
    )
    assert environment.sampling == SamplingTerms(0.5)
    assert [environment.exports[signal].endpoint for signal in Signal] == [
        f"http://ours:4318/v1/{name}" for name in ("traces", "metrics", "logs")
    ]


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({}, ("", 1.0)),
        (NAMED, ("http://collector:4317", 1.0)),
        ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "https://t:4318/v1/traces"}, ("https://t:4318", 1.0)),
        (NAMED | {"OTEL_TRACES_EXPORTER": "none"}, ("", 1.0)),
        (NAMED | {"OTEL_TRACES_SAMPLER": "always_off"}, ("", 1.0)),
        (
            NAMED | {"OTEL_TRACES_SAMPLER": "parentbased_traceidratio", "OTEL_TRACES_SAMPLER_ARG": "0.1"},
            ("http://collector:4317", 0.1),
        ),
    ],
)
def test_envoy_is_told_what_it_cannot_read(variables: dict[str, str], expected: tuple[str, float]) -> None:
    told = for_envoy(TelemetrySettings(), variables)
    assert (told.otlp_endpoint, told.sampling) == expected


def test_resource_attributes_are_decoded() -> None:
    text = "k8s.pod.name=guard-0,deployment.environment.name=pre%20prod,broken"
    assert resource_of({"OTEL_RESOURCE_ATTRIBUTES": text}) == {
        "k8s.pod.name": "guard-0",
        "deployment.environment.name": "pre prod",
    }


def test_what_cannot_be_honoured_is_said_at_start(
    start: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("OTEL_PROPAGATORS", "b3")
    start()
    (said,) = [record for record in caplog.records if record.name == "extproc.edge.pipeline"]
    assert said.__dict__["variables"] == ("OTEL_PROPAGATORS",)
