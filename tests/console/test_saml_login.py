"""Logging in through the console's own routes: what a browser sees, what is kept, what is recorded."""

import base64
import zlib
from dataclasses import replace
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from lxml import etree

from extproc.audit.refusal import AuditRefused
from extproc.console.failures import MAX_ADDRESSES, Failures
from extproc.console.pending import LOGIN_COOKIE, LOGIN_SECONDS, MAX_PENDING
from extproc.console.sealing import open_sealing
from extproc.console.token import GRANT_TYPE
from tests.console.conftest import World, token_of
from tests.console.idp import ACS, IDP, NOW, SP, Spec


async def ask(browser: httpx.AsyncClient, to: str = "/") -> str:
    """Begins a login; the id of its request."""
    answer = await browser.get("/saml/login", params={"to": to})
    assert answer.status_code == 303
    query = parse_qs(urlsplit(answer.headers["location"]).query)
    request = etree.fromstring(zlib.decompress(base64.b64decode(query["SAMLRequest"][0]), -15))
    assert request.get("AssertionConsumerServiceURL") == ACS
    assert request.get("Destination") == f"{IDP}/login"
    assert request.findtext("{*}Issuer") == SP
    return str(request.get("ID"))


async def log_out(browser: httpx.AsyncClient) -> httpx.Response:
    """By the button of the page."""
    return await browser.post("/logout", data={"csrf": token_of((await browser.get("/")).text)})


async def test_a_person_logs_in_sees_who_they_are_and_logs_out(world: World, browser: httpx.AsyncClient) -> None:
    assert "Nobody is logged in" in (await browser.get("/")).text
    spec = Spec(
        in_response_to=await ask(browser, "/static/console.css"),
        attributes={"groups": ("a", "b"), "displayName": ("Änna",)},
    )
    done = await browser.post("/saml/acs", data={"SAMLResponse": world.answer(spec)})
    assert (done.status_code, done.headers["location"]) == (303, "https://console.example.org/static/console.css")
    front = (await browser.get("/")).text
    assert "Änna" in front
    assert "https://console.example.org|anna" in front
    login = world.log.records[-1]
    assert (login.event_code, login.actor.uid, login.actor.groups) == (
        "auth.login", "https://console.example.org|anna", ("a", "b"),
    )  # fmt: skip
    assert login.src_address == "192.0.2.7:4711"
    out = await log_out(browser)
    assert out.status_code == 303
    assert "Nobody is logged in" in (await browser.get("/")).text
    assert world.log.records[-1].event_code == "auth.logout"


async def test_a_session_that_was_ended_is_over_for_whoever_kept_its_cookie(
    world: World, browser: httpx.AsyncClient
) -> None:
    await browser.post("/saml/acs", data={"SAMLResponse": world.answer(Spec(in_response_to=await ask(browser)))})
    kept = dict(browser.cookies)
    await log_out(browser)
    async with world.browser() as thief:
        thief.cookies.update(kept)
        assert "Nobody is logged in" in (await thief.get("/")).text


@pytest.mark.parametrize("ends", [("session", 8 * 3600), ("provider", 1200)], ids=lambda each: each[0])
async def test_a_session_ends_by_itself_and_with_the_provider_s(
    world: World, browser: httpx.AsyncClient, ends: tuple[str, int]
) -> None:
    session = {"session_ends": 1200} if ends[0] == "provider" else {}
    spec = Spec(in_response_to=await ask(browser)).but(**session)
    await browser.post("/saml/acs", data={"SAMLResponse": world.answer(spec)})
    secret = dict(browser.cookies)
    for after in (*range(600, ends[1], 600), ends[1] - 1):
        world.now[0] = NOW + after
        assert "anna" in (await browser.get("/")).text
    world.now[0] = NOW + ends[1]
    browser.cookies.update(secret)
    assert "Nobody is logged in" in (await browser.get("/")).text


async def test_whoever_does_nothing_for_a_quarter_of_an_hour_logs_in_again(
    world: World, browser: httpx.AsyncClient
) -> None:
    await browser.post("/saml/acs", data={"SAMLResponse": world.answer(Spec(in_response_to=await ask(browser)))})
    world.now[0] += 899
    assert "anna" in (await browser.get("/")).text
    world.now[0] += 900
    assert "Nobody is logged in" in (await browser.get("/")).text


