"""The session index as a person asks it: pages, counts, choices, one person's history."""

from dataclasses import fields, replace
from typing import Any

from sqlalchemy import func, select

from extproc.approvals.database import Database
from extproc.approvals.index.choices import read_facets
from extproc.approvals.index.facts import clean, number_of
from extproc.approvals.index.found import Bounds, Cursor, bounds_of, read_cursor
from extproc.approvals.index.query import (
    COUNTED_TO,
    PAGE_ROWS,
    Facets,
    Freshness,
    SegmentProblem,
    SessionPage,
    SessionQuery,
    SessionRow,
)
from extproc.approvals.index.reading import count_all, read_newest, read_rows
from extproc.approvals.index.runs import find_people, find_where
from extproc.approvals.index.tables import EPOCHS, EXCHANGES, PROBLEMS, STATE

_row = EXCHANGES.c


class SessionIndex:
    """Blocking; safe to use from several threads. Every method raises `Unavailable` while the database is away."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def search(self, query: SessionQuery, cursor: str = "", limit: int = PAGE_ROWS) -> SessionPage:
        """One page. A cursor that no page gave begins anew."""
        query = _kept(query)
        at, bounds = read_cursor(cursor), bounds_of(query)
        with self._database.transaction() as connection:
            people, too_many = find_people(connection, query.person)
            where = find_where(connection, query, people)
            ids = read_newest(connection, where, bounds, at, limit + 1)
            rows = read_rows(connection, ids[:limit])
            if at is not None and not at.older and len(ids) <= limit:
                at, ids = None, read_newest(connection, where, bounds, None, limit + 1)
                rows = read_rows(connection, ids[:limit])
            count = count_all(connection, where, bounds)
        more = len(ids) > limit
        back = at is not None and not at.older
        older = Cursor.behind(rows[-1]) if rows and (more or back) else ""
        newer = (Cursor.before(rows[0]) if rows else at.turned()) if at is not None else ""
        return SessionPage(rows, older, newer, min(count, COUNTED_TO), count <= COUNTED_TO, too_many)

    def facets(self) -> Facets:
        """The filters' choices."""
        with self._database.transaction() as connection:
            return read_facets(connection)

    def find(self, exchange_id: str) -> SessionRow | None:
        """One exchange, whole id."""
        with self._database.transaction() as connection:
            return next(iter(read_rows(connection, [clean(exchange_id)])), None)

    def history_of(self, person_uid: str, limit: int) -> tuple[SessionRow, ...]:
        """The newest exchanges of a person."""
        with self._database.transaction() as connection:
            where = find_where(connection, SessionQuery(), (number_of(clean(person_uid)),))
            return read_rows(connection, read_newest(connection, where, Bounds(), None, limit))

    def of_approval(self, approval_id: str) -> tuple[SessionRow, ...]:
        """The exchanges that waited for an approval or went on with it, oldest first."""
        if not approval_id:
            return ()
        own = (
            select(_row.exchange_id).where(_row.approval_id == clean(approval_id), _row.shape_id != 0).limit(PAGE_ROWS)
        )
        with self._database.transaction() as connection:
            return read_rows(connection, list(connection.execute(own).scalars()))[::-1]

    def freshness(self) -> Freshness:
        sealed = select(func.max(EPOCHS.c.sealed_ms)).scalar_subquery()
        looked, behind = (select(column).scalar_subquery() for column in (STATE.c.looked_ms, STATE.c.behind))
        problems = select(func.count()).select_from(PROBLEMS).scalar_subquery()
        with self._database.transaction() as connection:
            found = connection.execute(select(sealed, looked, behind, problems)).one()
        return Freshness(*(number or 0 for number in found))

    def problems(self, limit: int = 100) -> tuple[SegmentProblem, ...]:
        """The newest first."""
        query = (
            select(EPOCHS.c.origin, PROBLEMS.c.segment, PROBLEMS.c.what, PROBLEMS.c.noted_ms)
            .join(EPOCHS, EPOCHS.c.epoch_id == PROBLEMS.c.epoch_id)
            .order_by(PROBLEMS.c.noted_ms.desc(), EPOCHS.c.origin, PROBLEMS.c.segment)
            .limit(limit)
        )
        with self._database.transaction() as connection:
            return tuple(SegmentProblem(*row) for row in connection.execute(query))


def _kept(query: SessionQuery) -> SessionQuery:
    """With its texts as they are kept, whatever somebody typed."""
    said: dict[str, Any] = {field.name: getattr(query, field.name) for field in fields(query)}
    texts: dict[str, Any] = {name: clean(text) for name, text in said.items() if isinstance(text, str)}
    return replace(query, **texts)
