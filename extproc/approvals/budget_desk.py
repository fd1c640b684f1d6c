"""Budgets as one worker's event loop sees them: calls that do not block it, and charges that are made afterwards."""

import asyncio
import logging
import time
from collections import deque
from collections.abc import Callable, Sequence

from extproc.approvals.budgets import BudgetStore
from extproc.approvals.desk import Desk
from extproc.approvals.late_store import LateStore
from extproc.core.budget_charge import Charge, Counted
from extproc.core.reasons import Unavailable
from extproc.core.trust import Secret

MAX_OWED = 10_000
"""Charges of ended exchanges that wait in memory for the store, a few hundred bytes each without cards."""
MAX_OWED_CARDS = 1_000_000
"""Digests in all of them, about 100 bytes each."""
RETRY_SECONDS = 1.0
OWED_SECONDS = 600.0
"""How long a charge is tried. A restart of PostgreSQL takes seconds, a failover a minute or two."""
FORGET_SECONDS = 600.0
"""How often rows that count no longer are removed."""

_log = logging.getLogger(__name__)


class BudgetDesk:
    """Of one worker. `run` belongs in a `TaskGroup`; without it nothing that is owed is charged, and no row removed."""

    def __init__(
        self,
        desk: Desk,
        store: LateStore,
        key: Secret,
        *,
        clock: Callable[[], float] = time.time,
        retry_seconds: float = RETRY_SECONDS,
    ) -> None:
        self._desk = desk
        self._store = store
        self._key = key
        self._clock = clock
        self._retry_seconds = retry_seconds
        self._owed: deque[tuple[tuple[Charge, ...], float, float]] = deque()
        self._owed_cards = 0
        self._wake = asyncio.Event()
        self._settled = asyncio.Event()
        self._settled.set()
        self.lost = 0
        """Charges that were given up."""

    async def count_with(self, charges: Sequence[Charge], now: float) -> tuple[Counted, ...]:
        """What would be counted if they were charged. Raises `Unavailable`."""
        return await self._desk.call(lambda: self._budgets().count_with(charges, now))

    async def charge(self, charges: Sequence[Charge], now: float) -> tuple[Counted, ...]:
        """Add them all, durably, or none of them when one is stopped. Raises `Unavailable`: it may be added then."""
        return await self._desk.call(lambda: self._budgets().charge(charges, now))

    def owe(self, charges: tuple[Charge, ...], now: float) -> None:
        """Charge them soon, whatever the counts. Returns at once; what has waited longest goes where too much waits."""
        self._owed.append((charges, now, time.monotonic() + OWED_SECONDS))
        self._owed_cards += _cards_of(charges)
        while len(self._owed) > MAX_OWED or self._owed_cards > MAX_OWED_CARDS:
            self._lose()
        if self._owed:
            self._settled.clear()
            self._wake.set()

    async def settled(self, timeout_seconds: float) -> bool:
        """Wait until nothing is owed; False when that takes too long: what is left is lost with the process."""
        try:
            async with asyncio.timeout(timeout_seconds):
                await self._settled.wait()
        except TimeoutError:
            _log.error("charges of budgets are lost at the end of the worker", extra={"charges": len(self._owed)})
            return False
        return True

    async def run(self) -> None:
        """Charge what is owed, in order, and remove what counts no longer, until cancelled."""
        forget_at = 0.0
        while True:
            if time.monotonic() >= forget_at:
                forget_at = time.monotonic() + FORGET_SECONDS
                await self._forget()
            if not await self._settle_one():
                await asyncio.sleep(self._retry_seconds)
            if self._owed:
                continue
            self._settled.set()
            self._wake.clear()
            try:
                async with asyncio.timeout(max(0.0, forget_at - time.monotonic())):
                    await self._wake.wait()
            except TimeoutError:
                continue

    async def _settle_one(self) -> bool:
        """Whether the store did what it was asked. One that is not sure is tried again, so it may count twice."""
        if not self._owed:
            return True
        owed = self._owed[0]
        charges, now, until = owed
        try:
            await self.charge(charges, now)
        except Unavailable:
            if time.monotonic() >= until and self._owed and self._owed[0] is owed:
                self._lose()
            return False
        if self._owed and self._owed[0] is owed:  # it may have been lost meanwhile
            self._owed.popleft()
            self._owed_cards -= _cards_of(charges)
        return True

    async def _forget(self) -> None:
        try:
            await self._desk.call(lambda: self._budgets().forget_ended(self._clock()))
        except Unavailable:
            _log.warning("rows of budgets that count no longer could not be removed; they are tried again")

    def _lose(self) -> None:
        charges, _, _ = self._owed.popleft()
        self._owed_cards -= _cards_of(charges)
        self.lost += 1
        _log.error("a charge of a budget is lost", extra={"budgets": [charge.budget for charge in charges]})

    def _budgets(self) -> BudgetStore:
        """In one of the desk's threads: to open the store may take a while."""
        return self._store.opened().budgets(self._key)


def _cards_of(charges: tuple[Charge, ...]) -> int:
    return sum(len(charge.cards) for charge in charges)
