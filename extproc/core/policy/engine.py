"""The authorizer: deny over hold over allow, and deny where nothing allows."""

from collections.abc import Iterable
from dataclasses import replace
from typing import Any, Final

from extproc.core.policy.condition import Condition
from extproc.core.policy.decision import Decision, DecisionInput, ShadowResult, StepUp
from extproc.core.policy.index import bits
from extproc.core.policy.joining import joined_terms, joined_text
from extproc.core.policy.matching import signed_in_as
from extproc.core.policy.policy import Policy
from extproc.core.policy.spending import weigh_budgets
from extproc.core.policy.terms import NOTHING_OBLIGED, Durability, Effect, Obligations, Rule

DEFAULT_DENY: Final = "default-deny"
DEFAULT_DENY_TEXT: Final = "No rule of the policy allows this request."
MAX_TOOL_NAMES: Final = 1024
"""Conditions may go through the names of the tools offered; of a request that offers more, none can be evaluated."""


def authorize(policy: Policy, given: DecisionInput) -> Decision:
    """Deny wins over hold, hold over allow; without an allow the answer is deny, for a hold is no permission by itself.

    The effect does not depend on the order of the rules. Of several rules with that effect the first determines the
    text and the terms of a hold. A condition that cannot be evaluated counts as met in a rule that denies or holds, and
    as not met in one that allows. Never raises for a policy that `parse_policy` returned.
    """
    authorizer = _Authorizer(policy, given)
    return authorizer.shadowed(weigh_budgets(policy, given, authorizer.decide()))


class Evaluation:
    """The conditions of one request; what they are evaluated on is made when the first is met."""

    def __init__(self, policy: Policy, given: DecisionInput) -> None:
        self._policy = policy
        self._given = given
        self._activation: Any = None
        self._untold = policy.compiler is None or len(given.facts.tool_names) > MAX_TOOL_NAMES
        self.errors: dict[str, None] = {}

    def met(self, name: str, condition: Condition | None, *, in_doubt: bool) -> bool:
        """Whether the rule `name` applies as far as its `when` says; `in_doubt` where that cannot be told."""
        if condition is None:
            return True
        if self._activation is None and not self._untold:
            self._activate()
        holds = None if self._untold else condition.holds(self._activation)
        if holds is None:
            self.errors[name] = None
            return in_doubt
        return holds

    def _activate(self) -> None:
        compiler = self._policy.compiler
        values = None
        if compiler is not None:
            values = compiler.types.request_values(self._given, self._policy.known.groups)
        if compiler is None or values is None:
            self._untold = True
        else:
            self._activation = compiler.activation(values)


class _Authorizer:
    """One decision."""

    def __init__(self, policy: Policy, given: DecisionInput) -> None:
        self._policy = policy
        self._given = given
        self._holding = policy.indexes.rules.holding(given)
        self._evaluation = Evaluation(policy, given)

    def decide(self) -> Decision:
        """What the enforced rules say."""
        if denying := self._enforced(Effect.DENY):
            return self._decision(Effect.DENY, denying)
        allowing, step_up = self._allowing()
        if not allowing:
            errors = tuple(self._evaluation.errors)
            digest = self._policy.digest
            return Decision(Effect.DENY, DEFAULT_DENY, DEFAULT_DENY_TEXT, digest, None, step_up=step_up, errors=errors)
        obliged = _strictest((rule.obligations for rule in allowing), tuple(self._policy.masking_profiles))
        holding = self._enforced(Effect.HOLD)
        if not holding:
            return self._decision(Effect.ALLOW, allowing, obliged)
        terms = [rule.hold for rule in holding if rule.hold is not None]
        # Without terms nobody could grant it.
        if holding[0].hold is None:
            return self._decision(Effect.DENY, holding)
        held = self._decision(Effect.HOLD, holding, obliged)
        return replace(held, hold=joined_terms(terms), text=joined_text(rule.text for rule in holding))

    def shadowed(self, decision: Decision) -> Decision:
        """`decision` with what rules in shadow would have made of it."""
        found = self._holding & self._policy.indexes.shadow
        if not found:
            return decision
        shadow = tuple(
            ShadowResult(rule.name, rule.effect.value, self._would_change(rule, decision))
            for at in bits(found)
            if self._applies(rule := self._policy.rules[at])
        )
        return replace(decision, shadow=shadow, errors=tuple(self._evaluation.errors))

    def _enforced(self, effect: Effect) -> list[Rule]:
        found = self._holding & self._policy.indexes.enforced[effect]
        return [rule for at in bits(found) if self._applies(rule := self._policy.rules[at])]

    def _applies(self, rule: Rule) -> bool:
        return self._evaluation.met(rule.name, rule.when, in_doubt=rule.effect is not Effect.ALLOW)

    def _allowing(self) -> tuple[list[Rule], StepUp | None]:
        allowing: list[Rule] = []
        step_up: StepUp | None = None
        for rule in self._enforced(Effect.ALLOW):
            if rule.require is None or signed_in_as(rule.require, self._given):
                allowing.append(rule)
            elif step_up is None:
                step_up = StepUp(rule.name, rule.require.mfa, rule.require.max_auth_age_seconds)
        return allowing, step_up

    def _decision(self, effect: Effect, rules: list[Rule], obliged: Obligations = NOTHING_OBLIGED) -> Decision:
        first = rules[0]
        return Decision(
            effect=effect,
            rule=first.name,
            text=first.text,
            policy_digest=self._policy.digest,
            hold=None,
            determining=tuple(rule.name for rule in rules),
            obligations=obliged,
            errors=tuple(self._evaluation.errors),
        )

    def _would_change(self, rule: Rule, decision: Decision) -> bool:
        match rule.effect:
            case Effect.DENY:
                return decision.effect is not Effect.DENY
            case Effect.HOLD:
                return decision.effect is Effect.ALLOW
            case Effect.ALLOW:
                return decision.rule == DEFAULT_DENY and (
                    rule.require is None or signed_in_as(rule.require, self._given)
                )


def _strictest(given: Iterable[Obligations], profiles: tuple[str, ...]) -> Obligations:
    """The strictest of each: the masking profile that is written first, the fewest tokens, the shortest retention."""
    each = tuple(one for one in given if one is not NOTHING_OBLIGED)
    if not each:
        return NOTHING_OBLIGED
    masking = min((one.masking for one in each if one.masking), key=profiles.index, default="")
    tokens = min((one.max_tokens for one in each if one.max_tokens), default=0)
    asked = {one.durability for one in each}
    durability = next((word for word in (Durability.STORE, Durability.JOURNAL) if word in asked), "")
    days = min((one.retention_days for one in each if one.retention_days), default=0)
    return Obligations(masking, tokens, days, str(durability))
