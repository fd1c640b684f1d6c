"""What Envoy's tracer is told: where its spans go, whom it samples, and what of a client's trace it takes."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml

from extproc.edge.bootstrap import render_bootstrap, render_here
from extproc.edge.bootstrap_check import refusal_text
from extproc.edge.settings_file import load_settings

Document = dict[str, Any]
GATE = "g" * 40
COLLECTOR = {"otlp_endpoint": "http://127.0.0.1:4318"}


def manager(text: str) -> Document:
    (listener,) = yaml.safe_load(text)["static_resources"]["listeners"]
    found: Document = listener["filter_chains"][0]["filters"][0]["typed_config"]
    return found


def rendered(put: Callable[[Document], Path], minimal: Document, **telemetry: Any) -> str:
    return render_bootstrap(load_settings(put(minimal | {"telemetry": COLLECTOR | telemetry})), GATE)


def tracer(text: str) -> Document:
    found: Document = manager(text)["tracing"]["provider"]["typed_config"]
    return found


def taken_off(text: str) -> set[str]:
    (extension,) = manager(text)["early_header_mutation_extensions"]
    return {each["remove"] for each in extension["typed_config"]["mutations"]}


def test_a_strangers_trace_is_taken_off_before_one_is_begun(put: Any, minimal: Document) -> None:
    trace = {"traceparent", "tracestate"}
    assert not trace & taken_off(rendered(put, minimal))
    assert trace <= taken_off(rendered(put, minimal, trust_client_trace=False))


def test_the_share_is_the_samplers_who_first_hears_the_caller(put: Any, minimal: Document) -> None:
    text = rendered(put, minimal, sampling=0.25)
    assert manager(text)["tracing"]["random_sampling"] == {"value": 100.0}
    assert manager(text)["tracing"]["client_sampling"] == {}
    sampler = tracer(text)["sampler"]
    assert sampler["name"].endswith("parent_based")
    share = sampler["typed_config"]["wrapped_sampler"]["typed_config"]["sampling_percentage"]
    assert share == {"numerator": 250_000, "denominator": "MILLION"}


def test_by_http_spans_have_the_path_and_the_headers_of_the_file(put: Any, minimal: Document, folder: Path) -> None:
    (folder / "secrets" / "otlp.headers").write_text("X-Tenant=guard 100%\n")
    more = {"otlp_protocol": "http/protobuf", "otlp_headers_file": "secrets/otlp.headers"}
    service = tracer(rendered(put, minimal, **more))["http_service"]
    assert service["http_uri"]["uri"] == "http://127.0.0.1:4318/v1/traces"
    assert [each["header"] for each in service["request_headers_to_add"]] == [
        {"key": "x-tenant", "value": "guard 100%%"}
    ]
    by_grpc = tracer(rendered(put, minimal, otlp_headers_file="secrets/otlp.headers"))["grpc_service"]
    assert by_grpc["initial_metadata"] == [{"key": "x-tenant", "value": "guard 100%%"}]


def test_an_https_collector_shows_a_certificate_of_its_own_name(put: Any, minimal: Document, folder: Path) -> None:
    more = {"otlp_endpoint": "https://collector:4317", "otlp_ca_file": "tls/server.crt"}
    clusters = yaml.safe_load(rendered(put, minimal, **more))["static_resources"]["clusters"]
    (cluster,) = [each for each in clusters if each["name"] == "otlp"]
    tls = cluster["transport_socket"]["typed_config"]
    validation = tls["common_tls_context"]["validation_context"]
    assert validation["trusted_ca"] == {"filename": str(folder / "tls" / "server.crt")}
    assert validation["match_typed_subject_alt_names"] == [{"san_type": "DNS", "matcher": {"exact": "collector"}}]
    assert tls["sni"] == "collector"


def test_envoys_spans_are_of_the_deployment_and_of_what_the_environment_says(put: Any, minimal: Document) -> None:
    settings = load_settings(put(minimal))
    environ = {
        "OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector:4317",
        "OTEL_RESOURCE_ATTRIBUTES": "k8s.pod.name=guard-0",
    }
    (detector,) = tracer(render_here(settings, GATE, environ))["resource_detectors"]
    assert detector["typed_config"]["attributes"] == {"service.namespace": "test", "k8s.pod.name": "guard-0"}
    assert "tracing" not in manager(render_here(settings, GATE, {}))


def test_headers_are_one_name_and_value_a_line(put: Any, minimal: Document, folder: Path) -> None:
    from extproc.edge.settings_file import SettingsInvalid

    for text in ("no equals", "a b=c", "=x", "quokka=", "näme=x", "\n".join(f"n{n}=x" for n in range(17))):
        (folder / "secrets" / "otlp.headers").write_text(text)
        try:
            rendered(put, minimal, otlp_headers_file="secrets/otlp.headers")
        except SettingsInvalid as invalid:
            (problem,) = invalid.problems
            assert problem.path == "telemetry.otlp_headers_file"
            assert text not in problem.message
        else:
            raise AssertionError(text)


def test_no_tag_is_what_a_client_or_a_model_server_wrote(put: Any, minimal: Document) -> None:
    """The real Envoy's spans are read in tests/conformance/envoy/test_envoy_tracing.py."""
    tags = manager(rendered(put, minimal))["tracing"]["custom_tags"]
    assert {tag["literal"]["value"] for tag in tags} == {"-"}
    grpc = {"grpc.path", "grpc.authority", "grpc.content_type", "grpc.timeout", "grpc.message"}
    assert {tag["tag"] for tag in tags} >= grpc | {"http.url", "user_agent", "downstream_cluster"}


def test_what_envoy_prints_of_a_header_is_its_name() -> None:
    printed = (
        b'request_headers_to_add { header { key: "x-api-key"\n  value: "not-for-the-screen" } }\n local GATE = "gate"'
    )
    said = refusal_text(printed)
    assert 'key: "x-api-key"' in said
    assert "not-for" not in said
    assert '"gate"' not in said
