"""P3 at the gRPC edge: no exception, cancellation, deadline or shutdown ends a call with OK before its exchange is over.

The parts around the session are played here; the same promise through a real Envoy stands in tests/conformance.
"""

import asyncio
import time
from collections.abc import Callable
from typing import Any

import grpc
import pytest

from extproc.core.approval import open_approval
from extproc.core.identity import Principal
from extproc.core.masking.scanner import Scanner
from extproc.core.masking.settings import MaskingSettings
from extproc.core.policy import Effect, HoldTerms, Match, Policy, Rule
from extproc.core.reasons import ExchangeError, Reason, Unavailable, Unverified
from extproc.core.record import Outcome
from extproc.core.snapshot import Connection, Limits, Snapshot
from extproc.core.trust import Secret
from extproc.edge.session import INTERNAL_SENTENCE, Session
from extproc.pb import ext_proc_pb2 as pb
from tests.approvals.votes import granted
from tests.edge.session.played import (
    MODE,
    SECRET_TEXT,
    Aborted,
    Context,
    FakeAuthenticator,
    FakeJournal,
    FakeTelemetry,
    message,
    outcome,
    services,
    whole_exchange,
)


async def test_a_whole_exchange_ends_ok() -> None:
    context = Context(whole_exchange())
    assert await outcome(context, services()) == "ok"
    assert context.written[-1].response_body.response.body_mutation.streamed_response.end_of_stream


@pytest.mark.parametrize("cut", range(6))
async def test_an_early_end_is_never_ok(cut: int) -> None:
    """Envoy's EOF before the exchange is over: nothing is left to say, but never OK."""
    context = Context(whole_exchange()[:cut])
    assert await outcome(context, services()) == "aborted"


@pytest.mark.parametrize("call", ["read", "write"])
@pytest.mark.parametrize("count", range(1, 8))
@pytest.mark.parametrize(
    "error", [RuntimeError(SECRET_TEXT), ValueError(SECRET_TEXT), OSError(SECRET_TEXT)], ids=lambda e: type(e).__name__
)
async def test_an_injected_exception_is_never_ok(call: str, count: int, error: BaseException) -> None:
    context = Context(whole_exchange(), (call, count, error))
    ended = await outcome(context, services())
    reached = context.calls.get(call, 0) >= count
    finished = (
        bool(context.written)
        and context.written[-1].response_body.response.body_mutation.streamed_response.end_of_stream
    )
    assert ended == "aborted" or not reached or finished
    if context.status is not None:
        assert context.status == (grpc.StatusCode.INTERNAL, INTERNAL_SENTENCE)


async def test_an_exchange_that_fails_inside_has_its_span(monkeypatch: pytest.MonkeyPatch) -> None:
    """An SRE sees the failure in the trace and in the metrics, with its reason and nothing else."""
    told: list[Any] = []
    monkeypatch.setattr(FakeTelemetry, "record_exchange", lambda self, summary, **more: told.append(summary))
    context = Context(whole_exchange(), ("write", 2, RuntimeError(SECRET_TEXT)))
    assert await outcome(context, services()) == "aborted"
    assert [(summary.record.status_detail, summary.record.status.value) for summary in told] == [("internal", "failed")]
    assert SECRET_TEXT not in repr(told)


@pytest.mark.parametrize("count", range(1, 6))
async def test_a_journal_failure_is_never_ok_before_an_answer(count: int) -> None:
    context = Context(whole_exchange())
    ended = await outcome(context, services(journal=FakeJournal((count, RuntimeError(SECRET_TEXT)))))
    assert ended == "aborted"
    context = Context(whole_exchange())
    ended = await outcome(context, services(journal=FakeJournal((count, Unavailable(Reason.AUDIT_UNAVAILABLE)))))
    if ended == "ok":
        assert context.written[-1].immediate_response.status.code == 503


async def test_an_authenticator_bug_is_never_ok() -> None:
    context = Context(whole_exchange())
    assert await outcome(context, services(authenticator=FakeAuthenticator(KeyError(SECRET_TEXT)))) == "aborted"
    assert not any(m.HasField("request_body") for m in context.written if not isinstance(m, bytes))


