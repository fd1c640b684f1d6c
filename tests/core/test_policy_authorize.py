"""The theorems of the authorizer, on small alphabets where rules collide often, and an oracle of its own code."""

import functools
from dataclasses import replace
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from extproc.core.identity import Principal
from extproc.core.masking.settings import MaskingSettings
from extproc.core.policy import (
    DEFAULT_DENY,
    DEFAULT_DENY_TEXT,
    AtLeast,
    Decision,
    DecisionInput,
    Effect,
    Facts,
    HoldTerms,
    Match,
    Operation,
    Policy,
    Rule,
    authorize,
    matches,
)
from extproc.core.reach import covers, meet

TERMS = HoldTerms(("approvers",), 60.0, 3600.0, detach=False)
OPERATIONS = (Operation.CHAT, Operation.MODEL_LIST, Operation.UNKNOWN)


def some(values: Any, most: int = 2) -> st.SearchStrategy[tuple[Any, ...]]:
    return st.lists(st.sampled_from(values), max_size=most, unique=True).map(tuple)


def maybe(*values: int) -> st.SearchStrategy[int | None]:
    return st.sampled_from((None, None, *values))


least = st.builds(AtLeast, max_tokens=maybe(1, 5), choices=maybe(2), findings=maybe(1, 2), body_bytes=maybe(10))
match = st.builds(
    Match,
    groups=some(("a", "b", "c")),
    subjects=some(("s", "i|s", "j|s", "t", "i|")),
    models=some(("*", "m*", "m-?", "m-1", "x", "", "?", "M*", "M-\u00df")),
    any_case=st.booleans(),
    operations=some(OPERATIONS),
    connections=some(("*", "one", "t*")),
    at_least=least,
)
request = st.builds(
    DecisionInput,
    principal=st.builds(
        Principal,
        issuer=st.sampled_from(("i", "j")),
        subject=st.sampled_from(("s", "t", "i|s")),
        name=st.just(""),
        groups=some(("a", "b", "c")),
    ),
    connection=st.sampled_from(("one", "two")),
    operation=st.sampled_from(OPERATIONS),
    facts=st.builds(
        Facts,
        model=st.sampled_from(("m", "m-1", "m-12", "x", "", "\n")),
        max_tokens=st.sampled_from((0, 1, 5)),
        choices=st.sampled_from((1, 2)),
        body_bytes=st.sampled_from((0, 10, 11)),
    ),
    now_unix=st.just(1.8e9),
    findings=st.dictionaries(st.sampled_from(("pan", "security_code")), st.integers(0, 2), max_size=2),
)


@st.composite
def rules(draw: st.DrawFn, effects: tuple[Effect, ...] = tuple(Effect), most: int = 5) -> tuple[Rule, ...]:
    drawn = draw(st.lists(st.tuples(st.sampled_from(effects), match), max_size=most))
    return tuple(
        Rule(f"r{i}", effect, m, f"text {i}", replace(TERMS, wait_seconds=float(i)) if effect is Effect.HOLD else None)
        for i, (effect, m) in enumerate(drawn)
    )


def policy(rules: tuple[Rule, ...]) -> Policy:
    return Policy("sha256:0", "p", rules, MaskingSettings())


def oracle_glob(glob: str, text: str) -> bool:
    @functools.cache
    def at(i: int, j: int) -> bool:
        if i == len(glob):
            return j == len(text)
        if glob[i] == "*":
            return at(i + 1, j) or (j < len(text) and at(i, j + 1))
        return j < len(text) and glob[i] in ("?", text[j]) and at(i + 1, j + 1)

    return at(0, 0)


def oracle_model(glob: str, model: str, m: Match) -> bool:
    return oracle_glob(glob, model) or (m.any_case and oracle_glob(glob.casefold(), model.casefold()))


def oracle_matches(m: Match, q: DecisionInput) -> bool:
    who = {f"{q.principal.issuer}|{q.principal.subject}"}
    if "|" not in q.principal.subject:
        who.add(q.principal.subject)
    listing = q.facts.model == "" and q.operation == "model_list" and "model_list" in m.operations
    counts = {"max_tokens": q.facts.max_tokens, "choices": q.facts.choices, "body_bytes": q.facts.body_bytes}
    counts["findings"] = sum(q.findings.values())
    refusals = [
        m.operations and q.operation not in m.operations,
        m.groups and not set(m.groups) & set(q.principal.groups),
        m.subjects and not set(m.subjects) & who,
        m.connections and not [g for g in m.connections if oracle_glob(g, q.connection)],
        m.models and not listing and not [g for g in m.models if oracle_model(g, q.facts.model, m)],
        *((getattr(m.at_least, key) or 0) > counts[key] for key in counts),
    ]
    return not any(refusals)


def oracle(rules: tuple[Rule, ...], q: DecisionInput) -> tuple[str, str]:
    by_effect: dict[str, list[str]] = {"allow": [], "hold": [], "deny": []}
    for rule in rules:
        if oracle_matches(rule.match, q):
            by_effect[rule.effect.value].append(rule.name)
    for effect, needs_allow in (("deny", False), ("hold", True), ("allow", False)):
        if by_effect[effect] and (by_effect["allow"] or not needs_allow):
            return effect, by_effect[effect][0]
    return "deny", "default-deny"


