"""Envoy and everything else around one session, played: a session runs against lists of messages, and parts that fail."""

import asyncio
from typing import Any

import grpc

from extproc.core.identity import Principal
from extproc.core.masking.scanner import Scanner
from extproc.core.masking.settings import MaskingSettings
from extproc.core.policy import Effect, Match, Policy, Rule
from extproc.core.snapshot import Connection, Limits, Snapshot
from extproc.core.trust import Secret
from extproc.edge.services import Services
from extproc.edge.session import Session
from extproc.pb import ext_proc_pb2 as pb

MODE = pb.ProcessingMode
SECRET_TEXT = "4111 1111 1111 1111 in an exception"


class Aborted(Exception):
    """What grpc.aio raises out of `abort`."""


class Context:
    """Envoy's side of one stream: a list of messages, then EOF; a fault at a chosen call."""

    def __init__(self, messages: list[Any], fault: tuple[str, int, BaseException] | None = None) -> None:
        self.messages = list(messages)
        self.fault = fault
        self.calls: dict[str, int] = {}
        self.written: list[Any] = []
        self.status: tuple[Any, str] | None = None

    def _maybe_fail(self, name: str) -> None:
        count = self.calls[name] = self.calls.get(name, 0) + 1
        if self.fault is not None and self.fault[:2] == (name, count):
            raise self.fault[2]

    async def read(self) -> Any:
        await asyncio.sleep(0.002)
        self._maybe_fail("read")
        return self.messages.pop(0) if self.messages else grpc.aio.EOF

    async def write(self, message: Any) -> None:
        await asyncio.sleep(0)
        self._maybe_fail("write")
        self.written.append(pb.ProcessingResponse.FromString(message) if isinstance(message, bytes) else message)

    async def abort(self, code: Any, details: str = "") -> None:
        self.status = (code, details)
        raise Aborted

    def invocation_metadata(self) -> tuple[()]:
        return ()


class Content:
    def __init__(self, journal: "FakeJournal") -> None:
        self.journal = journal

    def append(self, direction: Any, at_us: int, data: bytes, done: Any) -> None:
        self.journal.append_record(None, done)


class FakeJournal:
    """Durable at once, or failing at the n-th append."""

    origin = "d/w/e"

    def __init__(self, fault: tuple[int, BaseException] | None = None) -> None:
        self.count, self.fault = 0, fault

    def append_record(self, record: Any, done: Any = None) -> int:
        self.count += 1
        if self.fault is not None and self.fault[0] == self.count:
            raise self.fault[1]
        if done is not None:
            asyncio.get_running_loop().call_soon(done, True)
        return self.count

    def accepting(self) -> bool:
        return True

    def open_content(self, exchange_id: str) -> Content:
        return Content(self)


class FakeAuthenticator:
    def __init__(self, fault: BaseException | None = None) -> None:
        self.fault = fault

    def verify_now(self, token: Any, presented: Any) -> Principal:
        if self.fault is not None:
            raise self.fault
        return Principal(issuer="i", subject="s", name="n", groups=("analysts",))


class FakeTelemetry:
    def __init__(self, fault: BaseException | None = None) -> None:
        self.fault, self.summaries = fault, []

    def record_exchange(self, summary: Any, **more: Any) -> None:
        self.summaries.append(summary)
        if self.fault is not None:
            raise self.fault


def in_force(connection: Connection) -> Snapshot:
    """Allows everything."""
    masking = MaskingSettings()
    policy = Policy("sha256:x", "p", (Rule("allow", Effect.ALLOW, Match(), "", None),), masking)
    return Snapshot(policy, Scanner(masking), (connection,), Limits(), Secret("k" * 32))


def services(**parts: Any) -> Services:
    snapshot = in_force(Connection("model"))
    built: dict[str, Any] = {
        "snapshot": lambda: snapshot,
        "authenticator": FakeAuthenticator(),
        "journal": FakeJournal(),
        "desk": None,
        "budgets": None,
        "telemetry": FakeTelemetry(),
        "spawn": lambda work: work.close(),
        "gate_secret": "g" * 32,
    }
    authenticator = {**built, **parts}["authenticator"]
    return Services(**{**built, **parts, "authenticator": lambda: authenticator})


def message(kind: str, **fields: Any) -> pb.ProcessingRequest:
    made = pb.ProcessingRequest()
    getattr(made, kind).SetInParent()
    for name, value in fields.items():
        if name == "headers":
            for key, text in value.items():
                getattr(made, kind).headers.headers.add(key=key, raw_value=text.encode())
        else:
            setattr(getattr(made, kind), name, value)
    return made


def whole_exchange(request_mode: int = MODE.BUFFERED, response_mode: int = MODE.FULL_DUPLEX_STREAMED) -> list[Any]:
    first = message(
        "request_headers",
        headers={
            ":method": "POST",
            ":path": "/v1/chat/completions",
            "authorization": "Bearer a.b.c",
            "content-type": "application/json",
        },
    )
    first.protocol_config.request_body_mode = request_mode
    first.protocol_config.response_body_mode = response_mode
    return [
        first,
        message("request_body", body=b'{"model":"m","messages":[{"role":"user","content":"hi"}]}', end_of_stream=True),
        message("response_headers", headers={":status": "200", "content-type": "text/event-stream"}),
        message("response_body", body=b'data: {"choices":[{"index":0,"delta":{"content":"hi "}}]}\n\n'),
        message("response_body", body=b"data: [DONE]\n\n"),
        message("response_body", body=b"", end_of_stream=True),
    ]


async def outcome(context: Context, parts: Services) -> str:
    """`ok`, `aborted` or `cancelled`: how the call ended for Envoy."""
    session = Session(parts, context)
    try:
        async with asyncio.timeout(10):
            await session.run()
    except Aborted:
        return "aborted"
    except asyncio.CancelledError:
        return "cancelled"
    return "ok"
