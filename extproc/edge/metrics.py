"""The instruments of one worker. Counters move once, at the end of an exchange; gauges are read when somebody asks.

Labels have bounded cardinality: operations, effects, outcomes and reasons are closed sets, rules and kinds come from
the policy, connections from the configuration, a model name counts only where the policy let the request through.
"""

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from opentelemetry.metrics import Meter, Observation

from extproc.core import conventions
from extproc.core.record import Measures, Record, Summary
from extproc.edge import metric_table as table
from extproc.edge.distributions import Distribution, Example
from extproc.edge.instruments import Controls, Tally, observe
from extproc.edge.labels import OTHER
from extproc.edge.names import Names

_NO_MEASURES = Measures()
_ADDING: Final = frozenset({"identity", "decision", "budgets", "record"})
"""Phases in which a request waits for us and for nobody else."""
_TIMED: Final = frozenset({"identity", "parse", "mask", "decide", "budgets", "hold", "record", "model"})

_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0)
_FINE_SECONDS = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0)
_PHASE_SECONDS = (*_FINE_SECONDS, 5.0, 30.0, 120.0, 600.0)
_HOLD_SECONDS = (1.0, 5.0, 15.0, 30.0, 60.0, 120.0, 300.0, 600.0, 900.0, 1800.0, 3600.0)


class Gauge(StrEnum):
    """What other parts of the worker offer by `Telemetry.observe`."""

    LIVE = table.LIVE.name
    HOLDS_WAITING = table.HOLDS_WAITING.name
    AUDIT_LAG = table.AUDIT_LAG.name
    AUDIT_ACCEPTING = table.AUDIT_ACCEPTING.name
    SPOOL_BYTES = table.SPOOL_USED.name
    SPOOL_LIMIT = table.SPOOL_LIMIT.name
    KEY_AGE = table.KEY_AGE.name
    BUDGET_CHARGES_LOST = table.BUDGET_CHARGES_LOST.name
    HOLDS_OLDEST = table.HOLDS_OLDEST.name
    AUDIT_LAG_LIMIT = table.AUDIT_LAG_LIMIT.name
    AUDIT_PAUSED = table.AUDIT_PAUSED.name
    KEY_EXPIRES = table.KEY_EXPIRES.name


Reading = float | Mapping[str, float]
"""What a gauge shows: one number, or one for each value of its label."""


_BY_NAME: Final = {metric.name: metric for metric in table.TABLE}
MAX_ALIKE: Final = 512
"""Kinds of exchanges whose labels are kept."""


@dataclass(frozen=True, slots=True)
class _PolicyInForce:
    digest: str
    loaded_unix: float


class _Alike:
    """What exchanges alike are counted by: labels that are made once."""

    __slots__ = (
        *("decision", "duration", "exchange", "genai", "hold", "of_operation"),
        *("reason", "to_model", "tokens_in", "tokens_out", "usage_in", "usage_out"),
    )

    def __init__(self, record: Record, names: Names) -> None:
        operation, effect, outcome = names.operation(record), names.effect(record), record.status.value
        status = f"{record.http_status // 100}xx" if record.http_status else "none"
        provider, model = names.connections(record.resource.connection), names.model(record)
        self.reason = names.reason(record)
        self.exchange = (provider, operation, outcome, status)
        self.duration = (operation, effect or "none", outcome)
        self.hold = (names.approval_state(record) or "none",)
        self.decision = (names.rules(record.policy.rule), effect) if record.policy is not None and effect else ()
        self.of_operation = (operation,)
        self.tokens_in, self.tokens_out = ("input", model or OTHER), ("output", model or OTHER)
        self.genai = conventions.CONVENTION_OPERATIONS.get(operation, "")
        self.to_model = (self.genai, provider, model)
        self.usage_in, self.usage_out = (*self.to_model, "input"), (*self.to_model, "output")


