"""A person gives a budget back to its holder: judged, recorded durably, then done; in this order."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from extproc.approvals.budgets import BudgetStore
from extproc.core.budgets import series_of
from extproc.core.identity import Principal
from extproc.core.policy import Budget, BudgetScope
from extproc.core.reasons import Unavailable
from extproc.core.record import EventCode, Outcome, PolicyRef, Record, Resource
from extproc.core.recorded import actor_of

WriteRecords = Callable[[Sequence[Record]], None]
"""Returns when the records are durable, raises when they are not."""


class ResetRefused(Exception):
    """Who asks may not. Carries a fixed sentence."""


def check_reset(budget: Budget, holder: str, person: Principal) -> None:
    """Those may who approve what the budget holds, and nobody for themselves. Raises `ResetRefused`."""
    approvers = {group for step in budget.steps if step.hold is not None for group in step.hold.approver_groups}
    if not approvers:
        raise ResetRefused("No step of this budget is a hold, so nobody is named who may give it back.")
    if approvers.isdisjoint(person.groups):
        raise ResetRefused("You are in none of the groups that approve what this budget holds.")
    if budget.per is BudgetScope.PERSON and person.may_be(holder):
        raise ResetRefused("Nobody gives a budget back to themselves.")


@dataclass(frozen=True, slots=True)
class Reset:
    """What a person asks for. `told_holder`, the holder as it may be kept, and `reason` are masked; `source` is where
    the person sits (PCI DSS 10.2.2, origination of event)."""

    policy_digest: str
    budget: Budget
    holder: str
    told_holder: str
    person: Principal
    reason: str
    source: str


def reset_recorded(store: BudgetStore, write: WriteRecords, asked: Reset, now: float) -> bool:
    """Forget what a holder has used, once the `admin.budget_reset` record is durable; whether there was anything.

    `now` is Unix seconds. Raises `ResetRefused` (which is recorded, too), `Unavailable` for the store (likewise), and
    whatever `write` raises: then nothing has changed.
    """
    try:
        check_reset(asked.budget, asked.holder, asked.person)
    except ResetRefused as refused:
        write([_record(asked, now, Outcome.REFUSED, {"refused": str(refused)})])
        raise
    write([_record(asked, now, Outcome.SUCCEEDED, {})])
    try:
        return store.reset(asked.budget.name, series_of(asked.budget), asked.holder) > 0
    except Unavailable as error:
        write([_record(asked, now, Outcome.FAILED, {"refused": error.reason.value})])
        raise


def _record(asked: Reset, now: float, status: Outcome, more: Mapping[str, str]) -> Record:
    code = EventCode.ADMIN_BUDGET_RESET
    return Record(
        event_code=code,
        time_ms=int(now * 1000),
        actor=actor_of(asked.person),
        status=status,
        src_address=asked.source,
        resource=Resource(connection="none", operation=code.value, protocol="budgets", model=""),
        policy=PolicyRef(digest=asked.policy_digest),
        detail={
            "budget": asked.budget.name,
            "series": series_of(asked.budget),
            "holder": asked.told_holder,
            "reason": asked.reason,
            **more,
        },
    )
