"""`durability: store`: a request waits until the log's store holds its intent."""

import asyncio
import contextlib
import time
from collections.abc import Callable

from extproc.audit.log.journal import Journal
from extproc.core import events

POLL_SECONDS = 0.1
"""Two listings of a folder with a few files; the shipper looks about once a second."""


async def await_shipped(journal: Journal, feed: Callable[[events.Event], None]) -> None:
    """Have the open segment finished, and wait until the shipper has taken it. The exchange says how long at most."""
    sealed: asyncio.Future[int] = asyncio.get_running_loop().create_future()

    def say(segment: int) -> None:
        with contextlib.suppress(asyncio.InvalidStateError):  # the exchange is over
            sealed.set_result(segment)

    journal.seal_soon(say)
    segment = await sealed
    # The shipper is another process: nothing here could be told.
    while not await asyncio.to_thread(journal.is_shipped, segment):  # noqa: ASYNC110
        await asyncio.sleep(POLL_SECONDS)
    feed(events.Shipped(time.monotonic()))
