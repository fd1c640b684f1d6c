"""Where in the index that stands what a question asks for.

What a filter asks for (but the person and the time) is looked up among the shapes, of which there are few hundred for
millions of exchanges. Each shape that has it is a run: its exchanges stand in the index by time, so that a page is the
newest few of each run, whatever the filters have to do with one another.
"""

from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import ARRAY, BigInteger, ColumnElement, Connection, Select, bindparam, func, literal, select, true

from extproc.approvals.index.facts import number_of
from extproc.approvals.index.query import SessionQuery
from extproc.approvals.index.tables import EXCHANGES, KINDS, PAIRS, PEOPLE, SHAPES

MAX_PEOPLE: Final = 20
"""So many people are looked at together who match a part of a name."""
MAX_RUNS: Final = 2000
"""Of more than that the newest are not read one by one: then most exchanges match, and time alone finds them."""
_row = EXCHANGES.c
_FILTERS = ("model", "connection", "operation", "verdict", "effect", "rule")


@dataclass(frozen=True, slots=True)
class Runs:
    """Where the exchanges are that match all but the time. `each` are (person, shape), or (0, shape) for everybody."""

    each: tuple[tuple[int, int], ...]
    exchanges: int
    by_person: bool


@dataclass(frozen=True, slots=True)
class Everything:
    """Most exchanges match, or all; `where` says which do not."""

    where: tuple[ColumnElement[bool], ...]
    exchanges: int


def find_people(connection: Connection, text: str) -> tuple[tuple[int, ...] | None, bool]:
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


def find_where(connection: Connection, query: SessionQuery, people: tuple[int, ...] | None) -> Runs | Everything:
    """Of these people, None for everybody."""
    asked = _shape_conditions(query)
    if people is None and not asked:
        total = connection.execute(select(func.sum(SHAPES.c.exchanges))).scalar()
        return Everything((_row.shape_id != 0,), int(total or 0))
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
        return Runs(each, sum(count for _, _, count in found), people is not None)
    within = _row.shape_id.in_(select(SHAPES.c.shape_id).where(*asked))
    total = connection.execute(select(func.sum(counts.subquery().c.exchanges))).scalar()
    if people is None:
        return Everything((_row.shape_id != 0, within), int(total or 0))
    return Everything((_row.person_id.in_(people), _row.shape_id != 0, within), int(total or 0))


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


def over_runs(
    connection: Connection, where: Runs | Everything, own: Select[Any], narrow: Any
) -> tuple[Select[Any], dict[str, Any]]:
    """The query over all that may match, with its values; `narrow` orders and bounds it, within each run and in all."""
    if isinstance(where, Everything):
        query = own.where(*where.where)
        return narrow(query, _row), {}
    people, shapes = [person for person, _ in where.each], [shape for _, shape in where.each]
    if connection.dialect.name == "sqlite":
        return narrow(own.where(*in_runs(where, _row)), _row), {}
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


def in_runs(where: Runs, columns: Any) -> list[ColumnElement[bool]]:
    """A person's exchange of one of these shapes is of one of the runs."""
    conditions = [columns.shape_id.in_(sorted({shape for _, shape in where.each}))]
    if where.by_person:
        conditions.append(columns.person_id.in_(sorted({person for person, _ in where.each})))
    return conditions
