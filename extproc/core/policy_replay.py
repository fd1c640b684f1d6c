"""Recorded decisions made again by another policy, and what differs. Pure; memory: one entry a kind of change.

Only what a record says is judged again. Findings are those of the masking of then; an answer is judged by the counts at
its end, which for one that was cut are those at the cut.
"""

from collections import Counter
from dataclasses import dataclass, field, replace

from extproc.core.policy import ApprovalFacts, DecisionInput, Effect, Policy, authorize, judge_response, matches
from extproc.core.reasons import Malformed
from extproc.core.record import Record
from extproc.core.recorded import decision_input, response_counts

CUT = "cut"
"""In place of an effect: a response rule ended the answer."""
EFFECTS = ("allow", "hold", "deny", CUT)
MAX_EXAMPLES = 3


@dataclass(frozen=True, slots=True, order=True)
class Verdict:
    """An effect, or `cut`, and the rule that determined it."""

    effect: str
    rule: str


@dataclass(frozen=True, slots=True, order=True)
class Change:
    then: Verdict
    now: Verdict

    @property
    def kind(self) -> str:
        """As `--fail-on` names it: `allow-to-deny`."""
        return f"{self.then.effect}-to-{self.now.effect}"


@dataclass(slots=True)
class Replay:
    """What `add` has seen so far."""

    policy: Policy
    decided: int = 0
    """Exchanges whose decision was made again."""
    undecided: int = 0
    """Exchanges that were refused before the policy was asked."""
    not_rebuilt: int = 0
    """Exchanges whose record does not say all that the decision looked at."""
    changes: dict[Change, int] = field(default_factory=dict)
    examples: dict[Change, list[str]] = field(default_factory=dict)
    then: Counter[str] = field(default_factory=Counter)
    now: Counter[str] = field(default_factory=Counter)
    shadow: Counter[tuple[str, str]] = field(default_factory=Counter)
    """Rule in shadow and its effect: how many decisions it would have changed."""
    errors: Counter[str] = field(default_factory=Counter)
    """Rules whose condition could not be evaluated."""
    uncounted: Counter[str] = field(default_factory=Counter)
    """Budgets that apply to exchanges whose record has no count of them: judged as if nothing had been counted."""
    unanswered: int = 0
    """Exchanges that the policy lets go on, or now holds, and whose answer nobody knows: its response rules are not
    judged."""

    def add(self, exchange_id: str, record: Record) -> None:
        """`record` is the last one of the exchange that has a decision; where none has one, its last."""
        if record.policy is None or not record.policy.effect:
            self.undecided += 1
            return
        then = recorded_verdict(record)
        try:
            now = self._decide(record)
        except Malformed:
            self.not_rebuilt += 1
            return
        self.decided += 1
        self.then[then.effect] += 1
        self.now[now.effect] += 1
        if then != now:
            change = Change(then, now)
            self.changes[change] = self.changes.get(change, 0) + 1
            examples = self.examples.setdefault(change, [])
            if len(examples) < MAX_EXAMPLES:
                examples.append(exchange_id)

    @property
    def whole(self) -> bool:
        """Whether anything was decided again, and nothing in part or by what nobody counted."""
        return self.decided > 0 and not (self.not_rebuilt or self.uncounted or self.unanswered)

    def found(self, kinds: frozenset[str]) -> int:
        """How many decisions changed in one of these ways; `any` is every way."""
        return sum(count for change, count in self.changes.items() if "any" in kinds or change.kind in kinds)

    def _decide(self, record: Record) -> Verdict:
        given = decision_input(record)
        decision = authorize(self.policy, given)
        if decision.effect is not Effect.DENY:  # what is denied is not asked of any budget
            self._note_uncounted(given)
        self.errors.update(decision.errors)
        self.shadow.update((each.rule, str(each.effect)) for each in decision.shadow if each.would_change)
        verdict = Verdict(str(decision.effect), decision.rule)
        if decision.effect is Effect.DENY or not self.policy.response_rules:
            return verdict
        counts = response_counts(record)
        held = record.policy is not None and record.policy.effect == Effect.HOLD
        if counts is None or (decision.effect is Effect.HOLD and not held):
            self.unanswered += 1
            return verdict
        if decision.effect is Effect.ALLOW:
            given = replace(given, approval=ApprovalFacts())
        answer = judge_response(self.policy, given, counts)
        self.errors.update(answer.errors)
        self.shadow.update((rule, CUT) for rule in answer.shadow if not answer.cut)
        return Verdict(CUT, answer.rule) if answer.cut else verdict

    def _note_uncounted(self, given: DecisionInput) -> None:
        for budget in self.policy.budgets:
            if budget.name not in given.budgets and matches(budget.match, given):
                self.uncounted[budget.name] += 1


def recorded_verdict(record: Record) -> Verdict:
    """What came of it then."""
    policy, decision = record.policy, record.decision
    if decision is not None and decision.response is not None and decision.response.rule:
        return Verdict(CUT, decision.response.rule)
    return Verdict(policy.effect if policy else "", policy.rule if policy else "")
