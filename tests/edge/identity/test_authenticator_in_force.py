"""Other issuers while the service runs: who is trusted changes for new exchanges, what was known and used does not."""

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from typing import Any

import httpx
import pytest
import pytest_asyncio

from extproc.core.dpop import DpopTerms
from extproc.core.issuer import Issuer
from extproc.core.presented import Presented
from extproc.core.reasons import Reason, Unverified
from extproc.edge import authenticator as authenticator_module
from extproc.edge import authenticator_in_force as in_force_module
from extproc.edge.authenticator import Authenticator
from extproc.edge.authenticator_in_force import AuthenticatorInForce
from extproc.edge.possession import Terms
from tests.edge.identity.test_authenticator import until
from tests.edge.identity.test_possession import CERTIFICATE, JKT, VERIFIED, dpop, refusal, request

PLAIN = Terms()


@pytest_asyncio.fixture
async def serve(clock: Any) -> AsyncIterator[Callable[..., AuthenticatorInForce]]:
    """Puts the first authenticator in force, with its background work."""
    tasks: list[asyncio.Task[None]] = []
    async with httpx.AsyncClient(trust_env=False) as client:

        def begin(*issuers: Issuer, terms: Terms = PLAIN) -> AuthenticatorInForce:
            in_force = AuthenticatorInForce(Authenticator(issuers, client, clock=clock, terms=terms))
            tasks.append(asyncio.create_task(in_force.run()))
            return in_force

        yield begin
        assert not any(task.done() for task in tasks), "background work ended by itself"
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def other(toy: Any, **change: Any) -> Issuer:
    """Another issuer, whose keys stand at the same address."""
    return replace(toy.issuer(), issuer="https://other.example", **change)


