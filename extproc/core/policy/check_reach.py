"""Rules, response rules and budgets that could never do anything: beaten, met by no allow, or without a surface."""

from collections.abc import Mapping
from typing import Final

from extproc.core.document import Path, Report, quoted
from extproc.core.policy.terms import Budget, BudgetCount, Effect, Match, Operation, ResponseRule, Rule, StepAction
from extproc.core.reach import covers, meet

_TEXTLESS: Final = frozenset({Operation.EMBEDDINGS, Operation.MODEL_LIST, Operation.MODEL_ADMIN, Operation.TOKENIZE})
"""Their answers are numbers, names or states."""
_CONVERSING: Final = frozenset({"messages", "tools"})
_LIMITING: Final = frozenset({"max_tokens", "choices"})
_PROMPTING: Final = (*_LIMITING, *_CONVERSING, "inputs", "prompt_characters")
"""What a listing of models has none of."""


def check_thresholds(report: Report, path: Path) -> None:
    """The thresholds of the match at `path` can be reached by its operations."""
    operations, least = report.sound((*path, "operations")), report.sound((*path, "at_least"))
    if not operations or not least:
        return
    textless = all(each in _TEXTLESS for each in operations)
    for key in least:
        if "model_list" in operations and key in _PROMPTING:
            hint = "give `model_list` a rule of its own"
            report.add_key((*path, "at_least", key), "is never reached by the operation `model_list`", hint)
        elif textless and key in _LIMITING | _CONVERSING:
            names = ", ".join(f"`{each}`" for each in operations)
            hint = f"leave `{key}` out, or name operations that have it"
            report.add_key((*path, "at_least", key), f"is never reached: {names} has no such thing", hint)


def check_surfaces(
    report: Report, rules: Mapping[int, Rule], response_rules: Mapping[int, ResponseRule], budgets: Mapping[int, Budget]
) -> None:
    """No control is asked for where there is nothing that it could act on."""
    for index, rule in rules.items():
        if rule.obligations.max_tokens and _only(rule.match, _TEXTLESS):
            hint = "leave it out, or name operations that generate text"
            report.add_key(
                ("rules", index, "obligations", "max_tokens"), "would have no effect: nothing is generated", hint
            )
        if rule.obligations.masking and _only(rule.match, frozenset({Operation.MODEL_LIST})):
            hint = "leave it out, or name operations that send text"
            report.add_key(("rules", index, "obligations", "masking"), "would have no effect: no text is sent", hint)
    for index, cut in response_rules.items():
        if _only(cut.match, _TEXTLESS):
            hint = "name operations that generate text"
            report.add(("response_rules", index, "match", "operations"), "have no response text to cut", hint)
        elif "response" not in cut.when.names:
            hint = "name `response`, or write a rule with the effect `deny`"
            report.add(("response_rules", index, "when"), "says nothing of the response", hint)
    for index, budget in budgets.items():
        if budget.count is BudgetCount.TOKENS and _only(budget.match, _TEXTLESS):
            hint = "count `exchanges`, or name operations that generate text"
            report.add(("budgets", index, "count"), "stays 0: no tokens are generated", hint)


def _only(match: Match, operations: frozenset[Operation]) -> bool:
    return bool(match.operations) and operations.issuperset(match.operations)


def check_covered(report: Report, rules: Mapping[int, Rule]) -> None:
    """A rule that another one always beats decides nothing, and its approvers are never asked."""
    beaters = {
        index: rule for index, rule in rules.items() if rule.effect is not Effect.ALLOW and not rule.shadow_until
    }
    for index, rule in rules.items():
        for other_index, other in beaters.items():
            if other_index == index or (other.when is not None and other.when != rule.when):
                continue
            beaten = other.effect is Effect.DENY and rule.effect is not Effect.DENY
            late = other.effect is rule.effect and other_index < index
            if (beaten or late) and covers(other.match, rule.match):
                how = "denies" if other.effect is Effect.DENY else "holds"
                report.add(
                    ("rules", index),
                    f"can never decide: the rule {quoted(other.name)} {how} everything it matches",
                    "narrow that rule" if beaten else "put the narrower rule first",
                )
                break


def check_meets_an_allow(
    report: Report, rules: Mapping[int, Rule], response_rules: Mapping[int, ResponseRule], budgets: Mapping[int, Budget]
) -> None:
    """What holds, cuts or counts can do so only to what some rule allows."""
    allows = [rule.match for rule in rules.values() if rule.effect is Effect.ALLOW]
    hint = "a hold is no permission by itself: add an allow rule for the same requests"
    for index, rule in rules.items():
        if rule.effect is Effect.HOLD and not any(meet(rule.match, allow) for allow in allows):
            report.add(("rules", index), "can never decide: no allow rule matches anything that it holds", hint)
    hint = "add an allow rule for the same requests, or take it out"
    for index, cut in response_rules.items():
        if not any(meet(cut.match, allow) for allow in allows):
            report.add(("response_rules", index), "can never cut: no allow rule matches anything that it matches", hint)
    for index, budget in budgets.items():
        if not any(meet(budget.match, allow) for allow in allows):
            report.add(("budgets", index), "never counts: no allow rule matches anything that it matches", hint)


def check_steps(report: Report, index: int, budget: Budget) -> None:
    """The steps of a budget rise, in what they are reached by and in what they do."""
    order = list(StepAction)
    for at in range(1, len(budget.steps)):
        before, step = budget.steps[at - 1], budget.steps[at]
        path: Path = ("budgets", index, "steps", at)
        if step.at <= before.at:
            hint = f"the step before it begins at {before.at}"
            report.add((*path, "at"), "must be more than the step before", hint)
        if order.index(step.action) <= order.index(before.action):
            hint = "the steps are `log`, then `hold`, then `deny`"
            report.add((*path, "do"), f"`{step.action}` does not go beyond the step before", hint)
    for at, step in enumerate(budget.steps):
        if step.action is StepAction.LOG and step.text:
            hint = "take it out: the client sees nothing of a step that logs"
            report.add_key(("budgets", index, "steps", at, "text"), "would have no effect", hint)
