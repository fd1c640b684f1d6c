"""Against a certified OpenID provider: its access tokens, its discovery document, its rotation, its end."""

import time
from dataclasses import replace
from typing import Any

import pytest

from extproc.core.issuer import Issuer
from extproc.core.reasons import Reason, Unavailable, Unverified


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
