"""The listener of the bootstrap: TLS, the connection manager as an edge wants it, and the access log."""

import math
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from extproc.core.connections import CONNECTION_HEADER
from extproc.edge import gate
from extproc.edge.bootstrap_certificates import CERTIFICATE, CLIENT_CA, secret_config
from extproc.edge.bootstrap_classes import (
    Struct,
    access_file,
    access_stream,
    accesslog,
    core,
    early_mutation,
    hcm,
    listener,
    matcher,
    mutation_rules,
    pack,
    tls,
)
from extproc.edge.bootstrap_filters import EXT_PROC_FILTER, http_filters
from extproc.edge.bootstrap_strangers import nobody_is_internal
from extproc.edge.bootstrap_tracing import CLIENT_TRACE, tracing
from extproc.edge.settings import Settings, TlsSettings

_CONNECTION_BUFFER_BYTES = 64 * 1024
_MAX_HEADER_KIB = 8192
"""Envoy's own upper bound."""
_IDLE = timedelta(seconds=300)
"""How long a stream may be without a byte, and a client without a sign of life: a phone sleeps, or is in a tunnel."""
_PING_INTERVAL = timedelta(seconds=20)
"""NATs and load balancers forget a silent connection, the quickest after 30 s; a held client is silent for minutes."""
_TCP_SILENT_SECONDS = 30
_TCP_PROBE_SECONDS = 10

ACCESS_LOG = {
    "time": "%START_TIME%",
    "method": "%REQ(:METHOD):7%",
    "protocol": "%PROTOCOL%",
    "status": "%RESPONSE_CODE%",
    "flags": "%RESPONSE_FLAGS%",
    "details": "%RESPONSE_CODE_DETAILS%",
    "bytes_received": "%BYTES_RECEIVED%",
    "bytes_sent": "%BYTES_SENT%",
    "duration_ms": "%DURATION%",
    "source": "%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT%",
    "connection": f"%DYNAMIC_METADATA({gate.NAMESPACE}:{gate.CONNECTION})%",
    "upstream": "%UPSTREAM_HOST%",
    "request_id": "%REQ(X-REQUEST-ID)%",
    "trace_id": "%TRACE_ID%",
    "exchange_id": f"%DYNAMIC_METADATA({gate.NAMESPACE}:{gate.EXCHANGE_ID})%",
    "effect": f"%DYNAMIC_METADATA({gate.NAMESPACE}:{gate.EFFECT})%",
    "rule": f"%DYNAMIC_METADATA({gate.NAMESPACE}:{gate.RULE})%",
    "policy": f"%DYNAMIC_METADATA({gate.NAMESPACE}:{gate.POLICY})%",
    "operation": f"%DYNAMIC_METADATA({gate.NAMESPACE}:{gate.OPERATION})%",
    "ext_proc": f"%FILTER_STATE({EXT_PROC_FILTER}:PLAIN)%",
}
"""No path, no query, no header a client writes: any of them may carry card data. `x-request-id` is Envoy's own."""


def edge_listener(settings: Settings, gate_secret: str, resource: Mapping[str, str], routing: Mapping[str, Any]) -> Any:
    """One listener, one filter chain: there is no way in past the filters.

    `resource` is what Envoy's spans are of, `routing` the routes, or where Envoy finds them.
    """
    where = settings.listener
    manager = listener.Filter(
        name="envoy.filters.network.http_connection_manager",
        typed_config=pack(_connection_manager(settings, gate_secret, resource, routing)),
    )
    return listener.Listener(
        name="edge",
        # `/drain_listeners?inboundonly` closes this one, and leaves the one that probes ask.
        traffic_direction=core.TrafficDirection.INBOUND,
        address=core.Address(socket_address=core.SocketAddress(address=where.address, port_value=where.port)),
        filter_chains=[
            listener.FilterChain(
                filters=[manager], transport_socket=_downstream_tls(settings, where.tls) if where.tls else None
            )
        ],
        per_connection_buffer_limit_bytes=_CONNECTION_BUFFER_BYTES,
        # A second process on the same port is an error at start instead of a share of the connections.
        enable_reuse_port=False,
        tcp_keepalive=_tcp_keepalive(),
    )


def _tcp_keepalive() -> Any:
    """For what speaks HTTP/1.1. Both ends' kernels do it, so a client that is suspended stays as well."""
    probes = (int(_IDLE.total_seconds()) - _TCP_SILENT_SECONDS) // _TCP_PROBE_SECONDS
    return core.TcpKeepalive(
        keepalive_time=_TCP_SILENT_SECONDS, keepalive_interval=_TCP_PROBE_SECONDS, keepalive_probes=probes
    )


def _downstream_tls(settings: Settings, where: TlsSettings) -> Any:
    context = tls.DownstreamTlsContext(
        common_tls_context=tls.CommonTlsContext(
            tls_params=tls.TlsParameters(tls_minimum_protocol_version=tls.TlsParametersTlsProtocol.TLSv1_2),
            tls_certificate_sds_secret_configs=[secret_config(settings, CERTIFICATE)],
            validation_context_sds_secret_config=secret_config(settings, CLIENT_CA) if where.client_ca else None,
            alpn_protocols=["h2", "http/1.1"],
        ),
        require_client_certificate=where.client_ca is not None,
    )
    return core.TransportSocket(name="envoy.transport_sockets.tls", typed_config=pack(context))


