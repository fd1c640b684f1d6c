"""Point 23, over real gRPC: whatever fails, wherever, Envoy never reads OK before it has a whole response.

The real server and session run in this process; the parts around them are played, so that each of their calls can fail
in each way. `DataPlane` is the judge: OK counts only after an immediate response or the end of the response.
"""

import asyncio
import contextlib
import itertools
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import grpc
import pytest

from extproc.core.approval import Approval, ApprovalState
from extproc.core.identity import Principal
from extproc.core.masking.scanner import Scanner
from extproc.core.masking.settings import MaskingSettings
from extproc.core.policy import AtLeast, Effect, HoldTerms, Match, Policy, Rule
from extproc.core.reasons import Reason, Unavailable
from extproc.core.snapshot import Connection, Limits, Snapshot
from extproc.core.trust import Secret
from extproc.edge.server import ExtProcServer
from extproc.edge.services import Services
from extproc.edge.session import INTERNAL_SENTENCE, Session
from extproc.pb import ext_proc_pb2 as pb
from tests.approvals.votes import granted

SECRET_TEXT = "4111 1111 1111 1111 in an exception"
CHAT = {"model": "m", "messages": [{"role": "user", "content": "hello"}]}
HELD = {**CHAT, "max_tokens": 4000}
EVENT = b'data: {"choices":[{"index":0,"delta":{"content":"hello "}}]}\n\n'


class Faults:
    """Counts the calls of the played parts, and lets one of them fail."""

    def __init__(self) -> None:
        self.reset()

    def reset(self, at: tuple[str, int] = ("", 0), error: BaseException | None = None) -> None:
        self.at, self.error = at, error
        self.calls: dict[str, int] = {}

    def pass_by(self, name: str) -> None:
        count = self.calls[name] = self.calls.get(name, 0) + 1
        if self.error is not None and self.at == (name, count):
            raise self.error


class Parts:
    """Journal, authenticator, desk and telemetry in one: durable at once, granted at once."""

    origin = "d/w/e"

    def __init__(self, faults: Faults) -> None:
        self.faults = faults
        self._grant: Callable[[Approval], None] | None = None

    def accepting(self) -> bool:
        self.faults.pass_by("accepting")
        return True

    def append_record(self, record: Any, done: Any = None) -> int:
        self.faults.pass_by("append_record")
        if done is not None:
            asyncio.get_running_loop().call_soon(done, True)
        return 1

    def open_content(self, exchange_id: str) -> "Parts":
        self.faults.pass_by("open_content")
        return self

    def append(self, direction: Any, at_us: int, data: bytes, done: Any) -> None:
        self.faults.pass_by("append_content")
        asyncio.get_running_loop().call_soon(done, True)

    def verify_now(self, token: Any, presented: Any) -> Principal | None:
        self.faults.pass_by("verify_now")
        return None

    async def verify(self, token: Any, presented: Any) -> Principal:
        self.faults.pass_by("verify")
        return Principal(issuer="i", subject="s", name="n", groups=("analysts",))

    async def open(self, request: Any) -> Approval:
        self.faults.pass_by("open_approval")
        names = [name for name in request.__slots__ if name != "preview"]
        self.approval = Approval(**{name: getattr(request, name) for name in names}, state=ApprovalState.PENDING)
        return self.approval

    def watch(self, approval_id: str, on_change: Callable[[Approval | None], None]) -> Callable[[], None]:
        self.faults.pass_by("watch")
        asyncio.get_running_loop().call_soon(on_change, granted(self.approval))
        return lambda: self.faults.pass_by("unwatch")

    async def claim(self, *args: Any) -> bool:
        self.faults.pass_by("claim")
        return True

    async def withdraw(self, approval_id: str) -> None:
        self.faults.pass_by("withdraw")

    def record_exchange(self, summary: Any, **more: Any) -> None:
        self.faults.pass_by("record_exchange")


def snapshot() -> Snapshot:
    terms = HoldTerms(approver_groups=("approvers",), wait_seconds=5.0, expire_seconds=60.0, detach=False)
    rules = (
        Rule("allow", Effect.ALLOW, Match(), "", None),
        Rule("hold", Effect.HOLD, Match(at_least=AtLeast(max_tokens=2000)), "", terms),
    )
    masking = MaskingSettings()
    policy = Policy("sha256:x", "p", rules, masking)
    return Snapshot(policy, Scanner(masking), (Connection("model"),), Limits(), Secret("k" * 32))


