"""The evidence record: small, closed, without account data or content. `extproc.audit.records.line` stores it.

The fields that PCI DSS v4.0.1 10.2.2 asks for (who, what, when, outcome, origin, affected resource) have no defaults,
and `missing_fields` says which are empty: a record without one is not written, and its request is refused.
"""

from enum import StrEnum

import msgspec

from extproc.core.decision_record import DecisionRef


class EventCode(StrEnum):
    """What happened. The comment names the PCI DSS v4.0.1 10.2.1.x clause that asks for it."""

    INFERENCE_REQUEST = "inference.request"  # 10.2.1.1, durable before the model sees a byte
    INFERENCE_END = "inference.end"  # 10.2.1.1
    INFERENCE_RECOVERED = "inference.recovered"  # 10.2.1.1, written by the adopter of a dead writer's journal
    AUTH_FAIL = "auth.fail"  # 10.2.1.4
    AUTH_LOGIN = "auth.login"  # 10.2.1.1: a person's session in the console begins
    AUTH_LOGOUT = "auth.logout"  # 10.2.1.1
    AUTH_ISSUE = "auth.issue"  # 10.2.1.1: an assertion was exchanged for a token of ours
    POLICY_DENY = "policy.deny"  # 10.2.1.4
    REQUEST_REFUSE = "request.refuse"  # 10.2.1.4
    PROXY_REPLY = "proxy.reply"  # 10.2.1.4: Envoy answered itself; seen by us
    APPROVAL_OPEN = "approval.open"  # 10.2.1.2
    APPROVAL_EMERGENCY = "approval.emergency"  # 10.2.1.2: somebody goes on at once, to be reviewed afterwards
    APPROVAL_ATTACH = "approval.attach"  # 10.2.1.2
    APPROVAL_WAIT_OVER = "approval.wait_over"  # 10.2.1.2: the client was given a ticket
    APPROVAL_WITHDRAW = "approval.withdraw"  # 10.2.1.2
    APPROVAL_USE = "approval.use"  # 10.2.1.2
    APPROVAL_DECIDE = "approval.decide"  # 10.2.1.2: one person's vote; the last one grants or refuses
    APPROVAL_REVOKE = "approval.revoke"  # 10.2.1.2: a grant is taken back before its use
    APPROVAL_REVIEW = "approval.review"  # 10.2.1.2: an approver has looked at an emergency afterwards
    APPROVAL_EXPIRE = "approval.expire"  # 10.2.1.2: nobody decided in time, or nobody used the grant
    APPROVAL_ESCALATE = "approval.escalate"  # 10.2.1.2: from then on more groups may decide
    ADMIN_POLICY_CHANGE = "admin.policy_change"  # 10.2.1.2
    ADMIN_CONFIG_CHANGE = "admin.config_change"  # 10.2.1.2: other connections or issuers are in force
    ADMIN_CREDENTIAL_CHANGE = "admin.credential_change"  # 10.2.1.2: a model server is asked with another credential
    ADMIN_BUDGET_RESET = "admin.budget_reset"  # 10.2.1.2: what somebody had used of a budget is forgotten
    ADMIN_KEY_ROTATE = "admin.key_rotate"  # 10.2.1.2, 10.2.1.5: the deployment signs and wraps with new keys
    ADMIN_NOTIFY_RETRY = "admin.notify_retry"  # 10.2.1.2: people are told once more what they could not be told
    ADMIN_SESSIONS_END = "admin.sessions_end"  # 10.2.1.2: all sessions of a person in the console are ended
    ADMIN_SHRED_REQUEST = "admin.shred_request"  # 10.2.1.2: one person asks that a transcript become unreadable
    ADMIN_SHRED = "admin.shred"  # 10.2.1.2: another one confirms, or the retention is over; comes first
    ADMIN_SHRED_DONE = "admin.shred_done"  # 10.2.1.2
    ADMIN_SHRED_FAILED = "admin.shred_failed"  # 10.2.1.2: to be repeated
    ADMIN_SHRED_REFUSED = "admin.shred_refused"  # 10.2.1.4: asked or confirmed without the right to it
    SEALED_OPEN_REQUEST = "sealed.open_request"  # 10.2.1.2: one person asks to see card numbers of an exchange
    SEALED_OPEN = "sealed.open"  # 10.2.1.1: another one confirms; comes before anything is shown
    SEALED_OPEN_REFUSED = "sealed.open_refused"  # 10.2.1.4: asked or confirmed without the right to it
    AUDIT_READ = "audit.read"  # 10.2.1.3
    AUDIT_RETENTION_CHECK = "audit.retention_check"  # 3.2.1: what is kept and for how long
    STORE_INSPECT = "store.inspect"  # 10.3.2: what the store was seen to enforce; and, before it, that it is asked
    CONTROL_FAILURE = "control.failure"  # 10.7.2
    CONTROL_RESTORED = "control.restored"  # 10.7.3
    LOG_START = "log.start"  # 10.2.1.6
    LOG_HEARTBEAT = "log.heartbeat"  # 10.2.1.6
    LOG_PAUSE = "log.pause"  # 10.2.1.6: new exchanges are refused
    LOG_RESUME = "log.resume"  # 10.2.1.6
    LOG_STOP = "log.stop"  # 10.2.1.6
    LOG_ADOPT = "log.adopt"  # 10.2.1.6


