"""Logging in by SAML: our metadata, the way to the identity provider, and its answer."""

import asyncio
import base64
import functools

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from extproc.console.began import Pending
from extproc.console.forms import FormInvalid, read_form
from extproc.console.pages import page
from extproc.console.parts import Parts, act_of, parts_of, store_failure
from extproc.console.pending import SAML_JAR
from extproc.console.records import NOBODY, actor_of
from extproc.console.saml_assertion import Expected
from extproc.console.saml_codes import SamlCode, SamlRefused
from extproc.console.saml_person import recordable
from extproc.console.saml_request import login_url, new_request_id, own_metadata
from extproc.console.saml_response import assertion_of_response
from extproc.console.session import begin_session, set_session
from extproc.console.verify import Accepted, Verifier, use_once
from extproc.console.ways import own_path
from extproc.core.reasons import Unavailable
from extproc.core.record import Actor, EventCode


async def metadata(request: Request) -> Response:
    """Our metadata, for the identity provider."""
    parts = parts_of(request)
    _ = parts.saml
    return Response(own_metadata(parts.settings, parts.signer), media_type="application/samlmetadata+xml")


async def login(request: Request) -> Response:
    """To the identity provider; `to` is the page to come back to. Raises `Unavailable`."""
    parts = parts_of(request)
    now, request_id = parts.clock(), new_request_id()
    _, provider = parts.saml
    url = login_url(provider.current(now), parts.settings, parts.signer, request_id, now)
    response = RedirectResponse(url, status_code=303)
    SAML_JAR.begin(request, response, Pending(request_id, own_path(request.query_params.get("to", "/")), now))
    return response


async def acs(request: Request) -> Response:
    """The provider's answer, posted by the browser: a session, once it holds and its record is durable.

    What is refused is recorded, too. Raises `Unavailable` where it cannot be, or where the store is away.
    """
    parts, act = parts_of(request), act_of(request, "saml.login")
    (saml, _), now = parts.saml, parts.clock()
    asked = SAML_JAR.pending_of(request, now)
    # What this browser did not begin, any other site can have it post: that locks nobody out of the login.
    counted = parts.login_failures if asked or saml.allow_unsolicited else parts.stray_answers
    if wait := counted.wait_seconds(act.client.address, now):
        return page(request, "Too many failed logins", "Try again later.", 429, {"retry-after": str(wait)})
    accepted: Accepted | None = None
    try:
        form = await read_form(request)
        accepted = await asyncio.to_thread(_verify, parts, form.get("SAMLResponse", ""), asked, now)
        await asyncio.to_thread(use_once, parts.single_use, accepted, now)
        ends_at = min(now + parts.settings.session_seconds, accepted.assertion.session_ends_at or float("inf"))
        secret = await begin_session(parts, accepted.person, ends_at, now)
    except Unavailable as away:
        await parts.log.store(act.refused(away.reason.value, 503, _actor(accepted)))
        raise
    except (SamlRefused, FormInvalid) as refused:
        code = refused.code if isinstance(refused, SamlRefused) else SamlCode.NOT_A_RESPONSE
        refusal = act.refused(code.value, 403, _actor(accepted))
        await store_failure(parts, counted, act, refusal, now)
        return page(request, "The login is refused", f"{SamlRefused(code).sentence} (code: {code.value})", 403)
    # Nobody has the session's secret yet: it is given out behind the record.
    await parts.log.store(act.done(EventCode.AUTH_LOGIN, _actor(accepted), 303, ends_at=int(ends_at)))
    answered = _answered(asked, accepted)
    to = answered.to if answered else own_path(form.get("RelayState", "/"))
    response = RedirectResponse(parts.settings.url + to, status_code=303)
    set_session(response, secret, max(1, int(ends_at - now)))
    if answered is not None:
        SAML_JAR.forget(response, answered)
    return response


def _actor(accepted: Accepted | None) -> Actor:
    if accepted is None:
        return NOBODY
    return actor_of(accepted.person, recordable(accepted.assertion.assertion_id))


def _answered(asked: tuple[Pending, ...], accepted: Accepted) -> Pending | None:
    """The one of this browser's logins; None where nobody asked."""
    said = {each.in_response_to for each in accepted.assertion.confirmations}
    return next((each for each in asked if each.request_id in said), None)


def _verify(parts: Parts, posted: str, asked: tuple[Pending, ...], now: float) -> Accepted:
    """Raises `SamlRefused` and `Unavailable`."""
    saml, file = parts.saml
    if not asked and not saml.allow_unsolicited:
        raise SamlRefused(SamlCode.UNSOLICITED)
    settings, provider = parts.settings, file.current(now)
    try:
        data = base64.b64decode("".join(posted.split()), validate=True)
    except ValueError:
        raise SamlRefused(SamlCode.NOT_A_RESPONSE) from None
    expected = Expected(
        issuer=provider.entity_id,
        audience=saml.entity_id,
        recipient=settings.acs_url,
        request_ids=frozenset([each.request_id for each in asked] + [""] * saml.allow_unsolicited),
        skew_seconds=saml.skew_seconds,
    )
    find = functools.partial(assertion_of_response, recipient=settings.acs_url)
    return Verifier(provider, saml, parts.issuer).verify(data, find, expected, now)
