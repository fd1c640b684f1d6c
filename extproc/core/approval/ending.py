"""How an approval ends: used, in its time and by whom it is for; expired; withdrawn."""

from dataclasses import replace

from extproc.core.approval.asked import Approval
from extproc.core.approval.states import TRANSITIONS, ApprovalState, TransitionCode, TransitionRefused


def ends_at(approval: Approval) -> float:
    """When it expires, in Unix seconds, unless something ends it before: the wait, and then the grant."""
    return approval.granted_until or approval.expires_at


def is_due(approval: Approval, now: float) -> bool:
    """Whether the approval has outlived its time and nothing has ended it yet."""
    return ApprovalState.EXPIRED in TRANSITIONS[approval.state] and not now < ends_at(approval)


def expire(approval: Approval, now: float) -> Approval:
    """The approval expired; raises `TransitionRefused` before its time or after its end."""
    if ApprovalState.EXPIRED not in TRANSITIONS[approval.state]:
        raise TransitionRefused(TransitionCode.FINAL)
    if not is_due(approval, now):
        raise TransitionRefused(TransitionCode.NOT_EXPIRED)
    return replace(approval, state=ApprovalState.EXPIRED)


def withdraw(approval: Approval) -> Approval:
    """The approval withdrawn; raises `TransitionRefused` once it has ended."""
    if ApprovalState.WITHDRAWN not in TRANSITIONS[approval.state]:
        raise TransitionRefused(TransitionCode.FINAL)
    return replace(approval, state=ApprovalState.WITHDRAWN)


def claim(approval: Approval, request_digest: str, requester_uid: str, now: float) -> Approval:
    """The grant with one use more, by its own requester; raises `TransitionRefused`. After the last it is used.

    A grant without a window is for its own request alone. One with a window serves any request that the same rule of
    the same policy holds on the same connection; that much the exchange has compared (`Hold.binds`).
    """
    if approval.state is not ApprovalState.GRANTED:
        raise TransitionRefused(TransitionCode.NOT_GRANTED)
    if is_due(approval, now):
        raise TransitionRefused(TransitionCode.EXPIRED)
    if not approval.has_window and approval.request_digest != request_digest:
        raise TransitionRefused(TransitionCode.OTHER_REQUEST)
    if approval.requester_uid != requester_uid:
        raise TransitionRefused(TransitionCode.OTHER_REQUESTER)
    uses = approval.uses + 1
    over = uses >= max(1, approval.window_uses)
    return replace(approval, uses=uses, state=ApprovalState.USED if over else ApprovalState.GRANTED)
