"""Against a certified OpenID provider: its access tokens, its discovery document, its rotation, its end."""

import asyncio
import time
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from extproc.core.issuer import Issuer
from extproc.core.reasons import REFUSALS, Reason, Unavailable, Unverified
from extproc.core.record import EventCode, Outcome
from extproc.edge.identity_control import IdentityControl


async def test_real_tokens_real_rotation_real_outage(start: Any, provider: Any, clock: Any) -> None:
    clock.now = time.time()
    issuer = Issuer(provider.url, ("extproc",), ("RS256", "ES256"), discovery=True, max_key_age_seconds=120)
    authenticator = start(issuer)

    before = {client: provider.token(client) for client in ("svc-rs", "svc-es")}
    for client, token in before.items():
        principal = await authenticator.verify(token)
        assert principal.uid == f"{provider.url}|{client}"
        assert principal.groups == ("ml-team", "oncall")
        assert principal.client == client
        assert principal.token_id
        assert 290 < principal.expires_at - time.time() <= 300

    assert len(provider.rotate()) == 4
    after = {client: provider.token(client) for client in before}
    for client, token in after.items():
        assert authenticator.verify_now(before[client]) is not None
        assert (await authenticator.verify(token)).subject == client
    assert provider.rotate()
    clock.now += 11  # beyond the limit on refetches
    await authenticator.verify(provider.token("svc-es"))
    with pytest.raises(Unverified):  # two rotations ago: its key is gone, and so is its place in the cache
        await authenticator.verify(before["svc-rs"])

    token = provider.token("svc-rs")
    provider.stop()
    assert (await authenticator.verify(token)).subject == "svc-rs"
    clock.now += 121
    with pytest.raises(Unavailable):
        await authenticator.verify(token)


async def test_no_request_is_refused_while_keys_rotate_under_load(start: Any, provider: Any, clock: Any) -> None:
    """Requests all the time, with tokens of the old keys and then of the new ones, through three rotations at once."""
    clock.now = time.time()
    issuer = Issuer(provider.url, ("extproc",), ("RS256", "ES256"), discovery=True)
    authenticator = start(issuer)
    tokens = [provider.token("svc-es")]
    accepted: list[str] = []
    over = asyncio.Event()

    async def ask() -> None:
        while not over.is_set():
            accepted.append((await authenticator.verify(tokens[-1])).subject)
            await asyncio.sleep(0.002)

    async with asyncio.TaskGroup() as group:
        for _ in range(20):
            group.create_task(ask())
        for _ in range(3):
            await asyncio.to_thread(provider.rotate)
            tokens.append(await asyncio.to_thread(provider.token, "svc-es"))
            before = len(accepted)
            while len(accepted) < before + 100:
                await asyncio.sleep(0.01)
        over.set()
    assert set(accepted) == {"svc-es"}
    assert len(accepted) > 300
    assert len({token.compact for token in tokens}) == 4


async def test_an_outage_is_a_control_failure_and_the_return_ends_it(start: Any, provider: Any, clock: Any) -> None:
    """Known keys serve until their stated age, then 503; the provider returns at the same address."""
    clock.now = time.time()
    issuer = Issuer(provider.url, ("extproc",), ("ES256",), discovery=True, max_key_age_seconds=120, refresh_seconds=1)
    authenticator = start(issuer)
    token = provider.token("svc-es")
    await authenticator.verify(token)
    noted: list[tuple[str, Any]] = []

    def note(code: EventCode, status: Outcome, **detail: str | float | bool) -> None:
        noted.append((code.value, detail["issuer"]))

    control = IdentityControl(authenticator, note, SimpleNamespace(control_failure=lambda *_, **__: None))

    async def seen(count: int) -> None:
        async with asyncio.timeout(60):
            while len(noted) < count:
                control.look()
                await asyncio.sleep(0.02)

    provider.pause()
    await seen(1)
    assert (await authenticator.verify(token)).subject == "svc-es"
    clock.now += 121
    with pytest.raises(Unavailable) as raised:
        await authenticator.verify(token)
    assert REFUSALS[raised.value.reason].status == 503
    provider.resume()
    await seen(2)
    assert (await authenticator.verify(token)).subject == "svc-es"
    assert noted == [("control.failure", provider.url), ("control.restored", provider.url)]


async def test_what_the_configuration_does_not_name_is_refused(start: Any, provider: Any, clock: Any) -> None:
    clock.now = time.time()
    issuer = Issuer(provider.url, ("extproc",), ("ES256",), discovery=True)
    elliptic = start(issuer)
    await elliptic.verify(provider.token("svc-es"))
    with pytest.raises(Unverified) as raised:
        await elliptic.verify(provider.token("svc-rs"))
    assert raised.value.reason is Reason.TOKEN_INVALID
    elsewhere = start(replace(issuer, audiences=("another-service",)))
    with pytest.raises(Unverified) as raised:
        await elsewhere.verify(provider.token("svc-es"))
    assert raised.value.reason is Reason.TOKEN_INVALID
    clock.now += 331
    with pytest.raises(Unverified) as raised:
        await elliptic.verify(provider.token("svc-es"))
    assert raised.value.reason is Reason.TOKEN_EXPIRED
