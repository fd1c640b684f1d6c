"""Cases of a policy: what they expect is looked at, all of it, through the code that judges requests."""

import json
from typing import Any

import pytest
import yaml

from extproc.core.policy import Policy
from extproc.core.policy_case import EXPECTATIONS, build_case
from extproc.core.policy_case_document import CasesInvalid, is_case_document, parse_cases
from extproc.core.policy_cases import CaseResult, CaseRunner, failing_cases
from extproc.core.policy_document import PolicyInvalid, parse_policy
from extproc.core.schema import load_schema

PAN = "4111 1111 1111 1111"
CHAT: dict[str, Any] = {
    "name": "a chat",
    "now": "2026-11-28T10:00:00Z",
    "principal": {"subject": "anna", "groups": ["analysts"]},
    "request": {
        "path": "/v1/chat/completions",
        "body": {"model": "m", "messages": [{"role": "user", "content": f"card {PAN}"}]},
    },
    "expect": {"effect": "allow"},
}
RULES: list[dict[str, Any]] = [
    {"name": "chats", "effect": "allow", "match": {"groups": ["analysts"]}},
    {
        "name": "bulk",
        "effect": "hold",
        "match": {"at_least": {"max_tokens": 2000}},
        "text": "Bulk\n  waits.",
        "hold": {"approvers": ["approvers"], "wait": "1s", "expire": "1h"},
    },
]


def document(*cases: dict[str, Any], **more: Any) -> bytes:
    tests = {"tests": list(cases)} if cases else {}
    given = {"apiVersion": "extproc/v1", "kind": "Policy", "name": "p", "rules": RULES, **more, **tests}
    return dump(given)


def dump(given: Any) -> bytes:
    """As YAML, without aliases."""
    return yaml.safe_dump(json.loads(json.dumps(given)), sort_keys=False).encode()


def policy(*cases: dict[str, Any], **more: Any) -> Policy:
    return parse_policy(document(*cases, **more))


