"""A decision is judged, recorded, stored: in this order, whoever comes in between."""

from collections.abc import Callable, Sequence
from dataclasses import replace

import pytest

from extproc.approvals.decisions import OVERTAKEN, Asking, Decisions, Verdict
from extproc.approvals.store import ApprovalStore
from extproc.core.approval import (
    Approval,
    ApprovalRequest,
    ApprovalState,
    Channel,
    DecisionRefused,
    TransitionCode,
    TransitionRefused,
    open_approval,
    shown_digest,
)
from extproc.core.identity import Principal
from extproc.core.reasons import Reason, Unavailable
from extproc.core.record import EventCode, Outcome, Record

Ask = Callable[..., ApprovalRequest]


class Written:
    """Records in order; `before` happens before each is durable."""

    def __init__(self, before: Callable[[], object] = lambda: None) -> None:
        self.records: list[Record] = []
        self.before = before

    def __call__(self, records: Sequence[Record]) -> None:
        self.before()
        self.records += records

    @property
    def said(self) -> list[tuple[str, str, object]]:
        return [(each.event_code.value, each.status.value, each.detail.get("refused")) for each in self.records]


def asking(person: Principal, now: float = 1010.0, channel: Channel = Channel.API) -> Asking:
    return Asking(person, channel, "console-host", now)


def decide(
    store: ApprovalStore, write: Written, decider: Principal, *, grant: bool = True, now: float = 1010.0, seen: str = ""
) -> Approval:
    if not seen:
        found = store.find("apr-1", 1001.0)
        seen = shown_digest(found) if found else "0" * 64
    return Decisions(store, write).decide("apr-1", asking(decider, now), Verdict(grant, "quarterly report", seen))


def state(store: ApprovalStore, now: float = 1010.0) -> ApprovalState:
    found = store.find("apr-1", now)
    assert found is not None
    return found.state


def named(approver: Principal, name: str, *groups: str) -> Principal:
    return replace(approver, subject=name, name=name.title(), groups=groups or approver.groups)


@pytest.mark.parametrize(("grant", "after"), [(True, ApprovalState.GRANTED), (False, ApprovalState.REFUSED)])
def test_the_record_is_durable_before_the_state_changes(
    sqlite_store: ApprovalStore, ask: Ask, approver: Principal, grant: bool, after: ApprovalState
) -> None:
    pending = sqlite_store.open(ask("apr-1"))
    states: list[ApprovalState] = []
    write = Written(lambda: states.append(state(sqlite_store)))
    decide(sqlite_store, write, approver, grant=grant)
    assert states == [ApprovalState.PENDING]
    assert state(sqlite_store) is after
    (record,) = write.records
    assert (record.event_code, record.status) == (EventCode.APPROVAL_DECIDE, Outcome.SUCCEEDED)
    assert (record.actor.uid, record.actor.kind, record.src_address) == (approver.uid, "person", "console-host")
    assert (record.time_ms, record.exchange_id) == (1_010_000, "exchange-apr-1")
    assert record.approval is not None
    assert (record.approval.id, record.approval.state) == ("apr-1", after.value)
    assert (record.approval.request_digest, record.approval.reason) == ("digest-apr-1", "quarterly report")
    assert record.detail == {
        "channel": "api",
        "vote": "grant" if grant else "refuse",
        "seen": shown_digest(pending),
        "votes": 1,
        "grants": int(grant),
        "quorum": 1,
    }


def test_without_a_record_there_is_no_decision(sqlite_store: ApprovalStore, ask: Ask, approver: Principal) -> None:
    sqlite_store.open(ask("apr-1"))

    def fail() -> None:
        raise Unavailable(Reason.AUDIT_UNAVAILABLE)

    with pytest.raises(Unavailable):
        decide(sqlite_store, Written(fail), approver)
    assert state(sqlite_store) is ApprovalState.PENDING


def test_the_votes_of_a_quorum_are_records_and_the_last_one_names_the_grant(
    sqlite_store: ApprovalStore, ask: Ask, approver: Principal
) -> None:
    sqlite_store.open(replace(ask("apr-1"), quorum=2))
    write = Written()
    assert decide(sqlite_store, write, named(approver, "bob")).state is ApprovalState.PENDING
    assert decide(sqlite_store, write, named(approver, "carol")).state is ApprovalState.GRANTED
    first, last = write.records
    assert first.approval is not None
    assert last.approval is not None
    assert (first.approval.state, first.approval.reason) == ("pending", "quarterly report")
    assert (first.approval.decided_by, last.approval.decided_by) == ("https://idp.test|bob", "https://idp.test|carol")
    assert last.approval.state == "granted"
    assert [(each.detail["votes"], each.detail["quorum"]) for each in write.records] == [(1, 2), (2, 2)]


