"""Puts facts into the session index. One writer at a time, whoever it is: what two of them would write is the same."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, TypeVar

from sqlalchemy import Connection, Table, bindparam, case, delete, select, update

from extproc.approvals.database import Database, empty_tables
from extproc.approvals.index.facts import Facts, merge, number_of
from extproc.approvals.index.shape import Shape, shape_of
from extproc.approvals.index.tables import (
    ALL,
    EPOCHS,
    EXCHANGES,
    KINDS,
    PAIRS,
    PEOPLE,
    PROBLEMS,
    SHAPES,
    STATE,
    fold,
    read_facts,
    write_facts,
)

_SOME = 500
"""Ids or rows in one statement: SQLite takes 999 variables in its older versions."""

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Watermark:
    """Of one epoch: the first segment that is not taken over, and when the one before it was sealed."""

    origin: str
    next_segment: int
    sealed_ms: int


@dataclass(slots=True)
class _Change:
    """What one write makes of the tables beside the exchanges."""

    shapes: dict[int, Shape] = field(default_factory=dict)
    by_shape: Counter[int] = field(default_factory=Counter)
    by_pair: Counter[tuple[int, int]] = field(default_factory=Counter)
    by_person: Counter[int] = field(default_factory=Counter)
    newest: dict[int, int] = field(default_factory=dict)
    newest_of_pair: dict[tuple[int, int], int] = field(default_factory=dict)
    names: dict[int, tuple[int, str, str]] = field(default_factory=dict)

    def take(self, before: Facts | None, after: Facts) -> None:
        if before is not None and before.listed:
            self._count(before, -1)
        if after.listed:
            self._count(after, 1)
            self._note(after)

    def _count(self, facts: Facts, by: int) -> None:
        shape, person = shape_of(facts), number_of(facts.told.person_uid)
        self.shapes[shape.number] = shape
        self.by_shape[shape.number] += by
        self.by_pair[person, shape.number] += by
        self.by_person[person] += by

    def _note(self, facts: Facts) -> None:
        shape, person, at = shape_of(facts).number, number_of(facts.told.person_uid), facts.started_ms
        self.newest[shape] = max(self.newest.get(shape, 0), at)
        self.newest_of_pair[person, shape] = max(self.newest_of_pair.get((person, shape), 0), at)
        name = (facts.told.place.time_ms, facts.told.person_name, facts.told.person_uid)
        self.names[person] = max(self.names.get(person, name), name)


class IndexWriter:
    """Blocking. Every method raises `Unavailable` when the database does not do what it was asked, and has then changed
    nothing."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def take(self, facts: Mapping[str, Facts], watermark: Watermark | None = None, mended: int = 0) -> int:
        """Merge the facts of a segment into the index and move its epoch's watermark, all at once; how many rows were
        changed. `mended`: the segment had a problem and has none any more."""
        with self._writing() as connection:
            changed = self._merge(connection, facts)
            if watermark is not None:
                self._move(connection, watermark)
                if mended:
                    own = (PROBLEMS.c.epoch_id == number_of(watermark.origin), PROBLEMS.c.segment == mended)
                    connection.execute(delete(PROBLEMS).where(*own))
        return changed

    def note_problem(self, watermark: Watermark, segment: int, what: str, now_ms: int) -> None:
        """A segment was passed over."""
        epoch = number_of(watermark.origin)
        row = {"epoch_id": epoch, "segment": segment, "what": what, "noted_ms": now_ms}
        with self._writing() as connection:
            self._move(connection, watermark)
            self._put(connection, PROBLEMS, [row], replace=("what",))

    def note_look(self, now_ms: int | None, behind: int) -> None:
        """Everything that the store holds was taken over at `now_ms`; None: there is more, of `behind` writers."""
        values = {"behind": behind} if now_ms is None else {"behind": behind, "looked_ms": now_ms}
        with self._writing() as connection:
            connection.execute(update(STATE).values(values))

    def watermarks(self) -> dict[str, Watermark]:
        """By origin."""
        with self._database.transaction() as connection:
            rows = connection.execute(select(EPOCHS)).mappings().all()
        return {row["origin"]: Watermark(row["origin"], row["next_segment"], row["sealed_ms"]) for row in rows}

    def problems(self) -> dict[str, list[int]]:
        """Segments that were passed over, by origin."""
        query = select(EPOCHS.c.origin, PROBLEMS.c.segment).join(EPOCHS, EPOCHS.c.epoch_id == PROBLEMS.c.epoch_id)
        found: dict[str, list[int]] = {}
        with self._database.transaction() as connection:
            for origin, segment in connection.execute(query.order_by(PROBLEMS.c.segment)):
                found.setdefault(origin, []).append(segment)
        return found

    def empty(self) -> None:
        """Forget everything, at once or not at all: what others take over meanwhile is in the index before it and goes
        too, or after it and stays."""
        with self._writing() as connection:
            empty_tables(connection, [table for table in ALL if table is not STATE])
            connection.execute(update(STATE).values(looked_ms=0, behind=0))

    @contextmanager
    def _writing(self) -> Iterator[Connection]:
        with self._database.writing() as connection:
            self._put(connection, STATE, [{"state_id": 1, "writes": 1, "looked_ms": 0, "behind": 0}], add=("writes",))
            yield connection

    def _merge(self, connection: Connection, facts: Mapping[str, Facts]) -> int:
        before = self._find(connection, list(facts))
        change, rows = _Change(), []
        for exchange_id, new in sorted(facts.items()):
            old = before.get(exchange_id)
            merged = merge(old, new) if old else new
            if merged != old:
                change.take(old, merged)
                rows.append(write_facts(merged))
        columns = [column.name for column in EXCHANGES.c if not column.primary_key]
        self._put(connection, EXCHANGES, rows, replace=columns)
        self._write(connection, change)
        return len(rows)

    def _find(self, connection: Connection, ids: Sequence[str]) -> dict[str, Facts]:
        query = select(EXCHANGES).where(EXCHANGES.c.exchange_id.in_(bindparam("ids", expanding=True)))
        return {
            row["exchange_id"]: read_facts(row)
            for some in _in_parts(ids)
            for row in connection.execute(query, {"ids": some}).mappings()
        }

    def _write(self, connection: Connection, change: _Change) -> None:
        shapes = [
            {
                **{name: getattr(shape, name) for name in Shape.__slots__ if name not in ("kinds", "held")},
                "shape_id": number,
                "held": int(shape.held),
                "exchanges": change.by_shape[number],
                "newest_ms": change.newest.get(number, 0),
            }
            for number, shape in sorted(change.shapes.items())
        ]
        kinds = [{"shape_id": number, "kind": kind} for number, shape in change.shapes.items() for kind in shape.kinds]
        pairs = [
            {
                "person_id": pair[0],
                "shape_id": pair[1],
                "exchanges": count,
                "newest_ms": change.newest_of_pair.get(pair, 0),
            }
            for pair, count in sorted(change.by_pair.items())
        ]
        people = [
            {
                "person_id": number,
                "uid": uid,
                "name": name,
                "folded": fold(uid, name),
                "named_ms": at,
                "exchanges": change.by_person[number],
            }
            for number, (at, name, uid) in sorted(change.names.items())
        ]
        lost = set(change.by_person) - set(change.names)
        self._put(connection, SHAPES, shapes, add=("exchanges",), most=("newest_ms",))
        self._put(connection, KINDS, kinds)
        self._put(connection, PAIRS, pairs, add=("exchanges",), most=("newest_ms",))
        self._put_people(connection, people)
        for number in sorted(lost):
            count = PEOPLE.c.exchanges + change.by_person[number]
            connection.execute(update(PEOPLE).where(PEOPLE.c.person_id == number).values(exchanges=count))

    def _put_people(self, connection: Connection, rows: list[dict[str, Any]]) -> None:
        """With the newest name, and of two of the same millisecond always the same one."""
        if not rows:
            return
        new = self._database.insert(PEOPLE)
        newer = (new.excluded.named_ms > PEOPLE.c.named_ms) | (
            (new.excluded.named_ms == PEOPLE.c.named_ms) & (new.excluded.name > PEOPLE.c.name)
        )
        values = {
            **{
                name: case((newer, new.excluded[name]), else_=PEOPLE.c[name]) for name in ("name", "folded", "named_ms")
            },
            "exchanges": PEOPLE.c.exchanges + new.excluded.exchanges,
        }
        connection.execute(new.on_conflict_do_update(index_elements=[PEOPLE.c.person_id], set_=values), rows)

    def _move(self, connection: Connection, watermark: Watermark) -> None:
        row = {
            "epoch_id": number_of(watermark.origin),
            "origin": watermark.origin,
            "next_segment": watermark.next_segment,
            "sealed_ms": watermark.sealed_ms,
        }
        self._put(connection, EPOCHS, [row], most=("next_segment", "sealed_ms"))

    def _put(
        self,
        connection: Connection,
        table: Table,
        rows: list[dict[str, Any]],
        *,
        replace: Sequence[str] = (),
        add: Sequence[str] = (),
        most: Sequence[str] = (),
    ) -> None:
        """Insert; where there is a row, `replace` columns, `add` to numbers, or keep the greater."""
        if not rows:
            return
        new = self._database.insert(table)
        there, given = table.c, new.excluded
        values = {
            **{name: given[name] for name in replace},
            **{name: there[name] + given[name] for name in add},
            **{name: case((given[name] > there[name], given[name]), else_=there[name]) for name in most},
        }
        key = list(table.primary_key.columns)
        statement = (
            new.on_conflict_do_update(index_elements=key, set_=values)
            if values
            else new.on_conflict_do_nothing(index_elements=key)
        )
        connection.execute(statement, rows)


def _in_parts(items: Iterable[_T]) -> Iterator[list[_T]]:
    rest = iter(items)
    while part := list(islice(rest, _SOME)):
        yield part
