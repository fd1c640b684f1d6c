"""What is rendered: accepted by the real Envoy for every shape of settings, the same as the committed examples."""

import os
from pathlib import Path
from typing import Any

import pytest
import yaml

from extproc.core.snapshot import Limits
from extproc.edge.bootstrap import (
    EnvoyRefused,
    render_bootstrap,
    render_following,
    validate_bootstrap,
    write_discovery,
)
from extproc.edge.settings import (
    ConnectionSettings,
    EnvoySettings,
    ListenerSettings,
    TlsSettings,
)
from extproc.edge.settings_telemetry import Protocol, TelemetrySettings

GATE = "example-gate-secret-replaced-at-each-start"
EXAMPLES = Path(__file__).parents[3] / "envoy"

TWO = (
    ConnectionSettings("chat", "http://vllm.models.svc:8000", "/chat"),
    ConnectionSettings("embeddings", "http://127.0.0.1:8081", "/chat/embeddings/"),
)


def manager(text: str) -> dict[str, Any]:
    listener = yaml.safe_load(text)["static_resources"]["listeners"][0]
    config: dict[str, Any] = listener["filter_chains"][0]["filters"][0]["typed_config"]
    return config


def filters(text: str) -> dict[str, dict[str, Any]]:
    return {f["name"]: f["typed_config"] for f in manager(text)["http_filters"]}


def clusters(text: str) -> dict[str, dict[str, Any]]:
    return {c["name"]: c for c in yaml.safe_load(text)["static_resources"]["clusters"]}


@pytest.mark.parametrize("workers", [1, 2, 3, 4])
def test_envoy_accepts_one_to_four_workers(make_settings: Any, workers: int) -> None:
    text = render_bootstrap(make_settings(workers=workers), GATE)
    validate_bootstrap(text)
    endpoints = clusters(text)["extproc"]["load_assignment"]["endpoints"][0]["lb_endpoints"]
    paths = [Path(e["endpoint"]["address"]["pipe"]["path"]).name for e in endpoints]
    assert paths == [f"worker-{index}.sock" for index in range(workers)]


@pytest.mark.parametrize(
    "changes",
    [
        {"connections": TWO},
        {"connections": (ConnectionSettings("a.b+c", "http://[::1]:8000", "/v(1)/x.y/"),)},
        {"telemetry": TelemetrySettings(otlp_endpoint="http://127.0.0.1:4317")},
        {"telemetry": TelemetrySettings(otlp_endpoint="http://collector.observability.svc:4317")},
        {"telemetry": TelemetrySettings(otlp_endpoint="https://collector:4318", otlp_protocol=Protocol.HTTP)},
        {
            "telemetry": TelemetrySettings(
                otlp_endpoint="https://127.0.0.1:4317", trust_client_trace=False, sampling=0.1
            )
        },
        {"envoy": EnvoySettings(admin_port=9901, access_log="/dev/stdout", max_hold_seconds=0.5)},
        {"envoy": EnvoySettings(status_address="::", status_port=9902)},
        {"envoy": EnvoySettings(admin_port=9901, status_port=9902)},
        {"listener": ListenerSettings(address="::", port=8443)},
        {"limits": Limits(max_header_bytes=10_000_000, max_body_bytes=1)},
    ],
)
def test_envoy_accepts(make_settings: Any, changes: dict[str, Any]) -> None:
    settings = make_settings(**changes)
    validate_bootstrap(render_bootstrap(settings, GATE))
    write_discovery(settings, "sha256:first")
    validate_bootstrap(render_following(settings, GATE))


def test_without_the_files_that_it_follows_envoy_does_not_start(make_settings: Any) -> None:
    with pytest.raises(EnvoyRefused, match=r"clusters\.yaml"):
        validate_bootstrap(render_following(make_settings(), GATE))


def test_rendering_is_repeatable(make_settings: Any) -> None:
    assert render_bootstrap(make_settings(), GATE) == render_bootstrap(make_settings(), GATE)


def test_the_filter_order_is_lock_origin_ext_proc_lock_router(make_settings: Any) -> None:
    assert [name.rpartition(".")[2] for name in filters(render_bootstrap(make_settings(), GATE))] == [
        "lua",
        "header_mutation",
        "ext_proc",
        "rbac",
        "router",
    ]


def test_ext_proc_fails_closed(make_settings: Any) -> None:
    config = filters(render_bootstrap(make_settings(), GATE))["envoy.filters.http.ext_proc"]
    for name in ("failure_mode_allow", "allow_mode_override", "observability_mode", "disable_immediate_response"):
        assert not config.get(name)
    assert config["status_on_error"] == {"code": "ServiceUnavailable"}
    assert config["mutation_rules"] == {"disallow_is_error": True}
    assert config["processing_mode"]["request_body_mode"] == "BUFFERED"
    assert config["processing_mode"]["response_body_mode"] == "FULL_DUPLEX_STREAMED"


def test_no_route_cuts_or_repeats_an_exchange(make_settings: Any) -> None:
    text = render_bootstrap(make_settings(connections=TWO, envoy=EnvoySettings(max_hold_seconds=900)), GATE)
    routes = manager(text)["route_config"]["virtual_hosts"][0]["routes"]
    assert [route.get("name", "") for route in routes] == [*(each.route for each in TWO), ""]
    longest = float(filters(text)["envoy.filters.http.ext_proc"]["max_message_timeout"][:-1])
    assert longest >= 900 + Limits().hold_margin_seconds
    for route in routes[:2]:
        assert route["route"]["timeout"] == "0s"
        assert float(route["route"]["idle_timeout"][:-1]) > longest
        assert "retry_policy" not in route["route"]


