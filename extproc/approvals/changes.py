"""Changes of approvals: one after the other, numbered as they become visible, and told to whoever listens."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from sqlalchemy import Connection, Select, func, insert, select, update

from extproc.approvals.database import Database
from extproc.approvals.rows import SHOWN, read_row, read_vote, write_changes, write_row, write_vote
from extproc.approvals.tables import APPROVAL_CHANGES, APPROVAL_VOTES, APPROVALS
from extproc.core.approval import Approval, Vote

CHANNEL = "extproc_approvals"
"""Where PostgreSQL tells the ids of approvals that have changed."""
MAX_IDS = 500
"""Asked for in one statement; engines bound the parameters of one (SQLite: 32 766)."""

_row, _vote, _changes = APPROVALS.c, APPROVAL_VOTES.c, APPROVAL_CHANGES.c


class Change:
    """A transaction that has its turn: until it ends nobody else changes an approval, so what it reads stays so.

    What it read and wrote becomes visible and durable as one, or not at all.
    """

    def __init__(self, connection: Connection) -> None:
        """Takes the turn: waits for whoever has it."""
        self.connection = connection
        # PostgreSQL locks the row, SQLite the database. Taken first, by all, so no two wait for each other.
        turn = update(APPROVAL_CHANGES).values(revision=_changes.revision + 1).returning(_changes.revision)
        self._revision = connection.execute(turn).scalar_one()
        self._next = self._revision

    def find(self, approval_id: str) -> Approval | None:
        """The approval as it is now."""
        return next(iter(self.read(select(*SHOWN).where(_row.approval_id == approval_id))), None)

    def read(self, approvals: Select[Any]) -> list[Approval]:
        """The approvals that a select of `SHOWN` columns finds, in its order, with their votes."""
        return read_approvals(self.connection, approvals)

    def add(self, approval: Approval, sealed_preview: bytes) -> Approval:
        """The approval, new."""
        numbered = self._numbered(approval)
        self.connection.execute(insert(APPROVALS).values(write_row(numbered, sealed_preview)))
        return numbered

    def keep(self, approval: Approval, before: Approval, **further: object) -> Approval:
        """The approval as it has become; `further` columns are not part of it. New are the votes after `before`'s."""
        numbered = self._numbered(approval)
        values = write_changes(numbered) | further
        own = _row.approval_id == approval.approval_id
        self.connection.execute(update(APPROVALS).where(own).values(values))
        for vote in approval.votes[len(before.votes) :]:
            row = write_vote(approval.approval_id, vote, numbered.revision)
            self.connection.execute(insert(APPROVAL_VOTES).values(row))
        return numbered

    def end(self) -> None:
        """Before the transaction is committed; without a change it leaves nothing."""
        if self._next == self._revision:
            self.connection.rollback()
        elif self._next > self._revision + 1:
            self.connection.execute(update(APPROVAL_CHANGES).values(revision=self._next - 1))

    def _numbered(self, approval: Approval) -> Approval:
        numbered = replace(approval, revision=self._next)
        self._next += 1
        if self.connection.dialect.name == "postgresql":
            self.connection.execute(select(func.pg_notify(CHANNEL, approval.approval_id)))
        return numbered


@contextmanager
def changing(database: Database) -> Iterator[Change]:
    """A change, durable when the block ends. Raises `Unavailable`."""
    with database.writing() as connection:
        change = Change(connection)
        yield change
        change.end()


def read_approvals(connection: Connection, approvals: Select[Any]) -> list[Approval]:
    """The approvals that a select of `SHOWN` columns finds, in its order, with their votes."""
    rows = connection.execute(approvals).mappings().all()
    votes: dict[str, list[Vote]] = {}
    for start in range(0, len(rows), MAX_IDS):
        ids = [row["approval_id"] for row in rows[start : start + MAX_IDS]]
        cast = select(APPROVAL_VOTES).where(_vote.approval_id.in_(ids)).order_by(_vote.revision)
        for row in connection.execute(cast).mappings():
            votes.setdefault(row["approval_id"], []).append(read_vote(row))
    return [read_row(row, tuple(votes.get(row["approval_id"], ()))) for row in rows]


def find_revision(connection: Connection) -> int:
    """The number of the last change."""
    return int(connection.execute(select(_changes.revision)).scalar_one())


def changed_since(connection: Connection, revision: int, limit: int) -> list[Approval]:
    """The approvals whose last change came after that one, in the order of these changes."""
    later = select(*SHOWN).where(_row.revision > revision).order_by(_row.revision).limit(limit)
    return read_approvals(connection, later)
