"""The session index as a person asks it: pages, counts, choices, one person's history.

What a filter asks for (but the person and the time) is looked up among the shapes, of which there are few hundred for
millions of exchanges. Each shape that has it is a run: its exchanges stand in the index by time, so that a page is the
newest few of each run, whatever the filters have to do with one another. Where there are many runs, the newest
exchanges of all are looked through first: what is in many runs is mostly there.
"""

from dataclasses import dataclass, fields, replace
from typing import Any, Final

from sqlalchemy import (
    ARRAY,
    BigInteger,
    ColumnElement,
    Connection,
    Select,
    bindparam,
    func,
    literal,
    select,
    true,
    tuple_,
)

from extproc.approvals.database import Database
from extproc.approvals.index.facts import clean, number_of
from extproc.approvals.index.found import Bounds, Cursor, bounds_of, read_cursor
from extproc.approvals.index.query import (
    COUNTED_TO,
    FACET_CHOICES,
    PAGE_ROWS,
    Choice,
    Facets,
    Freshness,
    SegmentProblem,
    SessionPage,
    SessionQuery,
    SessionRow,
)
from extproc.approvals.index.tables import (
    EPOCHS,
    EXCHANGES,
    KINDS,
    PAIRS,
    PEOPLE,
    PROBLEMS,
    SHAPES,
    STATE,
    session_row,
)

MAX_PEOPLE: Final = 20
"""So many people are looked at together who match a part of a name."""
MAX_RUNS: Final = 2000
"""Of more than that the newest are not read one by one: then most exchanges match, and time alone finds them."""
FEW_RUNS: Final = 16
"""So many are read at once."""
LOOKED_THROUGH: Final = 2000
"""Of the newest exchanges, before many runs are read: a few milliseconds."""
_row = EXCHANGES.c
_FILTERS = ("model", "connection", "operation", "verdict", "effect", "rule")


@dataclass(frozen=True, slots=True)
class _Runs:
    """Where the exchanges are that match all but the time. `each` are (person, shape), or (0, shape) for everybody."""

    each: tuple[tuple[int, int], ...]
    exchanges: int
    by_person: bool


@dataclass(frozen=True, slots=True)
class _Everything:
    """Most exchanges match, or all; `where` says which do not."""

    where: tuple[ColumnElement[bool], ...]
    exchanges: int