def test_there_is_no_upgrade_and_no_admin_unless_asked_for(make_settings: Any) -> None:
    text = render_bootstrap(make_settings(), GATE)
    assert "upgrade_configs" not in text
    assert "admin" not in yaml.safe_load(text)
    asked = yaml.safe_load(render_bootstrap(make_settings(envoy=EnvoySettings(admin_port=9901)), GATE))
    assert asked["admin"]["address"]["socket_address"] == {"address": "127.0.0.1", "port_value": 9901}


@pytest.mark.parametrize(
    "upstream", ["https://a:1", "http://a:1/v1", "http://u:p@a:1", "ftp://a", "a:1", "http://", "http://a:99999"]
)
def test_an_upstream_that_is_no_plain_address_is_refused(make_settings: Any, upstream: str) -> None:
    settings = make_settings(connections=(ConnectionSettings("model", upstream),))
    with pytest.raises(ValueError, match="connection `model`: upstream"):
        render_bootstrap(settings, GATE)


@pytest.mark.parametrize("secret", ["", "ok", 'x"; os.exit() --' + "x" * 40, "a" * 31, "\n" + "a" * 40])
def test_a_gate_secret_that_is_none_is_refused_and_not_shown(make_settings: Any, secret: str) -> None:
    with pytest.raises(ValueError, match="gate secret") as caught:
        render_bootstrap(make_settings(), secret)
    assert not secret or secret not in str(caught.value)


def test_envoys_own_words_come_back_without_the_gate_secret(make_settings: Any) -> None:
    text = render_bootstrap(make_settings(envoy=EnvoySettings(max_hold_seconds=9000)), GATE)
    with pytest.raises(EnvoyRefused, match="MaxMessageTimeout: value must be inside range") as caught:
        validate_bootstrap(text)
    assert GATE not in str(caught.value)


def test_a_whole_refused_listener_is_shown_without_the_gate_secret(make_settings: Any) -> None:
    text = render_bootstrap(make_settings(), GATE).replace("stat_prefix: edge", "stat_prefix: ''")
    with pytest.raises(EnvoyRefused) as caught:
        validate_bootstrap(text)
    assert "local GATE = [secret]" in str(caught.value)
    assert GATE not in str(caught.value)


@pytest.mark.parametrize("protocol", list(Protocol))
def test_a_refused_listener_is_shown_without_the_headers_of_the_collector(
    make_settings: Any, tmp_path: Path, protocol: Protocol
) -> None:
    key = 'not-for-the-screen" "nor-this'
    (tmp_path / "otlp.headers").write_text(f"x-api-key={key}\nauthorization=Bearer {key}\n")
    telemetry = TelemetrySettings(
        otlp_endpoint="http://127.0.0.1:4317", otlp_protocol=protocol, otlp_headers_file=tmp_path / "otlp.headers"
    )
    text = render_bootstrap(make_settings(telemetry=telemetry), GATE).replace("stat_prefix: edge", "stat_prefix: ''")
    with pytest.raises(EnvoyRefused) as caught:
        validate_bootstrap(text)
    assert 'key: "x-api-key"' in str(caught.value)
    assert "not-for-the-screen" not in str(caught.value)
    assert "nor-this" not in str(caught.value)


def test_a_broken_lock_does_not_validate(make_settings: Any) -> None:
    text = render_bootstrap(make_settings(), GATE).replace("local UPSTREAM", "loca UPSTREAM")
    with pytest.raises(EnvoyRefused, match="script load error"):
        validate_bootstrap(text)


def test_tls_without_the_files_that_name_the_certificates_does_not_validate(make_settings: Any, tmp_path: Path) -> None:
    tls = TlsSettings(tmp_path / "tls.crt", tmp_path / "tls.key")
    with pytest.raises(EnvoyRefused, match=r"certificate\.yaml"):
        validate_bootstrap(render_bootstrap(make_settings(listener=ListenerSettings(tls=tls)), GATE))


def test_no_envoy_is_an_error_with_a_hint(make_settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EXTPROC_ENVOY", "/nowhere/envoy")
    with pytest.raises(EnvoyRefused, match="envoy cannot be run"):
        validate_bootstrap(render_bootstrap(make_settings(), GATE))


def example(name: str, make_settings: Any) -> str:
    run = Path("/run/extproc")
    if name == "local":
        return render_bootstrap(make_settings(run_directory=run, workers=2), GATE)
    tls = TlsSettings(
        Path("/etc/extproc/tls/tls.crt"), Path("/etc/extproc/tls/tls.key"), Path("/etc/extproc/tls/ca.crt")
    )
    settings = make_settings(
        run_directory=run,
        workers=4,
        listener=ListenerSettings("0.0.0.0", 8443, tls),
        envoy=EnvoySettings(status_address="0.0.0.0", status_port=9902, ends_with_service=True),
        connections=TWO,
        telemetry=TelemetrySettings(otlp_endpoint="http://collector.observability.svc:4317"),
    )
    return render_bootstrap(settings, GATE)


@pytest.mark.parametrize("name", ["local", "gateway"])
def test_the_committed_examples_are_what_is_rendered(make_settings: Any, name: str) -> None:
    """`EXTPROC_WRITE_EXAMPLES=1` writes them anew."""
    path = EXAMPLES / f"{name}.yaml"
    text = example(name, make_settings)
    if os.environ.get("EXTPROC_WRITE_EXAMPLES"):
        path.write_text(text)
    assert path.read_text() == text
