"""Nothing of a policy may be without effect: each such line is an error with its place and what to do."""

from datetime import date
from typing import Any

import pytest

from extproc.core.policy_document import PolicyInvalid, expired_shadows, parse_policy
from tests.core.policy_texts import ALLOW, HOLD, document, parsed, problems, rule, said

CUT = {"name": "c", "effect": "cut", "match": {}, "when": "response.events > 1"}
BUDGET = {
    "name": "b",
    "match": {},
    "count": "findings",
    "per": "person",
    "window": "1h",
    "steps": [{"at": 5, "do": "deny"}],
}
STEP = {"at": 5, "do": "hold", "hold": HOLD}
KNOWN = {"models": ["llama-3", "mistral-*"], "groups": {"staff": ["s-1"]}, "connections": ["default", "gpu-b"]}
USES = rule("uses", "allow", {"groups": ["staff"]})


def spanned(**span: str) -> dict[str, Any]:
    return rule(match={"times": [{"zone": "UTC"} | span]})


INERT: dict[str, tuple[bytes, str, str, str]] = {
    # Beaten by another rule.
    "under a deny of all": (
        document(rule("no", match={"models": ["m"]}), rule("yes", "allow", {"models": ["m"]}), ALLOW | {"name": "a"}),
        "rules[1]",
        "can never decide: the rule `no` denies everything it matches",
        "narrow that rule",
    ),
    "deny under an earlier deny": (
        document(ALLOW, rule("no", match={"models": ["m*"]}), rule("late", match={"models": ["m1"]})),
        "rules[2]",
        "can never decide: the rule `no` denies everything it matches",
        "put the narrower rule first",
    ),
    "under a deny with the same condition": (
        document(
            ALLOW,
            rule("no", when="request.stream"),
            rule("late", "hold", {"models": ["m"]}, hold=HOLD, when="request.stream"),
        ),
        "rules[2]",
        "can never decide: the rule `no` denies everything it matches",
        "narrow that rule",
    ),
    "a shadow under an enforced deny": (
        document(
            ALLOW,
            rule("no", match={"models": ["m"]}),
            rule("late", match={"models": ["m"], "kinds": ["person"]}, mode="shadow", shadow_until="2999-01-01"),
        ),
        "rules[2]",
        "can never decide",
        "put the narrower rule first",
    ),
    "a text of an allow": (
        document(ALLOW | {"text": "Go on.", "require": {"mfa": True}}),
        "rules[0].text",
        "is never shown: who is allowed gets the answer of the model server",
        "take it out, or make it a comment",
    ),
    # Names that are not there.
    "unknown model": (
        document(ALLOW, rule(match={"models": ["lama-3"]}), known={"models": ["llama-3"]}),
        "rules[1].match.models[0]",
        "`lama-3` is not one of `known.models`",
        "did you mean `llama-3`?",
    ),
    "unknown alias": (
        document(USES, rule(match={"groups": ["stuff"]}), known=KNOWN),
        "rules[1].match.groups[0]",
        "`stuff` is not one of `known.groups`",
        "did you mean `staff`?",
    ),
    "a group instead of its alias": (
        document(USES, rule(match={"groups": ["s-1"]}), known=KNOWN),
        "rules[1].match.groups[0]",
        "`s-1` is not one of `known.groups`",
        "known: `staff`",
    ),
    "unknown alias of approvers": (
        document(USES, rule("h", "hold", hold=HOLD | {"approvers": ["stauf"]}), known=KNOWN),
        "rules[1].hold.approvers[0]",
        "`stauf` is not one of `known.groups`",
        "did you mean `staff`?",
    ),
    "unknown alias in a condition": (
        document(USES, rule(when='"stuff" in principal.groups'), known=KNOWN),
        "rules[1].when",
        "`stuff` is not one of `known.groups`",
        "did you mean `staff`?",
    ),
    "a glob of no known model": (
        document(ALLOW, rule(match={"models": ["lama-3*"]}), known={"models": ["llama-3*", "mistral-?"]}),
        "rules[1].match.models[0]",
        "`lama-3*` is not one of `known.models`",
        "did you mean `llama-3*`?",
    ),
    "a glob with the end of no known model": (
        document(ALLOW, rule(match={"models": ["*-70b"]}), known={"models": ["llama-*-8b"]}),
        "rules[1].match.models[0]",
        "`*-70b` is not one of `known.models`",
        "known: `llama-*-8b`",
    ),
    "unknown model in a condition": (
        document(ALLOW, rule(when='request.model == "lama-3-8b"'), known={"models": ["llama-3-8b"]}),
        "rules[1].when",
        "`lama-3-8b` is not one of `known.models`",
        "did you mean `llama-3-8b`?",
    ),
    "unknown model of a list in a condition": (
        document(ALLOW, rule(when="request.model in lists.best"), lists={"best": ["lama"]}, known={"models": ["llama"]}),
        "rules[1].when",
        "`lama` of the list `best` is not one of `known.models`",
        "did you mean `llama`?",
    ),
    "unknown operation in a condition": (
        document(ALLOW, rule(when='request.stream && request.operation in ["chat", "chatt"]')),
        "rules[1].when",
        "`chatt` is not an operation",
        "did you mean `chat`?",
    ),
    "unknown operation that is excluded": (
        document(ALLOW, rule(when='"chatt" != request.operation')),
        "rules[1].when",
        "`chatt` is not an operation",
        "did you mean `chat`?",
    ),
    "unknown connection in a condition": (
        document(ALLOW, rule(when='request.connection == "gpu-a"'), known={"connections": ["default", "gpu-b"]}),
        "rules[1].when",
        "`gpu-a` is not one of `known.connections`",
        "did you mean `gpu-b`?",
    ),
    "unknown kind in a condition": (
        document(ALLOW, rule(when='principal.kind == "human"')),
        "rules[1].when",
        "`human` is not a kind of principal",
        "known: `person`, `service`",
    ),
    "unknown alias in a loop": (
        document(USES, rule(when='principal.groups.exists(g, g == "stuff")'), known=KNOWN),
        "rules[1].when",
        "`stuff` is not one of `known.groups`",
        "did you mean `staff`?",
    ),
    "unknown alias of a list in a loop": (
        document(USES, rule(when="!principal.groups.all(g, g in lists.vip)"), known=KNOWN, lists={"vip": ["stuff"]}),
        "rules[1].when",
        "`stuff` of the list `vip` is not one of `known.groups`",
        "did you mean `staff`?",
    ),
    "unknown connection": (
        document(ALLOW, rule(match={"connections": ["gpu-a"]}), known={"connections": ["default", "gpu-b"]}),
        "rules[1].match.connections[0]",
        "`gpu-a` is not one of `known.connections`",
        "did you mean `gpu-b`?",
    ),
    "unknown list": (
        document(ALLOW, rule(match={"groups": ["@vpi"]}), rule("u", match={"groups": ["@vip"]}), lists={"vip": ["a"]}),
        "rules[1].match.groups[0]",
        "there is no list `vpi`",
        "did you mean `vip`?",
    ),
    "no lists": (
        document(ALLOW, rule(match={"groups": ["@vip"]})),
        "rules[1].match.groups[0]",
        "there is no list `vip`",
        "write it under `lists`",
    ),
    "no lists in a condition": (
        document(ALLOW, rule(when="request.model in lists.vip")),
        "rules[1].when",
        "there is no list `vip`",
        "write it under `lists`",
    ),
    "unknown model of a list": (
        document(ALLOW, rule(match={"models": ["@best"]}), lists={"best": ["lama"]}, known={"models": ["llama"]}),
        "rules[1].match.models[0]",
        "`lama` of the list `best` is not one of `known.models`",
        "did you mean `llama`?",
    ),
    "unknown masking profile": (
        document(
            ALLOW | {"obligations": {"masking": "strikt"}},
            rule("u", "allow", {"models": ["m"]}, obligations={"masking": "strict"}),
            masking={"profiles": {"strict": {"media": "deny"}}},
        ),
        "rules[0].obligations.masking",
        "there is no masking profile `strikt`",
        "did you mean `strict`?",
    ),
    "no masking profiles": (
        document(ALLOW | {"obligations": {"masking": "strict"}}),
        "rules[0].obligations.masking",
        "there is no masking profile `strict`",
        "write it under `masking.profiles`",
    ),
    "unknown kind": (
        document(ALLOW, rule(when="request.findings.pann > 0")),
        "rules[1].when",
        "`pann` is no field of `findings`",
        "did you mean `pan`?",
    ),
    "unknown detector": (
        document(masking={"profile": "pci-strictly"}),
        "masking.profile",
        "`pci-strictly` is not a masking profile of this version",
        "did you mean `pci-strict`?",
    ),
    "unknown zone": (
        document(ALLOW, spanned(zone="Europe/Wien", days="mon") | {"match": {"times": [{"zone": "Europe/Viena", "days": ["mon"]}]}}),
        "rules[1].match.times[0].zone",
        "`Europe/Viena` is no time zone",
        "did you mean `Europe/Vienna`?",
    ),
    "no such zone at all": (
        document(ALLOW, spanned(**{"from": "01:00", "to": "02:00", "zone": "0:00 +1"})),
        "rules[1].match.times[0].zone",
        "`0:00 +1` is no time zone",
        "write a name such as `Europe/Vienna` or `UTC`",
    ),
    # What is never used.
    "unused list": (
        document(lists={"vip": ["a"]}),
        "lists.vip",
        "is never used",
        "write `@vip` in a match or `lists.vip` in a `when`, or take it out",
    ),
    "unused alias": (
        document(known={"groups": {"staff": ["s-1"]}}),
        "known.groups.staff",
        "is never used",
        "write it in a match, in `approvers` or in a `when`, or take it out",
    ),
    "unused masking profile": (
        document(masking={"profiles": {"strict": {"media": "deny"}}}),
        "masking.profiles.strict",
        "is never used",
        "name it in a rule's `obligations.masking`, or take it out",
    ),
    # What the surface cannot give.
    "fewer tokens of a listing": (
        document(ALLOW | {"match": {"operations": ["model_list"]}, "obligations": {"max_tokens": 5}}),
        "rules[0].obligations.max_tokens",
        "would have no effect: nothing is generated",
        "leave it out, or name operations that generate text",
    ),
    "masking of a listing": (
        document(
            ALLOW | {"match": {"operations": ["model_list"]}, "obligations": {"masking": "strict"}},
            masking={"profiles": {"strict": {"media": "deny"}}},
        ),
        "rules[0].obligations.masking",
        "would have no effect: no text is sent",
        "leave it out, or name operations that send text",
    ),
    "tools of embeddings": (
        document(ALLOW, rule(match={"operations": ["embeddings"], "at_least": {"tools": 1}})),
        "rules[1].match.at_least.tools",
        "is never reached: `embeddings` has no such thing",
        "leave `tools` out, or name operations that have it",
    ),
    "prompt of a listing": (
        document(ALLOW, rule(match={"operations": ["model_list", "chat"], "at_least": {"messages": 1}})),
        "rules[1].match.at_least.messages",
        "is never reached by the operation `model_list`",
        "give `model_list` a rule of its own",
    ),
    "a response without text": (
        document(response_rules=[CUT | {"match": {"operations": ["embeddings", "tokenize"]}}]),
        "response_rules[0].match.operations",
        "have no response text to cut",
        "name operations that generate text",
    ),
    "a response rule about the request": (
        document(response_rules=[CUT | {"when": "request.stream"}]),
        "response_rules[0].when",
        "says nothing of the response",
        "name `response`, or write a rule with the effect `deny`",
    ),
    "tokens of embeddings": (
        document(budgets=[BUDGET | {"count": "tokens", "match": {"operations": ["embeddings"]}}]),
        "budgets[0].count",
        "stays 0: no tokens are generated",
        "count `exchanges`, or name operations that generate text",
    ),
    # Without reach.
    "a hold that no allow meets": (
        document(rule("a", "allow", {"kinds": ["person"]}), rule("h", "hold", {"kinds": ["service"]}, hold=HOLD)),
        "rules[1]",
        "can never decide: no allow rule matches anything that it holds",
        "a hold is no permission by itself: add an allow rule for the same requests",
    ),
    "a response rule that no allow meets": (
        document(rule("a", "allow", {"operations": ["chat"]}), response_rules=[CUT | {"match": {"operations": ["messages"]}}]),
        "response_rules[0]",
        "can never cut: no allow rule matches anything that it matches",
        "add an allow rule for the same requests, or take it out",
    ),
    "a budget that no allow meets": (
        document(rule("a", "allow", {"connections": ["a"]}), budgets=[BUDGET | {"match": {"connections": ["b"]}}]),
        "budgets[0]",
        "never counts: no allow rule matches anything that it matches",
        "add an allow rule for the same requests, or take it out",
    ),
    # Shadow.
    "a shadow without an end": (
        document(ALLOW, rule(mode="shadow")),
        "rules[1].shadow_until",
        "is missing: a rule in shadow has a last day",
        "add `shadow_until: YYYY-MM-DD`, the last day on which it may stay unenforced",
    ),
    "an end without a shadow": (
        document(rule("a", "allow"), rule(match={"models": ["m"]}, shadow_until="2999-01-01")),
        "rules[1].shadow_until",
        "would have no effect: the rule is enforced",
        "write `mode: shadow`",
    ),
    "a shadow that ended": (
        document(ALLOW, rule(mode="shadow", shadow_until="2026-11-27")),
        "rules[1].shadow_until",
        "the shadow ended on 2026-11-27",
        "take `mode` and `shadow_until` out to enforce it, or name a later day",
    ),
    "a shadow of a response rule that ended": (
        document(response_rules=[CUT | {"mode": "shadow", "shadow_until": "2026-11-27"}]),
        "response_rules[0].shadow_until",
        "the shadow ended on 2026-11-27",
        "take `mode` and `shadow_until` out to enforce it, or name a later day",
    ),
    "no such day": (
        document(ALLOW, rule(mode="shadow", shadow_until="2027-02-30")),
        "rules[1].shadow_until",
        "`2027-02-30` is no day of the calendar",
        "",
    ),
    # What the effect forbids.
    "a sign-in for a deny": (
        document(ALLOW, rule(match={"models": ["m"]}, require={"mfa": True})),
        "rules[1].require",
        "would have no effect: the rule's effect is `deny`",
        "write it at the rules that allow",
    ),
    "a sign-in for a hold": (
        document(ALLOW, rule("h", "hold", hold=HOLD, require={"max_auth_age": "1h"})),
        "rules[1].require",
        "would have no effect: the rule's effect is `hold`",
        "write it at the rules that allow",
    ),
    "obligations of a deny": (
        document(ALLOW, rule(match={"models": ["m"]}, obligations={"max_tokens": 1})),
        "rules[1].obligations",
        "would have no effect: the rule's effect is `deny`",
        "write it at the rules that allow",
    ),
    "a sign-in at once": (
        document(ALLOW | {"require": {"max_auth_age": "0s"}}),
        "rules[0].require.max_auth_age",
        "must be longer than nothing",
        "nobody signs in that fast",
    ),
    "terms of a deny": (
        document(ALLOW, rule(match={"models": ["m"]}, hold=HOLD)),
        "rules[1].hold",
        "would have no effect: the rule's effect is `deny`",
        "write `effect: hold`",
    ),
    # Times.
    "all the time": (
        document(ALLOW, spanned()),
        "rules[1].match.times[0]",
        "is all the time",
        "say `days`, or `from` and `to`",
    ),
    "no end": (
        document(ALLOW, spanned(**{"from": "08:00"})),
        "rules[1].match.times[0].to",
        "is missing: a span has two ends",
        'write `to: "HH:MM"`',
    ),
    "no length": (
        document(ALLOW, spanned(**{"from": "08:00", "to": "08:00"})),
        "rules[1].match.times[0].from",
        "is where the span ends",
        "leave both out for whole days",
    ),
    # Budgets.
    "steps that fall": (
        document(budgets=[BUDGET | {"steps": [STEP, {"at": 5, "do": "deny"}]}]),
        "budgets[0].steps[1].at",
        "must be more than the step before",
        "the step before it begins at 5",
    ),
    "steps that do no more": (
        document(budgets=[BUDGET | {"steps": [{"at": 5, "do": "deny"}, STEP | {"at": 9}]}]),
        "budgets[0].steps[1].do",
        "`hold` does not go beyond the step before",
        "the steps are `log`, then `hold`, then `deny`",
    ),
    "a text that nobody sees": (
        document(budgets=[BUDGET | {"steps": [{"at": 5, "do": "log", "text": "x"}]}]),
        "budgets[0].steps[0].text",
        "would have no effect",
        "take it out: the client sees nothing of a step that logs",
    ),
    "a step without approvers": (
        document(budgets=[BUDGET | {"steps": [{"at": 5, "do": "hold"}]}]),
        "budgets[0].steps[0].hold",
        "is missing: a step that does `hold` says who approves",
        "add `hold: {approvers: […], wait: 60s, expire: 1h}`",
    ),
    "approvers of a deny": (
        document(budgets=[BUDGET | {"steps": [{"at": 5, "do": "deny", "hold": HOLD}]}]),
        "budgets[0].steps[0].hold",
        "would have no effect: what the step does is `deny`",
        "write `do: hold`",
    ),
    "no window": (document(budgets=[BUDGET | {"window": "0s"}]), "budgets[0].window", "must be longer than nothing", ""),
    "a long window": (document(budgets=[BUDGET | {"window": "401d"}]), "budgets[0].window", "must be at most 400d", ""),
    "a budget's name twice": (
        document(budgets=[BUDGET, BUDGET]),
        "budgets[1].name",
        "`b` is the name of another budget",
        "budgets[0] has it",
    ),
    "a rule's name at a response rule": (
        document(response_rules=[CUT | {"name": "yes"}]),
        "response_rules[0].name",
        "`yes` is the name of another rule",
        "rules[0] has it",
    ),
    "a list's name": (
        document(lists={"V-I-P": ["a"]}, name="p2"),
        "lists.V-I-P",
        "must be a name of lower-case letters, digits and `_`, beginning with a letter",
        "",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", INERT.values(), ids=INERT.keys())
def test_what_would_be_inert_is_an_error_with_a_hint(case: tuple[bytes, str, str, str]) -> None:
    data, path, message, hint = case
    found = [each for each in problems(data, today=date(2026, 11, 28)) if each.path == path]
    assert found, [str(each) for each in problems(data, today=date(2026, 11, 28))]
    assert message in found[0].message
    assert hint in found[0].hint


ALONE = [name for name in INERT if name != "a list's name"]


@pytest.mark.parametrize("name", ALONE)
def test_it_is_the_only_error(name: str) -> None:
    data, path, *_ = INERT[name]
    assert said(data, date(2026, 11, 28))[0] == path


def test_what_is_known_and_used_is_no_error() -> None:
    policy = parsed(
        rule(
            "a", "allow", {"groups": ["staff", "@teams"], "models": ["mistral-7b", "llama-*"], "connections": ["gpu-*"]}
        ),
        rule("h", "hold", hold=HOLD | {"approvers": ["leads"]}),
        rule("d", when='"privacy" in principal.groups && request.model in lists.models'),
        rule("e", when='request.model == "" || request.model == "mistral-8x" || request.operation == "unknown"'),
        rule("f", when='principal.kind == "service" && principal.groups.exists(g, g == "ops" || request.model == g)'),
        rule("g", when='request.tool_names.exists(g, g == "x") && request.connection != "gpu-b"'),
        rule("i", match={"models": ["*-7b", "m?stral*"]}),
        known=KNOWN | {"groups": {"staff": ["s-1"], "leads": ["l-1"], "privacy": ["p-1"], "ops": ["o-1", "o-2"]}},
        lists={"teams": ["ops"], "models": ["llama-3"]},
    )
    assert policy.rules[0].match.groups == ("s-1", "o-1", "o-2")
    assert policy.rules[1].hold is not None
    assert policy.rules[1].hold.approver_groups == ("l-1",)


def test_a_connection_that_the_deployment_has_not_is_an_error() -> None:
    data = document(rule("a", "allow", {"connections": ["gpu-*", "gpu-a"]}))
    assert parse_policy(data).rules
    assert parse_policy(data, connections=frozenset({"gpu-a"})).rules
    with pytest.raises(PolicyInvalid) as invalid:
        parse_policy(data, connections=frozenset({"gpu-b"}))
    (found,) = invalid.value.problems
    assert found.path == "rules[0].match.connections[1]"
    assert found.message == "`gpu-a` is no connection of the configuration"
    assert found.hint == "did you mean `gpu-b`?"


def test_a_shadow_that_ended_stays_one_and_is_told() -> None:
    policy = parse_policy(
        document(
            ALLOW,
            rule("old", mode="shadow", shadow_until="2026-11-27"),
            rule("today", match={"models": ["m"]}, mode="shadow", shadow_until="2026-11-28"),
            response_rules=[CUT | {"mode": "shadow", "shadow_until": "2026-01-01"}],
        )
    )
    assert expired_shadows(policy, date(2026, 11, 28)) == ("old", "c")
    assert policy.rules[1].shadow_until == date(2026, 11, 27)


def test_a_narrower_condition_or_time_is_no_beaten_rule() -> None:
    span = {"days": ["mon"], "zone": "UTC"}
    parsed(
        ALLOW,
        rule("a", when="request.stream"),
        rule("b", when="request.tools > 1"),
        rule("c", match={"times": [span]}),
        rule("d", match={"kinds": ["service"]}),
        rule("e", match={"models": ["m"]}, mode="shadow", shadow_until="2999-01-01"),
        rule("f", match={"models": ["m"]}),
    )
