"""Sessions of people in the console, by all replicas together: one that is ended or over is over everywhere."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field

from sqlalchemy import delete, insert, select, update

from extproc.approvals.database import Database
from extproc.approvals.tables import SESSIONS

_row = SESSIONS.c
_WRITE_SECONDS = 10.0
"""Activity is noted at most so often: a page is many requests."""


@dataclass(frozen=True, slots=True)
class LiveSession:
    """What may be seen of a session: whose it is, as given to `begin`, and nothing that it could be found by.

    `used_at` is to within some seconds, and near its end up to the idle time too early.
    """

    person: str = field(repr=False)
    used_at: float
    ends_at: float


class Sessions:
    """Blocking; safe to use from several threads and processes. Times are Unix seconds.

    A session is found by a secret that only the browser has: the database holds its digest. Every method raises
    `Unavailable(APPROVALS_UNAVAILABLE)` when the database does not do what it was asked.
    """

    def __init__(self, database: Database, idle_seconds: float) -> None:
        """`idle_seconds`: how long nobody may look before the person must log in again (PCI DSS 8.2.8)."""
        self._database = database
        self._idle_seconds = idle_seconds

    def begin(self, secret: str, person: str, ends_at: float, now: float) -> None:
        """Durable, until it is idle or ends. Sessions that are over at `now` are forgotten."""
        row = {"person": person, "ends_at": ends_at, "expires_at": min(ends_at, now + self._idle_seconds)}
        with self._database.transaction() as connection:
            connection.execute(delete(SESSIONS).where(_row.expires_at <= now))
            connection.execute(insert(SESSIONS).values(digest=_digest(secret), **row))

    def find(self, secret: str, now: float) -> str | None:
        """The person as given to `begin`, who was active just now; None for a session that there is not, any more."""
        own = _row.digest == _digest(secret)
        with self._database.transaction() as connection:
            row = connection.execute(select(SESSIONS).where(own, _row.expires_at > now)).mappings().one_or_none()
            if row is None:
                return None
            expires_at = min(float(row["ends_at"]), now + self._idle_seconds)
            if expires_at > row["expires_at"] + _WRITE_SECONDS:
                connection.execute(update(SESSIONS).where(own).values(expires_at=expires_at))
            return str(row["person"])

    def peek(self, secret: str, now: float) -> str | None:
        """As `find`, for what a program asks by itself: it is no activity, the session ends as if nobody had asked."""
        own = _row.digest == _digest(secret)
        with self._database.transaction() as connection:
            row = connection.execute(select(_row.person).where(own, _row.expires_at > now)).one_or_none()
        return None if row is None else str(row.person)

    def live(self, now: float, limit: int) -> list[LiveSession]:
        """At most `limit` of those that are not over, those that were used last first."""
        columns = select(_row.person, _row.expires_at, _row.ends_at).where(_row.expires_at > now)
        newest = columns.order_by(_row.expires_at.desc(), _row.digest).limit(limit)
        with self._database.transaction() as connection:
            rows = connection.execute(newest).all()
        return [LiveSession(row.person, row.expires_at - self._idle_seconds, row.ends_at) for row in rows]

    def end(self, secret: str) -> bool:
        """Over, durably; False when it was over already."""
        with self._database.transaction() as connection:
            return connection.execute(delete(SESSIONS).where(_row.digest == _digest(secret))).rowcount > 0

    def end_all(self, is_theirs: Callable[[str], bool], now: float) -> int:
        """Those whose person, as given to `begin`, is meant are over, durably; how many were not over already."""
        with self._database.transaction() as connection:
            rows = connection.execute(select(_row.digest, _row.person).where(_row.expires_at > now)).all()
            theirs = [row.digest for row in rows if is_theirs(row.person)]
            return sum(connection.execute(delete(SESSIONS).where(_row.digest == each)).rowcount for each in theirs)


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()
