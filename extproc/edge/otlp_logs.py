"""Log lines by OTLP, beside standard error: the same sentences, the same facts, the same numbers withheld.

A line never waits for a collector: a full queue drops it, and that is counted. What the exporters say of themselves
stays on standard error, so that no line about a failed export makes another export.
"""

import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, NamedTuple

from opentelemetry.exporter.otlp.proto.common._internal import _encode_resource, _encode_value
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.logs.v1 import logs_pb2
from opentelemetry.sdk.resources import Resource

from extproc.edge.batches import Batches
from extproc.edge.exporting import SCOPE, Sender
from extproc.edge.logs import line_of
from extproc.edge.otel_environment import BatchTerms

_NOT_FACTS: Final = frozenset({"time", "level", "logger", "message", "service", "worker", "trace_id", "span_id"})
_OF_EXPORTERS: Final = ("opentelemetry", "grpc", "urllib3", "requests")
_SEVERITIES: Final = (
    (logging.CRITICAL, logs_pb2.SEVERITY_NUMBER_FATAL),
    (logging.ERROR, logs_pb2.SEVERITY_NUMBER_ERROR),
    (logging.WARNING, logs_pb2.SEVERITY_NUMBER_WARN),
    (logging.INFO, logs_pb2.SEVERITY_NUMBER_INFO),
    (0, logs_pb2.SEVERITY_NUMBER_DEBUG),
)
_SAMPLED: Final = 1


class LogLine(NamedTuple):
    """A line as standard error has it."""

    unix_ns: int
    level: int
    line: Mapping[str, Any]


class LogExport(logging.Handler):
    """A handler beside the one of standard error, from `open` to `stop`."""

    def __init__(self, sender: Sender, terms: BatchTerms, resource: Resource, lost: Callable[[int, str], None]) -> None:
        super().__init__()
        self._resource = resource
        self._sender = sender
        self._batches = Batches[LogLine]("telemetry-logs", terms, self._send, lost, sender.stop)

    def open(self) -> None:
        """Every line that is logged from now on is exported too."""
        logging.root.addHandler(self)

    def emit(self, record: logging.LogRecord) -> None:
        if self._batches.exporting or record.name.partition(".")[0] in _OF_EXPORTERS:
            return
        try:
            line = line_of(record)
        except Exception:  # noqa: BLE001 - standard error has said it; a template that does not fit is no reason to fail
            return
        self._batches.put(LogLine(int(record.created * 1e9), record.levelno, line))

    def stop(self, timeout_seconds: float) -> None:
        """Flush for at most `timeout_seconds`. Call it once."""
        logging.root.removeHandler(self)
        self._batches.stop(timeout_seconds)

    def _send(self, batch: Sequence[LogLine]) -> bool:
        return self._sender.send(encode_logs(batch, self._resource).SerializeToString())


def encode_logs(batch: Sequence[LogLine], resource: Resource) -> ExportLogsServiceRequest:
    """One OTLP request."""
    request = ExportLogsServiceRequest()
    of = request.resource_logs.add(schema_url=resource.schema_url)
    of.resource.CopyFrom(_encode_resource(resource))
    scoped = of.scope_logs.add(schema_url=SCOPE.schema_url)
    scoped.scope.name, scoped.scope.version = SCOPE.name, SCOPE.version or ""
    for unix_ns, level, line in batch:
        entry = scoped.log_records.add(time_unix_nano=unix_ns, observed_time_unix_nano=unix_ns)
        entry.severity_number = next(number for least, number in _SEVERITIES if level >= least)
        entry.severity_text = str(line["level"])
        entry.body.string_value = str(line["message"])
        for name in ("trace_id", "span_id"):
            if name in line:
                setattr(entry, name, bytes.fromhex(line[name]))
        entry.flags = _SAMPLED if "trace_id" in line else 0
        entry.attributes.add(key="logger").value.string_value = str(line["logger"])
        for name, value in line.items():
            if name not in _NOT_FACTS:
                entry.attributes.add(key=name).value.CopyFrom(_encode_value(value))
    return request
