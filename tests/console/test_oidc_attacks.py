"""Answers of a provider, or of somebody who would like to be one, that log nobody in."""

import asyncio
import base64
import hashlib
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import httpx
import jwt
import pytest
import pytest_asyncio
from cryptography.hazmat.primitives.asymmetric import ec

from extproc.console.oidc_provider import OidcProvider
from extproc.console.pending import OIDC_COOKIE
from extproc.core.issuer import ClaimPaths, Issuer
from extproc.edge.settings_console import OidcSettings
from tests.console.conftest import World, token_of

ISSUER = "https://login.example.org"
KEY, STRANGER = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
_ALGORITHM = jwt.get_algorithm_by_name("ES256")


@dataclass
class Toy:
    """Answers by the rules; a test says where it does not."""

    claims: dict[str, Any] = field(default_factory=dict)
    """Changes of the id_token; None leaves a claim out."""
    sign: Callable[[dict[str, Any]], str] = lambda claims: jwt.encode(claims, KEY, "ES256", {"kid": "k", "typ": "JWT"})
    status: int = 200
    document: dict[str, Any] | None = None
    metadata: dict[str, Any] = field(default_factory=dict)
    asked: dict[str, str] = field(default_factory=dict)
    """Of the authorization request that is under way."""
    tokens: list[httpx.Request] = field(default_factory=list)
    now: float = 0.0

    def answer(self, request: httpx.Request) -> httpx.Response:
        if request.url.path == "/.well-known/openid-configuration":
            document = {
                "issuer": ISSUER,
                "authorization_endpoint": f"{ISSUER}/authorize",
                "token_endpoint": f"{ISSUER}/token",
                "jwks_uri": f"{ISSUER}/jwks",
            }
            return streamed(200, document | self.metadata)
        if request.url.path == "/jwks":
            return streamed(200, {"keys": [_ALGORITHM.to_jwk(KEY.public_key(), as_dict=True) | {"kid": "k"}]})
        self.tokens.append(request)
        if self.document is not None or self.status != 200:
            return streamed(self.status, self.document or {})
        claims = {
            "iss": ISSUER,
            "aud": "console",
            "sub": "anna",
            "iat": int(self.now),
            "exp": int(self.now) + 300,
            "nonce": self.asked["nonce"],
            "groups": ["g"],
        } | self.claims
        token = self.sign({name: value for name, value in claims.items() if value is not None})
        return streamed(200, {"id_token": token, "access_token": "a", "token_type": "Bearer"})


def streamed(status: int, document: dict[str, Any]) -> httpx.Response:
    return httpx.Response(status, stream=httpx.ByteStream(httpx.Response(200, json=document).content))


@dataclass
class Attacked:
    world: World
    toy: Toy
    browser: httpx.AsyncClient

    async def begin(self, to: str = "/") -> str:
        """The state."""
        answer = await self.browser.get("/oidc/login", params={"to": to})
        assert answer.status_code == 303
        self.toy.asked = {
            name: value for name, (value,) in parse_qs(urlsplit(answer.headers["location"]).query).items()
        }
        return self.toy.asked["state"]

    async def answer(self, **parameters: str) -> httpx.Response:
        return await self.browser.get("/oidc/callback?" + urlencode(parameters))

    async def log_in(self) -> httpx.Response:
        return await self.answer(state=await self.begin(), code="c")


@pytest_asyncio.fixture
async def attacked(world: World) -> AsyncIterator[Attacked]:
    world.now[0] = time.time()
    toy = Toy(now=world.now[0])
    settings = OidcSettings(ISSUER, "console", audiences=("extproc",))
    issuer = Issuer(ISSUER, ("extproc",), ("ES256",), discovery=True, claims=ClaimPaths(name=("nick",)))
    async with httpx.AsyncClient(transport=httpx.MockTransport(toy.answer)) as client:
        provider = OidcProvider(issuer, settings, world.parts.settings.callback_url, client, lambda: world.now[0])
        world.parts = replace(world.parts, oidc=provider, settings=replace(world.parts.settings, oidc=settings))
        running = asyncio.create_task(provider.run())
        async with world.browser() as browser:
            yield Attacked(world, toy, browser)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


async def test_what_keeps_the_rules_logs_in_as_the_person_of_the_issuer(attacked: Attacked) -> None:
    attacked.toy.claims = {"aud": ["console", "extproc"], "azp": "console", "nick": "Anna", "typ": "ID"}
    done = await attacked.log_in()
    assert (done.status_code, done.headers["location"]) == (303, "https://console.example.org/")
    (token,) = attacked.toy.tokens
    form = parse_qs(token.content.decode())
    assert form["client_id"] == ["console"]  # a public client
    assert form["redirect_uri"] == ["https://console.example.org/oidc/callback"]
    assert "authorization" not in token.headers
    front = (await attacked.browser.get("/")).text
    assert "https://login.example.org|anna" in front
    assert "Anna" in front


def unsigned(claims: dict[str, Any]) -> str:
    return jwt.encode(claims, "", "none")


