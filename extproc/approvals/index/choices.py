"""What the filters of the sessions can be, and how often each: one question for all of them."""

from typing import Any, Final

from sqlalchemy import Connection, Select, func, literal, select, union_all

from extproc.approvals.index.query import FACET_CHOICES, Choice, Facets
from extproc.approvals.index.tables import KINDS, PEOPLE, SHAPES

_BY_SHAPE: Final = {
    "models": SHAPES.c.model,
    "connections": SHAPES.c.connection,
    "operations": SHAPES.c.operation,
    "verdicts": SHAPES.c.verdict,
    "effects": SHAPES.c.effect,
    "rules": SHAPES.c.rule,
}


def read_facets(connection: Connection) -> Facets:
    """The most frequent first, no more than `FACET_CHOICES` of each."""
    found: dict[str, list[Choice]] = {name: [] for name in Facets.__slots__}
    for name, value, label, count in connection.execute(_ALL):
        found[name].append(Choice(value, label or value, int(count)))
    for choices in found.values():
        choices.sort(key=lambda choice: (-choice.count, choice.value))
    return Facets(**{name: tuple(choices) for name, choices in found.items()})


def _by_shape(name: str, column: Any) -> Select[Any]:
    return _most(
        select(literal(name).label("name"), column.label("value"), literal("").label("label"), _TOTAL)
        .where(column != "", SHAPES.c.exchanges > 0)
        .group_by(column)
    )


def _findings() -> Select[Any]:
    kind = KINDS.c.kind
    return _most(
        select(literal("findings").label("name"), kind.label("value"), literal("").label("label"), _TOTAL)
        .join(SHAPES, SHAPES.c.shape_id == KINDS.c.shape_id)
        .where(SHAPES.c.exchanges > 0)
        .group_by(kind)
    )


def _people() -> Select[Any]:
    uid, name, count = PEOPLE.c.uid, PEOPLE.c.name, PEOPLE.c.exchanges
    named = literal("people").label("name")
    return _most(select(named, uid.label("value"), name.label("label"), count.label("count")).where(count > 0))


_TOTAL = func.sum(SHAPES.c.exchanges).label("count")


def _most(query: Select[Any]) -> Select[Any]:
    """SQLite orders and bounds no part of a `UNION` but within a subquery."""
    found = query.subquery()
    most = select(*found.c).order_by(found.c["count"].desc(), found.c.value).limit(FACET_CHOICES).subquery()
    return select(*most.c)


_ALL: Final = union_all(*(_by_shape(*each) for each in _BY_SHAPE.items()), _findings(), _people())
