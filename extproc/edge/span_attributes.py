"""What the span of an exchange says: names, numbers and times, for who is paged at night. Never content."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

from opentelemetry.proto.trace.v1 import trace_pb2

from extproc.core import conventions
from extproc.core.record import Measures, Summary
from extproc.edge.labels import identifier, plain_name
from extproc.edge.names import Names, method
from extproc.edge.otlp_bytes import double_attributes, int_attribute, text_attribute
from extproc.edge.sampling import FAILED

MAX_BLOCKS: Final = 512
"""Encoded blocks that are kept for exchanges alike."""
_MAX_FINISH_REASONS = 16
_MAX_SHADOW = 16
_NO_MEASURES: Final = Measures()
_RPC: Final = "envoy.service.ext_proc.v3.ExternalProcessor/Process"
_EXCHANGE_ID: Final = text_attribute("extproc.exchange_id")
_APPROVAL_ID: Final = text_attribute("extproc.approval_id")
_OPENED_BY: Final = text_attribute("extproc.opened_by")
_HELD_CHARACTERS: Final = int_attribute("extproc.held_characters")
_WAITS: Final = double_attributes("extproc.held_ms", "extproc.audit_wait_ms")
_INPUT_TOKENS: Final = int_attribute(conventions.INPUT_TOKENS)
_OUTPUT_TOKENS: Final = int_attribute(conventions.OUTPUT_TOKENS)
_FIRST_CHUNK: Final = double_attributes(conventions.TIME_TO_FIRST_CHUNK)
_TIMED: Final = {
    phase: f"extproc.phase.{name}_ms"
    for phase, name in (
        *((phase, phase) for phase in ("identity", "parse", "mask", "decide", "budgets", "hold", "record")),
        ("model", "upstream_first_byte"),
    )
}
_Value = str | bool | int | list[str]


class SpanAttributes:
    """Most of what a span says, exchanges have in common: that is encoded once, and copied."""

    def __init__(self, names: Names) -> None:
        self._names = names
        self._blocks: dict[tuple[object, ...], bytes] = {}
        self._sequences: dict[tuple[str, ...], Callable[..., bytes]] = {}
        self._kinds: dict[tuple[str, str], Callable[[int], bytes]] = {}

    def encode(self, summary: Summary, kept: str) -> list[bytes]:
        """Name, kind, status and attributes: fields of a span, in pieces."""
        record = summary.record
        resource, policy, approval = record.resource, record.policy, record.approval
        shadow = tuple(each.rule for each in record.decision.shadow if each.would_change) if record.decision else ()
        key = (
            *(resource, policy, record.actor.kind, record.status, record.status_detail, record.http_status),
            *(record.event_code, summary.stream, record.finish_reasons, kept, approval and approval.state, shadow),
        )
        block = self._blocks.get(key)
        if block is None:
            block = self._block(summary, kept, shadow)
            if len(self._blocks) >= MAX_BLOCKS:
                self._blocks.clear()
            self._blocks[key] = block
        return [block, *self._own(summary)]

    def _block(self, summary: Summary, kept: str, shadow: tuple[str, ...]) -> bytes:
        """What depends on names alone."""
        record, names = summary.record, self._names
        operation, reason, model, effect = (
            *(names.operation(record), names.reason(record), names.model(record), names.effect(record)),
        )
        span = trace_pb2.Span(name=f"{operation} {model}".rstrip(), kind=trace_pb2.Span.SPAN_KIND_SERVER)
        values: dict[str, _Value] = {
            "extproc.operation": operation,
            "extproc.outcome": record.status.value,
            conventions.PROVIDER: plain_name(record.resource.connection),
            conventions.STREAM: summary.stream,
            conventions.HTTP_METHOD: method(record),
            conventions.RPC_SYSTEM: "grpc",
            conventions.RPC_METHOD: _RPC,
        }
        if operation in conventions.CONVENTION_OPERATIONS:
            values[conventions.OPERATION] = conventions.CONVENTION_OPERATIONS[operation]
        given: Mapping[str, str | int] = {
            conventions.MODEL: model,
            conventions.HTTP_STATUS: record.http_status,
            conventions.ERROR_TYPE: reason,
            "extproc.sampled_for": kept,
            "extproc.principal_kind": plain_name(record.actor.kind) if record.actor.kind else "",
            "extproc.effect": effect,
            "extproc.rule": names.rules(record.policy.rule) if effect and record.policy else "",
            "extproc.approval_state": names.approval_state(record),
        }
        values |= {name: value for name, value in given.items() if value}
        if record.policy is not None:
            values["extproc.policy_digest"] = identifier(record.policy.digest)
        if record.finish_reasons:
            values[conventions.FINISH_REASONS] = [
                plain_name(one) for one in record.finish_reasons[:_MAX_FINISH_REASONS]
            ]
        if shadow:
            values["extproc.shadow"] = [names.rules(rule) for rule in shadow[:_MAX_SHADOW]]
        if kept == FAILED:
            span.status.code = trace_pb2.Status.STATUS_CODE_ERROR
        _add(span.attributes.add, values)
        return bytes(span.SerializeToString())

    def _own(self, summary: Summary) -> list[bytes]:
        """What no other exchange says."""
        record, measures = summary.record, summary.record.measures or _NO_MEASURES
        pieces = [
            _EXCHANGE_ID(identifier(record.exchange_id)),
            _HELD_CHARACTERS(measures.held_characters_max),
            _WAITS(summary.held_seconds * 1000, summary.stored_seconds * 1000),
        ]
        if measures.input_tokens:
            pieces.append(_INPUT_TOKENS(measures.input_tokens))
        if measures.output_tokens:
            pieces.append(_OUTPUT_TOKENS(measures.output_tokens))
        if measures.first_byte_ms:
            pieces.append(_FIRST_CHUNK(measures.first_byte_ms / 1000))
        if record.approval is not None:
            pieces.append(_APPROVAL_ID(identifier(record.approval.id)))
            if summary.opened_by and summary.opened_by != record.exchange_id:
                pieces.append(_OPENED_BY(identifier(summary.opened_by)))
        spent: dict[str, float] = {}
        for phase, start, end in summary.phases:
            if phase in _TIMED:
                spent[phase] = spent[phase] + end - start if phase in spent else end - start
        if spent:
            pieces.append(self._timed(*spent)(*[seconds * 1000 for seconds in spent.values()]))
        if record.findings_request:
            pieces += self._found("request", record.findings_request)
        if record.findings_response:
            pieces += self._found("response", record.findings_response)
        return pieces

    def _timed(self, *phases: str) -> Callable[..., bytes]:
        """Makes the times of these phases; exchanges have few sequences of them."""
        make = self._sequences.get(phases)
        if make is None:
            make = double_attributes(*(_TIMED[phase] for phase in phases))
            if len(self._sequences) < MAX_BLOCKS:
                self._sequences[phases] = make
        return make

    def _found(self, direction: str, findings: Mapping[str, int]) -> Iterator[bytes]:
        for kind, count in findings.items():
            make = self._kinds.get((direction, kind))
            if make is None:
                make = int_attribute(f"extproc.findings.{direction}.{self._names.kinds(kind)}")
                if len(self._kinds) < MAX_BLOCKS:
                    self._kinds[direction, kind] = make
            yield make(count)


def _add(add: Any, values: Mapping[str, _Value]) -> None:
    for name, value in values.items():
        pair = add(key=name)
        match value:
            case bool():
                pair.value.bool_value = value
            case str():
                pair.value.string_value = value
            case int():
                pair.value.int_value = value
            case list():
                items = pair.value.array_value.values
                for item in value:
                    items.add(string_value=item)
