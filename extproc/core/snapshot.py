"""Everything one exchange is judged by, taken once at its start, so that a reload never changes a running exchange."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from extproc.core.masking.effort import MAX_STEPS
from extproc.core.masking.scanner import Scanner
from extproc.core.masking.settings import Side
from extproc.core.originals import SealOriginal
from extproc.core.policy import Operation, Policy
from extproc.core.trust import Secret

ANY_DIALECT = "any"
"""Of a connection whose paths are those of every server that is known."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Every bound on what a peer can make us keep. Bytes unless the name says otherwise."""

    max_header_bytes: int = 64 * 1024
    """Envoy's own default is 60 KiB; a foreign gateway may allow more."""
    max_body_bytes: int = 16 * 1024 * 1024
    """A whole request body. Long-context prompts reach a few MiB."""
    max_response_bytes: int = 32 * 1024 * 1024
    """A response that must be read whole (JSON). Streams are bounded by event instead."""
    max_event_bytes: int = 1024 * 1024
    """One SSE event or NDJSON line."""
    max_channels: int = 256
    """Incremental maskers of one response: choices x fields x tool calls."""
    max_json_depth: int = 64
    """Nesting of request and response documents."""
    max_scan_steps: int = MAX_STEPS
    """What inspecting one body, or one piece of a stream, may cost; a step takes about a microsecond."""
    max_unreleased_bytes: int = 1024 * 1024
    """Response bytes waiting for their record before we stop reading from the proxy."""
    ship_wait_seconds: float = 6.0
    """How long a request under `durability: store` waits for the log's store. Less than a hold's margin and the proxy's
    message timeout (10 s), so that our own answer comes first."""
    hold_margin_seconds: float = 10.0
    """Added to a hold's wait when Envoy's message timeout is overridden, so that our own deadline comes first."""


@dataclass(frozen=True, slots=True)
class Connection:
    """A registered model server, and which requests are for it. `extproc.core.connections` chooses among several.

    `credential_header` and `credential` are what the model server wants; the caller never sees them.
    """

    name: str
    path_prefix: str = "/"
    credential_header: str = "authorization"
    credential: Secret | None = field(default=None, repr=False)
    hosts: tuple[str, ...] = ()
    """Host names in lower case without a port; `*.` at the beginning stands for one or more labels. Empty: any host."""
    models: tuple[str, ...] = ()
    """Names and globs (`*`, `?`) of the models that it serves. Empty: any, and requests that name none."""
    dialect: str = ANY_DIALECT
    """Whose API it speaks: a path of another server's is unknown there."""
    limits: Limits | None = None
    """Instead of the deployment's."""
    opaque: frozenset[tuple[Operation, Side]] = frozenset()
    """Bodies that go through without being looked into."""
    model_map: Mapping[str, str] = field(default_factory=dict)
    """What a model that clients name is called on the server. The policy sees what the client says."""
    only_mapped: bool = False
    """A model that is not in `model_map` is refused."""
    route: str = ""
    """What the Envoy in front calls the route to it; empty: as the connection is called."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The policy, the scanner compiled from it, and the deployment's settings in force when the exchange began."""

    policy: Policy
    scanner: Scanner
    connections: tuple[Connection, ...]
    limits: Limits
    digest_key: Secret
    """Keys `request_digest`: nothing stored can be compared with an unkeyed digest of a prompt."""
    seal: SealOriginal | None = field(default=None, repr=False)
    """Seals originals that hold a PAN; None: none are kept."""
    scanners: Mapping[str, Scanner] = field(default_factory=dict)
    """Those of the policy's masking profiles, by name."""
    mfa_classes: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """The `acr` values that an issuer gives for several factors, by issuer."""
    forward_baggage: frozenset[str] = frozenset()
    """Keys of W3C `baggage` that model servers get."""
    approvals_url: str = ""
    """Where an approval is looked at, with `{id}` for its id; empty: a client that waits is told none."""

    def limits_of(self, connection: Connection | None) -> Limits:
        """The bounds on what goes to this model server and comes from it; the deployment's where none is known."""
        return self.limits if connection is None or connection.limits is None else connection.limits
