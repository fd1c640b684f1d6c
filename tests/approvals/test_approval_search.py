"""Looking for approvals, on both engines: by each thing that a query can ask for, and what has changed since."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from extproc.approvals.search import ApprovalQuery
from extproc.approvals.store import ApprovalStore
from extproc.core.approval import Approval, ApprovalRequest, ApprovalState, review
from extproc.core.identity import Principal
from tests.approvals.votes import decide

Ask = Callable[..., ApprovalRequest]
BOB = "https://idp.test|bob"
NOW = 1060.0
QUERIES: dict[str, tuple[ApprovalQuery, str]] = {
    "nothing": (ApprovalQuery(), "54321"),
    "a state": (ApprovalQuery((ApprovalState.PENDING,)), "21"),
    "states": (ApprovalQuery((ApprovalState.USED, ApprovalState.EXPIRED)), "53"),
    "a requester": (ApprovalQuery(requester_uid=BOB), "32"),
    "a rule": (ApprovalQuery(rule="export"), "2"),
    "a tenant": (ApprovalQuery(tenant="north"), "2"),
    "a group": (ApprovalQuery(decider_groups=("größe",)), "5431"),
    "one of the groups": (ApprovalQuery(decider_groups=("none", "risk")), "2"),
    "a part of a group": (ApprovalQuery(decider_groups=("ris", "isk", "RISK", '"', "[")), ""),
    "a group of an escalation that is over": (ApprovalQuery(decider_groups=("leads",)), "2"),
    "a decider": (ApprovalQuery(decider_uid=BOB), "541"),
    "a decider who has voted": (ApprovalQuery(decider_uid="https://idp.test|approver"), "532"),
    "text of an id": (ApprovalQuery(text="PR-2"), "2"),
    "text of a model": (ApprovalQuery(text="large_%"), "2"),
    "text as it stands": (ApprovalQuery(text="r_e"), ""),
    "text of a decider": (ApprovalQuery(text="approver"), "4"),
    "text of a reason": (ApprovalQuery(text="outage"), ""),
    "text of a reason, by who may": (ApprovalQuery(text="outage", in_reasons=True), "3"),
    "text of a decision, by who may": (ApprovalQuery(text="nein", in_reasons=True), "4"),
    "text of the request": (ApprovalQuery(text="minutes", in_reasons=True), ""),
    "emergencies": (ApprovalQuery(unreviewed=True), "3"),
    "a page": (ApprovalQuery(limit=2), "54"),
    "the page after it": (ApprovalQuery(limit=2, before=(1003.0, "apr-4")), "32"),
    "all of that": (ApprovalQuery((ApprovalState.PENDING,), BOB, ("risk",), "nobody", "export", "north", "apr"), "2"),
}


@pytest.fixture
def full(store: ApprovalStore, ask: Ask, approver: Principal) -> ApprovalStore:
    """Five approvals, two of them of the same moment."""
    asked = [ask(f"apr-{number}", b"board minutes", 1000.0 + number) for number in range(1, 4)]
    asked += [replace(asked[2], approval_id="apr-4"), ask("apr-5", created_at=1004.0, expires_at=1050.0)]
    asked[0] = replace(asked[0], quorum=2)
    asked[1] = replace(
        asked[1], requester_uid=BOB, rule="export", tenant="north", model="LARGE_%", approver_groups=("risk",),
        escalation_groups=("leads",), escalate_after_seconds=58.0,
    )  # fmt: skip
    asked[2] = replace(asked[2], requester_uid=BOB, emergency=True, request_reason="An OUTAGE")
    opened = store.open_all(asked)
    for number, grant in ((0, True), (3, False)):
        assert store.vote(decide(opened[number], approver, grant, "Nein, danke", 1010.0))
    return store


def found(store: ApprovalStore, query: ApprovalQuery, now: float = NOW) -> str:
    return "".join(each.approval_id.removeprefix("apr-") for each in store.search(query, now))


def test_each_query_finds_what_it_describes_the_newest_first(full: ApprovalStore) -> None:
    expected = {name: wanted for name, (_, wanted) in QUERIES.items()}
    assert {name: found(full, query) for name, (query, _) in QUERIES.items()} == expected
    assert found(full, ApprovalQuery(decider_groups=("leads",)), 1059.0) == ""


def test_how_many_are_in_each_state_is_counted_as_of_now(full: ApprovalStore) -> None:
    counted = {state.value: count for state, count in full.count_by_state(1049.0).items() if count}
    assert counted == {"pending": 3, "used": 1, "refused": 1}
    assert full.count_by_state(1050.0)[ApprovalState.EXPIRED] == 1
    assert set(full.count_by_state(1050.0)) == set(ApprovalState)


def test_what_has_changed_comes_once_in_the_order_of_its_last_change(full: ApprovalStore) -> None:
    def changed(revision: int, limit: int = 9) -> list[tuple[str, int]]:
        return [(each.approval_id[-1], len(each.votes)) for each in full.changed_since(revision, limit)]

    assert changed(0) == [("2", 0), ("3", 0), ("5", 0), ("1", 1), ("4", 1)]
    assert changed(0, 2) == [("2", 0), ("3", 0)]
    last = full.revision()
    assert changed(last - 1) == [("4", 1)]
    full.withdraw("apr-2")
    assert changed(last) == [("2", 0)]
    assert changed(full.revision()) == []


def test_an_emergency_is_reviewed_by_who_comes_first_and_never_by_who_asked(
    full: ApprovalStore, approver: Principal
) -> None:
    def of(store: ApprovalStore, approval_id: str) -> Approval:
        approval = store.find(approval_id, NOW)
        assert approval is not None
        return approval

    emergency = of(full, "apr-3")
    reviewed = review(emergency, approver, "a real outage", NOW)
    own = replace(reviewed, reviewed_by_uid=BOB.upper(), decided_by_uid=BOB.upper())
    assert not full.review(own)
    assert not full.review(replace(reviewed, approval_id="apr-none"))
    assert not full.review(replace(reviewed, approval_id="apr-1")), "no emergency"
    assert full.review(reviewed)
    assert not full.review(review(emergency, replace(approver, subject="second"), "so it was", NOW))
    kept = of(full, "apr-3")
    assert (kept.state, kept.reviewed_by_uid, kept.reviewed_at) == (ApprovalState.USED, approver.uid, NOW)
    assert (kept.decision_reason, kept.uses) == ("a real outage", emergency.uses)
    assert found(full, ApprovalQuery(unreviewed=True)) == ""
