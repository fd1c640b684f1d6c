"""Spans and metrics of one worker: pushed by OTLP, scraped by Prometheus, written at the end of each exchange.

The service never waits for a collector: spans queue in memory, a full queue or a dead collector drops them, and a
metric counts what was dropped. The standard `OTEL_*` environment variables hold wherever the settings say nothing.
"""

import os
import socket
import threading
import time
from collections.abc import Callable
from importlib.metadata import version
from typing import Any, Final

from opentelemetry.exporter.otlp.proto.grpc.metric_exporter import OTLPMetricExporter
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
from opentelemetry.exporter.prometheus import PrometheusMetricReader
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import MetricReader, PeriodicExportingMetricReader
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.trace import NoOpTracerProvider
from prometheus_client import CollectorRegistry, ProcessCollector, start_http_server

from extproc.core.record import Summary
from extproc.edge.metrics import Gauge, Metrics, Names
from extproc.edge.settings_telemetry import TelemetrySettings
from extproc.edge.spans import Clock, CountedBatches, CountedExporter, Spans

_SCOPE: Final = "extproc"
_LAST_WORDS_SECONDS = 1.0
"""After the time to flush is up: for an export that was told to stop."""


class Telemetry:
    """Of one worker, from `start` to `stop`."""

    def __init__(self, settings: TelemetrySettings, resource: Resource, metrics_port: int) -> None:
        self._registry = CollectorRegistry()
        self._exporters: list[OTLPSpanExporter | OTLPMetricExporter] = []
        self._readers = self._open_metric_export(settings.otlp_endpoint)
        if metrics_port:
            self._readers.append(PrometheusMetricReader(scope_info_enabled=False, registry=self._registry))
        self._meters = MeterProvider(self._readers, resource, shutdown_on_exit=False)
        names = Names()
        self._metrics = Metrics(self._meters.get_meter(_SCOPE), names)
        self._batches = self._open_span_export(settings.otlp_endpoint)
        self._tracers = TracerProvider(resource=resource, shutdown_on_exit=False)
        for batches in self._batches:
            self._tracers.add_span_processor(batches)
        tracers = self._tracers if self._batches else NoOpTracerProvider()
        self._spans = Spans(tracers.get_tracer(_SCOPE), names)
        ProcessCollector(registry=self._registry)
        self._scrapes: list[tuple[Any, threading.Thread]] = []
        if metrics_port:
            self._scrapes.append(start_http_server(metrics_port, settings.metrics_address, self._registry))

    @classmethod
    def start(cls, settings: TelemetrySettings, *, worker: int, deployment: str) -> "Telemetry":
        """Begin to export, and to answer `/metrics` on `metrics_port + worker`. Raises `OSError` when that is taken."""
        named = os.environ.get("OTEL_SERVICE_NAME", "")
        resource = Resource.create(
            {
                "service.name": named or settings.service_name,
                "service.namespace": deployment,
                "service.version": version("extproc"),
                "service.instance.id": f"{socket.gethostname()}-{os.getpid()}",
                "extproc.worker": worker,
            }
        )
        return cls(settings, resource, settings.metrics_port + worker if settings.metrics_port else 0)

    def record_exchange(
        self, summary: Summary, *, traceparent: str, started_unix: float, started_monotonic: float
    ) -> None:
        """Count a finished exchange and write its spans under the proxy's. Names, numbers and times; never content."""
        self._metrics.count(summary.record)
        self._spans.write(summary, traceparent, Clock(started_unix, started_monotonic))

    def set_policy(self, digest: str, loaded_unix: float) -> None:
        """The policy in force from now on."""
        self._metrics.policy_in_force(digest, loaded_unix)

    def control_failure(self, control: str, failing: bool) -> None:
        """A control (PCI DSS 10.7) fails, or works again."""
        self._metrics.control_failure(control, failing=failing)

    def observe(self, name: Gauge | str, read: Callable[[], float]) -> None:
        """Ask `read` for a gauge at each scrape, from another thread. Raises `ValueError` for an unknown name."""
        self._metrics.observe(Gauge(name), read)

    def stop(self, timeout_seconds: float) -> None:
        """Flush for at most `timeout_seconds`; what a dead collector does not take by then is lost. Call it once."""
        flush = threading.Thread(target=self._flush, args=(timeout_seconds,), name="telemetry-flush", daemon=True)
        flush.start()
        flush.join(timeout_seconds)
        if flush.is_alive():
            for exporter in self._exporters:
                exporter.shutdown(timeout_millis=0)
            flush.join(_LAST_WORDS_SECONDS)
        for server, thread in self._scrapes:
            server.shutdown()
            server.server_close()
            thread.join()

    def _flush(self, timeout_seconds: float) -> None:
        deadline = time.monotonic() + timeout_seconds
        for batches in self._batches:
            batches.shutdown()  # type: ignore[no-untyped-call]
        for reader in self._readers:
            reader.shutdown(timeout_millis=max(1.0, 1000 * (deadline - time.monotonic())))

    def _open_span_export(self, endpoint: str) -> list[CountedBatches]:
        if not exports("TRACES", endpoint):
            return []
        exporter = OTLPSpanExporter(endpoint=endpoint or None)
        self._exporters.append(exporter)
        lost = self._metrics.spans_dropped
        return [CountedBatches(CountedExporter(exporter, lost), lost)]

    def _open_metric_export(self, endpoint: str) -> list[MetricReader]:
        if not exports("METRICS", endpoint):
            return []
        exporter = OTLPMetricExporter(endpoint=endpoint or None)
        self._exporters.append(exporter)
        return [PeriodicExportingMetricReader(exporter)]


def exports(signal: str, endpoint: str) -> bool:
    """An endpoint is named, by the settings or the environment, and the signal is not turned off there."""
    if os.environ.get(f"OTEL_{signal}_EXPORTER", "").strip() == "none":
        return False
    variables = ("OTEL_EXPORTER_OTLP_ENDPOINT", f"OTEL_EXPORTER_OTLP_{signal}_ENDPOINT")
    return bool(endpoint) or any(os.environ.get(variable) for variable in variables)
