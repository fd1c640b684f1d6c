"""The approval store as one worker's event loop sees it: no call blocks the loop, and what changed is read once for all
that wait, when the store says so.
"""

import asyncio
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from itertools import islice
from typing import ParamSpec, TypeVar

from extproc.approvals.late_store import LateStore
from extproc.approvals.opening_queue import OpeningQueue
from extproc.approvals.settings import ApprovalSettings
from extproc.approvals.store import ApprovalStore
from extproc.approvals.store_threads import StoreThreads
from extproc.approvals.wakes import Wakes
from extproc.core.approval import TRANSITIONS, Approval, ApprovalRequest, ApprovalState, is_due
from extproc.core.reasons import Unavailable

LOST_SECONDS = 5.0
"""How long the poller does without the store before those who wait are told. A restart of PostgreSQL takes 1 to 3 s."""
LOOK_SECONDS = 5.0
"""How often what changed is read whether or not the store says so: no lost wake is lost for longer."""
MAX_LOOKED = 100
"""Of those that have not changed, read each time as well, in turn: reading thousands would hold up a wake."""
GATHER_SECONDS = 0.02
"""Between two questions, so that of many changes at once not each is a question of its own."""
THREADS = 4
"""Calls of the store at once."""
MAX_CHANGES = 500
"""Read at once."""

P = ParamSpec("P")
T = TypeVar("T")


class _Watch:
    """One who waits. `state` is what they know."""

    def __init__(self, approval_id: str, on_change: Callable[[Approval | None], None]) -> None:
        self.approval_id = approval_id
        self.on_change = on_change
        self.state = ApprovalState.PENDING
        self.over = False


