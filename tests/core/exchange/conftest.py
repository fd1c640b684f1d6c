"""A playbook around one exchange: events in, actions out, and a journal whose durability the test decides."""

import json
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from extproc.core import events as ev
from extproc.core.actions import (
    Abort,
    Action,
    ClaimGrant,
    Finish,
    ForwardRequest,
    OpenApproval,
    ReleaseBody,
    ReleaseHeaders,
    Respond,
    StoreContent,
    StoreRecord,
    VerifyToken,
)
from extproc.core.approval import Approval, ApprovalState
from extproc.core.exchange import Exchange
from extproc.core.headers import Headers
from extproc.core.identity import Principal
from extproc.core.masking.scanner import Scanner
from extproc.core.masking.settings import MaskingSettings
from extproc.core.originals import SealOriginal
from extproc.core.policy import AtLeast, Budget, Effect, HoldTerms, Match, Operation, Policy, Rule
from extproc.core.record import Direction
from extproc.core.snapshot import Connection, Limits, Snapshot
from extproc.core.trust import Secret
from tests.approvals.votes import granted

PRINCIPAL = Principal(issuer="https://issuer", subject="analyst", name="Analyst", groups=("analysts",))
HOLD = HoldTerms(approver_groups=("approvers",), wait_seconds=30.0, expire_seconds=3600.0, detach=False)
RULES = (
    Rule("allow-chat", Effect.ALLOW, Match(groups=("analysts",)), "", None),
    Rule("hold-bulk", Effect.HOLD, Match(at_least=AtLeast(max_tokens=2000)), "Bulk needs an approval.", HOLD),
    Rule("deny-admin", Effect.DENY, Match(operations=(Operation.MODEL_ADMIN,)), "No model changes.", None),
)


MODEL = (Connection(name="model", path_prefix="/", credential=Secret("model-key")),)


def make_snapshot(
    limits: Limits | None = None,
    rules: tuple[Rule, ...] = RULES,
    seal: SealOriginal | None = None,
    budgets: tuple[Budget, ...] = (),
    connections: tuple[Connection, ...] = MODEL,
) -> Snapshot:
    masking = MaskingSettings()
    return Snapshot(
        policy=Policy(digest="sha256:test", name="test", rules=rules, masking=masking, budgets=budgets),
        scanner=Scanner(masking),
        connections=connections,
        limits=limits or Limits(),
        digest_key=Secret("k" * 32),
        seal=seal,
    )


