"""Each signal by each protocol, with the headers, the compression and the authority that settings or variables say."""

import datetime as dt
import ipaddress
import logging
from concurrent import futures
from pathlib import Path
from typing import Any

import grpc
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2_grpc

from extproc.edge.settings_telemetry import Protocol

SENTENCE = "a sentence of ours"


def export_everything(world: Any, **settings: Any) -> Any:
    telemetry = world.start(**settings)
    world.record_exchange(telemetry, world.make_record())
    logging.getLogger("extproc.tests").warning(SENTENCE)
    telemetry.stop(5.0)
    return world.sink


def assert_everything(sink: Any) -> None:
    assert [span.name for span in sink.spans] == ["chat llama-3"]
    assert "extproc.exchange.duration" in sink.metrics
    assert "gen_ai.client.token.usage" in sink.metrics
    assert SENTENCE in {line.body.string_value for line in sink.logs}


def test_by_grpc(world: Any) -> None:
    assert_everything(export_everything(world, otlp_endpoint=world.collector))


def test_by_http(world: Any, http_collector: str) -> None:
    assert_everything(export_everything(world, otlp_endpoint=http_collector, otlp_protocol=Protocol.HTTP))


def test_by_http_as_the_environment_says(world: Any, http_collector: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", http_collector)
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_COMPRESSION", "gzip")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_HEADERS", "x-tenant=guard")
    sink = export_everything(world)
    assert_everything(sink)
    assert {headers["x-tenant"] for headers in sink.headers} == {"guard"}
    assert {headers["content-encoding"] for headers in sink.headers} == {"gzip"}


@pytest.mark.parametrize("signal", ["TRACES", "METRICS", "LOGS"])
def test_one_signal_alone_as_the_environment_says(world: Any, monkeypatch: pytest.MonkeyPatch, signal: str) -> None:
    monkeypatch.setenv(f"OTEL_EXPORTER_OTLP_{signal}_ENDPOINT", world.collector)
    sink = export_everything(world)
    arrived = {"TRACES": bool(sink.spans), "METRICS": bool(sink.metrics), "LOGS": bool(sink.logs)}
    assert {name for name, came in arrived.items() if came} == {signal}


@pytest.mark.parametrize("protocol", [Protocol.GRPC, Protocol.HTTP])
def test_headers_come_from_a_file(world: Any, http_collector: str, tmp_path: Path, protocol: Protocol) -> None:
    (tmp_path / "headers").write_text("Authorization=Basic cXVva2th\nx-tenant = guard\n")
    sink = export_everything(
        world,
        otlp_endpoint=world.collector if protocol is Protocol.GRPC else http_collector,
        otlp_protocol=protocol,
        otlp_headers_file=tmp_path / "headers",
    )
    assert {(headers["authorization"], headers["x-tenant"]) for headers in sink.headers} == {
        ("Basic cXVva2th", "guard")
    }
    assert len(sink.headers) >= 3


def make_certificate() -> tuple[bytes, bytes]:
    """For 127.0.0.1, signed by itself."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "collector")])
    begin = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
    address = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    built = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(begin)
        .not_valid_after(begin + dt.timedelta(days=36500))
        .add_extension(address, critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return built.public_bytes(serialization.Encoding.PEM), private


@pytest.mark.parametrize("by_variable", [False, True])
def test_an_https_endpoint_is_believed_by_the_named_authority_alone(
    world: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, by_variable: bool
) -> None:
    certificate, key = make_certificate()
    (tmp_path / "ca.crt").write_bytes(certificate)
    (tmp_path / "other.crt").write_bytes(make_certificate()[0])
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "2")
    server = grpc.server(futures.ThreadPoolExecutor(2))
    trace_service_pb2_grpc.add_TraceServiceServicer_to_server(world.sink, server)
    credentials = grpc.ssl_server_credentials([(key, certificate)])
    port = server.add_secure_port("127.0.0.1:0", credentials)
    server.start()
    try:
        for name, arrive in (("other.crt", False), ("ca.crt", True)):
            monkeypatch.setenv("OTEL_EXPORTER_OTLP_CERTIFICATE", str(tmp_path / name)) if by_variable else None
            given = {} if by_variable else {"otlp_ca_file": tmp_path / name}
            telemetry = world.start(otlp_endpoint=f"https://127.0.0.1:{port}", **given)
            world.record_exchange(telemetry, world.make_record())
            telemetry.stop(2.0)
            assert bool(world.sink.spans) is arrive
    finally:
        server.stop(0).wait()


def test_to_the_console_a_request_is_a_line(
    world: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("OTEL_TRACES_EXPORTER", "console")
    telemetry = world.start()
    world.record_exchange(telemetry, world.make_record())
    telemetry.stop(5.0)
    (line,) = [line for line in capsys.readouterr().out.splitlines() if "resourceSpans" in line]
    assert '"chat llama-3"' in line


def test_the_scope_says_by_which_conventions(world: Any) -> None:
    from extproc.core.conventions import SCHEMA_URL

    sink = export_everything(world, otlp_endpoint=world.collector)
    assert {(scope.scope.name, scope.schema_url) for scope in sink.scopes} == {("extproc", SCHEMA_URL)}
