"""Mixed traffic for a policy: requests of several people and dialects, each played through a real exchange."""

import json
import random
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

from extproc.core import events as ev
from extproc.core.actions import (
    Action,
    ClaimGrant,
    ForwardRequest,
    OpenApproval,
    StoreContent,
    StoreRecord,
    VerifyToken,
)
from extproc.core.approval import ApprovalState, open_approval
from extproc.core.exchange import Exchange
from extproc.core.headers import Headers
from extproc.core.identity import Principal
from extproc.core.masking.scanner import Scanner
from extproc.core.policy import Policy
from extproc.core.record import Record
from extproc.core.snapshot import Connection, Limits, Snapshot
from extproc.core.trust import Secret
from tests.approvals.votes import granted

BEGAN = 1_795_600_000.0
"""2026-11-25, in the morning (UTC)."""
PAN = "4111 1111 1111 1111"
PEOPLE = (
    Principal("https://idp", "ann", "Ann", ("analysts",), tenant="acme", methods=("pwd", "mfa"), mfa=True),
    Principal("https://idp", "bo|x", f"Bo {PAN}", ("staff", "analysts"), context_class="urn:high"),
    Principal("https://idp", "cy", "Cy", (), authenticated_at=int(BEGAN) - 7200),
    Principal("https://other", "batch", "", ("jobs",), kind="service", client="cron", spiffe_id="spiffe://a/batch"),
)
CONNECTIONS = (Connection("small", "/small"), Connection("large", "/"))
MODELS = ("llama-3-8b", "llama-3-70b", "mistral-7b")
PATHS = ("/v1/chat/completions", "/v1/completions", "/v1/embeddings", "/v1/models", "/v1/load_lora_adapter", "/x")
ANSWERS = ("all is well", f"the card is {PAN}", f"{PAN} and 5555-5555-5555-4444 and {PAN}, " * 4)


@dataclass(frozen=True, slots=True)
class Request:
    """One request, what the model server answers if it is asked, and whether a hold is granted."""

    number: int
    at: float
    who: Principal
    method: str
    path: str
    body: bytes
    answer: str
    granted: bool

    @property
    def exchange_id(self) -> str:
        return f"{int(self.at * 1000):012x}-{self.number:016x}"


def requests(count: int, seed: int, *, began: float = BEGAN, apart: float = 421.137) -> Iterator[Request]:
    """The same for the same seed; by itself a few minutes apart, so that hours and days of the week pass."""
    choose = random.Random(seed)
    for number in range(count):
        path = choose.choice(PATHS)
        body: dict[str, Any] = {"model": choose.choice(MODELS), "max_tokens": choose.choice((1, 16, 4000, 5000))}
        text = choose.choice(("hello", f"pay with {PAN}", "cvv: 737, please", "x" * 400))
        match path:
            case "/v1/chat/completions":
                body["messages"] = [{"role": "user", "content": text}] * choose.choice((1, 2, 9))
                if choose.random() < 0.4:
                    tools = choose.sample(("search", "shell", "sql"), choose.choice((1, 2)))
                    body["tools"] = [{"type": "function", "function": {"name": name}} for name in tools]
            case "/v1/completions":
                body |= {"prompt": text, "n": choose.choice((1, 3))}
            case "/v1/embeddings":
                body = {"model": body["model"], "input": [text] * choose.choice((1, 40))}
            case "/v1/load_lora_adapter":
                body = {"lora_name": "llama-3-8b"}
            case _:
                body = {}
        yield Request(
            number,
            began + number * apart,
            choose.choice(PEOPLE),
            "GET" if path == "/v1/models" else "POST",
            choose.choice(("", "/small")) + path,
            b"" if path == "/v1/models" else json.dumps(body).encode(),
            choose.choice(ANSWERS),
            choose.random() < 0.7,
        )


class Player:
    """Plays requests under one policy. What is recorded goes to `store` and counts as durable at once."""

    def __init__(self, policy: Policy, store: Callable[[Record], object]) -> None:
        self._snapshot = Snapshot(
            policy=policy,
            scanner=Scanner(policy.masking),
            connections=CONNECTIONS,
            limits=Limits(),
            digest_key=Secret("k" * 32),
        )
        self._store = store
        self._events: deque[ev.Event] = deque()

    def play(self, request: Request) -> Record:
        """The record that ends it."""
        self._exchange = Exchange(
            request.exchange_id, self._snapshot, started_unix=request.at, started_at=100.0, accepting=True
        )
        self._request, self._at = request, 100.0
        self._records: list[Record] = []
        pairs = (
            (":method", request.method),
            (":path", request.path),
            ("authorization", "Bearer aaa.bbb.ccc"),
            ("content-type", "application/json"),
        )
        headers = Headers(tuple((name, value.encode()) for name, value in pairs))
        source = ev.Attributes(source_address="192.0.2.7:4711")
        self._feed(ev.RequestHeaders(headers, not request.body, source, self._tick()))
        while self._events:
            for action in self._exchange.receive(self._events.popleft()):
                self._act(action)
        return self._records[-1]

    def _tick(self) -> float:
        self._at += 0.001
        return self._at

    def _feed(self, event: ev.Event) -> None:
        self._events.append(event)

    def _act(self, action: Action) -> None:
        request = self._request
        match action:
            case VerifyToken():
                self._feed(ev.TokenVerified(request.who, self._tick()))
                if request.body:
                    self._feed(ev.RequestBody(request.body, True, self._tick()))
            case StoreRecord():
                self._records.append(action.record)
                self._store(action.record)
                self._feed(ev.Stored(action.ticket, self._tick()))
            case StoreContent():
                self._feed(ev.Stored(action.ticket, self._tick()))
            case OpenApproval():
                asked = open_approval(action.request)
                decided = granted(asked) if request.granted else replace(asked, state=ApprovalState.REFUSED)
                self._feed(ev.ApprovalSeen(decided, self._tick()))
            case ClaimGrant():
                self._feed(ev.GrantClaimed(self._tick()))
            case ForwardRequest():
                self._answer()
            case _:
                pass

    def _answer(self) -> None:
        """A stream of events, a few words each."""
        headers = Headers(((":status", b"200"), ("content-type", b"text/event-stream")))
        self._feed(ev.ResponseHeaders(headers, False, ev.Attributes(), self._tick()))
        for at in range(0, len(self._request.answer), 16):
            event = {"choices": [{"index": 0, "delta": {"content": self._request.answer[at : at + 16]}}]}
            self._feed(ev.ResponseBody(b"data: " + json.dumps(event).encode() + b"\n\n", False, self._tick()))
        self._feed(ev.ResponseBody(b"data: [DONE]\n\n", True, self._tick()))
