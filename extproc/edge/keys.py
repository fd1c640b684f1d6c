"""One issuer's keys: fetched, refreshed in the background, refetched for an unknown `kid`, kept through an outage."""

import asyncio
import logging
import math
from collections.abc import Callable
from typing import Final

import httpx
import jwt

from extproc.core.identity import TokenOutline
from extproc.core.issuer import Issuer
from extproc.core.reasons import Reason, Unavailable
from extproc.edge.jwks import KeySet, parse_key_set
from extproc.edge.key_source import FETCH_SECONDS, KeySource

WAIT_SECONDS: Final = 2 * FETCH_SECONDS + 0.5
"""How long a request waits for a refetch: discovery, then the JWK set."""
REFETCH_SECONDS: Final = 10.0
"""Requests cause at most one refetch in this time that finds no new key: invented ids are no load on the issuer."""
MAX_BACKOFF_SECONDS: Final = 30.0
"""Between attempts while the issuer cannot be reached; the first comes after one second."""
FAILURES_BEFORE_DOWN: Final = 2
"""In a row; the second comes a second after the first, unless each takes its whole time."""
FILE_POLL_SECONDS: Final = 1.0
"""How often a JWKS file is looked at."""

_log = logging.getLogger(__name__)


class IssuerKeys:
    """The keys of one issuer. `run` is the only one that fetches, so that one fetch is under way at most."""

    def __init__(self, issuer: Issuer, client: httpx.AsyncClient, clock: Callable[[], float]) -> None:
        self.issuer = issuer
        self.key_set: KeySet | None = None
        """Replaced when the published document changes, and only then."""
        self._source = KeySource(issuer, client)
        self._clock = clock
        self._fetched_at = -math.inf
        self._refetched_at = -math.inf
        self._failures = 0
        self._wanted = asyncio.Event()
        self._fetching = True
        """Or about to: what waits for the first fetch does not use up the limit on refetches."""
        self._done = asyncio.Event()

    def begin_with(self, known: "IssuerKeys") -> None:
        """Before the first fetch: what was fetched from the same source, as old as it is, for tokens of other terms."""
        if known.key_set is None or _source_of(known.issuer) != _source_of(self.issuer):
            return
        self.key_set = parse_key_set(known.key_set.document, self.issuer)
        self._fetched_at = self._clock() - known.age_seconds()

    def age_seconds(self) -> float:
        """Since the keys were last confirmed by their source; infinite before the first time."""
        return max(0.0, self._clock() - self._fetched_at)

    def usable(self) -> bool:
        """True while the keys are younger than the issuer's `max_key_age_seconds`."""
        return self.key_set is not None and self.age_seconds() <= self.issuer.max_key_age_seconds

    def failing(self) -> bool:
        """True while the keys cannot be had: one fetch may fail, and is repeated after a second; and while they are too
        old to be used, whatever the reason."""
        return self._failures >= FAILURES_BEFORE_DOWN or (self.key_set is not None and not self.usable())

    def judges(self) -> bool:
        """True when an unknown key id is the token's fault: the keys are usable and their source answers."""
        return self.usable() and self._failures == 0

    def find(self, outline: TokenOutline) -> jwt.PyJWK | None:
        """The usable key for a token, or None."""
        return self.key_set.find(outline) if self.key_set is not None and self.usable() else None

    async def refetch(self) -> None:
        """Has waited for a fetch: the one under way, or a new one unless there was one too recently."""
        now = self._clock()
        if not self._wanted.is_set() and not self._fetching:
            if 0 <= now - self._refetched_at < REFETCH_SECONDS:
                return
            self._refetched_at = now
            self._wanted.set()
        try:
            async with asyncio.timeout(WAIT_SECONDS):
                await self._done.wait()
        except TimeoutError:
            raise Unavailable(Reason.IDENTITY_UNAVAILABLE) from None

    async def run(self) -> None:
        """Fetch, wait, fetch again, until cancelled. A source that cannot be reached or read ends nothing."""
        while True:
            self._fetching = True
            self._wanted.clear()
            await self._refresh()
            self._fetching = False
            done, self._done = self._done, asyncio.Event()
            done.set()
            try:
                async with asyncio.timeout(self._pause_seconds()):
                    await self._wanted.wait()
            except TimeoutError:
                pass

    def _pause_seconds(self) -> float:
        usual = FILE_POLL_SECONDS if self.issuer.jwks_file else float(self.issuer.refresh_seconds)
        if self._failures == 0:
            return usual
        return min(usual, MAX_BACKOFF_SECONDS, 2.0 ** min(self._failures - 1, 10))

    async def _refresh(self) -> None:
        try:
            document = await self._source.load()
            if self.key_set is None or document != self.key_set.document:
                known, self.key_set = self.key_set, parse_key_set(document, self.issuer)
                if known is not None and self.key_set.keys.keys() - known.keys.keys():
                    self._refetched_at = -math.inf  # it has rotated: whoever asked was right, and may ask again
        except Unavailable:
            self._failures += 1
            if self._failures == 1:
                _log.warning("the keys of issuer %s cannot be had", self.issuer.issuer)
            return
        if self._failures:
            _log.warning("the keys of issuer %s are back", self.issuer.issuer)
        self._failures = 0
        self._fetched_at = self._clock()


def _source_of(issuer: Issuer) -> tuple[object, ...]:
    """Where its keys come from, and by what they are trusted."""
    return issuer.issuer, issuer.discovery, issuer.jwks_url, issuer.jwks_file, issuer.ca_file, issuer.token_file
