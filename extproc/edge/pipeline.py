"""What every process of ours has for telemetry: a meter that is pushed and scraped, log lines by OTLP, one way to stop.

Workers add spans, see `extproc.edge.telemetry`. The standard `OTEL_*` variables hold wherever the settings say nothing.
"""

import logging
import os
import threading
from collections.abc import Callable
from typing import Any, Final

from opentelemetry.exporter.prometheus import PrometheusMetricReader
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import MetricExporter, MetricReader, PeriodicExportingMetricReader
from prometheus_client import CollectorRegistry, ProcessCollector, start_http_server

from extproc.edge import metric_table
from extproc.edge.distributions import Distribution, ScrapedDistributions, WithDistributions
from extproc.edge.exporting import SCOPE, make_resource, open_metric_exporter, open_sender
from extproc.edge.instruments import Tally
from extproc.edge.otel_environment import Signal, read_environment
from extproc.edge.otlp_logs import LogExport
from extproc.edge.settings_telemetry import TelemetrySettings

_LAST_WORDS_SECONDS: Final = 1.5
"""After the time to flush is up: for exports that were told to stop."""
_log = logging.getLogger(__name__)


class Pipeline:
    """From its making to `stop`."""

    def __init__(self, settings: TelemetrySettings, deployment: str, metrics_port: int, **more: str | int) -> None:
        """Answers `/metrics` on the port, 0: does not. `more` is for the resource. Raises `OSError` for a port that is
        taken and for files that cannot be read, `ValueError` for files that are unfit."""
        self.environment = environment = read_environment(settings, os.environ)
        self.resource = make_resource(environment, deployment, **more)
        self.distributions: list[Distribution] = []
        """Exported and scraped beside the meter's instruments."""
        self._stops: list[Callable[[float], None]] = []
        self._scrapes: list[tuple[Any, threading.Thread]] = []
        registry = CollectorRegistry()
        readers = self._open_readers(settings, registry, scraped=metrics_port > 0)
        self._meters = MeterProvider(readers, self.resource, shutdown_on_exit=False)
        self.meter = self._meters.get_meter(SCOPE.name, SCOPE.version, SCOPE.schema_url)
        self._dropped = Tally(self.meter, metric_table.DROPPED)
        self._open_logs(settings)
        ProcessCollector(registry=registry)
        if metrics_port:
            self._scrapes.append(start_http_server(metrics_port, settings.metrics_address, registry))
        if environment.unmet:
            _log.warning("variables that cannot be honoured", extra={"variables": environment.unmet})

    def lost(self, signal: Signal) -> Callable[[int, str], None]:
        """Counts what of a signal was not exported, and why. For any thread."""
        name = "spans" if signal is Signal.TRACES else "logs"
        return lambda count, why: self._dropped.add_from_any_thread(count, name, why)

    def at_stop(self, stop: Callable[[float], None]) -> None:
        """`stop` is called in the end, with the seconds that it may flush."""
        self._stops.append(stop)

    def stop(self, timeout_seconds: float) -> None:
        """Flush for at most `timeout_seconds`; what a dead collector does not take by then is lost. Call it once."""
        stops = [threading.Thread(target=stop, args=(timeout_seconds,), daemon=True) for stop in self._stops]
        for thread in stops:
            thread.start()
        for thread in stops:
            thread.join(timeout_seconds + _LAST_WORDS_SECONDS)
        for server, thread in self._scrapes:
            server.shutdown()
            server.server_close()
            thread.join()

    def _open_readers(
        self, settings: TelemetrySettings, registry: CollectorRegistry, *, scraped: bool
    ) -> list[MetricReader]:
        readers: list[MetricReader] = []
        exporter = open_metric_exporter(self.environment.exports[Signal.METRICS], settings)
        if exporter is not None:
            both = WithDistributions(exporter, self.distributions, self.resource, SCOPE)
            pushed = PeriodicExportingMetricReader(both, self.environment.metric_interval_millis)
            self.at_stop(lambda timeout_seconds: _stop_metrics(pushed, exporter, timeout_seconds))
            readers.append(pushed)
        if scraped:
            readers.append(PrometheusMetricReader(scope_info_enabled=False, registry=registry))
            registry.register(ScrapedDistributions(self.distributions))
        return readers

    def _open_logs(self, settings: TelemetrySettings) -> None:
        sender = open_sender(Signal.LOGS, self.environment.exports[Signal.LOGS], settings)
        if sender is None:
            return
        logs = LogExport(sender, self.environment.logs, self.resource, self.lost(Signal.LOGS))
        logs.open()
        self.at_stop(logs.stop)


def _stop_metrics(reader: MetricReader, exporter: MetricExporter, timeout_seconds: float) -> None:
    """One last export, and no more of it than the time that it has."""
    flush = threading.Thread(target=reader.shutdown, args=(1000 * timeout_seconds,), daemon=True)
    flush.start()
    flush.join(timeout_seconds)
    if flush.is_alive():
        exporter.shutdown(timeout_millis=0)