@settings(max_examples=200)
@given(rules(), request)
def test_the_decision_is_the_oracles(given_rules: tuple[Rule, ...], q: DecisionInput) -> None:
    decision = authorize(policy(given_rules), q)
    assert (decision.effect.value, decision.rule) == oracle(given_rules, q)


@given(rules((Effect.HOLD, Effect.DENY)), request)
def test_default_deny(given_rules: tuple[Rule, ...], q: DecisionInput) -> None:
    """Without a matching allow the answer is deny."""
    assert authorize(policy(given_rules), q).effect is Effect.DENY
    empty = authorize(policy(()), q)
    assert empty == Decision(Effect.DENY, DEFAULT_DENY, DEFAULT_DENY_TEXT, "sha256:0", None)


@given(rules(), request)
def test_deny_trumps(given_rules: tuple[Rule, ...], q: DecisionInput) -> None:
    """One matching deny decides, whatever else matches and wherever it stands."""
    deny = Rule("no", Effect.DENY, Match(), "no", None)
    allow = Rule("yes", Effect.ALLOW, Match(), "", None)
    for order in ((*given_rules, allow, deny), (deny, allow, *given_rules)):
        assert authorize(policy(order), q).effect is Effect.DENY


@given(rules((Effect.ALLOW,)), request)
def test_hold_trumps_allow(given_rules: tuple[Rule, ...], q: DecisionInput) -> None:
    hold = Rule("wait", Effect.HOLD, Match(), "wait", TERMS)
    allow = Rule("yes", Effect.ALLOW, Match(), "", None)
    for order in ((*given_rules, allow, hold), (hold, allow, *given_rules)):
        assert authorize(policy(order), q) == Decision(Effect.HOLD, "wait", "wait", "sha256:0", TERMS, ("wait",))


@given(rules((Effect.HOLD,)), request)
def test_hold_is_no_permission(given_rules: tuple[Rule, ...], q: DecisionInput) -> None:
    """Holds alone never lead to a hold, and adding one never turns a deny into anything else."""
    assert authorize(policy(given_rules), q).rule == DEFAULT_DENY


@given(rules(), rules((Effect.HOLD, Effect.DENY)), request)
def test_more_holds_and_denies_never_permit_more(
    given_rules: tuple[Rule, ...], more: tuple[Rule, ...], q: DecisionInput
) -> None:
    strictness = (Effect.ALLOW, Effect.HOLD, Effect.DENY)
    before, after = authorize(policy(given_rules), q), authorize(policy((*more, *given_rules)), q)
    assert strictness.index(after.effect) >= strictness.index(before.effect)


@given(rules(), request, st.randoms())
def test_the_effect_does_not_depend_on_the_order(given_rules: tuple[Rule, ...], q: DecisionInput, random: Any) -> None:
    shuffled = list(given_rules)
    random.shuffle(shuffled)
    assert authorize(policy(tuple(shuffled)), q).effect is authorize(policy(given_rules), q).effect


@given(rules(), request)
def test_the_determining_rule_matches_and_gives_text_and_terms(given_rules: tuple[Rule, ...], q: DecisionInput) -> None:
    decision = authorize(policy(given_rules), q)
    if decision.rule == DEFAULT_DENY:
        return
    rule = next(each for each in given_rules if each.name == decision.rule)
    assert matches(rule.match, q)
    assert (rule.effect, rule.text, rule.hold) == (decision.effect, decision.text, decision.hold)


@given(request)
def test_a_hold_without_terms_denies(q: DecisionInput) -> None:
    broken = (Rule("yes", Effect.ALLOW, Match(), "", None), Rule("wait", Effect.HOLD, Match(), "", None))
    assert authorize(policy(broken), q).effect is Effect.DENY


def test_a_subject_cannot_pass_for_another_issuers_uid() -> None:
    q = DecisionInput(Principal("j", "i|s", "", ()), "one", Operation.CHAT, Facts(), {}, 0.0)
    assert not matches(Match(subjects=("i|s",)), q)
    assert matches(Match(subjects=("j|i|s",)), q)


@settings(max_examples=200)
@given(match, match, request)
def test_covers_and_meet_say_only_what_is_certain(one: Match, other: Match, q: DecisionInput) -> None:
    if covers(one, other) and matches(other, q):
        assert matches(one, q)
    if not meet(one, other):
        assert not (matches(one, q) and matches(other, q))


def test_two_rules_that_list_models_meet_and_cover_in_a_listing_without_a_model() -> None:
    """A listing names no model, so that two rules for different models may both match it."""
    one, other = (Match(models=(model,), operations=(Operation.MODEL_LIST,)) for model in ("a", "b"))
    q = DecisionInput(Principal("i", "s", "", ()), "one", Operation.MODEL_LIST, Facts(), {}, 0.0)
    assert matches(one, q)
    assert matches(other, q)
    assert meet(one, other)
    assert not matches(Match(models=("a",)), q)
    assert not covers(Match(models=("a",)), one)
