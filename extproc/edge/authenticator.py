"""Bearer tokens to principals, for one worker: the issuers' keys, and the tokens that were verified a moment ago."""

import asyncio
import hashlib
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import httpx

from extproc.core.identity import MAX_TOKEN_CHARS, Principal, TokenOutline, UnverifiedToken, parse_token, verify_token
from extproc.core.issuer import Issuer
from extproc.core.reasons import Malformed, Reason, Unavailable, Unverified
from extproc.edge.jwks import KeySet
from extproc.edge.keys import IssuerKeys

MAX_VERIFIED_TOKENS: Final = 4096
"""Remembered at once; one takes about 1 KiB. The oldest goes first."""


@dataclass(frozen=True, slots=True)
class _Verified:
    principal: Principal
    keys: IssuerKeys
    key_set: KeySet | None


class Authenticator:
    """Verifies tokens of several issuers. `run` belongs in a `TaskGroup`: it fetches the keys."""

    def __init__(
        self, issuers: tuple[Issuer, ...], client: httpx.AsyncClient, *, clock: Callable[[], float] = time.time
    ) -> None:
        self._issuers = {issuer.issuer: IssuerKeys(issuer, client, clock) for issuer in issuers}
        if len(self._issuers) != len(issuers):
            raise ValueError("two issuers have the same name")
        self._clock = clock
        self._verified: dict[bytes, _Verified] = {}
        # Keyed, so that neither the table nor a dump of it can be searched for a token; a new key for each process.
        self._digest = hashlib.blake2b(key=secrets.token_bytes(32), digest_size=32)

    def verify_now(self, token: UnverifiedToken) -> Principal | None:
        """The principal, when no fetch is needed to know it; None asks for `verify`.

        A token verified before is known by its keyed digest until it expires, and as long as the issuer's keys are the
        same and young enough. Raises `Malformed` and `Unverified` as `verify_token` does.
        """
        digest = self._digest_of(token)
        found = self._verified.get(digest)
        if found is not None and self._still_holds(found):
            return found.principal
        outline = parse_token(token)
        keys = self._keys_of(outline)
        key = keys.find(outline)
        if key is None:
            return None
        principal = verify_token(token, keys.issuer, key, self._clock())
        self._remember(digest, _Verified(principal, keys, keys.key_set))
        return principal

    async def verify(self, token: UnverifiedToken) -> Principal:
        """The principal. An unknown key id has the issuer's keys fetched again, within a limit.

        Raises `Malformed(TOKEN_MALFORMED)`, `Unverified(TOKEN_INVALID | TOKEN_EXPIRED)`, or
        `Unavailable(IDENTITY_UNAVAILABLE)` when the keys are missing, too old, or cannot be asked for a new one.
        """
        principal = self.verify_now(token)
        if principal is not None:
            return principal
        keys = self._keys_of(parse_token(token))
        await keys.refetch()
        principal = self.verify_now(token)
        if principal is not None:
            return principal
        if keys.judges():
            raise Unverified(Reason.TOKEN_INVALID)
        raise Unavailable(Reason.IDENTITY_UNAVAILABLE)

    async def run(self) -> None:
        """Keeps the keys of all issuers fresh until cancelled; an issuer that cannot be reached ends nothing."""
        async with asyncio.TaskGroup() as group:
            for keys in self._issuers.values():
                group.create_task(keys.run())

    def key_age_seconds(self) -> dict[str, float]:
        """For each issuer, the time since its keys were last confirmed; infinite before the first time."""
        return {name: keys.age_seconds() for name, keys in self._issuers.items()}

    def _keys_of(self, outline: TokenOutline) -> IssuerKeys:
        keys = self._issuers.get(outline.issuer)
        if keys is None or outline.algorithm not in keys.issuer.algorithms:
            raise Unverified(Reason.TOKEN_INVALID)
        return keys

    def _digest_of(self, token: UnverifiedToken) -> bytes:
        if len(token.compact) > MAX_TOKEN_CHARS or not token.compact.isascii():
            raise Malformed(Reason.TOKEN_MALFORMED)
        digest = self._digest.copy()
        digest.update(token.compact.encode("ascii"))
        return digest.digest()

    def _still_holds(self, found: _Verified) -> bool:
        return (
            self._clock() < found.principal.expires_at and found.keys.key_set is found.key_set and found.keys.usable()
        )

    def _remember(self, digest: bytes, verified: _Verified) -> None:
        self._verified.pop(digest, None)
        if len(self._verified) >= MAX_VERIFIED_TOKENS:
            del self._verified[next(iter(self._verified))]
        self._verified[digest] = verified