def by_a_stranger(claims: dict[str, Any]) -> str:
    return jwt.encode(claims, STRANGER, "ES256", {"kid": "k"})


def by_a_shared_secret(claims: dict[str, Any]) -> str:
    return jwt.encode(claims, "console" * 10, "HS256", {"kid": "k"})


def as_another_type(claims: dict[str, Any]) -> str:
    return jwt.encode(claims, KEY, "ES256", {"kid": "k", "typ": "at+jwt"})


TOKENS: dict[str, tuple[dict[str, Any], Any, str]] = {
    "no signature": ({}, unsigned, "id_token_invalid"),
    "a stranger's key": ({}, by_a_stranger, "id_token_invalid"),
    "a shared secret": ({}, by_a_shared_secret, "id_token_invalid"),
    "an access token": ({}, as_another_type, "id_token_invalid"),
    "no token at all": ({}, lambda _: "<script>", "id_token_invalid"),
    "another issuer": ({"iss": "https://evil.example"}, None, "id_token_invalid"),
    "another audience": ({"aud": "other"}, None, "id_token_invalid"),
    "an unknown audience beside us": ({"aud": ["console", "other"], "azp": "console"}, None, "wrong_audience"),
    "several audiences and nobody authorized": ({"aud": ["console", "extproc"]}, None, "wrong_audience"),
    "another authorized party": ({"azp": "other"}, None, "wrong_audience"),
    "another nonce": ({"nonce": "x"}, None, "wrong_nonce"),
    "no nonce": ({"nonce": None}, None, "wrong_nonce"),
    "a nonce that is no text": ({"nonce": ["x"]}, None, "wrong_nonce"),
    "over": ({"exp": 1}, None, "id_token_expired"),
    "no end": ({"exp": None}, None, "id_token_invalid"),
    "no time": ({"iat": None}, None, "id_token_too_old"),
    "made before the login": ({"iat": 1}, None, "id_token_too_old"),
    "made in the future": ({"iat": 4e9}, None, "id_token_invalid"),
    "a refresh token": ({"typ": "Refresh"}, None, "id_token_invalid"),
    "nobody": ({"sub": ""}, None, "no_person"),
    "a program": ({"gty": "client-credentials"}, None, "no_person"),
    "groups elsewhere": ({"groups": None, "_claim_names": {"groups": "src1"}}, None, "groups_unknown"),
    "a card number": ({"sub": "4111111111111111"}, None, "card_data"),
}


@pytest.mark.parametrize("case", TOKENS.values(), ids=TOKENS)
async def test_an_id_token_that_does_not_hold_logs_nobody_in(
    attacked: Attacked, case: tuple[dict[str, Any], Any, str]
) -> None:
    attacked.toy.claims, sign, code = case
    if sign:
        attacked.toy.sign = sign
    done = await attacked.log_in()
    assert done.status_code == 403
    assert attacked.world.refusals == [code]
    assert f"(code: {code})" in done.text
    assert not [each for each in done.headers.get_list("set-cookie") if "session" in each]


async def test_an_answer_belongs_to_the_login_of_the_browser_that_began_it(attacked: Attacked) -> None:
    state = await attacked.begin()
    async with attacked.world.browser("192.0.2.8") as other:
        assert (await other.get(f"/oidc/callback?state={state}&code=c")).status_code == 403
        await other.get("/oidc/login")
        assert (await other.get(f"/oidc/callback?state={state}&code=c")).status_code == 403
    for bad in ({"state": state + "x", "code": "c"}, {"code": "c"}, {"state": "é", "code": "c"}):
        assert (await attacked.answer(**bad)).status_code == 403
    assert attacked.world.refusals == ["wrong_state"] * 5
    assert not attacked.toy.tokens
    twice = await attacked.browser.get(f"/oidc/callback?state={state}&state={state}&code=c")
    assert twice.status_code == 403
    assert attacked.world.refusals[-1] == "malformed_answer"
    assert (await attacked.answer(state=state, code="c")).status_code == 303


async def test_a_login_is_answered_once_and_in_time(attacked: Attacked) -> None:
    state, kept = await attacked.begin(), dict(attacked.browser.cookies)
    attacked.toy.claims = {"nonce": "x"}
    assert (await attacked.answer(state=state, code="c")).status_code == 403
    attacked.toy.claims = {}
    attacked.browser.cookies.update(kept)
    assert (await attacked.answer(state=state, code="c")).status_code == 403
    late = await attacked.begin()
    attacked.world.now[0] += 600
    assert (await attacked.answer(state=late, code="c")).status_code == 403
    assert attacked.world.refusals == ["wrong_nonce", "state_used", "wrong_state"]


async def test_answers_that_another_site_has_a_browser_ask_lock_nobody_out(attacked: Attacked) -> None:
    """`<img src=…/oidc/callback>`: without the cookie of a login. Bounded as well, for each is a record."""
    strays = [(await attacked.answer(state="x", code="c")).status_code for _ in range(11)]
    assert strays == [403] * 10 + [429]
    assert attacked.world.refusals == ["wrong_state"] * 10 + ["too_many_failures"]
    assert (await attacked.log_in()).status_code == 303
    own = await attacked.begin()
    wrong = [(await attacked.answer(state=f"not {own}", code="c")).status_code for _ in range(11)]
    assert wrong == [403] * 10 + [429]


