"""Cedar's theorems for whole policies, and what shadow, sign-in, obligations and times do to a decision."""

import random
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given as drawn
from hypothesis import settings
from hypothesis import strategies as st

from extproc.core.identity import Principal
from extproc.core.policy import (
    DecisionInput,
    Effect,
    Facts,
    Match,
    Obligations,
    Operation,
    Policy,
    ResponseCounts,
    ShadowResult,
    StepUp,
    authorize,
    judge_response,
    matches,
)
from extproc.core.policy import engine as engine_module
from extproc.core.policy.condition import Condition
from extproc.core.policy.index import MatchIndex, bits
from extproc.core.policy_document import MAX_RULES, PolicyInvalid, parse_policy
from tests.core.policy_texts import ALLOW, HOLD, document, given, parsed, problems, rule
from tests.core.test_policy_authorize import match, request

SHADOW = {"mode": "shadow", "shadow_until": "2999-01-01"}
WHENS = (
    "request.stream",
    "request.max_tokens > 4",
    "10 / request.messages > 2",
    'principal.groups.exists(g, g == "a")',
    "request.findings.pan * 9223372036854775807 > 1",
    "dyn(request.model) > 3",
)
SPANS = ({"days": ["mon", "fri"], "zone": "Europe/Vienna"}, {"from": "22:00", "to": "06:00", "zone": "UTC"})


@st.composite
def rules(draw: st.DrawFn) -> dict[str, Any]:
    effect = draw(st.sampled_from(["allow", "allow", "hold", "deny"]))
    fields: dict[str, Any] = {
        "groups": draw(st.sampled_from([None, ["a"], ["b", "c"]])),
        "models": draw(st.sampled_from([None, ["m*"], ["x"]])),
        "operations": draw(st.sampled_from([None, ["chat"], ["chat", "model_list"]])),
        "kinds": draw(st.sampled_from([None, None, ["service"]])),
        "times": draw(st.sampled_from([None, None, [SPANS[0]], [SPANS[1]]])),
    }
    more: dict[str, Any] = {"when": draw(st.sampled_from([None, *WHENS]))}
    if effect == "hold":
        more["hold"] = HOLD
    if effect == "allow":
        more["require"] = draw(st.sampled_from([None, None, {"mfa": True}, {"max_auth_age": "1h"}]))
        more["obligations"] = draw(st.sampled_from([None, {"max_tokens": 5}, {"retention": "9d", "max_tokens": 7}]))
    if draw(st.integers(0, 5)) == 0:
        more |= SHADOW
    return rule("", effect, _given(fields), **_given(more))


def _given(fields: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in fields.items() if value is not None}


@st.composite
def policies(draw: st.DrawFn) -> Policy:
    """A document that is read without problems: rules with problems are left out."""
    wanted = [each | {"name": f"r{i}"} for i, each in enumerate(draw(st.lists(rules(), min_size=1, max_size=6)))]
    while wanted:
        try:
            return parse_policy(document(*wanted))
        except PolicyInvalid as invalid:
            bad = {int(each.path[6]) for each in invalid.problems}
            wanted = [each for at, each in enumerate(wanted) if at not in bad]
    return parsed(ALLOW)


inputs = st.builds(
    DecisionInput,
    principal=st.builds(
        Principal,
        issuer=st.just("i"),
        subject=st.sampled_from(["s", "i|s", "", "\udfff"]),
        name=st.just(""),
        groups=st.sampled_from([(), ("a",), ("b", "a")]),
        kind=st.sampled_from(["person", "service"]),
        mfa=st.booleans(),
        authenticated_at=st.sampled_from([0, 1_800_000_000, 1]),
    ),
    connection=st.sampled_from(["default", ""]),
    operation=st.sampled_from(list(Operation)),
    facts=st.builds(
        Facts,
        model=st.sampled_from(["m", "x", "", "\U0001f600"]),
        stream=st.booleans(),
        max_tokens=st.sampled_from([0, 5, 2**70]),
        messages=st.sampled_from([0, 3]),
        tool_names=st.sampled_from([(), ("a", ""), ("\ud800",), ("b",) * 1025]),
    ),
    findings=st.dictionaries(st.sampled_from(["pan", "unheard_of"]), st.integers(0, 3), max_size=2),
    now_unix=st.sampled_from([0.0, 1.8e9, 1.8000001e9, 4e9]),
)


