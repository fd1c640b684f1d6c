"""What the standard `OTEL_*` variables say, where the settings say nothing. One reading, at start.

The exporters read their own: headers, certificates, timeouts and compression, for all signals and for each. What a
variable asks for and cannot have is told by `unmet`, so that it can be said in the log.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Final
from urllib.parse import unquote, urlsplit

from extproc.edge.settings_telemetry import Protocol, TelemetrySettings

_ROOM: Final = 2048
_BATCH: Final = 512
"""The specification's defaults."""


class Signal(StrEnum):
    """As the variables' names have it."""

    TRACES = "TRACES"
    METRICS = "METRICS"
    LOGS = "LOGS"


class Way(StrEnum):
    """Where a signal goes."""

    OTLP = "otlp"
    CONSOLE = "console"
    """Lines of OTLP JSON on standard output."""
    NONE = "none"


class ExemplarFilter(StrEnum):
    """Which exchanges a histogram may name as examples."""

    NEVER = "always_off"
    TRACED = "trace_based"
    """Those whose spans are exported."""


@dataclass(frozen=True, slots=True)
class Export:
    """How one signal leaves. `endpoint` is the settings' own; empty: the environment's, which the exporter reads."""

    way: Way
    protocol: Protocol
    endpoint: str


@dataclass(frozen=True, slots=True)
class BatchTerms:
    """The queue before an exporter."""

    room: int = _ROOM
    batch: int = _BATCH
    delay_seconds: float = 5.0


@dataclass(frozen=True, slots=True)
class SamplingTerms:
    """Of ordinary exchanges. `ratio` is for those without a parent, or for all where `by_parent` is false."""

    ratio: float = 1.0
    by_parent: bool = True
    off: bool = False
    """Nobody gets a span, whatever happens."""


@dataclass(frozen=True, slots=True)
class OtelEnvironment:
    """All of it."""

    exports: Mapping[Signal, Export]
    spans: BatchTerms
    logs: BatchTerms
    sampling: SamplingTerms
    exemplars: ExemplarFilter
    service_name: str
    metric_interval_millis: float
    unmet: tuple[str, ...] = field(default=())
    """Variables whose values cannot be honoured."""


_SAMPLERS: Final[Mapping[str, SamplingTerms]] = {
    "always_on": SamplingTerms(by_parent=False),
    "always_off": SamplingTerms(off=True),
    "traceidratio": SamplingTerms(by_parent=False),
    "parentbased_always_on": SamplingTerms(),
    "parentbased_always_off": SamplingTerms(ratio=0.0),
    "parentbased_traceidratio": SamplingTerms(),
}
_PROPAGATORS: Final = frozenset({"tracecontext", "baggage", "none"})
_NEVER_HONOURED: Final = (
    "OTEL_BSP_EXPORT_TIMEOUT",
    "OTEL_BLRP_EXPORT_TIMEOUT",
    "OTEL_CONFIG_FILE",
    "OTEL_EXPERIMENTAL_CONFIG_FILE",
    "OTEL_LOG_LEVEL",
    "OTEL_EXPORTER_PROMETHEUS_HOST",
    "OTEL_EXPORTER_PROMETHEUS_PORT",
    "OTEL_ATTRIBUTE_COUNT_LIMIT",
    "OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT",
    "OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT",
    "OTEL_SPAN_ATTRIBUTE_VALUE_LENGTH_LIMIT",
    "OTEL_SPAN_EVENT_COUNT_LIMIT",
    "OTEL_SPAN_LINK_COUNT_LIMIT",
    "OTEL_EVENT_ATTRIBUTE_COUNT_LIMIT",
    "OTEL_LINK_ATTRIBUTE_COUNT_LIMIT",
    "OTEL_LOGRECORD_ATTRIBUTE_COUNT_LIMIT",
    "OTEL_LOGRECORD_ATTRIBUTE_VALUE_LENGTH_LIMIT",
)
"""An export's time is bounded by `OTEL_EXPORTER_OTLP_TIMEOUT`; what spans hold is bounded by what they may hold."""
_NOT_FOR_HISTOGRAMS: Final = (
    ("OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE", "cumulative"),
    ("OTEL_EXPORTER_OTLP_METRICS_DEFAULT_HISTOGRAM_AGGREGATION", "explicit_bucket_histogram"),
)


