"""Envoy's own spans: where they go, which requests get them, and that they carry nothing a client writes freely."""

from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

from extproc.core import conventions
from extproc.edge.bootstrap_classes import core, hcm, pack, resource_detectors, samplers, trace, tracing_tags, types
from extproc.edge.bootstrap_clusters import COLLECTOR
from extproc.edge.settings import Settings
from extproc.edge.settings_telemetry import Protocol, TelemetrySettings, read_headers

CLIENT_TRACE: Final = ("traceparent", "tracestate")
"""What a client says of a trace of its own."""
_EXPORT_SECONDS: Final = timedelta(seconds=1)
_WRITTEN_BY_CLIENTS: Final = (
    *("http.url", "user_agent", "downstream_cluster"),
    # Of each request whose content type says that it is gRPC. That path has its query, whatever its length may be.
    *("grpc.path", "grpc.authority", "grpc.content_type", "grpc.timeout"),
)
_WRITTEN_BY_SERVERS: Final = ("grpc.message",)


def tracing(settings: Settings, resource: Mapping[str, str]) -> Any:
    """None where no collector is named. Sampled are as many as the settings say, and whom a trusted caller sampled."""
    telemetry = settings.telemetry
    if not telemetry.otlp_endpoint:
        return None
    return hcm.HttpConnectionManagerTracing(
        # Whom the sampler takes is its business alone: a share here would also thin what a caller has sampled.
        random_sampling=types.Percent(value=100),
        # `x-client-trace-id` would have a client's request traced whatever the share is.
        client_sampling=types.Percent(value=0),
        max_path_tag_length=0,
        custom_tags=[
            tracing_tags.CustomTag(tag=name, literal=tracing_tags.CustomTagLiteral(value="-"))
            for name in (*_WRITTEN_BY_CLIENTS, *_WRITTEN_BY_SERVERS)
        ],
        provider=trace.TracingHttp(
            name="envoy.tracers.opentelemetry", typed_config=pack(_tracer(settings, telemetry, resource))
        ),
    )


def _tracer(settings: Settings, telemetry: TelemetrySettings, resource: Mapping[str, str]) -> Any:
    headers = () if telemetry.otlp_headers_file is None else read_headers(Path(telemetry.otlp_headers_file))
    where: dict[str, Any] = (
        {"http_service": _http(telemetry, headers)}
        if telemetry.otlp_protocol is Protocol.HTTP
        else {"grpc_service": _grpc(headers)}
    )
    attributes = {conventions.SERVICE_NAMESPACE: settings.deployment, **resource}
    detector = core.TypedExtensionConfig(
        name="envoy.tracers.opentelemetry.resource_detectors.static_config",
        typed_config=pack(resource_detectors.StaticConfigResourceDetectorConfig(attributes=attributes)),
    )
    return trace.OpenTelemetryConfig(
        service_name=f"{telemetry.service_name}-envoy",
        resource_detectors=[detector],
        sampler=_sampler(1.0 if telemetry.sampling is None else telemetry.sampling),
        **where,
    )


def _sampler(ratio: float) -> Any:
    """A caller's word; without a caller's, a share by trace id, as the SDKs have it."""
    million = types.FractionalPercentDenominatorType.MILLION
    share = samplers.TraceIdRatioBasedSamplerConfig(
        sampling_percentage=types.FractionalPercent(numerator=round(ratio * 1_000_000), denominator=million)
    )
    root = core.TypedExtensionConfig(
        name="envoy.tracers.opentelemetry.samplers.trace_id_ratio_based", typed_config=pack(share)
    )
    return core.TypedExtensionConfig(
        name="envoy.tracers.opentelemetry.samplers.parent_based",
        typed_config=pack(samplers.ParentBasedSamplerConfig(wrapped_sampler=root)),
    )


def _grpc(headers: tuple[tuple[str, str], ...]) -> Any:
    return core.GrpcService(
        envoy_grpc=core.GrpcServiceEnvoyGrpc(cluster_name=COLLECTOR),
        timeout=_EXPORT_SECONDS,
        initial_metadata=[core.HeaderValue(key=name, value=_literal(value)) for name, value in headers],
    )


def _http(telemetry: TelemetrySettings, headers: tuple[tuple[str, str], ...]) -> Any:
    uri = f"{telemetry.otlp_endpoint.rstrip('/')}/v1/traces"
    return core.HttpService(
        http_uri=core.HttpUri(uri=uri, cluster=COLLECTOR, timeout=_EXPORT_SECONDS),
        request_headers_to_add=[
            core.HeaderValueOption(header=core.HeaderValue(key=name, value=_literal(value))) for name, value in headers
        ],
    )


def _literal(value: str) -> str:
    """Envoy substitutes what stands between percent signs."""
    return value.replace("%", "%%")
