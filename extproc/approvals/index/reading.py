"""Reads what was asked for: the newest ids, next to a cursor or not, their rows, and how many there are.

Where there are many runs, the newest exchanges of all are looked through first: what is in many runs is mostly there.
"""

from typing import Any, Final

from sqlalchemy import ColumnElement, Connection, Select, func, literal, select, tuple_

from extproc.approvals.index.found import Bounds, Cursor
from extproc.approvals.index.query import COUNTED_TO, SessionRow
from extproc.approvals.index.runs import Everything, Runs, in_runs, over_runs
from extproc.approvals.index.tables import EPOCHS, EXCHANGES, session_row

FEW_RUNS: Final = 16
"""So many are read at once."""
LOOKED_THROUGH: Final = 2000
"""Of the newest exchanges, before many runs are read: a few milliseconds."""
_row = EXCHANGES.c


def read_newest(
    connection: Connection, where: Runs | Everything, bounds: Bounds, at: Cursor | None, limit: int
) -> list[str]:
    """Ids of the newest that match, or those next to the cursor, in its direction."""
    conditions = _time_conditions(bounds)
    older = at is None or at.older
    if at is not None:
        here = tuple_(_row.started_ms, _row.exchange_id)
        there = tuple_(literal(at.started_ms), literal(at.exchange_id))
        conditions.append(here < there if older else here > there)

    def in_order(query: Select[Any], columns: Any) -> Select[Any]:
        keys = (columns.started_ms, columns.exchange_id)
        return query.order_by(*(key.desc() if older else key.asc() for key in keys)).limit(limit)

    if isinstance(where, Runs) and len(where.each) > FEW_RUNS:
        next_ones = in_order(select(EXCHANGES).where(*conditions), _row).limit(LOOKED_THROUGH).subquery()
        near = in_order(select(next_ones.c.exchange_id).where(*in_runs(where, next_ones.c)), next_ones.c)
        ids = list(connection.execute(near).scalars())
        if len(ids) == limit:
            return ids
    own = select(_row.started_ms, _row.exchange_id).where(*conditions)
    found = connection.execute(*over_runs(connection, where, own, in_order))
    return [exchange_id for _, exchange_id in found]


def count_all(connection: Connection, where: Runs | Everything, bounds: Bounds) -> int:
    """How many match, but for one more than `COUNTED_TO` where there are more and they must be counted one by one."""
    if bounds == Bounds():
        return where.exchanges
    own = select(literal(1).label("one")).where(*_time_conditions(bounds))

    def bounded(query: Select[Any], _columns: Any) -> Select[Any]:
        return query.limit(COUNTED_TO + 1)

    query, values = over_runs(connection, where, own, bounded)
    return connection.execute(select(func.count()).select_from(query.subquery()), values).scalar_one()


def _time_conditions(bounds: Bounds) -> list[ColumnElement[bool]]:
    conditions: list[ColumnElement[bool]] = []
    if bounds.since_ms:
        conditions.append(_row.started_ms >= bounds.since_ms)
    if bounds.until_ms:
        conditions.append(_row.started_ms < bounds.until_ms)
    if bounds.whole_id:
        conditions.append(_row.exchange_id == bounds.whole_id)
    elif bounds.prefix:
        conditions.append(func.substr(_row.exchange_id, 1, len(bounds.prefix)) == bounds.prefix)
    return conditions


def read_rows(connection: Connection, ids: list[str]) -> tuple[SessionRow, ...]:
    """Newest first."""
    if not ids:
        return ()
    query = (
        select(EXCHANGES, EPOCHS.c.origin)
        .outerjoin(EPOCHS, EPOCHS.c.epoch_id == _row.epoch_id)
        .where(_row.exchange_id.in_(ids), _row.shape_id != 0)
        .order_by(_row.started_ms.desc(), _row.exchange_id.desc())
    )
    return tuple(session_row(row) for row in connection.execute(query).mappings())
