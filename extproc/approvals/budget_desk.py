"""Budgets as one worker's event loop sees them: calls that do not block it, and charges that are made afterwards."""

import asyncio
import logging
import time
from collections import deque
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from typing import Any

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


@dataclass(frozen=True, slots=True, eq=False)
class _Owed:
    charges: tuple[Charge, ...]
    now: float
    """Unix seconds: when it was used."""
    until: float
    """Monotonic seconds: how long it is tried."""


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
        self._owed: deque[_Owed] = deque()
        self._refused: deque[_Owed] = deque()
        """Older than all of `_owed`: each was tried, and is tried again when those behind it were."""
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
        self._owed.append(_Owed(charges, now, time.monotonic() + OWED_SECONDS))
        self._owed_cards += _cards_of(charges)
        while self._owes > MAX_OWED or self._owed_cards > MAX_OWED_CARDS:
            self._lose((self._refused or self._owed).popleft())
        if self._owes:
            self._settled.clear()
            self._wake.set()

    async def settled(self, timeout_seconds: float) -> bool:
        """Wait until nothing is owed; False when that takes too long: what is left is lost with the process."""
        try:
            async with asyncio.timeout(timeout_seconds):
                await self._settled.wait()
        except TimeoutError:
            _log.error("charges of budgets are lost at the end of the worker", extra={"charges": self._owes})
            return False
        return True

    async def run(self) -> None:
        """Charge what is owed, in order, and remove what counts no longer, until cancelled.

        What the store refuses, whatever the reason, is tried again behind what came after it: it stops nothing else.
        """
        forget_at = 0.0
        while True:
            if time.monotonic() >= forget_at:
                forget_at = time.monotonic() + FORGET_SECONDS
                await self._forget()
            if not await self._settle_one():
                await asyncio.sleep(self._retry_seconds)
            if self._owes:
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
            self._owed, self._refused = self._refused, self._owed
        if not self._owed:
            return True
        owed = self._owed[0]
        done = await _succeeds(self.charge(owed.charges, owed.now))
        if not self._owed or self._owed[0] is not owed:  # it was lost meanwhile
            return done
        self._owed.popleft()
        if done:
            self._owed_cards -= _cards_of(owed.charges)
        elif time.monotonic() >= owed.until:
            self._lose(owed)
        else:
            self._refused.append(owed)
        return done

    async def _forget(self) -> None:
        forgetting = self._desk.call(lambda: self._budgets().forget_ended(self._clock()))
        if not await _succeeds(forgetting):
            _log.warning("rows of budgets that count no longer could not be removed; they are tried again")

    @property
    def _owes(self) -> int:
        return len(self._owed) + len(self._refused)

    def _lose(self, owed: "_Owed") -> None:
        self._owed_cards -= _cards_of(owed.charges)
        self.lost += 1
        _log.error("a charge of a budget is lost", extra={"budgets": [charge.budget for charge in owed.charges]})

    def _budgets(self) -> BudgetStore:
        """In one of the desk's threads: to open the store may take a while."""
        return self._store.opened().budgets(self._key)


async def _succeeds(work: Coroutine[Any, Any, object]) -> bool:
    """Whether it was done. No failure ends a worker's charging, not even one that nobody thought of."""
    try:
        await work
    except Unavailable:
        return False
    except Exception as error:  # noqa: BLE001 - its text may quote values, so only its kind is said
        _log.error("a budget met an unexpected error; it is tried again", extra={"kind": type(error).__name__})
        return False
    return True


def _cards_of(charges: tuple[Charge, ...]) -> int:
    return sum(len(charge.cards) for charge in charges)
