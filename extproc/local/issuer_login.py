"""The development issuer's login: an OpenID Connect code flow with PKCE in which one picks who to be.

No password, no consent, any client; so its answers go to addresses of this machine only.
"""

import base64
import hashlib
import hmac
import html
import re
import secrets
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Protocol
from urllib.parse import urlencode, urlsplit

CODE_SECONDS: Final = 60.0
TOKEN_SECONDS: Final = 3600
MAX_CODES: Final = 256
"""At once: the oldest go first."""
_LOOPBACK: Final = frozenset({"127.0.0.1", "localhost", "::1"})
_CHALLENGE: Final = re.compile(r"[A-Za-z0-9_-]{43}", re.ASCII)
_ECHOED: Final = ("client_id", "redirect_uri", "state", "nonce", "code_challenge")


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody to be: a role's name, not a name of anybody."""

    subject: str
    groups: tuple[str, ...]
    about: str = ""


PEOPLE: Final = (
    Person("analyst", ("analysts",), "asks the models; what is risky is held"),
    Person("approver", ("approvers",), "decides what is held"),
    Person("second-approver", ("approvers",), "decides it as well, where two people must"),
    Person("auditor", ("auditors",), "reads transcripts and evidence"),
    Person("reader", ("readers",), "sees what happens, without its text"),
    Person("admin", ("admins",), "looks after notifications and sessions"),
    Person("nobody", (), "is in no group"),
)


@dataclass(frozen=True, slots=True)
class Answer:
    """To a browser or a client."""

    status: int
    body: bytes = b""
    content_type: str = "text/html; charset=utf-8"
    location: str = ""
    form_target: str = ""
    """The origin that a form of this page may end at, beside the issuer's own."""


class Signer(Protocol):
    """Signs claims of this issuer as a token of type `typ`."""

    def __call__(self, claims: Mapping[str, Any], typ: str) -> str: ...


@dataclass(frozen=True, slots=True)
class _Asked:
    """An authorization request that holds."""

    client_id: str
    redirect_uri: str
    state: str
    nonce: str
    code_challenge: str


@dataclass(frozen=True, slots=True)
class _Grant:
    asked: _Asked
    person: Person
    at: float


class Logins:
    """The authorization and the token endpoint of `issuer`, whose access tokens are for `audience`. Of any thread."""

    def __init__(self, issuer: str, audience: str, sign: Signer) -> None:
        self._issuer = issuer
        self._audience = audience
        self._sign = sign
        self._grants: dict[str, _Grant] = {}
        self._lock = threading.Lock()

    def discovery(self) -> dict[str, Any]:
        """What the discovery document says of the flow."""
        return {
            "authorization_endpoint": f"{self._issuer}/authorize",
            "token_endpoint": f"{self._issuer}/token",
            "response_types_supported": ["code"],
            "response_modes_supported": ["query"],
            "grant_types_supported": ["authorization_code"],
            "scopes_supported": ["openid", "profile", "email", "groups"],
            "code_challenge_methods_supported": ["S256"],
            "token_endpoint_auth_methods_supported": ["none", "client_secret_basic", "client_secret_post"],
            "authorization_response_iss_parameter_supported": True,
        }

    def ask(self, query: Mapping[str, str]) -> Answer:
        """The page on which one picks who to be; 400 where the request does not hold."""
        asked = _asked(query)
        return (
            asked if isinstance(asked, Answer) else Answer(200, _page(asked), form_target=_origin(asked.redirect_uri))
        )

    def choose(self, form: Mapping[str, str]) -> Answer:
        """Back to the client with a code for whoever was picked or typed."""
        asked = _asked({**form, "response_type": "code", "code_challenge_method": "S256"})
        if isinstance(asked, Answer):
            return asked
        person = next((each for each in PEOPLE if each.subject == form.get("person")), None) or _typed(form)
        if person is None:
            return _refused("say a subject: up to 64 letters, digits and . _ @ + -, and groups separated by commas")
        code = secrets.token_urlsafe(24)
        with self._lock:
            while len(self._grants) >= MAX_CODES:
                del self._grants[next(iter(self._grants))]
            self._grants[code] = _Grant(asked, person, time.time())
        back = {"code": code, "iss": self._issuer} | ({"state": asked.state} if asked.state else {})
        joint = "&" if urlsplit(asked.redirect_uri).query else "?"
        return Answer(303, location=asked.redirect_uri + joint + urlencode(back))

    def redeem(self, form: Mapping[str, str]) -> dict[str, Any] | None:
        """The token endpoint's answer; None where the code does not hold. A code is used up by the first try."""
        with self._lock:
            grant = self._grants.pop(form.get("code", ""), None)
        if grant is None or form.get("grant_type") != "authorization_code" or time.time() - grant.at > CODE_SECONDS:
            return None
        digest = hashlib.sha256(form.get("code_verifier", "").encode()).digest()
        challenge = base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
        same_client = form.get("client_id", grant.asked.client_id) == grant.asked.client_id
        same_address = form.get("redirect_uri") == grant.asked.redirect_uri
        if not (hmac.compare_digest(challenge, grant.asked.code_challenge) and same_client and same_address):
            return None
        now = int(time.time())
        person: dict[str, Any] = {"iss": self._issuer, "sub": grant.person.subject, "name": grant.person.subject}
        person |= {"groups": list(grant.person.groups), "auth_time": int(grant.at), "amr": ["dev"]}
        claims = person | {"iat": now, "exp": now + TOKEN_SECONDS}
        nonce = {"nonce": grant.asked.nonce} if grant.asked.nonce else {}
        access = claims | {"aud": self._audience, "client_id": grant.asked.client_id, "jti": secrets.token_hex(16)}
        return {
            "access_token": self._sign(access, "at+jwt"),
            "token_type": "Bearer",
            "expires_in": TOKEN_SECONDS,
            "scope": "openid",
            "id_token": self._sign(claims | nonce | {"aud": grant.asked.client_id}, "JWT"),
        }


