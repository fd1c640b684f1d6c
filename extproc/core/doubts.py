"""Why a token is refused, for whoever holds it and the configuration: everything that does not fit, in words.

Nothing here is verified or believed. A client is told one sentence and no more (`reasons`).
"""

from collections.abc import Iterator

from extproc.core.binding import read_binding
from extproc.core.claims import NO_ACCESS, Claims, find, read_parties, read_principal, seconds
from extproc.core.identity import TOKEN_TYPES
from extproc.core.issuer import Issuer
from extproc.core.jws import MAX_TOKEN_CHARS, parse_compact, token_type
from extproc.core.reasons import ExchangeError, Reason
from extproc.core.schema import nearest

_NO_JWS = (
    f"it is no compact JWS of at most {MAX_TOKEN_CHARS} characters, or its JSON names something twice, or its header "
    "has `crit`, `b64` or `cty`"
)

_Json = dict[str, object]


def find_doubts(compact: str, issuers: tuple[Issuer, ...], now_unix: float) -> tuple[str, ...]:
    """What is wrong with a token before its signature is looked at; empty when only that is left to ask.

    Texts may quote the token's header and claims, as they are: print them with `printable_line`.
    """
    try:
        header, claims = parse_compact(compact)
    except ExchangeError:
        return (_NO_JWS,)
    return tuple(_doubts(header, claims, issuers, now_unix))


def _doubts(header: _Json, claims: _Json, issuers: tuple[Issuer, ...], now_unix: float) -> Iterator[str]:
    kind = token_type(header)
    if kind not in TOKEN_TYPES:
        yield f"`typ` of its header is `{kind}`: that is no access token"
    name = claims.get("iss")
    issuer = next((each for each in issuers if each.issuer == name), None)
    if issuer is None:
        known = nearest(name, [each.issuer for each in issuers])
        yield f"`iss` is `{name}`, which is no issuer of the configuration ({known})"
        return
    if issuer.token_types and kind not in issuer.token_types:
        yield f"`typ` of its header is `{kind}`, accepted are {_listed(issuer.token_types)}"
    if header.get("alg") not in issuer.algorithms:
        yield f"`alg` is `{header.get('alg')}`, accepted are {_listed(issuer.algorithms)}"
    audience = claims.get("aud")
    named = audience if isinstance(audience, list) else [audience]
    if not any(isinstance(each, str) and each in issuer.audiences for each in named):
        said = "is missing" if audience is None else f"is `{audience}`"
        yield f"`aud` {said}, accepted are {_listed(issuer.audiences)}"
    yield from _time_doubts(claims, issuer, now_unix)
    yield from _claim_doubts(claims, issuer)


def _time_doubts(claims: _Json, issuer: Issuer, now_unix: float) -> Iterator[str]:
    for name in ("exp", "nbf", "iat", "auth_time"):
        if name not in claims:
            if name == "exp":
                yield "`exp` is missing"
            continue
        try:
            late = now_unix - seconds(claims[name])
        except ExchangeError:
            yield f"`{name}` is no number of seconds since 1970"
            continue
        if name == "exp" and late >= issuer.leeway_seconds:
            yield f"`exp` was {late:.0f} s ago, tolerated are {issuer.leeway_seconds} s"
        if name != "exp" and -late > issuer.leeway_seconds:
            yield f"`{name}` is {-late:.0f} s in the future, tolerated are {issuer.leeway_seconds} s"


def _claim_doubts(claims: _Json, issuer: Issuer) -> Iterator[str]:
    try:
        read_binding(claims)
    except ExchangeError:
        yield "`cnf` binds it in a way that is not known here; known are `jkt` and `x5t#S256`"
    if str(claims.get("typ", "")).lower() in NO_ACCESS:
        yield f"its claim `typ` is `{claims['typ']}`: that is no access token"
        return
    if not claims.get("sub"):
        yield "`sub` is missing"
        return
    path = issuer.claims.subject
    if not find(claims, path):
        yield f"`claims.subject` names `{'.'.join(path)}`, and nothing stands there"
        return
    try:
        parties = read_parties(claims)
    except ExchangeError:
        yield "`azp` or `client_id` is no printable text"
        return
    if issuer.authorized_parties and not (parties and set(parties) <= set(issuer.authorized_parties)):
        found = _listed(parties) if parties else "nothing"
        yield f"`azp`, `client_id`, `appid` and `cid` name {found}, accepted are {_listed(issuer.authorized_parties)}"
        return
    try:
        read_principal(Claims({**claims, "exp": 0}), issuer)  # its own has been told
    except ExchangeError as error:
        if error.reason is Reason.TOKEN_GROUPS_UNKNOWN:
            yield "its groups are too many to be in it; have the provider send fewer, or set `groups_overage: ignore`"
        else:
            yield "a claim is of another type than it should be, too long, or holds what does not print"


def _listed(names: tuple[str, ...]) -> str:
    return ", ".join(f"`{name}`" for name in names)
