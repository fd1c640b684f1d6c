"""What the console counts: each record that it made durable, and which controls fail. Pushed by OTLP, or scraped.

Names and numbers of ours only: nothing that a person, a provider or a client wrote.
"""

import os
import socket
import threading
from collections.abc import Iterable
from importlib.metadata import version
from typing import Any, Final, Self

from opentelemetry.exporter.otlp.proto.grpc.metric_exporter import OTLPMetricExporter
from opentelemetry.exporter.prometheus import PrometheusMetricReader
from opentelemetry.metrics import CallbackOptions, Observation
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import MetricReader, PeriodicExportingMetricReader
from opentelemetry.sdk.resources import Resource
from prometheus_client import CollectorRegistry, start_http_server

from extproc.core.record import Record
from extproc.edge.settings import Settings
from extproc.edge.telemetry import exports

_STOP_MILLISECONDS: Final = 2000.0


class ConsoleMetrics:
    """Of one console process, from `start` to `stop`. Never waits for a collector but when it stops."""

    def __init__(self, readers: Iterable[MetricReader], resource: Resource) -> None:
        self._meters = MeterProvider(list(readers), resource, shutdown_on_exit=False)
        meter = self._meters.get_meter("extproc")
        self._events = meter.create_counter("extproc.console.events", "{event}", "Records of the console.")
        self._failures = meter.create_counter("extproc.control.failures", "{failure}", "Controls that began to fail.")
        meter.create_observable_gauge("extproc.control.failing", [self._read], "1", "1 while a control fails.")
        self._failing: dict[str, bool] = {}
        self._told = meter.create_counter("extproc.notifications", "{notification}", "Attempts to tell people.")
        meter.create_observable_gauge(
            "extproc.notifications.untold", [self._read_untold], "{notification}", "By state."
        )
        self._untold: dict[str, int] = {}
        self._scrapes: list[tuple[Any, threading.Thread]] = []

    @classmethod
    def start(cls, settings: Settings, port: int) -> Self:
        """Answers `/metrics` on `port`; 0: does not. Raises `OSError` when that is taken."""
        telemetry, registry, readers = settings.telemetry, CollectorRegistry(), list[MetricReader]()
        if exports("METRICS", telemetry.otlp_endpoint):
            readers.append(PeriodicExportingMetricReader(OTLPMetricExporter(endpoint=telemetry.otlp_endpoint or None)))
        if port:
            readers.append(PrometheusMetricReader(scope_info_enabled=False, registry=registry))
        resource = Resource.create(
            {
                "service.name": os.environ.get("OTEL_SERVICE_NAME", "") or f"{telemetry.service_name}-console",
                "service.namespace": settings.deployment,
                "service.version": version("extproc"),
                "service.instance.id": f"{socket.gethostname()}-{os.getpid()}",
            }
        )
        metrics = cls(readers, resource)
        if port:
            metrics._scrapes.append(start_http_server(port, telemetry.metrics_address, registry))
        return metrics

    def count(self, record: Record) -> None:
        """A record that is durable: what happened, and the code of a refusal."""
        self._events.add(1, {"event": record.event_code.value, "refused": str(record.detail.get("refused", ""))})

    def control_failure(self, control: str, *, failing: bool) -> None:
        """A control fails, or works again."""
        if failing and not self._failing.get(control, False):
            self._failures.add(1, {"control": control})
        self._failing[control] = failing

    def told(self, channel: str, outcome: str) -> None:
        """An attempt of a channel: `sent`, `failed` (and tried again) or `dead`."""
        self._told.add(1, {"channel": channel, "outcome": outcome})

    def untold(self, waiting: int, dead: int) -> None:
        """What all consoles together have not told."""
        self._untold = {"waiting": waiting, "dead": dead}

    def stop(self) -> None:
        """What a dead collector does not take in two seconds is lost. Call it once."""
        self._meters.shutdown(timeout_millis=_STOP_MILLISECONDS)
        for server, thread in self._scrapes:
            server.shutdown()
            server.server_close()
            thread.join()

    def _read_untold(self, _: CallbackOptions) -> list[Observation]:
        return [Observation(count, {"state": state}) for state, count in self._untold.items()]

    def _read(self, _: CallbackOptions) -> list[Observation]:
        return [Observation(int(failing), {"control": name}) for name, failing in list(self._failing.items())]
