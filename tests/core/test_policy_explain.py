"""An explanation says what `authorize` says, and why, rule by rule."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from extproc.core.policy import DecisionInput, Effect, Facts, Operation, Policy, ResponseCounts, judge_response, matches
from extproc.core.policy_document import parse_policy
from extproc.core.policy_explain import Explanation, explain
from extproc.core.principal import Principal
from tests.core import random_policies as some


@given(some.policies(), some.inputs, st.none() | some.counts)
@settings(max_examples=60, deadline=None)
def test_an_explanation_says_the_verdict_of_the_authorizer(
    policy: Policy, looked_at: DecisionInput, counted: ResponseCounts | None
) -> None:
    said = explain(policy, looked_at, counted)
    decision = said.decision
    assert (said.effect, said.rule) == (decision.effect, decision.rule)
    accounts = (*said.rules, *said.budgets)
    named = tuple(each.name for each in accounts if each.determining)
    assert named == (decision.determining if decision.rule != "default-deny" else ())
    assert {each.rule for each in decision.shadow} == {
        each.name
        for each in said.rules
        if each.shadow and all(unmet.where.startswith("require.") for unmet in each.unmet)
    }
    for rule, account in zip(policy.rules, said.rules, strict=True):
        assert any(unmet.where.startswith("match.") for unmet in account.unmet) != matches(rule.match, looked_at)
    if counted is not None:
        verdict = judge_response(policy, looked_at, counted)
        assert tuple(each.name for each in said.response_rules if each.determining) == verdict.determining


POLICY = b"""apiVersion: extproc/v1
kind: Policy
name: explained
rules:
  - name: no-shell
    effect: deny
    match: {}
    when: '"shell" in request.tool_names'
  - name: costly
    effect: deny
    match: {models: ["llama-3-70b"], at_least: {max_tokens: 1000}}
    when: request.max_tokens / request.tools > 5000
  - name: dry
    effect: deny
    match: {groups: [analysts]}
    mode: shadow
    shadow_until: 2030-01-01
  - name: analysts
    effect: allow
    match: {groups: [analysts], times: [{days: [mon, tue, wed], from: "08:00", to: "18:00", zone: Europe/Vienna}]}
  - name: staff
    effect: allow
    match: {groups: [staff], kinds: [person]}
    require: {mfa: true, max_auth_age: 1h}
"""
AGE = "require.max_auth_age"
NOW = 1_795_600_800.0
ANN = Principal("https://idp", "ann", "Ann", ("analysts",))
GIVEN = DecisionInput(ANN, "default", Operation.CHAT, Facts(model="tiny", max_tokens=16), {}, NOW, "192.0.2.7:1")


def told(said: Explanation) -> dict[str, list[str]]:
    return {each.name: [unmet.where for unmet in each.unmet] for each in said.rules}


@pytest.fixture(scope="module")
def policy() -> Policy:
    return parse_policy(POLICY)


def test_of_each_rule_it_is_said_what_does_not_hold(policy: Policy) -> None:
    said = explain(policy, GIVEN)
    assert told(said) == {
        "no-shell": ["when"],
        "costly": ["match.models", "match.at_least.max_tokens"],
        "dry": [],
        "analysts": [],
        "staff": ["match.groups", "require.mfa", "require.max_auth_age"],
    }
    assert [each.name for each in said.rules if each.determining] == ["analysts"]
    assert said.effect is Effect.ALLOW


@pytest.mark.parametrize(
    ("changes", "rule", "where"),
    [
        ({"facts": Facts(model="tiny", tool_names=("shell",))}, "no-shell", []),
        ({"facts": Facts(model="llama-3-70b", max_tokens=2000)}, "costly", []),
        ({"facts": Facts(model="llama-3-70b", max_tokens=2000, tools=1)}, "costly", ["when"]),
        ({"facts": Facts(model="llama-3-70b", max_tokens=1000, tools=1)}, "costly", ["when"]),
        ({"now_unix": NOW + 12 * 3600}, "analysts", ["match.times"]),
        ({"principal": replace(ANN, groups=("staff",), mfa=True)}, "staff", [AGE]),
        ({"principal": replace(ANN, groups=("staff",), authenticated_at=int(NOW) - 60)}, "staff", ["require.mfa"]),
        (
            {"principal": replace(ANN, groups=("staff",), kind="service")},
            "staff",
            ["match.kinds", "require.mfa", "require.max_auth_age"],
        ),
    ],
    ids=[
        "a tool",
        "in doubt",
        "no more in doubt",
        "a threshold just reached",
        "another time",
        "signed in long ago",
        "one factor",
        "a service",
    ],
)
def test_what_is_changed_is_what_is_told(policy: Policy, changes: dict[str, Any], rule: str, where: list[str]) -> None:
    said = explain(policy, replace(GIVEN, **changes))
    assert told(said)[rule] == where


def test_a_condition_that_cannot_be_evaluated_is_said_to_be_in_doubt(policy: Policy) -> None:
    said = explain(policy, replace(GIVEN, facts=Facts(model="llama-3-70b", max_tokens=2000)))
    assert [each.name for each in said.rules if each.in_doubt] == ["costly"]
    assert (said.effect, said.rule) == (Effect.DENY, "costly")
