"""Spans and metrics of one worker, written at the end of each exchange.

The service never waits for a collector: spans queue in memory, a full queue or a dead collector drops them, and a
metric counts what was dropped.
"""

from collections.abc import Callable, Sequence

from extproc.core.record import Summary
from extproc.edge.batches import Batches
from extproc.edge.exporting import Sender, open_sender
from extproc.edge.metrics import Gauge, Metrics, Reading
from extproc.edge.names import Names
from extproc.edge.otel_environment import ExemplarFilter, SamplingTerms, Signal
from extproc.edge.pipeline import Pipeline
from extproc.edge.sampling import Sampling
from extproc.edge.settings_telemetry import TelemetrySettings
from extproc.edge.spans import Finished, SpanEncoder, Spans

_NOBODY = SamplingTerms(off=True)


class Telemetry:
    """Of one worker, from `start` to `stop`."""

    def __init__(self, settings: TelemetrySettings, pipeline: Pipeline) -> None:
        self._pipeline = pipeline
        self.failing: tuple[str, ...] = ()
        """The controls that fail now."""
        names = Names()
        self._metrics = Metrics(pipeline.meter, names)
        pipeline.distributions += self._metrics.distributions
        environment = pipeline.environment
        sender = open_sender(Signal.TRACES, environment.exports[Signal.TRACES], settings)
        self._spans = (
            Spans(Sampling(_NOBODY, settings.keep), lambda _: None)
            if sender is None
            else Spans(Sampling(environment.sampling, settings.keep), self._open_batches(sender, names).put)
        )
        self._exemplars = environment.exemplars is ExemplarFilter.TRACED

    @classmethod
    def start(cls, settings: TelemetrySettings, *, worker: int, deployment: str) -> "Telemetry":
        """Begin to export, and to answer `/metrics` on `metrics_port + worker`. Raises `OSError` when that is taken."""
        port = settings.metrics_port + worker if settings.metrics_port else 0
        return cls(settings, Pipeline(settings, deployment, port, **{"extproc.worker": worker}))

    def _open_batches(self, sender: Sender, names: Names) -> Batches[Finished]:
        encoder = SpanEncoder(self._pipeline.resource, names)

        def send(batch: Sequence[Finished]) -> bool:
            return sender.send(encoder.encode(batch))

        lost = self._pipeline.lost(Signal.TRACES)
        batches = Batches[Finished]("telemetry-spans", self._pipeline.environment.spans, send, lost, sender.stop)
        self._pipeline.at_stop(batches.stop)
        return batches

    def record_exchange(
        self, summary: Summary, *, traceparent: str, started_unix: float, started_monotonic: float
    ) -> None:
        """Count a finished exchange and write its spans under the proxy's. Names, numbers and times; never content."""
        span = self._spans.write(summary, traceparent, started_unix, started_monotonic)
        self._metrics.count(summary, started_monotonic, span if self._exemplars else None)

    def set_policy(self, digest: str, loaded_unix: float) -> None:
        """The policy in force from now on."""
        self._metrics.policy_in_force(digest, loaded_unix)

    def control_failure(self, control: str, failing: bool) -> None:
        """A control (PCI DSS 10.7) fails, or works again."""
        self.failing = tuple(sorted({*self.failing, control} if failing else {*self.failing} - {control}))
        self._metrics.control_failure(control, failing=failing)

    def observe(self, name: Gauge | str, read: Callable[[], Reading]) -> None:
        """Ask `read` for a gauge at each scrape, from another thread. Raises `ValueError` for an unknown name."""
        self._metrics.observe(Gauge(name), read)

    def stop(self, timeout_seconds: float) -> None:
        """Flush for at most `timeout_seconds`; what a dead collector does not take by then is lost. Call it once."""
        self._pipeline.stop(timeout_seconds)
