"""What of a policy its cases reach: rules, response rules, steps of budgets."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from extproc.core.policy import Budget, Effect, Policy, ResponseRule, Rule, authorize, judge_response
from extproc.core.policy_cases import CaseResult


@dataclass(frozen=True, slots=True)
class Reached:
    """A part of a policy: how many cases reach it, and of how many of these it determines what comes."""

    part: str
    """`rule NAME`, `response rule NAME` or `budget NAME at COUNT`."""
    reaching: int
    determining: int


def coverage(policy: Policy, results: Iterable[CaseResult]) -> tuple[Reached, ...]:
    """Every part of the policy in the order of the document. A case that is refused unjudged reaches none."""
    judged = [result for result in results if result.outcome.given is not None]
    rules = (_of_rule(policy, rule, judged) for rule in policy.rules)
    response_rules = (_of_response_rule(policy, rule, judged) for rule in policy.response_rules)
    steps = (step for budget in policy.budgets for step in _of_steps(budget, judged))
    return (*rules, *response_rules, *steps)


def _of_rule(policy: Policy, rule: Rule, judged: list[CaseResult]) -> Reached:
    """A rule alone decides where it matches, whatever its effect is."""
    bare = replace(rule, effect=Effect.DENY, hold=None, require=None, shadow_until=None)
    alone = replace(policy, rules=(bare,), response_rules=(), budgets=(), tests=())
    reaching = determining = 0
    for result in judged:
        given, decision = result.outcome.given, result.outcome.decision
        assert given is not None  # noqa: S101 - only judged ones are looked at
        assert decision is not None  # noqa: S101
        without = authorize(alone, replace(given, budgets={}))
        if without.rule == rule.name and not without.errors:
            reaching += 1
            shadows = {each.rule for each in decision.shadow}
            determining += rule.name in {decision.rule, *decision.determining, *shadows}
    return Reached(f"rule {rule.name}", reaching, determining)


def _of_response_rule(policy: Policy, rule: ResponseRule, judged: list[CaseResult]) -> Reached:
    alone = replace(policy, response_rules=(replace(rule, shadow_until=None),), budgets=(), tests=())
    reaching = determining = 0
    for result in judged:
        given, response, verdict = result.outcome.given, result.case.response, result.outcome.verdict
        if given is not None and response is not None and judge_response(alone, given, response).rule == rule.name:
            reaching += 1
            determining += rule.name in {verdict.rule, *verdict.determining, *verdict.shadow}
    return Reached(f"response rule {rule.name}", reaching, determining)


def _of_steps(budget: Budget, judged: list[CaseResult]) -> Iterator[Reached]:
    """A step is reached where the count has come to it and not to the next."""
    ends = [*(step.at for step in budget.steps[1:]), None]
    name = f"budget:{budget.name}"
    for step, end in zip(budget.steps, ends, strict=True):
        reaching = determining = 0
        for result in judged:
            given, decision = result.outcome.given, result.outcome.decision
            count = given.budgets.get(budget.name, -1) if given is not None else -1
            if decision is not None and step.at <= count and (end is None or count < end):
                reaching += 1
                determining += name in {decision.rule, *decision.determining, *decision.logging}
        yield Reached(f"budget {budget.name} at {step.at}", reaching, determining)
