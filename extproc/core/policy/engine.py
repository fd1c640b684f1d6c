"""The authorizer."""

from collections.abc import Iterable

from extproc.core.policy.matching import matches
from extproc.core.policy.spending import weigh_budgets
from extproc.core.policy.terms import (
    GOES_ON,
    Decision,
    DecisionInput,
    Effect,
    Policy,
    ResponseCounts,
    ResponseVerdict,
    Rule,
)

DEFAULT_DENY = "default-deny"
DEFAULT_DENY_TEXT = "No rule of the policy allows this request."


def authorize(policy: Policy, given: DecisionInput) -> Decision:
    """What the rules say, and the budgets of whatever the rules do not deny. Budgets only make a decision stricter."""
    return weigh_budgets(policy, given, _authorize_by_rules(policy, given))


def _authorize_by_rules(policy: Policy, given: DecisionInput) -> Decision:
    """Deny wins over hold, hold over allow; without an allow the answer is deny, for a hold is no permission by itself.

    The effect does not depend on the order of the rules. Of several rules with that effect the first determines the
    text and the terms of a hold.
    """
    matching = [rule for rule in policy.rules if matches(rule.match, given)]
    deny, hold, allow = (_first(matching, effect) for effect in (Effect.DENY, Effect.HOLD, Effect.ALLOW))
    if deny is not None:
        return _decision(policy, Effect.DENY, deny)
    if allow is None:
        return Decision(Effect.DENY, DEFAULT_DENY, DEFAULT_DENY_TEXT, policy.digest, None)
    if hold is None:
        return _decision(policy, Effect.ALLOW, allow)
    # Without terms nobody could grant it.
    return _decision(policy, Effect.DENY if hold.hold is None else Effect.HOLD, hold)


def judge_response(policy: Policy, given: DecisionInput, counts: ResponseCounts) -> ResponseVerdict:
    """Whether what has been counted of a response so far makes a response rule cut it."""
    del policy, given, counts
    return GOES_ON


def _first(rules: Iterable[Rule], effect: Effect) -> Rule | None:
    return next((rule for rule in rules if rule.effect is effect), None)


def _decision(policy: Policy, effect: Effect, rule: Rule) -> Decision:
    return Decision(effect, rule.name, rule.text, policy.digest, rule.hold if effect is Effect.HOLD else None)
