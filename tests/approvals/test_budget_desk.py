"""What exchanges owe: charged in order and afterwards, tried again while the store is away, given up within a bound."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from extproc.approvals import budget_desk
from extproc.approvals.budget_desk import BudgetDesk
from extproc.approvals.desk import Desk
from extproc.approvals.late_store import LateStore
from extproc.approvals.settings import ApprovalSettings
from extproc.core import events
from extproc.core.actions import ChargeBudgets, ReadBudgets, SettleBudgets
from extproc.core.budget_charge import Charge, Counted
from extproc.core.reasons import Reason, Unavailable
from extproc.core.trust import Secret
from extproc.edge.spending import Spending

NOW = 1_700_000_000.0


class Store:
    """Counts what it is charged; `down` as long as it is told."""

    def __init__(self) -> None:
        self.down = False
        self.charged: list[int] = []
        self.forgotten = 0
        self.asked = 0
        self.refused: dict[int, Exception] = {}
        """Amounts that are never charged, and why."""
        self.broken = False

    def budgets(self, key: Secret) -> "Store":
        return self

    def _look(self) -> None:
        if self.down:
            raise Unavailable(Reason.APPROVALS_UNAVAILABLE)

    def charge(self, charges: tuple[Charge, ...], now: float) -> tuple[Counted, ...]:
        self.asked += 1
        self._look()
        for charge in charges:
            if charge.amount in self.refused:
                raise self.refused[charge.amount]
        self.charged += [charge.amount for charge in charges]
        return tuple(Counted(charge.budget, charge.amount) for charge in charges)

    def count_with(self, charges: tuple[Charge, ...], now: float) -> tuple[Counted, ...]:
        self._look()
        return tuple(Counted(charge.budget, charge.amount) for charge in charges)

    def forget_ended(self, now: float) -> int:
        self._look()
        if self.broken:
            raise KeyError("card 4111111111111111")
        self.forgotten += 1
        return 0


def owed(amount: int) -> tuple[Charge, ...]:
    return (Charge("b", "tokens per person in 60 s", "i|anna", 60.0, amount=amount),)


@pytest.fixture
def store() -> Store:
    return Store()


@pytest.fixture
def idle(store: Store) -> BudgetDesk:
    late = LateStore(lambda: store)  # type: ignore[arg-type,return-value]
    return BudgetDesk(Desk(late, ApprovalSettings("unused")), late, Secret("k" * 32), retry_seconds=0.01)


@pytest.fixture
async def running(idle: BudgetDesk) -> AsyncIterator[asyncio.Task[None]]:
    task = asyncio.create_task(idle.run())
    yield task
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


@pytest.fixture
def desk(idle: BudgetDesk, running: asyncio.Task[None]) -> BudgetDesk:
    return idle


async def asked(store: Store, times: int, running: asyncio.Task[None]) -> None:
    """Wait until the store was asked so often more, or the desk has ended."""
    end = store.asked + times
    while store.asked < end and not running.done():
        await asyncio.sleep(0.005)


async def test_what_is_owed_is_charged_in_order(desk: BudgetDesk, store: Store) -> None:
    for amount in range(1, 6):
        desk.owe(owed(amount), NOW)
    assert await desk.settled(10)
    assert store.charged == [1, 2, 3, 4, 5]
    assert store.forgotten == 1
    desk.owe(owed(6), NOW)
    assert await desk.settled(10)
    assert store.charged[-1] == 6


async def test_what_is_owed_is_tried_until_the_store_is_back(desk: BudgetDesk, store: Store) -> None:
    store.down = True
    desk.owe(owed(1), NOW)
    desk.owe(owed(2), NOW)
    assert not await desk.settled(0.05)
    assert store.charged == []
    store.down = False
    assert await desk.settled(10)
    assert (sorted(store.charged), desk.lost) == ([1, 2], 0)


FAILURES = (Unavailable(Reason.APPROVALS_UNAVAILABLE), OverflowError("4111111111111111"), RuntimeError("never seen"))


@pytest.mark.parametrize("failure", FAILURES, ids=lambda failure: type(failure).__name__)
async def test_a_charge_that_is_always_refused_stops_no_other(
    desk: BudgetDesk,
    store: Store,
    running: asyncio.Task[None],
    failure: Exception,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """And no error ends the worker's charging, nor is its text told."""
    store.refused = {1: failure, 3: failure}
    for amount in range(1, 6):
        desk.owe(owed(amount), NOW)
    await asked(store, 12, running)
    assert store.charged == [2, 4, 5]
    store.refused = {}
    assert await desk.settled(10)
    assert (sorted(store.charged), desk.lost) == ([1, 2, 3, 4, 5], 0)
    assert "4111" not in str([vars(record) for record in caplog.records])