OPENS_EXCHANGE = frozenset(
    {
        EventCode.INFERENCE_REQUEST,
        EventCode.APPROVAL_OPEN,
        EventCode.APPROVAL_EMERGENCY,
        EventCode.APPROVAL_ATTACH,
    }
)
"""After one of these an exchange is under way; a journal that ends before one of `ENDS_EXCHANGE` was interrupted."""

ENDS_EXCHANGE = frozenset(
    {
        EventCode.INFERENCE_END,
        EventCode.INFERENCE_RECOVERED,
        EventCode.AUTH_FAIL,
        EventCode.POLICY_DENY,
        EventCode.REQUEST_REFUSE,
        EventCode.PROXY_REPLY,
        EventCode.APPROVAL_WAIT_OVER,
    }
)

MAY_USE_RESERVE = ENDS_EXCHANGE | {
    EventCode.APPROVAL_ATTACH,  # says of an opening in the log that it never was one
    EventCode.APPROVAL_WITHDRAW,
    EventCode.APPROVAL_USE,  # comes after the fact
    EventCode.CONTROL_FAILURE,
    EventCode.CONTROL_RESTORED,
    EventCode.LOG_START,
    EventCode.LOG_HEARTBEAT,
    EventCode.LOG_PAUSE,
    EventCode.LOG_RESUME,
    EventCode.LOG_STOP,
    EventCode.LOG_ADOPT,
}
"""What still goes into a journal that takes nothing else: refusals, ends, corrections and failures of controls."""


class Outcome(StrEnum):
    """How the exchange ended, as its own state machine saw it."""

    COMPLETED = "completed"
    REFUSED = "refused"
    HELD = "held"
    ABANDONED = "abandoned"
    CUT = "cut"
    FAILED = "failed"
    RECOVERED = "recovered"
    SUCCEEDED = "succeeded"


class Direction(StrEnum):
    """The boundary a transcript frame crossed."""

    TO_MODEL = "to_model"
    TO_CLIENT = "to_client"
    SEALED_TO_MODEL = "sealed_to_model"
    """A sealed original of a stretch of what went to the model server: it crossed nothing, and is no transcript."""
    SEALED_TO_CLIENT = "sealed_to_client"

    @property
    def sealed(self) -> "Direction":
        """Of a direction, under which its sealed originals are stored."""
        return Direction.SEALED_TO_MODEL if self is Direction.TO_MODEL else Direction.SEALED_TO_CLIENT


