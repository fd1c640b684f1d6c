"""P3 and P5 where the scanner itself breaks: the exchange is aborted and recorded, and nothing says what was scanned.

Each part of the scanner breaks at its n-th use, for every n that an exchange reaches, once or for good. What it raises
holds the text that it was given, as what Python raises often does.
"""

import json
from collections.abc import Callable
from itertools import count
from typing import Any

import grpc
import pytest

from extproc.core.exchange import Exchange
from extproc.core.masking.channel import Channel
from extproc.core.masking.json_channel import JsonChannel
from extproc.core.masking.masker import Masker
from extproc.edge.session import INTERNAL_SENTENCE
from tests.edge.session.played import Context, FakeJournal, FakeTelemetry, message, outcome, services, whole_exchange

PAN = "4111 1111 1111 1111"
"""Its first six characters, with the blank, occur in no clock and no digest."""
ARGUMENTS = json.dumps({"pan": PAN})


class Journal(FakeJournal):
    """Remembers all that is stored."""

    def __init__(self) -> None:
        super().__init__()
        self.records: list[Any] = []
        self.contents: list[bytes] = []

    def append_record(self, record: Any, done: Any = None) -> int:
        if record is not None:
            self.records.append(record)
        return super().append_record(record, done)

    def open_content(self, exchange_id: str) -> Any:
        journal = self

        class Content:
            def append(self, direction: Any, at_us: int, data: bytes, done: Any) -> None:
                journal.contents.append(data)
                journal.append_record(None, done)

        return Content()


def request() -> bytes:
    call = {"id": "t", "type": "function", "function": {"name": "pay", "arguments": ARGUMENTS}}
    said = [{"role": "user", "content": f"pay with {PAN}"}, {"role": "assistant", "tool_calls": [call]}]
    return json.dumps({"model": "m", "messages": said}).encode()


def event(delta: dict[str, Any], finish: str | None = None) -> bytes:
    return (
        b"data: " + json.dumps({"choices": [{"index": 0, "delta": delta, "finish_reason": finish}]}).encode() + b"\n\n"
    )


def streamed() -> tuple[str, list[bytes]]:
    call = [event({"tool_calls": [{"index": 0, "function": {"arguments": part}}]}) for part in (ARGUMENTS, "")]
    texts = [event({"content": part}) for part in ("so: 4111 1111 ", "1111 1111, and 42 ")]
    return "text/event-stream", [*texts, *call, event({}, "stop"), b"data: [DONE]\n\n"]


def whole() -> tuple[str, list[bytes]]:
    choice = {"index": 0, "message": {"role": "assistant", "content": PAN}, "finish_reason": "stop"}
    body = json.dumps({"id": "c", "model": "m", "choices": [choice]}).encode()
    return "application/json", [body[:40], body[40:]]


def plain() -> tuple[str, list[bytes]]:
    return "text/plain", [b"so: 4111 1111 ", b"1111 1111"]


def exchange(answer: tuple[str, list[bytes]]) -> list[Any]:
    content_type, pieces = answer
    before = whole_exchange()[:1]
    return [
        *before,
        message("request_body", body=request(), end_of_stream=True),
        message("response_headers", headers={":status": "200", "content-type": content_type}),
        *(message("response_body", body=piece) for piece in pieces),
        message("response_body", body=b"", end_of_stream=True),
    ]


ONCE, FOR_GOOD = False, True
PLACES = [
    *((Masker, "mask_text", lasts, [streamed, whole, plain]) for lasts in (ONCE, FOR_GOOD)),
    *((Masker, name, FOR_GOOD, [streamed, whole]) for name in ("mask_announced", "json_channel")),
    *((Masker, name, FOR_GOOD, [whole]) for name in ("mask_value", "mask_json")),
    (Masker, "channel", FOR_GOOD, [streamed, plain]),
    *((Channel, name, lasts, [streamed, plain]) for name in ("feed", "finish") for lasts in (ONCE, FOR_GOOD)),
    *((JsonChannel, name, lasts, [streamed]) for name in ("feed", "finish") for lasts in (ONCE, FOR_GOOD)),
]
CASES = [(part, name, lasts, answer) for part, name, lasts, answers in PLACES for answer in answers]


