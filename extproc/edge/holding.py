"""One session's approval: opened or attached to, watched, claimed, withdrawn."""

import logging
import time
from collections.abc import Callable, Coroutine
from typing import Any

from extproc.approvals.desk import Desk
from extproc.core import events
from extproc.core.actions import AttachApproval, ClaimGrant, OpenApproval, WithdrawApproval
from extproc.core.approval import Approval
from extproc.core.reasons import Unavailable

Start = Callable[[Coroutine[Any, Any, None]], object]

_log = logging.getLogger(__name__)


class Holding:
    """Asks the desk and feeds the exchange what it says. The exchange decides; this only carries."""

    def __init__(
        self,
        desk: Desk,
        *,
        feed: Callable[[events.Event], None],
        held: Callable[[], bool],
        start: Start,
        start_beyond: Start,
    ) -> None:
        """`start` begins work that ends with the session, `start_beyond` work that outlives it."""
        self._desk = desk
        self._feed = feed
        self._held = held
        self._start = start
        self._start_beyond = start_beyond
        self._unwatch: Callable[[], None] | None = None

    def open(self, action: OpenApproval) -> None:
        """Outlives the session: the exchange withdraws what it opened, also when it has ended meanwhile."""
        self._start_beyond(self._open(action))

    def attach(self, action: AttachApproval) -> None:
        self._start(self._attach(action))

    def claim(self, action: ClaimGrant, requester_uid: str) -> None:
        """Outlives the session: a grant that was used is recorded, also when nobody is left to use it."""
        self._start_beyond(self._claim(action, requester_uid))

    def withdraw(self, action: WithdrawApproval) -> None:
        """Outlives the session."""
        self._start_beyond(self._withdraw(action.approval_id))

    def close(self) -> None:
        """Watch no longer."""
        if self._unwatch is not None:
            self._unwatch()
            self._unwatch = None

    async def _open(self, action: OpenApproval) -> None:
        try:
            approval = await self._desk.open(action.request)
        except Unavailable:
            self._feed(events.ApprovalsFailed(time.monotonic()))
            return
        self._follow(approval)

    async def _attach(self, action: AttachApproval) -> None:
        try:
            approval = await self._desk.find(action.approval_id)
        except Unavailable:
            self._feed(events.ApprovalsFailed(time.monotonic()))
            return
        if approval is None:
            self._feed(events.ApprovalMissing(time.monotonic()))
            return
        self._follow(approval)

    def _follow(self, approval: Approval) -> None:
        self._see(approval)
        if self._held():
            self._unwatch = self._desk.watch(approval.approval_id, self._see)

    def _see(self, approval: Approval | None) -> None:
        at = time.monotonic()
        self._feed(events.ApprovalsFailed(at) if approval is None else events.ApprovalSeen(approval, at))

    async def _claim(self, action: ClaimGrant, requester_uid: str) -> None:
        try:
            won = await self._desk.claim(action.approval_id, action.request_digest, requester_uid)
        except Unavailable:
            self._feed(events.ApprovalsFailed(time.monotonic()))
            return
        at = time.monotonic()
        self._feed(events.GrantClaimed(at) if won else events.GrantLost(at))

    async def _withdraw(self, approval_id: str) -> None:
        withdrawn = False
        try:
            withdrawn = await self._desk.withdraw(approval_id)
        except Unavailable:
            _log.warning("an approval could not be withdrawn; it will expire", extra={"approval_id": approval_id})
        if not withdrawn:
            self._feed(events.WithdrawalFailed(time.monotonic()))
