"""What may be used once, by all replicas together: assertions until they expire, and sessions that were ended."""

import hashlib

from sqlalchemy import ColumnElement, delete, insert, select
from sqlalchemy.exc import IntegrityError

from extproc.approvals.database import Database
from extproc.approvals.tables import SINGLE_USE

_row = SINGLE_USE.c


class UsedAlready(Exception):
    """Somebody was first."""


class SingleUse:
    """Blocking; safe to use from several threads and processes. Times are Unix seconds.

    Every method raises `Unavailable(APPROVALS_UNAVAILABLE)` when the database does not do what it was asked.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def use(self, purpose: str, name: str, until: float, now: float) -> None:
        """Durably used: of all callers with this name one returns, the others get `UsedAlready`, until then."""
        with self._database.transaction() as connection:
            # The same transaction: what is over at `now` may be used anew, and the table does not grow.
            connection.execute(delete(SINGLE_USE).where(_row.expires_at <= now))
            try:
                connection.execute(insert(SINGLE_USE).values(purpose=purpose, digest=_digest(name), expires_at=until))
            except IntegrityError:
                raise UsedAlready from None

    def is_used(self, purpose: str, name: str, now: float) -> bool:
        """Whether it is used up at this time."""
        used = select(_row.digest).where(*_named(purpose, name), _row.expires_at > now)
        with self._database.transaction() as connection:
            return connection.execute(used).first() is not None

    def give_back(self, purpose: str, name: str) -> None:
        """It was not used after all. For whoever `use` returned to, and nobody else."""
        with self._database.transaction() as connection:
            connection.execute(delete(SINGLE_USE).where(*_named(purpose, name)))

    def close(self) -> None:
        """Close the connections."""
        self._database.close()


def _named(purpose: str, name: str) -> tuple[ColumnElement[bool], ...]:
    return (_row.purpose == purpose, _row.digest == _digest(name))


def _digest(name: str) -> str:
    return hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()
