"""What the JSON API says and takes, field by field; the OpenAPI document is made of these."""

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from extproc.approvals.conversation import Turn
from extproc.approvals.index.query import Freshness, SessionRow
from extproc.core.approval import MAX_REASON_CHARACTERS, Approval, ApprovalState, Vote, shown_digest
from extproc.core.principal import Principal

MAX_SENT_REASON = 4 * MAX_REASON_CHARACTERS
"""Characters that are looked at at all; the rules bound what may be kept more tightly."""

Reason = Annotated[
    str,
    Meta(
        max_length=MAX_SENT_REASON,
        description=f"Why, at most {MAX_REASON_CHARACTERS} characters. Kept in the audit log, card data masked.",
    ),
]
Digest = Annotated[str, Meta(pattern="^[0-9a-f]{64}$", description="`seen` of the approval that was looked at.")]
Time = Annotated[float, Meta(description="Unix seconds; 0: never, or not yet.")]


class _Taken(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a client sends: nothing that is not named."""


class DecideBody(_Taken, frozen=True, kw_only=True):
    """One vote. It counts for the approval as it was shown: `seen` names that."""

    verdict: Literal["grant", "refuse"]
    reason: Reason
    seen: Digest


class ReasonBody(_Taken, frozen=True, kw_only=True):
    """Of a revocation or a review."""

    reason: Reason


class EmptyBody(_Taken, frozen=True, kw_only=True):
    """Nothing needs to be said. The body may be left out."""


class VoteShape(msgspec.Struct, frozen=True, kw_only=True):
    """What one person said."""

    uid: str
    name: str
    groups: tuple[str, ...]
    verdict: Literal["grant", "refuse"]
    reason: str
    at: Time
    channel: str


class TurnShape(msgspec.Struct, frozen=True, kw_only=True):
    """One thing said in the masked request; `role` says by whom."""

    role: str
    text: str


class ApprovalShape(msgspec.Struct, frozen=True, kw_only=True):
    """An approval. Who has no role sees their own, without who voted, who decided and what voters wrote; readers and
    programs see no reasons, which are empty for them."""

    approval_id: str
    state: ApprovalState
    exchange_id: str
    requester_uid: str
    requester_name: str
    requester_groups: tuple[str, ...]
    request_reason: str
    tenant: str
    rule: str
    rule_text: str
    policy_digest: str
    request_digest: str
    connection: str
    operation: str
    model: str
    findings: dict[str, int]
    limits: dict[str, int]
    approver_groups: tuple[str, ...]
    escalation_groups: tuple[str, ...]
    escalate_after_seconds: float
    quorum: int
    each_of: tuple[str, ...]
    grants: int
    votes: tuple[VoteShape, ...]
    window_seconds: float
    window_uses: int
    uses: int
    emergency: bool
    created_at: Time
    expires_at: Time
    granted_until: Time
    decided_at: Time
    decided_by_uid: str
    decided_by_name: str
    decision_reason: str
    reviewed_by_uid: str
    reviewed_at: Time
    revision: int
    seen: Annotated[str, Meta(description="What a decision on this view names.")]
    request: tuple[TurnShape, ...] | None = None
    """The masked request; null unless an approver asked for it."""


class ApprovalList(msgspec.Struct, frozen=True, kw_only=True):
    """A page, the newest first. `next` is the `cursor` of the page after; empty on the last one."""

    approvals: tuple[ApprovalShape, ...]
    next: str


class SessionShape(msgspec.Struct, frozen=True, kw_only=True):
    """One exchange as its records tell it, without text. Times are Unix milliseconds, 0: not yet."""

    exchange_id: str
    started_ms: int
    ended_ms: int
    person_uid: str
    person_name: str
    person_kind: str
    tenant: str
    connection: str
    operation: str
    model: str
    effect: str
    rule: str
    verdict: str
    outcome: str
    http_status: int
    reason: str
    findings_request: dict[str, int]
    findings_response: dict[str, int]
    input_tokens: int
    output_tokens: int
    request_bytes: int
    response_bytes: int
    duration_ms: float
    hold_ms: float
    decision_ms: float
    first_byte_ms: float
    approval_id: str
    approval_state: str
    policy_digest: str
    receipt: Annotated[str, Meta(description="Where the record lies that tells the most: `origin/segment/seq`.")]
    has_transcript: bool
    shredded_ms: int


class FreshnessShape(msgspec.Struct, frozen=True, kw_only=True):
    """How far the index is; it is rebuilt from the log and is no evidence itself."""

    indexed_up_to_ms: int
    looked_ms: int
    behind: int


class SessionList(msgspec.Struct, frozen=True, kw_only=True):
    """A page, the newest first; `next` and `previous` are cursors. Without `counted_all` there are more."""

    sessions: tuple[SessionShape, ...]
    next: str
    previous: str
    count: int
    counted_all: bool
    index: FreshnessShape


def approval_shape(approval: Approval, turns: tuple[Turn, ...] | None = None) -> ApprovalShape:
    """For an approver or auditor."""
    return ApprovalShape(
        **{name: getattr(approval, name) for name in _SAME},
        findings=dict(approval.findings),
        limits=dict(approval.limits),
        grants=len(approval.grants),
        votes=tuple(map(_vote, approval.votes)),
        seen=shown_digest(approval),
        request=None if turns is None else tuple(TurnShape(role=turn.role, text=turn.text) for turn in turns),
    )


def own_approval_shape(approval: Approval) -> ApprovalShape:
    """For its requester: how it stands and why, but not who decided."""
    shape = approval_shape(approval)
    return msgspec.structs.replace(shape, votes=(), decided_by_uid="", decided_by_name="", reviewed_by_uid="")


def facts_shape(approval: Approval) -> ApprovalShape:
    """For readers: without what anybody wrote."""
    shape = approval_shape(approval)
    votes = tuple(msgspec.structs.replace(vote, reason="") for vote in shape.votes)
    return msgspec.structs.replace(shape, request_reason="", decision_reason="", votes=votes)


def is_own(approval: Approval, person: Principal) -> bool:
    """Whether `person` asked for it; to the letter, because it lets them see it."""
    return approval.requester_uid == person.uid


def session_shape(row: SessionRow) -> SessionShape:
    """An exchange of the index."""
    return SessionShape(
        **{name: getattr(row, name) for name in _SAME_OF_SESSIONS},
        findings_request=dict(row.findings_request),
        findings_response=dict(row.findings_response),
        receipt=f"{row.origin}/{row.segment}/{row.seq}",
    )


def freshness_shape(freshness: Freshness) -> FreshnessShape:
    return FreshnessShape(
        indexed_up_to_ms=freshness.indexed_up_to_ms, looked_ms=freshness.looked_ms, behind=freshness.behind
    )


def _vote(vote: Vote) -> VoteShape:
    return VoteShape(
        uid=vote.uid,
        name=vote.name,
        groups=vote.groups,
        verdict="grant" if vote.grant else "refuse",
        reason=vote.reason,
        at=vote.at,
        channel=vote.channel.value,
    )


_MADE = {"findings", "limits", "grants", "votes", "seen", "request"}
_SAME = [name for name in ApprovalShape.__struct_fields__ if name not in _MADE]
_MADE_OF_SESSIONS = {"findings_request", "findings_response", "receipt"}
_SAME_OF_SESSIONS = [name for name in SessionShape.__struct_fields__ if name not in _MADE_OF_SESSIONS]
