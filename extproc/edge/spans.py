"""The spans of one exchange: decided on when it is over, made in the exporting thread, from the times it noted.

Attribute names follow the GenAI, HTTP and RPC semantic conventions; what has no name there begins with `extproc.`.
Attributes that would carry content (`gen_ai.input.messages`, `gen_ai.output.messages`, …) do not exist here.
"""

import random
from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

from opentelemetry.exporter.otlp.proto.common._internal import _encode_resource
from opentelemetry.proto.trace.v1 import trace_pb2
from opentelemetry.sdk.resources import Resource

from extproc.core.record import Summary
from extproc.edge.distributions import Example
from extproc.edge.exporting import SCOPE
from extproc.edge.names import Names
from extproc.edge.otlp_bytes import child_span, kinship, one_request, server_span, span_start
from extproc.edge.sampling import Sampling, kept_for
from extproc.edge.span_attributes import SpanAttributes
from extproc.edge.traceparent import TraceParent, parse_traceparent

CHILD_PHASES: Final = frozenset({"identity", "decision", "budgets", "hold", "record"})
"""Phases that get a span of their own. The model server's time shows in the proxy's spans."""
MAX_OPENERS: Final = 1024
"""Exchanges that opened an approval, remembered for the link of a retry."""
_SAMPLED, _KNOWS_REMOTE, _REMOTE = 0x001, 0x100, 0x200
_CHILD_FLAGS: Final = _SAMPLED | _KNOWS_REMOTE


class Finished(NamedTuple):
    """An exchange whose spans are to be exported. It began at `unix` seconds, which were `monotonic` ones."""

    summary: Summary
    unix: float
    monotonic: float
    kept: str
    parent: TraceParent | None
    own: Example
    opener: Example | None
    """The exchange that opened its approval, where that was another one and is known here."""


class Spans:
    """Of one worker: which exchanges get spans. `put` takes those that do."""

    def __init__(self, sampling: Sampling, put: Callable[[Finished], None]) -> None:
        self._sampling = sampling
        self._put = put
        self._openers: OrderedDict[str, Example] = OrderedDict()

    def write(self, summary: Summary, traceparent: str, unix: float, monotonic: float) -> Example | None:
        """A server span under the parent in `traceparent`, a root where that is not well-formed; None: no span.

        It began at `unix` seconds, which were `monotonic` ones.
        """
        parent = parse_traceparent(traceparent)
        trace_id = parent.trace_id if parent is not None else f"{random.getrandbits(128):032x}"
        kept = kept_for(summary.record)
        if not self._sampling.takes(kept, parent, trace_id):
            return None
        own = Example(trace_id, f"{random.getrandbits(64):016x}", unix)
        opener = self._opener(summary, own) if summary.opened_by else None
        self._put(Finished(summary, unix, monotonic, kept, parent, own, opener))
        return own

    def _opener(self, summary: Summary, own: Example) -> Example | None:
        """Remembers the exchange that opens an approval, and finds it for those that come back for it."""
        if summary.opened_by != summary.record.exchange_id:
            return self._openers.get(summary.opened_by)
        self._openers[summary.opened_by] = own
        if len(self._openers) > MAX_OPENERS:
            self._openers.popitem(last=False)
        return None


class SpanEncoder:
    """Finished exchanges as one OTLP request. For one thread."""

    def __init__(self, resource: Resource, names: Names) -> None:
        self._attributes = SpanAttributes(names)
        self._server = server_span(_CHILD_FLAGS, _CHILD_FLAGS | _REMOTE)
        self._children = {name: child_span(name, _CHILD_FLAGS) for name in CHILD_PHASES}
        of = trace_pb2.ResourceSpans(resource=_encode_resource(resource), schema_url=resource.schema_url)
        scoped = trace_pb2.ScopeSpans(schema_url=SCOPE.schema_url or "")
        scoped.scope.name, scoped.scope.version = SCOPE.name, SCOPE.version or ""
        self._resource, self._scope = of.SerializeToString(), scoped.SerializeToString()

    def encode(self, batch: Sequence[Finished]) -> bytes:
        parts: list[bytes] = []
        for finished in batch:
            self._add(parts, finished)
        return one_request(self._resource, self._scope, parts)

    def _add(self, parts: list[bytes], finished: Finished) -> None:
        summary, unix, monotonic, kept, parent, own, opener = finished
        record, shift = summary.record, unix - monotonic
        trace_id, span_id = bytes.fromhex(own.trace_id), bytes.fromhex(own.span_id)
        last = monotonic if record.measures is None else monotonic + record.measures.duration_ms / 1000
        children, kin = self._children, kinship(trace_id, span_id)
        for name, start, end in summary.phases:
            last = max(last, end)
            if name in children:
                times = int((start + shift) * 1e9), int((end + shift) * 1e9)
                parts.append(children[name](kin, random.getrandbits(64), *times))
        parent_id = bytes.fromhex(parent.span_id) if parent is not None else b""
        server = self._server(trace_id, span_id, parent_id, int(unix * 1e9), int((last + shift) * 1e9))
        link = b"" if opener is None else _link(opener)
        body = b"".join((server, link, *self._attributes.encode(summary, kept)))
        parts += (span_start(len(body)), body)


def _link(to: Example) -> bytes:
    span = trace_pb2.Span()
    span.links.add(trace_id=bytes.fromhex(to.trace_id), span_id=bytes.fromhex(to.span_id), flags=_CHILD_FLAGS)
    return bytes(span.SerializeToString())