async def test_an_issuer_that_stays_keeps_its_keys_and_what_they_verified(
    serve: Any, toy: Any, key: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    in_force = serve(toy.issuer())
    token = key.token(toy.url)
    principal = await in_force.get().verify(token)
    in_force.put((toy.issuer(), other(toy)), PLAIN)
    await in_force.get().verify(key.token("https://other.example"))
    assert toy.count() == 2, "each issuer's keys were fetched once"
    monkeypatch.setattr(authenticator_module, "verify_token", None)
    assert in_force.get().verify_now(token) is principal


async def test_a_new_issuers_first_token_waits_for_its_keys(serve: Any, toy: Any, key: Any) -> None:
    in_force = serve()
    token = key.token(toy.url)
    assert await refusal(in_force.get(), token) is Reason.TOKEN_INVALID
    await asyncio.sleep(0)  # its background work has begun
    in_force.put((toy.issuer(),), PLAIN)
    assert (await in_force.get().verify(token)).subject == "u-1"
    assert in_force.key_age_seconds() == {toy.url: 0.0}


async def test_an_issuer_that_went_judges_nothing_any_more(serve: Any, toy: Any, key: Any) -> None:
    """Not even what it had vouched for a moment ago; an exchange that began before ends as it began."""
    in_force = serve(toy.issuer(), other(toy))
    known, unknown = key.token(toy.url), key.token(toy.url, sub="u-2")
    await in_force.get().verify(known)
    before = in_force.get()
    in_force.put((other(toy),), PLAIN)
    for token in (known, unknown):
        with pytest.raises(Unverified):
            in_force.get().verify_now(token)
    assert before.verify_now(known).subject == "u-1"
    assert before.verify_now(unknown).subject == "u-2"
    assert set(in_force.key_age_seconds()) == {"https://other.example"}


async def test_what_an_issuer_is_trusted_with_is_asked_anew_when_it_is_another(serve: Any, toy: Any, key: Any) -> None:
    in_force = serve(toy.issuer())
    token = key.token(toy.url)
    await in_force.get().verify(token)
    in_force.put((toy.issuer(audiences=("another",)),), PLAIN)
    assert await refusal(in_force.get(), token) is Reason.TOKEN_INVALID
    in_force.put((toy.issuer(),), PLAIN)
    assert (await in_force.get().verify(token)).subject == "u-1"


async def test_keys_of_the_same_source_serve_an_issuer_that_is_trusted_otherwise(
    serve: Any, toy: Any, key: Any, clock: Any
) -> None:
    """While it is away, as long as they would have served anyhow."""
    in_force = serve(toy.issuer())
    await in_force.get().verify(key.token(toy.url))
    toy.status = 500
    clock.now += 1000
    in_force.put((toy.issuer(audiences=("extproc", "another")),), PLAIN)
    assert in_force.get().verify_now(key.token(toy.url, aud="another", exp=int(clock.now) + 9000)).subject == "u-1"
    assert in_force.key_age_seconds() == {toy.url: 1000.0}
    clock.now += 3000
    assert in_force.get().verify_now(key.token(toy.url, aud="another", exp=int(clock.now) + 9000)) is None


async def test_keys_of_another_source_are_fetched_first(serve: Any, toy: Any, key: Any) -> None:
    in_force = serve(toy.issuer())
    token = key.token(toy.url)
    await in_force.get().verify(token)
    in_force.put((toy.issuer(jwks_url=f"{toy.url}/jwks?other"),), PLAIN)
    assert in_force.get().verify_now(token) is None
    assert (await in_force.get().verify(token)).subject == "u-1"


async def test_keys_are_for_the_algorithms_that_are_accepted_now(serve: Any, toy: Any, key: Any) -> None:
    in_force = serve(toy.issuer(algorithms=("ES256", "RS256")))
    await in_force.get().verify(key.token(toy.url))
    in_force.put((toy.issuer(algorithms=("RS256",)),), PLAIN)
    (keys,) = in_force.get().keys
    assert keys.key_set is not None
    assert not keys.key_set.keys


async def test_two_issuers_of_one_name_change_nothing(serve: Any, toy: Any, key: Any) -> None:
    in_force = serve(toy.issuer())
    before = in_force.get()
    with pytest.raises(ValueError, match="two issuers"):
        in_force.put((toy.issuer(), toy.issuer()), VERIFIED)
    assert in_force.get() is before


async def test_the_keys_of_an_issuer_that_went_are_fetched_until_nobody_can_wait_for_them(
    serve: Any, toy: Any, key: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An exchange that waits for the first fetch while its issuer goes gets its answer."""
    monkeypatch.setattr(in_force_module, "WAIT_SECONDS", 1.0)
    toy.delay = 0.2
    in_force = serve(toy.issuer())
    waiting = asyncio.create_task(in_force.get().verify(key.token(toy.url)))
    await until(lambda: bool(toy.requests))
    fetching = {task for task in asyncio.all_tasks() if "IssuerKeys.run" in repr(task)}
    in_force.put((), PLAIN)
    assert (await waiting).subject == "u-1"
    assert len(fetching) == 1
    await until(lambda: all(task.done() for task in fetching))


async def test_a_proof_that_was_used_stays_used(serve: Any, toy: Any, key: Any, clock: Any) -> None:
    in_force = serve(toy.issuer())
    token = key.token(toy.url, cnf={"jkt": JKT})
    first = request(token, clock.now)
    await in_force.get().verify(dpop(token), first)
    in_force.put((toy.issuer(),), replace(PLAIN, trust_domains=("example.org",)))
    assert await refusal(in_force.get(), dpop(token), first) is Reason.PROOF_INVALID


async def test_a_proof_stays_used_as_long_as_the_new_terms_would_take_it(
    serve: Any, toy: Any, key: Any, clock: Any
) -> None:
    in_force = serve(toy.issuer())
    token = key.token(toy.url, cnf={"jkt": JKT})
    first = request(token, clock.now)
    await in_force.get().verify(dpop(token), first)
    in_force.put((toy.issuer(),), Terms(dpop=DpopTerms(max_age_seconds=240)))
    clock.now += 200
    await in_force.get().verify(dpop(token), request(token, clock.now, jti="2"))
    assert await refusal(in_force.get(), dpop(token), first) is Reason.PROOF_INVALID


async def test_the_terms_are_others_too(serve: Any, toy: Any) -> None:
    in_force = serve(toy.issuer(), terms=VERIFIED)
    presented = Presented(certificate=CERTIFICATE)
    assert in_force.get().verify_now(None, presented).spiffe_id == CERTIFICATE.uri
    in_force.put((toy.issuer(),), replace(VERIFIED, trust_domains=("example.com",)))
    assert await refusal(in_force.get(), None, presented) is Reason.TOKEN_MISSING
