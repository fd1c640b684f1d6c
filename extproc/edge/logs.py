"""Logs of the service: one JSON object a line on standard error, with trace ids, never with content.

Our own messages are fixed sentences; facts travel in `extra`. Of an exception only types and places are written:
its text and its locals may hold a body. Other packages' messages are written as templates, without what was filled in.
"""

import contextvars
import json
import logging
import sys
import threading
import traceback
from datetime import UTC, datetime
from types import TracebackType
from typing import Any, Final

from extproc.edge.labels import withhold_numbers
from extproc.edge.traceparent import parse_traceparent

_OURS: Final = "extproc"
_MAX_FRAMES = 20
_MAX_CAUSES = 5
_MAX_ITEMS = 32
_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}
_trace: contextvars.ContextVar[dict[str, str] | None] = contextvars.ContextVar("extproc_trace", default=None)
_crash = logging.getLogger("extproc.crash")


def bind_trace(traceparent: str, exchange_id: str) -> None:
    """Every line that this task logs from now on names the exchange, and the trace of a well-formed `traceparent`."""
    ids = {"exchange_id": exchange_id}
    parent = parse_traceparent(traceparent)
    if parent is not None:
        ids |= {"trace_id": parent.trace_id, "span_id": parent.span_id}
    _trace.set(ids)


def setup_logging(service_name: str, worker: int, *, level: str = "INFO") -> None:
    """Standard error becomes the process's only log, also for uncaught exceptions. Call it once, early."""
    stream = logging.StreamHandler(sys.stderr)
    stream.setFormatter(JsonFormatter(service_name, worker))
    logging.root.handlers[:] = [stream]
    logging.root.setLevel(logging.WARNING)
    logging.getLogger(_OURS).setLevel(level)
    # A record that cannot be formatted would otherwise be printed with its arguments.
    logging.raiseExceptions = False
    sys.excepthook = _log_crash
    threading.excepthook = _log_thread_crash
    sys.unraisablehook = _log_unraisable


class JsonFormatter(logging.Formatter):
    """A log record as one line of JSON, with the process that wrote it."""

    def __init__(self, service_name: str, worker: int) -> None:
        super().__init__()
        self._service = service_name
        self._worker = worker

    def format(self, record: logging.LogRecord) -> str:
        line = {**line_of(record), "service": self._service, "worker": self._worker}
        return json.dumps(line, separators=(",", ":"))


def line_of(record: logging.LogRecord) -> dict[str, Any]:
    """What may leave of a log record. Values are numbers, booleans and strings; anything else shows its type."""
    line: dict[str, Any] = {
        "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
        "level": record.levelname.lower(),
        "logger": record.name,
        "message": _message(record),
        **(_trace.get() or {}),
    }
    for name, value in vars(record).items():
        if name not in _STANDARD and name not in line:
            line[name] = _plain(value)
    if record.levelno >= logging.WARNING:
        line["at"] = f"{record.module}:{record.lineno} {record.funcName}"
    if record.exc_info and record.exc_info[1] is not None:
        line["exception"] = describe_exception(record.exc_info[1])
    return line


def describe_exception(error: BaseException) -> list[dict[str, Any]]:
    """The types of an exception and its causes, and where each was raised. Neither text nor values."""
    chain: list[dict[str, Any]] = []
    current: BaseException | None = error
    while current is not None and len(chain) < _MAX_CAUSES:
        frames = traceback.extract_tb(current.__traceback__)[-_MAX_FRAMES:]
        kind = type(current)
        entry: dict[str, Any] = {
            "type": f"{kind.__module__}.{kind.__qualname__}",
            "frames": [f"{frame.filename}:{frame.lineno} {frame.name}" for frame in frames],
        }
        if isinstance(current, BaseExceptionGroup):
            members = current.exceptions[:_MAX_ITEMS]
            entry["members"] = [member for error in members for member in describe_exception(error)]
        chain.append(entry)
        current = current.__cause__ or (None if current.__suppress_context__ else current.__context__)
    return chain


def _message(record: logging.LogRecord) -> str:
    """Ours in full. Another package's: the template when arguments were kept apart, else nothing but the place."""
    if record.name == _OURS or record.name.startswith(f"{_OURS}."):
        return _text(record.getMessage())
    if record.args and isinstance(record.msg, str):
        return _text(record.msg)
    return "a message of another package"


def _text(text: str) -> str:
    """A name of a file that is no UTF-8 has lone surrogates, which no collector takes: they are written out."""
    return withhold_numbers(text).encode("utf-8", "backslashreplace").decode("utf-8")


def _plain(value: object) -> Any:
    if value is None or isinstance(value, bool | float):
        return value
    if isinstance(value, int):
        return value if abs(value) < 10**11 else _text(str(value))
    if isinstance(value, str):
        return _text(value)
    if isinstance(value, list | tuple | set | frozenset) and all(isinstance(item, str) for item in value):
        return [_text(item) for item in list(value)[:_MAX_ITEMS]]
    return f"<{type(value).__name__}>"


def _log_crash(kind: type[BaseException], error: BaseException, at: TracebackType | None) -> None:
    if not isinstance(error, KeyboardInterrupt):
        _crash.critical("uncaught exception", exc_info=(kind, error, at))


def _log_thread_crash(args: threading.ExceptHookArgs) -> None:
    if args.exc_value is not None:
        _crash.critical("uncaught exception in a thread", exc_info=args.exc_value)


def _log_unraisable(args: "sys.UnraisableHookArgs") -> None:
    if args.exc_value is not None:
        _crash.error("exception that could not be raised", exc_info=args.exc_value)
