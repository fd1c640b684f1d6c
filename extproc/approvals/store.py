"""The approval store: durable or an error. Changes come one after the other, so a race has one winner.

The rules are `extproc.core.approval`'s; `changes` says how they hold between processes.
"""

import threading
from collections.abc import Callable, Sequence

from sqlalchemy import ColumnElement, func, select, update

from extproc.approvals import changes, search, steps, votes
from extproc.approvals.budgets import BudgetStore
from extproc.approvals.changes import MAX_IDS, changing, read_approvals
from extproc.approvals.database import Database, open_database
from extproc.approvals.due import escalate_due, expire_all, expire_due, expire_seen
from extproc.approvals.notify.deliveries import Deliveries
from extproc.approvals.opening import open_or_attach
from extproc.approvals.rows import SHOWN
from extproc.approvals.search import ApprovalQuery
from extproc.approvals.settings import ApprovalSettings
from extproc.approvals.steps import Step
from extproc.approvals.tables import APPROVALS
from extproc.approvals.wakes import Source, open_source
from extproc.core.approval import (
    Approval,
    ApprovalRequest,
    ApprovalState,
    TransitionRefused,
    claim,
    is_due,
    withdraw,
)
from extproc.core.trust import Masked, Secret

__all__ = ["ApprovalQuery", "ApprovalStore", "open_store"]

Seal = Callable[[bytes, bytes], bytes]
"""`seal(context, data)` encrypts, `unseal(context, sealed)` decrypts, under the deployment's keys. Context: the id."""

_SHREDDED = b"[shredded]"
_row = APPROVALS.c


def open_store(settings: ApprovalSettings, seal: Seal, unseal: Seal) -> "ApprovalStore":
    """The store at the newest revision, created when missing. Raises `Unavailable`."""
    return ApprovalStore(open_database(settings.database, settings.migrate), seal, unseal)


