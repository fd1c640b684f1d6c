"""A `when`: what it may look at, what is wrong with it and where, and what becomes of it when it cannot be told."""

import contextlib
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given as drawn
from hypothesis import settings
from hypothesis import strategies as st

from extproc.core.document import excerpt_of, position_within
from extproc.core.policy import ApprovalFacts, Effect, Operation, ResponseCounts, authorize, judge_response
from extproc.core.policy.cel_syntax import MAX_LOOKED_THROUGH
from extproc.core.policy.engine import MAX_TOOL_NAMES
from extproc.core.policy_document import PolicyInvalid, parse_policy
from tests.core.policy_texts import ALLOW, document, given, parsed, problems, rule, said

ROOT = Path(__file__).parents[2]
MET = {
    "text": ('request.model == "m"', {}),
    "count": ("request.max_tokens > 4096", {"max_tokens": 4097}),
    "tool names": ('request.tool_names.exists(t, t.startsWith("shell"))', {"tool_names": ("shell_run",)}),
    "a list": ("request.model in lists.models", {}),
    "a finding": ("request.findings.pan == 2 && request.findings.total == 5", {"findings": {"pan": 2, "badge": 3}}),
    "a kind of its own": ("request.findings.badge > 2", {"findings": {"badge": 3}}),
    "a kind of a profile": ("request.findings.email > 0", {"findings": {"email": 1}}),
    "principal": (
        'principal.uid == "i|s" && principal.mfa && principal.kind == "service" && "otp" in principal.methods',
        {"person": {"mfa": True, "kind": "service", "methods": ("otp",)}},
    ),
    "age of the sign-in": ("principal.auth_age > 60", {"person": {"authenticated_at": 1_799_999_900}}),
    "no age": ("principal.auth_age > 3600 && !(principal.auth_age <= 3600)", {}),
    "binding": ("principal.bound", {"person": {"confirmation": "x"}}),
    "connection": ('request.connection == "default" && request.operation == "chat"', {}),
    "time": ('now > timestamp("2027-01-01T00:00:00Z") && now.getHours("Europe/Vienna") == 9', {}),
    "address": ('request.source_address.startsWith("10.")', {"source_address": "10.1.2.3"}),
    "counts": (
        (
            "request.choices == 2 && request.messages == 3 && request.inputs == 4 && request.tools == 5 && "
            "request.prompt_characters == 6 && request.body_bytes == 7 && request.stream"
        ),
        {"choices": 2, "messages": 3, "inputs": 4, "tools": 5, "prompt_characters": 6, "body_bytes": 7, "stream": True},
    ),
}


@pytest.mark.parametrize(("when", "more"), MET.values(), ids=MET.keys())
def test_a_condition_sees_the_request(when: str, more: dict[str, Any]) -> None:
    lists = {"lists": {"models": ["m"]}} if "lists." in when else {}
    masking = {"profile": ["pci-pii"], "rules": [{"name": "badge", "pattern": "B[0-9]{6}"}]}
    policy = parsed(rule("no", when=when), ALLOW, masking=masking, **lists)
    assert authorize(policy, given(**more)).rule == "no"
    assert (
        authorize(parsed(rule("no", when=f"!({when})"), ALLOW, masking=masking, **lists), given(**more)).rule == "yes"
    )


def test_groups_are_the_aliases_where_the_document_has_aliases() -> None:
    known = {"groups": {"privacy": ["9a1f", "9b2e"]}}
    policy = parsed(rule("no", when='"privacy" in principal.groups'), ALLOW, known=known)
    assert authorize(policy, given(("9b2e",))).rule == "no"
    assert authorize(policy, given(("privacy",))).rule == "yes"


