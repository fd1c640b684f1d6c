"""From the claims of a verified token to a principal, in the shapes of the usual providers (`IDENTITY.md`)."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

from extproc.core.issuer import Issuer, IssuerKind
from extproc.core.principal import Kind, Principal, fold_aliases
from extproc.core.reasons import Reason, Unverified

MAX_GROUPS: Final = 512
"""Of all claims together. Microsoft Entra stops at 200, Keycloak has no bound of its own."""
MAX_CLAIM_CHARS: Final = 1024
"""One name, subject or group; RFC 7519 `sub` of OpenID Connect ends at 255."""

_SCOPES = frozenset({("scp",), ("scope",)})
"""Where these are text, they are several words (RFC 8693 §4.2)."""
_PARTIES = ("azp", "client_id", "appid", "cid")
"""Who asked for the token: OpenID Connect Core §2, RFC 9068 §2.2, Entra's first version, Okta."""


@dataclass(frozen=True, slots=True)
class Claims:
    """A token's claims after its signature, issuer, audience and times hold. Not printable."""

    values: Mapping[str, object] = field(repr=False)


NO_ACCESS = frozenset({"id", "refresh", "offline", "logout"})
"""What Keycloak writes into a claim `typ` of tokens that are none for a service (RFC 8725 §3.12)."""


def read_principal(claims: Claims, issuer: Issuer) -> Principal:
    """Raises `Unverified`: `TOKEN_INVALID` for claims that are not what they should be, `TOKEN_GROUPS_UNKNOWN` when the
    token leaves the groups out because there are too many."""
    values = claims.values
    if str(values.get("typ", "")).lower() in NO_ACCESS:
        raise Unverified(Reason.TOKEN_INVALID)
    parties = read_parties(values)
    if issuer.authorized_parties and not _authorized(parties, issuer.authorized_parties):
        raise Unverified(Reason.TOKEN_INVALID)
    if issuer.kind is IssuerKind.KUBERNETES:
        return _service_account(values, issuer)
    paths = issuer.claims
    subject = text(find(values, paths.subject))
    if not subject or not values["sub"]:
        raise Unverified(Reason.TOKEN_INVALID)
    methods, context_class = _texts(values.get("amr")), text(values.get("acr"))
    return Principal(
        issuer=issuer.issuer,
        subject=subject,
        name=display_name(find(values, paths.name)),
        groups=_groups(values, issuer),
        tenant=text(find(values, paths.tenant)),
        token_id=text(values.get("jti")),
        client=parties[0] if parties else "",
        methods=methods,
        context_class=context_class,
        authenticated_at=int(seconds(values.get("auth_time", 0))),
        expires_at=int(seconds(values["exp"])),
        kind=_kind(values, parties, issuer),
        mfa=not issuer.mfa_methods.isdisjoint(methods) or context_class in issuer.mfa_classes,
        aliases=fold_aliases(subject, _other_names(values, paths.aliases)),
    )


# Who asked for it ----------------------------------------------------------------------------------------------------


def read_parties(values: Mapping[str, object]) -> tuple[str, ...]:
    """Every claim that names the client, in the order of `_PARTIES`. The first two are standard, and must be text."""
    found = []
    for name in _PARTIES:
        value = values.get(name)
        if name in ("azp", "client_id") or isinstance(value, str):
            found.append(text(value))
    return tuple(dict.fromkeys(party for party in found if party))


def _authorized(parties: tuple[str, ...], authorized: tuple[str, ...]) -> bool:
    """One that is named and not authorized refuses the token, whichever claim names it; so does none."""
    return bool(parties) and set(parties) <= set(authorized)


def _kind(values: Mapping[str, object], parties: tuple[str, ...], issuer: Issuer) -> Kind:
    rule = issuer.service_accounts
    if rule.claim:
        found = find(values, rule.claim)
        listed = found if isinstance(found, list) else [found]
        return "service" if any(isinstance(each, str) and each in rule.values for each in listed) else "person"
    return "service" if _looks_like_a_program(values, parties) else "person"


def _looks_like_a_program(values: Mapping[str, object], parties: tuple[str, ...]) -> bool:
    """How the usual providers mark tokens that a client got for itself, with no person (client credentials)."""
    subject = values.get("sub")
    if "idtyp" in values:  # Entra, an optional claim
        return values["idtyp"] == "app"
    if (
        "tid" in values and "oid" in values
    ):  # Entra: no delegated scope, and the subject is the application's own object
        return "scp" not in values and values["oid"] == subject
    if values.get("gty") == "client-credentials":  # Auth0
        return True
    own = values.get("client_id", values.get("clientId"))
    if isinstance(own, str) and values.get("preferred_username") == f"service-account-{own}".lower():  # Keycloak
        return True
    return subject in parties  # RFC 9068 §5, and Okta's `cid`


