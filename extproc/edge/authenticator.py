"""Bearer tokens to principals, for one worker: the issuers' keys, and the tokens that were verified a moment ago."""

import asyncio
import hashlib
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import httpx

from extproc.core.binding import Vouched
from extproc.core.identity import MAX_TOKEN_CHARS, Principal, TokenOutline, UnverifiedToken, parse_token, verify_token
from extproc.core.issuer import Issuer
from extproc.core.presented import NOTHING, Presented
from extproc.core.reasons import Malformed, Reason, Unavailable, Unverified
from extproc.edge.jwks import KeySet
from extproc.edge.keys import IssuerKeys
from extproc.edge.possession import Possession, Terms

MAX_VERIFIED_TOKENS: Final = 4096
"""Remembered at once; one takes about 1 KiB. The oldest goes first."""


@dataclass(frozen=True, slots=True)
class _Verified:
    vouched: Vouched
    keys: IssuerKeys
    key_set: KeySet | None


class Authenticator:
    """Verifies tokens of several issuers. `run` belongs in a `TaskGroup`: it fetches the keys."""

    def __init__(
        self,
        issuers: tuple[Issuer, ...],
        client: httpx.AsyncClient,
        *,
        clock: Callable[[], float] = time.time,
        terms: Terms | None = None,
    ) -> None:
        """`terms` say what is asked of tokens that are bound to a key; by default nobody is known by a certificate."""
        self._issuers = {issuer.issuer: IssuerKeys(issuer, client, clock) for issuer in issuers}
        if len(self._issuers) != len(issuers):
            raise ValueError("two issuers have the same name")
        self._client = client
        self._clock = clock
        self._possession = Possession(terms or Terms(), clock)
        self._verified: dict[bytes, _Verified] = {}
        # Keyed, so that neither the table nor a dump of it can be searched for a token; a new key for each process.
        self._digest = hashlib.blake2b(key=secrets.token_bytes(32), digest_size=32)

    def under(self, issuers: tuple[Issuer, ...], terms: Terms) -> "Authenticator":
        """Of other issuers and terms. Of an issuer that is as it was the keys stay, and so do the tokens that they
        verified; of one that is trusted otherwise the keys, where they come from the same source. What was shown once
        for a bound token stays used."""
        other = Authenticator(issuers, self._client, clock=self._clock)
        for name in self._issuers.keys() & other._issuers.keys():
            if other._issuers[name].issuer == self._issuers[name].issuer:
                other._issuers[name] = self._issuers[name]
            else:
                other._issuers[name].begin_with(self._issuers[name])
        kept = other.keys
        other._verified = {digest: each for digest, each in self._verified.items() if each.keys in kept}
        other._digest = self._digest
        other._possession = self._possession.under(terms)
        return other

    @property
    def keys(self) -> frozenset[IssuerKeys]:
        """Of all issuers."""
        return frozenset(self._issuers.values())

    def verify_now(self, token: UnverifiedToken | None, presented: Presented = NOTHING) -> Principal | None:
        """The principal, when no fetch is needed to know it; None asks for `verify`.

        A token verified before is known by its keyed digest until it expires, and as long as the issuer's keys are the
        same and young enough. What it is bound to must be `presented` each time. Without a token the certificate may
        name a workload. Raises `Malformed` and `Unverified` as `verify_token` and `Possession` do.
        """
        if token is None:
            return self._possession.workload(presented.certificate)
        vouched = self._vouched_now(token)
        return None if vouched is None else self._possession.confirm(vouched, token, presented)

    async def verify(self, token: UnverifiedToken | None, presented: Presented = NOTHING) -> Principal:
        """The principal. An unknown key id has the issuer's keys fetched again, within a limit.

        Raises `Malformed(TOKEN_MALFORMED)`, `Unverified`, or `Unavailable(IDENTITY_UNAVAILABLE)` when the keys are
        missing, too old, or cannot be asked for a new one.
        """
        if token is None:
            return self._possession.workload(presented.certificate)
        return self._possession.confirm(await self.vouch(token), token, presented)

    async def vouch(self, token: UnverifiedToken) -> Vouched:
        """What the issuer says of `token`: nobody yet, because nothing that it is bound to has been shown.

        Raises as `verify` does, but for what is bound.
        """
        vouched = self._vouched_now(token)
        if vouched is not None:
            return vouched
        keys = self._keys_of(parse_token(token))
        await keys.refetch()
        vouched = self._vouched_now(token)
        if vouched is not None:
            return vouched
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

    def failing(self) -> frozenset[str]:
        """The issuers whose keys cannot be had now, or are too old to be used."""
        return frozenset(name for name, keys in self._issuers.items() if keys.failing())

    def _vouched_now(self, token: UnverifiedToken) -> Vouched | None:
        digest = self._digest_of(token)
        found = self._verified.get(digest)
        if found is not None and self._still_holds(found):
            return found.vouched
        outline = parse_token(token)
        keys = self._keys_of(outline)
        key = keys.find(outline)
        if key is None:
            return None
        vouched = verify_token(token, keys.issuer, key, self._clock())
        self._remember(digest, _Verified(vouched, keys, keys.key_set))
        return vouched

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
        if found.keys.key_set is not found.key_set or not found.keys.usable():
            return False
        return self._clock() < found.vouched.principal.expires_at

    def _remember(self, digest: bytes, verified: _Verified) -> None:
        self._verified.pop(digest, None)
        if len(self._verified) >= MAX_VERIFIED_TOKENS:
            del self._verified[next(iter(self._verified))]
        self._verified[digest] = verified
