"""The spans of one exchange, made when it is over, with the times it noted; and a way out that counts what it loses.

Attribute names follow the GenAI and HTTP semantic conventions; what has no name there begins with `extproc.`.
Attributes that would carry content (`gen_ai.input.messages`, `gen_ai.output.messages`, …) do not exist here.
"""

import os
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.trace import NonRecordingSpan, SpanContext, SpanKind, Status, StatusCode, TraceFlags, Tracer
from opentelemetry.util.types import AttributeValue

from extproc.core.genai import CONVENTION_OPERATIONS
from extproc.core.record import Measures, Outcome, Record, Summary
from extproc.edge.labels import identifier, plain_name
from extproc.edge.metrics import Names

CHILD_PHASES: Final = frozenset({"identity", "decision", "budgets", "hold", "record"})
"""Phases that get a span of their own. The model server's time shows in the proxy's spans."""
_FAILED = frozenset({Outcome.FAILED, Outcome.CUT})
_MAX_FINISH_REASONS = 16
_MAX_SHADOW = 16
_NO_MEASURES = Measures()
_DEFAULT_QUEUE = 2048
_TRACEPARENT = re.compile(r"(?!ff)[0-9a-f]{2}-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})")
_SAMPLED = 0x01


def parse_traceparent(text: str) -> SpanContext | None:
    """The remote parent in a W3C `traceparent` (Trace Context, section 3.2), or None where it is not well-formed."""
    match = _TRACEPARENT.fullmatch(text)
    if match is None:
        return None
    trace_id, span_id = int(match[1], 16), int(match[2], 16)
    if trace_id == 0 or span_id == 0:
        return None
    return SpanContext(trace_id, span_id, is_remote=True, trace_flags=TraceFlags(int(match[3], 16) & _SAMPLED))


@dataclass(frozen=True, slots=True)
class Clock:
    """Monotonic seconds to Unix nanoseconds, by one reading of both clocks."""

    unix: float
    monotonic: float

    def nanoseconds(self, at: float) -> int:
        return int((self.unix + (at - self.monotonic)) * 1e9)


