"""From an id_token to a person (OpenID Connect Core 1.0 §3.1.3.7). Pure: keys, times and names are arguments."""

import dataclasses
import functools
import hmac
from typing import Final

import jwt

from extproc.console.began import PendingOidc
from extproc.console.oidc_codes import OidcCode, OidcRefused
from extproc.core.claims import read_principal
from extproc.core.identity import Claims, Principal, UnverifiedToken, verify_claims
from extproc.core.issuer import Issuer
from extproc.core.masking.scanner import Scanner
from extproc.core.masking.settings import MaskingSettings
from extproc.core.principal import names_card_data, with_masked_words
from extproc.core.reasons import Malformed, Reason, Unverified
from extproc.edge.settings_console import OidcSettings

_MARKED: Final = frozenset({"", "id"})
"""What Keycloak writes into the claim `typ` of an id_token."""


def login_issuer(issuer: Issuer, settings: OidcSettings) -> Issuer:
    """The issuer as it stands under `identity.issuers`, for tokens that are made for this client to log somebody in."""
    return dataclasses.replace(issuer, audiences=(settings.client_id,), token_types=("", "jwt"), authorized_parties=())


@dataclasses.dataclass(frozen=True, slots=True)
class Expected:
    """For which client, and for which login of a browser, a token must have been made."""

    settings: OidcSettings
    asked: PendingOidc


def person_of_id_token(compact: str, issuer: Issuer, key: jwt.PyJWK, expected: Expected, now: float) -> Principal:
    """Who logged in. `issuer` is what `login_issuer` made. Raises `OidcRefused`.

    1. Signature, algorithm, issuer, audience and times hold, by the rules of every token.
    2. Nobody else is an audience but those that are configured; with several, or where it is given, `azp` is us.
    3. It was made for this very login: its nonce, and not before the login began.
    4. Where the session before was over, the person has shown who they are since then, as far as the provider says.
    5. It names one person, by the issuer's paths of claims, and no card number.
    """
    settings, asked = expected.settings, expected.asked
    claims = _verified(compact, issuer, key, now)  # 1
    values = claims.values
    listed = values["aud"] if isinstance(values["aud"], list) else [values["aud"]]
    if not set(map(str, listed)) <= {settings.client_id, *settings.audiences}:  # 2
        raise OidcRefused(OidcCode.WRONG_AUDIENCE)
    if values.get("azp", None if len(listed) > 1 else settings.client_id) != settings.client_id:  # 2
        raise OidcRefused(OidcCode.WRONG_AUDIENCE)
    nonce = values.get("nonce")
    if not isinstance(nonce, str) or not hmac.compare_digest(
        nonce.encode("utf-8", "replace"), asked.nonce.encode()
    ):  # 3
        raise OidcRefused(OidcCode.WRONG_NONCE)
    begun = asked.since - issuer.leeway_seconds
    if _seconds(values.get("iat")) < begun:  # 3
        raise OidcRefused(OidcCode.TOO_OLD)
    if asked.fresh and "auth_time" in values and _seconds(values["auth_time"]) < begun:  # 4
        raise OidcRefused(OidcCode.NOT_FRESH)
    return _person(claims, issuer)  # 5


def _verified(compact: str, issuer: Issuer, key: jwt.PyJWK, now: float) -> Claims:
    try:
        return verify_claims(UnverifiedToken(compact), issuer, key, now)
    except Unverified as error:
        code = OidcCode.TOKEN_EXPIRED if error.reason is Reason.TOKEN_EXPIRED else OidcCode.TOKEN_INVALID
    except Malformed:
        code = OidcCode.TOKEN_INVALID
    raise OidcRefused(code)


def _person(claims: Claims, issuer: Issuer) -> Principal:
    values = dict(claims.values)
    if str(values.pop("typ", "")).lower() not in _MARKED:
        raise OidcRefused(OidcCode.TOKEN_INVALID)
    code = OidcCode.NO_PERSON
    try:
        person = read_principal(Claims(values), issuer)
    except Unverified as error:
        if error.reason is Reason.TOKEN_GROUPS_UNKNOWN:
            code = OidcCode.GROUPS_UNKNOWN
    else:
        mask = _scanner().masker().mask_text
        if names_card_data(person, mask):
            raise OidcRefused(OidcCode.CARD_DATA)
        if person.kind == "person":
            return with_masked_words(person, mask)
    raise OidcRefused(code)


def _seconds(value: object) -> float:
    """A time of the token; one that is none is long ago."""
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else 0.0


@functools.cache
def _scanner() -> Scanner:
    return Scanner(MaskingSettings())