@pytest.mark.parametrize("delay_ms", range(0, 24, 2))
async def test_a_cancellation_is_never_ok(delay_ms: int) -> None:
    context = Context(whole_exchange())
    task = asyncio.create_task(Session(services(), context).run())
    await asyncio.sleep(delay_ms / 1000)
    finished = task.done()
    task.cancel()
    with pytest.raises((asyncio.CancelledError, Aborted)) if not finished else _nothing():
        await task
    assert context.status is None or context.status[1] == INTERNAL_SENTENCE


class _nothing:  # noqa: N801 - reads as a context manager
    def __enter__(self) -> None: ...
    def __exit__(self, *args: object) -> None: ...


@pytest.mark.parametrize(("request_mode", "response_mode"), [
    (MODE.NONE, MODE.FULL_DUPLEX_STREAMED), (MODE.STREAMED, MODE.FULL_DUPLEX_STREAMED), (MODE.BUFFERED_PARTIAL, MODE.FULL_DUPLEX_STREAMED),
    (MODE.BUFFERED, MODE.NONE), (MODE.BUFFERED, MODE.STREAMED), (MODE.BUFFERED, MODE.BUFFERED),
])  # fmt: skip
async def test_a_mode_that_cannot_keep_the_promises_is_aborted(request_mode: int, response_mode: int) -> None:
    context = Context(whole_exchange(request_mode, response_mode))
    assert await outcome(context, services()) == "aborted"
    assert context.written == []


async def test_a_stream_without_protocol_config_is_aborted() -> None:
    messages = whole_exchange()
    messages[0].ClearField("protocol_config")
    context = Context(messages)
    assert await outcome(context, services()) == "aborted"
    assert context.written == []


async def test_an_observed_stream_is_not_answered() -> None:
    messages = whole_exchange()
    messages[0].observability_mode = True
    context = Context(messages)
    assert await outcome(context, services()) == "aborted"
    assert context.written == []


async def test_full_duplex_requests_are_gathered_and_answered_in_order() -> None:
    """Headers first, then the body as streamed_response, end_of_stream exactly once."""
    messages = whole_exchange(MODE.FULL_DUPLEX_STREAMED)
    body = messages[1].request_body.body
    messages[1:2] = [
        message("request_body", body=body[:20]),
        message("request_body", body=body[20:]),
        message("request_body", body=b"", end_of_stream=True),
    ]
    context = Context(messages)
    assert await outcome(context, services()) == "ok"
    kinds = [m.WhichOneof("response") for m in context.written]
    assert kinds[:2] == ["request_headers", "request_body"]
    streamed = context.written[1].request_body.response.body_mutation.streamed_response
    assert (streamed.body, streamed.end_of_stream) == (body, True)
    ends = [
        m
        for m in context.written
        if m.WhichOneof("response") == "response_body"
        and m.response_body.response.body_mutation.streamed_response.end_of_stream
    ]
    assert len(ends) == 1


async def test_repeated_ends_and_unknown_messages_are_tolerated() -> None:
    messages = whole_exchange()
    messages.insert(2, pb.ProcessingRequest())
    messages.append(message("response_body", body=b"again", end_of_stream=True))
    context = Context(messages)
    assert await outcome(context, services()) == "ok"
    assert b"again" not in b"".join(m.SerializeToString() for m in context.written if not isinstance(m, bytes))


async def test_no_task_outlives_its_session() -> None:
    before = asyncio.all_tasks()
    for cut in range(7):
        await outcome(Context(whole_exchange()[:cut]), services())
    await until(lambda: asyncio.all_tasks() == before)


async def test_time_does_not_pass_without_need() -> None:
    started = time.monotonic()
    await outcome(Context(whole_exchange()), services())
    assert time.monotonic() - started < 2.0


class Keeping(FakeJournal):
    """Remembers what was appended; `slow` acknowledges nothing, `shut` takes no new exchanges."""

    def __init__(self, *, slow: bool = False, shut: bool = False) -> None:
        super().__init__()
        self.slow, self.shut, self.records = slow, shut, []

    def append_record(self, record: Any, done: Any = None) -> int:
        if record is not None:
            self.records.append((record.event_code.value, record.status.value, record.status_detail))
        return super().append_record(record, None if self.slow else done)

    def accepting(self) -> bool:
        return not self.shut


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(30):
        while not holds():
            await asyncio.sleep(0.005)


class Waiting(Context):
    """After its messages Envoy is silent: neither a message nor EOF."""

    async def read(self) -> Any:
        if not self.messages:
            await asyncio.Event().wait()
        return await super().read()


