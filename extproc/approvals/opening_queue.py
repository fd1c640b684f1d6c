"""Requests to be opened: those that wait at once share a transaction, and one that fails costs no other its own."""

import asyncio
import time
from collections import deque
from contextlib import suppress
from itertools import islice, zip_longest
from typing import Final

from extproc.approvals.late_store import LateStore
from extproc.approvals.store import ApprovalStore
from extproc.approvals.store_threads import StoreThreads
from extproc.core.approval import Approval, ApprovalRequest
from extproc.core.reasons import Reason, Unavailable

MAX_OPENED: Final = 50
"""Opened in one transaction, for which every other change waits."""
TURN_SECONDS: Final = 30.0
"""The longest an open waits behind those before it; when the store fails all of them, it fails at once."""
ALONE_SECONDS: Final = 2.0
"""How long those of a transaction that failed are tried one by one."""


class OpeningQueue:
    """Of one worker's event loop."""

    def __init__(self, store: ApprovalStore | LateStore, threads: StoreThreads) -> None:
        self._store = store
        self._threads = threads
        self._asked: deque[tuple[ApprovalRequest, asyncio.Future[Approval | None]]] = deque()
        self._turn = asyncio.Lock()

    async def open(self, request: ApprovalRequest) -> Approval:
        """The request as a new, pending approval, durable. Raises `Unavailable`."""
        opening: asyncio.Future[Approval | None] = asyncio.get_running_loop().create_future()
        self._asked.append((request, opening))
        try:
            async with asyncio.timeout(TURN_SECONDS):
                await self._turn.acquire()
            try:
                if not opening.done():
                    await self._open_asked()
            finally:
                self._turn.release()
            approval = await opening
        except TimeoutError:
            raise Unavailable(Reason.APPROVALS_UNAVAILABLE) from None
        finally:
            opening.cancel()
        if approval is None:
            raise Unavailable(Reason.APPROVALS_UNAVAILABLE)
        return approval

    async def _open_asked(self) -> None:
        """Those that have waited longest, in one transaction: many that are held at once cost few."""
        asked = [one for one in islice(self._asked, MAX_OPENED) if not one[1].done()]
        for _ in range(min(MAX_OPENED, len(self._asked))):
            self._asked.popleft()
        opened: list[Approval | None] = []
        try:
            opened = await self._threads.call(_open_all, self._store, [request for request, _ in asked])
        except Unavailable:
            pass
        finally:
            if not any(opened) and len(opened) != 1:
                asked += self._asked
                self._asked.clear()
            for (_, opening), approval in zip_longest(asked, opened):
                if not opening.done():
                    opening.set_result(approval)


def _open_all(store: ApprovalStore | LateStore, requests: list[ApprovalRequest]) -> list[Approval | None]:
    """Each that could be opened. One that cannot be stored must not cost the others theirs."""
    try:
        return list(store.open_all(requests))
    except Unavailable:
        if len(requests) == 1:
            return [None]
    opened: list[Approval | None] = []
    until = time.monotonic() + ALONE_SECONDS
    for request in requests:
        opened.append(None)
        if time.monotonic() < until:
            with suppress(Unavailable):
                opened[-1] = store.open(request)
    return opened
