"""Instruments that cost less than the SDK's own, or say more."""

import threading
from collections.abc import Callable, Iterable
from typing import Final

from opentelemetry.metrics import CallbackOptions, Counter, Meter, Observation

from extproc.edge import metric_table as table
from extproc.edge.labels import BoundedNames

MAX_CONTROLS: Final = 64


class Tally:
    """A counter that costs one addition, read when somebody collects: the SDK's own costs 5 us a reader."""

    def __init__(self, meter: Meter, metric: table.Metric) -> None:
        self._labels = metric.labels
        self._counts: dict[tuple[str, ...], int] = {}
        self._lock = threading.Lock()
        meter.create_observable_counter(metric.name, [self._read], metric.unit, metric.description)

    def add(self, count: int, *values: str) -> None:
        """`values` in the order of the labels. From one thread only."""
        self._counts[values] = self._counts.get(values, 0) + count

    def add_from_any_thread(self, count: int, *values: str) -> None:
        """As `add`; all of one tally then come by this."""
        with self._lock:
            self.add(count, *values)

    def _read(self, _: CallbackOptions) -> Iterable[Observation]:
        return [
            Observation(count, dict(zip(self._labels, key, strict=True))) for key, count in list(self._counts.items())
        ]


class Controls:
    """Which controls (PCI DSS 10.7) fail, and how often one began to."""

    def __init__(self, meter: Meter) -> None:
        self._failing: dict[str, bool] = {}
        self._names = BoundedNames(MAX_CONTROLS)
        self._failures = Tally(meter, table.CONTROL_FAILURES)
        observe(meter, table.CONTROL_FAILING, self._read)

    def tell(self, control: str, *, failing: bool) -> None:
        """One that has not failed is told too, so that it is counted from 0."""
        name = self._names(control)
        self._failures.add(int(failing and not self._failing.get(name, False)), name)
        self._failing[name] = failing

    def _read(self) -> Iterable[Observation]:
        return [Observation(int(failing), {"control": name}) for name, failing in list(self._failing.items())]


def observe(meter: Meter, metric: table.Metric, read: Callable[[], Iterable[Observation]]) -> None:
    """A gauge that asks `read` whenever somebody collects."""
    meter.create_observable_gauge(metric.name, [lambda _: read()], metric.unit, metric.description)


def counter(meter: Meter, metric: table.Metric) -> Counter:
    """The SDK's own, for any thread and for what happens seldom."""
    return meter.create_counter(metric.name, metric.unit, metric.description)
