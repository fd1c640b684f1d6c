"""Quorums, groups, windows, revocation and review, against a model that knows none of their code."""

from dataclasses import replace
from itertools import permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from extproc.core.approval import (
    Approval,
    ApprovalRequest,
    ApprovalState,
    Channel,
    DecisionRefused,
    TransitionCode,
    TransitionRefused,
    claim,
    counted_grants,
    decide,
    expire,
    open_approval,
    review,
    revoke,
    shown_digest,
    withdraw,
)
from extproc.core.principal import Principal
from extproc.core.trust import Masked

GROUPS = ("risk", "privacy", "leads")
PEOPLE = tuple(
    Principal("https://idp", f"p{number}", "", groups, aliases=(f"p{number}@x",))
    for number, groups in enumerate((("risk",), ("privacy",), ("risk", "privacy"), ("leads",), ("staff",)))
)
TWIN = replace(PEOPLE[0], issuer="https://other", subject="second", groups=("privacy",))
SECOND_SELF = Principal("https://other", "me-too", "", GROUPS, aliases=("anna@x",))
REQUEST = ApprovalRequest(
    approval_id="apr-1",
    exchange_id="ex-1",
    requester_uid="https://idp|anna",
    requester_name="Anna",
    rule="r",
    rule_text="",
    policy_digest="sha256:0",
    request_digest="d",
    connection="c",
    operation="chat",
    model="m",
    findings=(),
    approver_groups=("risk", "privacy"),
    created_at=1000.0,
    expires_at=1100.0,
    preview=Masked(b""),
    requester_aliases=("anna@x",),
    quorum=2,
    each_of=("risk", "privacy"),
    escalate_after_seconds=50.0,
    escalation_groups=("leads",),
    window_seconds=30.0,
    window_uses=2,
)
PENDING = open_approval(REQUEST)


def vote(approval: Approval, person: Principal, now: float = 1010.0, *, grant: bool = True, seen: str = "") -> Approval:
    seen = seen or shown_digest(approval)
    return decide(approval, person, grant, "why", seen=seen, channel=Channel.API, now=now)


def refusal(approval: Approval, person: Principal, now: float = 1010.0, seen: str = "") -> TransitionCode:
    with pytest.raises(DecisionRefused) as refused:
        vote(approval, person, now, seen=seen)
    return refused.value.code


def test_one_person_stands_for_one_group_and_for_the_one_that_is_missing() -> None:
    both, risk = PEOPLE[2], PEOPLE[0]
    for order in permutations((both, risk)):
        first = vote(PENDING, order[0])
        assert first.state is ApprovalState.PENDING
        assert vote(first, order[1]).state is ApprovalState.GRANTED
    alone = replace(PENDING, quorum=1)
    assert vote(alone, both).state is ApprovalState.PENDING
    twice = vote(vote(PENDING, risk), replace(risk, subject="p9", aliases=()))
    assert twice.state is ApprovalState.PENDING


def test_a_second_account_is_the_same_person() -> None:
    assert refusal(PENDING, SECOND_SELF) is TransitionCode.OWN_REQUEST
    assert refusal(vote(PENDING, PEOPLE[0]), TWIN) is TransitionCode.ALREADY_VOTED


def test_whoever_is_one_too_many_of_a_group_is_not_counted_for_another() -> None:
    asked = replace(PENDING, each_of=("risk", "privacy"), quorum=2)
    twice = vote(vote(asked, PEOPLE[0]), replace(PEOPLE[0], subject="p9", aliases=()))
    assert (twice.state, len(twice.grants), counted_grants(twice)) == (ApprovalState.PENDING, 2, 1)
    met = vote(twice, PEOPLE[1])
    assert (met.state, len(met.grants), counted_grants(met)) == (ApprovalState.GRANTED, 3, 2)


def test_a_vote_is_for_what_was_shown() -> None:
    assert refusal(PENDING, PEOPLE[0], seen="0" * 64) is TransitionCode.OTHER_VIEW
    voted = vote(PENDING, PEOPLE[0])
    assert shown_digest(voted) == shown_digest(PENDING)
    assert shown_digest(replace(PENDING, request_digest="e")) != shown_digest(PENDING)


def test_an_escalation_lets_more_decide_from_then_on() -> None:
    assert refusal(PENDING, PEOPLE[3], 1049.0) is TransitionCode.NOT_AN_APPROVER
    assert vote(PENDING, PEOPLE[3], 1050.0).votes[0].groups == ("leads",)