WRONG = {
    "field": ("request.max_tokns > 4096", 8, "`max_tokns` is no field of `request`", "did you mean `max_tokens`?"),
    "kind": ("request.findings.pna > 1", 17, "`pna` is no field of `findings`", "did you mean `pan`?"),
    "has": ("has(request.modle)", 12, "`modle` is no field of `request`", "did you mean `model`?"),
    "variable": ('reqest.model == "x"', 0, "there is no variable `reqest`", "did you mean `request`?"),
    "bare variable": ('now == noww', 7, "there is no variable `noww`", "did you mean `now`?"),
    "list": ('request.model in lists.vpi', 17, "there is no list `vpi`", "did you mean `vip`?"),
    "method": ('request.model.contain("x")', 14, "there is no function `contain`", "did you mean `contains`?"),
    "function": ('sise(request.model) > 1', 0, "there is no function `sise`", "did you mean `size`?"),
    "types": ('request.max_tokens > "a"', 19, "`>` does not take (int, string)", "both sides must be of one type"),
    "syntax": ("request.model == ", 17, "is no CEL: mismatched input '<EOF>'", "compare with `==`"),
    "no condition": ("request.max_tokens", 0, "is a number, not a condition", "compare it with something"),
    "constant": ("1 < 2", 0, "is the same for every request", "name something of the request"),
    "constant part": ("request.stream || true", 18, "is the same for every request", "take it out"),
    "pattern": ('request.model.matches("a(")', 22, "the pattern `a(` is not valid", "it is RE2"),
    "time": ('now > timestamp("soon")', 16, "`soon` is no timestamp", "write it like"),
    "duration": ('now > now - duration("5 min")', 21, "`5 min` is no duration", "write it like"),
    "zone": ('now.getHours("Wien") > 1', 13, "`Wien` is no time zone", "write a name such as `Europe/Vienna`"),
    "zero": ("request.tools / 0 > 1", 16, "divides by zero", "take the division out"),
    "loops": (
        "request.tool_names.all(t, request.tool_names.exists(u, u != t))",
        51,
        "is a loop within a loop",
        "what it costs grows",
    ),
    "a look through what is sent in a loop": (
        "request.tool_names.exists(t, t in request.tool_names)",
        41,
        "is a loop within a loop",
        "look in a list that is written here or under `lists`",
    ),
    "a look through groups in a loop": (
        "request.tool_names.all(t, t in principal.groups)",
        40,
        "is a loop within a loop",
        "`in` goes through all items",
    ),
    "growth": (
        '[request.model].map(m, m + m).exists(m, m == "x")',
        25,
        "joins texts or lists within a loop",
        "what it costs doubles with each",
    ),
    "growth of chains": (
        "[request.model].map(m, [m, m]).map(m, [m, m]).map(m, [m, m]).exists(m, m == m)",
        34,
        "is a chain of more than 2 loops",
        "may double with each",
    ),
    "growth of lists": (
        "request.tool_names.map(t, [t] + [t]).size() > 4",
        30,
        "joins texts or lists within a loop",
        "compare the parts",
    ),
    "response": ("response.events > 1", 0, "`response` is not known before the request goes on", "`response_rules`"),
    "approval": ('approval.state == "x"', 0, "`approval` is not known before the request goes on", "`response_rules`"),
    "depth": ("(" * 300 + "request.stream" + ")" * 300, 0, "is nested too deeply", "write it as several rules"),
}  # fmt: skip


def test_a_loop_looks_through_short_lists_only() -> None:
    """Each of 1024 names of tools is compared with all items."""
    when = "request.tool_names.exists(t, t in lists.tools)"
    short, long = ([f"tool-{n}" for n in range(count)] for count in (MAX_LOOKED_THROUGH, MAX_LOOKED_THROUGH + 1))
    assert parsed(rule(when=when), ALLOW, lists={"tools": short})
    assert parsed(rule(when="request.tool_names.exists(t, t in ['a', 'b'])"), ALLOW)
    assert parsed(rule(when="request.model in lists.tools"), ALLOW, lists={"tools": long})
    (found,) = problems(document(rule(when=when), ALLOW, lists={"tools": long}))
    assert found.message == "has 129 items, which a loop goes through each time"
    assert found.hint == "at most 128 keep it cheap: put them into several lists and rules"
    assert found.excerpt.split("\n")[1].index("^") == when.index(".tools", 30)


