"""What time did to approvals and no console has recorded durably yet. Each step is leased by one console at a time.

It is written down in the transaction in which it happens, and taken out once its record is durable: so it is recorded
at least once, whoever dies in between.
"""

from collections.abc import Sequence
from enum import StrEnum
from typing import Final

from sqlalchemy import ColumnElement, Connection, delete, insert, select, update

from extproc.approvals.database import Database
from extproc.approvals.tables import UNRECORDED_STEPS

LEASE_SECONDS: Final = 60.0
"""Longer than recording what is leased takes. When a console dies meanwhile, another one takes over after it."""
MAX_LEASED: Final = 100

_row = UNRECORDED_STEPS.c


class Step(StrEnum):
    """Each happens to an approval once at most."""

    EXPIRED = "expired"
    ESCALATED = "escalated"


def add(connection: Connection, approval_id: str, step: Step) -> None:
    """In the transaction of `connection`: nobody has recorded it yet."""
    row = {"approval_id": approval_id, "step": step.value, "leased_until": 0.0}
    connection.execute(insert(UNRECORDED_STEPS).values(row))


def lease(database: Database, step: Step, now: float) -> list[str]:
    """The ids of up to `MAX_LEASED` approvals whose step is the caller's to record, for `LEASE_SECONDS`."""
    free = (_is(step), _row.leased_until <= now)
    some = select(_row.approval_id).where(*free)
    with database.transaction() as connection:  # without taking a turn: mostly there is none
        if connection.execute(some.limit(1)).first() is None:
            return []
    chosen = some.order_by(_row.approval_id).limit(MAX_LEASED).with_for_update(skip_locked=True)
    # Said once more outside: of two that chose the same ones, the second looks again at what the first left.
    leased = update(UNRECORDED_STEPS).where(_row.approval_id.in_(chosen), *free)
    with database.writing() as connection:
        found = connection.execute(leased.values(leased_until=now + LEASE_SECONDS).returning(_row.approval_id))
        return sorted(found.scalars())


def recorded(database: Database, step: Step, approval_id: str) -> None:
    """Its record is durable: nobody makes another one."""
    with database.writing() as connection:
        connection.execute(delete(UNRECORDED_STEPS).where(_is(step), _row.approval_id == approval_id))


def release(database: Database, step: Step, approval_ids: Sequence[str], leased_at: float) -> None:
    """They could not be recorded: whoever looks next may. What another console has leased meanwhile is left to it."""
    own = (_is(step), _row.approval_id.in_(approval_ids), _row.leased_until == leased_at + LEASE_SECONDS)
    with database.writing() as connection:
        connection.execute(update(UNRECORDED_STEPS).where(*own).values(leased_until=0.0))


def _is(step: Step) -> ColumnElement[bool]:
    return _row.step == step.value