class Metrics:
    def __init__(self, meter: Meter, names: Names) -> None:
        self._names = names
        self._alike: dict[tuple[object, ...], _Alike] = {}
        self._policy: _PolicyInForce | None = None
        self._observed: dict[Gauge, Callable[[], Reading]] = {}
        self._open_distributions()
        self._open_tallies(meter)
        self._controls = Controls(meter)
        observe(meter, table.POLICY_INFO, self._read_policy)
        observe(meter, table.POLICY_AGE, self._read_policy_age)
        for gauge in Gauge:
            observe(meter, _BY_NAME[gauge.value], self._reader(gauge))

    def _open_distributions(self) -> None:
        self._duration = Distribution(table.DURATION, _SECONDS)
        self._added = Distribution(table.ADDED, _FINE_SECONDS)
        self._decision = Distribution(table.DECISION, _FINE_SECONDS)
        self._phase = Distribution(table.PHASE, _PHASE_SECONDS)
        self._first_chunk = Distribution(table.FIRST_CHUNK, _SECONDS)
        self._hold = Distribution(table.HOLD, _HOLD_SECONDS)
        self._held = Distribution(table.HELD, _FINE_SECONDS)
        self._audit_wait = Distribution(table.AUDIT_WAIT, _FINE_SECONDS)
        self._model_duration = Distribution(table.MODEL_DURATION, conventions.DURATION_BUCKETS)
        self._model_first = Distribution(table.MODEL_FIRST_TOKEN, conventions.FIRST_TOKEN_BUCKETS)
        self._model_per_token = Distribution(table.MODEL_PER_TOKEN, conventions.PER_TOKEN_BUCKETS)
        self._usage = Distribution(table.TOKEN_USAGE, conventions.TOKEN_BUCKETS)

    @property
    def distributions(self) -> tuple[Distribution, ...]:
        return tuple(value for value in vars(self).values() if isinstance(value, Distribution))

    def _open_tallies(self, meter: Meter) -> None:
        self._exchanges = Tally(meter, table.EXCHANGES)
        self._tokens = Tally(meter, table.TOKENS)
        self._findings = Tally(meter, table.FINDINGS)
        self._decisions = Tally(meter, table.DECISIONS)
        self._budgets = Tally(meter, table.BUDGET_LOGGED)
        self._refusals = Tally(meter, table.REFUSALS)

    def count(self, summary: Summary, started_at: float, example: Example | None) -> None:
        """Everything that one finished exchange adds. `example`: its span, where it is to be an exemplar.

        `started_at`: monotonic seconds, as its phases have them.
        """
        record, measures = summary.record, summary.record.measures or _NO_MEASURES
        of = self._labels_of(record)
        self._exchanges.add(1, *of.exchange)
        self._duration.record(measures.duration_ms / 1000, example, of.duration)
        if measures.hold_ms:
            self._hold.record(measures.hold_ms / 1000, example, of.hold)
        if of.decision:
            self._decisions.add(1, *of.decision)
        for rule in record.decision.logging if record.decision is not None else ():
            self._budgets.add(1, self._names.rules(rule))
        for kind, count in record.findings_request.items():
            self._findings.add(count, self._names.kinds(kind), "request")
        for kind, count in record.findings_response.items():
            self._findings.add(count, self._names.kinds(kind), "response")
        if of.reason:
            self._refusals.add(1, of.reason)
        self._count_times(summary, measures, example, of)
        first = started_at + measures.first_byte_ms / 1000 if measures.first_byte_ms else 0.0
        self._count_model(summary, measures, example, of, first)

    def _labels_of(self, record: Record) -> _Alike:
        approval = record.approval
        key = (
            *(record.resource, record.policy, record.status, record.status_detail, record.http_status),
            *(record.event_code, None if approval is None else approval.state),
        )
        known = self._alike.get(key)
        if known is None:
            known = _Alike(record, self._names)
            if len(self._alike) >= MAX_ALIKE:
                self._alike.clear()
            self._alike[key] = known
        return known

    def _count_times(self, summary: Summary, measures: Measures, example: Example | None, of: _Alike) -> None:
        added, forwarded, operation = 0.0, False, of.of_operation
        for name, start, end in summary.phases:
            if name in _ADDING:
                added += end - start
                forwarded = forwarded or name == "record"
            if name in _TIMED:
                self._phase.record(end - start, example, (name,))
        if forwarded:
            self._added.record(added, example, operation)
        if measures.decision_ms:
            self._decision.record(measures.decision_ms / 1000, example, operation)
        if measures.first_byte_ms:
            self._first_chunk.record(measures.first_byte_ms / 1000, example, operation)
        if summary.stored_seconds:
            self._audit_wait.record(summary.stored_seconds, example, operation)
        if summary.held_seconds:
            self._held.record(summary.held_seconds, example, operation)

    def _count_model(
        self, summary: Summary, measures: Measures, example: Example | None, of: _Alike, first: float
    ) -> None:
        """What the conventions call the server's, for an exchange that reached its model server.

        `first`: when the first byte was released, 0 where none was.
        """
        if measures.input_tokens or measures.output_tokens:
            self._tokens.add(measures.input_tokens, *of.tokens_in)
            self._tokens.add(measures.output_tokens, *of.tokens_out)
            if of.genai:
                self._usage.record(measures.input_tokens, example, of.usage_in)
                self._usage.record(measures.output_tokens, example, of.usage_out)
        if not of.genai:
            return
        sent = next((start for name, start, _ in summary.phases if name == "model"), None)
        if sent is None:
            return
        last = summary.phases[-1][2]
        self._model_duration.record(max(0.0, last - sent), example, (*of.to_model, of.reason))
        if not summary.stream or not first or of.reason:
            return
        self._model_first.record(max(0.0, first - sent), example, of.to_model)
        if measures.output_tokens > 1:
            spent = max(0.0, last - first) / (measures.output_tokens - 1)
            self._model_per_token.record(spent, example, of.to_model)

    def policy_in_force(self, digest: str, loaded_unix: float) -> None:
        """Replaces the policy shown before: one at a time is in force."""
        self._policy = _PolicyInForce(digest, loaded_unix)

    def control_failure(self, control: str, *, failing: bool) -> None:
        self._controls.tell(control, failing=failing)

    def observe(self, gauge: Gauge, read: Callable[[], Reading]) -> None:
        self._observed[gauge] = read

    def _reader(self, gauge: Gauge) -> Callable[[], Iterable[Observation]]:
        labels = _BY_NAME[gauge.value].labels

        def read() -> Iterable[Observation]:
            offered = self._observed.get(gauge)
            said = {} if offered is None else offered()
            if isinstance(said, Mapping):
                return [Observation(number, {labels[0]: value}) for value, number in said.items()]
            return (Observation(said),)

        return read

    def _read_policy(self) -> Iterable[Observation]:
        return () if self._policy is None else (Observation(1, {"digest": self._policy.digest}),)

    def _read_policy_age(self) -> Iterable[Observation]:
        return () if self._policy is None else (Observation(max(0.0, time.time() - self._policy.loaded_unix)),)