# Aliases -------------------------------------------------------------------------------------------------------------


def _other_names(values: Mapping[str, object], paths: tuple[tuple[str, ...], ...]) -> Iterator[str]:
    for path in paths:
        if path != ("email",) or values.get("email_verified") not in (False, "false"):
            found = find(values, path)
            yield from map(display_name, found if isinstance(found, list) else [found])


# Groups --------------------------------------------------------------------------------------------------------------


def _groups(values: Mapping[str, object], issuer: Issuer) -> tuple[str, ...]:
    if issuer.groups_overage == "refuse" and _groups_left_out(values, issuer):
        raise Unverified(Reason.TOKEN_GROUPS_UNKNOWN)
    found: dict[str, None] = {}
    for path in issuer.claims.groups:
        value = find(values, path)
        if path in _SCOPES and isinstance(value, str):
            value = value.split()
        found |= dict.fromkeys(_texts(value))
    if len(found) > MAX_GROUPS:
        raise Unverified(Reason.TOKEN_INVALID)
    return tuple(found)


def _groups_left_out(values: Mapping[str, object], issuer: Issuer) -> bool:
    """Entra's overage: instead of the groups, an address to ask for them (OpenID Connect Core §5.6.2), which nobody
    asks: no address in a token is ever fetched."""
    outer = {path[0] for path in issuer.claims.groups}
    names = values.get("_claim_names")
    elsewhere = outer.intersection(names) if isinstance(names, Mapping) else outer if names is not None else set()
    return bool(elsewhere) or ("groups" in outer and values.get("hasgroups") not in (None, False, "false"))


# Kubernetes ----------------------------------------------------------------------------------------------------------


def _service_account(values: Mapping[str, object], issuer: Issuer) -> Principal:
    """`system:serviceaccount:NAMESPACE:NAME`, in the groups that Kubernetes itself gives it; the two ways in which the
    token names the account must agree."""
    namespace = text(find(values, ("kubernetes.io", "namespace")))
    name = text(find(values, ("kubernetes.io", "serviceaccount", "name")))
    subject = text(values.get("sub"))
    if not namespace or not name or subject != f"system:serviceaccount:{namespace}:{name}":
        raise Unverified(Reason.TOKEN_INVALID)
    return Principal(
        issuer=issuer.issuer,
        subject=subject,
        name=f"{namespace}/{name}",
        groups=("system:serviceaccounts", f"system:serviceaccounts:{namespace}"),
        tenant=text(find(values, issuer.claims.tenant)),
        token_id=text(values.get("jti")),
        client=text(find(values, ("kubernetes.io", "pod", "name"))),
        expires_at=int(seconds(values["exp"])),
        kind="service",
    )


# Values --------------------------------------------------------------------------------------------------------------


def find(values: object, path: tuple[str, ...]) -> object:
    """What stands at `path`, names from the outermost in; None where nothing does."""
    for name in path:
        values = values.get(name) if isinstance(values, Mapping) else None
    return values


def text(value: object) -> str:
    """Text that is safe in a record, header or log: no control characters, no lone surrogates. Raises `Unverified`."""
    if value is None:
        return ""
    if not isinstance(value, str) or len(value) > MAX_CLAIM_CHARS or not value.isprintable():
        raise Unverified(Reason.TOKEN_INVALID)
    return value


def display_name(value: object) -> str:
    """For people to read: what does not print (joiners, direction marks) becomes a space and refuses nobody."""
    if isinstance(value, str):
        value = "".join(c if c.isprintable() else " " for c in value).strip()
    return text(value)


def _texts(value: object) -> tuple[str, ...]:
    values = value if isinstance(value, list) else [] if value is None else [value]
    if len(values) > MAX_GROUPS or None in values:
        raise Unverified(Reason.TOKEN_INVALID)
    return tuple(each for each in map(text, values) if each)


def seconds(value: object) -> float:
    """A NumericDate (RFC 7519 §2) between 1970 and the year 287 396. Raises `Unverified(TOKEN_INVALID)`."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise Unverified(Reason.TOKEN_INVALID)
    if not 0 <= value < 2**53:  # NaN compares false; an integer beyond any float must not be converted
        raise Unverified(Reason.TOKEN_INVALID)
    return value
