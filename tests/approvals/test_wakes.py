"""Wakes: a change anywhere is told without asking for it, a lost connection is asked around, nobody's wait costs nothing."""

import asyncio
import contextlib
import threading
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from typing import Any

import pytest

from extproc.approvals import desk as desk_module
from extproc.approvals.desk import Desk
from extproc.approvals.settings import ApprovalSettings
from extproc.approvals.store import ApprovalStore
from extproc.approvals.wakes import Source
from extproc.core.approval import Approval, ApprovalRequest
from extproc.core.identity import Principal
from extproc.core.reasons import Reason, Unavailable
from tests.approvals.postgres_server import PostgresServer
from tests.approvals.votes import decide

Ask = Callable[..., ApprovalRequest]
NEVER = 60.0
"""Seconds between questions, where only a wake can be in time."""
NOW = 1001.0


class Told:
    """What those who wait were told, by approval."""

    def __init__(self) -> None:
        self.states: dict[str, str | None] = {}
        self._changed = asyncio.Event()

    def watch(self, desk: Desk, approval_id: str) -> Callable[[], None]:
        def on_change(approval: Approval | None) -> None:
            self.states[approval_id] = None if approval is None else approval.state.value
            self._changed.set()

        return desk.watch(approval_id, on_change)

    async def wait(self, approval_id: str) -> str | None:
        async with asyncio.timeout(8):
            while approval_id not in self.states:
                self._changed.clear()
                await self._changed.wait()
        return self.states[approval_id]


@contextlib.asynccontextmanager
async def running(
    store: ApprovalStore, poll: float = NEVER, look: float = NEVER, clock: Callable[[], float] = lambda: NOW
) -> AsyncIterator[Desk]:
    desk = Desk(store, ApprovalSettings("", poll), clock=clock, lost_seconds=NEVER, look_seconds=look)
    poller = asyncio.create_task(desk.run())
    try:
        yield desk
    finally:
        poller.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await poller


@dataclass(frozen=True)
class Elsewhere:
    """Grants by a store object that the desk knows nothing of."""

    store: ApprovalStore
    approver: Principal

    def grant(self, approval_id: str) -> None:
        pending = self.store.find(approval_id, NOW)
        assert pending is not None
        assert self.store.vote(decide(pending, self.approver, True, "fine", NOW))


@pytest.fixture
def elsewhere(database: str, open_at: Callable[[str], ApprovalStore], approver: Principal) -> Elsewhere:
    return Elsewhere(open_at(database), approver)


async def test_a_grant_elsewhere_wakes_whoever_waits(store: ApprovalStore, elsewhere: Elsewhere, ask: Ask) -> None:
    told = Told()
    async with running(store) as desk:
        for name in "abc":
            told.watch(desk, (await desk.open(ask(name))).approval_id)
        for name in "abc":
            elsewhere.grant(name)
            assert await told.wait(name) == "granted"
    assert "approvals-wakes" not in {thread.name for thread in threading.enumerate()}, "it ends with the desk"


@pytest.mark.parametrize("database", ["postgresql"], indirect=True)
async def test_postgresql_wakes_again_after_it_was_stopped_and_started(
    store: ApprovalStore, elsewhere: Elsewhere, ask: Ask, postgres_server: PostgresServer
) -> None:
    told = Told()
    async with running(store) as desk:
        for name in "abc":
            told.watch(desk, (await desk.open(ask(name))).approval_id)
        elsewhere.grant("a")
        assert await told.wait("a") == "granted"
        await asyncio.to_thread(postgres_server.stop)
        await asyncio.to_thread(postgres_server.start)
        for name in "bc":
            elsewhere.grant(name)
            assert await told.wait(name) == "granted"


