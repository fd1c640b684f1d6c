"""Opening an approval, or attaching to one that serves the same request already."""

from sqlalchemy import select

from extproc.approvals.changes import Change
from extproc.approvals.due import expire_seen
from extproc.approvals.notify import outbox
from extproc.approvals.notify.events import Event
from extproc.approvals.rows import SHOWN
from extproc.approvals.tables import APPROVALS
from extproc.core.approval import Approval, ApprovalRequest, ApprovalState, is_due, open_approval, same_deciders

_row = APPROVALS.c
_LIVE = (ApprovalState.PENDING.value, ApprovalState.GRANTED.value)


def open_or_attach(change: Change, request: ApprovalRequest, sealed_preview: bytes) -> Approval:
    """A live approval for the same idempotency, a live window for such requests, or else a new approval.

    An emergency is always new: each has a record and a review of its own.
    """
    if not request.emergency:
        found = _find_same(change, request) or _find_window(change, request)
        if found is not None:
            return found
    opened = change.add(open_approval(request), sealed_preview)
    outbox.add(change.connection, opened, Event.EMERGENCY if request.emergency else Event.OPENED, request.created_at)
    return opened


def _find_same(change: Change, request: ApprovalRequest) -> Approval | None:
    if not request.idempotency:
        return None
    same = select(*SHOWN).where(
        _row.idempotency == request.idempotency,
        _row.state.in_(_LIVE),
        _row.requester_uid == request.requester_uid,
        _row.request_digest == request.request_digest,
    )
    return next(iter(_without_due(change, change.read(same), request.created_at)), None)


def _find_window(change: Change, request: ApprovalRequest) -> Approval | None:
    """The one that lasts longest: only a person's grant begins one, so there are few."""
    if not request.window_uses:
        return None
    windows = (
        select(*SHOWN)
        .where(
            _row.requester_uid == request.requester_uid,
            _row.state == ApprovalState.GRANTED.value,
            _row.window_uses > _row.uses,
            _row.rule == request.rule,
            _row.policy_digest == request.policy_digest,
            _row.connection == request.connection,
        )
        .order_by(_row.granted_until.desc(), _row.approval_id)
    )
    live = _without_due(change, change.read(windows), request.created_at)
    return next((window for window in live if same_deciders(window, request)), None)


def _without_due(change: Change, approvals: list[Approval], now: float) -> list[Approval]:
    """Those that live on; the others are expired."""
    for approval in approvals:
        if is_due(approval, now):
            expire_seen(change, approval, now)
    return [approval for approval in approvals if not is_due(approval, now)]
