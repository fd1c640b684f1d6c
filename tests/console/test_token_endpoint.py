"""`POST /token`: what comes back for an assertion, and that nothing else does."""

import base64
import copy
from dataclasses import replace
from typing import Any

import httpx
import jwt
import pytest
from lxml import etree

from extproc.console.token import GRANT_TYPE
from extproc.core.identity import UnverifiedToken, parse_token
from extproc.core.issuer import Issuer
from extproc.edge.jwks import parse_key_set
from tests.console.conftest import World
from tests.console.idp import CONSOLE, DS, NOW, Keys, Spec, assertion, response, sign

EXCHANGE = Spec().for_exchange()


def encoded(element: etree._Element | bytes) -> str:
    data = element if isinstance(element, bytes) else etree.tostring(element)
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


async def exchange(browser: httpx.AsyncClient, given: str, **more: str) -> httpx.Response:
    return await browser.post("/token", data={"grant_type": GRANT_TYPE, "assertion": given} | more)


def claims_of(answer: httpx.Response) -> dict[str, Any]:
    return jwt.decode(answer.json()["access_token"], options={"verify_signature": False})


async def test_an_assertion_becomes_a_token_that_a_worker_can_verify(world: World, browser: httpx.AsyncClient) -> None:
    spec = EXCHANGE.but(attributes={"groups": ("a", "b"), "displayName": ("Anna",), "tenant": ("t1",)})
    answer = await exchange(browser, encoded(world.signed(spec)))
    assert answer.status_code == 200
    assert (answer.json()["token_type"], answer.json()["expires_in"]) == ("Bearer", 600)
    assert answer.headers["cache-control"] == "no-store"
    claims = claims_of(answer)
    token_id = claims.pop("jti")
    assert claims == {
        "iss": CONSOLE, "aud": "extproc", "iat": NOW, "exp": NOW + 600, "sub": "anna", "name": "Anna",
        "groups": ["a", "b"], "tenant": "t1", "amr": ["pwd"], "acr": spec.context, "auth_time": NOW - 60,
    }  # fmt: skip
    compact = answer.json()["access_token"]
    published = (await browser.get("/jwks.json")).content
    key = parse_key_set(published, Issuer(CONSOLE, ("extproc",), ("ES256",), jwks_file="x"))
    found = key.find(parse_token(UnverifiedToken(compact)))
    assert found is not None
    jwt.decode(
        compact, found, algorithms=["ES256"], audience="extproc", options={"verify_exp": False, "verify_iat": False}
    )
    record = world.log.records[-1]
    assert (record.event_code, record.actor.uid, record.actor.token_id) == ("auth.issue", f"{CONSOLE}|anna", token_id)
    assert record.detail == {"assertion": "_a1", "seconds": 600}


async def test_a_token_ends_with_the_provider_s_session_at_the_latest(world: World, browser: httpx.AsyncClient) -> None:
    answer = await exchange(browser, encoded(world.signed(EXCHANGE.but(session_ends=100))))
    assert answer.json()["expires_in"] == 100
    assert claims_of(answer)["exp"] == NOW + 100


async def test_no_configuration_makes_a_token_longer_than_fifteen_minutes(world: World) -> None:
    assert world.parts.settings.token is not None
    forever = replace(world.parts.settings.token, lifetime_seconds=10_000)
    world.parts = replace(world.parts, settings=replace(world.parts.settings, token=forever))
    async with world.browser() as browser:
        answer = await exchange(browser, encoded(world.signed(EXCHANGE)))
    assert answer.json()["expires_in"] == 900


async def test_an_assertion_is_exchanged_once(world: World, browser: httpx.AsyncClient) -> None:
    given = encoded(world.signed(EXCHANGE))
    assert (await exchange(browser, given)).status_code == 200
    again = await exchange(browser, given)
    assert (again.status_code, again.json()["error"]) == (400, "invalid_grant")
    world.now[0] += 359  # to its last second, with the clocks' difference
    assert (await exchange(browser, given)).status_code == 400
    assert world.refusals == ["replayed", "replayed"]


async def test_no_token_without_its_record(world: World, browser: httpx.AsyncClient) -> None:
    world.log.broken = True
    answer = await exchange(browser, encoded(world.signed(EXCHANGE)))
    assert answer.status_code == 503
    assert answer.json() == {"error": "temporarily_unavailable"}


async def test_without_a_key_that_signs_nothing_is_issued_and_that_is_recorded(
    world: World, browser: httpx.AsyncClient
) -> None:
    for file in world.parts.settings.keys.glob("token-*.pem"):
        file.unlink()
    given = encoded(world.signed(EXCHANGE))
    assert (await exchange(browser, given)).status_code == 503
    assert (await browser.get("/jwks.json")).json() == {"keys": []}
    assert world.refusals == ["token_keys"]
    assert world.parts.keys is not None
    world.parts.keys.tend(NOW)
    assert (await exchange(browser, given)).status_code == 200, "it was not used up"