class Server:
    """The real gRPC server on a socket, in a thread with a loop of its own."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.faults = Faults()
        self._started: Future[None] = Future()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._main()))
        self._thread.start()
        self._started.result(20)

    async def _main(self) -> None:
        self._loop, self._over = asyncio.get_running_loop(), asyncio.Event()
        self._loop.set_exception_handler(lambda *_: None)
        parts, in_force = Parts(self.faults), snapshot()

        def look() -> Snapshot:
            self.faults.pass_by("snapshot")
            return in_force

        services = Services(
            snapshot=look,
            authenticator=lambda: parts,  # type: ignore[arg-type,return-value]
            journal=parts,  # type: ignore[arg-type]
            desk=parts,  # type: ignore[arg-type]
            budgets=parts,  # type: ignore[arg-type]
            telemetry=parts,  # type: ignore[arg-type]
            spawn=self._loop.create_task,
            gate_secret="g" * 32,
        )
        self.server = ExtProcServer(services, self.path, max_body_bytes=1 << 20)
        await self.server.start()
        self._started.set_result(None)
        await self._over.wait()

    def stop_serving(self, drain_seconds: float) -> "Future[None]":
        return asyncio.run_coroutine_threadsafe(self.server.stop(drain_seconds), self._loop)

    def end(self) -> None:
        self.stop_serving(0).result(20)
        self._loop.call_soon_threadsafe(self._over.set)
        self._thread.join(20)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    running = Server(tmp_path_factory.mktemp("sockets") / "s")
    yield running
    running.faults.reset()
    running.end()


@pytest.fixture
def open_stream(server: Server, play_envoy: Any) -> Iterator[Callable[..., Any]]:
    server.faults.reset()
    with grpc.insecure_channel(f"unix:{server.path}") as channel:
        yield lambda **more: play_envoy(channel, "a.b.c", **more)


class Answered(Exception):
    """An immediate response came: Envoy asks nothing more."""


def play(stream: Any, document: dict[str, Any], *, steps: int = 99) -> None:
    """Envoy's side of a whole exchange, as far as it is answered: `steps` messages at most."""

    def until(kind: str) -> None:
        while (got := stream.answer(5).WhichOneof("response")) != kind:
            if got == "immediate_response":
                raise Answered

    def send() -> Iterator[None]:
        yield stream.request_headers()
        if not stream.duplex:
            until("request_headers")
        yield stream.request_body(document)
        until("request_body")
        yield stream.response_headers()
        yield stream.response_body(EVENT)
        until("response_body")
        yield stream.response_body(EVENT)
        until("response_body")
        yield stream.response_body(b"data: [DONE]\n\n")
        yield stream.response_body(b"", eos=True)
        while not stream.complete:
            until("response_body")

    with contextlib.suppress(Answered):
        for _ in itertools.islice(send(), steps):
            pass


def outcome(stream: Any, document: dict[str, Any]) -> grpc.StatusCode:
    """Play it all; how the stream ended. OK before the exchange was over is an assertion of the data plane's."""
    try:
        play(stream, document)
    except AssertionError as error:
        if "the stream ended" not in str(error):
            raise
    stream.close()
    return stream.status(5)


ERRORS: dict[str, Callable[[], BaseException]] = {
    "RuntimeError": lambda: RuntimeError(SECRET_TEXT),
    "KeyError": lambda: KeyError(SECRET_TEXT),
    "OSError": lambda: OSError(28, SECRET_TEXT),
    "TimeoutError": lambda: TimeoutError(SECRET_TEXT),
    "MemoryError": lambda: MemoryError(SECRET_TEXT),
    "RecursionError": lambda: RecursionError(SECRET_TEXT),
    "StopAsyncIteration": lambda: StopAsyncIteration(SECRET_TEXT),
    "ExceptionGroup": lambda: ExceptionGroup(SECRET_TEXT, [ValueError(SECRET_TEXT)]),
    "Unavailable": lambda: Unavailable(Reason.AUDIT_UNAVAILABLE),
}
CALLS = {
    "accepting": 1, "snapshot": 1, "verify_now": 1, "verify": 1, "append_record": 4, "open_content": 1,
    "append_content": 4, "open_approval": 1, "watch": 1, "claim": 1, "unwatch": 1, "record_exchange": 1,
}  # fmt: skip


