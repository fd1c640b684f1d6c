"""The desk in an event loop: wake-ups, expiry, a lost store, and a loop that is never blocked."""

import asyncio
import contextlib
import sqlite3
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path

import pytest

from extproc.approvals import store_threads
from extproc.approvals.desk import Desk
from extproc.approvals.settings import ApprovalSettings
from extproc.approvals.store import ApprovalStore
from extproc.core.approval import Approval, ApprovalRequest, ApprovalState, open_approval
from extproc.core.identity import Principal
from extproc.core.reasons import Unavailable
from tests.approvals.votes import decide

Ask = Callable[..., ApprovalRequest]
POLL = 0.05


class Clock:
    """Unix seconds that the test sets."""

    def __init__(self) -> None:
        self.now = 1001.0

    def __call__(self) -> float:
        return self.now


class Seen:
    """What a watcher was told."""

    def __init__(self) -> None:
        self.states: list[str | None] = []
        self.changed = asyncio.Event()

    def __call__(self, approval: Approval | None) -> None:
        self.states.append(None if approval is None else approval.state.value)
        self.changed.set()

    async def wait(self) -> str | None:
        await asyncio.wait_for(self.changed.wait(), 10)
        self.changed.clear()
        return self.states[-1]


@contextlib.asynccontextmanager
async def running(desk: Desk) -> AsyncIterator[Desk]:
    poller = asyncio.create_task(desk.run())
    try:
        yield desk
    finally:
        poller.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await poller


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def make_desk(clock: Clock) -> Callable[..., Desk]:
    def make(store: ApprovalStore, lost_seconds: float = 5.0) -> Desk:
        return Desk(store, ApprovalSettings("", POLL), clock=clock, lost_seconds=lost_seconds)

    return make


async def test_the_whole_way_of_a_hold(
    store: ApprovalStore, ask: Ask, approver: Principal, clock: Clock, make_desk: Callable[..., Desk]
) -> None:
    request = ask("apr-1")
    async with running(make_desk(store)) as desk:
        seen = Seen()
        approval = await desk.open(request)
        unwatch = desk.watch("apr-1", seen)
        await asyncio.sleep(3 * POLL)
        assert seen.states == [], "still pending, as the watcher knows"
        assert store.vote(decide(approval, approver, True, "fine", clock.now))
        assert await seen.wait() == "granted"
        assert not await desk.claim("apr-1", "another", request.requester_uid)
        claims = [desk.claim("apr-1", request.request_digest, request.requester_uid) for _ in range(4)]
        assert sorted(await asyncio.gather(*claims)) == [False, False, False, True]
        assert await seen.wait() == "used"
        unwatch()
        unwatch()
        found = await desk.find("apr-1")
        assert found is not None
        assert found.state is ApprovalState.USED
        assert await desk.find("apr-2") is None


