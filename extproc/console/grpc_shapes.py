"""Approvals as the gRPC service says them: what the JSON API says, in protobuf."""

from typing import Final

import grpc

from extproc.console.api_problem import PROBLEMS, ProblemCode, status_of
from extproc.console.api_shapes import ApprovalShape
from extproc.core.approval import SENTENCES, ApprovalState, TransitionCode
from extproc.pb import approvals_pb2 as pb

STATES: Final = {state: getattr(pb, state.name) for state in ApprovalState}
"""Each under its own name."""
_BY_NUMBER: Final = {number: state for state, number in STATES.items()}
_SAME: Final = (
    *("approval_id", "exchange_id", "requester_uid", "requester_name", "requester_groups", "request_reason", "rule"),
    *("rule_text", "policy_digest", "request_digest", "connection", "operation", "model", "approver_groups"),
    *("escalation_groups", "escalate_after_seconds", "quorum", "each_of", "window_seconds", "window_uses", "uses"),
    *("emergency", "created_at", "expires_at", "granted_until", "decided_at", "decided_by_uid", "decided_by_name"),
    *("decision_reason", "reviewed_by_uid", "reviewed_at", "tenant", "revision", "seen"),
)
_STATUS: Final = {
    400: grpc.StatusCode.INVALID_ARGUMENT,
    401: grpc.StatusCode.UNAUTHENTICATED,
    403: grpc.StatusCode.PERMISSION_DENIED,
    404: grpc.StatusCode.NOT_FOUND,
    409: grpc.StatusCode.FAILED_PRECONDITION,
    422: grpc.StatusCode.INVALID_ARGUMENT,
    429: grpc.StatusCode.RESOURCE_EXHAUSTED,
    500: grpc.StatusCode.INTERNAL,
    503: grpc.StatusCode.UNAVAILABLE,
}


def find_states(numbers: tuple[int, ...]) -> tuple[ApprovalState, ...] | None:
    """The states with these numbers; None where one has none."""
    return tuple(_BY_NUMBER[each] for each in numbers) if _BY_NUMBER.keys() >= set(numbers) else None


def message(shape: ApprovalShape) -> pb.Approval:
    """The same, field by field."""
    votes = [
        pb.Vote(
            uid=vote.uid,
            name=vote.name,
            groups=vote.groups,
            grant=vote.verdict == "grant",
            reason=vote.reason,
            at=vote.at,
            channel=vote.channel,
        )
        for vote in shape.votes
    ]
    return pb.Approval(
        state=STATES[shape.state],
        findings=[pb.Finding(kind=kind, count=count) for kind, count in shape.findings.items()],
        limits=[pb.Limit(name=name, value=value) for name, value in shape.limits.items()],
        votes=votes,
        request=[pb.Turn(role=turn.role, text=turn.text) for turn in shape.request or ()],
        **{name: getattr(shape, name) for name in _SAME},
    )


def status(code: ProblemCode | TransitionCode) -> tuple[grpc.StatusCode, str]:
    """The status, and the fixed sentence that goes with it."""
    sentence = PROBLEMS[code][1] if isinstance(code, ProblemCode) else SENTENCES[code]
    return _STATUS.get(status_of(code), grpc.StatusCode.INTERNAL), sentence
