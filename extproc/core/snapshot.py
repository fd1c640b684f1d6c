"""Everything one exchange is judged by, taken once at its start, so that a reload never changes a running exchange."""

from dataclasses import dataclass, field

from extproc.core.masking.effort import MAX_STEPS
from extproc.core.masking.scanner import Scanner
from extproc.core.originals import SealOriginal
from extproc.core.policy import Policy
from extproc.core.trust import Secret


@dataclass(frozen=True, slots=True)
class Connection:
    """A registered model server. `path_prefix` is matched on whole segments; the longest prefix wins.

    `credential_header` and `credential` are what the model server wants; the caller never sees them.
    """

    name: str
    path_prefix: str = "/"
    credential_header: str = "authorization"
    credential: Secret | None = field(default=None, repr=False)


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
    hold_margin_seconds: float = 10.0
    """Added to a hold's wait when Envoy's message timeout is overridden, so that our own deadline comes first."""


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