class Desk:
    """Opens, watches, claims and withdraws approvals for one worker. Its coroutines raise what the store does.

    `run` belongs in a `TaskGroup`; without it nobody is called back. `clock` is Unix seconds.
    """

    def __init__(
        self,
        store: ApprovalStore | LateStore,
        settings: ApprovalSettings,
        *,
        clock: Callable[[], float] = time.time,
        lost_seconds: float = LOST_SECONDS,
        look_seconds: float = LOOK_SECONDS,
    ) -> None:
        self._store = store
        self._poll_seconds = settings.poll_seconds
        self._clock = clock
        self._lost_seconds = lost_seconds
        self._look_seconds = look_seconds
        self._watches: dict[str, set[_Watch]] = {}
        self._known: dict[str, Approval] = {}
        """Of those that are watched, what was read last."""
        self._revision: int | None = None
        """Of the last change that was read; None: all that wait must be looked at."""
        self._looked_at = 0.0
        self._failing_since: float | None = None
        self._watched = asyncio.Event()
        self._wake = asyncio.Event()
        self._threads = StoreThreads(THREADS, "approvals")
        # A wake must not queue behind the calls of others.
        self._reader = StoreThreads(1, "approvals-reader")
        self._openings = OpeningQueue(store, self._threads)

    async def open(self, request: ApprovalRequest) -> Approval:
        """The request as a new, pending approval, durable."""
        return await self._openings.open(request)

    async def find(self, approval_id: str) -> Approval | None:
        """The approval as it is now, or None."""
        return await self.call(self._store.find, approval_id, self._clock())

    def watch(self, approval_id: str, on_change: Callable[[Approval | None], None]) -> Callable[[], None]:
        """Call `on_change` in this loop at every change of state, at first unless it is pending; returns "unwatch".

        None says that the store is lost: it did not answer for `lost_seconds`, or no longer knows the approval. After
        None, after a final state and after "unwatch" there are no more calls.
        """
        watch = _Watch(approval_id, on_change)
        self._watches.setdefault(approval_id, set()).add(watch)
        self._known.pop(approval_id, None)
        self._watched.set()
        self._wake.set()
        return lambda: self._end(watch)

    async def claim(self, approval_id: str, request_digest: str, requester_uid: str) -> bool:
        """Use the grant: True for exactly one caller anywhere."""
        return await self.call(self._store.claim, approval_id, request_digest, requester_uid, self._clock())

    async def withdraw(self, approval_id: str) -> bool:
        """End the hold; False where it has ended already, or never was."""
        return await self.call(self._store.withdraw, approval_id)

    async def run(self) -> None:
        """Tell all that wait what changes, until cancelled. Asks nothing while nobody waits.

        It asks when the store says that something changed, every `poll_seconds` where the store cannot say so, and
        every `look_seconds` in any case.
        """
        wakes = Wakes(self._store.open_source, self._waker())
        try:
            while True:
                if not self._watches:
                    wakes.rest()
                    self._revision = self._failing_since = None
                    await self._watched.wait()
                wakes.want()
                self._wake.clear()
                await self._ask()
                await asyncio.sleep(GATHER_SECONDS)
                await self._rest(wakes)
        finally:
            await asyncio.to_thread(wakes.close)

    def _waker(self) -> Callable[[], None]:
        """Sets the event from another thread; does nothing once the loop is closed."""
        loop = asyncio.get_running_loop()

        def wake() -> None:
            with suppress(RuntimeError):
                loop.call_soon_threadsafe(self._wake.set)

        return wake

    async def _rest(self, wakes: Wakes) -> None:
        """Until there is reason to ask."""
        while True:
            look_seconds = self._looked_at + self._look_seconds - time.monotonic()
            with suppress(TimeoutError):
                async with asyncio.timeout(min(self._poll_seconds, look_seconds)):
                    await self._wake.wait()
                return
            if look_seconds <= self._poll_seconds or not wakes.working or self._failing_since is not None:
                return
            if self._find_due(self._clock()):
                return

    def _find_due(self, now: float) -> list[str]:
        return [approval_id for approval_id, approval in self._known.items() if is_due(approval, now)]

    async def _ask(self) -> None:
        now, asked_at = self._clock(), time.monotonic()
        if self._revision is None:
            looked = list(self._watches)
        else:
            looked = [*(self._watches.keys() - self._known.keys()), *self._find_due(now)]
            if asked_at >= self._looked_at + self._look_seconds:
                looked += islice(self._known, MAX_LOOKED)
        if self._revision is None or asked_at >= self._looked_at + self._look_seconds:
            self._looked_at = asked_at
        try:
            found, self._revision = await self._reader.call(self._read, looked, self._revision, now)
        except Unavailable:
            self._fail(asked_at)
            return
        self._failing_since = None
        if self._revision is None:
            self._wake.set()
            return
        for approval_id in self._watches.keys() & {*looked, *found}:
            self._see(approval_id, found.get(approval_id))

    def _read(self, looked: Iterable[str], revision: int | None, now: float) -> tuple[dict[str, Approval], int | None]:
        """What changed after the revision, those to look at as they are, and the revision that this is of, in a thread.

        The revision is read before the approvals: what changes in between is read once more. None: the store knows
        less than it did, as after a restore, so all must be looked at.
        """
        found: dict[str, Approval] = {}
        last = self._store.revision()
        if revision is None:
            revision = last
        elif last < revision:
            return {}, None
        else:
            more = True
            while more:
                changed = self._store.changed_since(revision, MAX_CHANGES)
                found |= {approval.approval_id: approval for approval in changed}
                revision = changed[-1].revision if changed else revision
                more = len(changed) == MAX_CHANGES
        due = {approval_id for approval_id, approval in found.items() if is_due(approval, now)}
        wanted = sorted({*looked} - found.keys() | due)
        return (found | self._store.find_all(wanted, now) if wanted else found), revision

    def _fail(self, asked_at: float) -> None:
        """What was missed meanwhile, a full look finds."""
        self._revision = None
        if self._failing_since is None:
            self._failing_since = asked_at
        if time.monotonic() - self._failing_since >= self._lost_seconds:
            for watch in [watch for watches in self._watches.values() for watch in watches]:
                self._tell(watch, None)

    def _see(self, approval_id: str, approval: Approval | None) -> None:
        self._known.pop(approval_id, None)
        if approval is not None:
            self._known[approval_id] = approval
        for watch in tuple(self._watches[approval_id]):
            if approval is None or approval.state is not watch.state:
                self._tell(watch, approval)

    def _tell(self, watch: _Watch, approval: Approval | None) -> None:
        """Through the loop: a mistake in one exchange's callback ends that exchange, not the poller of all."""
        if watch.over:
            return
        asyncio.get_running_loop().call_soon(_call_back, watch, approval)
        if approval is not None:
            watch.state = approval.state
        if approval is None or not TRANSITIONS[approval.state]:
            self._forget(watch)

    def _end(self, watch: _Watch) -> None:
        watch.over = True
        self._forget(watch)

    def _forget(self, watch: _Watch) -> None:
        watches = self._watches.get(watch.approval_id, set())
        watches.discard(watch)
        if not watches:
            self._watches.pop(watch.approval_id, None)
            self._known.pop(watch.approval_id, None)
        if not self._watches:
            self._watched.clear()
            self._wake.set()  # so that what wakes us is told to rest

    async def call(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """What `function` returns, in one of the store's threads. Raises `Unavailable` as they do."""
        return await self._threads.call(function, *args, **kwargs)


def _call_back(watch: _Watch, approval: Approval | None) -> None:
    if not watch.over:
        watch.on_change(approval)
