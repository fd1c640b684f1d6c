"""What time does to approvals: they expire, and others are asked as well. Each such step is owed a record."""

from sqlalchemy import ColumnElement, and_, case, not_, select

from extproc.approvals import steps
from extproc.approvals.changes import MAX_IDS, Change, changing, read_approvals
from extproc.approvals.database import Database
from extproc.approvals.notify import outbox
from extproc.approvals.notify.events import Event
from extproc.approvals.rows import SHOWN
from extproc.approvals.steps import Step
from extproc.approvals.tables import APPROVALS
from extproc.core.approval import TRANSITIONS, Approval, ApprovalState, expire

_row = APPROVALS.c
_MAY_EXPIRE = sorted(state.value for state, following in TRANSITIONS.items() if ApprovalState.EXPIRED in following)


def expire_seen(change: Change, approval: Approval, now: float) -> Approval:
    """A due approval, expired. `expire_due` returns it to whoever records that."""
    expired = change.keep(expire(approval, now), approval)
    outbox.add(change.connection, expired, Event.EXPIRED, now)
    steps.add(change.connection, expired.approval_id, Step.EXPIRED)
    return expired


def expire_all(database: Database, now: float) -> None:
    """Every due approval is expired, durably."""
    while _is_any(database, _is_due(now)):
        with changing(database) as change:
            for approval in change.read(select(*SHOWN).where(_is_due(now)).limit(MAX_IDS)):
                expire_seen(change, approval, now)


def expire_due(database: Database, now: float) -> list[Approval]:
    """Every due approval is expired; of those whose expiry is not recorded yet some, which the caller has leased."""
    expire_all(database, now)
    return _leased(database, Step.EXPIRED, now)


def escalate_due(database: Database, now: float) -> list[Approval]:
    """The escalation groups of pending approvals may decide once it is time; likewise."""
    due = and_(
        _row.state == ApprovalState.PENDING.value,
        _row.escalate_after_seconds > 0,
        _row.escalated_at == 0,
        _row.created_at + _row.escalate_after_seconds <= now,
        _row.escalation_groups != "[]",
        not_(_is_due(now)),
    )
    while _is_any(database, due):
        with changing(database) as change:
            for approval in change.read(select(*SHOWN).where(due).limit(MAX_IDS)):
                outbox.add(change.connection, change.keep(approval, approval, escalated_at=now), Event.ESCALATED, now)
                steps.add(change.connection, approval.approval_id, Step.ESCALATED)
    return _leased(database, Step.ESCALATED, now)


def _leased(database: Database, step: Step, now: float) -> list[Approval]:
    """Those that the caller is to record, as they are by now."""
    leased = steps.lease(database, step, now)
    with database.transaction() as connection:
        return read_approvals(connection, select(*SHOWN).where(_row.approval_id.in_(leased))) if leased else []


def _is_due(now: float) -> ColumnElement[bool]:
    """`extproc.core.approval.is_due` in SQL."""
    ends_at = case((_row.granted_until > 0, _row.granted_until), else_=_row.expires_at)
    return and_(_row.state.in_(_MAY_EXPIRE), ends_at <= now)


def _is_any(database: Database, condition: ColumnElement[bool]) -> bool:
    """Looked at without taking a turn: mostly there is none."""
    with database.transaction() as connection:
        return connection.execute(select(_row.approval_id).where(condition).limit(1)).first() is not None
