"""A decision is judged, recorded, stored: in this order."""

from collections.abc import Callable, Sequence
from dataclasses import replace

import pytest

from extproc.approvals.decisions import Verdict, decide_recorded
from extproc.approvals.store import ApprovalStore
from extproc.core.approval import ApprovalRequest, ApprovalState, DecisionRefused, TransitionCode
from extproc.core.identity import Principal
from extproc.core.reasons import Reason, Unavailable
from extproc.core.record import EventCode, Outcome, Record

Ask = Callable[..., ApprovalRequest]
GRANT = Verdict(grant=True, reason="quarterly report")


class Written:
    """Records in order; `before` happens before each is durable."""

    def __init__(self, before: Callable[[], None] = lambda: None) -> None:
        self.records: list[Record] = []
        self.before = before

    def __call__(self, records: Sequence[Record]) -> None:
        self.before()
        self.records += records


def _decide(
    store: ApprovalStore, write: Written, decider: Principal, verdict: Verdict = GRANT, now: float = 1010.0
) -> None:
    decide_recorded(store, write, "apr-1", decider, verdict, source="console-host", now=now)


@pytest.mark.parametrize(("grant", "state"), [(True, ApprovalState.GRANTED), (False, ApprovalState.REFUSED)])
def test_the_record_is_durable_before_the_state_changes(
    sqlite_store: ApprovalStore, ask: Ask, approver: Principal, grant: bool, state: ApprovalState
) -> None:
    sqlite_store.open(ask("apr-1"))

    def still_pending() -> None:
        found = sqlite_store.find("apr-1", 1010.0)
        assert found is not None
        assert found.state is ApprovalState.PENDING

    write = Written(still_pending)
    _decide(sqlite_store, write, approver, Verdict(grant, "quarterly report"))
    found = sqlite_store.find("apr-1", 1011.0)
    assert found is not None
    assert found.state is state
    (record,) = write.records
    assert (record.event_code, record.status) == (EventCode.APPROVAL_DECIDE, Outcome.SUCCEEDED)
    assert (record.actor.uid, record.src_address) == (approver.uid, "console-host")
    assert (record.time_ms, record.exchange_id) == (1_010_000, "exchange-apr-1")
    assert record.approval is not None
    assert (record.approval.id, record.approval.state) == ("apr-1", state.value)
    assert (record.approval.request_digest, record.approval.reason) == ("digest-apr-1", "quarterly report")


def test_without_a_record_there_is_no_decision(sqlite_store: ApprovalStore, ask: Ask, approver: Principal) -> None:
    pending = sqlite_store.open(ask("apr-1"))

    def fail() -> None:
        raise Unavailable(Reason.AUDIT_UNAVAILABLE)

    with pytest.raises(Unavailable):
        _decide(sqlite_store, Written(fail), approver)
    assert sqlite_store.find("apr-1", 1010.0) == pending


def test_an_attempt_without_the_right_is_recorded_and_changes_nothing(
    sqlite_store: ApprovalStore, ask: Ask, approver: Principal
) -> None:
    pending = sqlite_store.open(ask("apr-1"))
    write = Written()
    requester = replace(approver, subject="analyst")
    with pytest.raises(DecisionRefused) as refused:
        _decide(sqlite_store, write, requester)
    assert refused.value.code is TransitionCode.OWN_REQUEST
    (record,) = write.records
    assert (record.status, record.detail) == (Outcome.REFUSED, {"refused": "own_request"})
    assert record.actor.uid == requester.uid
    assert record.approval is not None
    assert (record.approval.state, record.approval.reason) == ("pending", "")
    assert sqlite_store.find("apr-1", 1010.0) == pending


def test_withdrawn_while_deciding_is_refused_and_recorded(
    sqlite_store: ApprovalStore, ask: Ask, approver: Principal
) -> None:
    sqlite_store.open(ask("apr-1"))
    write = Written(lambda: sqlite_store.withdraw("apr-1") and None)
    with pytest.raises(DecisionRefused) as refused:
        _decide(sqlite_store, write, approver)
    assert refused.value.code is TransitionCode.NOT_PENDING
    assert [record.status for record in write.records] == [Outcome.SUCCEEDED, Outcome.FAILED]
    found = sqlite_store.find("apr-1", 1010.0)
    assert found is not None
    assert found.state is ApprovalState.WITHDRAWN


def test_a_store_that_fails_after_the_record_is_recorded(
    sqlite_store: ApprovalStore, ask: Ask, approver: Principal
) -> None:
    sqlite_store.open(ask("apr-1"))

    def lose() -> None:
        with sqlite_store._database.transaction() as connection:
            connection.exec_driver_sql("DROP TABLE IF EXISTS approvals")

    write = Written(lose)
    with pytest.raises(Unavailable):
        _decide(sqlite_store, write, approver)
    assert [record.status for record in write.records] == [Outcome.SUCCEEDED, Outcome.FAILED]
    assert write.records[1].detail == {"refused": "approvals_unavailable"}


def test_an_expired_approval_cannot_be_granted(sqlite_store: ApprovalStore, ask: Ask, approver: Principal) -> None:
    sqlite_store.open(ask("apr-1"))
    with pytest.raises(DecisionRefused) as refused:
        _decide(sqlite_store, Written(), approver, now=1100.0)
    assert refused.value.code is TransitionCode.NOT_PENDING


def test_an_unknown_approval(sqlite_store: ApprovalStore, approver: Principal) -> None:
    with pytest.raises(DecisionRefused) as refused:
        _decide(sqlite_store, Written(), approver)
    assert refused.value.code is TransitionCode.UNKNOWN
