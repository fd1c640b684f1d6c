"""Threads for calls of the approval store, of our own: a stuck database must not stop others that use threads."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import ParamSpec, TypeVar

from extproc.core.reasons import Reason, Unavailable

CALL_SECONDS = 5.0
"""The longest a call waits for the store; its own deadlines are shorter, unless many calls queue behind a stuck one."""

P = ParamSpec("P")
T = TypeVar("T")


class StoreThreads:
    """So many calls at once; further ones queue."""

    def __init__(self, count: int, name: str) -> None:
        self._threads = ThreadPoolExecutor(count, thread_name_prefix=name)

    async def call(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """What `function` returns. Raises `Unavailable` after `CALL_SECONDS`, and what the function raises."""
        try:
            async with asyncio.timeout(CALL_SECONDS):
                loop = asyncio.get_running_loop()
                return await loop.run_in_executor(self._threads, lambda: function(*args, **kwargs))
        except TimeoutError:
            raise Unavailable(Reason.APPROVALS_UNAVAILABLE) from None
