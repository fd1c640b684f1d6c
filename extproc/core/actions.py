"""What an exchange asks the edge to do, in order. The edge has no judgement of its own."""

from dataclasses import dataclass, field

from extproc.core.approval import ApprovalRequest
from extproc.core.budget_charge import Charge
from extproc.core.identity import UnverifiedToken
from extproc.core.presented import NOTHING, Presented
from extproc.core.reasons import Reason
from extproc.core.record import Direction, Record, Summary
from extproc.core.trust import Masked, Passed, Sealed, Uninspected


@dataclass(frozen=True, slots=True)
class HeaderMutation:
    """`remove` first, then `set` (overwrite). Values may hold a credential and do not print."""

    set: tuple[tuple[str, bytes], ...] = field(default=(), repr=False)
    remove: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class VerifyToken:
    """Answered by `TokenVerified` or `TokenRejected`. Without a token a client certificate may say who asks."""

    token: UnverifiedToken | None
    presented: Presented = NOTHING


@dataclass(frozen=True, slots=True)
class AwaitBody:
    """The headers passed; the whole body is wanted before anything goes on."""


@dataclass(frozen=True, slots=True)
class ForwardRequest:
    """Let the request go on to the model server. `body` is None when there is none; `changed` says whether it differs
    from what arrived. Carries the key of the request lock."""

    mutation: HeaderMutation
    body: Masked | None = field(repr=False)
    changed: bool
    opaque: Uninspected | None = field(default=None, repr=False)
    """Instead of `body`: what arrived, which nobody has looked into."""


@dataclass(frozen=True, slots=True)
class Respond:
    """An immediate response; nothing further of this exchange reaches anyone."""

    status: int
    headers: tuple[tuple[str, bytes], ...]
    body: bytes = field(repr=False)
    details: str


@dataclass(frozen=True, slots=True)
class ReleaseHeaders:
    mutation: HeaderMutation
    end_of_stream: bool


@dataclass(frozen=True, slots=True)
class ReleaseBody:
    data: Passed = field(repr=False)
    end_of_stream: bool


@dataclass(frozen=True, slots=True)
class ReleaseTrailers:
    mutation: HeaderMutation


@dataclass(frozen=True, slots=True)
class StoreRecord:
    """Append an evidence record. Answered by `Stored(ticket)` or `StoreFailed`."""

    record: Record
    ticket: int


@dataclass(frozen=True, slots=True)
class StoreContent:
    """Append transcript bytes, encrypted, or a sealed original. Answered by `Stored(ticket)` or `StoreFailed`."""

    direction: Direction
    data: Masked | Sealed = field(repr=False)
    at: float
    ticket: int


@dataclass(frozen=True, slots=True)
class AwaitShipped:
    """Have the log's store hold what is durable here by now. Answered by `Shipped`, or not at all."""


@dataclass(frozen=True, slots=True)
class OpenApproval:
    """Create an approval. Answered by `ApprovalSeen` (now, and at each change) or `ApprovalsFailed`."""

    request: ApprovalRequest


@dataclass(frozen=True, slots=True)
class AttachApproval:
    """Watch an existing approval. Answered by `ApprovalSeen`, `ApprovalMissing` or `ApprovalsFailed`."""

    approval_id: str


@dataclass(frozen=True, slots=True)
class ClaimGrant:
    """Use a grant, once. Answered by `GrantClaimed`, `GrantLost` or `ApprovalsFailed`."""

    approval_id: str
    request_digest: str


@dataclass(frozen=True, slots=True)
class WithdrawApproval:
    """Best effort, not answered: expiry ends what this misses."""

    approval_id: str


@dataclass(frozen=True, slots=True)
class ReadBudgets:
    """Count with these charges, without making them. Answered by `BudgetsRead` or `BudgetsFailed`."""

    charges: tuple[Charge, ...]
    now_unix: float


@dataclass(frozen=True, slots=True)
class ChargeBudgets:
    """Make these charges, durably, all or, where one is stopped, none. Answered by `BudgetsRead` or `BudgetsFailed`."""

    charges: tuple[Charge, ...]
    now_unix: float


@dataclass(frozen=True, slots=True)
class SettleBudgets:
    """What the answer has cost. Not answered: it is tried for a while, and counted as lost then."""

    charges: tuple[Charge, ...]
    now_unix: float


@dataclass(frozen=True, slots=True)
class AllowHold:
    """Tell the proxy how long this state may take (`override_message_timeout`); no effect in full duplex."""

    seconds: float


@dataclass(frozen=True, slots=True)
class SetDeadline:
    """Replace the exchange's deadline; None clears it. Answered by `DeadlinePassed`."""

    at: float | None


@dataclass(frozen=True, slots=True)
class Finish:
    """The exchange is over. The only way to a clean end of the gRPC stream."""

    summary: Summary


@dataclass(frozen=True, slots=True)
class Abort:
    """The exchange is over and the gRPC stream must end with an error."""

    reason: Reason
    summary: Summary


Action = (
    VerifyToken
    | AwaitBody
    | ForwardRequest
    | Respond
    | ReleaseHeaders
    | ReleaseBody
    | ReleaseTrailers
    | StoreRecord
    | StoreContent
    | AwaitShipped
    | OpenApproval
    | AttachApproval
    | ClaimGrant
    | WithdrawApproval
    | ReadBudgets
    | ChargeBudgets
    | SettleBudgets
    | AllowHold
    | SetDeadline
    | Finish
    | Abort
)