async def test_while_the_approval_store_is_away_nobody_is_let_in(
    tmp_path: Path, world: World, browser: httpx.AsyncClient
) -> None:
    await browser.post("/saml/acs", data={"SAMLResponse": world.answer(Spec(in_response_to=await ask(browser)))})
    (tmp_path / "approvals.db").rename(tmp_path / "away.db")
    assert (await browser.get("/")).status_code == 503
    spec = Spec(in_response_to=await ask(browser), assertion_id="_a2")
    assert (await browser.post("/saml/acs", data={"SAMLResponse": world.answer(spec)})).status_code == 503
    given = base64.urlsafe_b64encode(etree.tostring(world.signed(Spec().for_exchange()))).decode()
    answer = await browser.post("/token", data={"grant_type": GRANT_TYPE, "assertion": given})
    assert (answer.status_code, answer.json()) == (503, {"error": "temporarily_unavailable"})
    assert world.refusals == ["approvals_unavailable"] * 2


async def test_a_bug_is_answered_in_a_fixed_sentence(
    world: World, browser: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise ValueError("the secret of a browser")

    monkeypatch.setattr(world.parts.sessions, "find", broken)
    browser.cookies.set("__Host-extproc-session", "x", domain="console.example.org")
    answer = await browser.get("/")
    assert answer.status_code == 500
    assert "Something went wrong here." in answer.text
    assert "secret" not in answer.text
    assert "content-security-policy" in answer.headers


async def test_cookies_are_of_this_host_only_and_out_of_reach_of_scripts(
    world: World, browser: httpx.AsyncClient
) -> None:
    begun = await browser.get("/saml/login")
    login = begun.headers["set-cookie"]
    assert login.startswith("__Host-extproc-login-_")
    assert {"HttpOnly", "Secure", "Path=/", "SameSite=none"} <= set(login.split("; "))
    spec = Spec(in_response_to=await ask(browser))
    done = await browser.post("/saml/acs", data={"SAMLResponse": world.answer(spec)})
    session = next(each for each in done.headers.get_list("set-cookie") if "session" in each)
    assert session.startswith("__Host-extproc-session=")
    assert {"HttpOnly", "Secure", "Path=/", "SameSite=lax"} <= set(session.split("; "))
    assert "Domain" not in session


@pytest.mark.parametrize(
    "to",
    [
        "https://evil.example",
        "//evil.example",
        "/\\evil.example",
        "javascript:alert(1)",
        "/a\r\nset-cookie: x",
        "",
        "/" + "a" * 600,
    ],
    ids=["another site", "another host", "a backslash", "a script", "a header", "nothing", "too long"],
)
async def test_after_a_login_the_browser_stays_here(world: World, browser: httpx.AsyncClient, to: str) -> None:
    """Neither what the login began with nor what is posted leads elsewhere."""
    spec = Spec(in_response_to=await ask(browser, to))
    done = await browser.post("/saml/acs", data={"SAMLResponse": world.answer(spec), "RelayState": to})
    assert done.headers["location"] == "https://console.example.org/"


async def test_an_answer_belongs_to_the_browser_that_asked(world: World, browser: httpx.AsyncClient) -> None:
    request_id = await ask(browser)
    stolen = world.answer(Spec(in_response_to=request_id))
    async with world.browser() as thief:
        answer = await thief.post("/saml/acs", data={"SAMLResponse": stolen})
        assert answer.status_code == 403
        await ask(thief)
        assert (await thief.post("/saml/acs", data={"SAMLResponse": stolen})).status_code == 403
    assert world.refusals == ["unsolicited", "wrong_request"]
    assert (await browser.post("/saml/acs", data={"SAMLResponse": stolen})).status_code == 303


async def test_logins_in_several_tabs_are_answered_in_any_order(world: World, browser: httpx.AsyncClient) -> None:
    first = await ask(browser, "/first")
    world.now[0] += 1
    second = await ask(browser, "/second")
    for number, (request_id, to) in enumerate([(first, "/first"), (second, "/second")]):
        spec = Spec(in_response_to=request_id, assertion_id=f"_a{number}")
        done = await browser.post("/saml/acs", data={"SAMLResponse": world.answer(spec)})
        assert (done.status_code, done.headers["location"]) == (303, f"https://console.example.org{to}")
    assert not [name for name in browser.cookies if "login" in name]
    assert (await browser.post("/saml/acs", data={"SAMLResponse": "x"})).status_code == 403
    assert world.refusals == ["unsolicited"]


async def test_a_browser_keeps_a_few_logins_and_the_newest(world: World, browser: httpx.AsyncClient) -> None:
    asked = []
    for _ in range(MAX_PENDING + 2):
        world.now[0] += 1
        asked.append(await ask(browser))
    kept = [name for name in browser.cookies if "login" in name]
    assert sorted(kept) == sorted(LOGIN_COOKIE + each[:17] for each in asked[2:])
    world.now[0] += LOGIN_SECONDS
    await ask(browser)
    assert len([name for name in browser.cookies if "login" in name]) == 1


async def test_a_login_that_was_begun_too_long_ago_is_begun_again(world: World, browser: httpx.AsyncClient) -> None:
    request_id = await ask(browser)
    world.now[0] += 600
    spec = Spec(in_response_to=request_id, not_on_or_after=900, confirmed_until=900)
    assert (await browser.post("/saml/acs", data={"SAMLResponse": world.answer(spec)})).status_code == 403
    assert world.refusals == ["unsolicited"]


async def test_nobody_is_logged_in_whose_login_cannot_be_recorded(world: World, browser: httpx.AsyncClient) -> None:
    spec = Spec(in_response_to=await ask(browser))
    world.log.broken = True
    answer = await browser.post("/saml/acs", data={"SAMLResponse": world.answer(spec)})
    assert answer.status_code == 503
    assert not [each for each in answer.headers.get_list("set-cookie") if "session" in each]
    asked = [await browser.get(path, headers={"host": "10.0.0.7:8090"}) for path in ("/healthz", "/readyz", "/livez")]
    assert [each.status_code for each in asked] == [503, 503, 200]


async def test_an_assertion_serves_once_for_all_replicas(world: World, browser: httpx.AsyncClient) -> None:
    spec = Spec(in_response_to=await ask(browser))
    async with world.browser() as other:  # the same approval store, another process's browser session
        other.cookies.update(dict(browser.cookies))
        answers = [await each.post("/saml/acs", data={"SAMLResponse": world.answer(spec)}) for each in (browser, other)]
    assert [each.status_code for each in answers] == [303, 403]
    assert world.refusals == ["replayed"]
    assert world.log.records[-1].actor.uid == "https://console.example.org|anna"


async def test_whoever_fails_too_often_is_not_heard_for_a_while(world: World) -> None:
    async with world.browser("192.0.2.9") as noisy, world.browser("192.0.2.10") as calm:
        answers = [await noisy.post("/saml/acs", data={"SAMLResponse": "x"}) for _ in range(12)]
        assert [each.status_code for each in answers] == [403] * 10 + [429] * 2
        assert int(answers[-1].headers["retry-after"]) > 0
        assert len(world.refusals) == 11
        assert (await calm.post("/saml/acs", data={"SAMLResponse": "x"})).status_code == 403
        world.now[0] += 60
        assert (await noisy.post("/saml/acs", data={"SAMLResponse": "x"})).status_code == 403


async def test_answers_that_another_site_has_a_browser_post_lock_nobody_out(
    world: World, browser: httpx.AsyncClient
) -> None:
    """A form of theirs, from a browser that has begun no login: bounded as well, for each is a record."""
    strays = [(await browser.post("/saml/acs", data={"SAMLResponse": "x"})).status_code for _ in range(11)]
    assert strays == [403] * 10 + [429]
    spec = Spec(in_response_to=await ask(browser))
    assert (await browser.post("/saml/acs", data={"SAMLResponse": world.answer(spec)})).status_code == 303
    await ask(browser)
    own = [(await browser.post("/saml/acs", data={"SAMLResponse": "x"})).status_code for _ in range(11)]
    assert own == [403] * 10 + [429]


async def test_every_answer_carries_the_headers_and_no_other_host_is_served(
    world: World, browser: httpx.AsyncClient
) -> None:
    for path in ("/", "/nothing", "/jwks.json", "/token", "/saml/metadata"):
        headers = (await browser.get(path)).headers
        assert headers["content-security-policy"].startswith("default-src 'none'")
        assert "script-src 'self'" in headers["content-security-policy"]
        assert headers["cache-control"] == "no-store"
        assert headers["x-content-type-options"] == "nosniff"
        assert "max-age" in headers["strict-transport-security"]
    other = await browser.get("/", headers={"host": "evil.example"})
    assert other.status_code == 421


async def test_a_page_elsewhere_does_not_log_anybody_out(world: World, browser: httpx.AsyncClient) -> None:
    await browser.post("/saml/acs", data={"SAMLResponse": world.answer(Spec(in_response_to=await ask(browser)))})
    answer = await browser.post(
        "/logout", headers={"origin": "https://evil.example"}, data={"csrf": token_of((await browser.get("/")).text)}
    )
    assert answer.status_code == 403
    assert "anna" in (await browser.get("/")).text


async def test_what_a_provider_says_is_shown_as_text(world: World, browser: httpx.AsyncClient) -> None:
    spec = Spec(in_response_to=await ask(browser), attributes={"displayName": ("<script>alert(1)</script>",)})
    await browser.post("/saml/acs", data={"SAMLResponse": world.answer(spec)})
    front = (await browser.get("/")).text
    assert "<script>" not in front
    assert "&lt;script&gt;" in front


async def test_a_login_may_begin_at_the_provider_only_where_that_is_configured(world: World) -> None:
    unasked = world.answer(Spec(in_response_to=""))
    async with world.browser() as browser:
        assert (await browser.post("/saml/acs", data={"SAMLResponse": unasked})).status_code == 403
        await ask(browser)
        assert (await browser.post("/saml/acs", data={"SAMLResponse": unasked})).status_code == 403
    assert world.refusals == ["unsolicited", "unsolicited"]
    settings = world.parts.settings
    world.parts = replace(world.parts, settings=replace(settings, saml=replace(settings.saml, allow_unsolicited=True)))
    async with world.browser() as browser:
        await ask(browser)
        done = await browser.post("/saml/acs", data={"SAMLResponse": world.answer(Spec(in_response_to="_other"))})
        assert done.status_code == 403
        begun = Spec(in_response_to=await ask(browser), assertion_id="_a2")
        assert (await browser.post("/saml/acs", data={"SAMLResponse": world.answer(begun)})).status_code == 303
    async with world.browser() as browser:
        done = await browser.post("/saml/acs", data={"SAMLResponse": unasked, "RelayState": "/static/console.css"})
        assert done.headers["location"] == "https://console.example.org/static/console.css"


def test_addresses_are_counted_apart_and_a_network_of_ipv6_together() -> None:
    failures = Failures()
    for number in range(10):
        failures.failed(f"2001:db8::{number}", 0.0)
    assert failures.wait_seconds("2001:db8::ffff", 1.0) == 59
    assert failures.wait_seconds("2001:db8:0:1::1", 1.0) == 0
    for number in range(MAX_ADDRESSES):
        failures.failed(f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}", 2.0)
    assert failures.wait_seconds("2001:db8::1", 3.0) == 0


def test_what_was_sealed_opens_for_its_purpose_and_by_its_key_only(tmp_path: Path) -> None:
    sealing = open_sealing(tmp_path / "a")
    sealed = sealing.seal("login", "value", 100.0)
    assert sealing.open("login", sealed, 99.0) == "value"
    assert open_sealing(tmp_path / "a").open("login", sealed, 99.0) == "value"
    assert sealing.open("other", sealed, 99.0) is None
    assert sealing.open("login", sealed, 100.0) is None
    assert open_sealing(tmp_path / "b").open("login", sealed, 99.0) is None
    for broken in ("", "x", sealed[:-4], sealed[:20] + "A" + sealed[21:], "é"):
        assert sealing.open("login", broken, 99.0) is None
    (tmp_path / "a" / "session.key").chmod(0o644)
    with pytest.raises(AuditRefused, match="0600"):
        open_sealing(tmp_path / "a")
