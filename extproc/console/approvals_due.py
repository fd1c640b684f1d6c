"""What time does to approvals: the console looks for it, so that it happens while nobody asks, and records each step.

They expire, and further groups are asked. The store tells each step to one console, once; the outbox tells people.
"""

import asyncio
import logging
from typing import Final

from msgspec.structs import replace

from extproc.approvals.store import ApprovalStore
from extproc.console.parts import Parts
from extproc.console.records import ConsoleLog, own_record
from extproc.core.approval import Approval
from extproc.core.reasons import Unavailable
from extproc.core.record import ApprovalRef, EventCode, Outcome, PolicyRef, Record, Resource

LOOK_SECONDS: Final = 1.0
_log = logging.getLogger("extproc.console")


class ApprovalsDue:
    """For one event loop. A record that cannot be durable now is owed, and tried again at the next look."""

    def __init__(self, store: ApprovalStore, log: ConsoleLog) -> None:
        self._store = store
        self._log = log
        self._owed: list[Record] = []
        self._lost = False

    async def run(self, parts: Parts) -> None:
        """Until cancelled."""
        while True:
            try:
                await self.look(parts.clock())
                self._lost = False
            except Unavailable as away:
                if not self._lost:
                    _log.error(
                        "approvals that are due cannot be ended or recorded", extra={"reason": away.reason.value}
                    )
                self._lost = True
            await asyncio.sleep(LOOK_SECONDS)

    async def look(self, now: float) -> None:
        """End what is due, ask further groups, and record both. Raises `Unavailable`."""
        expired = await asyncio.to_thread(self._store.expire_due, now)
        self._owed += [_record(EventCode.APPROVAL_EXPIRE, each) for each in expired]
        escalated = await asyncio.to_thread(self._store.escalate_due, now)
        self._owed += [_record(EventCode.APPROVAL_ESCALATE, each) for each in escalated]
        while self._owed:
            await self._log.store(self._owed[0])
            del self._owed[0]


def _record(code: EventCode, approval: Approval) -> Record:
    detail = {"groups": ", ".join(approval.escalation_groups)} if code is EventCode.APPROVAL_ESCALATE else {}
    model, operation, connection = approval.model, approval.operation, approval.connection
    return replace(
        own_record(code, Outcome.SUCCEEDED, **detail),
        resource=Resource(connection=connection, operation=operation, protocol="approvals", model=model),
        exchange_id=approval.exchange_id,
        policy=PolicyRef(digest=approval.policy_digest, effect="hold", rule=approval.rule),
        approval=ApprovalRef(
            id=approval.approval_id, state=approval.state.value, request_digest=approval.request_digest
        ),
    )