@pytest.mark.parametrize(("when", "at", "message", "hint"), WRONG.values(), ids=WRONG.keys())
def test_what_is_wrong_stands_at_its_column_with_a_caret(when: str, at: int, message: str, hint: str) -> None:
    lists: dict[str, Any] = {"lists": {"vip": ["a"]}} if "lists." in when else {}
    rules = (
        [rule("uses", when="request.model in lists.vip"), rule(when=when, match={"models": ["x"]})]
        if lists
        else [rule(when=when)]
    )
    data = document(*rules, ALLOW, **lists)
    (found,) = problems(data)
    assert message in found.message
    assert hint in found.hint
    assert found.path == f"rules[{len(rules) - 1}].when"
    column = data.decode().index('"when"', data.decode().index('"name": "r"')) + len('"when": "') + 1
    escaped = when[: at + 1].count('"')
    assert (found.line, found.column) == (1, column + at + escaped)
    line, caret = found.excerpt.split("\n")
    assert line[len(caret) - 1 :][:3] == when[at : at + 3]


PLACES = {
    "plain": ("when: request.modle == 1", (1, 15)),
    "single": ("when: 'request.model == ''x'' && request.modle'", (1, 42)),
    "double": ('when: "request.model == \\"x\\" && request.modle"', (1, 42)),
    "literal": ("when: |\n  request.stream &&\n    request.modle", (3, 13)),
    "folded": ("when: >-\n  request.stream\n\n  && request.modle", (4, 14)),
    "over lines": ("when: request.stream\n  && request.modle", (2, 14)),
}


@pytest.mark.parametrize(("text", "place"), PLACES.values(), ids=PLACES.keys())
def test_a_place_is_found_however_the_text_is_written(text: str, place: tuple[int, int]) -> None:
    import yaml

    value = yaml.safe_load(text)["when"]
    assert position_within(text, (1, 7), value, value.index("modle")) == place


@drawn(st.text(max_size=60), st.text(max_size=60), st.integers(0, 70))
def test_a_place_and_an_excerpt_are_somewhere(text: str, value: str, at: int) -> None:
    line, column = position_within(text, (1, 1), value, at)
    assert line >= 1
    assert column >= 1
    assert excerpt_of(value, min(at, len(value))).endswith("^")


def test_several_errors_come_at_once() -> None:
    found = problems(document(ALLOW, rule(when='request.modle == "x" || reqest.model == "y"')))
    assert [each.hint for each in found] == ["did you mean `model`?", "did you mean `request`?"]


def test_no_excerpt_shows_a_card_number() -> None:
    number = "4111" + "111111111111"
    (found,) = problems(document(ALLOW, rule(when=f'request.modle == "{number}"')))
    assert number not in found.excerpt + found.message
    assert "…" in found.excerpt


def test_what_cannot_be_told_denies_and_does_not_allow() -> None:
    division = "1000 / request.messages > 10"
    denies = parsed(rule("no", when=division), ALLOW)
    decision = authorize(denies, given(messages=0))
    assert (decision.effect, decision.rule, decision.errors) == (Effect.DENY, "no", ("no",))
    assert authorize(denies, given(messages=1000)).effect is Effect.ALLOW
    allows = parsed(rule("maybe", "allow", when=division))
    decision = authorize(allows, given(messages=0))
    assert (decision.effect, decision.rule, decision.errors) == (Effect.DENY, "default-deny", ("maybe",))


def test_more_tool_names_than_a_condition_may_go_through_are_an_error() -> None:
    policy = parsed(rule("no", when='request.tool_names.exists(t, t == "shell")'), ALLOW)
    assert authorize(policy, given(tool_names=("a",) * MAX_TOOL_NAMES)).rule == "yes"
    decision = authorize(policy, given(tool_names=("a",) * (MAX_TOOL_NAMES + 1)))
    assert (decision.rule, decision.errors) == ("no", ("no",))