def _connection_manager(
    settings: Settings, gate_secret: str, resource: Mapping[str, str], routing: Mapping[str, Any]
) -> Any:
    escaped = hcm.HttpConnectionManagerPathWithEscapedSlashesAction.REJECT_REQUEST
    return hcm.HttpConnectionManager(
        stat_prefix="edge",
        codec_type=hcm.HttpConnectionManagerCodecType.AUTO,
        **routing,
        early_header_mutation_extensions=[_without(_not_a_clients(settings))],
        http_filters=http_filters(settings, gate_secret),
        # What the policy matches is what the model server gets.
        normalize_path=True,
        merge_slashes=True,
        path_with_escaped_slashes_action=escaped,
        # Each client is a stranger, on loopback too: `x-envoy-*` (retries, timeouts) and `x-request-id` are not theirs.
        use_remote_address=True,
        internal_address_config=nobody_is_internal(),
        generate_request_id=True,
        always_set_request_id_in_response=True,
        server_header_transformation=hcm.HttpConnectionManagerServerHeaderTransformation.OVERWRITE,
        server_name="extproc",
        max_request_headers_kb=min(_MAX_HEADER_KIB, math.ceil(settings.limits.max_header_bytes / 1024)),
        common_http_protocol_options=core.HttpProtocolOptions(
            idle_timeout=timedelta(hours=1),
            # Some servers read `a_b` as `a-b`. Refusing would close the connection without a word to the client.
            headers_with_underscores_action=core.HttpProtocolOptionsHeadersWithUnderscoresAction.DROP_HEADER,
        ),
        http2_protocol_options=core.Http2ProtocolOptions(
            max_concurrent_streams=100,
            initial_stream_window_size=65_536,
            initial_connection_window_size=1_048_576,
            # One at a time, each up to 15 % later: while an answer is due, TCP alone keeps the connection alive.
            connection_keepalive=core.KeepaliveSettings(interval=_PING_INTERVAL, timeout=_IDLE),
        ),
        request_headers_timeout=timedelta(seconds=10),
        request_timeout=timedelta(seconds=300),
        stream_idle_timeout=_IDLE,
        access_log=[_access_log(settings)],
        local_reply_config=_local_replies(),
        tracing=tracing(settings, resource),
    )


def _not_a_clients(settings: Settings) -> tuple[str, ...]:
    """Which model server a request is for is not the client's to say; nor is, for a stranger, what trace it is of."""
    return (CONNECTION_HEADER, *(() if settings.telemetry.trust_client_trace else CLIENT_TRACE))


def _without(headers: tuple[str, ...]) -> Any:
    """Before a trace is begun and a route is looked for."""
    removed = [mutation_rules.HeaderMutation(remove=name) for name in headers]
    mutation = early_mutation.HeaderMutation(mutations=removed)
    return core.TypedExtensionConfig(
        name="envoy.http.early_header_mutation.header_mutation", typed_config=pack(mutation)
    )


_MODEL_SERVER_FAILED = ("UF", "UH", "UO", "UC", "UT", "UR", "URX")
"""Envoy's response flags of a request for which no answer came: no connection, none that is healthy, reset, timeout."""


def _local_replies() -> Any:
    """What Envoy answers itself has the shape of the API's errors, and says whether the model server is to blame.

    Immediate responses of the service keep theirs: they carry another decision than the one that lets a request on.
    """
    allowed = matcher.MetadataMatcher(
        filter=gate.NAMESPACE,
        path=[matcher.MetadataMatcherPathSegment(key=gate.DECISION)],
        value=matcher.ValueMatcher(string_match=matcher.StringMatcher(exact=gate.ALLOW)),
    )
    not_refused_by_us = accesslog.AccessLogFilter(
        metadata_filter=accesslog.MetadataFilter(matcher=allowed, match_if_key_not_found=True)
    )
    failed = accesslog.AccessLogFilter(
        response_flag_filter=accesslog.ResponseFlagFilter(flags=list(_MODEL_SERVER_FAILED))
    )
    both = accesslog.AccessLogFilter(and_filter=accesslog.AndFilter(filters=[not_refused_by_us, failed]))
    return hcm.LocalReplyConfig(
        mappers=[
            _error(both, "The model server could not be reached, or did not answer.", "model_server_%RESPONSE_CODE%"),
            _error(not_refused_by_us, "The gateway answered this request itself.", "gateway_%RESPONSE_CODE%"),
        ]
    )


def _error(when: Any, message: str, code: str) -> Any:
    error = {
        "message": message,
        "type": "server_error",
        "code": code,
        "param": None,
        "exchange_id": f"%DYNAMIC_METADATA({gate.NAMESPACE}:{gate.EXCHANGE_ID})%",
    }
    body = core.SubstitutionFormatString(json_format=Struct.from_dict({"error": error}))
    return hcm.ResponseMapper(filter=when, body_format_override=body)


def _access_log(settings: Settings) -> Any:
    log_format = core.SubstitutionFormatString(json_format=Struct.from_dict(ACCESS_LOG))
    path = settings.envoy.access_log
    if path:
        return accesslog.AccessLog(
            name="envoy.access_loggers.file",
            typed_config=pack(access_file.FileAccessLog(path=path, log_format=log_format)),
        )
    return accesslog.AccessLog(
        name="envoy.access_loggers.stdout",
        typed_config=pack(access_stream.StdoutAccessLog(log_format=log_format)),
    )