@pytest.mark.parametrize("duplex", [False, True], ids=["buffered", "duplex"])
def test_23_without_a_fault_it_ends_ok(open_stream: Any, server: Server, duplex: bool) -> None:
    """And every call that the faults below name is made."""
    mode = pb.ProcessingMode.FULL_DUPLEX_STREAMED if duplex else pb.ProcessingMode.BUFFERED
    stream = open_stream(request_mode=mode)
    assert outcome(stream, HELD) is grpc.StatusCode.OK
    assert stream.released == EVENT * 2 + b"data: [DONE]\n\n"
    until = time.monotonic() + 30
    while "unwatch" not in server.faults.calls and time.monotonic() < until:
        time.sleep(0.01)
    assert {name: min(server.faults.calls.get(name, 0), count) for name, count in CALLS.items()} == CALLS


@pytest.mark.parametrize("error", ERRORS)
@pytest.mark.parametrize("call", CALLS)
def test_23_no_failure_of_a_part_ends_ok_too_early(open_stream: Any, server: Server, call: str, error: str) -> None:
    for count in range(1, CALLS[call] + 1):
        server.faults.reset((call, count), ERRORS[error]())
        stream = open_stream()
        code = outcome(stream, HELD)
        if code is grpc.StatusCode.OK:
            assert stream.complete
        else:
            details = str(stream.call.details())
            assert "4111" not in details
            assert details == INTERNAL_SENTENCE


@pytest.mark.parametrize("call", ["verify", "open_approval", "claim"])
def test_23_work_that_is_cancelled_ends_its_exchange(open_stream: Any, server: Server, call: str) -> None:
    """Not by us: a future of a pool or a client that was cancelled. A group of tasks takes that for an ordinary end."""
    server.faults.reset((call, 1), asyncio.CancelledError())
    stream = open_stream()
    assert outcome(stream, HELD) is not grpc.StatusCode.OK


def test_23_one_exchange_sees_one_snapshot(open_stream: Any, server: Server) -> None:
    """A policy that is replaced meanwhile changes nothing, and cannot fail, in the middle."""
    assert outcome(open_stream(), HELD) is grpc.StatusCode.OK
    assert server.faults.calls["snapshot"] == 1


def test_23_a_failure_while_a_write_is_under_way_still_ends_the_stream(
    open_stream: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """gRPC cannot send a status beside a write that was cancelled: then nothing ends the stream but Envoy's timers."""
    receive = Session._receive

    def fail(session: Session, message: pb.ProcessingRequest) -> None:
        if message.WhichOneof("request") == "request_body":
            raise RuntimeError(SECRET_TEXT)
        receive(session, message)

    monkeypatch.setattr(Session, "_receive", fail)
    for _ in range(20):
        stream = open_stream()
        stream.request_headers()
        stream.request_body()
        assert stream.status(3) is grpc.StatusCode.INTERNAL


@pytest.mark.parametrize("steps", range(1, 7))
def test_23_no_end_of_envoys_side_is_answered_with_ok(open_stream: Any, steps: int) -> None:
    """A half-close after each message."""
    stream = open_stream()
    play(stream, HELD, steps=steps)
    stream.close()
    assert stream.status() is grpc.StatusCode.INTERNAL
    assert not stream.complete


@pytest.mark.parametrize("steps", range(1, 7))
def test_23_no_deadline_or_reset_is_answered_with_ok(open_stream: Any, steps: int) -> None:
    stream = open_stream(seconds=0.4)
    play(stream, HELD, steps=steps)
    assert stream.status() is grpc.StatusCode.DEADLINE_EXCEEDED
    stream = open_stream()
    play(stream, HELD, steps=steps)
    stream.cancel()
    assert stream.status() is grpc.StatusCode.CANCELLED


@pytest.mark.parametrize("steps", range(1, 7))
def test_23_no_shutdown_ends_ok_too_early(tmp_path: Path, play_envoy: Any, steps: int) -> None:
    """Stopped in the middle without time to finish: an error, or (where Envoy can still be answered) an answer."""
    server = Server(tmp_path / "s")
    try:
        with grpc.insecure_channel(f"unix:{server.path}") as channel:
            stream = play_envoy(channel, "a.b.c")
            play(stream, CHAT, steps=steps)
            stopping = server.stop_serving(0)
            code = stream.status()
            assert code is not grpc.StatusCode.OK or stream.complete
            stopping.result(20)
    finally:
        server.end()


def test_23_a_message_that_is_no_message_is_never_ok(open_stream: Any) -> None:
    """Too large, and out of order."""
    stream = open_stream()
    stream.request_headers()
    stream.answer()
    stream.request_body(b"x" * (3 << 20))
    assert stream.status() is not grpc.StatusCode.OK
    stream = open_stream()
    stream.response_body(EVENT)
    stream.close()
    assert stream.status() is grpc.StatusCode.OK
    assert stream.answers[-1].immediate_response.status.code == 500
