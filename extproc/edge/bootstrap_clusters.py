"""The clusters of the bootstrap: the workers, the model servers, the trace collector."""

import ipaddress
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from extproc.edge.bootstrap_classes import cluster, core, endpoint, matcher, pack, tls, upstream_http
from extproc.edge.settings import ConnectionSettings, Settings
from extproc.edge.settings_telemetry import Protocol, TelemetrySettings

WORKERS = "extproc"
COLLECTOR = "otlp"

_PROTOCOL_OPTIONS = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"
_MAX_IN_FLIGHT = 20_000
"""Envoy's default of 1024 counts a held request for as long as its approval takes."""
_BUFFER_BYTES = 256 * 1024
_SYSTEM_AUTHORITIES = Path("/etc/ssl/certs/ca-certificates.crt")
"""Where Debian, and Envoy's own image, have them: Envoy trusts nobody unless it is told whom."""
_WORKER_WINDOW_BYTES = 256 * 1024
"""What may be under way to a worker per exchange. Envoy's default of 16 MiB is as much memory per slow exchange."""
_MODEL_IDLE_SECONDS = 4
"""uvicorn and llama.cpp close idle connections after 5 s; reusing one at that moment would be a 503 nobody retries."""


@dataclass(frozen=True, slots=True)
class HostPort:
    host: str
    port: int

    @property
    def authority(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def is_literal(self) -> bool:
        try:
            ipaddress.ip_address(self.host)
        except ValueError:
            return False
        return True


def parse_http_address(text: str, what: str, default_port: int) -> HostPort:
    """`http://host[:port]` and nothing more; raises `ValueError` naming `what`."""
    try:
        parts = urlsplit(text)
        port = parts.port or default_port
    except ValueError as error:
        raise ValueError(f"{what}: not a URL") from error
    if parts.scheme != "http" or not parts.hostname:
        raise ValueError(f"{what}: must be `http://host:port`")
    if parts.path not in ("", "/") or parts.query or parts.fragment or parts.username is not None:
        raise ValueError(f"{what}: must be `http://host:port` without path, query or user")
    return HostPort(parts.hostname, port)


def model_cluster_name(connection: ConnectionSettings) -> str:
    """Connection names share no space with our own clusters. Another server of a name is another cluster."""
    return f"model_{connection.route}"


def worker_cluster(settings: Settings) -> Any:
    """One Unix socket per worker. One that cannot be connected to is left out for a while: with no requests in flight,
    it would be given all of them."""
    http2 = core.Http2ProtocolOptions(
        connection_keepalive=core.KeepaliveSettings(interval=timedelta(seconds=5), timeout=timedelta(seconds=2)),
        initial_stream_window_size=_WORKER_WINDOW_BYTES,
    )
    return cluster.Cluster(
        name=WORKERS,
        type=cluster.ClusterDiscoveryType.STATIC,
        connect_timeout=timedelta(seconds=1),
        per_connection_buffer_limit_bytes=_BUFFER_BYTES,
        lb_policy=cluster.ClusterLbPolicy.LEAST_REQUEST,
        load_assignment=_endpoints(
            WORKERS,
            [
                core.Address(pipe=core.Pipe(path=str(settings.run_directory / f"worker-{index}.sock")))
                for index in range(settings.workers)
            ],
        ),
        circuit_breakers=_circuit_breakers(),
        outlier_detection=_unreachable_workers_only(),
        typed_extension_protocol_options=_explicit(
            upstream_http.HttpProtocolOptionsExplicitHttpConfig(http2_protocol_options=http2)
        ),
    )


def model_cluster(connection: ConnectionSettings) -> Any:
    """HTTP/1.1: one write of the model server arrives as one chunk, where HTTP/2 would give one per DATA frame."""
    where = parse_http_address(connection.upstream, f"connection `{connection.name}`: upstream", 80)
    made = _http_cluster(
        model_cluster_name(connection),
        where,
        upstream_http.HttpProtocolOptionsExplicitHttpConfig(http_protocol_options=core.Http1ProtocolOptions()),
        core.HttpProtocolOptions(idle_timeout=timedelta(seconds=_MODEL_IDLE_SECONDS)),
    )
    # Metrics are the connection's, whichever server it had.
    made.alt_stat_name = f"model_{connection.name}"
    return made


def collector_cluster(telemetry: TelemetrySettings) -> Any:
    """By HTTP/2 for gRPC, else by HTTP/1.1; an `https` endpoint must show a certificate of its own name."""
    scheme, separator, rest = telemetry.otlp_endpoint.partition("://")
    encrypted = scheme == "https"
    plain = f"http{separator}{rest}" if encrypted else telemetry.otlp_endpoint
    where = parse_http_address(plain, "telemetry: otlp_endpoint", 4317)
    by_http = telemetry.otlp_protocol is Protocol.HTTP
    options = (
        {"http_protocol_options": core.Http1ProtocolOptions()}
        if by_http
        else {"http2_protocol_options": core.Http2ProtocolOptions()}
    )
    made = _http_cluster(COLLECTOR, where, upstream_http.HttpProtocolOptionsExplicitHttpConfig(**options), None)
    if encrypted:
        made.transport_socket = _upstream_tls(where, telemetry.otlp_ca_file or _SYSTEM_AUTHORITIES)
    return made


def _upstream_tls(where: HostPort, authorities: Path) -> Any:
    kind = tls.SubjectAltNameMatcherSanType.IP_ADDRESS if where.is_literal else tls.SubjectAltNameMatcherSanType.DNS
    matcher_of_name = tls.SubjectAltNameMatcher(san_type=kind, matcher=matcher.StringMatcher(exact=where.host))
    validation = tls.CertificateValidationContext(
        trusted_ca=core.DataSource(filename=str(authorities)), match_typed_subject_alt_names=[matcher_of_name]
    )
    context = tls.UpstreamTlsContext(
        common_tls_context=tls.CommonTlsContext(validation_context=validation),
        sni="" if where.is_literal else where.host,
    )
    return core.TransportSocket(name="envoy.transport_sockets.tls", typed_config=pack(context))


def _http_cluster(name: str, where: HostPort, explicit: Any, common: Any) -> Any:
    discovery = cluster.ClusterDiscoveryType.STATIC if where.is_literal else cluster.ClusterDiscoveryType.STRICT_DNS
    address = core.Address(socket_address=core.SocketAddress(address=where.host, port_value=where.port))
    return cluster.Cluster(
        name=name,
        type=discovery,
        dns_lookup_family=cluster.ClusterDnsLookupFamily.V4_PREFERRED,
        connect_timeout=timedelta(seconds=5),
        per_connection_buffer_limit_bytes=_BUFFER_BYTES,
        load_assignment=_endpoints(name, [address]),
        circuit_breakers=_circuit_breakers(),
        typed_extension_protocol_options=_explicit(explicit, common),
    )


def _endpoints(name: str, addresses: list[Any]) -> Any:
    return endpoint.ClusterLoadAssignment(
        cluster_name=name,
        endpoints=[
            endpoint.LocalityLbEndpoints(
                lb_endpoints=[endpoint.LbEndpoint(endpoint=endpoint.Endpoint(address=address)) for address in addresses]
            )
        ],
    )


def _explicit(explicit: Any, common: Any = None) -> dict[str, Any]:
    options = upstream_http.HttpProtocolOptions(explicit_http_config=explicit, common_http_protocol_options=common)
    return {_PROTOCOL_OPTIONS: pack(options)}


def _circuit_breakers() -> Any:
    return cluster.CircuitBreakers(
        thresholds=[
            cluster.CircuitBreakersThresholds(
                max_connections=_MAX_IN_FLIGHT, max_pending_requests=_MAX_IN_FLIGHT, max_requests=_MAX_IN_FLIGHT
            )
        ]
    )


def _unreachable_workers_only() -> Any:
    """Ejects on failed connections alone: an aborted call is an answer, and must not take its worker out of service."""
    return cluster.OutlierDetection(
        split_external_local_origin_errors=True,
        consecutive_local_origin_failure=1,
        enforcing_consecutive_local_origin_failure=100,
        enforcing_local_origin_success_rate=0,
        enforcing_consecutive_5xx=0,
        enforcing_consecutive_gateway_failure=0,
        enforcing_success_rate=0,
        enforcing_failure_percentage=0,
        enforcing_failure_percentage_local_origin=0,
        interval=timedelta(seconds=1),
        base_ejection_time=timedelta(seconds=1),
        max_ejection_time=timedelta(seconds=5),
        max_ejection_percent=99,
    )