async def test_what_breaks_is_recorded_and_its_log_line_says_nothing_of_it(caplog: pytest.LogCaptureFixture) -> None:
    journal = Keeping()
    context = Context(whole_exchange(), ("write", 2, RuntimeError(SECRET_TEXT)))
    assert await outcome(context, services(journal=journal)) == "aborted"
    assert journal.records[-1] == ("inference.end", "failed", "internal")
    assert caplog.records
    assert SECRET_TEXT not in repr([vars(record) for record in caplog.records])


async def test_a_refused_mode_is_recorded_with_its_reason() -> None:
    journal = Keeping()
    await outcome(Context(whole_exchange(MODE.STREAMED)), services(journal=journal))
    assert [detail for _, _, detail in journal.records] == [Reason.MODES_UNSAFE.value]


async def test_what_was_queued_when_it_broke_is_not_written() -> None:
    """Headers and body wait for Envoy; the reader breaks during the first write: the second never goes out."""
    broken = asyncio.Event()

    class Breaking(Context):
        async def read(self) -> Any:
            if not self.messages:
                await asyncio.sleep(0.02)
                broken.set()
                raise RuntimeError(SECRET_TEXT)
            return await super().read()

        async def write(self, message: Any) -> None:
            await broken.wait()
            await asyncio.sleep(0.005)
            await super().write(message)

    context = Breaking(whole_exchange(MODE.FULL_DUPLEX_STREAMED)[:2])
    assert await outcome(context, services()) == "aborted"
    assert [written.WhichOneof("response") for written in context.written] == ["request_headers"]


async def test_a_cancelled_exchange_has_its_closing_record() -> None:
    journal = Keeping()
    context = Waiting(whole_exchange()[:4])
    task = asyncio.create_task(Session(services(journal=journal), context).run())
    await until(lambda: bool(journal.records) and not context.messages)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert [(code, status) for code, status, _ in journal.records][-1] == ("inference.end", "abandoned")


async def test_nothing_is_written_before_the_journal_says_that_it_is_durable() -> None:
    context, journal = Waiting(whole_exchange()[:2]), Keeping(slow=True)
    task = asyncio.create_task(Session(services(journal=journal), context).run())
    await until(lambda: bool(journal.records) and not context.messages)
    await asyncio.sleep(0.05)
    assert [written for written in context.written if not written.HasField("request_headers")] == []
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


@pytest.mark.parametrize("error", [Unverified(Reason.TOKEN_INVALID), Unavailable(Reason.IDENTITY_UNAVAILABLE)])
async def test_a_token_that_is_refused_after_a_fetch_is_answered(error: ExchangeError) -> None:
    class Slow(FakeAuthenticator):
        def verify_now(self, token: Any, presented: Any) -> None:
            return None

        async def verify(self, token: Any, presented: Any) -> Principal:
            await asyncio.sleep(0.005)
            raise error

    context = Waiting(whole_exchange()[:1])
    task = asyncio.create_task(outcome(context, services(authenticator=Slow())))
    await until(lambda: bool(context.written))
    (answer,) = context.written
    assert answer.immediate_response.status.code == (401 if isinstance(error, Unverified) else 503)
    task.cancel()
    await task


async def test_a_journal_that_takes_no_new_exchange_has_them_refused() -> None:
    context = Waiting(whole_exchange()[:2])
    task = asyncio.create_task(outcome(context, services(journal=Keeping(shut=True))))
    await until(lambda: bool(context.written) and context.written[-1].HasField("immediate_response"))
    assert context.written[-1].immediate_response.status.code == 503
    assert not any(written.HasField("request_body") for written in context.written)
    task.cancel()
    await task


async def test_an_exchange_that_cannot_be_recorded_in_time_is_read_no_further() -> None:
    """What waits for its record is bounded: the rest stays with Envoy, which stops reading from the model server."""
    event = b'data: {"choices":[{"index":0,"delta":{"content":"' + b"a " * 500 + b'"}}]}\n\n'
    messages = whole_exchange()[:3] + [message("response_body", body=event) for _ in range(100)]
    context = Waiting(messages)

    class Stalling(Keeping):
        def append_record(self, record: Any, done: Any = None) -> int:
            self.slow = record is None
            return super().append_record(record, done)

    masking = MaskingSettings()
    policy = Policy("sha256:x", "p", (Rule("allow", Effect.ALLOW, Match(), "", None),), masking)
    limits = Limits(max_unreleased_bytes=5000)
    snapshot = Snapshot(policy, Scanner(masking), (Connection("model"),), limits, Secret("k" * 32))
    task = asyncio.create_task(outcome(context, services(journal=Stalling(), snapshot=lambda: snapshot)))
    await until(lambda: len(context.messages) < 100)
    await asyncio.sleep(0.3)
    assert len(context.messages) > 85
    task.cancel()
    await task