@settings(max_examples=75, deadline=None)
@drawn(policies(), inputs)
def test_the_theorems(policy: Policy, q: DecisionInput) -> None:
    """Nothing raises; no allow without an allow that matches; a deny that matches always wins; a hold beats an allow."""
    decision = authorize(policy, q)
    enforced = {each.name: each for each in policy.rules if each.shadow_until is None}
    named = [enforced[name] for name in decision.determining]
    assert all(each.effect is decision.effect and matches(each.match, q) for each in named)
    assert bool(named) == (decision.rule != "default-deny")
    if decision.effect is not Effect.ALLOW:
        assert decision.effect is Effect.DENY or named[0].effect is Effect.HOLD
    certain = [
        each
        for each in enforced.values()
        if matches(each.match, q) and (each.when is None or each.name in decision.errors)
    ]
    if any(each.effect is Effect.DENY for each in certain):
        assert decision.effect is Effect.DENY
    if any(each.effect is Effect.HOLD for each in certain):
        assert decision.effect is not Effect.ALLOW
    if decision.effect is not Effect.DENY:
        assert any(each.effect is Effect.ALLOW and matches(each.match, q) for each in enforced.values())


@settings(max_examples=50, deadline=None)
@drawn(policies(), inputs, st.randoms(use_true_random=False))
def test_the_effect_is_the_same_in_every_order(policy: Policy, q: DecisionInput, chance: random.Random) -> None:
    shuffled = list(policy.rules)
    chance.shuffle(shuffled)
    one, other = authorize(policy, q), authorize(replace(policy, rules=tuple(shuffled)), q)
    assert (one.effect, set(one.determining), set(one.errors)) == (
        other.effect,
        set(other.determining),
        set(other.errors),
    )
    assert (set(one.shadow), one.obligations) == (set(other.shadow), other.obligations)


@settings(max_examples=50, deadline=None)
@drawn(policies(), inputs)
def test_a_rule_in_shadow_changes_nothing_and_says_what_it_would_change(policy: Policy, q: DecisionInput) -> None:
    decision = authorize(policy, q)
    without = replace(policy, rules=tuple(each for each in policy.rules if each.shadow_until is None))
    bare = authorize(without, q)
    assert (bare.effect, bare.rule, bare.determining) == (decision.effect, decision.rule, decision.determining)
    for result in decision.shadow:
        forced = tuple(replace(each, shadow_until=None) if each.name == result.rule else each for each in policy.rules)
        assert (authorize(replace(policy, rules=forced), q).effect is not decision.effect) == result.would_change


@settings(max_examples=300)
@drawn(st.lists(match, max_size=8), request)
def test_the_index_finds_what_matches(several: list[Match], q: DecisionInput) -> None:
    index = MatchIndex(several)
    assert list(bits(index.holding(q))) == [at for at, each in enumerate(several) if matches(each, q)]
    assert index.holding(q) == index.holding(q)


def test_all_determining_rules_are_named_in_order() -> None:
    policy = parsed(ALLOW, rule("a", when="request.stream"), rule("b", when="request.tools > 0", text="Second."))
    assert authorize(policy, given(stream=True, tools=1)).determining == ("a", "b")
    decision = authorize(policy, given(tools=1))
    assert (decision.determining, decision.text) == (("b",), "Second.")


def test_shadow_is_told_and_not_enforced() -> None:
    policy = parsed(
        rule("yes", "allow", {"models": ["m"]}),
        rule("tighter", match={"groups": ["a"]}, **SHADOW),
        rule("wider", "allow", {"models": ["x"]}, **SHADOW),
        rule("asks", "hold", hold=HOLD, **SHADOW),
    )
    decision = authorize(policy, given(("a",)))
    assert decision.effect is Effect.ALLOW
    assert decision.shadow == (ShadowResult("tighter", "deny", True), ShadowResult("asks", "hold", True))
    decision = authorize(policy, given(model="x"))
    assert decision.effect is Effect.DENY
    assert decision.shadow == (ShadowResult("wider", "allow", True), ShadowResult("asks", "hold", False))


def test_sign_in_is_asked_for_where_nothing_else_allows() -> None:
    strict = rule("strict", "allow", require={"mfa": True, "max_auth_age": "1h"}, obligations={"max_tokens": 9})
    policy = parsed(strict, rule("small", "allow", when="request.max_tokens < 10"), rule("no", when="request.stream"))
    decision = authorize(policy, given(max_tokens=10))
    assert (decision.effect, decision.rule) == (Effect.DENY, "default-deny")
    assert decision.step_up == StepUp("strict", True, 3600.0)
    fresh = {"mfa": True, "authenticated_at": 1_799_996_400}
    decision = authorize(policy, given(max_tokens=10, person=fresh))
    assert (decision.rule, decision.step_up, decision.obligations.max_tokens) == ("strict", None, 9)
    for person in ({"mfa": False}, {"authenticated_at": 1_799_996_399}, {"authenticated_at": 0}):
        assert authorize(policy, given(max_tokens=10, person=fresh | person)).effect is Effect.DENY
    assert authorize(policy, given(max_tokens=9)).step_up is None
    assert authorize(policy, given(max_tokens=10, stream=True)).step_up is None