class Actor(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """10.2.2 user identification. `uid` is `anonymous` where no identity was established, never empty.

    `kind` is `person` or `service`, empty where nobody was authenticated and in records from before it was kept.
    `methods` is the `amr` claim, `context_class` is `acr`, `mfa` what was made of the two, `authenticated_at` is
    `auth_time` in Unix seconds or 0. `spiffe_id` and `certificate_subject` are the client certificate's, `confirmation`
    is the thumbprint of the key that the token is bound to (`cnf`).
    """

    uid: str
    name: str = ""
    groups: tuple[str, ...] = ()
    token_id: str = ""
    client: str = ""
    methods: tuple[str, ...] = ()
    mfa: bool = False
    kind: str = ""
    tenant: str = ""
    context_class: str = ""
    authenticated_at: int = 0
    spiffe_id: str = ""
    certificate_subject: str = ""
    confirmation: str = ""


class Resource(msgspec.Struct, frozen=True, kw_only=True):
    """10.2.2 the affected component: connection (model server), operation and protocol, model."""

    connection: str
    operation: str
    protocol: str
    model: str = ""


class PolicyRef(msgspec.Struct, frozen=True, kw_only=True):
    digest: str
    effect: str = ""
    rule: str = ""


class ApprovalRef(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    id: str
    state: str
    request_digest: str = ""
    decided_by: str = ""
    reason: str = ""


OPAQUE_REQUEST, OPAQUE_RESPONSE = "opaque_request", "opaque_response"
"""Kinds of `Record.not_inspected`: bodies that a connection lets through unread."""


class Measures(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """Counts and times of one exchange; milliseconds and bytes. Usage is what the model server reported."""

    request_bytes: int = 0
    response_bytes: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    events: int = 0
    held_characters_max: int = 0
    duration_ms: float = 0.0
    decision_ms: float = 0.0
    hold_ms: float = 0.0
    first_byte_ms: float = 0.0


class Record(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One evidence record. `time_ms` is Unix milliseconds, UTC. Required fields have no default."""

    event_code: EventCode
    time_ms: int
    actor: Actor
    status: Outcome
    src_address: str
    resource: Resource
    exchange_id: str = ""
    status_detail: str = ""
    """A `Reason` code, never text from outside."""
    http_status: int = 0
    policy: PolicyRef | None = None
    decision: DecisionRef | None = None
    """None where none was reached, and in records from before it was kept."""
    approval: ApprovalRef | None = None
    findings_request: dict[str, int] = {}
    findings_response: dict[str, int] = {}
    stripped: tuple[str, ...] = ()
    """Request fields removed because their effect could not be inspected (`logprobs`, `echo`, …)."""
    not_inspected: dict[str, int] = {}
    """Images, sound and files of the request that the policy let through as they were: how many of each kind."""
    finish_reasons: tuple[str, ...] = ()
    measures: Measures | None = None
    trace_id: str = ""
    request_digest: str = ""
    detail: dict[str, str | int | float | bool] = {}
    """Event-specific facts: file names, digests, counts. Never content."""


def missing_fields(record: Record) -> tuple[str, ...]:
    """What PCI DSS 10.2.2 asks for and the record does not say; empty for one that may be written."""
    said = {
        "actor.uid": record.actor.uid,
        "time_ms": record.time_ms > 0,
        "src_address": record.src_address,
        "resource.connection": record.resource.connection,
        "resource.operation": record.resource.operation,
        "resource.protocol": record.resource.protocol,
    }
    return tuple(name for name, value in said.items() if not value)


class Summary(msgspec.Struct, frozen=True, kw_only=True):
    """The end of an exchange, for spans and metrics: its closing record, and its phases (name, start, end in monotonic
    seconds)."""

    record: Record
    phases: tuple[tuple[str, float, float], ...]
    stream: bool = False
    held_seconds: float = 0.0
    """The longest time that masking kept characters of the answer back."""
    stored_seconds: float = 0.0
    """The longest time that anything of it waited to be durable."""
    opened_by: str = ""
    """The exchange that opened its approval."""
