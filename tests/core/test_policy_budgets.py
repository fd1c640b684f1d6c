"""What budgets say to a request whose counts are known, beside the rules."""

from hypothesis import given, settings
from hypothesis import strategies as st

from extproc.core.identity import Principal
from extproc.core.masking.settings import MaskingSettings
from extproc.core.policy import (
    Budget,
    BudgetCount,
    BudgetScope,
    BudgetStep,
    Decision,
    DecisionInput,
    Effect,
    Facts,
    HoldTerms,
    Match,
    Operation,
    Policy,
    Rule,
    StepAction,
    authorize,
)
from extproc.core.policy.joining import joined_terms

TERMS = HoldTerms(("approvers",), 1.0, 60.0, detach=False)
OTHERS = HoldTerms(("others",), 1.0, 60.0, detach=False)
STRICTNESS = [Effect.ALLOW, Effect.HOLD, Effect.DENY]
ALLOW = Rule("allow", Effect.ALLOW, Match(), "", None)
HOLD = Rule("hold", Effect.HOLD, Match(), "Rule.", TERMS)
DENY = Rule("deny", Effect.DENY, Match(), "No.", None)


def step(at: int, action: str, text: str = "", hold: HoldTerms | None = None) -> BudgetStep:
    return BudgetStep(at, StepAction(action), text, hold)


def budget(name: str, *steps: BudgetStep, match: Match | None = None) -> Budget:
    return Budget(name, match or Match(), BudgetCount.EXCHANGES, BudgetScope.PERSON, 60.0, steps)


def decide(rules: tuple[Rule, ...], budgets: tuple[Budget, ...], **counts: int) -> Decision:
    policy = Policy("sha256:0", "p", rules, MaskingSettings(), budgets=budgets)
    principal = Principal(issuer="i", subject="s", name="n", groups=())
    return authorize(policy, DecisionInput(principal, "c", Operation.CHAT, Facts(), {}, 0.0, budgets=counts))


def test_the_highest_step_that_is_reached_decides() -> None:
    steps = (
        step(2, "log"),
        step(4, "hold", "Ask.", TERMS),
        step(6, "hold", "Ask others.", OTHERS),
        step(8, "deny", "No more."),
    )
    made = [decide((ALLOW,), (budget("b", *steps),), b=count) for count in (1, 2, 4, 6, 8)]
    assert [(one.effect.value, one.rule, one.text, one.hold) for one in made] == [
        ("allow", "allow", "", None),
        ("allow", "allow", "", None),
        ("hold", "budget:b", "Ask.", TERMS),
        ("hold", "budget:b", "Ask others.", OTHERS),
        ("deny", "budget:b", "No more.", None),
    ]
    assert [one.logging for one in made] == [(), *[("budget:b",)] * 4]


def test_rules_come_before_budgets_and_the_first_budget_before_the_others() -> None:
    two = (budget("one", step(1, "hold", "One.", OTHERS)), budget("two", step(1, "hold", "Two.", TERMS)))
    by_rule = decide((ALLOW, HOLD), two, one=1, two=1)
    assert (by_rule.rule, by_rule.text, by_rule.hold) == (
        "hold",
        "Rule. One. Two.",
        joined_terms([TERMS, OTHERS, TERMS]),
    )
    assert by_rule.determining == ("hold", "budget:one", "budget:two")
    by_budget = decide((ALLOW,), two, one=1, two=1)
    assert (by_budget.rule, by_budget.determining) == ("budget:one", ("budget:one", "budget:two"))


def test_a_hold_that_nobody_could_grant_is_a_refusal() -> None:
    made = decide((ALLOW,), (budget("b", step(1, "hold")),), b=1)
    assert (made.effect, made.hold) == (Effect.DENY, None)


def test_a_budget_of_others_says_nothing() -> None:
    others = budget("b", step(1, "deny"), match=Match(operations=(Operation.EMBEDDINGS,)))
    assert decide((ALLOW,), (others,), b=5).effect is Effect.ALLOW
    assert decide((ALLOW,), (budget("b", step(1, "deny")),)).effect is Effect.ALLOW


@settings(max_examples=60, deadline=None)
@given(
    rules=st.lists(st.sampled_from([ALLOW, HOLD, DENY]), unique=True).map(tuple),
    steps=st.lists(st.sampled_from([step(1, "log"), step(2, "hold", "", TERMS), step(3, "deny")]), unique=True),
    count=st.integers(0, 4),
)
def test_budgets_only_make_a_decision_stricter(rules: tuple[Rule, ...], steps: list[BudgetStep], count: int) -> None:
    without = decide(rules, ())
    made = decide(rules, (budget("b", *sorted(steps, key=lambda one: one.at)),), b=count)
    assert STRICTNESS.index(made.effect) >= STRICTNESS.index(without.effect)
    if made.effect is without.effect:
        assert (made.rule, made.text, made.hold) == (without.rule, without.text, without.hold)
