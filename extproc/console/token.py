"""`POST /token`: a SAML 2.0 bearer assertion for a short-lived token of ours (RFC 7522, errors by RFC 6749 §5.2)."""

import asyncio
import base64
import json
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import jwt
from starlette.requests import Request
from starlette.responses import Response

from extproc.console.forms import FormInvalid, read_form
from extproc.console.parts import Parts, act_of, parts_of, store_failure
from extproc.console.records import NOBODY, actor_of
from extproc.console.saml_assertion import Expected
from extproc.console.saml_codes import SamlCode, SamlRefused
from extproc.console.saml_person import recordable
from extproc.console.saml_response import sole_assertion
from extproc.console.token_keys import ALGORITHM, TokenKey, TokenKeys, TokenKeysUnfit
from extproc.console.verify import Accepted, Verifier, use_once
from extproc.core.identity import MAX_TOKEN_CHARS, Principal
from extproc.core.reasons import Unavailable
from extproc.core.record import Actor, EventCode
from extproc.edge.settings_console import MAX_TOKEN_SECONDS, TokenSettings

GRANT_TYPE: Final = "urn:ietf:params:oauth:grant-type:saml2-bearer"
_BASE64URL = re.compile(r"[A-Za-z0-9_-]+={0,2}", re.ASCII)


class TokenRefused(Exception):
    """An error of RFC 6749 §5.2. `code` goes into the record; the text to the client holds nothing it sent."""

    def __init__(self, error: str, description: str, code: str, status: int = 400) -> None:
        super().__init__(description)
        self.error, self.description, self.code, self.status = error, description, code, status


@dataclass(frozen=True, slots=True)
class Issued:
    """A token and its id."""

    compact: str
    token_id: str
    seconds: int


async def token(request: Request) -> Response:
    """The token, once its record is durable. What is refused is recorded, too.

    Raises `Unavailable` where it cannot be, or where the store is away, and `TokenKeysUnfit` without a key.
    """
    parts, act = parts_of(request), act_of(request, "saml.exchange")
    now = parts.clock()
    if wait := parts.token_failures.wait_seconds(act.client.address, now):
        busy = {"error": "temporarily_unavailable", "error_description": "too many failures; try again later"}
        return answer(busy, 429, {"retry-after": str(wait)})
    accepted: Accepted | None = None
    try:
        keys, settings = _configured(parts)
        form = await _read(request)
        accepted = await asyncio.to_thread(_verify, parts, form["assertion"], now)
        issued = _issue(accepted, keys.signing(now), settings, now)
        await asyncio.to_thread(use_once, parts.single_use, accepted, now)
    except (Unavailable, TokenKeysUnfit) as away:
        code = away.reason.value if isinstance(away, Unavailable) else "token_keys"
        await parts.log.store(act.refused(code, 503, _actor(accepted)))
        raise
    except (SamlRefused, TokenRefused) as error:
        refused = error if isinstance(error, TokenRefused) else _invalid_grant(error)
        refusal = act.refused(refused.code, refused.status, _actor(accepted))
        await store_failure(parts, parts.token_failures, act, refusal, now)
        headers = {"www-authenticate": "Basic"} if refused.status == 401 else {}
        return answer({"error": refused.error, "error_description": refused.description}, refused.status, headers)
    actor, assertion = actor_of(accepted.person, issued.token_id), recordable(accepted.assertion.assertion_id)
    await parts.log.store(act.done(EventCode.AUTH_ISSUE, actor, 200, assertion=assertion, seconds=issued.seconds))
    return answer({"access_token": issued.compact, "token_type": "Bearer", "expires_in": issued.seconds}, 200)


def _actor(accepted: Accepted | None) -> Actor:
    return actor_of(accepted.person, "") if accepted else NOBODY


def _configured(parts: Parts) -> tuple[TokenKeys, TokenSettings]:
    if parts.keys is None or parts.settings.token is None or parts.provider is None:
        raise TokenRefused("unsupported_grant_type", "no tokens are configured (`console.token`)", "not_configured")
    return parts.keys, parts.settings.token