class Fault:
    """Breaks one part of the scanner at its use number `at`; `lasts`: and at every later one."""

    def __init__(self, part: type, name: str, at: int, *, lasts: bool) -> None:
        self.part, self.name, self.at, self.lasts = part, name, at, lasts
        self.uses = 0
        self.struck = False

    def plant(self, patch: pytest.MonkeyPatch) -> None:
        sound = getattr(self.part, self.name)

        def faulty(*given: Any, **more: Any) -> Any:
            self.uses += 1
            if self.uses == self.at or (self.lasts and self.struck):
                self.struck = True
                raise RuntimeError(f"cannot scan {PAN} of {given[1:]}")
            return sound(*given, **more)

        patch.setattr(self.part, self.name, faulty)


def released(context: Context) -> list[bytes]:
    """What went on of the request, and of the answer."""
    answers = [each.response_body.response.body_mutation for each in context.written if each.HasField("response_body")]
    forwarded = [each.request_body.response.body_mutation.body for each in context.written]
    return [b"".join(forwarded), b"".join(answer.streamed_response.body for answer in answers)]


def told(context: Context, journal: Journal, telemetry: FakeTelemetry, caplog: pytest.LogCaptureFixture) -> str:
    """All that is said to anyone, released or not."""
    said = [context.status, *map(vars, caplog.records), *telemetry.summaries, *journal.records, *journal.contents]
    return repr(said) + caplog.text + repr([each.SerializeToString() for each in context.written])


@pytest.mark.parametrize(("part", "name", "lasts", "answer"), CASES)
async def test_a_scanner_that_breaks_ends_the_exchange_and_tells_nothing(
    part: type, name: str, lasts: bool, answer: Callable[[], Any], caplog: pytest.LogCaptureFixture
) -> None:
    sound = Context(exchange(answer()))
    assert await outcome(sound, services()) == "ok"
    for at in count(1):
        fault = Fault(part, name, at, lasts=lasts)
        journal, telemetry, context = Journal(), FakeTelemetry(), Context(exchange(answer()))
        caplog.clear()
        with pytest.MonkeyPatch.context() as patch:
            fault.plant(patch)
            ended = await outcome(context, services(journal=journal, telemetry=telemetry))
        if not fault.struck:
            assert (ended, at > 1) == ("ok", True)
            break
        assert (ended, context.status) == ("aborted", (grpc.StatusCode.INTERNAL, INTERNAL_SENTENCE))
        assert caplog.records
        assert PAN[:6] not in told(context, journal, telemetry, caplog)
        assert all(map(bytes.startswith, released(sound), released(context)))
        assert not any(
            each.response_body.response.body_mutation.streamed_response.end_of_stream for each in context.written
        )
        if context.written:
            assert [record.status_detail for record in journal.records][-1] == "internal"


async def test_a_failure_that_cannot_be_recorded_is_an_end_all_the_same(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    fault = Fault(Masker, "mask_value", 1, lasts=True)
    fault.plant(monkeypatch)

    def failing(*given: Any) -> Any:
        raise RuntimeError(f"cannot end {PAN}")

    monkeypatch.setattr(Exchange, "fail", failing)
    journal, telemetry, context = Journal(), FakeTelemetry(), Context(exchange(whole()))
    assert await outcome(context, services(journal=journal, telemetry=telemetry)) == "aborted"
    assert context.status == (grpc.StatusCode.INTERNAL, INTERNAL_SENTENCE)
    assert "a failure is not recorded" in caplog.text
    assert PAN[:6] not in told(context, journal, telemetry, caplog)
