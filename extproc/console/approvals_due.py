"""What time does to approvals: the console looks for it, so that it happens while nobody asks, and records each step.

They expire, and further groups are asked. The store leases each step to one console, until its record is durable; the
outbox tells people.
"""

import asyncio
import logging
from collections import deque
from typing import Final

from msgspec.structs import replace

from extproc.approvals.steps import Step
from extproc.approvals.store import ApprovalStore
from extproc.console.parts import Parts
from extproc.console.records import ConsoleLog, own_record
from extproc.core.approval import Approval, ApprovalState
from extproc.core.reasons import Unavailable
from extproc.core.record import ApprovalRef, EventCode, Outcome, PolicyRef, Record, Resource

LOOK_SECONDS: Final = 1.0
_log = logging.getLogger("extproc.console")


class ApprovalsDue:
    """For one event loop. A step that cannot be recorded now is left to the next look, of any console."""

    def __init__(self, store: ApprovalStore, log: ConsoleLog) -> None:
        self._store = store
        self._log = log
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
        while owed := await self._lease(now):
            try:
                while owed:
                    step, approval = owed[0]
                    await self._log.store(_record(step, approval))
                    owed.popleft()
                    await asyncio.to_thread(self._store.recorded, step, approval.approval_id)
            except Unavailable:
                for step in Step:
                    left = [approval.approval_id for owing, approval in owed if owing is step]
                    await asyncio.to_thread(self._store.release, step, left, now)
                raise

    async def _lease(self, now: float) -> deque[tuple[Step, Approval]]:
        """Both before any is recorded: people are asked also while nothing can be."""
        expired = await asyncio.to_thread(self._store.expire_due, now)
        escalated = await asyncio.to_thread(self._store.escalate_due, now)
        return deque([*((Step.EXPIRED, each) for each in expired), *((Step.ESCALATED, each) for each in escalated)])


def _record(step: Step, approval: Approval) -> Record:
    code, state, detail = EventCode.APPROVAL_EXPIRE, approval.state, dict[str, str]()
    if step is Step.ESCALATED:
        # It was pending then, whatever has become of it.
        code, state = EventCode.APPROVAL_ESCALATE, ApprovalState.PENDING
        detail["groups"] = ", ".join(approval.escalation_groups)
    model, operation, connection = approval.model, approval.operation, approval.connection
    return replace(
        own_record(code, Outcome.SUCCEEDED, **detail),
        resource=Resource(connection=connection, operation=operation, protocol="approvals", model=model),
        exchange_id=approval.exchange_id,
        policy=PolicyRef(digest=approval.policy_digest, effect="hold", rule=approval.rule),
        approval=ApprovalRef(id=approval.approval_id, state=state.value, request_digest=approval.request_digest),
    )