def _asked(query: Mapping[str, str]) -> _Asked | Answer:
    """What is asked, or why it does not hold. The browser goes to no address but one of this machine."""
    asked = _Asked(*(query.get(name, "")[:1000] for name in _ECHOED))
    target = urlsplit(asked.redirect_uri)
    if target.scheme not in {"http", "https"} or target.hostname not in _LOOPBACK or target.fragment:
        return _refused("redirect_uri is not an address of this machine, and this issuer answers to no other")
    if query.get("response_type") != "code" or not asked.client_id:
        return _refused("response_type must be code, and client_id given")
    if query.get("code_challenge_method") != "S256" or not _CHALLENGE.fullmatch(asked.code_challenge):
        return _refused("PKCE is required: code_challenge with code_challenge_method S256")
    return asked


def _typed(form: Mapping[str, str]) -> Person | None:
    subject = form.get("subject", "").strip()
    groups = tuple(group.strip() for group in form.get("groups", "").split(",") if group.strip())
    if not re.fullmatch(r"[A-Za-z0-9._@+-]{1,64}", subject, re.ASCII) or len(groups) > 50:
        return None
    return Person(subject, groups)


def _origin(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"


STYLE: Final = """
:root { color-scheme: light dark; font: 1.0625rem/1.5 system-ui, sans-serif; }
body { margin: 0 auto; max-width: 34rem; padding: 1rem; }
.note { border: 2px dashed currentColor; border-radius: .5rem; padding: .5rem 1rem; }
ul { list-style: none; padding: 0; }
li { align-items: center; display: flex; flex-wrap: wrap; gap: .25rem .75rem; margin: .5rem 0; }
button { cursor: pointer; font: inherit; min-height: 2.75rem; min-width: 11rem; padding: .25rem 1rem; }
fieldset { border: 1px solid; border-radius: .5rem; margin: 1.5rem 0; padding: .5rem 1rem 1rem; }
label { display: block; margin: .5rem 0; }
input { box-sizing: border-box; display: block; font: inherit; min-height: 2.75rem; padding: .25rem; width: 100%; }
"""
_PAGE: Final = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Development login</title>
<style>{style}</style>
</head>
<body>
<main>
<h1>Development login</h1>
{body}
</main>
</body>
</html>
"""
_ROW: Final = """<li><button name="person" value="{subject}" aria-describedby="about-{subject}">{subject}</button>
<span id="about-{subject}">{about}</span></li>
"""


def _page(asked: _Asked) -> bytes:
    hidden = "".join(
        f'<input type="hidden" name="{name}" value="{html.escape(getattr(asked, name))}">' for name in _ECHOED
    )
    rows = "".join(_ROW.format(subject=each.subject, about=each.about) for each in PEOPLE)
    body = (
        '<p class="note">This is no real login: it asks for no password and serves this machine only.</p>\n'
        "<h2>Who do you want to be?</h2>\n"
        f'<form method="post" action="/authorize">{hidden}\n<ul>\n{rows}</ul></form>\n'
        f'<form method="post" action="/authorize">{hidden}\n<fieldset><legend>Somebody else</legend>\n'
        '<label>Subject <input name="subject" autocomplete="off" required maxlength="64"></label>\n'
        '<label>Groups, separated by commas <input name="groups" autocomplete="off"></label>\n'
        "<button>Log in</button></fieldset></form>"
    )
    return _PAGE.format(style=STYLE, body=body).encode()


def _refused(sentence: str) -> Answer:
    return Answer(400, _PAGE.format(style=STYLE, body=f"<p>{html.escape(sentence)}</p>").encode())
