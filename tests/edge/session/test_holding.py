"""An approval as one session carries it: nothing that goes wrong grants, and nothing that was opened stays open."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from dataclasses import replace
from typing import Any

import pytest

from extproc.core import events
from extproc.core.actions import AttachApproval, ClaimGrant, OpenApproval, WithdrawApproval
from extproc.core.approval import Approval, ApprovalRequest, ApprovalState, open_approval
from extproc.core.reasons import Reason, Unavailable
from extproc.core.trust import Masked
from extproc.edge.holding import Holding

REQUEST = ApprovalRequest(
    "a-1", "x-1", "i|s", "n", "bulk", "", "sha256:0", "digest", "model", "chat", "m", (), ("approvers",), 1000.0, 1100.0,
    Masked(b"{}"),
)  # fmt: skip


class Desk:
    """One approval, a door that can be kept shut, and a log of the calls."""

    def __init__(self) -> None:
        self.down = False
        self.door = asyncio.Event()
        self.door.set()
        self.found: Approval | None = open_approval(REQUEST)
        self.wins = True
        self.calls: list[tuple[str, ...]] = []
        self.watchers: list[Callable[[Approval | None], None]] = []

    async def _call(self, *call: str) -> None:
        self.calls.append(call)
        await self.door.wait()
        if self.down:
            raise Unavailable(Reason.APPROVALS_UNAVAILABLE)

    async def open(self, request: ApprovalRequest) -> Approval:
        await self._call("open")
        return open_approval(request)

    async def find(self, approval_id: str) -> Approval | None:
        await self._call("find", approval_id)
        return self.found

    async def claim(self, *bound: str) -> bool:
        await self._call("claim", *bound)
        return self.wins

    async def withdraw(self, approval_id: str) -> bool:
        await self._call("withdraw", approval_id)
        return self.wins

    def watch(self, approval_id: str, on_change: Callable[[Approval | None], None]) -> Callable[[], None]:
        self.watchers.append(on_change)
        return lambda: self.watchers.remove(on_change)


class Session:
    """What a session gives its holding: work that ends with it, and work that outlives it."""

    def __init__(self) -> None:
        self.desk = Desk()
        self.held = True
        self.told: list[str] = []
        self.own: set[asyncio.Task[None]] = set()
        self.beyond: set[asyncio.Task[None]] = set()
        self.holding = Holding(
            self.desk,  # type: ignore[arg-type]
            feed=lambda event: self.told.append(self._name(event)),
            held=lambda: self.held,
            start=lambda work: self._start(self.own, work),
            start_beyond=lambda work: self._start(self.beyond, work),
        )

    @staticmethod
    def _name(event: events.Event) -> str:
        return event.approval.state.value if isinstance(event, events.ApprovalSeen) else type(event).__name__

    @staticmethod
    def _start(tasks: set[asyncio.Task[None]], work: Coroutine[Any, Any, None]) -> None:
        tasks.add(asyncio.create_task(work))

    async def settle(self) -> None:
        for _ in range(5):
            await asyncio.sleep(0)

    async def leave(self) -> None:
        """As the session does: its own work is cancelled, what is beyond it goes on."""
        for task in self.own:
            task.cancel()
        self.holding.close()
        await self.settle()


@pytest.fixture
async def session() -> AsyncIterator[Session]:
    made = Session()
    yield made
    for task in made.own | made.beyond:
        task.cancel()


async def test_what_is_opened_is_told_and_watched_until_the_session_ends(session: Session) -> None:
    session.holding.open(OpenApproval(REQUEST))
    await session.settle()
    assert session.told == ["pending"]
    (tell,) = session.desk.watchers
    tell(replace(open_approval(REQUEST), state=ApprovalState.GRANTED))
    tell(None)
    assert session.told == ["pending", "granted", "ApprovalsFailed"]
    await session.leave()
    assert session.desk.watchers == []


async def test_an_approval_that_arrives_too_late_is_told_and_not_watched(session: Session) -> None:
    """The client left while the store was opening it: the work outlives the session, and the exchange withdraws it."""
    session.desk.door.clear()
    session.holding.open(OpenApproval(REQUEST))
    await session.settle()
    session.held = False
    await session.leave()
    session.desk.door.set()
    await session.settle()
    assert (session.told, session.desk.watchers) == (["pending"], [])


async def test_a_withdrawal_that_does_nothing_is_told(session: Session) -> None:
    session.desk.wins = False
    session.holding.withdraw(WithdrawApproval("a-1"))
    await session.settle()
    assert session.told == ["WithdrawalFailed"]


async def test_a_withdrawal_outlives_the_session(session: Session) -> None:
    session.holding.open(OpenApproval(REQUEST))
    await session.settle()
    session.holding.withdraw(WithdrawApproval("a-1"))
    await session.leave()
    assert session.desk.calls[1:] == [("withdraw", "a-1")]


async def test_nothing_is_watched_for_an_exchange_that_is_no_longer_held(session: Session) -> None:
    session.held = False
    session.holding.open(OpenApproval(REQUEST))
    await session.settle()
    assert session.desk.watchers == []


@pytest.mark.parametrize("ask", ["open", "attach", "claim", "withdraw"])
async def test_a_store_that_is_down_fails_and_never_grants(session: Session, ask: str) -> None:
    session.desk.down = True
    {
        "open": lambda: session.holding.open(OpenApproval(REQUEST)),
        "attach": lambda: session.holding.attach(AttachApproval("a-1")),
        "claim": lambda: session.holding.claim(ClaimGrant("a-1", "digest"), "i|s"),
        "withdraw": lambda: session.holding.withdraw(WithdrawApproval("a-1")),
    }[ask]()
    await session.settle()
    assert session.told == ["WithdrawalFailed" if ask == "withdraw" else "ApprovalsFailed"]
    assert all(task.done() and task.exception() is None for task in session.own | session.beyond)


async def test_an_unknown_approval_is_missing(session: Session) -> None:
    session.desk.found = None
    session.holding.attach(AttachApproval("a-9"))
    await session.settle()
    assert (session.told, session.desk.watchers) == (["ApprovalMissing"], [])


@pytest.mark.parametrize(("wins", "told"), [(True, "GrantClaimed"), (False, "GrantLost")])
async def test_a_grant_is_claimed_for_the_request_and_its_requester(session: Session, wins: bool, told: str) -> None:
    session.desk.wins = wins
    session.holding.claim(ClaimGrant("a-1", "digest"), "i|s")
    await session.settle()
    assert (session.told, session.desk.calls) == ([told], [("claim", "a-1", "digest", "i|s")])