async def test_a_traceparent_that_names_an_account_is_no_traceparent() -> None:
    """The client chooses it where the proxy does not trace."""
    told: list[str] = []

    class Telemetry(FakeTelemetry):
        def record_exchange(self, summary: Any, **more: Any) -> None:
            told.append(more["traceparent"])

    sound = "4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7"
    for ids in (
        sound,
        "41111111111111110000000000000000-00f067aa0ba902b7",
        "4bf92f3577b34da6a3ce929d0e0e4736-4111111111111111",
        "aaaaaaaa4111111111111111aaaaaaaa-00f067aa0ba902b7",
        "aaaaaaaaaaaaaaaaaaaa411111111111-1111aaaaaaaaaaaa",
    ):
        messages = whole_exchange()
        parent = f"00-{ids}-01"
        messages[0].request_headers.headers.headers.add(key="traceparent", raw_value=parent.encode())
        assert await outcome(Context(messages), services(telemetry=Telemetry())) == "ok"
    assert told == [f"00-{sound}-01", "", "", "", ""]


def holding_snapshot() -> Snapshot:
    """A policy that holds everything."""
    masking = MaskingSettings()
    terms = HoldTerms(("approvers",), 60.0, 600.0, detach=False)
    rules = (Rule("allow", Effect.ALLOW, Match(), "", None), Rule("hold", Effect.HOLD, Match(), "", terms))
    policy = Policy("sha256:x", "p", rules, masking)
    return Snapshot(policy, Scanner(masking), (Connection("model"),), Limits(), Secret("k" * 32))


async def test_a_grant_is_not_claimed_while_its_use_cannot_be_recorded() -> None:
    """The disk filled during the hold: 503 with the ticket, and the grant is still there for the next try."""
    claimed: list[str] = []

    class Full(FakeJournal):
        full = False

        def accepting(self) -> bool:
            return not self.full

    journal = Full()

    class Desk:
        async def open(self, request: Any) -> Any:
            journal.full = True
            return granted(open_approval(request))

        def watch(self, approval_id: str, on_change: Any) -> Any:
            return lambda: None

        async def claim(self, approval_id: str, request_digest: str, requester_uid: str) -> bool:
            claimed.append(approval_id)
            return True

        async def withdraw(self, approval_id: str) -> bool:
            raise AssertionError

    started: set[asyncio.Task[None]] = set()
    context = Waiting(whole_exchange()[:2])
    parts = services(
        desk=Desk(),
        journal=journal,
        snapshot=holding_snapshot,
        spawn=lambda work: started.add(asyncio.create_task(work)),
    )
    task = asyncio.create_task(outcome(context, parts))
    await until(lambda: any(each.WhichOneof("response") == "immediate_response" for each in context.written))
    task.cancel()
    await task
    await asyncio.gather(*started)
    (answer,) = [message for message in context.written if message.WhichOneof("response") == "immediate_response"]
    headers = {option.header.key: option.header.raw_value for option in answer.immediate_response.headers.set_headers}
    assert answer.immediate_response.status.code == 503
    assert headers["x-extproc-approval"].startswith(b"apr-")
    assert claimed == []


async def test_a_write_that_did_not_succeed_never_ends_ok() -> None:
    """Whichever it was, the last one too: the exchange is over for us, and not for Envoy."""
    whole = Context(whole_exchange())
    assert await outcome(whole, services()) == "ok"
    for at in range(1, len(whole.written) + 1):
        context = Context(whole_exchange(), ("write", at, grpc.aio.InternalError("reset")))
        assert await outcome(context, services()) == "aborted", at


