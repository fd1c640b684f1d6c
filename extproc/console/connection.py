"""A connection to the console: who does not say in time what is asked, or opens too many, loses it.

Each counts toward the most that are served at once, so without these bounds whoever opens enough of them and says
nothing would take the console away from everybody, its health check and its public keys with it.
"""

import asyncio
from collections.abc import Sequence
from typing import Final, cast

from uvicorn.protocols.http.h11_impl import H11Protocol

from extproc.console.client_address import is_within
from extproc.edge.settings_console import Network

HEADER_SECONDS: Final = 10.0
"""Until a whole request header has come, from the connection's begin or from the end of the answer before."""
MAX_PER_ADDRESS: Final = 64
"""At once, of one that is no proxy. Browsers open six."""


def protocol_for(
    proxies: Sequence[Network], *, seconds: float = HEADER_SECONDS, most: int = MAX_PER_ADDRESS
) -> type[asyncio.Protocol]:
    """For uvicorn's `http`."""

    class Bounded(H11Protocol):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            super().connection_made(cast("asyncio.Transport", transport))
            self._waiting: asyncio.TimerHandle | None = None
            host = self.client[0] if self.client else ""
            own = [each for each in self.connections if isinstance(each, Bounded) and each.client]
            if sum(each.client[0] == host for each in own if each.client) > most and not is_within(host, proxies):
                self.transport.abort()
            else:
                self._wait()

        def data_received(self, data: bytes) -> None:
            super().data_received(data)
            if self.cycle is not None and not self.cycle.response_complete:
                self._stop_waiting()

        def on_response_complete(self) -> None:
            super().on_response_complete()
            if not self.transport.is_closing() and (self.cycle is None or self.cycle.response_complete):
                self._wait()

        def connection_lost(self, exc: Exception | None) -> None:
            self._stop_waiting()
            super().connection_lost(exc)

        def _wait(self) -> None:
            self._stop_waiting()
            self._waiting = self.loop.call_later(seconds, self.transport.abort)

        def _stop_waiting(self) -> None:
            if self._waiting is not None:
                self._waiting.cancel()
                self._waiting = None

    return Bounded
