"""An approval store that is opened when it is first needed: while it is away, held requests fail and nothing else."""

import threading
from collections.abc import Callable, Sequence

from extproc.approvals.store import ApprovalStore
from extproc.approvals.wakes import Source
from extproc.core.approval import Approval, ApprovalRequest


class LateStore:
    """Every call opens the store, unless it is open, and raises `Unavailable` while that fails."""

    def __init__(self, open_store: Callable[[], ApprovalStore]) -> None:
        self._open_store = open_store
        self._lock = threading.Lock()
        self._store: ApprovalStore | None = None

    def opened(self) -> ApprovalStore:
        with self._lock:
            if self._store is None:
                self._store = self._open_store()
            return self._store

    def open(self, request: ApprovalRequest) -> Approval:
        return self.opened().open(request)

    def open_all(self, requests: Sequence[ApprovalRequest]) -> list[Approval]:
        return self.opened().open_all(requests)

    def find(self, approval_id: str, now: float) -> Approval | None:
        return self.opened().find(approval_id, now)

    def find_all(self, approval_ids: Sequence[str], now: float) -> dict[str, Approval]:
        return self.opened().find_all(approval_ids, now)

    def claim(self, approval_id: str, request_digest: str, requester_uid: str, now: float) -> bool:
        return self.opened().claim(approval_id, request_digest, requester_uid, now)

    def withdraw(self, approval_id: str) -> bool:
        return self.opened().withdraw(approval_id)

    def revision(self) -> int:
        return self.opened().revision()

    def changed_since(self, revision: int, limit: int) -> list[Approval]:
        return self.opened().changed_since(revision, limit)

    def open_source(self, wanted: threading.Event) -> Source | None:
        return self.opened().open_source(wanted)