async def test_a_lost_connection_falls_back_to_the_poll(
    store: ApprovalStore, elsewhere: Elsewhere, ask: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    sources: list[Any] = []
    real = store.open_source

    def once(wanted: threading.Event) -> Source | None:
        if sources:
            raise Unavailable(Reason.APPROVALS_UNAVAILABLE)
        sources.append(real(wanted))
        return sources[0]

    monkeypatch.setattr(store, "open_source", once)
    told = Told()
    async with running(store, poll=0.05) as desk:
        for name in "abc":
            told.watch(desk, (await desk.open(ask(name))).approval_id)
        elsewhere.grant("a")
        assert await told.wait("a") == "granted"
        sources[0].close()
        for name in "bc":
            elsewhere.grant(name)
            assert await told.wait(name) == "granted"


class Deaf:
    """A source to which every wake is lost."""

    def __init__(self) -> None:
        self.closed = threading.Event()

    def wait(self) -> bool:
        self.closed.wait(0.02)
        return False

    def close(self) -> None:
        self.closed.set()


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
@pytest.mark.parametrize(
    ("source", "poll", "look"), [(Deaf, NEVER, 0.1), (lambda: None, 0.1, NEVER)], ids=["lost", "none"]
)
async def test_a_lost_wake_is_healed_and_where_none_comes_it_is_asked(  # noqa: PLR0917 - fixtures
    store: ApprovalStore,
    elsewhere: Elsewhere,
    ask: Ask,
    monkeypatch: pytest.MonkeyPatch,
    source: Callable[[], Source | None],
    poll: float,
    look: float,
) -> None:
    monkeypatch.setattr(store, "open_source", lambda _wanted: source())
    told = Told()
    async with running(store, poll, look) as desk:
        for name in "ab":
            told.watch(desk, (await desk.open(ask(name))).approval_id)
        for name in "ab":
            elsewhere.grant(name)
            assert await told.wait(name) == "granted"


async def test_only_what_changed_is_read_and_nothing_while_nobody_waits(
    store: ApprovalStore, elsewhere: Elsewhere, ask: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[int] = []

    def counted(name: str) -> None:
        real = getattr(store, name)

        def count(*args: Any) -> Any:
            found = real(*args)
            read.append(found if isinstance(found, int) else len(found))
            return found

        monkeypatch.setattr(store, name, count)

    told = Told()
    async with running(store, poll=0.02) as desk:
        unwatches = [told.watch(desk, (await desk.open(ask(f"a-{at}"))).approval_id) for at in range(20)]
        elsewhere.grant("a-0")
        assert await told.wait("a-0") == "granted"
        async with asyncio.timeout(30):
            while len(desk._known) < 20:  # a look that began before the last of them were watched may tell of the first
                await asyncio.sleep(0.01)
        for name in ("find_all", "changed_since"):
            counted(name)
        elsewhere.grant("a-1")
        assert await told.wait("a-1") == "granted"
        assert max(read) == 1
        for unwatch in unwatches:
            unwatch()
        counted("revision")
        monkeypatch.setattr(store._database, "require", lambda: read.append(1))
        async with asyncio.timeout(5):
            while read:  # what had begun comes to its end
                read.clear()
                await asyncio.sleep(0.2)
        await asyncio.to_thread(elsewhere.grant, "a-2")
        await asyncio.sleep(0.1)
        assert read == []


async def test_more_changes_than_are_read_at_once_are_all_told(
    store: ApprovalStore, elsewhere: Elsewhere, ask: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(desk_module, "MAX_CHANGES", 2)
    told = Told()
    async with running(store) as desk:
        for name in "abcdefg":
            told.watch(desk, (await desk.open(ask(name))).approval_id)
        elsewhere.grant("a")
        assert await told.wait("a") == "granted"
        for name in "bcdefg":
            elsewhere.grant(name)
        assert [await told.wait(name) for name in "bcdefg"] == ["granted"] * 6


async def test_the_end_of_its_time_is_told_though_nobody_changed_anything(
    sqlite_store: ApprovalStore, ask: Ask
) -> None:
    told, times = Told(), [NOW]
    async with running(sqlite_store, poll=0.05, clock=lambda: times[-1]) as desk:
        for name in "ab":
            told.watch(desk, (await desk.open(ask(name))).approval_id)
        await desk.withdraw("a")
        assert await told.wait("a") == "withdrawn"
        await asyncio.sleep(0.3)  # no wake is under way any more
        times.append(1100.0)
        assert await told.wait("b") == "expired"


async def test_many_are_opened_together_and_one_that_cannot_be_costs_no_other(
    sqlite_store: ApprovalStore, ask: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    together: list[int] = []
    real = sqlite_store.open_all

    def counted(requests: Sequence[ApprovalRequest]) -> list[Approval]:
        together.append(len(requests))
        return real(requests)

    desk = Desk(sqlite_store, ApprovalSettings("", NEVER), clock=lambda: NOW)
    await desk.open(ask("a-1"))
    monkeypatch.setattr(sqlite_store, "open_all", counted)
    names = [f"a-{at}" for at in range(2, 102)]
    opened = await asyncio.gather(*(desk.open(ask(name)) for name in names))
    assert [approval.approval_id for approval in opened] == names
    assert len(together) <= 5
    found = await asyncio.gather(*(desk.open(ask(name)) for name in ("b-1", "a-1", "b-2")), return_exceptions=True)
    assert [isinstance(one, Unavailable) for one in found] == [False, True, False]
