"""Why a policy decides as it does: of each rule, whether it holds, and of one that does not, what in it does not. Pure.

The account is made rule by rule and field by field, on another way than `authorize` takes, and says the same verdict:
that is a property test.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields, replace

from extproc.core.policy import (
    DEFAULT_DENY,
    AtLeast,
    Budget,
    BudgetStep,
    Decision,
    DecisionInput,
    Effect,
    Match,
    Operation,
    Policy,
    Require,
    ResponseCounts,
    ResponseVerdict,
    Rule,
    StepAction,
    authorize,
    judge_response,
    matches,
)
from extproc.core.policy.engine import Evaluation
from extproc.core.policy.matching import signed_in_as
from extproc.core.policy.spending import budget_rule

_EVERYTHING = Match()


@dataclass(frozen=True, slots=True)
class Unmet:
    """A field of a rule that does not hold: where (`match.groups`), what it wants, and what was given."""

    where: str
    wants: str
    given: str


@dataclass(frozen=True, slots=True)
class RuleAccount:
    """`effect` is `allow`, `hold`, `deny`, `log` or `cut`. A rule in shadow that holds decides nothing.

    `unmet` is empty for one that holds. `in_doubt`: its condition could not be evaluated, which counts as met in a rule
    that denies, holds or cuts, and as not met in one that allows. `determining`: the verdict is its doing.
    """

    name: str
    effect: str
    shadow: bool
    unmet: tuple[Unmet, ...]
    in_doubt: bool = False
    determining: bool = False

    @property
    def holds(self) -> bool:
        return not self.unmet


@dataclass(frozen=True, slots=True)
class Explanation:
    """`effect` and `rule` follow from `rules` and `budgets`; `decision` is what `authorize` says."""

    effect: Effect
    rule: str
    rules: tuple[RuleAccount, ...]
    budgets: tuple[RuleAccount, ...]
    response_rules: tuple[RuleAccount, ...]
    decision: Decision
    verdict: ResponseVerdict | None


def explain(policy: Policy, given: DecisionInput, counts: ResponseCounts | None = None) -> Explanation:
    """Never raises for a policy that `parse_policy` returned. `counts`: what was counted of the answer, if any."""
    rules = tuple(_account(policy, rule, given) for rule in policy.rules)
    budgets = tuple(_budget_account(budget, given) for budget in policy.budgets)
    effect, names = _verdict(policy, rules, budgets)
    verdict = None if counts is None else judge_response(policy, given, counts)
    return Explanation(
        effect=effect,
        rule=names[0],
        rules=_determined(rules, names),
        budgets=_determined(budgets, names),
        response_rules=tuple(_response_accounts(policy, given, counts)) if counts is not None else (),
        decision=authorize(policy, given),
        verdict=verdict,
    )


# The verdict ----------------------------------------------------------------------------------------------------------


def _verdict(
    policy: Policy, rules: tuple[RuleAccount, ...], budgets: tuple[RuleAccount, ...]
) -> tuple[Effect, tuple[str, ...]]:
    """Deny over hold over allow; a hold without an allow is no permission; budgets make what is let go on stricter."""
    denying, holding, allowing = (_holding(rules, effect) for effect in (Effect.DENY, Effect.HOLD, Effect.ALLOW))
    if denying or not allowing:
        return Effect.DENY, denying or (DEFAULT_DENY,)
    if holding and not _has_terms(policy, holding[0]):
        return Effect.DENY, holding
    if spent := _holding(budgets, Effect.DENY):
        return Effect.DENY, spent
    holding += _holding(budgets, Effect.HOLD)
    return (Effect.HOLD, holding) if holding else (Effect.ALLOW, allowing)


def _holding(accounts: tuple[RuleAccount, ...], effect: Effect) -> tuple[str, ...]:
    return tuple(each.name for each in accounts if each.holds and not each.shadow and each.effect == effect.value)


def _has_terms(policy: Policy, name: str) -> bool:
    """Without terms nobody could grant it."""
    rule = next((rule for rule in policy.rules if rule.name == name), None)
    return rule is None or rule.hold is not None


def _determined(accounts: tuple[RuleAccount, ...], names: tuple[str, ...]) -> tuple[RuleAccount, ...]:
    return tuple(replace(each, determining=each.holds and not each.shadow and each.name in names) for each in accounts)


# A rule ---------------------------------------------------------------------------------------------------------------


def _account(policy: Policy, rule: Rule, given: DecisionInput) -> RuleAccount:
    unmet = list(_match_unmet(rule.match, given))
    evaluation = Evaluation(policy, given)
    if not unmet and not evaluation.met(rule.name, rule.when, in_doubt=rule.effect is not Effect.ALLOW):
        unmet.append(Unmet("when", rule.when.source if rule.when else "", "not true"))
    if rule.require is not None and not signed_in_as(rule.require, given):
        unmet += _require_unmet(rule.require, given)
    return RuleAccount(
        name=rule.name,
        effect=rule.effect.value,
        shadow=rule.shadow_until is not None,
        unmet=tuple(unmet),
        in_doubt=bool(evaluation.errors),
    )


def _match_unmet(match: Match, given: DecisionInput) -> Iterator[Unmet]:
    """Each field by itself; together they hold as `matches` says."""
    for field in fields(Match):
        wanted = getattr(match, field.name)
        if wanted == getattr(_EVERYTHING, field.name):
            continue
        if field.name == "any_case":  # is part of `models`
            continue
        if field.name == "administers":
            if given.operation is Operation.MODEL_ADMIN:
                yield Unmet("match.operations", "not named", given.operation.value)
            continue
        if isinstance(wanted, AtLeast):
            yield from _thresholds_unmet(wanted, given)
            continue
        alone = replace(_EVERYTHING, any_case=match.any_case, **{field.name: wanted})
        if field.name == "models" and match.operations:  # a listing names no model
            alone = replace(alone, operations=(given.operation,))
        if not matches(alone, given):
            yield Unmet(f"match.{field.name}", _listed(wanted), _GIVEN[field.name](given))


def _thresholds_unmet(least: AtLeast, given: DecisionInput) -> Iterator[Unmet]:
    for field in fields(AtLeast):
        wanted = getattr(least, field.name)
        if wanted is None:
            continue
        count = sum(given.findings.values()) if field.name == "findings" else getattr(given.facts, field.name)
        if count < wanted:
            yield Unmet(f"match.at_least.{field.name}", str(wanted), str(count))


_GIVEN: dict[str, Callable[[DecisionInput], str]] = {
    "groups": lambda given: _listed(given.principal.groups),
    "subjects": lambda given: given.principal.uid,
    "models": lambda given: given.facts.model,
    "operations": lambda given: given.operation.value,
    "connections": lambda given: given.connection,
    "kinds": lambda given: given.principal.kind,
    "times": lambda given: "another time",
}


def _require_unmet(require: Require, given: DecisionInput) -> Iterator[Unmet]:
    if require.mfa and not given.principal.mfa:
        yield Unmet("require.mfa", "several factors", "one, or the token does not say")
    if not signed_in_as(replace(require, mfa=False), given):
        at = given.principal.authenticated_at
        age = f"{given.now_unix - at:.0f} s ago" if at else "the token does not say when"
        yield Unmet("require.max_auth_age", f"{require.max_auth_age_seconds:.0f} s", age)


def _listed(values: tuple[object, ...]) -> str:
    return ", ".join(map(_written, values)) or "(none)"


def _written(value: object) -> str:
    """A time span by its hours, anything else as it is."""
    start, end = getattr(value, "start", None), getattr(value, "end", None)
    if start is None or end is None:
        return str(value)
    days = " ".join(("mon", "tue", "wed", "thu", "fri", "sat", "sun")[day] for day in getattr(value, "days", ()))
    hours = f"{start // 60:02}:{start % 60:02}-{end // 60:02}:{end % 60:02}"
    return f"{days} {hours} {getattr(value, 'zone', '')}"


# Budgets and answers --------------------------------------------------------------------------------------------------


def _budget_account(budget: Budget, given: DecisionInput) -> RuleAccount:
    """A budget has the effect of the strictest step that its count has reached."""
    unmet = list(_match_unmet(budget.match, given))
    count = given.budgets.get(budget.name, 0)
    reached = [_step_effect(step) for step in budget.steps if given.budgets and step.at <= count]
    if not unmet and not reached:
        unmet.append(Unmet("steps", f"{budget.steps[0].at} or more", str(count)))
    effect = next((each for each in ("deny", "hold") if each in reached), "log")
    return RuleAccount(name=budget_rule(budget), effect=effect, shadow=False, unmet=tuple(unmet))


def _step_effect(step: BudgetStep) -> str:
    """Without terms nobody could grant a hold."""
    return "deny" if step.action is StepAction.HOLD and step.hold is None else step.action.value


def _response_accounts(policy: Policy, given: DecisionInput, counts: ResponseCounts) -> Iterator[RuleAccount]:
    verdict = judge_response(policy, given, counts)
    for rule in policy.response_rules:
        unmet = tuple(_match_unmet(rule.match, given))
        shadow = rule.shadow_until is not None
        held = rule.name in (verdict.shadow if shadow else verdict.determining)
        if not unmet and not held:
            unmet = (Unmet("when", rule.when.source, "not true"),)
        yield RuleAccount(
            name=rule.name,
            effect="cut",
            shadow=shadow,
            unmet=unmet,
            in_doubt=rule.name in verdict.errors,
            determining=held and not shadow,
        )