def test_a_window_ends_by_its_uses_by_its_time_and_by_who_takes_it_back() -> None:
    granted = vote(vote(PENDING, PEOPLE[0]), PEOPLE[1], 1090.0)
    assert granted.granted_until == 1120.0
    once = claim(granted, "another", REQUEST.requester_uid, 1119.0)
    assert once.state is ApprovalState.GRANTED
    assert claim(once, "third", REQUEST.requester_uid, 1119.0).state is ApprovalState.USED
    assert expire(once, 1120.0).state is ApprovalState.EXPIRED
    taken = revoke(once, PEOPLE[2], "no more", 1100.0)
    assert (taken.state, taken.decision_reason) == (ApprovalState.REVOKED, "no more")
    with pytest.raises(TransitionRefused):
        claim(taken, "d", REQUEST.requester_uid, 1101.0)
    with pytest.raises(DecisionRefused):
        revoke(once, SECOND_SELF, "mine", 1100.0)


def test_an_emergency_is_used_and_reviewed_once_by_another() -> None:
    used = open_approval(replace(REQUEST, emergency=True))
    assert (used.state, used.uses) == (ApprovalState.USED, 1)
    with pytest.raises(DecisionRefused):
        review(used, SECOND_SELF, "fine", 1010.0)
    reviewed = review(used, PEOPLE[0], "fine", 1010.0)
    assert (reviewed.reviewed_by_uid, reviewed.reviewed_at) == (PEOPLE[0].uid, 1010.0)
    with pytest.raises(DecisionRefused):
        review(reviewed, PEOPLE[1], "fine", 1011.0)
    with pytest.raises(DecisionRefused):
        review(PENDING, PEOPLE[0], "fine", 1010.0)


def test_a_clock_that_goes_back_leaves_steps_in_their_order() -> None:
    voted = vote(vote(PENDING, PEOPLE[0], 1050.0), PEOPLE[1], 1010.0)
    assert [each.at for each in voted.votes] == [1050.0, 1050.0]
    assert voted.granted_until == 1080.0


_STEP = st.one_of(
    st.tuples(st.just("vote"), st.sampled_from((*PEOPLE[:3], *PEOPLE, TWIN, SECOND_SELF)), st.sampled_from("yyyn")),
    st.tuples(st.just("claim"), st.just(PEOPLE[0]), st.sampled_from("yyn")),
    st.tuples(st.sampled_from(["expire", "withdraw", "revoke"]), st.just(PEOPLE[0]), st.just("y")),
)


def _take(approval: Approval, name: str, person: Principal, how: str, now: float) -> Approval:
    match name:
        case "vote":
            return vote(approval, person, now, grant=how == "y")
        case "claim":
            return claim(approval, "any", REQUEST.requester_uid if how == "y" else "other", now)
        case "revoke":
            return revoke(approval, person, "no", now)
        case "expire":
            return expire(approval, now)
        case _:
            return withdraw(approval)


@given(st.lists(st.tuples(_STEP, st.floats(1000, 1140)), max_size=10), st.sampled_from([(), ("risk", "privacy")]))
def test_any_steps_in_any_order_of_times_come_to_what_the_model_says(
    steps: list[tuple[tuple[str, Principal, str], float]], each_of: tuple[str, ...]
) -> None:
    approval = replace(PENDING, each_of=each_of)
    state, until, uses, last = "pending", 1100.0, 0, 1000.0
    granting: list[Principal] = []
    for (name, person, how), now in steps:
        groups = {"risk", "privacy"} | ({"leads"} if now >= 1050 else set())
        alive, mine = now < until, not groups.isdisjoint(person.groups) and "anna@x" not in person.aliases
        expected = None
        if (
            name == "vote"
            and state == "pending"
            and alive
            and mine
            and person.aliases not in [p.aliases for p in granting]
        ):
            last = max(last, now)
            granting += [person] if how == "y" else []
            stood = any(
                all(g in p.groups for g, p in zip(each_of, some, strict=False)) for some in permutations(granting)
            )
            expected = "refused" if how == "n" else "granted" if len(granting) >= 2 and stood else "pending"
            until = last + 30 if expected == "granted" else until
        elif name == "claim" and state == "granted" and alive and how == "y":
            uses += 1
            expected = "used" if uses == 2 else "granted"
        elif name == "revoke" and state == "granted" and alive:
            expected = "revoked"
        elif ((name == "expire" and not alive) or name == "withdraw") and state in {"pending", "granted"}:
            expected = "expired" if name == "expire" else "withdrawn"
        if expected is None:
            with pytest.raises(TransitionRefused):
                _take(approval, name, person, how, now)
            continue
        approval, state = _take(approval, name, person, how, now), expected
        assert (approval.state.value, approval.uses, len(approval.grants)) == (state, uses, len(granting))


def test_a_group_that_stands_twice_is_stood_for_by_two_people() -> None:
    approval = replace(PENDING, each_of=("risk", "risk", "privacy"), quorum=3)
    for person in (PEOPLE[0], PEOPLE[1], PEOPLE[3]):
        approval = vote(approval, person, 1060.0)
    assert approval.state is ApprovalState.PENDING
    assert vote(approval, PEOPLE[2], 1060.0).state is ApprovalState.GRANTED