class Spans:
    """Turns summaries into spans of `tracer`."""

    def __init__(self, tracer: Tracer, names: Names) -> None:
        self._tracer = tracer
        self._names = names

    def write(self, summary: Summary, traceparent: str, clock: Clock) -> None:
        """One server span under the parent in `traceparent`, a root where that is not well-formed; a child a phase."""
        parent = parse_traceparent(traceparent)
        context = Context() if parent is None else trace.set_span_in_context(NonRecordingSpan(parent), Context())
        record, measures = summary.record, summary.record.measures or _NO_MEASURES
        model = self._names.model(record)
        span = self._tracer.start_span(
            f"{self._names.operation(record)} {model}".rstrip(),
            context,
            SpanKind.SERVER,
            self._attributes(summary, model),
            start_time=clock.nanoseconds(clock.monotonic),
        )
        if span.is_recording():
            own = trace.set_span_in_context(span, Context())
            for name, start, end in summary.phases:
                if name in CHILD_PHASES:
                    child = self._tracer.start_span(name, own, start_time=clock.nanoseconds(start))
                    child.end(clock.nanoseconds(end))
            if record.status in _FAILED or record.http_status >= 500:
                span.set_status(Status(StatusCode.ERROR))
        last = max((end for _, _, end in summary.phases), default=clock.monotonic)
        span.end(clock.nanoseconds(max(last, clock.monotonic + measures.duration_ms / 1000)))

    def _attributes(self, summary: Summary, model: str) -> dict[str, AttributeValue]:
        record, measures = summary.record, summary.record.measures or _NO_MEASURES
        operation, reason = self._names.operation(record), self._names.reason(record)
        values: dict[str, AttributeValue] = {
            "extproc.operation": operation,
            "extproc.outcome": record.status.value,
            "extproc.exchange_id": identifier(record.exchange_id),
            "extproc.held_characters": measures.held_characters_max,
            "gen_ai.provider.name": plain_name(record.resource.connection),
            "gen_ai.request.stream": summary.stream,
        }
        if operation in CONVENTION_OPERATIONS:
            values["gen_ai.operation.name"] = CONVENTION_OPERATIONS[operation]
        if model:
            values["gen_ai.request.model"] = model
        if record.http_status:
            values["http.response.status_code"] = record.http_status
        if reason:
            values["error.type"] = reason
        if record.finish_reasons:
            reasons = record.finish_reasons[:_MAX_FINISH_REASONS]
            values["gen_ai.response.finish_reasons"] = [plain_name(reason) for reason in reasons]
        self._add_measures(values, measures)
        self._add_decision(values, record)
        return values

    @staticmethod
    def _add_measures(values: dict[str, AttributeValue], measures: Measures) -> None:
        if measures.input_tokens:
            values["gen_ai.usage.input_tokens"] = measures.input_tokens
        if measures.output_tokens:
            values["gen_ai.usage.output_tokens"] = measures.output_tokens
        if measures.first_byte_ms:
            values["gen_ai.response.time_to_first_chunk"] = measures.first_byte_ms / 1000

    def _add_decision(self, values: dict[str, AttributeValue], record: Record) -> None:
        if record.policy is not None:
            values["extproc.policy_digest"] = identifier(record.policy.digest)
            effect = self._names.effect(record)
            if effect:
                values["extproc.effect"] = effect
                values["extproc.rule"] = self._names.rules(record.policy.rule)
        if record.actor.kind:
            values["extproc.principal_kind"] = plain_name(record.actor.kind)
        if record.decision is not None:
            shadow = [self._names.rules(each.rule) for each in record.decision.shadow if each.would_change]
            if shadow:
                values["extproc.shadow"] = shadow[:_MAX_SHADOW]
        if record.approval is not None:
            values["extproc.approval_id"] = identifier(record.approval.id)
            values["extproc.approval_state"] = self._names.approval_state(record)
        for direction, findings in (("request", record.findings_request), ("response", record.findings_response)):
            for kind, count in findings.items():
                values[f"extproc.findings.{direction}.{self._names.kinds(kind)}"] = count


class CountedExporter(SpanExporter):
    """Passes batches on; says how many spans the collector did not take."""

    def __init__(self, exporter: SpanExporter, lost: Callable[[int, str], None]) -> None:
        self._exporter = exporter
        self._lost = lost
        self.taken = 0
        """Spans that have left the queue."""

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        self.taken += len(spans)
        result = self._exporter.export(spans)
        if result is not SpanExportResult.SUCCESS:
            self._lost(len(spans), "collector")
        return result

    def shutdown(self) -> None:
        self._exporter.shutdown()

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        return self._exporter.force_flush(timeout_millis)


class CountedBatches(BatchSpanProcessor):
    """Exports in the background; a full queue takes no more spans, and that is counted."""

    def __init__(self, exporter: CountedExporter, lost: Callable[[int, str], None]) -> None:
        self._room = _queue_size()
        super().__init__(exporter, max_queue_size=self._room)
        self._counted = exporter
        self._lost = lost
        self._queued = 0

    def on_end(self, span: ReadableSpan) -> None:
        if span.context is None or not span.context.trace_flags.sampled:
            return
        if self._queued - self._counted.taken >= self._room:
            # The SDK would drop the oldest instead, and log each one at some cost.
            self._lost(1, "queue")
            return
        self._queued += 1
        super().on_end(span)


def _queue_size() -> int:
    """`OTEL_BSP_MAX_QUEUE_SIZE`, or the specification's default."""
    text = os.environ.get("OTEL_BSP_MAX_QUEUE_SIZE", "")
    return max(1, int(text[:9])) if text.isdigit() else _DEFAULT_QUEUE
