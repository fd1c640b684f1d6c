"""Looking for approvals: which, in what order, and from where on."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from sqlalchemy import (
    Column,
    ColumnElement,
    Connection,
    Select,
    TextClause,
    and_,
    exists,
    func,
    not_,
    or_,
    select,
    true,
)

from extproc.approvals.changes import read_approvals
from extproc.approvals.rows import SHOWN
from extproc.approvals.tables import APPROVAL_VOTES, APPROVALS, UNREVIEWED
from extproc.core.approval import Approval, ApprovalState

_row, _vote = APPROVALS.c, APPROVAL_VOTES.c
_SEARCHED = (
    *(_row.approval_id, _row.exchange_id, _row.requester_uid, _row.requester_name, _row.rule, _row.rule_text),
    *(_row.connection, _row.model, _row.findings, _row.decided_by_name),
)
_REASONS = (_row.request_reason, _row.decision_reason)


@dataclass(frozen=True, slots=True)
class ApprovalQuery:
    """What an approval must be to be found. What is left empty asks for nothing."""

    states: tuple[ApprovalState, ...] = ()
    requester_uid: str = ""
    decider_groups: tuple[str, ...] = ()
    """Its approvers, or by now those of its escalation, are one of them."""
    decider_uid: str = ""
    """Somebody else asked, and this person has not voted yet."""
    rule: str = ""
    tenant: str = ""
    text: str = ""
    """In what is said of it (not in the request), in any case of letters (SQLite: of ASCII letters)."""
    in_reasons: bool = False
    """`text` is looked for in what people wrote, too: else whoever may not read it would learn it by searching."""
    unreviewed: bool = False
    """An emergency that nobody has reviewed."""
    before: tuple[float, str] | None = None
    """`created_at` and id of the last one of the page before."""
    limit: int = 100


def search(connection: Connection, query: ApprovalQuery, now: float) -> list[Approval]:
    """The newest first."""
    found: Select[Any] = (
        select(*SHOWN)
        .where(*_conditions(query, now, connection.dialect.name))
        .order_by(_row.created_at.desc(), _row.approval_id.desc())
        .limit(query.limit)
    )
    return read_approvals(connection, found)


def count_by_state(connection: Connection) -> dict[ApprovalState, int]:
    """How many there are, of every state."""
    counts = connection.execute(select(_row.state, func.count()).group_by(_row.state)).all()
    return dict.fromkeys(ApprovalState, 0) | {ApprovalState(state): int(count) for state, count in counts}


def _conditions(query: ApprovalQuery, now: float, engine: str) -> Iterator[ColumnElement[bool] | TextClause]:
    yield true()
    if query.states:
        yield _row.state.in_([state.value for state in query.states])
    for column, value in (
        (_row.requester_uid, query.requester_uid),
        (_row.rule, query.rule),
        (_row.tenant, query.tenant),
    ):
        if value:
            yield column == value
    if query.decider_groups:
        escalated = _row.created_at + _row.escalate_after_seconds <= now
        yield or_(
            *(_holds(_row.approver_groups, group, engine) for group in query.decider_groups),
            and_(escalated, or_(*(_holds(_row.escalation_groups, group, engine) for group in query.decider_groups))),
        )
    if query.decider_uid:
        voted = exists().where(_vote.approval_id == _row.approval_id, _vote.voter_uid == query.decider_uid)
        yield and_(_row.requester_uid != query.decider_uid, not_(voted))
    if query.text:
        yield or_(
            *(
                column.icontains(query.text, autoescape=True)
                for column in (*_SEARCHED, *(_REASONS if query.in_reasons else ()))
            )
        )
    if query.unreviewed:
        yield UNREVIEWED
    if query.before is not None:
        created_at, approval_id = query.before
        yield or_(_row.created_at < created_at, and_(_row.created_at == created_at, _row.approval_id < approval_id))


def _holds(column: Column[str], group: str, engine: str) -> ColumnElement[bool]:
    """Whether a JSON list of texts has this one, as it is written there; `LIKE` would be lax about letters."""
    position = func.instr if engine == "sqlite" else func.strpos
    return position(column, json.dumps(group)) > 0