def test_two_who_vote_at_once_both_count(sqlite_store: ApprovalStore, ask: Ask, approver: Principal) -> None:
    """The second one's step is judged anew over the first one's, and the record says so."""
    sqlite_store.open(replace(ask("apr-1"), quorum=2))
    others = iter([named(approver, "carol")])

    def carol_is_quicker() -> None:
        for other in others:
            decide(sqlite_store, Written(), other)

    write = Written(carol_is_quicker)
    assert decide(sqlite_store, write, named(approver, "bob")).state is ApprovalState.GRANTED
    assert write.said == [
        ("approval.decide", "succeeded", None),
        ("approval.decide", "failed", OVERTAKEN),
        ("approval.decide", "succeeded", None),
    ]
    assert write.records[-1].detail["votes"] == 2


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"subject": "analyst"}, TransitionCode.OWN_REQUEST),
        ({"subject": "ANALYST"}, TransitionCode.OWN_REQUEST),
        ({"groups": ("staff",)}, TransitionCode.NOT_AN_APPROVER),
        ({"kind": "service"}, TransitionCode.NOT_A_PERSON),
    ],
)
def test_an_attempt_without_the_right_is_recorded_and_changes_nothing(
    sqlite_store: ApprovalStore, ask: Ask, approver: Principal, change: dict[str, str], code: TransitionCode
) -> None:
    sqlite_store.open(ask("apr-1"))
    write, person = Written(), replace(approver, **change)  # type: ignore[arg-type]
    with pytest.raises(DecisionRefused) as refused:
        decide(sqlite_store, write, person)
    assert refused.value.code is code
    (record,) = write.records
    assert (record.status, record.detail["refused"], record.detail["vote"]) == (Outcome.REFUSED, code.value, "grant")
    assert record.actor.uid == person.uid
    assert record.approval is not None
    assert (record.approval.state, record.approval.reason) == ("pending", "")
    assert state(sqlite_store) is ApprovalState.PENDING


@pytest.mark.parametrize("seen", ["0" * 64, "4111111111111111", "\x1b[2J" + "0" * 60, "x" * 64])
def test_what_was_not_shown_is_not_decided(
    sqlite_store: ApprovalStore, ask: Ask, approver: Principal, seen: str
) -> None:
    sqlite_store.open(ask("apr-1"))
    write = Written()
    with pytest.raises(DecisionRefused) as refused:
        decide(sqlite_store, write, approver, seen=seen)
    assert refused.value.code is TransitionCode.OTHER_VIEW
    assert write.records[0].detail.get("seen", seen) == seen
    assert ("seen" in write.records[0].detail) == (seen == "0" * 64), "what is no digest is not kept"


def test_withdrawn_while_deciding_is_refused_and_recorded(
    sqlite_store: ApprovalStore, ask: Ask, approver: Principal
) -> None:
    sqlite_store.open(ask("apr-1"))
    write = Written(lambda: sqlite_store.withdraw("apr-1"))
    with pytest.raises(DecisionRefused) as refused:
        decide(sqlite_store, write, approver)
    assert refused.value.code is TransitionCode.NOT_PENDING
    assert write.said == [("approval.decide", "succeeded", None), ("approval.decide", "failed", "not_pending")]
    assert state(sqlite_store) is ApprovalState.WITHDRAWN


def test_a_store_that_fails_after_the_record_is_recorded(
    sqlite_store: ApprovalStore, ask: Ask, approver: Principal
) -> None:
    pending = sqlite_store.open(ask("apr-1"))

    def lose() -> None:
        with sqlite_store._database.transaction() as connection:
            connection.exec_driver_sql("DROP TABLE IF EXISTS approvals")

    write = Written(lose)
    with pytest.raises(Unavailable):
        decide(sqlite_store, write, approver, seen=shown_digest(pending))
    assert write.said[1] == ("approval.decide", "failed", "approvals_unavailable")


def test_an_expired_approval_cannot_be_granted(sqlite_store: ApprovalStore, ask: Ask, approver: Principal) -> None:
    sqlite_store.open(ask("apr-1"))
    with pytest.raises(DecisionRefused) as refused:
        decide(sqlite_store, Written(), approver, now=1100.0)
    assert refused.value.code is TransitionCode.NOT_PENDING


def test_the_same_vote_sent_twice_is_told_from_one_that_comes_too_late(
    sqlite_store: ApprovalStore, ask: Ask, approver: Principal
) -> None:
    sqlite_store.open(ask("apr-1"))
    decide(sqlite_store, Written(), approver)
    codes = []
    for person, grant in ((approver, True), (approver, False), (named(approver, "bob"), True)):
        with pytest.raises(DecisionRefused) as refused:
            decide(sqlite_store, Written(), person, grant=grant)
        codes.append(refused.value.code.value)
    assert codes == ["already_voted", "not_pending", "not_pending"]


