"""Logging in by OpenID Connect: the way to the provider, and its answer. Authorization code flow with PKCE."""

import asyncio
import secrets
from collections.abc import Iterable, Mapping
from typing import Final

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from extproc.approvals.single_use import UsedAlready
from extproc.console.began import PendingOidc
from extproc.console.cookies import own_cookies
from extproc.console.oidc_codes import OidcCode, OidcRefused
from extproc.console.oidc_provider import OidcProvider
from extproc.console.pages import page
from extproc.console.parts import NotConfigured, Parts, act_of, parts_of, store_failure
from extproc.console.pending import LOGIN_SECONDS, OIDC_JAR
from extproc.console.records import NOBODY, actor_of
from extproc.console.session import SESSION_COOKIE, begin_session, person_of_request, set_session
from extproc.console.ways import own_path
from extproc.core.principal import Principal
from extproc.core.reasons import Unavailable
from extproc.core.record import EventCode

_PURPOSE: Final = "oidc-state"
MAX_CODE_CHARACTERS: Final = 4096
"""Microsoft Entra's codes have about 1 500."""


def provider_of(parts: Parts) -> OidcProvider:
    """Raises `NotConfigured`."""
    if parts.oidc is None:
        raise NotConfigured
    return parts.oidc


async def login(request: Request) -> Response:
    """To the provider; `to` is the page to come back to. Raises `Unavailable`.

    Whoever comes with a session that is over has to show the provider who they are (PCI DSS 8.2.8): with its own
    session it would let in whoever sits there now.
    """
    parts = parts_of(request)
    provider = provider_of(parts)
    fresh = SESSION_COOKIE in own_cookies(request) and await person_of_request(request) is None
    state, nonce, verifier = (secrets.token_urlsafe(32) for _ in range(3))
    to = own_path(request.query_params.get("to", "/"))
    asked = PendingOidc(state, nonce, verifier, to, parts.clock(), fresh)
    response = RedirectResponse(await provider.login_url(asked), status_code=303)
    OIDC_JAR.begin(request, response, asked)
    return response


async def callback(request: Request) -> Response:
    """The provider's answer, brought by the browser: a session, once it holds and its record is durable.

    What is refused is recorded, too. Raises `Unavailable` where it cannot be, or where store or provider are away.
    """
    parts, act = parts_of(request), act_of(request, "oidc.login")
    provider, now = provider_of(parts), parts.clock()
    began = OIDC_JAR.pending_of(request, now)
    # What this browser did not begin, any other site can have it ask: that locks nobody out of the login.
    counted = parts.login_failures if began else parts.stray_answers
    if wait := counted.wait_seconds(act.client.address, now):
        return page(request, "Too many failed logins", "Try again later.", 429, {"retry-after": str(wait)})
    person: Principal | None = None
    try:
        answer = _answer_of(request)
        asked = _asked(began, answer)
        code = await _code_of(answer, provider)
        await asyncio.to_thread(_use_once, parts, asked, now)
        person = await provider.person(code, asked, now)
        ends_at = now + parts.settings.session_seconds
        secret = await begin_session(parts, person, ends_at, now)
    except Unavailable as away:
        await parts.log.store(act.refused(away.reason.value, 503, actor_of(person, "") if person else NOBODY))
        raise
    except OidcRefused as refused:
        await store_failure(parts, counted, act, act.refused(refused.code.value, 403), now)
        return page(request, "The login is refused", f"{refused.sentence} (code: {refused.code.value})", 403)
    # Nobody has the session's secret yet: it is given out behind the record.
    actor = actor_of(person, person.token_id)
    await parts.log.store(act.done(EventCode.AUTH_LOGIN, actor, 303, ends_at=int(ends_at)))
    response = RedirectResponse(parts.settings.url + asked.to, status_code=303)
    set_session(response, secret, max(1, int(ends_at - now)))
    OIDC_JAR.forget(response, asked)
    return response


def _answer_of(request: Request) -> Mapping[str, str]:
    """The parameters, each of which may stand once (RFC 6749 §3.1)."""
    items = request.query_params.multi_items()
    found = dict(items)
    if len(found) != len(items):
        raise OidcRefused(OidcCode.MALFORMED_ANSWER)
    return found


def _asked(began: Iterable[PendingOidc], answer: Mapping[str, str]) -> PendingOidc:
    """Which of this very browser's logins is answered."""
    state = answer.get("state", "")
    for each in began:
        if secrets.compare_digest(each.request_id.encode(), state.encode("utf-8", "surrogatepass")):
            return each
    raise OidcRefused(OidcCode.WRONG_STATE)


async def _code_of(answer: Mapping[str, str], provider: OidcProvider) -> str:
    """The code, from the provider that was asked (RFC 9207). What it says of an error is shown nowhere."""
    metadata = await provider.metadata()
    said = answer.get("iss", "" if metadata.names_itself else provider.issuer.issuer)
    if said != provider.issuer.issuer:
        raise OidcRefused(OidcCode.OTHER_ISSUER)
    if "error" in answer:
        raise OidcRefused(OidcCode.PROVIDER_REFUSED)
    code = answer.get("code", "")
    if not code or len(code) > MAX_CODE_CHARACTERS:
        raise OidcRefused(OidcCode.MALFORMED_ANSWER)
    return code


def _use_once(parts: Parts, asked: PendingOidc, now: float) -> None:
    """Blocking. Of all answers to one login, at all replicas, the first counts."""
    try:
        parts.single_use.use(_PURPOSE, asked.request_id, asked.since + 2 * LOGIN_SECONDS, now)
    except UsedAlready:
        raise OidcRefused(OidcCode.STATE_USED) from None


ROUTES = (
    Route("/oidc/login", login),
    Route("/oidc/callback", callback),
)
