"""Keys over the network: cache, rotation, outage and bounds, against an issuer that misbehaves on request."""

import asyncio
import gzip
import json
import logging
import math
import os
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from extproc.core.identity import UnverifiedToken
from extproc.core.issuer import Issuer
from extproc.core.reasons import ExchangeError, Malformed, Reason, Unavailable, Unverified
from extproc.edge import authenticator as authenticator_module
from extproc.edge import key_source
from extproc.edge import keys as keys_module
from extproc.edge.authenticator import Authenticator
from extproc.edge.key_source import MAX_DOCUMENT_BYTES


async def refusal(authenticator: Authenticator, token: UnverifiedToken) -> Reason:
    """The reason for which a token is refused; what is raised says nothing of the token."""
    with pytest.raises((Malformed, Unverified, Unavailable)) as raised:
        await authenticator.verify(token)
    error: BaseException | None = raised.value
    while error is not None:
        text = "".join(traceback.format_exception(error)) + repr(error.args)
        assert all(len(part) < 8 or part not in text for part in token.compact.split("."))
        error = error.__context__
    assert isinstance(raised.value, ExchangeError)
    return raised.value.reason


async def until(holds: Callable[[], bool], seconds: float = 30.0) -> None:
    async with asyncio.timeout(seconds):
        while not holds():
            await asyncio.sleep(0.01)


async def test_the_first_token_waits_for_the_keys_and_the_next_does_not(start: Any, toy: Any, key: Any) -> None:
    issuer = Issuer(toy.url, ("extproc",), ("ES256",), discovery=True)
    toy.delay = 0.1
    authenticator = start(issuer)
    token = key.token(toy.url)
    assert authenticator.verify_now(token) is None
    assert authenticator.key_age_seconds() == {toy.url: math.inf}
    principal = await authenticator.verify(token)
    assert (principal.uid, principal.groups) == (f"{toy.url}|u-1", ("g",))
    assert authenticator.verify_now(token) is principal
    assert authenticator.verify_now(key.token(toy.url, sub="u-2")).subject == "u-2"
    assert toy.requests == ["/.well-known/openid-configuration", "/jwks"]