def test_an_unknown_approval(sqlite_store: ApprovalStore, approver: Principal) -> None:
    with pytest.raises(DecisionRefused) as refused:
        decide(sqlite_store, Written(), approver)
    assert refused.value.code is TransitionCode.UNKNOWN


def test_a_grant_is_revoked_before_its_use_and_never_after(
    sqlite_store: ApprovalStore, ask: Ask, approver: Principal
) -> None:
    sqlite_store.open(ask("apr-1"))
    decide(sqlite_store, Written(), approver)
    write = Written()
    revoked = Decisions(sqlite_store, write).revoke("apr-1", asking(named(approver, "bob")), "the wrong customer")
    assert revoked.state is state(sqlite_store) is ApprovalState.REVOKED
    assert not sqlite_store.claim("apr-1", "digest-apr-1", "https://idp.test|analyst", 1020.0)
    assert write.said == [("approval.revoke", "succeeded", None)]
    assert write.records[0].approval is not None
    assert write.records[0].approval.reason == "the wrong customer"
    with pytest.raises(DecisionRefused) as refused:
        Decisions(sqlite_store, write).revoke("apr-1", asking(approver), "again")
    assert refused.value.code is TransitionCode.NOT_GRANTED


def test_a_use_that_comes_first_leaves_nothing_to_revoke(
    sqlite_store: ApprovalStore, ask: Ask, approver: Principal
) -> None:
    sqlite_store.open(ask("apr-1"))
    decide(sqlite_store, Written(), approver)
    write = Written(lambda: sqlite_store.claim("apr-1", "digest-apr-1", "https://idp.test|analyst", 1015.0))
    with pytest.raises(DecisionRefused) as refused:
        Decisions(sqlite_store, write).revoke("apr-1", asking(approver), "late")
    assert refused.value.code is TransitionCode.NOT_GRANTED
    assert write.said[-1] == ("approval.revoke", "failed", "not_granted")
    assert state(sqlite_store) is ApprovalState.USED


def test_an_emergency_is_reviewed_once_by_an_approver(
    sqlite_store: ApprovalStore, ask: Ask, approver: Principal
) -> None:
    sqlite_store.open(replace(ask("apr-1"), emergency=True))
    write, decisions = Written(), Decisions(sqlite_store, Written())
    reviewed = Decisions(sqlite_store, write).review("apr-1", asking(approver), "a real outage")
    assert (reviewed.reviewed_by_uid, reviewed.state) == (approver.uid, ApprovalState.USED)
    assert write.said == [("approval.review", "succeeded", None)]
    for person, code in ((named(approver, "analyst"), "reviewed"), (approver, "reviewed")):
        with pytest.raises(DecisionRefused) as refused:
            decisions.review("apr-1", asking(person), "again")
        assert refused.value.code.value == code


def test_only_the_requester_withdraws(sqlite_store: ApprovalStore, ask: Ask, approver: Principal) -> None:
    sqlite_store.open(ask("apr-1"))
    write = Written()
    for stranger in (approver, named(approver, "ANALYST")):
        with pytest.raises(TransitionRefused) as refused:
            Decisions(sqlite_store, write).withdraw("apr-1", asking(stranger))
        assert refused.value.code is TransitionCode.OTHER_REQUESTER
    Decisions(sqlite_store, write).withdraw("apr-1", asking(named(approver, "analyst")))
    assert [status for _, status, _ in write.said] == ["refused", "refused", "succeeded"]
    assert state(sqlite_store) is ApprovalState.WITHDRAWN
    with pytest.raises(TransitionRefused) as refused:
        Decisions(sqlite_store, write).withdraw("apr-1", asking(named(approver, "analyst")))
    assert refused.value.code is TransitionCode.FINAL


def test_a_masked_request_is_shown_once_its_reading_is_recorded(
    sqlite_store: ApprovalStore, ask: Ask, approver: Principal
) -> None:
    sqlite_store.open(ask("apr-1", b'{"prompt": "Pay [PAN]"}'))
    write = Written()
    approval, turns = Decisions(sqlite_store, write).read_request("apr-1", asking(approver))
    assert (approval.approval_id, turns[0].text) == ("apr-1", "Pay [PAN]")
    assert write.said == [("audit.read", "succeeded", None)]

    def fail() -> None:
        raise Unavailable(Reason.AUDIT_UNAVAILABLE)

    with pytest.raises(Unavailable):
        Decisions(sqlite_store, Written(fail)).read_request("apr-1", asking(approver))


def test_what_is_shown_is_what_was_asked(ask: Ask) -> None:
    """The digest stays with every step, so that a second voter decides on the same view as the first."""
    approval = open_approval(ask("apr-1"))
    voted = replace(approval, state=ApprovalState.GRANTED, decided_at=1.0, revision=9)
    assert shown_digest(voted) == shown_digest(approval)
    assert shown_digest(replace(approval, model="large")) != shown_digest(approval)