@dataclass
class Play:
    """`durable`: how much of what was stored counts as on disk; `sync()` makes all of it so and says it."""

    limits: Limits | None = None
    actions: list[Action] = field(default_factory=list)
    stored: list[StoreRecord | StoreContent] = field(default_factory=list)
    durable: int = 0
    at: float = 1000.0
    auto_sync: bool = True
    accepting: bool = True
    seal: SealOriginal | None = None
    budgets: tuple[Budget, ...] = ()
    started_unix: float = 1_700_000_000.0
    connections: tuple[Connection, ...] = MODEL

    def __post_init__(self) -> None:
        self.exchange = Exchange(
            "ex-1",
            make_snapshot(self.limits, seal=self.seal, budgets=self.budgets, connections=self.connections),
            started_unix=self.started_unix,
            started_at=self.at,
            accepting=self.accepting,
        )

    def feed(self, event: ev.Event) -> list[Action]:
        fresh = list(self.exchange.receive(event))
        self._take(fresh)
        if self.auto_sync:
            fresh += self.sync()
        return fresh

    def _take(self, fresh: list[Action]) -> None:
        for action in fresh:
            if isinstance(action, StoreRecord | StoreContent):
                self.stored.append(action)
        self.actions += fresh

    def sync(self, entries: int | None = None) -> list[Action]:
        """Make the next `entries` stored things durable (None: all)."""
        fresh: list[Action] = []
        target = len(self.stored) if entries is None else min(len(self.stored), self.durable + entries)
        while self.durable < target:
            self.durable = target
            more = list(self.exchange.receive(ev.Stored(self.stored[target - 1].ticket, self.tick())))
            self._take(more)
            fresh += more
            target = len(self.stored) if entries is None else target
        return fresh

    def tick(self) -> float:
        self.at += 0.001
        return self.at

    # -- steps

    def request_headers(
        self, path: str = "/v1/chat/completions", method: str = "POST", *, eos: bool = False, **more: str
    ) -> list[Action]:
        pairs = {
            ":method": method,
            ":path": path,
            "authorization": "Bearer aaa.bbb.ccc",
            "content-type": "application/json",
            **{name.replace("_", "-"): value for name, value in more.items()},
        }
        headers = Headers(tuple((name, value.encode()) for name, value in pairs.items()))
        return self.feed(ev.RequestHeaders(headers, eos, ev.Attributes(source_address="192.0.2.1:1"), self.tick()))

    def verified(self, principal: Principal = PRINCIPAL) -> list[Action]:
        return self.feed(ev.TokenVerified(principal, self.tick()))

    def body(self, document: Any, *, eos: bool = True) -> list[Action]:
        data = document if isinstance(document, bytes) else json.dumps(document).encode()
        return self.feed(ev.RequestBody(data, eos, self.tick()))

    def forwarded(self, document: Any) -> list[Action]:
        """All the way to the model server."""
        self.request_headers()
        self.verified()
        return self.body(document)

    def response_headers(
        self, content_type: str = "text/event-stream", status: int = 200, *, eos: bool = False, **more: str
    ) -> list[Action]:
        pairs = {
            ":status": str(status),
            "content-type": content_type,
            **{k.replace("_", "-"): v for k, v in more.items()},
        }
        headers = Headers(tuple((name, value.encode()) for name, value in pairs.items()))
        return self.feed(ev.ResponseHeaders(headers, eos, ev.Attributes(), self.tick()))

    def response_body(self, data: bytes, *, eos: bool = False) -> list[Action]:
        return self.feed(ev.ResponseBody(data, eos, self.tick()))

    def approval(self, state: ApprovalState, **changes: Any) -> Approval:
        request = next(a.request for a in self.actions if isinstance(a, OpenApproval))
        fields = {name: getattr(request, name) for name in request.__slots__ if name != "preview"}
        asked = Approval(**{**fields, "state": ApprovalState.PENDING, **changes})
        return granted(asked) if state is ApprovalState.GRANTED else replace(asked, state=state)

    # -- what happened

    def of(self, kind: type) -> list[Any]:
        return [action for action in self.actions if isinstance(action, kind)]

    @property
    def forwards(self) -> list[ForwardRequest]:
        return self.of(ForwardRequest)

    @property
    def answers(self) -> list[Respond]:
        return self.of(Respond)

    @property
    def released(self) -> bytes:
        return b"".join(action.data for action in self.of(ReleaseBody))

    @property
    def records(self) -> list[Any]:
        return [entry.record for entry in self.stored if isinstance(entry, StoreRecord)]

    def transcript(self, direction: Direction, upto: int | None = None) -> bytes:
        entries = self.stored if upto is None else self.stored[:upto]
        return b"".join(e.data for e in entries if isinstance(e, StoreContent) and e.direction is direction)

    @property
    def ended_cleanly(self) -> bool:
        return bool(self.of(Finish))

    @property
    def aborted(self) -> bool:
        return bool(self.of(Abort))


@pytest.fixture
def play() -> type[Play]:
    return Play


@pytest.fixture
def kinds() -> dict[str, type]:
    """Action types by name, for tests that only ask whether one happened."""
    return {
        kind.__name__: kind
        for kind in (
            Abort,
            ClaimGrant,
            Finish,
            ForwardRequest,
            OpenApproval,
            ReleaseBody,
            ReleaseHeaders,
            Respond,
            VerifyToken,
        )
    }