class _Reader:
    """Reads variables, and remembers which of them said what nobody can do."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._environ = environ
        self.unmet: list[str] = []

    def text(self, name: str) -> str:
        return self._environ.get(name, "").strip()

    def choice(self, name: str, known: Mapping[str, object] | frozenset[str]) -> str:
        """One of `known`, or empty: nothing is said, or nothing that is known."""
        said = self.text(name).lower()
        if said and said not in known:
            self.unmet.append(name)
            return ""
        return said

    def number(self, name: str, default: float, *, least: float, most: float = math.inf) -> float:
        said = self.text(name)
        if not said:
            return default
        try:
            number = float(said)
        except ValueError:
            number = math.nan
        if not least <= number <= most or math.isinf(number):
            self.unmet.append(name)
            return default
        return number


def read_environment(settings: TelemetrySettings, environ: Mapping[str, str]) -> OtelEnvironment:
    """What holds for one process. Whatever is not understood has the default, and is in `unmet`."""
    reader = _Reader(environ)
    exports = {signal: _export(reader, signal, settings) for signal in Signal}
    sampling = _sampling(reader, settings)
    filters = frozenset(each.value for each in ExemplarFilter)
    exemplars = ExemplarFilter(reader.choice("OTEL_METRICS_EXEMPLAR_FILTER", filters) or ExemplarFilter.TRACED)
    said = {each.strip().lower() for each in reader.text("OTEL_PROPAGATORS").split(",") if each.strip()}
    if said - _PROPAGATORS or (said and "tracecontext" not in said):
        reader.unmet.append("OTEL_PROPAGATORS")
    for name, only in _NOT_FOR_HISTOGRAMS:
        if reader.text(name).lower() not in ("", only):
            reader.unmet.append(name)
    reader.unmet += [name for name in _NEVER_HONOURED if reader.text(name)]
    return OtelEnvironment(
        exports=exports,
        spans=_batches(reader, "OTEL_BSP"),
        logs=_batches(reader, "OTEL_BLRP"),
        sampling=sampling,
        exemplars=exemplars,
        service_name=reader.text("OTEL_SERVICE_NAME") or settings.service_name,
        metric_interval_millis=reader.number("OTEL_METRIC_EXPORT_INTERVAL", 60_000, least=1),
        unmet=tuple(dict.fromkeys(reader.unmet)),
    )


def for_envoy(settings: TelemetrySettings, environ: Mapping[str, str]) -> TelemetrySettings:
    """The settings as Envoy's tracer needs them, which reads no environment: with what the variables say of traces."""
    environment = read_environment(settings, environ)
    traces = environment.exports[Signal.TRACES]
    named = [settings.otlp_endpoint, *(environ.get(name, "") for name in _both(Signal.TRACES, "ENDPOINT"))]
    parts = urlsplit(next((each for each in named if each), ""))
    wanted = traces.way is Way.OTLP and parts.port is not None and not environment.sampling.off
    return replace(
        settings,
        otlp_endpoint=f"{parts.scheme}://{parts.netloc}" if wanted else "",
        otlp_protocol=traces.protocol,
        service_name=environment.service_name,
        sampling=environment.sampling.ratio,
    )


def resource_of(environ: Mapping[str, str]) -> dict[str, str]:
    """`OTEL_RESOURCE_ATTRIBUTES`: `name=value` pairs, percent-encoded (W3C baggage). What is malformed is left out."""
    pairs = (pair.partition("=") for pair in environ.get("OTEL_RESOURCE_ATTRIBUTES", "").split(","))
    return {name.strip(): unquote(value.strip()) for name, equals, value in pairs if equals and name.strip()}


def _export(reader: _Reader, signal: Signal, settings: TelemetrySettings) -> Export:
    """An endpoint is named, by the settings or the environment, and the signal is not turned off there."""
    way = reader.choice(f"OTEL_{signal}_EXPORTER", frozenset(each.value for each in Way))
    protocols = frozenset(each.value for each in Protocol)
    said = [reader.choice(name, protocols) for name in _both(signal, "PROTOCOL")]
    protocol = settings.otlp_protocol or Protocol(said[0] or said[1] or Protocol.GRPC)
    named = settings.otlp_endpoint or any(reader.text(name) for name in _both(signal, "ENDPOINT"))
    if reader.text("OTEL_SDK_DISABLED").lower() == "true" or (way in ("", Way.OTLP) and not named):
        way = Way.NONE
    endpoint = settings.otlp_endpoint
    if endpoint and protocol is Protocol.HTTP:
        endpoint = f"{endpoint.rstrip('/')}/v1/{signal.lower()}"
    return Export(Way(way or Way.OTLP), protocol, endpoint)


def _both(signal: Signal, what: str) -> tuple[str, str]:
    """The variable of one signal, which goes first, and that of all."""
    return f"OTEL_EXPORTER_OTLP_{signal}_{what}", f"OTEL_EXPORTER_OTLP_{what}"


def _sampling(reader: _Reader, settings: TelemetrySettings) -> SamplingTerms:
    sampler = reader.choice("OTEL_TRACES_SAMPLER", _SAMPLERS)
    ratio = reader.number("OTEL_TRACES_SAMPLER_ARG", 1.0, least=0, most=1)
    if settings.sampling is not None:
        return SamplingTerms(ratio=settings.sampling)
    terms = _SAMPLERS[sampler or "parentbased_always_on"]
    return SamplingTerms(ratio, terms.by_parent) if sampler.endswith("traceidratio") else terms


def _batches(reader: _Reader, prefix: str) -> BatchTerms:
    room = int(reader.number(f"{prefix}_MAX_QUEUE_SIZE", _ROOM, least=1))
    batch = int(reader.number(f"{prefix}_MAX_EXPORT_BATCH_SIZE", min(_BATCH, room), least=1, most=room))
    default = 5000 if prefix == "OTEL_BSP" else 1000
    return BatchTerms(room, batch, reader.number(f"{prefix}_SCHEDULE_DELAY", default, least=1) / 1000)
