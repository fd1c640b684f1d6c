"""Changes of approvals as they happen, for whoever watches: one look at the store serves all of them."""

import asyncio
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from extproc.approvals.store import ApprovalStore
from extproc.core.approval import Approval
from extproc.core.reasons import Unavailable

LOOK_SECONDS: Final = 0.5
"""People and programs that are told of changes are not the ones that wait for them."""
MAX_AT_ONCE: Final = 200
MAX_BEHIND: Final = 1000
"""Changes that a watcher may leave unread; then it is cut off, and begins anew."""
_log = logging.getLogger("extproc.console")


class Watcher:
    """One who watches. `next` returns changes in their order."""

    def __init__(self, revision: int) -> None:
        self.revision = revision
        """The last change before the first one that it is told."""
        self._waiting: asyncio.Queue[Approval] = asyncio.Queue(MAX_BEHIND)
        self._behind = False

    async def next(self) -> Approval | None:
        """The next change; None for a watcher that is too far behind."""
        return None if self._behind else await self._waiting.get()

    def tell(self, approval: Approval) -> None:
        try:
            self._waiting.put_nowait(approval)
        except asyncio.QueueFull:
            self._behind = True


class Changes:
    """`run` belongs beside the server. It asks nothing while nobody watches."""

    def __init__(self, store: ApprovalStore, look_seconds: float = LOOK_SECONDS) -> None:
        self._store = store
        self._look_seconds = look_seconds
        self._watchers: set[Watcher] = set()
        self._watched = asyncio.Event()
        self._seen = 0

    @contextmanager
    def watch(self, revision: int) -> Iterator[Watcher]:
        """Told of every change after `revision`, which was the store's a moment ago."""
        watcher = Watcher(revision)
        if not self._watchers:
            self._seen = revision
        self._seen = min(self._seen, revision)
        self._watchers.add(watcher)
        self._watched.set()
        try:
            yield watcher
        finally:
            self._watchers.discard(watcher)
            if not self._watchers:
                self._watched.clear()

    async def run(self) -> None:
        """Until cancelled. While the store is away nobody is told anything, and nothing is left out afterwards."""
        away = False
        while True:
            await self._watched.wait()
            try:
                found = await asyncio.to_thread(self._store.changed_since, self._seen, MAX_AT_ONCE)
                away = False
            except Unavailable:
                if not away:
                    _log.warning("changes of approvals cannot be seen: the store is away")
                found, away = [], True
            for approval in found:
                self._tell(approval)
            if len(found) < MAX_AT_ONCE:
                await asyncio.sleep(self._look_seconds)

    def _tell(self, approval: Approval) -> None:
        self._seen = max(self._seen, approval.revision)
        for watcher in self._watchers:
            if approval.revision > watcher.revision:
                watcher.revision = approval.revision
                watcher.tell(approval)
