"""Logging in by OpenID Connect at the certified provider, through the console's own routes."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
import pytest_asyncio

from extproc.console.oidc_provider import OidcProvider
from extproc.core.issuer import Issuer
from extproc.edge.settings_console import OidcSettings, RoleSettings
from tests.console.conftest import World
from tests.console.idp import CONSOLE
from tests.console.oidc import CLIENT, SECRET, RealOidc, Walk, path_of

REAL_TIME = __import__("time").time


@pytest.fixture(scope="module")
def real() -> Iterator[RealOidc]:
    running = RealOidc(CONSOLE)
    yield running
    running.stop()


@pytest.fixture
def walk(real: RealOidc) -> Iterator[Walk]:
    browser = Walk(real)
    yield browser
    browser.close()


@pytest_asyncio.fixture
async def oidc_world(world: World, real: RealOidc, tmp_path: Path) -> AsyncIterator[World]:
    """The console with the provider as its issuer, at the time that the provider has."""
    world.now[0] = REAL_TIME()
    (tmp_path / "secret").write_text(SECRET + "\n")
    oidc = OidcSettings(real.url, CLIENT, tmp_path / "secret", ("openid", "profile", "email", "groups"))
    issuer = Issuer(real.url, ("extproc",), ("RS256", "ES256"), discovery=True, token_types=("at+jwt",))
    async with httpx.AsyncClient(trust_env=False) as client:
        provider = OidcProvider(issuer, oidc, world.parts.settings.callback_url, client, lambda: world.now[0])
        settings = replace(world.parts.settings, oidc=oidc, roles=RoleSettings(approver=("approvers",)))
        world.parts = replace(world.parts, oidc=provider, settings=settings)
        running = asyncio.create_task(provider.run())
        yield world
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


async def begin(browser: httpx.AsyncClient, to: str = "/") -> str:
    answer = await browser.get("/oidc/login", params={"to": to})
    assert answer.status_code == 303, answer.text
    return answer.headers["location"]


async def test_a_person_logs_in_by_openid_connect_and_has_the_uid_and_groups_of_the_issuer(
    oidc_world: World, real: RealOidc, walk: Walk
) -> None:
    async with oidc_world.browser() as browser:
        url = await begin(browser, "/static/console.css")
        query = parse_qs(urlsplit(url).query)
        assert query["code_challenge_method"] == ["S256"]
        assert query["response_type"] == ["code"]
        assert "code_verifier" not in query
        answered = await asyncio.to_thread(
            lambda: walk.say(walk.to_login(url), "änna", "approvers ml-team", "anna@example.org")
        )
        done = await browser.get(path_of(answered))
        assert (done.status_code, done.headers["location"]) == (303, f"{CONSOLE}/static/console.css"), done.text
        front = (await browser.get("/")).text
        assert f"{real.url}|änna" in front
        assert "approver, reader" in front
        login = oidc_world.log.records[-1]
        assert (login.event_code, login.actor.uid, login.actor.groups, login.actor.methods) == (
            "auth.login", f"{real.url}|änna", ("approvers", "ml-team"), ("pwd", "mfa"),
        )  # fmt: skip
        assert login.resource.operation == "oidc.login"
        assert not [name for name in browser.cookies if "oidc" in name]


async def test_whoever_cancels_at_the_provider_is_not_logged_in_and_its_text_is_shown_nowhere(
    oidc_world: World, walk: Walk
) -> None:
    async with oidc_world.browser() as browser:
        url = await begin(browser)
        answered = await asyncio.to_thread(lambda: walk.say(walk.to_login(url), "", do="cancel"))
        assert "script" in answered
        done = await browser.get(path_of(answered))
        assert done.status_code == 403
        assert "no</script>" not in done.text
        assert "no&lt;" not in done.text
        assert oidc_world.refusals == ["provider_refused"]


async def test_a_code_serves_once_and_a_changed_secret_is_read_anew(
    oidc_world: World, walk: Walk, tmp_path: Path
) -> None:
    async with oidc_world.browser() as browser, oidc_world.browser() as other:
        url = await begin(browser)
        answered = path_of(await asyncio.to_thread(lambda: walk.say(walk.to_login(url), "berta")))
        other.cookies.update(dict(browser.cookies))  # stolen with its cookies
        assert (await browser.get(answered)).status_code == 303
        assert (await other.get(answered)).status_code == 403
        again = await begin(browser)
        answered = path_of(await asyncio.to_thread(walk.to_login, again))  # the provider's session goes on
        (tmp_path / "secret").write_text("another")
        assert (await browser.get(answered)).status_code == 403
        assert oidc_world.refusals == ["state_used", "client_refused"]
        (tmp_path / "secret").write_text(SECRET)
        answered = path_of(await asyncio.to_thread(walk.to_login, await begin(browser)))
        assert (await browser.get(answered)).status_code == 303


async def test_the_provider_takes_our_way_to_its_own_logout(oidc_world: World, walk: Walk) -> None:
    provider = oidc_world.parts.oidc
    assert provider is not None
    url = await provider.logout_url(f"{CONSOLE}/")
    assert await asyncio.to_thread(walk.to_login, url) == url  # it asks, and complains of nothing


async def test_after_an_idle_session_the_provider_asks_who_it_is(oidc_world: World, walk: Walk) -> None:
    async with oidc_world.browser() as browser:
        url = await begin(browser)
        await browser.get(path_of(await asyncio.to_thread(lambda: walk.say(walk.to_login(url), "carla"))))
        cookies = dict(browser.cookies)
        assert "prompt" not in await begin(browser)
        oidc_world.now[0] += 900
        browser.cookies.update(cookies)
        assert "Nobody is logged in" in (await browser.get("/")).text
        oidc_world.now[0] -= 900
        await asyncio.to_thread(oidc_world.parts.sessions.end, cookies["__Host-extproc-session"])
        url = await begin(browser)
        assert "prompt=login" in url
        at = await asyncio.to_thread(walk.to_login, url)
        assert "/_login/" in at
        assert (await browser.get(path_of(await asyncio.to_thread(walk.say, at, "carla")))).status_code == 303
