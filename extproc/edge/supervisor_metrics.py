"""The supervisor's facts as metrics: pushed by OTLP and scraped by Prometheus, like those of a worker."""

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Final

from opentelemetry.metrics import Meter, Observation

from extproc.audit.log.setbacks import CONTROL as ADOPTION
from extproc.audit.log.spool import GIVEN_UP, epochs, measure
from extproc.audit.log.store_alarm import CLOCK, STORE
from extproc.edge import metric_table as table
from extproc.edge.configuration import CONTROL as CONFIGURATION
from extproc.edge.instruments import observe
from extproc.edge.pipeline import Pipeline
from extproc.edge.settings import Settings
from extproc.edge.supervisor_facts import SupervisorFacts

_CONTROLS: Final = (STORE, CLOCK, CONFIGURATION)


class SupervisorMetrics:
    """Shows `facts` to whoever collects."""

    def __init__(self, meter: Meter, settings: Settings, facts: SupervisorFacts) -> None:
        self._settings = settings
        self._facts = facts
        observe(
            meter, table.WORKERS, lambda: _by("state", {"wanted": facts.workers_wanted, "live": facts.workers_live})
        )
        observe(meter, table.AUDIT_LAG, self._lag)
        observe(meter, table.AUDIT_LAG_LIMIT, lambda: [Observation(settings.audit.max_lag_seconds)])
        observe(meter, table.SHIPPING_SUCCESS, lambda: [Observation(facts.shipped_unix)] if facts.shipped_unix else [])
        observe(meter, table.CONTROL_FAILING, self._failing)
        _count(meter, table.RESTARTS, lambda: _by("worker", self._deaths()))
        _count(meter, table.ADOPTIONS, lambda: [Observation(facts.adoptions)])
        _count(meter, table.ADOPTION_FAILURES, lambda: [Observation(facts.adoption_failures)])
        _count(meter, table.SHIPPED, lambda: [Observation(facts.shipped)])
        _count(meter, table.SHIPPING_FAILURES, lambda: _by("cause", facts.shipping_failures))
        _count(meter, table.CONTROL_FAILURES, lambda: _by("control", {c: facts.failures[c] for c in _CONTROLS}))

    def _workers(self) -> Iterable[Observation]:
        return _by("state", {"wanted": self._facts.workers_wanted, "live": self._facts.workers_live})

    def _deaths(self) -> Mapping[str, int]:
        """Each worker from 0, so that its first death is an increase."""
        return {str(index): self._facts.deaths[index] for index in range(self._facts.workers_wanted)}

    def _lag(self) -> Iterable[Observation]:
        return [Observation(measure(self._settings.audit.spool, time.time()).oldest_pending_seconds)]

    def _failing(self) -> Iterable[Observation]:
        audit = self._settings.audit
        given_up = any((directory / GIVEN_UP).exists() for _, directory in epochs(audit.spool, audit.deployment))
        said = {control: int(control in self._facts.failing) for control in _CONTROLS} | {ADOPTION: int(given_up)}
        return _by("control", said)


def _by(label: str, numbers: Mapping[str, float]) -> Iterable[Observation]:
    return [Observation(number, {label: value}) for value, number in dict(numbers).items()]


def _count(meter: Meter, metric: table.Metric, read: Callable[[], Iterable[Observation]]) -> None:
    meter.create_observable_counter(metric.name, [lambda _: read()], metric.unit, metric.description)


def open_supervisor_metrics(settings: Settings, facts: SupervisorFacts) -> Pipeline:
    """Begin to export, and to answer `/metrics` on `supervisor_metrics_port`. Raises `OSError` when that is taken."""
    telemetry = settings.telemetry
    named = replace(telemetry, service_name=f"{telemetry.service_name}-supervisor")
    pipeline = Pipeline(named, settings.deployment, telemetry.supervisor_metrics_port)
    SupervisorMetrics(pipeline.meter, settings, facts)
    return pipeline
