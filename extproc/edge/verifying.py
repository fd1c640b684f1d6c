"""One session's token: verified at once with the keys that are there, or once they have been fetched."""

import time
from collections.abc import Callable, Coroutine
from typing import Any

from extproc.core import events
from extproc.core.dpop import NonceWanted
from extproc.core.identity import UnverifiedToken
from extproc.core.presented import Presented
from extproc.core.reasons import ExchangeError
from extproc.edge.authenticator import Authenticator


class Verifying:
    """Asks the authenticator and feeds the exchange what it says."""

    def __init__(
        self,
        authenticator: Authenticator,
        *,
        feed: Callable[[events.Event], None],
        start: Callable[[Coroutine[Any, Any, None]], object],
    ) -> None:
        """`start` begins work that ends with the session."""
        self._authenticator = authenticator
        self._feed = feed
        self._start = start

    def verify(self, token: UnverifiedToken | None, presented: Presented) -> None:
        try:
            principal = self._authenticator.verify_now(token, presented)
        except ExchangeError as error:
            self._reject(error)
            return
        if principal is None:
            self._start(self._verify_slowly(token, presented))
        else:
            self._feed(events.TokenVerified(principal, time.monotonic()))

    async def _verify_slowly(self, token: UnverifiedToken | None, presented: Presented) -> None:
        try:
            principal = await self._authenticator.verify(token, presented)
        except ExchangeError as error:
            self._reject(error)
        else:
            self._feed(events.TokenVerified(principal, time.monotonic()))

    def _reject(self, error: ExchangeError) -> None:
        nonce = error.nonce if isinstance(error, NonceWanted) else ""
        self._feed(events.TokenRejected(error.reason, time.monotonic(), nonce))
