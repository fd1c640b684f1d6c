"""Several rules hold one request: what grants it under the joined terms would have granted it under each of them."""

from dataclasses import replace
from itertools import combinations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from extproc.core.approval import Approval, ApprovalState, Channel, DecisionRefused, decide, shown_digest
from extproc.core.policy import HoldTerms
from extproc.core.policy.joining import joined_terms
from extproc.core.principal import Principal
from tests.core.test_approval_votes import PENDING

GROUPS = ("risk", "privacy", "leads")
SUBSETS = [some for size in range(1, 4) for some in combinations(GROUPS, size)]
ESCALATED, EXPIRED = 1050.0, 1100.0
SOME_GROUPS = st.lists(st.sampled_from(GROUPS), max_size=3, unique=True).map(tuple)


def hold(
    *approvers: str, each_of: tuple[str, ...] = (), quorum: int = 0, escalation: tuple[str, ...] = ()
) -> HoldTerms:
    """As a document is built: those of `each_of` decide, and the quorum is no less than they are."""
    return HoldTerms(
        approver_groups=tuple(dict.fromkeys((*approvers, *each_of))),
        wait_seconds=30.0,
        expire_seconds=EXPIRED - PENDING.created_at,
        detach=True,
        quorum=max(1, quorum, len(each_of)),
        each_of=each_of,
        escalate_after_seconds=ESCALATED - PENDING.created_at if escalation else 0.0,
        escalation_groups=escalation,
    )


HOLDS = st.builds(
    lambda first, more, each_of, quorum, escalation: hold(
        *(first, *more), each_of=each_of, quorum=quorum, escalation=escalation
    ),
    st.sampled_from(GROUPS),
    SOME_GROUPS,
    SOME_GROUPS,
    st.integers(0, 3),
    SOME_GROUPS,
)


def granted(terms: HoldTerms, people: list[tuple[tuple[str, ...], float]]) -> bool:
    """Whether these people (their groups, and when they grant) are enough, as far as they may decide."""
    approval: Approval = replace(
        PENDING,
        approver_groups=terms.approver_groups,
        quorum=terms.quorum,
        each_of=terms.each_of,
        escalate_after_seconds=terms.escalate_after_seconds,
        escalation_groups=terms.escalation_groups,
    )
    for number, (groups, at) in enumerate(people):
        person = Principal("https://idp", f"p{number}", "", groups)
        try:
            approval = decide(approval, person, True, "why", seen=shown_digest(approval), channel=Channel.API, now=at)
        except DecisionRefused:
            continue
        if approval.state is ApprovalState.GRANTED:
            return True
    return False


@settings(max_examples=150)
@given(
    st.lists(HOLDS, min_size=2, max_size=3),
    st.lists(st.tuples(SOME_GROUPS, st.sampled_from((1010.0, 1060.0))), max_size=6),
)
def test_whoever_grants_by_the_joined_terms_grants_by_each(
    terms: list[HoldTerms], people: list[tuple[tuple[str, ...], float]]
) -> None:
    joined = joined_terms(terms)
    crowds = [[((group,), at) for group in some for _ in range(4)] for some in SUBSETS for at in (1010.0, 1060.0)]
    assert granted(joined, crowds[-1]), "nobody could grant it"
    for some in (people, people[::-1], *crowds):
        if granted(joined, some):
            assert all(granted(each, some) for each in terms)


def test_what_a_budget_joins_to_joined_rules_still_needs_two_people_of_one_group() -> None:
    rules, step = [hold("risk", quorum=2), hold("privacy")], hold("risk", "privacy")
    joined = joined_terms([joined_terms(rules), step])
    assert joined.each_of == ("risk", "risk", "privacy")
    assert joined == joined_terms([step, joined_terms(rules)])
    assert not granted(joined, [((group,), 1010.0) for group in ("risk", "privacy", "privacy")])
    assert granted(joined, [((group,), 1010.0) for group in ("risk", "privacy", "risk")])


JOINED: dict[str, tuple[list[HoldTerms], HoldTerms]] = {
    "the larger quorum": ([hold("risk"), hold("risk", quorum=2)], hold("risk", quorum=2)),
    "groups of both": ([hold("risk", "leads"), hold("leads", "privacy")], hold("leads")),
    "one of each where none is of both": ([hold("risk"), hold("privacy")], hold(each_of=("risk", "privacy"))),
    "the one that is wanted anyway": (
        [hold("leads", "risk", "privacy"), hold("risk"), hold("privacy")],
        hold(each_of=("risk", "privacy")),
    ),
    "the one that is named first": ([hold("risk", "privacy"), hold("leads")], hold(each_of=("leads", "risk"))),
    "as many as either asks for": (
        [hold("risk", quorum=2), hold("privacy", each_of=("leads",), quorum=2)],
        hold(each_of=("leads", "risk", "risk", "privacy")),
    ),
    "escalation to whom both escalate": (
        [hold("risk", escalation=("leads", "privacy")), hold("risk", escalation=("privacy",))],
        hold("risk", escalation=("privacy",)),
    ),
    "no escalation by one": ([hold("risk"), hold("risk", escalation=("leads",))], hold("risk")),
}


@pytest.mark.parametrize("case", JOINED)
def test_who_decides_what_two_rules_hold(case: str) -> None:
    terms, expected = JOINED[case]
    assert joined_terms(terms) == expected


def test_the_shortest_time_counts_and_a_client_may_leave_by_all_rules_alone() -> None:
    short = replace(hold("risk"), wait_seconds=5.0, expire_seconds=60.0, detach=False)
    for terms in ([hold("risk"), short], [short, hold("risk")]):
        joined = joined_terms(terms)
        assert (joined.wait_seconds, joined.expire_seconds, joined.detach) == (5.0, 60.0, False)
