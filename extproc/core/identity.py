"""From a bearer token to a principal: `UnverifiedToken -> Claims -> Principal`. Verification raises, always.

Follows RFC 7519 (JWT), RFC 8725 (its best current practice) and RFC 9068 (access tokens). The algorithm comes from the
configuration, the time is an argument, and nothing a token says chooses where a key comes from.
"""

import base64
import json
import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Literal, NoReturn

import jwt

from extproc.core.headers import Headers
from extproc.core.issuer import Issuer
from extproc.core.reasons import Malformed, Reason, Unverified

MAX_TOKEN_CHARS: Final = 16 * 1024
"""A token with some hundred groups takes about 8 KiB."""
MAX_GROUPS: Final = 512
"""Microsoft Entra stops at 200, Keycloak has no bound of its own."""
MAX_CLAIM_CHARS: Final = 1024
"""One name, subject or group; RFC 7519 `sub` of OpenID Connect ends at 255."""


@dataclass(frozen=True, slots=True)
class UnverifiedToken:
    """A compact JWS as the client sent it. Not printable."""

    compact: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class TokenOutline:
    """What a token says of itself before anything is verified: good for finding a key, and for nothing else."""

    kid: str
    algorithm: str
    issuer: str


@dataclass(frozen=True, slots=True)
class Claims:
    """A token's claims after its signature, issuer, audience and times hold. Not printable."""

    values: Mapping[str, object] = field(repr=False)


Kind = Literal["person", "service"]
"""Whether somebody is at the other end: PCI DSS 8.6 treats accounts of systems and applications apart."""


@dataclass(frozen=True, slots=True)
class Principal:
    """Who asks, as a trusted issuer vouches. `uid` is `issuer|subject` and is stable (PCI DSS 8.2.1).

    `methods` is the `amr` claim (RFC 8176), `context_class` the `acr` claim, `mfa` what the issuer's configuration
    makes of the two; `expires_at` and `authenticated_at` are Unix seconds, 0 where the token does not say.
    """

    issuer: str
    subject: str
    name: str
    groups: tuple[str, ...]
    tenant: str = ""
    token_id: str = ""
    client: str = ""
    methods: tuple[str, ...] = ()
    context_class: str = ""
    authenticated_at: int = 0
    expires_at: int = 0
    kind: Kind = "person"
    mfa: bool = False
    spiffe_id: str = ""
    """Of the client certificate, when our listener verified it."""
    certificate_subject: str = ""
    """Of the client certificate, when our listener verified it."""
    confirmation: str = ""
    """The thumbprint (`cnf`) of the key that was shown to be held; empty for a bearer token."""

    @property
    def uid(self) -> str:
        """`issuer|subject`."""
        return f"{self.issuer}|{self.subject}"

    def may_be(self, uid: str) -> bool:
        """Whether `uid` is this person's, or the same written another way: some issuers let people choose the case."""
        return _folded(self.uid) == _folded(uid)


def _folded(uid: str) -> str:
    return "".join(unicodedata.normalize("NFKC", uid).casefold().split())


# 1. From headers to a token ------------------------------------------------------------------------------------------

_BEARER = re.compile(r"bearer +([A-Za-z0-9._-]+)", re.IGNORECASE | re.ASCII)
_BARE = re.compile(r"[A-Za-z0-9._-]+", re.ASCII)
_BARE_HEADERS: Final = ("x-api-key", "api-key")
"""Where vendors' clients put their key when they have no `authorization` header: Anthropic's, and Azure's OpenAI."""