class SessionIndex:
    """Blocking; safe to use from several threads. Every method raises `Unavailable` while the database is away."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def search(self, query: SessionQuery, cursor: str = "", limit: int = PAGE_ROWS) -> SessionPage:
        """One page. A cursor that no page gave begins anew."""
        query = _kept(query)
        at, bounds = read_cursor(cursor), bounds_of(query)
        with self._database.transaction() as connection:
            people, too_many = _people(connection, query.person)
            where = _where(connection, query, people)
            ids = _newest(connection, where, bounds, at, limit + 1)
            rows = _rows(connection, ids[:limit])
            if at is not None and not at.older and len(ids) <= limit:
                at, ids = None, _newest(connection, where, bounds, None, limit + 1)
                rows = _rows(connection, ids[:limit])
            count = _count(connection, where, bounds)
        more = len(ids) > limit
        back = at is not None and not at.older
        older = Cursor.behind(rows[-1]) if rows and (more or back) else ""
        newer = (Cursor.before(rows[0]) if rows else at.turned()) if at is not None else ""
        return SessionPage(rows, older, newer, min(count, COUNTED_TO), count <= COUNTED_TO, too_many)

    def facets(self) -> Facets:
        """The filters' choices."""
        total = func.sum(SHAPES.c.exchanges)
        with self._database.transaction() as connection:

            def choices(name: str) -> tuple[Choice, ...]:
                column = SHAPES.c[name]
                query = select(column, total).where(column != "", SHAPES.c.exchanges > 0).group_by(column)
                found = connection.execute(query.order_by(total.desc(), column).limit(FACET_CHOICES))
                return tuple(Choice(value, value, int(count)) for value, count in found)

            kinds = (
                select(KINDS.c.kind, total)
                .join(SHAPES, SHAPES.c.shape_id == KINDS.c.shape_id)
                .where(SHAPES.c.exchanges > 0)
                .group_by(KINDS.c.kind)
                .order_by(total.desc(), KINDS.c.kind)
                .limit(FACET_CHOICES)
            )
            findings = tuple(Choice(text, text, int(count)) for text, count in connection.execute(kinds))
            people = (
                select(PEOPLE.c.uid, PEOPLE.c.name, PEOPLE.c.exchanges)
                .where(PEOPLE.c.exchanges > 0)
                .order_by(PEOPLE.c.exchanges.desc(), PEOPLE.c.uid)
                .limit(FACET_CHOICES)
            )
            who = tuple(Choice(uid, name or uid, count) for uid, name, count in connection.execute(people))
            return Facets(
                who,
                choices("model"),
                choices("connection"),
                choices("operation"),
                choices("verdict"),
                choices("effect"),
                choices("rule"),
                findings,
            )

    def find(self, exchange_id: str) -> SessionRow | None:
        """One exchange, whole id."""
        with self._database.transaction() as connection:
            return next(iter(_rows(connection, [clean(exchange_id)])), None)

    def history_of(self, person_uid: str, limit: int) -> tuple[SessionRow, ...]:
        """The newest exchanges of a person."""
        with self._database.transaction() as connection:
            where = _where(connection, SessionQuery(), (number_of(clean(person_uid)),))
            return _rows(connection, _newest(connection, where, Bounds(), None, limit))

    def of_approval(self, approval_id: str) -> tuple[SessionRow, ...]:
        """The exchanges that waited for an approval or went on with it, oldest first."""
        if not approval_id:
            return ()
        own = (
            select(_row.exchange_id).where(_row.approval_id == clean(approval_id), _row.shape_id != 0).limit(PAGE_ROWS)
        )
        with self._database.transaction() as connection:
            return _rows(connection, list(connection.execute(own).scalars()))[::-1]

    def freshness(self) -> Freshness:
        with self._database.transaction() as connection:
            sealed = connection.execute(select(func.max(EPOCHS.c.sealed_ms))).scalar()
            state = connection.execute(select(STATE.c.looked_ms, STATE.c.behind)).one_or_none()
            problems = connection.execute(select(func.count()).select_from(PROBLEMS)).scalar_one()
        looked, behind = state or (0, 0)
        return Freshness(sealed or 0, looked, behind, problems)

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


# -- where to look -----------------------------------------------------------------------------------------------------


def _people(connection: Connection, text: str) -> tuple[tuple[int, ...] | None, bool]:
    """Who is meant, None for everybody; and whether more are than are looked at."""
    if not text.strip():
        return None, False
    exact = number_of(text)
    if connection.execute(select(PEOPLE.c.person_id).where(PEOPLE.c.person_id == exact)).first():
        return (exact,), False
    part = PEOPLE.c.folded.contains(text.strip().casefold(), autoescape=True)
    query = select(PEOPLE.c.person_id).where(part, PEOPLE.c.exchanges > 0).order_by(PEOPLE.c.exchanges.desc())
    found = list(connection.execute(query.limit(MAX_PEOPLE + 1)).scalars())
    return tuple(found[:MAX_PEOPLE]), len(found) > MAX_PEOPLE


def _where(connection: Connection, query: SessionQuery, people: tuple[int, ...] | None) -> _Runs | _Everything:
    asked = _shape_conditions(query)
    if people is None and not asked:
        total = connection.execute(select(func.sum(SHAPES.c.exchanges))).scalar()
        return _Everything((_row.shape_id != 0,), int(total or 0))
    if people is None:
        counts = select(literal(0), SHAPES.c.shape_id, SHAPES.c.exchanges).where(SHAPES.c.exchanges > 0, *asked)
    else:
        counts = (
            select(PAIRS.c.person_id, PAIRS.c.shape_id, PAIRS.c.exchanges)
            .join(SHAPES, SHAPES.c.shape_id == PAIRS.c.shape_id)
            .where(PAIRS.c.exchanges > 0, PAIRS.c.person_id.in_(people), *asked)
        )
    found = connection.execute(counts.limit(MAX_RUNS + 1)).all()
    if len(found) <= MAX_RUNS:
        each = tuple((person, shape) for person, shape, _ in found)
        return _Runs(each, sum(count for _, _, count in found), people is not None)
    within = _row.shape_id.in_(select(SHAPES.c.shape_id).where(*asked))
    total = connection.execute(select(func.sum(counts.subquery().c.exchanges))).scalar()
    if people is None:
        return _Everything((_row.shape_id != 0, within), int(total or 0))
    return _Everything((_row.person_id.in_(people), _row.shape_id != 0, within), int(total or 0))


