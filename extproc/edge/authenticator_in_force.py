"""The authenticator that new exchanges take, and the fetching of its issuers' keys."""

import asyncio

from extproc.core.issuer import Issuer
from extproc.edge.authenticator import Authenticator
from extproc.edge.keys import WAIT_SECONDS, IssuerKeys
from extproc.edge.possession import Terms


class AuthenticatorInForce:
    """Replaced whole, so that one exchange has one. `run` belongs in a `TaskGroup`."""

    def __init__(self, authenticator: Authenticator) -> None:
        self._current = authenticator
        self._replaced = asyncio.Event()

    def get(self) -> Authenticator:
        return self._current

    def put(self, issuers: tuple[Issuer, ...], terms: Terms) -> None:
        """Other issuers, other terms, for new exchanges. Raises `ValueError` as `Authenticator` does."""
        self._current = self._current.under(issuers, terms)
        self._replaced.set()

    async def run(self) -> None:
        """Keeps the keys of all issuers in force fresh until cancelled."""
        loop = asyncio.get_running_loop()
        running: dict[IssuerKeys, asyncio.Task[None]] = {}
        async with asyncio.TaskGroup() as tasks:
            while True:
                self._replaced.clear()
                wanted = self._current.keys
                for keys in running.keys() - wanted:
                    # An exchange that began before may wait for a fetch, and no longer than this.
                    loop.call_later(WAIT_SECONDS, running.pop(keys).cancel)
                for keys in wanted - running.keys():
                    running[keys] = tasks.create_task(keys.run())
                await self._replaced.wait()

    def key_age_seconds(self) -> dict[str, float]:
        return self._current.key_age_seconds()

    def failing(self) -> frozenset[str]:
        return self._current.failing()