@pytest.mark.parametrize("model", ["llama-3", "LLAMA-3", "Llama-3", "lLama-3"])
def test_what_restricts_a_model_does_so_in_whatever_case_it_is_named(model: str) -> None:
    """A server may take all of them for one model (Ollama); an allow rule allows what it names, letter by letter."""
    named = {"models": ["other", "llama-3"]}
    denied = parsed(ALLOW, rule("no", match=named))
    assert authorize(denied, given(model=model)).rule == "no"
    assert authorize(denied, given(model="llama-4")).effect is Effect.ALLOW
    held = parsed(rule("yes", "allow", {"models": ["?????-3"]}), rule("h", "hold", named, hold=HOLD))
    assert authorize(held, given(model=model)).effect is Effect.HOLD
    shadow = parsed(ALLOW, rule("no", match=named, mode="shadow", shadow_until="2999-01-01"))
    assert [each.rule for each in authorize(shadow, given(model=model)).shadow] == ["no"]
    steps = [{"at": 1, "do": "deny"}]
    budget = {"name": "b", "match": named, "count": "exchanges", "per": "person", "window": "1h", "steps": steps}
    assert authorize(parsed(ALLOW, budgets=[budget]), given(model=model, budgets={"b": 1})).rule == "budget:b"
    cut = {"name": "c", "effect": "cut", "match": named, "when": "response.events > 0"}
    assert judge_response(parsed(ALLOW, response_rules=[cut]), given(model=model), ResponseCounts(events=1)).cut
    elsewhere = rule("no", match={"models": ["another"]})
    allowed = authorize(parsed(rule("yes", "allow", named), elsewhere), given(model=model))
    assert (allowed.effect is Effect.ALLOW) is (model == "llama-3")


def test_a_hold_meets_an_allow_of_the_same_model_in_another_case() -> None:
    allow, held = ({"operations": ["chat"], "models": [model]} for model in ("LLAMA-3", "llama-3"))
    other = held | {"models": ["llama-4"]}
    assert parsed(rule("yes", "allow", allow), rule("h", "hold", held, hold=HOLD))
    (found,) = problems(document(rule("yes", "allow", allow), rule("h", "hold", other, hold=HOLD)))
    assert "no allow rule matches anything that it holds" in found.message


def test_obligations_are_the_strictest_of_what_allows() -> None:
    profiles = {"strict": {"media": "deny"}, "loose": {"styles": {"pan": "truncate"}}}
    policy = parsed(
        rule(
            "a",
            "allow",
            obligations={"masking": "loose", "max_tokens": 100, "retention": "10d", "durability": "journal"},
        ),
        rule("b", "allow", {"groups": ["b"]}, obligations={"masking": "strict", "max_tokens": 50, "retention": "5d"}),
        rule("c", "allow", {"groups": ["c"]}, obligations={"durability": "store", "retention": "30d"}),
        rule("h", "hold", {"operations": ["messages"]}, hold=HOLD),
        rule("d", match={"operations": ["responses"]}),
        masking={"profiles": profiles},
    )
    assert authorize(policy, given()).obligations == Obligations("loose", 100, 10, "journal")
    assert authorize(policy, given(("b", "c"))).obligations == Obligations("strict", 50, 5, "store")
    held = authorize(policy, given(("b",), Operation.MESSAGES))
    assert (held.effect, held.obligations.masking) == (Effect.HOLD, "strict")
    assert authorize(policy, given(operation=Operation.RESPONSES)).obligations == Obligations()


def at(text: str) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()