def _shape_conditions(query: SessionQuery) -> list[ColumnElement[bool]]:
    asked: list[ColumnElement[bool]] = [
        SHAPES.c[name] == getattr(query, name) for name in _FILTERS if getattr(query, name)
    ]
    if query.held_only:
        asked.append(SHAPES.c.held == 1)
    if query.finding:
        kinds = [query.finding] if ":" in query.finding else [f"{side}:{query.finding}" for side in _SIDES]
        asked.append(SHAPES.c.shape_id.in_(select(KINDS.c.shape_id).where(KINDS.c.kind.in_(kinds))))
    return asked


_SIDES = ("request", "response")


# -- reading it --------------------------------------------------------------------------------------------------------


def _newest(
    connection: Connection, where: _Runs | _Everything, bounds: Bounds, at: Cursor | None, limit: int
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

    if isinstance(where, _Runs) and len(where.each) > FEW_RUNS:
        next_ones = in_order(select(EXCHANGES).where(*conditions), _row).limit(LOOKED_THROUGH).subquery()
        near = in_order(select(next_ones.c.exchange_id).where(*_in_runs(where, next_ones.c)), next_ones.c)
        ids = list(connection.execute(near).scalars())
        if len(ids) == limit:
            return ids
    own = select(_row.started_ms, _row.exchange_id).where(*conditions)
    found = connection.execute(*_over_runs(connection, where, own, in_order))
    return [exchange_id for _, exchange_id in found]


def _in_runs(where: _Runs, columns: Any) -> list[ColumnElement[bool]]:
    """A person's exchange of one of these shapes is of one of the runs."""
    conditions = [columns.shape_id.in_(sorted({shape for _, shape in where.each}))]
    if where.by_person:
        conditions.append(columns.person_id.in_(sorted({person for person, _ in where.each})))
    return conditions


def _count(connection: Connection, where: _Runs | _Everything, bounds: Bounds) -> int:
    """How many match, but for one more than `COUNTED_TO` where there are more and they must be counted one by one."""
    if bounds == Bounds():
        return where.exchanges
    own = select(literal(1).label("one")).where(*_time_conditions(bounds))

    def bounded(query: Select[Any], _columns: Any) -> Select[Any]:
        return query.limit(COUNTED_TO + 1)

    query, values = _over_runs(connection, where, own, bounded)
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


def _over_runs(
    connection: Connection, where: _Runs | _Everything, own: Select[Any], narrow: Any
) -> tuple[Select[Any], dict[str, Any]]:
    """The query over all that may match, with its values; `narrow` orders and bounds it, within each run and in all."""
    if isinstance(where, _Everything):
        query = own.where(*where.where)
        return narrow(query, _row), {}
    people, shapes = [person for person, _ in where.each], [shape for _, shape in where.each]
    if connection.dialect.name == "sqlite":
        return narrow(own.where(*_in_runs(where, _row)), _row), {}
    numbers = ARRAY(BigInteger)
    runs = (
        func.unnest(bindparam("people", type_=numbers), bindparam("shapes", type_=numbers))
        .table_valued("person_id", "shape_id")
        .render_derived("runs")
    )
    query = own.where(_row.shape_id == runs.c.shape_id)
    if where.by_person:
        query = query.where(_row.person_id == runs.c.person_id)
    each = narrow(query, _row).lateral("each_run")
    together = select(*each.c).select_from(runs.join(each, true()))
    return narrow(together, each.c), {"people": people, "shapes": shapes}


def _rows(connection: Connection, ids: list[str]) -> tuple[SessionRow, ...]:
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