BAD = [
    ({"grant_type": ""}, 400, "invalid_request", "grant_type_missing"),
    ({"grant_type": "password"}, 400, "unsupported_grant_type", "grant_type"),
    ({"assertion": ""}, 400, "invalid_request", "assertion_missing"),
    ({"assertion": "a b"}, 400, "invalid_grant", "not_xml"),
    ({"assertion": "A"}, 400, "invalid_grant", "not_xml"),
    ({"assertion": encoded(b"<a/>")}, 400, "invalid_grant", "not_one_assertion"),
    ({"scope": "admin"}, 400, "invalid_scope", "scope"),
    ({"client_secret": "s"}, 401, "invalid_client", "client_authentication"),
]


@pytest.mark.parametrize(("change", "status", "error", "code"), BAD, ids=[
    "no grant type", "another grant type", "no assertion", "not base64url", "cut base64url", "no assertion in it",
    "a scope", "a client's secret",
])  # fmt: skip
async def test_a_request_that_is_none_is_told_why(
    world: World, browser: httpx.AsyncClient, change: dict[str, str], *, status: int, error: str, code: str
) -> None:
    answer = await browser.post(
        "/token", data={"grant_type": GRANT_TYPE, "assertion": encoded(world.signed(EXCHANGE))} | change
    )
    assert (answer.status_code, answer.json()["error"]) == (status, error)
    assert answer.json()["error_description"]
    assert world.refusals == [code]


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (b"{}", "application/json"),
        (b"grant_type=a&grant_type=b", "application/x-www-form-urlencoded"),
        (b"grant_type", "application/x-www-form-urlencoded"),
        (b"\xff=a", "application/x-www-form-urlencoded"),
        (b"a=" + b"x" * 600_000, "application/x-www-form-urlencoded"),
        (b"&".join(b"f%d=1" % n for n in range(17)), "application/x-www-form-urlencoded"),
    ],
    ids=["JSON", "a field twice", "no value", "no text", "huge", "many fields"],
)
async def test_a_body_that_is_no_form_is_refused(
    world: World, browser: httpx.AsyncClient, content: bytes, kind: str
) -> None:
    answer = await browser.post("/token", content=content, headers={"content-type": kind})
    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_request")
    assert world.refusals == ["not_a_form"]


async def test_client_credentials_are_refused_and_not_passed_over(world: World, browser: httpx.AsyncClient) -> None:
    given = {"grant_type": GRANT_TYPE, "assertion": encoded(world.signed(EXCHANGE))}
    answer = await browser.post("/token", data=given, auth=("client", "secret"))
    assert (answer.status_code, answer.json()["error"]) == (401, "invalid_client")
    assert answer.headers["www-authenticate"] == "Basic"


@pytest.mark.parametrize(
    ("spec", "code"),
    [
        (Spec(), "wrong_audience"),
        (EXCHANGE.but(recipient=f"{CONSOLE}/saml/acs"), "wrong_recipient"),
        (EXCHANGE.but(in_response_to="_request"), "wrong_request"),
        (EXCHANGE.but(confirmed_until=-60), "expired"),
        (EXCHANGE.but(issuer="https://other.example"), "wrong_issuer"),
    ],
    ids=["for a login", "for the login's address", "for a browser's request", "over", "another provider's"],
)
async def test_what_was_not_issued_for_this_is_refused(
    world: World, browser: httpx.AsyncClient, spec: Spec, code: str
) -> None:
    answer = await exchange(browser, encoded(world.signed(spec)))
    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_grant")
    assert world.refusals == [code]


async def test_forged_and_wrapped_assertions_are_refused(
    world: World, browser: httpx.AsyncClient, stranger: Keys
) -> None:
    good = world.signed(EXCHANGE)
    wrapped = copy.deepcopy(good)
    wrapped.set("ID", "_evil")
    wrapped.find("{*}Subject/{*}NameID").text = "admin"
    etree.SubElement(wrapped.find(f"{{{DS}}}Signature"), f"{{{DS}}}Object").append(copy.deepcopy(good))
    for forged in (sign(assertion(EXCHANGE), stranger), assertion(EXCHANGE), wrapped, response(good)):
        answer = await exchange(browser, encoded(forged))
        assert (answer.status_code, answer.json()["error"]) == (400, "invalid_grant")
    assert world.refusals == ["signature_invalid", "not_signed", "not_one_assertion", "not_one_assertion"]


async def test_nothing_of_an_assertion_is_answered_logged_or_recorded(
    world: World, browser: httpx.AsyncClient, caplog: pytest.LogCaptureFixture, stranger: Keys
) -> None:
    secret = sign(assertion(EXCHANGE.but(name_id="the-secret-name")), stranger)
    answer = await exchange(browser, encoded(secret))
    said = answer.text + caplog.text + str(world.log.records)
    assert answer.status_code == 400
    assert "the-secret-name" not in said
    assert encoded(secret)[:40] not in said


async def test_the_documents_name_each_other(browser: httpx.AsyncClient) -> None:
    for name in ("openid-configuration", "oauth-authorization-server"):
        document = (await browser.get(f"/.well-known/{name}")).json()
        assert document["issuer"] == CONSOLE
        assert document["jwks_uri"] == f"{CONSOLE}/jwks.json"
        assert document["token_endpoint"] == f"{CONSOLE}/token"
    keys = (await browser.get("/jwks.json")).json()["keys"]
    assert [set(key) for key in keys] == [{"kty", "crv", "x", "y", "kid", "alg", "use"}]
