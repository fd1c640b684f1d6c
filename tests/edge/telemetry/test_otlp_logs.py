"""Log lines by OTLP say what standard error says and nothing more, and a collector's troubles make no more of them."""

import logging
import threading
import time
from collections.abc import Sequence
from typing import Any

import pytest
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.logs.v1 import logs_pb2
from opentelemetry.sdk.resources import Resource

from extproc.edge.logs import bind_trace, line_of
from extproc.edge.otel_environment import BatchTerms
from extproc.edge.otlp_logs import LogExport, LogLine, encode_logs

PAN = "4111 1111 1111 1111"
TRACE_ID = "4bf92f3577b34da6a3ce929d0e0e4736"
PARENT_ID = "00f067aa0ba902b7"
log = logging.getLogger("extproc.tests.logs")


class Sender:
    """Keeps what it is sent, once it may."""

    def __init__(self) -> None:
        self.may = threading.Event()
        self.sent: list[Any] = []

    def send(self, request: bytes) -> bool:
        self.may.wait(5)
        self.sent += ExportLogsServiceRequest.FromString(request).resource_logs[0].scope_logs[0].log_records
        return True

    def stop(self) -> None:
        self.may.set()


def test_a_line_has_sentence_facts_severity_and_trace(world: Any) -> None:
    telemetry = world.start(otlp_endpoint=world.collector)

    def say() -> None:
        bind_trace(f"00-{TRACE_ID}-{PARENT_ID}-01", "019a9d8c1234-0123456789abcdef")
        log.error("stream refused", extra={"reason": "modes_unsafe", "count": 2, "kinds": ["pan"], "text": PAN})
        logging.getLogger("vendor").warning(f"said {PAN}")

    thread = threading.Thread(target=say)  # a context of its own
    thread.start()
    thread.join()
    telemetry.stop(5.0)
    ours, theirs = [line for line in world.sink.logs if line.trace_id]
    assert ours.body.string_value == "stream refused"
    assert (ours.severity_number, ours.severity_text) == (logs_pb2.SEVERITY_NUMBER_ERROR, "error")
    assert (ours.trace_id.hex(), ours.span_id.hex()) == (TRACE_ID, PARENT_ID)
    said = {pair.key: pair.value for pair in ours.attributes}
    assert said["logger"].string_value == "extproc.tests.logs"
    assert (said["reason"].string_value, said["count"].int_value) == ("modes_unsafe", 2)
    assert said["text"].string_value == "[withheld]"
    assert theirs.body.string_value == "a message of another package"
    assert not any(b"4111" in data for data in world.sink.raw)


def test_by_otlp_a_line_has_the_facts_that_standard_error_has() -> None:
    failure = (ValueError, ValueError(PAN), None)
    record = logging.LogRecord("extproc.x", logging.WARNING, "f.py", 7, "said %s", (PAN,), failure)
    line = line_of(record)
    request = encode_logs([LogLine(1, record.levelno, line)], Resource.get_empty())
    (entry,) = request.resource_logs[0].scope_logs[0].log_records
    found = {pair.key for pair in entry.attributes}
    assert found == set(line) - {"time", "level", "message"}
    assert entry.body.string_value == line["message"] == "said [withheld]"
    assert b"4111" not in request.SerializeToString()


def test_a_name_that_is_no_text_keeps_no_line_from_a_collector() -> None:
    record = logging.LogRecord("extproc.x", logging.WARNING, "f.py", 7, "read \udc80", (), None)
    record.__dict__ |= {"file": "a\udcff", "files": ["b\ud800"]}
    request = encode_logs([LogLine(1, record.levelno, line_of(record))], Resource.get_empty())
    (entry,) = request.resource_logs[0].scope_logs[0].log_records
    said = {pair.key: pair.value for pair in entry.attributes}
    assert entry.body.string_value == r"read \udc80"
    assert said["file"].string_value == r"a\udcff"
    assert said["files"].array_value.values[0].string_value == r"b\ud800"


def test_what_finds_the_queue_full_is_dropped_counted_and_nobody_waits() -> None:
    sender, lost = Sender(), list[tuple[int, str]]()
    export = LogExport(
        sender, BatchTerms(8, 4, 0.01), Resource.get_empty(), lambda count, why: lost.append((count, why))
    )
    export.open()
    began = time.monotonic()
    for number in range(500):
        log.warning("line", extra={"number": number})
    assert time.monotonic() - began < 1.0
    sender.may.set()
    export.stop(5.0)
    assert {why for _, why in lost} == {"queue"}
    assert sum(count for count, _ in lost) == 500 - len(sender.sent) >= 480


def test_a_failed_export_makes_no_line_that_is_exported() -> None:
    asked: list[int] = []

    class Failing:
        def send(self, request: bytes) -> bool:
            asked.append(len(ExportLogsServiceRequest.FromString(request).resource_logs[0].scope_logs[0].log_records))
            log.error("said while exporting")
            logging.getLogger("opentelemetry.exporter").error("failed")
            return False

        def stop(self) -> None:
            pass

    lost: list[tuple[int, str]] = []
    export = LogExport(Failing(), BatchTerms(64, 4, 0.01), Resource.get_empty(), lambda *told: lost.append(told))
    export.open()
    log.warning("one")
    logging.getLogger("opentelemetry.sdk").error("from another thread")
    time.sleep(0.1)
    export.stop(5.0)
    assert asked == [1]
    assert lost == [(1, "collector")]


def test_after_the_stop_nothing_is_exported() -> None:
    sender = Sender()
    export = LogExport(sender, BatchTerms(), Resource.get_empty(), lambda *_: None)
    export.open()
    export.stop(1.0)
    log.warning("late")
    assert sender.sent == []


@pytest.mark.parametrize("wrong", [("%d", ("text",)), ("%s %s", ("one",))])
def test_a_line_that_cannot_be_formatted_is_not_exported(wrong: tuple[str, Sequence[str]]) -> None:
    sender = Sender()
    export = LogExport(sender, BatchTerms(delay_seconds=0.01), Resource.get_empty(), lambda *_: None)
    record = logging.LogRecord("extproc.x", logging.WARNING, "f.py", 7, wrong[0], tuple(wrong[1]), None)
    export.emit(record)
    sender.may.set()
    export.stop(1.0)
    assert sender.sent == []
