"""The development issuer's login, walked as a browser and a client walk it, and what it must not be talked into."""

import base64
import hashlib
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import jwt
import pytest

from extproc.core.identity import UnverifiedToken
from extproc.core.issuer import Issuer
from extproc.local import issuer_login
from extproc.local.issuer import RunningIssuer, start_issuer

VERIFIER = "a-verifier-of-forty-three-characters-or-more"
CHALLENGE = base64.urlsafe_b64encode(hashlib.sha256(VERIFIER.encode()).digest()).rstrip(b"=").decode()
BACK = "http://127.0.0.1:9/oidc/callback"
ASKED = {
    "response_type": "code",
    "client_id": "console",
    "redirect_uri": BACK,
    "state": 's<&"',
    "nonce": "the nonce",
    "code_challenge": CHALLENGE,
    "code_challenge_method": "S256",
}


@pytest.fixture
def issuer(tmp_path: Path) -> Iterator[RunningIssuer]:
    with start_issuer(tmp_path / "issuer") as running:
        yield running


@pytest.fixture
def browser(issuer: RunningIssuer) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=issuer.url, trust_env=False) as client:
        yield client


def pick(browser: httpx.Client, asked: dict[str, str], **person: str) -> httpx.Response:
    """The form of the page as it is served, submitted with a button or what was typed."""
    page = browser.get("/authorize", params=asked)
    assert page.status_code == 200, page.text
    assert "frame-ancestors 'none'" in page.headers["content-security-policy"]
    hidden = dict(re.findall(r'type="hidden" name="(\w+)" value="([^"]*)"', page.text))
    assert "<&" not in hidden["state"]
    return browser.post("/authorize", data={**{name: asked.get(name, "") for name in hidden}, **person})


def code_of(browser: httpx.Client, **person: str) -> str:
    answer = pick(browser, ASKED, **person)
    assert answer.status_code == 303, answer.text
    assert answer.headers["location"].startswith(BACK + "?")
    said = parse_qs(urlsplit(answer.headers["location"]).query)
    assert (said["state"], said["iss"]) == ([ASKED["state"]], [str(browser.base_url).rstrip("/")])
    return said["code"][0]


def redeem(browser: httpx.Client, code: str, **other: str) -> httpx.Response:
    form = {"grant_type": "authorization_code", "code": code, "redirect_uri": BACK, "client_id": "console"}
    return browser.post("/token", data={**form, "code_verifier": VERIFIER, **other})


async def test_who_was_picked_is_in_both_tokens(
    start: Any, tmp_path: Path, issuer: RunningIssuer, browser: httpx.Client
) -> None:
    tokens = redeem(browser, code_of(browser, person="approver")).json()
    keys = {key["kid"]: jwt.PyJWK(key) for key in browser.get("/jwks").json()["keys"]}
    key = keys[jwt.get_unverified_header(tokens["id_token"])["kid"]]
    said = jwt.decode(tokens["id_token"], key, audience="console", issuer=issuer.url)
    assert (said["sub"], said["groups"], said["nonce"]) == ("approver", ["approvers"], "the nonce")
    authenticator = start(Issuer(issuer.url, ("extproc",), ("RS256",), discovery=True), at=time.time)
    principal = await authenticator.verify(UnverifiedToken(tokens["access_token"]))
    assert (principal.subject, principal.groups) == ("approver", ("approvers",))


def test_somebody_else_is_typed(browser: httpx.Client) -> None:
    tokens = redeem(browser, code_of(browser, person="", subject="carol", groups="privacy, risk,")).json()
    said = jwt.decode(tokens["access_token"], options={"verify_signature": False})
    assert (said["sub"], said["groups"]) == ("carol", ["privacy", "risk"])
    assert pick(browser, ASKED, person="", subject="<b>").status_code == 400


@pytest.mark.parametrize(
    "other",
    [
        {"redirect_uri": "https://elsewhere.example/callback"},
        {"redirect_uri": "http://127.0.0.1.elsewhere.example/"},
        {"redirect_uri": "http://elsewhere.example#127.0.0.1"},
        {"redirect_uri": "javascript://127.0.0.1/%0aalert(1)"},
        {"response_type": "token"},
        {"client_id": ""},
        {"code_challenge": ""},
        {"code_challenge_method": "plain"},
    ],
    ids=lambda value: " ".join(f"{name} {text or 'missing'}" for name, text in value.items()),
)
def test_what_does_not_hold_gets_no_page_to_pick_on(browser: httpx.Client, other: dict[str, str]) -> None:
    page = browser.get("/authorize", params={**ASKED, **other})
    assert (page.status_code, "location" in page.headers, "<form" in page.text) == (400, False, False)


def test_no_form_leads_elsewhere_either(browser: httpx.Client) -> None:
    form = {**ASKED, "redirect_uri": "https://elsewhere.example/callback", "person": "approver"}
    answer = browser.post("/authorize", data=form)
    assert (answer.status_code, "location" in answer.headers) == (400, False)


@pytest.mark.parametrize(
    "other",
    [
        {"code_verifier": "another-verifier-of-forty-three-characters-or-so"},
        {"client_id": "another"},
        {"redirect_uri": BACK + "2"},
        {"grant_type": "password"},
    ],
    ids=lambda value: next(iter(value)),
)
def test_a_code_is_good_for_its_own_request_only(browser: httpx.Client, other: dict[str, str]) -> None:
    code = code_of(browser, person="approver")
    assert redeem(browser, code, **other).json() == {"error": "invalid_grant"}
    assert redeem(browser, code).status_code == 400, "a wrong try uses it up"


def test_a_code_is_good_once_and_for_a_minute(browser: httpx.Client, monkeypatch: pytest.MonkeyPatch) -> None:
    code = code_of(browser, person="approver")
    assert [redeem(browser, code).status_code for _ in range(2)] == [200, 400]
    code = code_of(browser, person="approver")
    monkeypatch.setattr(issuer_login, "CODE_SECONDS", 0.0)
    assert redeem(browser, code).status_code == 400


def test_neither_another_name_nor_another_site_is_served(browser: httpx.Client) -> None:
    for path in ("/authorize", "/jwks"):
        assert browser.get(path, params=ASKED, headers={"host": "elsewhere.example"}).status_code == 421
    form = {**ASKED, "person": "approver"}
    for headers in ({"host": "elsewhere.example"}, {"origin": "https://elsewhere.example"}, {"origin": "null"}):
        assert browser.post("/authorize", data=form, headers=headers).status_code == 403


def test_a_form_too_large_is_not_read(browser: httpx.Client) -> None:
    assert browser.post("/token", data={"code": "x" * 70_000}).status_code == 413
