"""From a bearer token to a principal: `UnverifiedToken -> Claims -> Principal`. Verification raises, always.

Follows RFC 7519 (JWT), RFC 8725 (its best current practice) and RFC 9068 (access tokens). The algorithm comes from the
configuration, the time is an argument, and nothing a token says chooses where a key comes from.
"""

import re
from dataclasses import dataclass, field
from typing import Final, Literal

import jwt

from extproc.core.binding import Vouched, read_binding
from extproc.core.claims import MAX_CLAIM_CHARS, MAX_GROUPS, Claims, read_principal, seconds
from extproc.core.headers import Headers
from extproc.core.issuer import Issuer
from extproc.core.jws import MAX_TOKEN_CHARS, parse_compact, token_type
from extproc.core.principal import Kind, Principal
from extproc.core.reasons import Malformed, Reason, Unverified

__all__ = [
    "MAX_CLAIM_CHARS",
    "MAX_GROUPS",
    "MAX_TOKEN_CHARS",
    "TOKEN_TYPES",
    "Claims",
    "Kind",
    "Principal",
    "TokenOutline",
    "UnverifiedToken",
    "Vouched",
    "authorization_token",
    "parse_token",
    "verify_claims",
    "verify_token",
]


@dataclass(frozen=True, slots=True)
class UnverifiedToken:
    """A compact JWS as the client sent it, and under which scheme. Not printable."""

    compact: str = field(repr=False)
    scheme: Literal["bearer", "dpop"] = "bearer"


@dataclass(frozen=True, slots=True)
class TokenOutline:
    """What a token says of itself before anything is verified: good for finding a key, and for nothing else."""

    kid: str
    algorithm: str
    issuer: str
    type: str = ""


# 1. From headers to a token ------------------------------------------------------------------------------------------

_SCHEMED = re.compile(r"(bearer|dpop) +([A-Za-z0-9._-]+)", re.IGNORECASE | re.ASCII)
_BARE = re.compile(r"[A-Za-z0-9._-]+", re.ASCII)
_BARE_HEADERS: Final = ("x-api-key", "api-key")
"""Where vendors' clients put their key when they have no `authorization` header: Anthropic's, and Azure's OpenAI."""


def authorization_token(headers: Headers) -> UnverifiedToken:
    """The one token of a request: in `authorization: Bearer …` (RFC 6750) or `DPoP …` (RFC 9449 §7.1), else in
    `x-api-key` or `api-key`.

    Raises `Unverified(TOKEN_MISSING)` without any of the headers, and `Malformed(TOKEN_MALFORMED)` for several, another
    scheme, or characters that no JWT has.
    """
    authorization = headers.all("authorization")
    bare = tuple(value for name in _BARE_HEADERS for value in headers.all(name))
    if not authorization and not bare:
        raise Unverified(Reason.TOKEN_MISSING)
    if len(authorization) + len(bare) != 1:
        raise Malformed(Reason.TOKEN_MALFORMED)
    text = (authorization or bare)[0].decode("latin-1").strip(" \t")
    if len(text) > MAX_TOKEN_CHARS:
        raise Malformed(Reason.TOKEN_MALFORMED)
    if not authorization and _BARE.fullmatch(text):
        return UnverifiedToken(text)
    match = _SCHEMED.fullmatch(text) if authorization else None
    if match is None:
        raise Malformed(Reason.TOKEN_MALFORMED)
    return UnverifiedToken(match[2], "dpop" if match[1].lower() == "dpop" else "bearer")


# 2. From a token to its outline --------------------------------------------------------------------------------------

TOKEN_TYPES: Final = frozenset({"", "jwt", "at+jwt"})
"""RFC 8725 §3.11: a logout token or a DPoP proof of the same issuer is no access token."""


def parse_token(token: UnverifiedToken) -> TokenOutline:
    """Where to look for the key of `token`. Raises `Malformed(TOKEN_MALFORMED)`; what it returns is not verified."""
    outline, _ = _parse_parts(token)
    return outline


