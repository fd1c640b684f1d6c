"""What one exchange has to do with the budgets of its policy: which it asks for, what it is charged, what it is told.

An exchange is charged before it goes on, in the same step in which it is counted: its request, the findings and the
cards of its request. The count that a step looks at includes the request that is judged, so the request with which a
count would reach `at` is the first to meet the step. One that is held or refused has used nothing; one that is charged
and then fails on our side keeps its charge. Findings and cards of the answer, and tokens, are charged when it has
ended, so that exchanges that run at the same time may together pass a step by what their answers cost.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import replace

from extproc.core.actions import ChargeBudgets, ReadBudgets, SettleBudgets
from extproc.core.answered_tokens import Answered, answered_tokens, tokens_of
from extproc.core.approval import same_deciders
from extproc.core.budget_charge import Charge, Counted
from extproc.core.judgement import Judgement
from extproc.core.masking.aliases import Aliases
from extproc.core.masking.cards import MetCards
from extproc.core.policy import (
    Budget,
    BudgetCount,
    BudgetScope,
    BudgetStep,
    DecisionInput,
    Effect,
    HoldTerms,
    StepAction,
    authorize,
)
from extproc.core.policy.index import bits
from extproc.core.policy.joining import joined_terms
from extproc.core.policy.spending import budget_rule
from extproc.core.principal import folded_uid
from extproc.core.reasons import Reason
from extproc.core.snapshot import Snapshot

_REASONS = {
    BudgetCount.EXCHANGES: Reason.BUDGET_SPENT,
    BudgetCount.TOKENS: Reason.BUDGET_SPENT,
    BudgetCount.FINDINGS: Reason.BUDGET_OF_CARDS_SPENT,
    BudgetCount.DISTINCT_CARDS: Reason.BUDGET_OF_CARDS_SPENT,
}
"""429 where a client that waits may come again, which clients know; 403 where it is about what was said."""


def series_of(budget: Budget) -> str:
    """What is counted: a budget that changes it begins at nothing. Steps, texts and `match` may change."""
    return f"{budget.count} per {budget.per} in {budget.window_seconds:g} s"


def holder_of(budget: Budget, given: DecisionInput) -> str:
    """Who shares the count: a person's `uid` in whatever way it is written, a tenant, or, for the whole deployment,
    nobody in particular."""
    match budget.per:
        case BudgetScope.PERSON:
            return folded_uid(given.principal.uid)
        case BudgetScope.TENANT:
            return given.principal.tenant
        case BudgetScope.DEPLOYMENT:
            return ""


def first_step(budget: Budget, actions: Iterable[StepAction]) -> int:
    """The count from which on a request does not simply go on; 0 when it always does."""
    return min((step.at for step in budget.steps if step.action in actions), default=0)


def last_step(budget: Budget, actions: Iterable[StepAction]) -> int:
    """The count beyond which nothing more changes; 0 when there is none."""
    return max((step.at for step in budget.steps if step.action in actions), default=0)


def _unmet_at(budget: Budget, granted: HoldTerms, count: int) -> int:
    """The first count above `count` at which a hold asks for more people, or for others, than have granted; 0: none."""
    return min((step.at for step in budget.steps if step.at > count and _asks_others(step, granted)), default=0)


def _asks_others(step: BudgetStep, granted: HoldTerms) -> bool:
    return step.hold is not None and not same_deciders(granted, joined_terms((granted, step.hold)))


def used_tokens(prompt_characters: int, answer: Answered | None) -> int:
    """Of prompt and answer, as the model server reports them; estimated where it does not, or was not let finish.

    Where an answer has not begun, the model server has read the prompt all the same.
    """
    if answer is None:
        return tokens_of(prompt_characters)
    if not answer.streamed and answer.input_tokens:  # of embeddings, for instance, nothing is reported of the answer
        return answer.input_tokens + answer.output_tokens
    return (answer.input_tokens or tokens_of(prompt_characters)) + answered_tokens(answer)


class Budgeting:
    """Of one exchange. Without budgets that match, it asks for nothing."""

    __slots__ = ("_asked", "_cards", "_counts", "_given", "_others_at", "_owes", "_policy", "_secret")

    def __init__(self, snapshot: Snapshot) -> None:
        self._policy = snapshot.policy
        self._secret = snapshot.digest_key
        self._cards: MetCards | None = None
        self._asked: tuple[Budget, ...] = ()
        self._given: DecisionInput | None = None
        self._counts: tuple[Counted, ...] = ()
        self._others_at: dict[str, int] = {}
        self._owes = False

    def watch(self, aliases: Aliases) -> None:
        """Take note of the cards that these aliases name, where a budget counts cards."""
        if any(budget.count is BudgetCount.DISTINCT_CARDS for budget in self._policy.budgets):
            aliases.cards = self._cards = MetCards(self._secret)

    def ask(self, judgement: Judgement) -> ReadBudgets | ChargeBudgets | None:
        """What has to be known before a request goes on that the rules do not deny; None without budgets.

        One that nothing holds so far is charged at once, unless a step holds or refuses it.
        """
        given = self._given = judgement.given
        if judgement.decision.effect is not Effect.DENY:
            matching = bits(self._policy.indexes.budgets.holding(given))
            self._asked = tuple(self._policy.budgets[at] for at in matching)
        if not self._asked:
            return None
        charges = self._charges(given, (StepAction.HOLD, StepAction.DENY))
        if judgement.decision.effect is Effect.HOLD:
            return ReadBudgets(charges, given.now_unix)
        return ChargeBudgets(charges, given.now_unix)

    def ask_granted(self, granted: HoldTerms | None, now_unix: float) -> ChargeBudgets | None:
        """The charge of a held request that people have let go on by the terms `granted`; None for an emergency.

        `deny` still stops it, and so does a `hold` that was not reached when they were asked, where others decide.
        """
        if self._given is None or not self._asked:
            return None
        charges = self._charges(self._given, (StepAction.DENY,))
        if granted is not None:
            counts = {one.budget: one.count for one in self._counts}
            unmet = ((budget.name, _unmet_at(budget, granted, counts.get(budget.name, 0))) for budget in self._asked)
            self._others_at = {name: at for name, at in unmet if at}
            charges = tuple(self._stopped_by_others(charge) for charge in charges)
        return ChargeBudgets(charges, now_unix)

    def asks_others(self, counts: Sequence[Counted]) -> bool:
        """Whether a granted request has come, while it waited, to a step on which others decide."""
        return any(0 < self._others_at.get(one.budget, 0) <= one.count for one in counts)

    def _stopped_by_others(self, charge: Charge) -> Charge:
        stops = [at for at in (charge.stop_at, self._others_at.get(charge.budget, 0)) if at]
        return replace(charge, stop_at=min(stops, default=0))

    def answered_by(self, counts: Sequence[Counted]) -> bool:
        """Whether there is one for each budget that was asked for: what is missing must not count as nothing."""
        return [one.budget for one in counts] == [budget.name for budget in self._asked]

    def judge(self, judgement: Judgement, counts: Sequence[Counted]) -> Judgement:
        """The judgement with what the budgets say."""
        self._counts = tuple(counts)
        given = replace(judgement.given, budgets={one.budget: one.count for one in counts})
        return replace(judgement, given=given, decision=authorize(self._policy, given))

    def refusal(self, rule: str, now_unix: float) -> tuple[Reason, int]:
        """Why a denied request is refused, and in how many seconds it would not be (0: unknown, or never)."""
        budget = next((budget for budget in self._asked if budget_rule(budget) == rule), None)
        if budget is None:
            return Reason.POLICY_DENIED, 0
        frees = [one.frees_unix for one in self._counts if one.budget == budget.name and one.frees_unix]
        return _REASONS[budget.count], max((math.ceil(at - now_unix) for at in frees), default=0)

    def forwarded(self) -> None:
        """The request goes on: from now on its answer costs."""
        self._owes = bool(self._asked)

    def settle(self, answer: Answered | None, findings: int, now_unix: float) -> tuple[SettleBudgets, ...]:
        """What the answer, as far as it went, has cost; once. `findings` are those of the answer."""
        given, self._given = self._given, None
        if not self._owes or given is None:
            return ()
        self._owes = False
        charges = []
        for budget in self._asked:
            charge = self._charge(budget, given)
            match budget.count:
                case BudgetCount.TOKENS:
                    charge = replace(charge, amount=used_tokens(given.facts.prompt_characters, answer))
                case BudgetCount.FINDINGS:
                    charge = replace(charge, amount=findings)
                case BudgetCount.DISTINCT_CARDS if self._cards is not None:
                    charge = replace(charge, cards=self._cards.digests)
                case _:
                    continue
            if charge.adds:
                charges.append(charge)
        return (SettleBudgets(tuple(charges), now_unix),) if charges else ()

    @property
    def owes(self) -> bool:
        return self._owes

    def _charges(self, given: DecisionInput, stopping: tuple[StepAction, ...]) -> tuple[Charge, ...]:
        """What the request costs. Of more cards than lead to the last step, only as many are looked up."""
        charges = []
        for budget in self._asked:
            charge = replace(self._charge(budget, given), stop_at=first_step(budget, stopping))
            most = last_step(budget, stopping)
            match budget.count:
                case BudgetCount.EXCHANGES:
                    charge = replace(charge, amount=1)
                case BudgetCount.FINDINGS:
                    charge = replace(charge, amount=sum(given.findings.values()))
                case BudgetCount.DISTINCT_CARDS if self._cards is not None:
                    digests = self._cards.digests
                    charge = replace(charge, cards=frozenset(sorted(digests)[:most]) if most else digests)
            charges.append(charge)
        return tuple(charges)

    def _charge(self, budget: Budget, given: DecisionInput) -> Charge:
        return Charge(budget.name, series_of(budget), holder_of(budget, given), budget.window_seconds)