async def test_rows_that_cannot_be_removed_end_no_charging(
    desk: BudgetDesk, store: Store, running: asyncio.Task[None]
) -> None:
    store.broken = True
    desk.owe(owed(1), NOW)
    await asked(store, 1, running)
    assert not running.done()
    assert await desk.settled(10)
    assert store.charged == [1]


async def test_of_too_much_what_was_refused_longest_is_given_up(
    idle: BudgetDesk, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(budget_desk, "MAX_OWED", 2)
    store.refused = {1: Unavailable(Reason.APPROVALS_UNAVAILABLE)}
    idle.owe(owed(1), NOW)
    idle.owe(owed(2), NOW)
    assert not await idle._settle_one()
    idle.owe(owed(3), NOW)
    assert idle.lost == 1
    assert [await idle._settle_one() for _ in range(3)] == [True] * 3
    assert store.charged == [2, 3]


async def test_too_much_is_given_up_and_counted(
    desk: BudgetDesk, store: Store, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(budget_desk, "MAX_OWED", 3)
    store.down = True
    for amount in range(1, 6):
        desk.owe(owed(amount), NOW)
    store.down = False
    assert await desk.settled(10)
    assert (store.charged, desk.lost) == ([3, 4, 5], 2)
    assert "a charge of a budget is lost" in caplog.text


async def test_many_cards_are_given_up_too(desk: BudgetDesk, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(budget_desk, "MAX_OWED_CARDS", 5)
    store.down = True
    for number in range(4):
        cards = frozenset(bytes([number, card]) for card in range(2))
        desk.owe((Charge("b", "cards", "i|anna", 60.0, cards=cards),), NOW)
    assert desk.lost == 2


async def test_what_is_too_old_is_given_up(desk: BudgetDesk, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(budget_desk, "OWED_SECONDS", 0.0)
    store.down = True
    desk.owe(owed(1), NOW)
    assert await desk.settled(10)
    assert (store.charged, desk.lost) == ([], 1)


@pytest.mark.parametrize("action", [ReadBudgets(owed(2), NOW), ChargeBudgets(owed(2), NOW)], ids=["read", "charge"])
async def test_an_exchange_is_told_the_counts_or_that_there_are_none(
    desk: BudgetDesk, store: Store, action: ReadBudgets | ChargeBudgets
) -> None:
    told: list[Any] = []
    tasks: list[asyncio.Task[None]] = []
    spending = Spending(desk, feed=told.append, start=lambda work: tasks.append(asyncio.create_task(work)))
    ask = spending.read if isinstance(action, ReadBudgets) else spending.charge
    ask(action)  # type: ignore[operator]
    await tasks.pop()
    store.down = True
    ask(action)  # type: ignore[operator]
    await tasks.pop()
    assert [type(event) for event in told] == [events.BudgetsRead, events.BudgetsFailed]
    assert told[0].counts == (Counted("b", 2),)
    assert store.charged == ([] if isinstance(action, ReadBudgets) else [2])


async def test_settling_waits_for_nobody(desk: BudgetDesk, store: Store) -> None:
    spending = Spending(desk, feed=lambda _: None, start=lambda work: work.close())
    spending.settle(SettleBudgets(owed(7), NOW))
    assert store.charged == []
    assert await desk.settled(10)
    assert store.charged == [7]
