"""What the budgets of a policy say to a request whose counts are known."""

from dataclasses import replace

from extproc.core.policy.decision import Decision, DecisionInput
from extproc.core.policy.joining import joined_terms, joined_text
from extproc.core.policy.matching import matches
from extproc.core.policy.policy import Policy
from extproc.core.policy.terms import Budget, BudgetStep, Effect, StepAction

_EFFECTS = {StepAction.HOLD: Effect.HOLD, StepAction.DENY: Effect.DENY}


def budget_rule(budget: Budget) -> str:
    """How a budget is called where a rule is: in decisions, records, metrics and error bodies."""
    return f"budget:{budget.name}"


def weigh_budgets(policy: Policy, given: DecisionInput, decision: Decision) -> Decision:
    """The decision of the rules, made stricter by the steps that budgets have reached; never milder.

    Rules come before budgets where both lead to one effect; of several budgets the first determines text and terms.
    """
    if not policy.budgets or not given.budgets or decision.effect is Effect.DENY:
        return decision
    reached = [(budget, step) for budget in policy.budgets for step in _reached(budget, given)]
    logging = tuple(budget_rule(budget) for budget, step in reached if step.action is StepAction.LOG)
    decision = replace(decision, logging=(*decision.logging, *logging))
    for effect in (Effect.DENY, Effect.HOLD):
        steps = [(budget, step) for budget, step in reached if _effect(step) is effect]
        if steps:
            return _stricter(decision, effect, steps)
    return decision


def _reached(budget: Budget, given: DecisionInput) -> list[BudgetStep]:
    count = given.budgets.get(budget.name, 0)
    return [step for step in budget.steps if step.at <= count] if matches(budget.match, given) else []


def _effect(step: BudgetStep) -> Effect | None:
    """Without terms nobody could grant a hold."""
    return Effect.DENY if step.action is StepAction.HOLD and step.hold is None else _EFFECTS.get(step.action)


def _stricter(decision: Decision, effect: Effect, steps: list[tuple[Budget, BudgetStep]]) -> Decision:
    names = tuple(dict.fromkeys(budget_rule(budget) for budget, _ in steps))
    highest = {budget.name: step for budget, step in steps}
    terms = [step.hold for step in highest.values() if step.hold is not None]
    if decision.effect is effect:
        determining = (*(decision.determining or (decision.rule,)), *names)
        if decision.hold is None:
            return replace(decision, determining=determining)
        text = joined_text((decision.text, *(step.text for step in highest.values())))
        return replace(decision, hold=joined_terms([decision.hold, *terms]), text=text, determining=determining)
    first = highest[steps[0][0].name]
    held = effect is Effect.HOLD
    text = joined_text(step.text for step in highest.values()) if held else first.text
    hold = joined_terms(terms) if held else None
    return replace(decision, effect=effect, rule=names[0], text=text, hold=hold, determining=names)
