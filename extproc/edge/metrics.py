"""The instruments of one worker. Counters move once, at the end of an exchange; gauges are read when somebody asks.

Labels have bounded cardinality: operations, effects, outcomes and reasons are closed sets, rules and kinds come from
the policy, a model name counts only where the policy let the request through.
"""

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from opentelemetry.metrics import CallbackOptions, Histogram, Meter, Observation

from extproc.core.approval import ApprovalState
from extproc.core.policy import Effect, Operation
from extproc.core.reasons import Reason
from extproc.core.record import EventCode, Measures, Record
from extproc.edge.labels import OTHER, BoundedNames

MAX_MODELS: Final = 64
MAX_RULES: Final = 512
MAX_KINDS: Final = 128
MAX_CONTROLS: Final = 64
UNKNOWN_REASON: Final = "_OTHER"
"""What the conventions call an `error.type` that has no name."""
_NO_MEASURES = Measures()
_OPERATIONS = frozenset(operation.value for operation in Operation)
_EFFECTS = frozenset(effect.value for effect in Effect)
_STATES = frozenset(state.value for state in ApprovalState)
_REASONS = frozenset(reason.value for reason in Reason)

_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0)
_FINE_SECONDS = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0)
_HOLD_SECONDS = (1.0, 5.0, 15.0, 30.0, 60.0, 120.0, 300.0, 600.0, 900.0, 1800.0, 3600.0)


class Gauge(StrEnum):
    """What other parts of the worker offer by `Telemetry.observe`."""

    LIVE = "extproc.exchanges.live"
    HOLDS_WAITING = "extproc.holds.waiting"
    AUDIT_LAG = "extproc.audit.lag"
    SPOOL_BYTES = "extproc.audit.log.spool.used"
    SPOOL_LIMIT = "extproc.audit.log.spool.limit"
    KEY_AGE = "extproc.identity.keys.age"
    BUDGET_CHARGES_LOST = "extproc.budget.charges.lost"


_GAUGES: Mapping[Gauge, tuple[str, str]] = {
    Gauge.LIVE: ("{exchange}", "Exchanges under way."),
    Gauge.HOLDS_WAITING: ("{exchange}", "Exchanges that wait for an approval on an open connection."),
    Gauge.AUDIT_LAG: ("s", "Age of the oldest record that is durable here and not yet in the audit store."),
    Gauge.SPOOL_BYTES: ("By", "Bytes in the audit spool."),
    Gauge.SPOOL_LIMIT: ("By", "Bytes in the audit spool at which new requests are refused."),
    Gauge.KEY_AGE: ("s", "Age of the oldest set of identity provider's keys in use."),
    Gauge.BUDGET_CHARGES_LOST: ("{charge}", "What answers cost budgets and the approval store never took."),
}


@dataclass(frozen=True, slots=True)
class _PolicyInForce:
    digest: str
    loaded_unix: float


class Names:
    """What spans and metrics call things: values of a closed set, or names on one bounded budget."""

    def __init__(self) -> None:
        self.models = BoundedNames(MAX_MODELS)
        self.rules = BoundedNames(MAX_RULES)
        self.kinds = BoundedNames(MAX_KINDS)
        self.controls = BoundedNames(MAX_CONTROLS)

    @staticmethod
    def operation(record: Record) -> str:
        operation = record.resource.operation
        return operation if operation in _OPERATIONS else Operation.UNKNOWN.value

    @staticmethod
    def effect(record: Record) -> str:
        """Empty where nothing was decided."""
        effect = record.policy.effect if record.policy else ""
        return effect if effect in _EFFECTS else ""

    @staticmethod
    def reason(record: Record) -> str:
        """A `Reason` code; empty where the exchange was completed."""
        return record.status_detail if record.status_detail in _REASONS or not record.status_detail else UNKNOWN_REASON

    @staticmethod
    def approval_state(record: Record) -> str:
        """Empty where there was no approval."""
        state = record.approval.state if record.approval else ""
        return state if state in _STATES or not state else OTHER

    def model(self, record: Record) -> str:
        """The model's name where the request was let through; `OTHER` where anybody chose it; empty without one."""
        effect = self.effect(record)
        allowed = effect == Effect.ALLOW or (effect == Effect.HOLD and record.event_code is EventCode.INFERENCE_END)
        if not allowed:
            return OTHER
        return self.models(record.resource.model) if record.resource.model else ""


class Tally:
    """A counter that costs one addition, read when somebody collects: the SDK's own costs 5 us a reader."""

    def __init__(self, meter: Meter, name: str, unit: str, description: str, labels: tuple[str, ...]) -> None:
        self._labels = labels
        self._counts: dict[tuple[str, ...], int] = {}
        meter.create_observable_counter(name, [self._read], unit, description)

    def add(self, count: int, *values: str) -> None:
        """`values` in the order of the labels. From one thread only."""
        self._counts[values] = self._counts.get(values, 0) + count

    def _read(self, _: CallbackOptions) -> Iterable[Observation]:
        return [
            Observation(count, dict(zip(self._labels, key, strict=True))) for key, count in list(self._counts.items())
        ]


