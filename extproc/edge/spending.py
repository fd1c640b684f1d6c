"""One session's budgets: read, charged, and charged afterwards for what the answer has cost."""

import time
from collections.abc import Callable, Coroutine
from typing import Any

from extproc.approvals.budget_desk import BudgetDesk
from extproc.core import events
from extproc.core.actions import ChargeBudgets, ReadBudgets, SettleBudgets
from extproc.core.budget_charge import Counted
from extproc.core.reasons import Unavailable


class Spending:
    """Asks the desk and feeds the exchange what it says. The exchange decides; this only carries."""

    def __init__(
        self,
        desk: BudgetDesk,
        *,
        feed: Callable[[events.Event], None],
        start: Callable[[Coroutine[Any, Any, None]], object],
    ) -> None:
        """`start` begins work that ends with the session."""
        self._desk = desk
        self._feed = feed
        self._start = start

    def read(self, action: ReadBudgets) -> None:
        self._start(self._tell(self._desk.count_with(action.charges, action.now_unix)))

    def charge(self, action: ChargeBudgets) -> None:
        self._start(self._tell(self._desk.charge(action.charges, action.now_unix)))

    def settle(self, action: SettleBudgets) -> None:
        """Outlives the session."""
        self._desk.owe(action.charges, action.now_unix)

    async def _tell(self, asked: Coroutine[Any, Any, tuple[Counted, ...]]) -> None:
        try:
            counts = await asked
        except Unavailable:
            self._feed(events.BudgetsFailed(time.monotonic()))
            return
        self._feed(events.BudgetsRead(counts, time.monotonic()))