def test_a_text_is_bounded() -> None:
    path, message, _ = said(document(ALLOW, rule(when='request.model == "' + "x" * 2000 + '"')))
    assert (path, message) == ("rules[1].when", "is longer than 2000 characters")


def cut(name: str, when: str, **more: Any) -> dict[str, Any]:
    return {"name": name, "effect": "cut", "match": {}, "when": when} | more


def test_a_response_rule_cuts_on_counts() -> None:
    policy = parsed(
        response_rules=[
            cut("many", "response.findings.pan > 20", text="Too many."),
            cut("long", "response.events > 5 && response.seconds > 1.5 && response.tokens + response.bytes > 2"),
            cut("try", "response.characters > 3", mode="shadow", shadow_until="2999-01-01"),
            cut("granted", "response.findings.pan > 0 && approval.approvers < 2 && approval.age > 60.0"),
        ]
    )
    nothing = judge_response(policy, given(), ResponseCounts())
    assert (nothing.cut, nothing.shadow, nothing.errors) == (False, (), ())
    verdict = judge_response(policy, given(), ResponseCounts(characters=4, findings={"pan": 21}))
    assert (verdict.cut, verdict.rule, verdict.text, verdict.shadow) == (True, "many", "Too many.", ("try",))
    assert judge_response(policy, given(), ResponseCounts(events=6, seconds=2.0, tokens=3)).rule == "long"
    approval = ApprovalFacts("granted", 1, 61.0)
    assert judge_response(policy, given(approval=approval), ResponseCounts(findings={"pan": 1})).rule == "granted"


def test_a_response_rule_that_cannot_be_told_cuts() -> None:
    policy = parsed(response_rules=[cut("rate", "response.bytes / response.events > 10")])
    verdict = judge_response(policy, given(), ResponseCounts())
    assert (verdict.cut, verdict.errors) == (True, ("rate",))


def test_a_response_rule_has_a_match_too() -> None:
    policy = parsed(response_rules=[cut("x", "response.events > 0", match={"operations": ["messages"]})])
    assert not judge_response(policy, given(), ResponseCounts(events=1)).cut
    assert judge_response(policy, given(operation=Operation.MESSAGES), ResponseCounts(events=1)).cut


PIECES = [
    "request",
    ".",
    "model",
    "max_tokens",
    "==",
    ">",
    "(",
    ")",
    '"a"',
    "1",
    "&&",
    "!",
    "lists",
    "in",
    "[",
    "]",
    "?",
    "has",
    "x",
    " ",
    "{",
    "}",
    "-",
    "0",
    "\n",
    "é",
    "\\",
]


@settings(max_examples=200)
@drawn(st.lists(st.sampled_from(PIECES), min_size=1, max_size=12).map("".join))
def test_any_text_is_a_condition_or_problems(when: str) -> None:
    policy = None
    with contextlib.suppress(PolicyInvalid):
        policy = parse_policy(document(ALLOW, rule(when=when)))
    if policy is not None:
        authorize(policy, given())


def test_the_generated_messages_are_current(tmp_path: Path) -> None:
    folder = "proto/extproc/policy/v1"
    names = [f"{folder}/{name}.proto" for name in ("input", "checked")]
    command = [
        sys.executable,
        "-m",
        "grpc_tools.protoc",
        "-I",
        folder,
        f"--python_out={tmp_path}",
        f"--pyi_out={tmp_path}",
    ]
    subprocess.run([*command, *names], cwd=ROOT, check=True, timeout=60)
    made = sorted(tmp_path.iterdir())
    assert len(made) == 4
    for file in made:
        assert file.read_bytes() == (ROOT / "extproc" / "pb" / file.name).read_bytes(), "run `make proto`"
