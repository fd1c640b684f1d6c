"""The rules of approvals: only legal steps, one use, and never the requester's own decision."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from extproc.core.approval import (
    MAX_REASON_CHARACTERS,
    SENTENCES,
    TRANSITIONS,
    Approval,
    ApprovalRequest,
    ApprovalState,
    Channel,
    DecisionRefused,
    TransitionCode,
    TransitionRefused,
    Vote,
    claim,
    decide,
    expire,
    open_approval,
    shown_digest,
    withdraw,
)
from extproc.core.identity import Principal
from extproc.core.trust import Masked

CREATED, EXPIRES = 1000.0, 1100.0
REQUESTER = Principal(issuer="https://idp.test", subject="analyst", name="Analyst", groups=("analysts", "approvers"))
APPROVER = Principal(issuer="https://idp.test", subject="approver", name="Approver", groups=("staff", "approvers"))
OUTSIDER = Principal(issuer="https://idp.test", subject="outsider", name="Outsider", groups=("staff",))
NAMESAKE = replace(APPROVER, issuer="https://other.test", subject="analyst")

PENDING = open_approval(
    ApprovalRequest(
        approval_id="apr-1",
        exchange_id="exchange-1",
        requester_uid=REQUESTER.uid,
        requester_name=REQUESTER.name,
        rule="bulk",
        rule_text="Large requests are approved.",
        policy_digest="sha256:00",
        request_digest="digest",
        connection="main",
        operation="chat",
        model="small",
        findings=(("pan", 1),),
        approver_groups=("approvers", "owners"),
        created_at=CREATED,
        expires_at=EXPIRES,
        preview=Masked(b"[PAN]"),
    )
)


def vote(approval: Approval, decider: Principal, grant: bool, reason: str, now: float) -> Approval:
    """Of somebody who looked at it in the console."""
    return decide(approval, decider, grant, reason, seen=shown_digest(approval), channel=Channel.CONSOLE, now=now)


def test_a_request_opens_pending_and_undecided() -> None:
    assert PENDING.state is ApprovalState.PENDING
    assert (PENDING.decided_at, PENDING.decided_by_uid, PENDING.decision_reason) == (0.0, "", "")


@pytest.mark.parametrize(("grant", "state"), [(True, ApprovalState.GRANTED), (False, ApprovalState.REFUSED)])
def test_an_approver_decides_with_a_reason(grant: bool, state: ApprovalState) -> None:
    decided = vote(PENDING, APPROVER, grant, " quarterly report \n", 1010.0)
    assert decided == replace(
        PENDING,
        state=state,
        decided_at=1010.0,
        decided_by_uid=APPROVER.uid,
        decided_by_name="Approver",
        decision_reason="quarterly report",
        granted_until=EXPIRES if grant else 0.0,
        votes=(
            Vote(
                uid=APPROVER.uid,
                name="Approver",
                groups=("approvers",),
                grant=grant,
                reason="quarterly report",
                at=1010.0,
                seen=shown_digest(PENDING),
                channel=Channel.CONSOLE,
            ),
        ),
    )


def test_a_requester_who_is_written_another_way_decides_nothing() -> None:
    with pytest.raises(DecisionRefused) as refused:
        vote(PENDING, replace(APPROVER, subject=f" {REQUESTER.subject.upper()}"), True, "mine", 1010.0)
    assert refused.value.code is TransitionCode.OWN_REQUEST


@pytest.mark.parametrize(
    ("decider", "reason", "now", "code"),
    [
        (REQUESTER, "mine", 1010.0, TransitionCode.OWN_REQUEST),
        (OUTSIDER, "fine", 1010.0, TransitionCode.NOT_AN_APPROVER),
        (replace(APPROVER, groups=()), "fine", 1010.0, TransitionCode.NOT_AN_APPROVER),
        (APPROVER, "fine", EXPIRES, TransitionCode.EXPIRED),
        (APPROVER, "fine", float("nan"), TransitionCode.EXPIRED),
        (APPROVER, "", 1010.0, TransitionCode.REASON_EMPTY),
        (APPROVER, " \t\n", 1010.0, TransitionCode.REASON_EMPTY),
        (APPROVER, "x" * (MAX_REASON_CHARACTERS + 1), 1010.0, TransitionCode.REASON_TOO_LONG),
        (APPROVER, "fine\x1b[2J", 1010.0, TransitionCode.REASON_UNPRINTABLE),
        (APPROVER, "fine\x00", 1010.0, TransitionCode.REASON_UNPRINTABLE),
        (APPROVER, "fine\ud800", 1010.0, TransitionCode.REASON_UNPRINTABLE),
    ],
)
@pytest.mark.parametrize("grant", [True, False])
def test_a_decision_that_the_rules_forbid(
    decider: Principal, reason: str, now: float, code: TransitionCode, grant: bool
) -> None:
    with pytest.raises(DecisionRefused) as refused:
        vote(PENDING, decider, grant, reason, now)
    assert refused.value.code is code
    assert refused.value.sentence == SENTENCES[code]
    assert str(refused.value) == code.value


def test_the_longest_reason_and_a_namesake_of_another_issuer_are_accepted() -> None:
    assert vote(PENDING, NAMESAKE, True, "x" * MAX_REASON_CHARACTERS, 1010.0).state is ApprovalState.GRANTED


def test_without_approver_groups_nobody_decides() -> None:
    with pytest.raises(DecisionRefused):
        vote(replace(PENDING, approver_groups=()), APPROVER, True, "fine", 1010.0)


@pytest.mark.parametrize(
    ("digest", "uid", "now", "code"),
    [
        ("other", REQUESTER.uid, 1020.0, TransitionCode.OTHER_REQUEST),
        ("digest", APPROVER.uid, 1020.0, TransitionCode.OTHER_REQUESTER),
        ("digest", REQUESTER.uid, EXPIRES, TransitionCode.EXPIRED),
    ],
)
def test_a_grant_is_bound_to_request_requester_and_time(
    digest: str, uid: str, now: float, code: TransitionCode
) -> None:
    granted = vote(PENDING, APPROVER, True, "fine", 1010.0)
    with pytest.raises(TransitionRefused) as refused:
        claim(granted, digest, uid, now)
    assert refused.value.code is code


def test_every_code_has_a_sentence_and_every_state_its_steps() -> None:
    assert set(SENTENCES) == set(TransitionCode)
    assert set(TRANSITIONS) == set(ApprovalState)
    final = {state for state, following in TRANSITIONS.items() if not following}
    assert final == set(ApprovalState) - {ApprovalState.PENDING, ApprovalState.GRANTED}


# What a step is made of: mostly the legal one, with some noise, so that sequences reach the deep states.
_STEPS = st.one_of(
    st.tuples(st.just("decide"), st.sampled_from([APPROVER, APPROVER, REQUESTER, OUTSIDER, NAMESAKE]), st.booleans()),
    st.tuples(st.just("claim"), st.sampled_from(["digest", "digest", "other"]), st.sampled_from([REQUESTER, APPROVER])),
    st.tuples(st.just("expire"), st.none(), st.none()),
    st.tuples(st.just("withdraw"), st.none(), st.none()),
)
_TIMES = st.floats(CREATED, EXPIRES + 20, allow_nan=False)


def _step(approval: Approval, step: tuple[object, object, object], now: float) -> Approval:
    match step:
        case ("decide", Principal() as decider, bool(grant)):
            return vote(approval, decider, grant, "reason", now)
        case ("claim", str(digest), Principal() as requester):
            return claim(approval, digest, requester.uid, now)
        case ("expire", _, _):
            return expire(approval, now)
        case _:
            return withdraw(approval)


@given(st.lists(st.tuples(_STEPS, _TIMES), max_size=12))
def test_any_sequence_uses_a_grant_at_most_once_on_a_legal_path(
    steps: list[tuple[tuple[object, object, object], float]],
) -> None:
    approval, path = PENDING, [ApprovalState.PENDING]
    for step, now in steps:
        try:
            following = _step(approval, step, now)
        except TransitionRefused:
            continue
        assert following.state in TRANSITIONS[approval.state]
        if following.state in {ApprovalState.GRANTED, ApprovalState.REFUSED, ApprovalState.USED}:
            assert now < EXPIRES
        if following.state is ApprovalState.EXPIRED:
            assert now >= EXPIRES
        approval = following
        path.append(approval.state)
    assert path.count(ApprovalState.USED) <= 1
    if ApprovalState.USED in path:
        assert path == [ApprovalState.PENDING, ApprovalState.GRANTED, ApprovalState.USED]
    assert approval.decided_by_uid in {"", APPROVER.uid, NAMESAKE.uid}
    assert approval.decided_by_uid != approval.requester_uid
    assert bool(approval.decided_by_uid) == bool({ApprovalState.GRANTED, ApprovalState.REFUSED} & set(path))
