"""`config.yaml`, parsed: the deployment's settings. The policy is a document of its own."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

from extproc.approvals.settings import ApprovalSettings
from extproc.audit.settings import AuditSettings
from extproc.core.dpop import DpopTerms
from extproc.core.issuer import Issuer
from extproc.core.masking.settings import Side
from extproc.core.policy import Operation
from extproc.core.snapshot import ANY_DIALECT, Connection, Limits
from extproc.core.trust import Secret
from extproc.edge.settings_console import ConsoleSettings
from extproc.edge.settings_telemetry import TelemetrySettings

TAKEN_OVER: Final = frozenset({"connections", "issuers", "dpop", "dpop_nonce", "trust_domains"})
"""Of `Settings`: what counts without a restart, the file's `connections` and `identity`."""


@dataclass(frozen=True, slots=True)
class TlsSettings:
    """Downstream TLS. `client_ca` turns on mTLS."""

    certificate: Path
    key: Path
    client_ca: Path | None = None


@dataclass(frozen=True, slots=True)
class ListenerSettings:
    """Where clients connect."""

    address: str = "127.0.0.1"
    port: int = 8080
    tls: TlsSettings | None = None


@dataclass(frozen=True, slots=True)
class GatewayTls:
    """TLS towards another gateway's Envoy, always mutual. `clients` are the names that may call, DNS or URI of the
    certificate, compared whole: an authority vouches for many that are no gateway."""

    certificate: Path
    key: Path
    client_ca: Path
    clients: frozenset[str]


@dataclass(frozen=True, slots=True)
class ExtProcSettings:
    """Where another gateway's Envoy calls, besides the workers' sockets; all workers share the port. Without TLS it is
    an address of loopback."""

    port: int
    address: str = "127.0.0.1"
    tls: GatewayTls | None = None


@dataclass(frozen=True, slots=True)
class ProbeSettings:
    """Paths of a model server that probes and scrapes may GET at Envoy's status listener, unread; empty: none."""

    health: str = ""
    metrics: str = ""


@dataclass(frozen=True, slots=True)
class ConnectionSettings:
    """A model server. `upstream` is `http://host:port` (no path). `credential_file` holds its key, one line.

    The rest is what `extproc.core.snapshot.Connection` says of it.
    """

    name: str
    upstream: str
    path_prefix: str = "/"
    credential_file: Path | None = None
    credential_header: str = "authorization"
    hosts: tuple[str, ...] = ()
    models: tuple[str, ...] = ()
    dialect: str = ANY_DIALECT
    limits: Limits | None = None
    opaque: frozenset[tuple[Operation, Side]] = frozenset()
    model_map: Mapping[str, str] = field(default_factory=dict)
    only_mapped: bool = False
    probe: ProbeSettings = field(default_factory=ProbeSettings)

    @property
    def route(self) -> str:
        """What Envoy's route and cluster of it are called: another name for another server or prefix. An exchange that
        was judged by an earlier configuration must not reach another server, with a credential that is not for it.
        """
        place = f"{self.upstream}\n{self.path_prefix}".encode()
        return f"{self.name}.{hashlib.sha256(place).hexdigest()[:8]}"

    def served(self, credential: Secret | None) -> Connection:
        """The connection as exchanges see it."""
        return Connection(
            name=self.name,
            path_prefix=self.path_prefix,
            credential_header=self.credential_header,
            credential=credential,
            hosts=self.hosts,
            models=self.models,
            dialect=self.dialect,
            limits=self.limits,
            opaque=self.opaque,
            model_map=self.model_map,
            only_mapped=self.only_mapped,
            route=self.route,
        )


@dataclass(frozen=True, slots=True)
class HealthSettings:
    """Where the supervisor of `extproc serve` answers probes."""

    address: str = "127.0.0.1"
    port: int = 9465


@dataclass(frozen=True, slots=True)
class EnvoySettings:
    """`admin_port` 0: no admin listener. `access_log` is a file path; empty: standard output.

    `status_port` 0: no status listener. With one, and without an admin port, the admin listens on a Unix socket in the
    run directory. `ends_with_service`: told to stop, the service has Envoy take no new connections, and end when it has
    ended itself.
    """

    admin_port: int = 0
    status_address: str = "127.0.0.1"
    status_port: int = 0
    ends_with_service: bool = False
    access_log: str = ""
    concurrency: int = 1
    max_hold_seconds: float = 900.0
    """`max_message_timeout`; no rule may wait longer."""


@dataclass(frozen=True, slots=True)
class MaskKeySettings:
    """A key of the masking style `token`: its id, which every token shows, and its file (32 random bytes or more)."""

    id: str
    file: Path


@dataclass(frozen=True, slots=True)
class Settings:
    """Relative paths in the file are resolved against the file's folder."""

    deployment: str
    run_directory: Path
    """Sockets: `worker-<i>.sock`."""
    workers: int
    drain_seconds: float
    listener: ListenerSettings
    envoy: EnvoySettings
    connections: tuple[ConnectionSettings, ...]
    issuers: tuple[Issuer, ...]
    policy_file: Path
    digest_key_file: Path
    """32 random bytes or more (0600): keys request digests."""
    approvals: ApprovalSettings
    approvals_url: str
    """What the 202 answer shows the client, with `{id}`; may be empty."""
    audit: AuditSettings
    telemetry: TelemetrySettings
    limits: Limits
    health: HealthSettings | None = None
    """None: nothing answers probes."""
    dpop: DpopTerms = field(default_factory=DpopTerms)
    dpop_nonce: bool = False
    """Proofs must carry a nonce, whose key is made of the digest key."""
    trust_domains: tuple[str, ...] = ()
    """Whose SPIFFE ids in client certificates name a workload."""
    mask_keys: tuple[MaskKeySettings, ...] = ()
    """The first makes tokens; the others were the first once, and are kept for `extproc mask-tokens`."""
    console: ConsoleSettings | None = None
    ext_proc: ExtProcSettings | None = None

    def taking_over(self, other: "Settings") -> "Settings":
        """These, with what of `other` counts without a restart."""
        return replace(self, **{name: getattr(other, name) for name in TAKEN_OVER})