async def test_another_provider_s_answer_is_not_taken_for_this_one_s(attacked: Attacked) -> None:
    """RFC 9207: the code of an attacker's provider, or ours sent to theirs."""
    state = await attacked.begin()
    assert (await attacked.answer(state=state, code="c", iss="https://evil.example")).status_code == 403
    assert not attacked.toy.tokens
    attacked.toy.metadata = {"authorization_response_iss_parameter_supported": True}
    attacked.world.now[0] += 301
    attacked.toy.now = attacked.world.now[0]
    state = await attacked.begin()
    assert (await attacked.answer(state=state, code="c")).status_code == 403
    assert attacked.world.refusals == ["other_issuer", "other_issuer"]
    assert (await attacked.answer(state=await attacked.begin(), code="c", iss=ISSUER)).status_code == 303


async def test_what_an_error_says_is_neither_shown_nor_recorded(attacked: Attacked) -> None:
    hostile = "<script>alert(1)</script>\u202e"
    done = await attacked.answer(state=await attacked.begin(), error=hostile, error_description=hostile)
    assert done.status_code == 403
    assert "alert" not in done.text
    attacked.toy.status, attacked.toy.document = 400, {"error": hostile, "error_description": hostile}
    assert "alert" not in (await attacked.log_in()).text
    attacked.toy.status = 500
    away = await attacked.log_in()
    assert away.status_code == 503
    assert "alert" not in away.text
    assert attacked.world.refusals == ["provider_refused", "code_refused", "identity_unavailable"]
    assert "alert" not in repr(attacked.world.log.records)


@pytest.mark.parametrize("to", ["https://evil.example", "//evil.example", "/\\evil.example", "/a\r\nx: y"])
async def test_after_a_login_the_browser_stays_here(attacked: Attacked, to: str) -> None:
    done = await attacked.answer(state=await attacked.begin(to), code="c")
    assert done.headers["location"] == "https://console.example.org/"


async def test_the_cookie_of_a_login_is_of_this_host_only_and_tells_nothing(attacked: Attacked) -> None:
    answer = await attacked.browser.get("/oidc/login")
    (cookie,) = [each for each in answer.headers.get_list("set-cookie") if each.startswith(OIDC_COOKIE)]
    for attribute in ("HttpOnly", "Secure", "Path=/", "SameSite=lax"):
        assert attribute in cookie
    verifier_and_nonce = parse_qs(urlsplit(answer.headers["location"]).query)
    assert verifier_and_nonce["nonce"][0] not in cookie


async def test_the_challenge_is_the_digest_of_what_only_we_know(attacked: Attacked) -> None:
    await attacked.log_in()
    (verifier,) = parse_qs(attacked.toy.tokens[0].content.decode())["code_verifier"]
    digest = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()
    assert attacked.toy.asked["code_challenge"] == digest
    assert attacked.toy.asked["code_challenge_method"] == "S256"
    assert verifier not in str(attacked.toy.asked)


async def test_after_logging_out_one_may_log_out_at_the_provider_as_well(attacked: Attacked) -> None:
    attacked.toy.metadata = {"end_session_endpoint": f"{ISSUER}/end"}
    await attacked.log_in()
    token = token_of((await attacked.browser.get("/")).text)
    out = await attacked.browser.post("/logout", data={"csrf": token})
    assert out.headers["location"] == "https://console.example.org/logged-out"
    page = (await attacked.browser.get("/logged-out")).text
    query = "client_id=console&amp;post_logout_redirect_uri=https%3A%2F%2Fconsole.example.org%2F"
    assert f'href="{ISSUER}/end?{query}"' in page
    assert "Nobody is logged in" in (await attacked.browser.get("/")).text


async def test_nobody_is_logged_in_whose_login_cannot_be_recorded(attacked: Attacked) -> None:
    state = await attacked.begin()
    attacked.world.log.broken = True
    done = await attacked.answer(state=state, code="c")
    assert done.status_code == 503
    assert not [each for each in done.headers.get_list("set-cookie") if "session" in each]


async def test_after_a_session_that_is_over_the_person_shows_anew_who_they_are(attacked: Attacked) -> None:
    await attacked.log_in()
    kept = dict(attacked.browser.cookies)
    attacked.world.now[0] += 901
    attacked.toy.now = attacked.world.now[0]
    attacked.browser.cookies.update(kept)
    attacked.toy.claims = {"auth_time": int(attacked.toy.now) - 900}
    assert (await attacked.log_in()).status_code == 403
    assert attacked.toy.asked["prompt"] == "login"
    assert attacked.world.refusals == ["not_fresh"]
    attacked.toy.claims = {"auth_time": int(attacked.toy.now)}
    assert (await attacked.log_in()).status_code == 303
