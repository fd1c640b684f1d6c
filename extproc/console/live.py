"""News of approvals for browsers that wait for them: one look at the store for all of them, while there are any.

A stream says which of the approvals that its person may see changed, and nothing else of them: the pages are asked for
anew, with the rights of who asks. It is no activity of a person: it keeps no session alive, and ends with it.
"""

import asyncio
import hashlib
import json
import logging
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Final

from extproc.approvals.sessions import Sessions
from extproc.approvals.store import ApprovalStore
from extproc.core.approval import Approval
from extproc.core.reasons import Unavailable

LOOK_SECONDS: Final = 1.0
"""Between two looks at what changed."""
BEAT_SECONDS: Final = 15.0
"""Between two comments on a stream that has nothing to say, and two looks at its session."""
MAX_STREAMS: Final = 96
"""Of a process: the rest of its connections is for pages."""
MAX_OF_SESSION: Final = 6
"""Tabs of one person."""
MAX_NEWS: Final = 200
"""Of one look; with more, browsers load their page anew."""
_FULL_MILLISECONDS: Final = 15_000
"""After which a browser that found no room asks again."""
_log = logging.getLogger("extproc.console")


class Live:
    """The streams of one process. For one event loop; `close` ends them all, so that the process can end."""

    def __init__(self) -> None:
        self._waiting: set[asyncio.Queue[Sequence[Approval] | None]] = set()
        self._of_session: Counter[bytes] = Counter()
        self._wanted = asyncio.Event()
        self.closed = False

    async def run(self, store: ApprovalStore) -> None:
        """Looks while somebody waits, until cancelled."""
        while True:
            await self._wanted.wait()
            try:
                since = await asyncio.to_thread(store.revision)
                while self._waiting:
                    await asyncio.sleep(LOOK_SECONDS)
                    changed = await asyncio.to_thread(store.changed_since, since, MAX_NEWS)
                    if changed:
                        since = changed[-1].revision
                        self._tell(changed)
            except Unavailable:
                _log.warning("the approval store is away: browsers hear nothing new for now")
                await asyncio.sleep(LOOK_SECONDS)
            if not self._waiting:
                self._wanted.clear()

    def _tell(self, news: Sequence[Approval]) -> None:
        for queue in self._waiting:
            if queue.qsize() < 8:
                queue.put_nowait(news)

    def close(self) -> None:
        """Ends all streams, and lets no other begin."""
        self.closed = True
        for queue in self._waiting:
            queue.put_nowait(None)

    def may_begin(self, secret: str) -> bool:
        """Whether there is room for another stream of this session."""
        room = len(self._waiting) < MAX_STREAMS and self._of_session.get(_digest(secret), 0) < MAX_OF_SESSION
        return room and not self.closed

    async def stream(
        self, sessions: Sessions, secret: str, clock: Callable[[], float], may_see: Callable[[Approval], bool]
    ) -> AsyncIterator[str]:
        """Server-sent events (WHATWG HTML §9.2) until the session is over, the browser goes, or the process ends."""
        if not self.may_begin(secret):  # others of this session were faster since it was answered
            yield f"retry: {_FULL_MILLISECONDS}\n\n"
            return
        queue: asyncio.Queue[Sequence[Approval] | None] = asyncio.Queue()
        self._waiting.add(queue)
        self._of_session[_digest(secret)] += 1
        self._wanted.set()
        try:
            yield "retry: 3000\n\n"
            while await _lives(sessions, secret, clock()):
                try:
                    async with asyncio.timeout(BEAT_SECONDS):
                        news = await queue.get()
                except TimeoutError:
                    yield ": \n\n"
                    continue
                if news is None:
                    return
                seen = [{"id": each.approval_id, "state": each.state.value} for each in news if may_see(each)]
                if seen:
                    yield f"event: approvals\ndata: {json.dumps(seen)}\n\n"
            yield "event: over\ndata: the session is over\n\n"
        finally:
            self._waiting.discard(queue)
            self._of_session[_digest(secret)] -= 1
            if not self._of_session[_digest(secret)]:
                del self._of_session[_digest(secret)]


async def _lives(sessions: Sessions, secret: str, now: float) -> bool:
    """Whether the session goes on; looking is no activity. A store that is away ends nothing."""
    try:
        return await asyncio.to_thread(sessions.peek, secret, now) is not None
    except Unavailable:
        return True


def _digest(secret: str) -> bytes:
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).digest()
