"""What time does to approvals, on both engines: once, and each step is some console's to record until it is."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from extproc.approvals.steps import LEASE_SECONDS, MAX_LEASED, Step
from extproc.approvals.store import ApprovalStore
from extproc.core.approval import Approval, ApprovalRequest, ApprovalState

Ask = Callable[..., ApprovalRequest]
OpenAt = Callable[[str], ApprovalStore]
DUE = 1100.0
"""When `escalating` may be asked of others, and `ask` expires."""


def escalating(ask: Ask, approval_id: str) -> ApprovalRequest:
    asked = ask(approval_id, expires_at=2000.0)
    return replace(asked, escalate_after_seconds=100.0, escalation_groups=("leads",))


def due(store: ApprovalStore, step: Step, now: float) -> list[str]:
    found = store.expire_due(now) if step is Step.EXPIRED else store.escalate_due(now)
    return sorted(each.approval_id for each in found)


@pytest.mark.parametrize("step", list(Step))
def test_a_step_is_one_console_s_until_it_is_recorded_or_the_console_is_taken_for_dead(
    database: str, open_at: OpenAt, ask: Ask, step: Step
) -> None:
    first, second = open_at(database), open_at(database)
    for name in ("apr-1", "apr-2"):
        first.open(ask(name) if step is Step.EXPIRED else escalating(ask, name))
    assert due(first, step, DUE - 1) == []
    assert due(first, step, DUE) == ["apr-1", "apr-2"]
    first.recorded(step, "apr-1")
    first.close()
    assert due(second, step, DUE + LEASE_SECONDS - 1) == []
    assert due(second, step, DUE + LEASE_SECONDS) == ["apr-2"], "a record of apr-1 is there, of apr-2 perhaps none"
    other = next(each for each in Step if each is not step)
    second.recorded(other, "apr-2")
    second.release(other, ["apr-2"], DUE + LEASE_SECONDS)
    second.release(step, ["apr-2"], DUE)
    assert due(second, step, DUE + LEASE_SECONDS) == [], "neither another step nor another lease is ended"
    second.release(step, ["apr-2"], DUE + LEASE_SECONDS)
    assert due(second, step, DUE + LEASE_SECONDS) == ["apr-2"]
    second.recorded(step, "apr-2")
    assert due(second, step, DUE + 9 * LEASE_SECONDS) == []


def test_what_escalates_stays_pending_and_what_has_ended_does_not_escalate(store: ApprovalStore, ask: Ask) -> None:
    for name in ("apr-1", "apr-2", "apr-3"):
        store.open(escalating(ask, name))
    store.open(replace(escalating(ask, "apr-4"), escalation_groups=()))
    store.open(replace(escalating(ask, "apr-5"), expires_at=DUE))
    store.withdraw("apr-2")
    before = store.revision()
    assert due(store, Step.ESCALATED, DUE) == ["apr-1", "apr-3"]
    assert store.revision() == before + 2, "pages that wait for a change are told"
    found = store.find("apr-1", DUE)
    assert found is not None
    assert (found.state, found.decided_at) == (ApprovalState.PENDING, 0.0)


def test_more_than_are_leased_at_once_are_given_in_turn(sqlite_store: ApprovalStore, ask: Ask) -> None:
    names = [f"apr-{number}" for number in range(MAX_LEASED + 1)]
    sqlite_store.open_all([ask(name) for name in names])
    given: list[Approval] = []
    while some := sqlite_store.expire_due(DUE):
        assert len(some) <= MAX_LEASED
        given += some
    assert sorted(each.approval_id for each in given) == sorted(names)