async def test_a_wake_up_takes_about_one_poll(
    sqlite_store: ApprovalStore, ask: Ask, approver: Principal, clock: Clock, make_desk: Callable[..., Desk]
) -> None:
    waits = []
    async with running(make_desk(sqlite_store)) as desk:
        for index in range(10):
            seen = Seen()
            approval = await desk.open(ask(f"apr-{index}"))
            unwatch = desk.watch(approval.approval_id, seen)
            await asyncio.sleep(POLL * index / 10)
            assert sqlite_store.vote(decide(approval, approver, True, "fine", clock.now))
            decided = time.perf_counter()
            assert await seen.wait() == "granted"
            waits.append(time.perf_counter() - decided)
            unwatch()
    assert sorted(waits)[len(waits) // 2] < 2 * POLL, waits


async def test_one_question_serves_all_that_wait_and_none_is_asked_for_nobody(  # noqa: PLR0917 - fixtures
    sqlite_store: ApprovalStore,
    ask: Ask,
    approver: Principal,
    clock: Clock,
    make_desk: Callable[..., Desk],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: list[int] = []
    find_all = sqlite_store.find_all

    def counted(approval_ids: list[str], now: float) -> dict[str, Approval]:
        asked.append(len(approval_ids))
        return find_all(approval_ids, now)

    monkeypatch.setattr(sqlite_store, "find_all", counted)
    async with running(make_desk(sqlite_store)) as desk:
        await asyncio.sleep(3 * POLL)
        assert asked == []
        watchers = [Seen() for _ in range(100)]
        approvals = [await desk.open(ask(f"apr-{index}")) for index in range(50)]
        unwatches = [desk.watch(f"apr-{index % 50}", seen) for index, seen in enumerate(watchers)]
        await asyncio.sleep(3 * POLL)
        assert asked[-1] == 50
        assert len(asked) <= 5
        sqlite_store.vote(decide(approvals[7], approver, False, "no", clock.now))
        assert await watchers[7].wait() == "refused"
        assert await watchers[57].wait() == "refused"
        assert sum(len(seen.states) for seen in watchers) == 2
        for unwatch in unwatches:
            unwatch()
        await asyncio.sleep(2 * POLL)
        count = len(asked)
        await asyncio.sleep(3 * POLL)
        assert len(asked) == count


async def test_expiry_is_told_and_ends_a_grant(
    store: ApprovalStore, ask: Ask, approver: Principal, clock: Clock, make_desk: Callable[..., Desk]
) -> None:
    async with running(make_desk(store)) as desk:
        pending, granted = Seen(), Seen()
        await desk.open(ask("apr-1"))
        store.vote(decide(await desk.open(ask("apr-2")), approver, True, "fine", clock.now))
        desk.watch("apr-1", pending)
        desk.watch("apr-2", granted)
        assert await granted.wait() == "granted"
        clock.now = 1100.0
        assert await pending.wait() == "expired"
        assert await granted.wait() == "expired"
        assert not await desk.claim("apr-2", "digest-apr-2", "https://idp.test|analyst")


async def test_a_change_before_the_watch_began_is_told(
    sqlite_store: ApprovalStore, ask: Ask, approver: Principal, clock: Clock, make_desk: Callable[..., Desk]
) -> None:
    desk = make_desk(sqlite_store)
    sqlite_store.vote(decide(await desk.open(ask("apr-1")), approver, True, "fine", clock.now))
    async with running(desk):
        seen = Seen()
        desk.watch("apr-1", seen)
        assert await seen.wait() == "granted"


async def test_withdrawing_is_told_and_final(
    store: ApprovalStore, ask: Ask, approver: Principal, clock: Clock, make_desk: Callable[..., Desk]
) -> None:
    async with running(make_desk(store)) as desk:
        seen = Seen()
        pending = await desk.open(ask("apr-1"))
        desk.watch("apr-1", seen)
        await desk.withdraw("apr-1")
        assert await seen.wait() == "withdrawn"
        assert not store.vote(decide(pending, approver, True, "too late", clock.now))
        await desk.withdraw("apr-1")
        await desk.withdraw("apr-2")


async def test_after_unwatch_nobody_is_called(
    sqlite_store: ApprovalStore, ask: Ask, make_desk: Callable[..., Desk]
) -> None:
    async with running(make_desk(sqlite_store)) as desk:
        seen = Seen()
        await desk.open(ask("apr-1"))
        desk.watch("apr-1", seen)()
        await desk.withdraw("apr-1")
        await asyncio.sleep(3 * POLL)
        assert seen.states == []


async def test_after_unwatch_not_even_what_is_under_way_is_told(
    sqlite_store: ApprovalStore, make_desk: Callable[..., Desk]
) -> None:
    desk, seen = make_desk(sqlite_store), Seen()
    unwatch = desk.watch("a-1", seen)
    desk._tell(next(iter(desk._watches["a-1"])), None)
    unwatch()
    await asyncio.sleep(0)
    assert seen.states == []


async def test_a_watcher_that_fails_stops_nobody_else(
    sqlite_store: ApprovalStore, ask: Ask, make_desk: Callable[..., Desk]
) -> None:
    def broken(_approval: Approval | None) -> None:
        raise RuntimeError("a mistake in one exchange")

    reported: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: reported.append(context["exception"]))
    async with running(make_desk(sqlite_store)) as desk:
        first, second = Seen(), Seen()
        for approval_id, seen in (("apr-1", first), ("apr-2", second)):
            await desk.open(ask(approval_id))
            desk.watch(approval_id, broken)
            desk.watch(approval_id, seen)
            await desk.withdraw(approval_id)
            assert await seen.wait() == "withdrawn"
    assert [type(error) for error in reported] == [RuntimeError, RuntimeError]


async def test_a_lost_store_is_told_after_a_while_and_a_short_outage_is_not(
    tmp_path: Path, sqlite_store: ApprovalStore, ask: Ask, make_desk: Callable[..., Desk]
) -> None:
    path, aside = tmp_path / "approvals.db", tmp_path / "aside.db"
    async with running(make_desk(sqlite_store, lost_seconds=1.0)) as desk:
        seen = Seen()
        await desk.open(ask("apr-1"))
        desk.watch("apr-1", seen)
        path.rename(aside)
        await asyncio.sleep(0.3)
        aside.rename(path)
        await asyncio.sleep(1.0)
        assert seen.states == []
        path.rename(aside)
        lost = time.monotonic()
        assert await seen.wait() is None
        assert 0.8 < time.monotonic() - lost < 3
        for call in (desk.open(ask("apr-2")), desk.find("apr-1"), desk.withdraw("apr-1"), desk.claim("apr-1", "", "")):
            with pytest.raises(Unavailable):
                await call
        await asyncio.sleep(3 * POLL)
        assert seen.states == [None], "told once"
        aside.rename(path)
        assert await desk.find("apr-1") == replace(open_approval(ask("apr-1")), revision=1)


async def test_an_approval_that_the_store_lost_is_told(
    sqlite_store: ApprovalStore, make_desk: Callable[..., Desk]
) -> None:
    async with running(make_desk(sqlite_store)) as desk:
        seen = Seen()
        desk.watch("apr-unknown", seen)
        assert await seen.wait() is None


async def test_a_locked_store_blocks_neither_the_loop_nor_a_call_for_long(
    tmp_path: Path,
    sqlite_store: ApprovalStore,
    ask: Ask,
    make_desk: Callable[..., Desk],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(store_threads, "CALL_SECONDS", 0.5)
    desk = make_desk(sqlite_store)
    blocker = sqlite3.connect(tmp_path / "approvals.db", isolation_level=None)
    blocker.execute("BEGIN IMMEDIATE")
    began = time.monotonic()
    gaps = []

    async def tick() -> None:
        while True:
            before = time.monotonic()
            await asyncio.sleep(0.01)
            gaps.append(time.monotonic() - before)

    ticker = asyncio.create_task(tick())
    results = await asyncio.gather(*(desk.open(ask(f"apr-{n}")) for n in range(8)), return_exceptions=True)
    ticker.cancel()
    assert all(isinstance(result, Unavailable) for result in results)
    assert time.monotonic() - began < 1.5
    assert max(gaps) < 0.3
    blocker.execute("ROLLBACK")
    blocker.close()
