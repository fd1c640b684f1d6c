"""The approval store as one worker's event loop sees it: no call blocks the loop, and one poll serves all that wait."""

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import ParamSpec, TypeVar

from extproc.approvals.late_store import LateStore
from extproc.approvals.settings import ApprovalSettings
from extproc.approvals.store import ApprovalStore
from extproc.core.approval import TRANSITIONS, Approval, ApprovalRequest, ApprovalState
from extproc.core.reasons import Reason, Unavailable

CALL_SECONDS = 5.0
"""The longest a call waits for the store; its own deadlines are shorter, unless many calls queue behind a stuck one."""
LOST_SECONDS = 5.0
"""How long the poller does without the store before those who wait are told. A restart of PostgreSQL takes 1 to 3 s."""
THREADS = 4
"""As many as the store has connections. Threads of our own: a stuck database must not stop others that use threads."""

P = ParamSpec("P")
T = TypeVar("T")


class _Watch:
    """One who waits. `state` is what they know."""

    def __init__(self, approval_id: str, on_change: Callable[[Approval | None], None], since: float) -> None:
        self.approval_id = approval_id
        self.on_change = on_change
        self.state = ApprovalState.PENDING
        self.since = since
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
    ) -> None:
        self._store = store
        self._poll_seconds = settings.poll_seconds
        self._clock = clock
        self._lost_seconds = lost_seconds
        self._watches: set[_Watch] = set()
        self._watched = asyncio.Event()
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="approvals")

    async def open(self, request: ApprovalRequest) -> Approval:
        """The request as a new, pending approval, durable."""
        return await self.call(self._store.open, request)

    async def find(self, approval_id: str) -> Approval | None:
        """The approval as it is now, or None."""
        return await self.call(self._store.find, approval_id, self._clock())

    def watch(self, approval_id: str, on_change: Callable[[Approval | None], None]) -> Callable[[], None]:
        """Call `on_change` in this loop at every change of state, at first unless it is pending; returns "unwatch".

        None says that the store is lost: it did not answer for `lost_seconds`, or no longer knows the approval. After
        None, after a final state and after "unwatch" there are no more calls.
        """
        watch = _Watch(approval_id, on_change, time.monotonic())
        self._watches.add(watch)
        self._watched.set()
        return lambda: self._end(watch)

    async def claim(self, approval_id: str, request_digest: str, requester_uid: str) -> bool:
        """Use the grant: True for exactly one caller anywhere."""
        return await self.call(self._store.claim, approval_id, request_digest, requester_uid, self._clock())

    async def withdraw(self, approval_id: str) -> None:
        """End the hold, unless it has already ended."""
        await self.call(self._store.withdraw, approval_id)

    async def run(self) -> None:
        """Ask for all that wait, every `poll_seconds`, until cancelled. Asks nothing while nobody waits."""
        while True:
            await self._watched.wait()
            await self._ask()
            await asyncio.sleep(self._poll_seconds)

    async def _ask(self) -> None:
        watches = tuple(self._watches)
        ids = sorted({watch.approval_id for watch in watches})
        try:
            found = await self.call(self._store.find_all, ids, self._clock())
        except Unavailable:
            lost_since = time.monotonic() - self._lost_seconds
            for watch in watches:
                if watch.since <= lost_since:
                    self._tell(watch, None)
            return
        answered_at = time.monotonic()
        for watch in watches:
            watch.since = answered_at
            approval = found.get(watch.approval_id)
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
        self._watches.discard(watch)
        if not self._watches:
            self._watched.clear()

    async def call(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """What `function` returns, in one of the store's threads. Raises `Unavailable` after `CALL_SECONDS`."""
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(CALL_SECONDS):
                return await loop.run_in_executor(self._threads, lambda: function(*args, **kwargs))
        except TimeoutError:
            raise Unavailable(Reason.APPROVALS_UNAVAILABLE) from None


def _call_back(watch: _Watch, approval: Approval | None) -> None:
    if not watch.over:
        watch.on_change(approval)
