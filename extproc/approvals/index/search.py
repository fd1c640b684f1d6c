"""The session index as a person asks it: pages, counts, choices, one person's history."""

from extproc.approvals.database import Database
from extproc.approvals.index.query import (
    PAGE_ROWS,
    Facets,
    Freshness,
    SegmentProblem,
    SessionPage,
    SessionQuery,
    SessionRow,
)


class SessionIndex:
    """Blocking; safe to use from several threads. Every method raises `Unavailable` while the database is away."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def search(self, query: SessionQuery, cursor: str = "", limit: int = PAGE_ROWS) -> SessionPage:
        """One page. A cursor that no page gave begins anew."""
        return SessionPage((), "", "", 0, counted_all=True)

    def facets(self) -> Facets:
        """The filters' choices."""
        return Facets((), (), (), (), (), (), (), ())

    def find(self, exchange_id: str) -> SessionRow | None:
        """One exchange, whole id."""
        return None

    def history_of(self, person_uid: str, limit: int) -> tuple[SessionRow, ...]:
        """The newest exchanges of a person."""
        return ()

    def of_approval(self, approval_id: str) -> tuple[SessionRow, ...]:
        """The exchanges that waited for an approval or went on with it, oldest first."""
        return ()

    def freshness(self) -> Freshness:
        return Freshness(0, 0, 0, 0)

    def problems(self, limit: int = 100) -> tuple[SegmentProblem, ...]:
        """The newest first."""
        return ()
