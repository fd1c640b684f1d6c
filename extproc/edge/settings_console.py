"""The `console` section of `config.yaml`, parsed: where the console listens, whom it lets in, what it signs."""

import ipaddress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

Network = ipaddress.IPv4Network | ipaddress.IPv6Network

DEFAULT_PORT: Final = 8090
MAX_TOKEN_SECONDS: Final = 900
"""A token cannot be taken back; this is how long a person who was locked out still gets through."""
MFA_CONTEXTS: Final = (
    "https://refeds.org/profile/mfa",
    "http://schemas.microsoft.com/claims/multipleauthn",
    "urn:oasis:names:tc:SAML:2.0:ac:classes:MobileTwoFactorContract",
)
"""What identity providers call several factors: REFEDS, Microsoft Entra and AD FS, SAML 2.0's own."""


@dataclass(frozen=True, slots=True)
class KeyPair:
    """PEM files: a certificate with its chain, and its key."""

    certificate: Path
    key: Path


@dataclass(frozen=True, slots=True)
class SamlAttributes:
    """Names of the attributes that say who somebody is. Empty: of the subject, its NameID; of the others, nothing."""

    subject: str = ""
    name: str = ""
    groups: str = ""
    tenant: str = ""
    methods: str = ""


@dataclass(frozen=True, slots=True)
class SamlSettings:
    """The console as a SAML service provider of one identity provider."""

    metadata: Path
    """Of the identity provider, XML; read again when it changes."""
    entity_id: str
    """Our own name."""
    allow_unsolicited: bool = False
    skew_seconds: int = 60
    attributes: SamlAttributes = SamlAttributes()
    mfa_contexts: tuple[str, ...] = MFA_CONTEXTS
    signing: KeyPair | None = None
    """Signs our requests. None: they are not signed."""


@dataclass(frozen=True, slots=True)
class OidcSettings:
    """The console as a client of an OpenID provider. `issuer` is also one of `identity.issuers`, which says where its
    keys are, which algorithms it may use, and where a person's claims stand."""

    issuer: str
    client_id: str
    client_secret_file: Path | None = None
    """Read again for each login, so that it may rotate. None: a public client, which PKCE alone protects."""
    scopes: tuple[str, ...] = ("openid", "profile", "email")
    audiences: tuple[str, ...] = ()
    """Whom an id_token may name beside `client_id`."""


@dataclass(frozen=True, slots=True)
class RoleSettings:
    """Groups by the role that they give."""

    reader: tuple[str, ...] = ()
    approver: tuple[str, ...] = ()
    auditor: tuple[str, ...] = ()
    admin: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class TokenSettings:
    """Tokens of our own, for assertions (RFC 7522)."""

    issuer: str
    audience: str
    lifetime_seconds: int = 600
    rotate_seconds: int = 30 * 86400
    """How long one key signs."""
    announce_seconds: int = 3600
    """How long a key is published before it signs: longer than any worker goes without looking."""


@dataclass(frozen=True, slots=True)
class ConsoleSettings:
    """`url` is where browsers and clients reach the console: scheme, host and port, no slash at the end."""

    url: str
    keys: Path
    """A folder: the key of sessions, and those that sign tokens."""
    saml: SamlSettings | None = None
    """Of this and `oidc` there is at least one."""
    oidc: OidcSettings | None = None
    roles: RoleSettings = RoleSettings()
    address: str = "127.0.0.1"
    port: int = DEFAULT_PORT
    tls: KeyPair | None = None
    session_seconds: int = 8 * 3600
    idle_seconds: int = 900
    token: TokenSettings | None = None
    proxies: tuple[Network, ...] = ()
    """Whose `X-Forwarded-For` is believed."""
    metrics_port: int = 0
    """`/metrics` at `telemetry.metrics_address`; 0: none."""
    grpc_port: int = 0
    """Of the approvals service for programs; 0: none."""

    @property
    def entity_id(self) -> str:
        """Our own name at a SAML identity provider."""
        return self.saml.entity_id if self.saml else f"{self.url}/saml/metadata"

    @property
    def acs_url(self) -> str:
        """Where the identity provider's answer is posted."""
        return f"{self.url}/saml/acs"

    @property
    def callback_url(self) -> str:
        """Where the OpenID provider sends a browser back to."""
        return f"{self.url}/oidc/callback"

    @property
    def token_url(self) -> str:
        return f"{self.url}/token"