def case(expect: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {**CHAT, **more, "expect": expect}


def run(given: dict[str, Any], **more: Any) -> CaseResult:
    parsed = policy(given, **more)
    (result,) = CaseRunner(parsed).run(map(build_case, parsed.tests))
    return result


def masked(content: str) -> dict[str, Any]:
    return {"model": "m", "messages": [{"role": "user", "content": content}]}


@pytest.mark.parametrize(
    "expect",
    [
        {"effect": "allow"},
        {"rule": "chats"},
        {"text": ""},
        {"masked": masked("card [PAN]")},
        {"masked": json.dumps(masked("card [PAN]"), separators=(",", ":"))},
        {"shadow": []},
        {"obligations": {}},
        {"step_up": False},
    ],
    ids=lambda expect: next(iter(expect)),
)
def test_what_holds_passes(expect: dict[str, Any]) -> None:
    assert run(case(expect)).differences == ()


def test_a_text_is_compared_as_the_client_sees_it() -> None:
    bulk = {**CHAT["request"], "body": {**CHAT["request"]["body"], "max_tokens": 2000}}
    for text in ("Bulk waits.", "  Bulk\n waits.  "):
        assert run(case({"effect": "hold", "text": text}, request=bulk)).differences == ()


WRONG: dict[str, tuple[Any, str, str]] = {
    "refused": ("body_malformed", "body_malformed", "(nothing)"),
    "effect": ("deny", "deny", "allow"),
    "rule": ("bulk", "bulk", "chats"),
    "text": ("Go on.", "Go on.", "(nothing)"),
    "step_up": (True, "true", "false"),
    "obligations": ({"max_tokens": 5, "retention": "30d"}, "[max_tokens: 5, retention: 30d]", "[]"),
    "shadow": (["bulk", "chats"], "[bulk, chats]", "[]"),
    "masked": (masked("card"), '"card"', '"card [PAN]"'),
    "response": ("none", "", ""),
    "hold": ({"quorum": 2}, "quorum 2", "(nothing)"),
}


@pytest.mark.parametrize("key", EXPECTATIONS)
def test_every_expectation_is_looked_at(key: str) -> None:
    """What does not hold fails, whatever else of the case does."""
    wrong, expected, actual = WRONG[key]
    if key == "response":
        rule = {"name": "cards", "match": {}, "when": "response.findings.pan > 1", "effect": "cut"}
        result = run(case({"response": "cards"}, response={"findings": {"pan": 1}}), response_rules=[rule])
        assert [(each.expected, each.actual) for each in result.differences] == [("cards", "none")]
        return
    result = run(case({key: wrong}))
    assert [(each.expected, each.actual) for each in result.differences] == [(expected, actual)]


def test_a_hold_by_its_limits() -> None:
    body = {**masked("Hello"), "max_tokens": 2000}
    request = {"path": "/v1/chat/completions", "body": body}
    assert run(case({"effect": "hold", "rule": "bulk"}, request=request)).passed


ON_TERMS: dict[str, Any] = {
    "approvers": ["leads"],
    "quorum": 2,
    "each_of": ["risk", "privacy"],
    "wait": "30s",
    "expire": "10m",
    "detach": True,
    "reason": "required",
    "window": {"for": "1h", "uses": 20},
    "escalate": {"after": "90s", "to": ["heads"]},
    "emergency": {"groups": ["on-call"]},
}
BULK = {"path": "/v1/chat/completions", "body": {**masked("Hello"), "max_tokens": 2000}}


def held_on(*terms: dict[str, Any], **expected: Any) -> list[str]:
    """What differs from `expected` where a rule for each of `terms` holds the request."""
    names = ("analysts", "leads", "privacy", "heads", "on-call")
    known = {"groups": {"risk": ["grp-risk"], **{name: [name] for name in names}}}
    matches: list[dict[str, Any]] = [{"at_least": {"max_tokens": 2000}}, {}]
    rules = [
        {**RULES[1], "name": f"bulk-{number}", "match": match, "hold": each}
        for number, (match, each) in enumerate(zip(matches, terms, strict=False))
    ]
    given = case({"effect": "hold", "hold": expected}, request=BULK)
    return [str(each) for each in run(given, rules=[RULES[0], *rules], known=known).differences]


def test_every_term_of_a_hold_can_be_expected_whatever_the_order_and_the_unit() -> None:
    same = {**ON_TERMS, "approvers": ["grp-risk", "privacy", "leads"], "each_of": ["privacy", "grp-risk"]}
    same |= {"wait": "0.5m", "expire": "600s", "escalate": {"after": "1.5m", "to": ["heads"]}}
    assert set(same) == set(ON_TERMS) == set(load_schema("policy")["$defs"]["case"]["properties"]["expect"]
        ["properties"]["hold"]["properties"])  # fmt: skip
    assert held_on(ON_TERMS, **same) == []


def test_a_term_that_is_another_fails_by_its_name() -> None:
    others: dict[str, Any] = {"approvers": ["leads"], "quorum": 3, "each_of": [], "wait": "31s", "expire": "11m"}
    others |= {"detach": False, "reason": "none", "window": "none", "escalate": "none", "emergency": "none"}
    assert set(others) == set(ON_TERMS)
    assert held_on(ON_TERMS, **others) == [
        "hold.approvers: expected [leads], is [grp-risk, leads, privacy]",
        "hold.quorum: expected 3, is 2",
        "hold.each_of: expected [], is [grp-risk, privacy]",
        "hold.wait: expected 31s, is 30s",
        "hold.expire: expected 11m, is 10m",
        "hold.detach: expected false, is true",
        "hold.reason: expected none, is required",
        "hold.window: expected none, is for 1h, 20 uses",
        "hold.escalate: expected none, is after 90s to [heads]",
        "hold.emergency: expected none, is [on-call]",
    ]


def test_the_terms_of_a_case_are_those_of_all_rules_that_hold_it() -> None:
    """No window and no emergency, for the second rule has none; a reason and a lead, for the second wants them."""
    eased = {key: value for key, value in ON_TERMS.items() if key != "reason"}
    strict = {"approvers": ["leads"], "wait": "30s", "expire": "10m", "reason": "required"}
    assert held_on(eased, reason="none", window={"for": "1h", "uses": 20}) == []
    assert held_on(eased, strict, reason="required", window="none", emergency="none", quorum=3) == []


def test_terms_expected_of_a_request_that_is_not_held_fail() -> None:
    (told,) = run(case({"hold": {"quorum": 2, "detach": False}})).differences
    assert str(told) == "hold: expected quorum 2, detach false, is (nothing)"


@pytest.mark.parametrize(
    ("request_", "reason"),
    [
        ({"path": "/v1/chat/completions", "body": "[1]"}, "body_malformed"),
        ({"path": "/v1/chat/completions", "body": "{}", "content_type": "image/png"}, "body_type_unsupported"),
        ({"path": "/v1/chat/completions"}, "body_malformed"),
        ({"path": "/v1/models?card=4111111111111111", "method": "GET"}, "url_card_data"),
        ({"path": "/v1/../admin"}, "path_invalid"),
        ({"path": "/v1/models", "method": "GET", "headers": {"upgrade": "websocket"}}, "upgrade_refused"),
        ({"path": "/v1/chat/completions", "body": "{}", "headers": {"content-encoding": "gzip"}}, "body_encoded"),
    ],
    ids=["list", "type", "no body", "url", "path", "upgrade", "encoded"],
)
def test_a_request_that_cannot_be_judged_is_refused_by_its_reason(request_: dict[str, Any], reason: str) -> None:
    assert run(case({"refused": reason}, request=request_)).passed
    unexpected = run(case({"effect": "deny"}, request=request_))
    assert [str(each) for each in unexpected.differences] == [f"refused: expected (nothing), is {reason}"]


def test_differences_show_no_card_number() -> None:
    """Not the one that the case expects, nor one that the policy lets through."""
    card = {"masked": masked(f"card {PAN}")}
    shown = " ".join(map(str, run(case(card)).differences))
    assert "[PAN]" in shown
    assert "different in card data" in shown
    assert "1111" not in shown
    ssn = case({"masked": "x"}, request={**CHAT["request"], "body": masked(f"{'long ' * 90} {PAN} {'more ' * 90}")})
    assert "1111" not in " ".join(map(str, run(ssn).differences))


def test_tokens_are_made_with_a_key_of_the_tests() -> None:
    masking = {"styles": {"pan": "token"}}
    (told,) = run(case({"masked": masked("card")}), masking=masking).differences
    assert told.actual.startswith('"card [PAN_test_')
    again = json.loads(told.actual)
    assert run(case({"masked": masked(again)}), masking=masking).passed


PROBLEMS: dict[str, tuple[dict[str, Any], str]] = {
    "nothing expected": ({"expect": {}}, "tests[0].expect: must not be empty (say what must come of it"),
    "unknown key": ({"expect": {"efect": "deny"}}, "tests[0].expect.efect: unknown key (did you mean `effect`?)"),
    "no zone": ({"now": "2026-11-28T10:00:00"}, "tests[0].now: must be a time with its zone"),
    "no such time": ({"now": "2026-02-30T10:00:00Z"}, "tests[0].now: is no time that exists"),
    "unknown rule": ({"expect": {"rule": "chat"}}, "tests[0].expect.rule: the policy has no rule `chat` (did you mean"),
    "unknown shadow": ({"expect": {"shadow": ["cats"]}}, "tests[0].expect.shadow[0]: the policy has no rule `cats`"),
    "unknown budget": ({"budgets": {"day": 1}}, "tests[0].budgets.day: the policy has no budget `day`"),
    "unknown finding": (
        {"response": {"findings": {"pann": 4}}, "expect": {"response": "none"}},
        "tests[0].response.findings.pann: the policy has no detector of `pann` (did you mean `pan`?)",
    ),
    "not a reason": ({"expect": {"refused": "bad"}}, "tests[0].expect.refused: `bad` is not a reason"),
    "two ways": (
        {"expect": {"refused": "protocol", "effect": "deny"}},
        "tests[0].expect.effect: cannot be expected of a request that is refused before it is judged",
    ),
    "unknown term": ({"expect": {"hold": {"quorom": 2}}}, "tests[0].expect.hold.quorom: unknown key (did you mean `qu"),
    "no term": ({"expect": {"hold": {}}}, "tests[0].expect.hold: must not be empty (name a term, `quorum: 2` say)"),
    "half a window": ({"expect": {"hold": {"window": {"for": "1h"}}}}, "tests[0].expect.hold.window.uses: is missing"),
    "no such window": (
        {"expect": {"hold": {"window": "no"}}},
        "tests[0].expect.hold.window: must be `none` (write `{for: 1h, uses: 20}`, or `none`)",
    ),
    "unknown group": (
        {"expect": {"hold": {"escalate": {"after": "5m", "to": ["aprovers"]}}}},
        "tests[0].expect.hold.escalate.to[0]: the policy has no hold with a group `aprovers` (did you mean `approvers`",
    ),
    "held and not": (
        {"expect": {"effect": "deny", "hold": {"quorum": 2}}},
        "tests[0].expect.hold: cannot be expected of a request that is not held",
    ),
    "an answer for nothing": ({"response": {"tokens": 1}}, "tests[0].response: would have no effect"),
    "no answer": ({"expect": {"response": "none"}}, "tests[0].expect.response: needs an answer"),
    "header": (
        {"request": {"path": "/", "headers": {":path": "/x"}}},
        "tests[0].request.headers.:path: is no header that can be given here",
    ),
    "body": ({"request": {"path": "/", "body": [1]}}, "tests[0].request.body: must be a mapping, or text"),
    "name": ({"name": "two\nlines"}, "tests[0].name: must be one line of text that prints"),
}


@pytest.mark.parametrize("name", PROBLEMS)
def test_each_problem_of_a_case_is_told_with_its_place(name: str) -> None:
    changed, message = PROBLEMS[name]
    with pytest.raises(PolicyInvalid) as invalid:
        policy({**CHAT, **changed})
    (problem,) = invalid.value.problems
    assert str(problem).split(": ", 1)[1].startswith(message)
    assert problem.line > 1


def test_two_cases_of_one_name_and_all_problems_at_once() -> None:
    with pytest.raises(PolicyInvalid) as invalid:
        policy(CHAT, {**CHAT, "now": "never"}, {**CHAT, "expect": {"rule": "none"}})
    told = [problem.path for problem in invalid.value.problems]
    assert told == ["tests[1].name", "tests[1].now", "tests[2].name", "tests[2].expect.rule"]


def test_cases_in_a_file_of_their_own() -> None:
    given = {"apiVersion": "extproc/v1", "kind": "PolicyTests", "tests": [CHAT]}
    data = dump(given)
    assert is_case_document(data)
    assert not is_case_document(document(CHAT))
    assert not is_case_document(b"[")
    (parsed,) = parse_cases(data, policy())
    assert parsed.name == "a chat"
    with pytest.raises(CasesInvalid) as invalid:
        parse_cases(dump({**given, "tests": [case({"rule": "chat"})], "more": 1}), policy())
    assert [problem.path for problem in invalid.value.problems] == ["tests[0].expect.rule", "more"]
    with pytest.raises(CasesInvalid) as invalid:
        parse_cases(dump({**given, "tests": [case({"hold": {"approvers": ["aprovers"]}})]}), policy())
    assert "did you mean `approvers`?" in str(invalid.value.problems[0])


def test_a_failing_case_of_a_policy_is_a_problem_at_its_place() -> None:
    given = document(CHAT, {**CHAT, "name": "no chat", "expect": {"effect": "deny"}})
    (problem,) = failing_cases(parse_policy(given))
    line = given.decode().split("\n")[problem.line - 1]
    assert line.startswith("- name: no chat")
    assert problem.message == "the case `no chat` fails: effect: expected deny, is allow"
    assert failing_cases(policy(CHAT)) == ()


def test_what_is_expected_is_all_that_can_be() -> None:
    assert set(EXPECTATIONS) == set(load_schema("policy")["$defs"]["case"]["properties"]["expect"]["properties"])