@pytest.mark.parametrize(
    ("span", "inside", "outside"),
    [
        # Vienna is two hours before UTC in summer, one in winter.
        ({"from": "08:00", "to": "18:00"}, ["2026-07-01T06:00", "2026-12-01T16:59"], ["2026-07-01T05:59", "2026-12-01T17:00"]),
        ({"days": ["mon"]}, ["2026-11-29T23:00", "2026-11-30T22:59"], ["2026-11-29T22:59", "2026-11-30T23:00"]),
        (
            {"days": ["fri"], "from": "22:00", "to": "06:00"},
            ["2026-11-27T21:00", "2026-11-28T04:59"],
            ["2026-11-27T20:59", "2026-11-28T05:00", "2026-11-28T21:30", "2026-11-27T03:00"],
        ),
        ({"from": "18:00", "to": "24:00"}, ["2026-11-28T17:00", "2026-11-28T22:59"], ["2026-11-28T23:00"]),
    ],
    ids=["hours", "a day", "over midnight", "until midnight"],
)  # fmt: skip
def test_times_are_those_of_the_clock_on_the_wall(span: dict[str, Any], inside: list[str], outside: list[str]) -> None:
    policy = parsed(rule("in", "allow", {"times": [span | {"zone": "Europe/Vienna"}]}))
    assert [authorize(policy, given(now_unix=at(when))).effect for when in inside] == [Effect.ALLOW] * len(inside)
    assert [authorize(policy, given(now_unix=at(when))).effect for when in outside] == [Effect.DENY] * len(outside)


def test_people_and_services_are_told_apart() -> None:
    policy = parsed(rule("people", "allow", {"kinds": ["person"]}))
    assert authorize(policy, given()).effect is Effect.ALLOW
    assert authorize(policy, given(person={"kind": "service"})).effect is Effect.DENY


def test_budgets_hold_and_deny_beside_rules() -> None:
    steps = [{"at": 1, "do": "log"}, {"at": 2, "do": "hold", "hold": HOLD}, {"at": 3, "do": "deny", "text": "Enough."}]
    budget = {
        "name": "b",
        "match": {"groups": ["a"]},
        "count": "findings",
        "per": "person",
        "window": "1h",
        "steps": steps,
    }
    policy = parsed(rule("yes", "allow"), rule("tries", **SHADOW, when="request.stream"), budgets=[budget])
    found = [authorize(policy, given(("a",), budgets={"b": count})) for count in range(4)]
    assert [each.effect for each in found] == [Effect.ALLOW, Effect.ALLOW, Effect.HOLD, Effect.DENY]
    assert (found[1].logging, found[2].rule, found[3].text) == (("budget:b",), "budget:b", "Enough.")
    assert authorize(policy, given(budgets={"b": 9})).effect is Effect.ALLOW
    assert authorize(policy, given(("a",), budgets={"b": 9}, stream=True)).shadow == (
        ShadowResult("tries", "deny", False),
    )


def test_a_text_that_is_no_unicode_is_in_doubt() -> None:
    policy = parsed(ALLOW, rule("no", when='request.tool_names.exists(t, t == "a")'))
    decision = authorize(policy, given(tool_names=("\ud800",)))
    assert (decision.rule, decision.errors) == ("no", ("no",))


def test_only_rules_whose_match_holds_are_evaluated(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a decision by the largest policy costs is a few conditions: the rest never gets that far."""
    from bench.policy import large_input, large_policy

    policy = parse_policy(large_policy())
    assert len(policy.rules) == MAX_RULES
    evaluated: list[str] = []
    made: list[object] = []
    holds, activate = Condition.holds, engine_module.Evaluation._activate

    def counted(self: Condition, activation: Any) -> bool | None:
        evaluated.append(self.source)
        return holds(self, activation)

    def counted_activation(self: Any) -> Any:
        made.append(self)
        return activate(self)

    monkeypatch.setattr(Condition, "holds", counted)
    monkeypatch.setattr(engine_module.Evaluation, "_activate", counted_activation)
    authorize(policy, large_input(11))
    assert 0 < len(evaluated) <= 6
    assert len(made) == 1
    authorize(policy, given())
    assert len(made) == 1


def test_a_model_server_is_administered_only_where_a_rule_says_so() -> None:
    """An allow without `operations` does not reach it; a deny without does."""
    admin = given(operation=Operation.MODEL_ADMIN)
    wide, named = rule("wide", "allow"), rule("named", "allow", {"operations": ["model_admin"]})
    assert authorize(parsed(wide), given()).effect is Effect.ALLOW
    assert authorize(parsed(wide), given(operation=Operation.UNKNOWN)).effect is Effect.ALLOW
    assert authorize(parsed(wide), admin).rule == "default-deny"
    assert authorize(parsed(wide, named), admin).rule == "named"
    denying = rule("off", "deny", {"groups": ["g"]})
    assert authorize(parsed(wide, named, denying), replace(admin, principal=given(("g",)).principal)).rule == "off"
