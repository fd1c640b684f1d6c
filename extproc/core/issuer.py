"""Who is trusted to say who somebody is: one issuer of tokens, as the configuration names it."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, Literal
from urllib.parse import urlsplit

KEY_TYPES: Final[Mapping[str, tuple[str, str]]] = {
    "RS256": ("RSA", ""),
    "RS384": ("RSA", ""),
    "RS512": ("RSA", ""),
    "PS256": ("RSA", ""),
    "PS384": ("RSA", ""),
    "PS512": ("RSA", ""),
    "ES256": ("EC", "P-256"),
    "ES384": ("EC", "P-384"),
    "ES512": ("EC", "P-521"),
    "EdDSA": ("OKP", "Ed25519"),
}
"""The signatures that a configuration may name, each with the JWK `kty` and `crv` it needs. None shares a secret."""


class IssuerKind(StrEnum):
    """What its tokens look like."""

    OIDC = "oidc"
    KUBERNETES = "kubernetes"


@dataclass(frozen=True, slots=True)
class ClaimPaths:
    """Where a claim stands in the token: keys from the outermost in (`("realm_access", "roles")`).

    Groups may stand in several places, and are then taken together.
    """

    subject: tuple[str, ...] = ("sub",)
    name: tuple[str, ...] = ("name",)
    groups: tuple[tuple[str, ...], ...] = (("groups",),)
    tenant: tuple[str, ...] = ("tenant",)
    aliases: tuple[tuple[str, ...], ...] = (("email",), ("preferred_username",), ("upn",))
    """Other names of the same person. `email` counts unless `email_verified` is false."""


@dataclass(frozen=True, slots=True)
class ServiceAccounts:
    """Tokens of programs: those whose claim at `claim` is one of `values`. Without a claim, those that look like it."""

    claim: tuple[str, ...] = ()
    values: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Issuer:
    """One trusted issuer. Exactly one of `discovery`, `jwks_url`, `jwks_file` says where its keys are.

    `algorithms` is the whole list that is accepted (RS256, ES256, EdDSA, …; asymmetric only); no header widens it.
    One that could not verify anything safely cannot be made: `ValueError` names every problem.
    """

    issuer: str
    audiences: tuple[str, ...]
    algorithms: tuple[str, ...]
    discovery: bool = False
    jwks_url: str = ""
    jwks_file: str = ""
    ca_file: str = ""
    """The only authorities that are trusted when its keys are fetched; empty: those of the machine."""
    token_file: str = ""
    """A bearer token to ask for its keys with, as Kubernetes wants it; empty: none."""
    leeway_seconds: int = 30
    max_key_age_seconds: int = 24 * 3600
    """How long known keys serve while the issuer cannot be reached."""
    refresh_seconds: int = 300
    claims: ClaimPaths = ClaimPaths()
    kind: IssuerKind = IssuerKind.OIDC
    token_types: tuple[str, ...] = ()
    """Accepted `typ` headers, in lower case without `application/`; empty: none, `jwt` and `at+jwt`."""
    authorized_parties: tuple[str, ...] = ()
    """Clients that may have asked for the token; empty: any."""
    groups_overage: Literal["refuse", "ignore"] = "refuse"
    """A token that says its groups stand elsewhere is refused, or goes without them."""
    service_accounts: ServiceAccounts = ServiceAccounts()
    mfa_methods: frozenset[str] = frozenset({"mfa"})
    """Values of `amr` that say several factors were used (RFC 8176)."""
    mfa_classes: frozenset[str] = frozenset()
    """Values of `acr` that say so; what they are called is the issuer's choice."""

    def __post_init__(self) -> None:
        problems = tuple(self._find_problems())
        if problems:
            raise ValueError("; ".join(problems))

    def _find_problems(self) -> Iterator[str]:
        if not self.issuer or "|" in self.issuer:
            yield "`issuer` is empty or contains `|`"
        if not self.audiences or not all(self.audiences):
            yield "`audiences` is empty or has an empty entry"
        if not self.algorithms:
            yield "`algorithms` is empty"
        for algorithm in self.algorithms:
            if algorithm not in KEY_TYPES:
                yield f"algorithm `{algorithm}` is not an asymmetric signature of {', '.join(KEY_TYPES)}"
        if [self.discovery, bool(self.jwks_url), bool(self.jwks_file)].count(True) != 1:
            yield "exactly one of `discovery`, `jwks_url` and `jwks_file` is needed"
        for url in (self.issuer if self.discovery else "", self.jwks_url):
            if url and not is_trustworthy_url(url):
                yield f"`{url}` is neither https nor on loopback: keys fetched from it could be anybody's"
        if self.leeway_seconds < 0 or self.max_key_age_seconds <= 0 or self.refresh_seconds <= 0:
            yield "`leeway_seconds` is negative, or `max_key_age_seconds` or `refresh_seconds` is not positive"
        if not all(paths and all(paths) for paths in self._claim_paths()):
            yield "a claim path is empty"
        if bool(self.service_accounts.claim) != bool(self.service_accounts.values):
            yield "`service_accounts` needs a claim and its values"

    def _claim_paths(self) -> tuple[tuple[str, ...], ...]:
        return (
            self.claims.subject,
            self.claims.name,
            self.claims.tenant,
            *(self.claims.groups or ((),)),
            *self.claims.aliases,
        )


def is_trustworthy_url(url: str) -> bool:
    """True when an answer from `url` is its owner's: https, or http on this machine; no credentials in it."""
    try:
        parts = urlsplit(url)
        host = parts.hostname
        _ = parts.port
    except ValueError:
        return False
    if not host or parts.username is not None or parts.fragment:
        return False
    return parts.scheme == "https" or (parts.scheme == "http" and host in {"127.0.0.1", "::1", "localhost"})
