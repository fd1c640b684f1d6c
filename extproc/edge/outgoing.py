"""What one session has for Envoy: in order, bounded, awaited by one writer."""

import asyncio
from collections import deque
from typing import Any


class Outgoing:
    """Answers that Envoy has not taken yet. Serialized ones count in `waiting_bytes`; the others are small."""

    def __init__(self) -> None:
        self._messages: deque[Any] = deque()
        self._waiter: asyncio.Future[None] | None = None
        self.waiting_bytes = 0

    def put(self, *messages: Any) -> None:
        self._messages.extend(messages)
        self.waiting_bytes += sum(len(message) for message in messages if isinstance(message, bytes))
        self.wake()

    def take(self) -> Any | None:
        """The next message, or None. Its bytes count until `taken`."""
        return self._messages.popleft() if self._messages else None

    def taken(self, message: Any) -> None:
        if isinstance(message, bytes):
            self.waiting_bytes -= len(message)

    def clear(self) -> None:
        self._messages.clear()
        self.waiting_bytes = 0

    def wake(self) -> None:
        """The writer has something to do, or to notice."""
        waiter, self._waiter = self._waiter, None
        if waiter is not None and not waiter.done():
            waiter.set_result(None)

    async def wait(self) -> None:
        """Until `put` or `wake`. For one writer."""
        self._waiter = asyncio.get_running_loop().create_future()
        await self._waiter