def _parse_parts(token: UnverifiedToken) -> tuple[TokenOutline, dict[str, object]]:
    header, payload = parse_compact(token.compact)
    kid, algorithm, issuer = header.get("kid", ""), header.get("alg"), payload.get("iss", "")
    if not isinstance(kid, str) or not isinstance(algorithm, str) or not isinstance(issuer, str):
        raise Malformed(Reason.TOKEN_MALFORMED)
    kind = token_type(header)
    if kind not in TOKEN_TYPES:
        raise Malformed(Reason.TOKEN_MALFORMED)
    return TokenOutline(kid=kid, algorithm=algorithm, issuer=issuer, type=kind), payload


# 3. From a token to a principal --------------------------------------------------------------------------------------


def verify_token(token: UnverifiedToken, issuer: Issuer, key: jwt.PyJWK, now_unix: float) -> Vouched:
    """Whom `issuer` vouches for in `token`, at `now_unix`, and what whoever sends it must show. `key` is the issuer's,
    for one algorithm.

    Raises `Malformed(TOKEN_MALFORMED)`, `Unverified(TOKEN_EXPIRED)` when expiry is all that is wrong with the token,
    `Unverified(TOKEN_GROUPS_UNKNOWN)` for one that leaves its groups out, else `Unverified(TOKEN_INVALID)`.
    """
    claims = verify_claims(token, issuer, key, now_unix)
    return Vouched(read_principal(claims, issuer), read_binding(claims.values))


def verify_claims(token: UnverifiedToken, issuer: Issuer, key: jwt.PyJWK, now_unix: float) -> Claims:
    """The claims of `token`, once these hold; raises as `verify_token` does.

    1. It is a compact JWS of bounded size whose JSON has no name twice.
    2. The key's algorithm and the token's `typ` are among those that the configuration names.
    3. The signature holds under that key and algorithm, whatever the header says; the key is long enough.
    4. `iss` is the issuer, `aud` has one of our audiences, `sub` and `exp` are there.
    5. `nbf`, `iat` and `auth_time`, where given, are not in the future, and
    6. `exp` is not past, each but for the leeway.
    """
    outline, payload = _parse_parts(token)  # 1
    if key.algorithm_name not in issuer.algorithms:  # 2
        raise Unverified(Reason.TOKEN_INVALID)
    if issuer.token_types and outline.type not in issuer.token_types:  # 2
        raise Unverified(Reason.TOKEN_INVALID)
    if not _holds(token, issuer, key):  # 3, 4
        raise Unverified(Reason.TOKEN_INVALID)
    for name in ("nbf", "iat", "auth_time"):  # 5
        if name in payload and seconds(payload[name]) > now_unix + issuer.leeway_seconds:
            raise Unverified(Reason.TOKEN_INVALID)
    if seconds(payload.get("exp")) <= now_unix - issuer.leeway_seconds:  # 6
        raise Unverified(Reason.TOKEN_EXPIRED)
    return Claims(payload)


def _holds(token: UnverifiedToken, issuer: Issuer, key: jwt.PyJWK) -> bool:
    # A bool, so that our exception is raised outside `except` and is not chained to one whose text quotes the token.
    try:
        jwt.decode(
            token.compact,
            key=key,
            algorithms=[key.algorithm_name],
            issuer=issuer.issuer,
            audience=issuer.audiences,
            options={
                "verify_signature": True,
                "enforce_minimum_key_length": True,
                "verify_iss": True,
                "verify_aud": True,
                "strict_aud": False,  # strict refuses every `aud` list; a list that has ours is as good as ours
                "verify_sub": True,
                "verify_jti": True,
                "verify_exp": False,  # PyJWT reads the clock itself; the three times are checked by our caller
                "verify_nbf": False,
                "verify_iat": False,
                "require": ["exp", "iss", "aud", "sub"],
            },
        )
    except jwt.PyJWTError:
        return False
    return True
