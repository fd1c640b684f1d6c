"""What time does to approvals: they expire, and others are asked as well. Each such step is told once."""

from sqlalchemy import ColumnElement, TextClause, and_, case, not_, select

from extproc.approvals.changes import MAX_IDS, Change, changing
from extproc.approvals.database import Database
from extproc.approvals.notify import outbox
from extproc.approvals.notify.events import Event
from extproc.approvals.rows import SHOWN
from extproc.approvals.tables import APPROVALS, UNTOLD_EXPIRY
from extproc.core.approval import TRANSITIONS, Approval, ApprovalState, expire

_row = APPROVALS.c
_MAY_EXPIRE = sorted(state.value for state, following in TRANSITIONS.items() if ApprovalState.EXPIRED in following)


def expire_seen(change: Change, approval: Approval, now: float) -> Approval:
    """A due approval, expired. `expire_due` still tells it."""
    expired = change.keep(expire(approval, now), approval)
    outbox.add(change.connection, expired, Event.EXPIRED, now)
    return expired


def expire_all(database: Database, now: float) -> None:
    """Every due approval is expired, durably."""
    while _is_any(database, _is_due(now)):
        with changing(database) as change:
            for approval in change.read(select(*SHOWN).where(_is_due(now)).limit(MAX_IDS)):
                expire_seen(change, approval, now)


def expire_due(database: Database, now: float) -> list[Approval]:
    """Every due approval is expired; what has expired and was not told yet, each told to one caller only, once."""
    expire_all(database, now)
    if not _is_any(database, UNTOLD_EXPIRY):
        return []
    with changing(database) as change:
        expired = change.read(select(*SHOWN).where(UNTOLD_EXPIRY).limit(MAX_IDS))
        change.note([approval.approval_id for approval in expired], expiry_told=True)
    return expired


def escalate_due(database: Database, now: float) -> list[Approval]:
    """The pending approvals whose escalation groups may decide from now on; each told to one caller only, once."""
    due = and_(
        _row.state == ApprovalState.PENDING.value,
        _row.escalate_after_seconds > 0,
        _row.escalated_at == 0,
        _row.created_at + _row.escalate_after_seconds <= now,
        _row.escalation_groups != "[]",
        not_(_is_due(now)),
    )
    if not _is_any(database, due):
        return []
    escalated = []
    with changing(database) as change:
        for approval in change.read(select(*SHOWN).where(due).limit(MAX_IDS)):
            escalated.append(change.keep(approval, approval, escalated_at=now))
            outbox.add(change.connection, escalated[-1], Event.ESCALATED, now)
    return escalated


def _is_due(now: float) -> ColumnElement[bool]:
    """`extproc.core.approval.is_due` in SQL."""
    ends_at = case((_row.granted_until > 0, _row.granted_until), else_=_row.expires_at)
    return and_(_row.state.in_(_MAY_EXPIRE), ends_at <= now)


def _is_any(database: Database, condition: ColumnElement[bool] | TextClause) -> bool:
    """Looked at without taking a turn: mostly there is none."""
    with database.transaction() as connection:
        return connection.execute(select(_row.approval_id).where(condition).limit(1)).first() is not None
