"""The terms of a hold: what a document may ask of approvers, what is without effect, and what holds where rules meet."""

from typing import Any

import pytest

from extproc.core.policy import Effect, HoldTerms, authorize
from extproc.core.policy_diff import differences
from tests.core.policy_texts import ALLOW, HOLD, document, given, parsed, rule, said

WHOLE: dict[str, Any] = {
    "approvers": ["approvers"],
    "quorum": 3,
    "each_of": ["risk", "privacy"],
    "wait": "30s",
    "expire": "10m",
    "detach": True,
    "reason": "required",
    "window": {"for": "1h", "uses": 20},
    "escalate": {"after": "5m", "to": ["leads"]},
    "emergency": {"groups": ["on-call"]},
}
TERMS = HoldTerms(
    approver_groups=("approvers", "risk", "privacy"),
    wait_seconds=30.0,
    expire_seconds=600.0,
    detach=True,
    quorum=3,
    each_of=("risk", "privacy"),
    reason_required=True,
    window_seconds=3600.0,
    window_uses=20,
    escalate_after_seconds=300.0,
    escalation_groups=("leads",),
    emergency_groups=("on-call",),
)


def hold(name: str = "h", **terms: Any) -> dict[str, Any]:
    return rule(name, "hold", hold=HOLD | terms)


def terms_of(*rules: dict[str, Any], **budgets: int) -> HoldTerms:
    decision = authorize(parsed(ALLOW, *rules), given(budgets=budgets))
    assert decision.effect is Effect.HOLD
    assert decision.hold is not None
    return decision.hold


def test_every_term_is_read() -> None:
    assert terms_of(rule("h", "hold", hold=WHOLE)) == TERMS


def test_a_step_of_a_budget_holds_on_the_same_terms() -> None:
    step = {"at": 1, "do": "hold", "hold": WHOLE}
    budget = {"name": "b", "match": {}, "count": "exchanges", "per": "person", "window": "1h", "steps": [step]}
    decision = authorize(parsed(ALLOW, budgets=[budget]), given(budgets={"b": 1}))
    assert (decision.rule, decision.hold) == ("budget:b", TERMS)


def test_groups_that_must_each_be_stood_for_ask_for_as_many_people() -> None:
    assert terms_of(hold(each_of=["risk", "privacy"])).quorum == 2
    assert terms_of(hold()).quorum == 1


def test_a_group_of_the_document_is_written_out_wherever_it_decides() -> None:
    terms = {"each_of": ["r", "p"], "escalate": {"after": "1m", "to": ["l"]}, "emergency": {"groups": ["l"]}}
    groups = {"a": ["a-1"], "r": ["risk-7"], "p": ["privacy-7"], "l": ["lead-1", "lead-2"]}
    policy = parsed(ALLOW, hold(**terms), known={"groups": groups})
    made = policy.rules[1].hold
    assert made is not None
    assert made.approver_groups == ("a-1", "risk-7", "privacy-7")
    assert made.escalation_groups == made.emergency_groups == ("lead-1", "lead-2")


INERT: dict[str, tuple[dict[str, Any], str, str]] = {
    "a quorum below its groups": ({"quorum": 1, "each_of": ["b", "c"]}, "quorum", "is less than the 2 people"),
    "a group that all are of": ({"each_of": ["a"]}, "each_of", "would have no effect"),
    "a window of no time": ({"window": {"for": "0s", "uses": 2}}, "window.for", "longer than nothing"),
    "a window of a month": ({"window": {"for": "30d", "uses": 2}}, "window.for", "must be at most 7d"),
    "a window of one use": ({"window": {"for": "1h", "uses": 1}}, "window.uses", "would have no effect"),
    "an escalation at once": ({"escalate": {"after": "0s", "to": ["b"]}}, "escalate.after", "longer than nothing"),
    "an escalation after the end": ({"escalate": {"after": "1h", "to": ["b"]}}, "escalate.after", "less than `expire`"),
    "an escalation to the same": ({"escalate": {"after": "1m", "to": ["a"]}}, "escalate.to", "would have no effect"),
    "no quorum": ({"quorum": 0}, "quorum", ""),
    "what is reserved": ({"keep_alive": "sse"}, "keep_alive", ""),
    "a reason that may be given": ({"reason": "optional"}, "reason", ""),
    "a window without uses": ({"window": {"for": "1h"}}, "window.uses", "is missing"),
    "an emergency of nobody": ({"emergency": {"groups": []}}, "emergency.groups", "must not be empty"),
    "an escalation to a list that is not there": ({"escalate": {"after": "1m", "to": ["@x"]}}, "escalate.to[0]", ""),
}


@pytest.mark.parametrize("name", INERT)
def test_terms_that_cannot_be_met_or_change_nothing_are_problems(name: str) -> None:
    terms, path, message = INERT[name]
    where, told, _ = said(document(ALLOW, hold(**terms)))
    assert where == f"rules[1].hold.{path}"
    assert message in told


def test_an_alias_of_several_groups_is_none_that_one_person_stands_for() -> None:
    groups = {"a": ["a-1"], "r": ["risk-7", "risk-8"], "p": ["privacy-7"]}
    path, message, _ = said(document(ALLOW, hold(each_of=["r", "p"]), known={"groups": groups}))
    assert (path, message) == ("rules[1].hold.each_of[0]", "`r` stands for 2 groups, and each would be needed")


def test_where_two_rules_hold_no_one_of_them_makes_it_easier() -> None:
    easy = hold("easy", window={"for": "1h", "uses": 2}, emergency={"groups": ["x", "y"]})
    strict = hold("strict", emergency={"groups": ["y", "z"]}, reason="required")
    easy["match"], strict["match"] = {"models": ["m*"]}, {"kinds": ["person"]}
    met = terms_of(easy, strict)
    assert (met.window_seconds, met.window_uses) == (0.0, 0)
    assert met.emergency_groups == ("y",)
    assert met.reason_required
    assert terms_of(easy).window_uses == 2


def test_where_two_rules_hold_whoever_decides_reads_what_both_ask_about() -> None:
    one, same, other = hold("one"), hold("same"), hold("other")
    one["text"] = same["text"] = "Large requests."
    other["text"] = "Secret models."
    one["match"], same["match"] = {"models": ["m*"]}, {"kinds": ["person"]}
    assert authorize(parsed(ALLOW, one, same, other), given()).text == "Large requests. Secret models."


def test_a_difference_of_terms_is_told_as_the_document_writes_it() -> None:
    old, new = (parsed(ALLOW, hold(window={"for": "1h", "uses": uses})) for uses in (2, 3))
    assert [(each.path, each.old, each.new) for each in differences(old, new)] == [
        ("rules[h].hold.window.uses", "2", "3")
    ]