def authorization_token(headers: Headers) -> UnverifiedToken:
    """The one bearer token of a request: in `authorization: Bearer …` (RFC 6750), else in `x-api-key` or `api-key`.

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
    match = _BEARER.fullmatch(text) if authorization else _BARE.fullmatch(text)
    if match is None:
        raise Malformed(Reason.TOKEN_MALFORMED)
    return UnverifiedToken(match[1] if authorization else match[0])


# 2. From a token to its outline --------------------------------------------------------------------------------------

_COMPACT = re.compile(r"([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]+)\.[A-Za-z0-9_-]+", re.ASCII)
_TOKEN_TYPES: Final = frozenset({"", "jwt", "at+jwt", "application/at+jwt"})
"""RFC 8725 §3.11: a logout token or a DPoP proof of the same issuer is no access token."""


def parse_token(token: UnverifiedToken) -> TokenOutline:
    """Where to look for the key of `token`. Raises `Malformed(TOKEN_MALFORMED)`; what it returns is not verified."""
    outline, _ = _parse_parts(token)
    return outline


def parse_json_object(data: bytes) -> dict[str, object]:
    """A JSON object in UTF-8, unique names, no NaN. Raises `ValueError`, whose text may hold input: do not chain it."""
    try:
        value = json.loads(data.decode("utf-8"), object_pairs_hook=_unique_names, parse_constant=_refuse_constant)
    except RecursionError:
        value = None
    if isinstance(value, dict):
        return value
    raise ValueError("not a JSON object")


def _unique_names(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a name stands twice")
    return found


def _refuse_constant(_: str) -> NoReturn:
    raise ValueError("not a finite number")


def _parse_parts(token: UnverifiedToken) -> tuple[TokenOutline, dict[str, object]]:
    match = _COMPACT.fullmatch(token.compact) if len(token.compact) <= MAX_TOKEN_CHARS else None
    if match is None:
        raise Malformed(Reason.TOKEN_MALFORMED)
    try:
        header, payload = (parse_json_object(_base64url(part)) for part in match.groups())
    except ValueError:
        header = payload = {}
    kid, algorithm, issuer = header.get("kid", ""), header.get("alg"), payload.get("iss", "")
    if not isinstance(kid, str) or not isinstance(algorithm, str) or not isinstance(issuer, str):
        raise Malformed(Reason.TOKEN_MALFORMED)
    # RFC 7515 §4.1.11: what is critical and not understood is refused; RFC 7519 §5.2: nested tokens carry `cty`.
    if "crit" in header or "b64" in header or "cty" in header:
        raise Malformed(Reason.TOKEN_MALFORMED)
    if str(header.get("typ", "")).lower() not in _TOKEN_TYPES:
        raise Malformed(Reason.TOKEN_MALFORMED)
    return TokenOutline(kid=kid, algorithm=algorithm, issuer=issuer), payload


def _base64url(part: str) -> bytes:
    return base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))


# 3. From a token to a principal --------------------------------------------------------------------------------------


def verify_token(token: UnverifiedToken, issuer: Issuer, key: jwt.PyJWK, now_unix: float) -> Principal:
    """The principal that `issuer` vouches for in `token`, at `now_unix`. `key` is the issuer's, for one algorithm.

    Raises `Malformed(TOKEN_MALFORMED)`, `Unverified(TOKEN_EXPIRED)` when expiry is all that is wrong, else
    `Unverified(TOKEN_INVALID)`.
    """
    return _principal(verify_claims(token, issuer, key, now_unix), issuer)


def verify_claims(token: UnverifiedToken, issuer: Issuer, key: jwt.PyJWK, now_unix: float) -> Claims:
    """The claims of `token`, once these hold; raises as `verify_token` does.

    1. It is a compact JWS of bounded size whose JSON has no name twice.
    2. The key's algorithm is one that the configuration names.
    3. The signature holds under that key and algorithm, whatever the header says; the key is long enough.
    4. `iss` is the issuer, `aud` has one of our audiences, `sub` and `exp` are there.
    5. `nbf` and `iat`, where given, are not in the future, and
    6. `exp` is not past, each but for the leeway.
    """
    _, payload = _parse_parts(token)  # 1
    if key.algorithm_name not in issuer.algorithms:  # 2
        raise Unverified(Reason.TOKEN_INVALID)
    if not _holds(token, issuer, key):  # 3, 4
        raise Unverified(Reason.TOKEN_INVALID)
    for name in ("nbf", "iat"):  # 5
        if name in payload and _seconds(payload[name]) > now_unix + issuer.leeway_seconds:
            raise Unverified(Reason.TOKEN_INVALID)
    if _seconds(payload.get("exp")) <= now_unix - issuer.leeway_seconds:  # 6
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


def _seconds(value: object) -> float:
    """A NumericDate (RFC 7519 §2) between 1970 and the year 287 396."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise Unverified(Reason.TOKEN_INVALID)
    if not 0 <= value < 2**53:  # NaN compares false; an integer beyond any float must not be converted
        raise Unverified(Reason.TOKEN_INVALID)
    return value


def _principal(claims: Claims, issuer: Issuer) -> Principal:
    values, paths = claims.values, issuer.claims
    subject = _text(_find(values, paths.subject))
    if not subject or not values["sub"]:
        raise Unverified(Reason.TOKEN_INVALID)
    return Principal(
        issuer=issuer.issuer,
        subject=subject,
        name=_display_name(_find(values, paths.name)),
        groups=_texts(_find(values, paths.groups)),
        tenant=_text(_find(values, paths.tenant)),
        token_id=_text(values.get("jti")),
        client=_text(values.get("azp", values.get("client_id"))),
        methods=(methods := _texts(values.get("amr"))),
        context_class=_text(values.get("acr")),
        authenticated_at=int(_seconds(values.get("auth_time", 0))),
        expires_at=int(_seconds(values["exp"])),
        mfa="mfa" in methods,
    )


def _find(values: object, path: tuple[str, ...]) -> object:
    for name in path:
        values = values.get(name) if isinstance(values, Mapping) else None
    return values


def _text(value: object) -> str:
    """Text that is safe in a record, header or log: no control characters, no lone surrogates."""
    if value is None:
        return ""
    if not isinstance(value, str) or len(value) > MAX_CLAIM_CHARS or not value.isprintable():
        raise Unverified(Reason.TOKEN_INVALID)
    return value


def _display_name(value: object) -> str:
    """For people to read: what does not print (joiners, direction marks) becomes a space and refuses nobody."""
    if isinstance(value, str):
        value = "".join(c if c.isprintable() else " " for c in value).strip()
    return _text(value)


def _texts(value: object) -> tuple[str, ...]:
    values = value if isinstance(value, list) else [] if value is None else [value]
    if len(values) > MAX_GROUPS or None in values:
        raise Unverified(Reason.TOKEN_INVALID)
    return tuple(text for text in map(_text, values) if text)
