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

    def budgets(self, key: Secret) -> "Store":
        return self

    def _look(self) -> None:
        if self.down:
            raise Unavailable(Reason.APPROVALS_UNAVAILABLE)

    def charge(self, charges: tuple[Charge, ...], now: float) -> tuple[Counted, ...]:
        self._look()
        self.charged += [charge.amount for charge in charges]
        return tuple(Counted(charge.budget, charge.amount) for charge in charges)

    def count_with(self, charges: tuple[Charge, ...], now: float) -> tuple[Counted, ...]:
        self._look()
        return tuple(Counted(charge.budget, charge.amount) for charge in charges)

    def forget_ended(self, now: float) -> int:
        self._look()
        self.forgotten += 1
        return 0


def owed(amount: int) -> tuple[Charge, ...]:
    return (Charge("b", "tokens per person in 60 s", "i|anna", 60.0, amount=amount),)


@pytest.fixture
def store() -> Store:
    return Store()


@pytest.fixture
async def desk(store: Store) -> AsyncIterator[BudgetDesk]:
    late = LateStore(lambda: store)  # type: ignore[arg-type,return-value]
    approvals = Desk(late, ApprovalSettings("unused"))
    desk = BudgetDesk(approvals, late, Secret("k" * 32), retry_seconds=0.01)
    running = asyncio.create_task(desk.run())
    yield desk
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


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
    assert (store.charged, desk.lost) == ([1, 2], 0)


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