class ApprovalStore:
    """Blocking; safe to use from several threads and processes. `now` is Unix seconds.

    Every method raises `Unavailable(APPROVALS_UNAVAILABLE)` when the database does not do what it was asked. What
    `find`, `find_all` and `search` return is never past its time: a due approval is expired, durably, before it is
    returned, and what has ended stays so, whatever a clock says later.
    """

    def __init__(self, database: Database, seal: Seal, unseal: Seal) -> None:
        self._database = database
        self._seal = seal
        self._unseal = unseal

    def open(self, request: ApprovalRequest) -> Approval:
        """The approval that the request waits for: a new one, or one that serves it already.

        That is a live approval of the same idempotency, or a grant for a while (`open_or_attach`). An id that is
        already there is an error.
        """
        return self.open_all((request,))[0]

    def open_all(self, requests: Sequence[ApprovalRequest]) -> list[Approval]:
        """The same for several, in their order: all of them, or none."""
        sealed = [self._seal(request.approval_id.encode(), request.preview) for request in requests]
        with changing(self._database) as change:
            return [open_or_attach(change, request, each) for request, each in zip(requests, sealed, strict=True)]

    def find(self, approval_id: str, now: float) -> Approval | None:
        """The approval as it is now, or None."""
        return self.find_all((approval_id,), now).get(approval_id)

    def find_all(self, approval_ids: Sequence[str], now: float) -> dict[str, Approval]:
        """Those of the approvals that exist, by id."""
        found: dict[str, Approval] = {}
        for start in range(0, len(approval_ids), MAX_IDS):
            wanted = approval_ids[start : start + MAX_IDS]
            found |= {approval.approval_id: approval for approval in self._read(wanted, now)}
        return found

    def search(self, query: ApprovalQuery, now: float) -> list[Approval]:
        """The newest approvals that the query describes, newest first. What is due counts as expired."""
        expire_all(self._database, now)
        with self._database.transaction() as connection:
            return search.search(connection, query, now)

    def count_by_state(self, now: float) -> dict[ApprovalState, int]:
        """How many there are, of every state. What is due counts as expired."""
        expire_all(self._database, now)
        with self._database.transaction() as connection:
            return search.count_by_state(connection)

    def revision(self) -> int:
        """The number of the last change of any approval; 0 before the first."""
        with self._database.transaction() as connection:
            return changes.find_revision(connection)

    def changed_since(self, revision: int, limit: int) -> list[Approval]:
        """The approvals whose last change has a higher number, in the order of these changes.

        Each as it was written: it may be due. With fewer than `limit` there are no more.
        """
        with self._database.transaction() as connection:
            return changes.changed_since(connection, revision, limit)

    def open_source(self, wanted: threading.Event) -> Source | None:
        """What hears of changes; an `OpenSource`."""
        return open_source(self._database, wanted)

    def read_preview(self, approval_id: str) -> Masked | None:
        """The masked request, opened; None for an unknown id; `[shredded]` once it was erased.

        Raises what `unseal` does when it was tampered with.
        """
        with self._database.transaction() as connection:
            sealed = connection.execute(
                select(_row.sealed_preview).where(_row.approval_id == approval_id)
            ).scalar_one_or_none()
        if sealed is None:
            return None
        return Masked(self._unseal(approval_id.encode(), bytes(sealed)) if sealed else _SHREDDED)

    def erase_previews(self, approval_ids: Sequence[str]) -> int:
        """Take the masked requests of these approvals out of the database; how many there were."""
        return self._erase(_row.approval_id.in_(approval_ids)) if approval_ids else 0

    def erase_previews_before(self, created_at: float) -> int:
        """The same for every approval that was created before then."""
        return self._erase(_row.created_at < created_at)

    def _erase(self, condition: ColumnElement[bool]) -> int:
        with self._database.transaction() as connection:
            erased = connection.execute(
                update(APPROVALS).where(condition, func.length(_row.sealed_preview) > 0).values(sealed_preview=b"")
            ).rowcount
        self._database.forget()
        return erased

    def vote(self, decided: Approval) -> bool:
        """Store what `extproc.core.approval.decide` returned; False when the approval is not what it was any more."""
        with changing(self._database) as change:
            return votes.keep_vote(change, decided)

    def revoke(self, revoked: Approval) -> bool:
        """Store what `extproc.core.approval.revoke` returned; False when there is no grant any more."""
        with changing(self._database) as change:
            return votes.keep_revocation(change, revoked)

    def review(self, reviewed: Approval) -> bool:
        """Store what `extproc.core.approval.review` returned; False when somebody else was first."""
        with changing(self._database) as change:
            return votes.keep_review(change, reviewed)

    def claim(self, approval_id: str, request_digest: str, requester_uid: str, now: float) -> bool:
        """Use the grant, for its request or within its window, by its requester, in time.

        True for exactly one caller; of a window for as many as it has uses.
        """
        with changing(self._database) as change:
            before = change.find(approval_id)
            if before is None:
                return False
            if is_due(before, now):
                expire_seen(change, before, now)
                return False
            try:
                used = claim(before, request_digest, requester_uid, now)
            except TransitionRefused:
                return False
            change.keep(used, before)
            return True

    def withdraw(self, approval_id: str) -> bool:
        """End a hold whose requester no longer waits; False when it has already ended."""
        with changing(self._database) as change:
            before = change.find(approval_id)
            if before is None:
                return False
            try:
                change.keep(withdraw(before), before)
            except TransitionRefused:
                return False
            return True

    def expire_due(self, now: float) -> list[Approval]:
        """Expire what is due. Some of those whose expiry is not recorded yet: the caller's for `LEASE_SECONDS`.

        Until then nobody else is given them, and `recorded` ends it.
        """
        return expire_due(self._database, now)

    def escalate_due(self, now: float) -> list[Approval]:
        """The same for escalations: their further groups may decide from now on."""
        return escalate_due(self._database, now)

    def recorded(self, step: Step, approval_id: str) -> None:
        """The record of a step that `expire_due` or `escalate_due` returned is durable."""
        steps.recorded(self._database, step, approval_id)

    def release(self, step: Step, approval_ids: Sequence[str], leased_at: float) -> None:
        """They cannot be recorded now: the next who asks is given them. `leased_at`: the `now` of the asking."""
        steps.release(self._database, step, approval_ids, leased_at)

    def budgets(self, key: Secret) -> BudgetStore:
        """The budgets in the same database; `key` keys what is kept of cards."""
        return BudgetStore(self._database, key)

    def deliveries(self) -> Deliveries:
        """What people are told of approvals, in the same database."""
        return Deliveries(self._database)

    def close(self) -> None:
        """Close the connections."""
        self._database.close()

    def _read(self, approval_ids: Sequence[str], now: float) -> list[Approval]:
        wanted = select(*SHOWN).where(_row.approval_id.in_(approval_ids))
        with self._database.transaction() as connection:
            approvals = read_approvals(connection, wanted)
        if any(is_due(approval, now) for approval in approvals):
            expire_all(self._database, now)
            with self._database.transaction() as connection:
                approvals = read_approvals(connection, wanted)
        return approvals
