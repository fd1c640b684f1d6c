"""The approval store: durable or an error. Every change of state is one conditional UPDATE, so a race has one winner.

The rules are `extproc.core.approval`'s; the conditions here repeat them where two processes could meet.
"""

from collections.abc import Callable, Sequence
from typing import Any

from sqlalchemy import ColumnElement, func, insert, select, update

from extproc.approvals.budgets import BudgetStore
from extproc.approvals.database import Database, open_database
from extproc.approvals.notify.deliveries import Deliveries
from extproc.approvals.settings import ApprovalSettings
from extproc.approvals.tables import APPROVALS, SHOWN, read_row, write_row
from extproc.core.approval import TRANSITIONS, Approval, ApprovalRequest, ApprovalState, is_due, open_approval
from extproc.core.trust import Masked, Secret

Seal = Callable[[bytes, bytes], bytes]
"""`seal(context, data)` encrypts, `unseal(context, sealed)` decrypts, under the deployment's keys. Context: the id."""

_SHREDDED = b"[shredded]"
MAX_IDS = 500
"""Asked for in one statement; engines bound the parameters of one (SQLite: 32 766)."""

_row = APPROVALS.c
_MAY_EXPIRE = sorted(state for state, following in TRANSITIONS.items() if ApprovalState.EXPIRED in following)
_MAY_WITHDRAW = sorted(state for state, following in TRANSITIONS.items() if ApprovalState.WITHDRAWN in following)


def open_store(settings: ApprovalSettings, seal: Seal, unseal: Seal) -> "ApprovalStore":
    """The store at the newest revision, created when missing. Raises `Unavailable`."""
    return ApprovalStore(open_database(settings.database), seal, unseal)


class ApprovalStore:
    """Blocking; safe to use from several threads and processes. `now` is Unix seconds.

    Every method raises `Unavailable(APPROVALS_UNAVAILABLE)` when the database does not do what it was asked. What is
    read is never past its time: a due approval is expired, durably, before it is returned.
    """

    def __init__(self, database: Database, seal: Seal, unseal: Seal) -> None:
        self._database = database
        self._seal = seal
        self._unseal = unseal

    def open(self, request: ApprovalRequest) -> Approval:
        """The request as a new, pending approval. An id that is already there is an error."""
        approval = open_approval(request)
        sealed = self._seal(request.approval_id.encode(), request.preview)
        with self._database.transaction() as connection:
            connection.execute(insert(APPROVALS).values(write_row(approval, sealed)))
        return approval

    def find(self, approval_id: str, now: float) -> Approval | None:
        """The approval as it is now, or None."""
        return self.find_all((approval_id,), now).get(approval_id)

    def find_all(self, approval_ids: Sequence[str], now: float) -> dict[str, Approval]:
        """Those of the approvals that exist, by id."""
        found: dict[str, Approval] = {}
        for start in range(0, len(approval_ids), MAX_IDS):
            wanted = _row.approval_id.in_(approval_ids[start : start + MAX_IDS])
            found |= {approval.approval_id: approval for approval in self._select(wanted, MAX_IDS, now)}
        return found

    def search(self, states: Sequence[ApprovalState], now: float, limit: int) -> list[Approval]:
        """The newest approvals in one of `states`, newest first. What is due counts as expired."""
        self._expire(now)
        return self._select(_row.state.in_([state.value for state in states]), limit, now)

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

    def decide(self, decided: Approval) -> bool:
        """Store what `extproc.core.approval.decide` returned; False when something else ended the wait first."""
        return self._move(
            decided.state,
            _row.approval_id == decided.approval_id,
            _row.state == ApprovalState.PENDING.value,
            _row.expires_at > decided.decided_at,
            _row.requester_uid != decided.decided_by_uid,
            decided_at=decided.decided_at,
            decided_by_uid=decided.decided_by_uid,
            decided_by_name=decided.decided_by_name,
            decision_reason=decided.decision_reason,
        )

    def claim(self, approval_id: str, request_digest: str, requester_uid: str, now: float) -> bool:
        """Use the grant: True for exactly one caller, who asks for the same request as the same requester, in time."""
        return self._move(
            ApprovalState.USED,
            _row.approval_id == approval_id,
            _row.state == ApprovalState.GRANTED.value,
            _row.expires_at > now,
            _row.request_digest == request_digest,
            _row.requester_uid == requester_uid,
        )

    def withdraw(self, approval_id: str) -> bool:
        """End a hold whose requester no longer waits; False when it has already ended."""
        return self._move(
            ApprovalState.WITHDRAWN, _row.approval_id == approval_id, _row.state.in_([s.value for s in _MAY_WITHDRAW])
        )

    def budgets(self, key: Secret) -> BudgetStore:
        """The budgets in the same database; `key` keys what is kept of cards."""
        return BudgetStore(self._database, key)

    def deliveries(self) -> Deliveries:
        """What people are told of approvals, in the same database."""
        return Deliveries(self._database)

    def close(self) -> None:
        """Close the connections."""
        self._database.close()

    def _select(self, condition: ColumnElement[bool], limit: int, now: float) -> list[Approval]:
        approvals = self._read(condition, limit)
        if any(is_due(approval, now) for approval in approvals):
            self._expire(now)
            approvals = self._read(condition, limit)
        return approvals

    def _read(self, condition: ColumnElement[bool], limit: int) -> list[Approval]:
        newest = select(*SHOWN).where(condition).order_by(_row.created_at.desc(), _row.approval_id).limit(limit)
        with self._database.transaction() as connection:
            return [read_row(row) for row in connection.execute(newest).mappings()]

    def _expire(self, now: float) -> None:
        self._move(ApprovalState.EXPIRED, _row.state.in_([s.value for s in _MAY_EXPIRE]), _row.expires_at <= now)

    def _move(self, state: ApprovalState, *conditions: ColumnElement[bool], **values: Any) -> bool:
        """One UPDATE; the conditions are what makes it a legal step at the moment it happens."""
        with self._database.transaction() as connection:
            moved = connection.execute(
                update(APPROVALS).where(*conditions).values(state=state.value, **values)
            ).rowcount
        return moved > 0
