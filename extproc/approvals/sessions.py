"""Sessions of people in the console, by all replicas together: one that is ended or over is over everywhere."""

import hashlib

from sqlalchemy import delete, insert, select

from extproc.approvals.database import Database
from extproc.approvals.tables import SESSIONS

_row = SESSIONS.c


class Sessions:
    """Blocking; safe to use from several threads and processes. Times are Unix seconds.

    A session is found by a secret that only the browser has: the database holds its digest. Every method raises
    `Unavailable(APPROVALS_UNAVAILABLE)` when the database does not do what it was asked.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def begin(self, secret: str, person: str, until: float, now: float) -> None:
        """Durable until then. Sessions that are over at `now` are forgotten."""
        with self._database.transaction() as connection:
            connection.execute(delete(SESSIONS).where(_row.expires_at <= now))
            connection.execute(insert(SESSIONS).values(digest=_digest(secret), person=person, expires_at=until))

    def find(self, secret: str, now: float) -> str | None:
        """The person as given to `begin`; None for a session that there is not, any more."""
        living = select(_row.person).where(_row.digest == _digest(secret), _row.expires_at > now)
        with self._database.transaction() as connection:
            return connection.execute(living).scalar_one_or_none()

    def end(self, secret: str) -> bool:
        """Over, durably; False when it was over already."""
        with self._database.transaction() as connection:
            return connection.execute(delete(SESSIONS).where(_row.digest == _digest(secret))).rowcount > 0


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()