async def test_a_verified_token_is_known_again_without_a_second_verification(
    start: Any, toy: Any, key: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    authenticator = start(toy.issuer())
    token = key.token(toy.url)
    principal = await authenticator.verify(token)
    monkeypatch.setattr(authenticator_module, "verify_token", None)
    assert authenticator.verify_now(UnverifiedToken(str(token.compact))) is principal
    assert not any(part in repr(authenticator._verified) for part in token.compact.split("."))


async def test_the_table_of_verified_tokens_cannot_be_searched_for_a_token(start: Any, toy: Any, key: Any) -> None:
    """Its digests are keyed, anew in each process: neither a plain digest nor another table's finds the token."""
    token = key.token(toy.url)
    one, two = start(toy.issuer()), start(toy.issuer())
    await one.verify(token)
    await two.verify(token)
    assert not set(one._verified) & set(two._verified)


async def test_a_cached_token_ends_when_it_expires(start: Any, toy: Any, key: Any, clock: Any) -> None:
    authenticator = start(toy.issuer(leeway_seconds=0))
    token = key.token(toy.url, exp=int(clock.now) + 60)
    await authenticator.verify(token)
    clock.now += 59.999
    assert authenticator.verify_now(token) is not None
    clock.now += 0.001
    assert await refusal(authenticator, token) is Reason.TOKEN_EXPIRED


async def test_the_cache_is_bounded(start: Any, toy: Any, key: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(authenticator_module, "MAX_VERIFIED_TOKENS", 8)
    authenticator = start(toy.issuer())
    tokens = [key.token(toy.url, jti=str(number)) for number in range(20)]
    for token in tokens:
        await authenticator.verify(token)
    assert len(authenticator._verified) == 8
    assert authenticator.verify_now(tokens[0]) is not None


async def test_a_token_of_an_unknown_issuer_or_algorithm_causes_no_fetch(start: Any, toy: Any, key: Any) -> None:
    authenticator = start(toy.issuer())
    await authenticator.verify(key.token(toy.url))
    seen = list(toy.requests)
    assert await refusal(authenticator, key.token(f"{toy.url}/other")) is Reason.TOKEN_INVALID
    head = "eyJhbGciOiJFUzM4NCIsImtpZCI6Im5ldyJ9"  # {"alg":"ES384","kid":"new"}
    other = UnverifiedToken(head + key.token(toy.url).compact[key.token(toy.url).compact.index(".") :])
    assert await refusal(authenticator, other) is Reason.TOKEN_INVALID
    assert await refusal(authenticator, UnverifiedToken("x" * 99999)) is Reason.TOKEN_MALFORMED
    assert await refusal(authenticator, UnverifiedToken("é.é.é")) is Reason.TOKEN_MALFORMED
    assert toy.requests == seen


async def test_each_issuer_vouches_only_for_its_own(start: Any, toy: Any, key: Any, tmp_path: Path) -> None:
    second = key.another("k-1")  # the same id at both
    (tmp_path / "jwks.json").write_text(json.dumps({"keys": [second.jwk()]}))
    authenticator = start(
        toy.issuer(), Issuer("second", ("extproc",), ("ES256",), jwks_file=str(tmp_path / "jwks.json"))
    )
    assert (await authenticator.verify(key.token(toy.url))).issuer == toy.url
    assert (await authenticator.verify(second.token("second"))).issuer == "second"
    assert await refusal(authenticator, key.token("second")) is Reason.TOKEN_INVALID
    assert await refusal(authenticator, second.token(toy.url)) is Reason.TOKEN_INVALID
    assert set(authenticator.key_age_seconds()) == {toy.url, "second"}


async def test_issuers_of_one_name_are_refused(toy: Any) -> None:
    async with httpx.AsyncClient() as client:
        with pytest.raises(ValueError, match="same name"):
            Authenticator((toy.issuer(), toy.issuer()), client)


# Rotation ------------------------------------------------------------------------------------------------------------


async def test_an_unknown_kid_has_the_keys_fetched_once_and_is_accepted(start: Any, toy: Any, key: Any) -> None:
    authenticator = start(toy.issuer())
    old = key.token(toy.url)
    await authenticator.verify(old)
    fresh = key.another("k-2")
    toy.keys = [fresh.jwk(), key.jwk()]
    toy.delay = 0.1
    tokens = [fresh.token(toy.url, sub=f"u-{number}") for number in range(20)]
    principals = await asyncio.gather(*map(authenticator.verify, tokens))
    assert [principal.subject for principal in principals] == [f"u-{number}" for number in range(20)]
    assert toy.count() == 2
    assert authenticator.verify_now(old) is not None


async def test_invented_kids_cause_one_fetch_in_the_interval(start: Any, toy: Any, key: Any, clock: Any) -> None:
    authenticator = start(toy.issuer())
    await authenticator.verify(key.token(toy.url))
    for number in range(50):
        assert await refusal(authenticator, key.another(f"x-{number}").token(toy.url)) is Reason.TOKEN_INVALID
    assert toy.count() == 2
    clock.now += keys_module.REFETCH_SECONDS
    for number in range(5):
        assert await refusal(authenticator, key.another(f"y-{number}").token(toy.url)) is Reason.TOKEN_INVALID
    assert toy.count() == 3


async def test_a_rotation_that_was_found_does_not_use_up_the_limit(start: Any, toy: Any, key: Any, clock: Any) -> None:
    authenticator = start(toy.issuer())
    await authenticator.verify(key.token(toy.url))
    for number in range(3):
        fresh = key.another(f"n-{number}")
        toy.keys = [fresh.jwk(), *toy.keys]
        assert (await authenticator.verify(fresh.token(toy.url))).subject == "u-1"
    assert toy.count() == 4
    for number in range(5):
        assert await refusal(authenticator, key.another(f"x-{number}").token(toy.url)) is Reason.TOKEN_INVALID
    assert toy.count() == 5


async def test_a_withdrawn_key_ends_the_tokens_it_signed_though_they_are_cached(start: Any, toy: Any, key: Any) -> None:
    authenticator = start(toy.issuer())
    token, fresh = key.token(toy.url), key.another("k-2")
    await authenticator.verify(token)
    toy.keys = [fresh.jwk()]
    await authenticator.verify(fresh.token(toy.url))
    assert await refusal(authenticator, token) is Reason.TOKEN_INVALID


async def test_an_empty_key_set_revokes_all(start: Any, toy: Any, key: Any) -> None:
    authenticator = start(toy.issuer(refresh_seconds=1))
    token = key.token(toy.url)
    await authenticator.verify(token)
    toy.keys = []
    await until(lambda: toy.count() == 2)
    await asyncio.sleep(0.1)
    assert await refusal(authenticator, token) is Reason.TOKEN_INVALID


async def test_keys_are_refreshed_in_the_background(start: Any, toy: Any, key: Any, clock: Any) -> None:
    authenticator = start(toy.issuer(refresh_seconds=1))
    await authenticator.verify(key.token(toy.url))
    clock.now += 500
    assert authenticator.key_age_seconds() == {toy.url: 500.0}
    toy.keys = [key.another("k-2").jwk(), key.jwk()]
    await until(lambda: authenticator.key_age_seconds()[toy.url] == 0.0)
    assert toy.count() == 2


async def test_a_waiting_request_that_goes_away_takes_nobody_with_it(start: Any, toy: Any, key: Any) -> None:
    toy.delay = 0.2
    authenticator = start(toy.issuer())
    leaving = asyncio.create_task(authenticator.verify(key.token(toy.url)))
    staying = asyncio.create_task(authenticator.verify(key.token(toy.url, sub="u-2")))
    await asyncio.sleep(0.05)
    leaving.cancel()
    assert (await staying).subject == "u-2"
    assert toy.count() == 1
    with pytest.raises(asyncio.CancelledError):
        await leaving


# Outage --------------------------------------------------------------------------------------------------------------


async def test_known_keys_serve_through_an_outage_until_their_stated_age(
    start: Any, toy: Any, key: Any, clock: Any, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "extproc")
    authenticator = start(toy.issuer(refresh_seconds=1))
    cached = key.token(toy.url, exp=int(clock.now) + 99999)
    await authenticator.verify(cached)
    toy.status = 503
    await until(lambda: toy.count() >= 2)
    clock.now += 3600
    assert authenticator.verify_now(cached) is not None
    assert authenticator.verify_now(key.token(toy.url, exp=int(clock.now) + 60)) is not None
    assert await refusal(authenticator, key.another("k-2").token(toy.url)) is Reason.IDENTITY_UNAVAILABLE
    clock.now += 1
    assert authenticator.verify_now(cached) is None
    assert await refusal(authenticator, cached) is Reason.IDENTITY_UNAVAILABLE
    assert authenticator.key_age_seconds() == {toy.url: 3601.0}
    toy.status = 200
    await until(lambda: authenticator.key_age_seconds()[toy.url] == 0.0)
    assert authenticator.verify_now(cached) is not None
    ours = [record.getMessage() for record in caplog.records if record.name.startswith("extproc")]
    assert ours == [f"the keys of issuer {toy.url} cannot be had", f"the keys of issuer {toy.url} are back"]


@pytest.mark.parametrize(
    "fault",
    [
        {"status": 500},
        {"status": 404},
        {"status": 204, "body": b""},
        {"status": 302, "headers": {"location": "/elsewhere"}},
        {"body": b""},
        {"body": b"not json"},
        {"body": b'{"keys": 7}'},
        {"body": gzip.compress(b" " * 100_000_000, mtime=0), "headers": {"content-encoding": "gzip"}},
        {"headers": {"content-length": "99999"}},
        {"headers": {"transfer-encoding": "chunked"}},
        {"delay": 0.6},
    ],
    ids=lambda fault: repr(fault)[:50],
)
async def test_an_answer_that_is_no_key_set_leaves_the_keys_unavailable(
    start: Any, toy: Any, key: Any, fault: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(key_source, "FETCH_SECONDS", 0.3)
    for name, value in fault.items():
        setattr(toy, name, value)
    authenticator = start(toy.issuer())
    assert await refusal(authenticator, key.token(toy.url)) is Reason.IDENTITY_UNAVAILABLE
    assert "/elsewhere" not in toy.requests


async def test_a_key_set_may_be_so_long_and_no_longer(start: Any, toy: Any, key: Any) -> None:
    toy.body = toy.jwks().ljust(MAX_DOCUMENT_BYTES)
    assert await start(toy.issuer()).verify(key.token(toy.url))
    toy.body += b" "
    assert await refusal(start(toy.issuer()), key.token(toy.url)) is Reason.IDENTITY_UNAVAILABLE


@pytest.mark.parametrize(
    "discovery",
    [
        {"issuer": "https://evil.test"},
        {"issuer": None},
        {"jwks_uri": None},
        {"jwks_uri": "http://0.0.0.0:{port}/jwks"},
        {"jwks_uri": "http://user:password@127.0.0.1:{port}/jwks"},
        {"jwks_uri": "file:///etc/passwd"},
    ],
    ids=str,
)
async def test_discovery_must_name_the_issuer_and_a_trustworthy_key_url(
    start: Any, toy: Any, key: Any, discovery: dict[str, Any]
) -> None:
    port = toy.url.rsplit(":", 1)[1]
    toy.discovery = {name: value and value.replace("{port}", port) for name, value in discovery.items()}
    authenticator = start(Issuer(toy.url, ("extproc",), ("ES256",), discovery=True))
    assert await refusal(authenticator, key.token(toy.url)) is Reason.IDENTITY_UNAVAILABLE
    assert "/jwks" not in toy.requests


async def test_an_issuer_that_is_not_there_is_unavailable(start: Any, toy: Any, key: Any, clock: Any) -> None:
    toy.stop()
    authenticator = start(Issuer(toy.url, ("extproc",), ("ES256",), jwks_url=f"{toy.url}/jwks"))
    for _ in range(3):
        assert await refusal(authenticator, key.token(toy.url)) is Reason.IDENTITY_UNAVAILABLE


async def test_without_background_work_all_is_refused_in_bounded_time(
    toy: Any, key: Any, clock: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keys_module, "WAIT_SECONDS", 0.1)
    async with httpx.AsyncClient() as client:
        authenticator = Authenticator((toy.issuer(),), client, clock=clock)
        assert await refusal(authenticator, key.token(toy.url)) is Reason.IDENTITY_UNAVAILABLE


# Files ---------------------------------------------------------------------------------------------------------------


async def test_a_key_file_is_read_again_when_it_changes(
    start: Any, key: Any, clock: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keys_module, "FILE_POLL_SECONDS", 0.05)
    fresh, path = key.another("k-2"), tmp_path / "jwks.json"
    for folder, published in (("a", key), ("b", fresh)):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "jwks.json").write_text(json.dumps({"keys": [published.jwk()]}))
    path.symlink_to("a/jwks.json")
    authenticator = start(Issuer("i", ("extproc",), ("ES256",), jwks_file=str(path), max_key_age_seconds=60))
    token = key.token("i")
    await authenticator.verify(token)
    os.symlink("b/jwks.json", tmp_path / "next")  # as Kubernetes swaps a ConfigMap
    (tmp_path / "next").replace(path)
    await until(lambda: authenticator.verify_now(fresh.token("i")) is not None)
    assert await refusal(authenticator, token) is Reason.TOKEN_INVALID
    path.unlink()
    await asyncio.sleep(0.2)
    clock.now += 60
    assert authenticator.verify_now(fresh.token("i")) is not None
    clock.now += 1
    assert await refusal(authenticator, fresh.token("i")) is Reason.IDENTITY_UNAVAILABLE
    path.write_bytes(json.dumps({"keys": [fresh.jwk()]}).encode().ljust(MAX_DOCUMENT_BYTES + 1))
    await asyncio.sleep(0.2)
    assert await refusal(authenticator, fresh.token("i")) is Reason.IDENTITY_UNAVAILABLE
    path.write_text(json.dumps({"keys": [fresh.jwk()]}))
    await until(lambda: authenticator.verify_now(fresh.token("i")) is not None)
