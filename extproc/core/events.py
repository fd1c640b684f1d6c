"""What can happen to an exchange. Every event carries `at`, the monotonic time in seconds at which it was seen."""

from dataclasses import dataclass, field

from extproc.core.approval import Approval
from extproc.core.budget_charge import Counted
from extproc.core.headers import Headers
from extproc.core.identity import Principal
from extproc.core.reasons import Reason


@dataclass(frozen=True, slots=True)
class Attributes:
    """What Envoy says of the connection (`request_attributes`, `response_attributes`). Empty where it said nothing."""

    source_address: str = ""
    tls_subject: str = ""
    tls_sha256: str = ""
    """Of the client's certificate, in hexadecimal."""
    tls_uri: str = ""
    """The first URI among its names."""
    route_name: str = ""
    response_details: str = ""
    response_flags: str = ""
    upstream_address: str = ""


@dataclass(frozen=True, slots=True)
class RequestHeaders:
    headers: Headers
    end_of_stream: bool
    attributes: Attributes
    at: float


@dataclass(frozen=True, slots=True)
class RequestBody:
    data: bytes = field(repr=False)
    end_of_stream: bool
    at: float


@dataclass(frozen=True, slots=True)
class RequestTrailers:
    at: float


@dataclass(frozen=True, slots=True)
class ResponseHeaders:
    headers: Headers
    end_of_stream: bool
    attributes: Attributes
    at: float


@dataclass(frozen=True, slots=True)
class ResponseBody:
    data: bytes = field(repr=False)
    end_of_stream: bool
    at: float


@dataclass(frozen=True, slots=True)
class ResponseTrailers:
    at: float


@dataclass(frozen=True, slots=True)
class TokenVerified:
    principal: Principal
    at: float


@dataclass(frozen=True, slots=True)
class TokenRejected:
    """`nonce`: the one that a DPoP proof must carry, for `PROOF_NONCE`."""

    reason: Reason
    at: float
    nonce: str = ""


@dataclass(frozen=True, slots=True)
class Stored:
    """Everything up to `ticket` (counted per exchange, from 1) is durable."""

    ticket: int
    at: float


@dataclass(frozen=True, slots=True)
class StoreFailed:
    """What was stored under `ticket`, and everything after it, never becomes durable."""

    at: float
    ticket: int = 0


@dataclass(frozen=True, slots=True)
class Shipped:
    """The log's store holds everything that was durable when `AwaitShipped` asked for it."""

    at: float


@dataclass(frozen=True, slots=True)
class ApprovalSeen:
    """The state of the approval this exchange opened or attached to, now or after a change."""

    approval: Approval
    at: float


@dataclass(frozen=True, slots=True)
class ApprovalMissing:
    at: float


@dataclass(frozen=True, slots=True)
class GrantClaimed:
    """The grant was ours to use and is now used (`granted -> used`, atomically, once)."""

    at: float


@dataclass(frozen=True, slots=True)
class GrantLost:
    at: float


@dataclass(frozen=True, slots=True)
class ApprovalsFailed:
    at: float


@dataclass(frozen=True, slots=True)
class WithdrawalFailed:
    """What was to be withdrawn is not: it has ended otherwise, was never there, or the store did not answer."""

    at: float


@dataclass(frozen=True, slots=True)
class BudgetsRead:
    """What is counted, in the order of the charges."""

    counts: tuple[Counted, ...]
    at: float


@dataclass(frozen=True, slots=True)
class BudgetsFailed:
    at: float


@dataclass(frozen=True, slots=True)
class DeadlinePassed:
    """The deadline last set by `SetDeadline`."""

    at: float


@dataclass(frozen=True, slots=True)
class Disconnected:
    """The gRPC stream ended from the other side: client gone, upstream reset or proxy timeout."""

    at: float


@dataclass(frozen=True, slots=True)
class Drained:
    """The service stops and the time for live exchanges is up."""

    at: float


Event = (
    RequestHeaders
    | RequestBody
    | RequestTrailers
    | ResponseHeaders
    | ResponseBody
    | ResponseTrailers
    | TokenVerified
    | TokenRejected
    | Stored
    | StoreFailed
    | Shipped
    | ApprovalSeen
    | ApprovalMissing
    | GrantClaimed
    | GrantLost
    | WithdrawalFailed
    | ApprovalsFailed
    | BudgetsRead
    | BudgetsFailed
    | DeadlinePassed
    | Disconnected
    | Drained
)