async def _read(request: Request) -> Mapping[str, str]:
    """The form of an exchange that we do. What we do not do is refused, not passed over."""
    if "authorization" in request.headers:
        # RFC 7522 §2.1: optional. No clients are configured here, so nobody can be one.
        raise TokenRefused("invalid_client", "client authentication is not supported", "client_authentication", 401)
    try:
        form = await read_form(request)
    except FormInvalid as error:
        raise TokenRefused("invalid_request", str(error), "not_a_form") from None
    if not form.get("grant_type"):
        raise TokenRefused("invalid_request", "`grant_type` is missing", "grant_type_missing")
    if form["grant_type"] != GRANT_TYPE:
        raise TokenRefused("unsupported_grant_type", f"`grant_type` must be `{GRANT_TYPE}`", "grant_type")
    if "client_secret" in form or "client_assertion" in form:
        raise TokenRefused("invalid_client", "client authentication is not supported", "client_authentication", 401)
    if form.get("scope"):
        raise TokenRefused("invalid_scope", "there are no scopes here: the policy decides by groups", "scope")
    if not form.get("assertion"):
        raise TokenRefused("invalid_request", "`assertion` is missing", "assertion_missing")
    return form


def _verify(parts: Parts, assertion: str, now: float) -> Accepted:
    """Raises `SamlRefused` and `Unavailable`."""
    if not _BASE64URL.fullmatch(assertion):
        raise SamlRefused(SamlCode.NOT_XML)
    settings, (saml, file) = parts.settings, parts.saml
    provider = file.current(now)
    expected = Expected(
        issuer=provider.entity_id,
        audience=settings.token_url,
        recipient=settings.token_url,
        request_ids=frozenset({""}),
        skew_seconds=saml.skew_seconds,
    )
    bare = assertion.rstrip("=")
    try:
        data = base64.urlsafe_b64decode(bare + "=" * (-len(bare) % 4))
    except ValueError:
        raise SamlRefused(SamlCode.NOT_XML) from None
    return Verifier(provider, saml, parts.issuer).verify(data, sole_assertion, expected, now)


def _invalid_grant(refused: SamlRefused) -> TokenRefused:
    return TokenRefused("invalid_grant", f"{refused.sentence} (code: {refused.code.value})", refused.code.value)


def _issue(accepted: Accepted, key: TokenKey, settings: TokenSettings, now: float) -> Issued:
    """An access token (RFC 9068) that ends with the provider's session at the latest.

    Raises `TokenRefused` for a person with more groups than a token can carry.
    """
    ends_at = now + min(settings.lifetime_seconds, MAX_TOKEN_SECONDS)
    if accepted.assertion.session_ends_at:
        ends_at = min(ends_at, accepted.assertion.session_ends_at)
    token_id = secrets.token_hex(16)
    claims = {
        "iss": settings.issuer,
        "aud": settings.audience,
        "iat": int(now),
        "exp": int(ends_at),
        "jti": token_id,
        **_claims(accepted.person),
    }
    compact = jwt.encode(claims, key.private, algorithm=ALGORITHM, headers={"typ": "at+jwt", "kid": key.kid})
    if len(compact) > MAX_TOKEN_CHARS:
        raise TokenRefused("invalid_grant", "the person has too many groups for a token", "too_many_groups")
    return Issued(compact, token_id, int(ends_at) - int(now))


def _claims(person: Principal) -> dict[str, Any]:
    """Of the person; what is not known is left out."""
    claims = {
        "sub": person.subject,
        "name": person.name,
        "groups": list(person.groups),
        "tenant": person.tenant,
        "amr": list(person.methods),
        "acr": person.context_class,
        "auth_time": person.authenticated_at,
    }
    return {name: value for name, value in claims.items() if value}


def answer(document: Mapping[str, object], status: int, headers: Mapping[str, str] | None = None) -> Response:
    """JSON."""
    return Response(json.dumps(document), status_code=status, headers=headers, media_type="application/json")