async def test_a_stream_that_was_reset_under_a_write_is_a_client_that_left() -> None:
    """gRPC refuses the write with an error of its own; nothing went wrong here."""
    telemetry = FakeTelemetry()

    class Reset(Context):
        async def write(self, message: Any) -> None:
            if len(self.written) == 2:
                raise grpc.aio.InternalError("reset")
            await super().write(message)

    assert await outcome(Reset(whole_exchange()), services(telemetry=telemetry)) == "aborted"
    assert [summary.record.status for summary in telemetry.summaries] == [Outcome.ABANDONED]


async def test_a_session_that_ends_watches_no_longer_and_withdraws() -> None:
    """The client goes away during the hold."""
    watched: list[Any] = []
    withdrawn: list[str] = []

    class Desk:
        async def open(self, request: Any) -> Any:
            return open_approval(request)

        def watch(self, approval_id: str, on_change: Any) -> Any:
            watched.append(on_change)
            return lambda: watched.remove(on_change)

        async def withdraw(self, approval_id: str) -> bool:
            withdrawn.append(approval_id)
            return True

    snapshot = holding_snapshot()
    started: set[asyncio.Task[None]] = set()
    parts = services(
        desk=Desk(),
        snapshot=lambda: snapshot,
        spawn=lambda work: started.add(asyncio.create_task(work)),
    )
    task = asyncio.create_task(outcome(Waiting(whole_exchange()[:2]), parts))
    async with asyncio.timeout(30):
        while not watched:
            await asyncio.sleep(0.01)
    task.cancel()
    assert await task == "cancelled"
    await asyncio.gather(*started)
    assert (watched, len(withdrawn)) == ([], 1)


async def test_what_the_store_opens_after_the_client_left_is_withdrawn_by_a_session_that_is_over() -> None:
    door = asyncio.Event()
    asked: list[str] = []
    withdrawn: list[str] = []

    class Desk:
        async def open(self, request: Any) -> Any:
            asked.append(request.approval_id)
            await door.wait()
            return open_approval(request)

        async def withdraw(self, approval_id: str) -> bool:
            withdrawn.append(approval_id)
            return False

    records: list[Any] = []

    class Journal(FakeJournal):
        def append_record(self, record: Any, done: Any = None) -> int:
            records.append(record)
            return super().append_record(record, done)

    snapshot = holding_snapshot()
    started: set[asyncio.Task[None]] = set()
    parts = services(
        desk=Desk(),
        journal=Journal(),
        snapshot=lambda: snapshot,
        spawn=lambda work: started.add(asyncio.create_task(work)),
    )
    task = asyncio.create_task(outcome(Waiting(whole_exchange()[:2]), parts))
    async with asyncio.timeout(30):
        while not asked:
            await asyncio.sleep(0.01)
    task.cancel()
    assert await task == "cancelled"
    assert withdrawn == []
    door.set()
    while not all(work.done() for work in started):
        await asyncio.gather(*started)
    assert withdrawn == asked
    told = [(record.event_code.value, record.status.value) for record in records]
    assert told[-2:] == [("approval.withdraw", "succeeded"), ("approval.withdraw", "failed")]


async def test_what_breaks_during_a_hold_withdraws_it() -> None:
    """The store had opened it, and nobody waits on it any more."""
    withdrawn: list[str] = []
    records: list[Any] = []

    class Desk:
        async def open(self, request: Any) -> Any:
            return open_approval(request)

        def watch(self, approval_id: str, on_change: Any) -> Any:
            raise RuntimeError(SECRET_TEXT)

        async def withdraw(self, approval_id: str) -> bool:
            withdrawn.append(approval_id)
            return False

    class Journal(FakeJournal):
        def append_record(self, record: Any, done: Any = None) -> int:
            records.append(record)
            return super().append_record(record, done)

    snapshot = holding_snapshot()
    started: set[asyncio.Task[None]] = set()
    parts = services(
        desk=Desk(),
        journal=Journal(),
        snapshot=lambda: snapshot,
        spawn=lambda work: started.add(asyncio.create_task(work)),
    )
    assert await outcome(Waiting(whole_exchange()[:2]), parts) == "aborted"
    while not all(work.done() for work in started):
        await asyncio.gather(*started)
    assert len(withdrawn) == 1
    assert [(record.event_code.value, record.status.value) for record in records] == [
        ("approval.open", "held"),
        ("approval.withdraw", "succeeded"),
        ("request.refuse", "failed"),
        ("approval.withdraw", "failed"),
    ]