class Metrics:
    def __init__(self, meter: Meter, names: Names) -> None:
        self._names = names
        self._policy: _PolicyInForce | None = None
        self._observed: dict[Gauge, Callable[[], float]] = {}
        self._failing: dict[str, bool] = {}
        self._open_histograms(meter)
        self._open_tallies(meter)
        # Spans are lost in the exporting thread, hence not a `Tally`.
        self._dropped = meter.create_counter(
            "extproc.telemetry.spans.dropped", "{span}", "Spans that were not exported."
        )
        meter.create_observable_gauge("extproc.control.failing", [self._read_controls], "1", "1 while a control fails.")
        meter.create_observable_gauge("extproc.policy.info", [self._read_policy], "1", "The policy in force.")
        meter.create_observable_gauge(
            "extproc.policy.age", [self._read_policy_age], "s", "Since the policy was loaded."
        )
        for gauge, (unit, description) in _GAUGES.items():
            meter.create_observable_gauge(gauge.value, [self._reader(gauge)], unit, description)

    def _open_histograms(self, meter: Meter) -> None:
        self._duration = _histogram(meter, "extproc.exchange.duration", "The whole exchange, holds included.", _SECONDS)
        self._decision = _histogram(
            meter, "extproc.decision.duration", "Parsing, masking and judging a request.", _FINE_SECONDS
        )
        self._first_chunk = _histogram(
            meter, "extproc.time_to_first_chunk", "From the request's arrival to the first byte released.", _SECONDS
        )
        self._hold = _histogram(
            meter, "extproc.hold.wait", "Time on an open connection for an approval.", _HOLD_SECONDS
        )

    def _open_tallies(self, meter: Meter) -> None:
        self._tokens = Tally(
            meter, "extproc.tokens", "{token}", "Tokens as the model server reported them.", ("type", "model")
        )
        self._findings = Tally(
            meter, "extproc.findings", "{finding}", "What the detectors found.", ("kind", "direction")
        )
        self._decisions = Tally(
            meter, "extproc.decisions", "{decision}", "Decisions by determining rule.", ("rule", "effect")
        )
        self._budgets = Tally(
            meter, "extproc.budget.logged", "{exchange}", "Exchanges that met a step `log` of a budget.", ("rule",)
        )
        self._refusals = Tally(
            meter, "extproc.refusals", "{exchange}", "Exchanges that ended early, by reason.", ("reason",)
        )
        self._failures = Tally(
            meter, "extproc.control.failures", "{failure}", "Controls that began to fail.", ("control",)
        )

    def count(self, record: Record) -> None:
        """Everything that one finished exchange adds."""
        measures = record.measures or _NO_MEASURES
        names, operation = self._names, self._names.operation(record)
        effect, reason = names.effect(record), names.reason(record)
        self._duration.record(
            measures.duration_ms / 1000,
            {"operation": operation, "effect": effect or "none", "outcome": record.status.value},
        )
        if measures.decision_ms:
            self._decision.record(measures.decision_ms / 1000, {"operation": operation})
        if measures.first_byte_ms:
            self._first_chunk.record(measures.first_byte_ms / 1000, {"operation": operation})
        if measures.hold_ms:
            self._hold.record(measures.hold_ms / 1000, {"state": names.approval_state(record) or "none"})
        if record.policy is not None and effect:
            self._decisions.add(1, names.rules(record.policy.rule), effect)
        for rule in record.decision.logging if record.decision is not None else ():
            self._budgets.add(1, names.rules(rule))
        if measures.input_tokens or measures.output_tokens:
            model = names.model(record) or OTHER
            self._tokens.add(measures.input_tokens, "input", model)
            self._tokens.add(measures.output_tokens, "output", model)
        for direction, findings in (("request", record.findings_request), ("response", record.findings_response)):
            for kind, count in findings.items():
                self._findings.add(count, names.kinds(kind), direction)
        if reason:
            self._refusals.add(1, reason)

    def spans_dropped(self, count: int, why: str) -> None:
        self._dropped.add(count, {"why": why})

    def policy_in_force(self, digest: str, loaded_unix: float) -> None:
        """Replaces the policy shown before: one at a time is in force."""
        self._policy = _PolicyInForce(digest, loaded_unix)

    def control_failure(self, control: str, *, failing: bool) -> None:
        """One that has not failed is told too, so that it is counted from 0."""
        name = self._names.controls(control)
        self._failures.add(int(failing and not self._failing.get(name, False)), name)
        self._failing[name] = failing

    def observe(self, gauge: Gauge, read: Callable[[], float]) -> None:
        self._observed[gauge] = read

    def _reader(self, gauge: Gauge) -> Callable[[CallbackOptions], Iterable[Observation]]:
        def read(_: CallbackOptions) -> Iterable[Observation]:
            offered = self._observed.get(gauge)
            return () if offered is None else (Observation(offered()),)

        return read

    def _read_controls(self, _: CallbackOptions) -> Iterable[Observation]:
        return [Observation(int(failing), {"control": name}) for name, failing in list(self._failing.items())]

    def _read_policy(self, _: CallbackOptions) -> Iterable[Observation]:
        return () if self._policy is None else (Observation(1, {"digest": self._policy.digest}),)

    def _read_policy_age(self, _: CallbackOptions) -> Iterable[Observation]:
        return () if self._policy is None else (Observation(max(0.0, time.time() - self._policy.loaded_unix)),)


def _histogram(meter: Meter, name: str, description: str, bounds: tuple[float, ...]) -> Histogram:
    return meter.create_histogram(name, "s", description, explicit_bucket_boundaries_advisory=bounds)
