"""Bytes to a policy: what each line means, and every problem with its place, all at once."""

import hashlib
import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from extproc.core.document import MAX_PROBLEMS, Problem
from extproc.core.document_reader import MAX_DOCUMENT_BYTES
from extproc.core.masking.settings import MaskingSettings, Style
from extproc.core.policy import AtLeast, Effect, HoldTerms, Match, Operation, Policy, Rule
from extproc.core.policy_document import PolicyInvalid, parse_policy
from extproc.core.schema import load_schema

POLICIES = Path(__file__).parents[1] / "policies"
HEAD = "apiVersion: extproc/v1\nkind: Policy\nname: p\n"
ALLOW = "  - {name: yes-sir, effect: allow, match: {}}\n"


def problems(text: str | bytes, **more: float) -> tuple[Problem, ...]:
    with pytest.raises(PolicyInvalid) as invalid:
        parse_policy(text.encode() if isinstance(text, str) else text, **more)
    return invalid.value.problems


def ruled(rules: str) -> str:
    return f"{HEAD}rules:\n{rules}"


def rule(**fields: Any) -> str:
    return f"  - {json.dumps({'name': 'r', 'effect': 'allow', 'match': {}} | fields)}\n"


def only(found: tuple[Problem, ...]) -> tuple[str, str]:
    assert len(found) == 1, found
    return found[0].path, found[0].message


def test_the_demo_policy_means_what_it_says() -> None:
    data = (POLICIES / "demo.yaml").read_bytes()
    assert parse_policy(data) == Policy(
        digest=f"sha256:{hashlib.sha256(data).hexdigest()}",
        name="demo",
        masking=MaskingSettings("pci-strict"),
        rules=(
            Rule(
                "analysts-chat",
                Effect.ALLOW,
                Match(
                    groups=("analysts",),
                    operations=(Operation.CHAT, Operation.MODEL_LIST),
                    models=("scripted-*",),
                    connections=("*",),
                ),
                "",
                None,
            ),
            Rule(
                "bulk-needs-approval",
                Effect.HOLD,
                Match(operations=(Operation.CHAT, Operation.EMBEDDINGS), at_least=AtLeast(max_tokens=2000)),
                "Bulk requests need an approval.",
                HoldTerms(("approvers",), 60.0, 3600.0, detach=False),
            ),
            Rule(
                "no-adapters",
                Effect.DENY,
                Match(operations=(Operation.MODEL_ADMIN,)),
                "Adapters are loaded by operators only.",
                None,
            ),
        ),
    )


def test_what_is_left_out_has_the_strict_default() -> None:
    policy = parse_policy(ruled(ALLOW).encode())
    assert policy.masking == MaskingSettings()
    assert policy.rules[0].match == Match(administers=False)


def test_all_problems_come_at_once_in_order_with_their_places() -> None:
    found = problems((POLICIES / "many-problems.yaml").read_bytes())
    expected = (POLICIES / "many-problems.txt").read_text("utf-8").splitlines()
    assert [str(problem) for problem in found] == expected


@pytest.mark.parametrize("key", ["obligations", "approvals", "presets", "mode"])
def test_a_section_of_a_later_version_is_refused_not_ignored(key: str) -> None:
    found = problems(f"{HEAD}{key}: []\nrules:\n{ALLOW}")
    assert only(found) == (key, "is not supported by this version")
    assert (found[0].line, found[0].column) == (4, 1)


@pytest.mark.parametrize("key", ["budgets", "tests", "response", "priority"])
def test_a_rules_key_of_a_later_version_is_refused_not_ignored(key: str) -> None:
    assert only(problems(ruled(rule(**{key: "shadow"})))) == (f"rules[0].{key}", "is not supported by this version")


INERT = {
    "hold terms on an allow": (
        rule(hold={"approvers": ["a"], "wait": "1s", "expire": "1s"}),
        "rules[0].hold",
        "would have",
    ),
    "no hold terms": (ALLOW + rule(effect="hold"), "rules[1].hold", "is missing"),
    "no approvers": (
        ALLOW + rule(effect="hold", hold={"approvers": [], "wait": "1s", "expire": "1s"}),
        "rules[1].hold.approvers",
        "must not be empty",
    ),
    "approvers left out": (
        ALLOW + rule(effect="hold", hold={"wait": "1s", "expire": "1s"}),
        "rules[1].hold.approvers",
        "is missing",
    ),
    "empty list": (rule(effect="deny", match={"groups": []}), "rules[0].match.groups", "must not be empty"),
    "empty thresholds": (rule(effect="deny", match={"at_least": {}}), "rules[0].match.at_least", "must not be empty"),
    "group with a star": (
        rule(effect="deny", match={"groups": ["*"]}),
        "rules[0].match.groups[0]",
        "without wildcards",
    ),
    "subject with a star": (rule(effect="deny", match={"subjects": ["a*"]}), "rules[0].match.subjects[0]", "wildcards"),
    "glob with a class": (
        rule(effect="deny", match={"models": ["[ab]*"]}),
        "rules[0].match.models[0]",
        "only wildcards",
    ),
    "threshold all reach": (
        rule(effect="deny", match={"at_least": {"choices": 1}}),
        "rules[0].match.at_least.choices",
        "must be at least 2",
    ),
    "threshold of a listing": (
        rule(match={"operations": ["model_list"], "at_least": {"max_tokens": 9}}),
        "rules[0].match.at_least.max_tokens",
        "never reached",
    ),
    "allow under a deny of all": (ALLOW + rule(effect="deny", match={}), "rules[0]", "can never decide"),
    "hold under an earlier hold": (
        ALLOW
        + rule(name="h1", effect="hold", hold={"approvers": ["a"], "wait": "1s", "expire": "1s"})
        + rule(
            name="h2",
            effect="hold",
            match={"models": ["m"]},
            hold={"approvers": ["b"], "wait": "1s", "expire": "1s"},
        ),
        "rules[2]",
        "can never decide",
    ),
    "hold that no allow meets": (
        rule(match={"operations": ["chat"]})
        + rule(
            name="h",
            effect="hold",
            match={"operations": ["embeddings"]},
            hold={"approvers": ["a"], "wait": "1s", "expire": "1s"},
        ),
        "rules[1]",
        "no allow rule",
    ),
}


@pytest.mark.parametrize("case", INERT.values(), ids=INERT.keys())
def test_a_control_that_would_be_inert_is_a_problem(case: tuple[str, str, str]) -> None:
    rules, path, message = case
    found_path, found_message = only(problems(ruled(rules)))
    assert found_path == path
    assert message in found_message


WRONG = {
    "empty file": ("", "(document)", "the document is empty"),
    "nothing": ("~", "(document)", "must be a mapping, is nothing"),
    "list": ("- a", "(document)", "must be a mapping, is a list"),
    "no rules": (f"{HEAD}rules: []", "rules", "must not be empty"),
    "rules left out": (HEAD, "rules", "is missing"),
    "match left out": (ruled("  - {name: a, effect: allow}"), "rules[0].match", "is missing"),
    "match null": (
        ruled("  - name: a\n    effect: allow\n    match:"),
        "rules[0].match",
        "must be a mapping, is nothing",
    ),
    "unknown operation": (
        ruled(rule(match={"operations": ["chatt"]})),
        "rules[0].match.operations[0]",
        "not an operation",
    ),
    "unknown effect": (ruled(rule(effect="permit")), "rules[0].effect", "not an effect"),
    "unknown profile": (f"{HEAD}masking: {{profile: none}}\nrules:\n{ALLOW}", "masking.profile", "masking profile"),
    "unknown style": (f"{HEAD}masking: {{styles: {{pan: off}}}}\nrules:\n{ALLOW}", "masking.styles.pan", "not a style"),
    "reserved name": (ruled(rule(name="default-deny")), "rules[0].name", "reserved"),
    "name taken": (ruled(ALLOW + ALLOW), "rules[1].name", "another rule"),
    "listed twice": (ruled(rule(match={"groups": ["a", "a"]})), "rules[0].match.groups[1]", "twice"),
    "blank text": (ruled(rule(text="  ")), "rules[0].text", "blank"),
    "text with an escape": (ruled(rule(text="a\x1b[31m")), "rules[0].text", "do not print"),
    "number as group": (ruled(rule(match={"groups": [7]})), "rules[0].match.groups[0]", "is a number"),
    "yes": (
        ruled(
            ALLOW + "  - {name: h, effect: hold, match: {}, hold: {approvers: [a], wait: 1s, expire: 1s, detach: yes}}"
        ),
        "rules[1].hold.detach",
        "must be `true` or `false`, is text",
    ),
    "other version": (ruled(ALLOW).replace("v1", "v2"), "apiVersion", "must be `extproc/v1`"),
    "duplicate key": (ruled("  - {name: a, effect: allow, effect: deny, match: {}}"), "rules[0].effect", "given twice"),
    "alias": (f"{HEAD}x: &a [1]\ny: *a", "x", "anchors and aliases"),
    "tag": (f"{HEAD}x: !!python/name:os.system 1", "x", "tags are not supported"),
    "merge key": (ruled("  - {<<: {name: a}, name: b, effect: allow, match: {}}"), "rules[0].<<", "unknown key"),
    "two documents": (f"{ruled(ALLOW)}---\n{ruled(ALLOW)}", "(document)", "a second document"),
    "not YAML": (f"{HEAD}rules: [", "(document)", "not valid YAML"),
    "tab": (f"{HEAD}\trules: 1", "(document)", "not valid YAML"),
    "control character": ("a: \x00", "(document)", "control character"),
}


@pytest.mark.parametrize("case", WRONG.values(), ids=WRONG.keys())
def test_what_is_wrong_is_told_where_it_stands(case: tuple[str, str, str]) -> None:
    text, path, message = case
    found_path, found_message = only(problems(text))
    assert found_path == path
    assert message in found_message


def hold(wait: str, expire: str) -> str:
    terms = {"approvers": ["a"], "wait": wait, "expire": expire}
    return ruled(ALLOW + rule(effect="hold", hold=terms))


@pytest.mark.parametrize(
    ("wait", "expire", "path"),
    [
        ("2m", "1m", "rules[1].hold.wait"),
        ("16m", "1h", "rules[1].hold.wait"),
        ("0s", "0s", "rules[1].hold.expire"),
        ("1m", "31d", "rules[1].hold.expire"),
        ("60", "1h", "rules[1].hold.wait"),
        ("1m\n", "1h", "rules[1].hold.wait"),
        ("1M", "1h", "rules[1].hold.wait"),
    ],
)
def test_a_hold_whose_times_cannot_be_kept_is_a_problem(wait: str, expire: str, path: str) -> None:
    assert only(problems(hold(wait, expire)))[0] == path


def test_the_longest_wait_is_the_deployments() -> None:
    assert parse_policy(hold("16m", "1h").encode(), max_wait_seconds=960).rules[1].hold is not None
    assert only(problems(hold("61s", "1h"), max_wait_seconds=60))[0] == "rules[1].hold.wait"


@pytest.mark.parametrize(
    ("line", "hint"),
    [
        ("\teffect: deny", "indent with blanks, not with a tab"),
        ('    when: "x" in principal.groups', "put all of it in single quotes, as in `when: '\"x\" in y'`"),
        ("    when: 'x' in principal.groups", "put all of it in single quotes"),
        ("    when: [", ""),
    ],
    ids=["tab", "double quotes", "single quotes", "another"],
)
def test_a_slip_of_yaml_has_a_hint(line: str, hint: str) -> None:
    (found,) = problems(ruled(f"  - name: r\n{line}\n    match: {{}}\n"))
    assert found.message.startswith("not valid YAML: ")
    assert found.hint.endswith(hint) if hint.endswith(("`", "tab")) else hint in found.hint
    assert bool(found.hint) is bool(hint)


def test_a_problem_stands_where_the_text_is_wrong() -> None:
    found = problems(ruled("  - name: a\n    effect: alow\n    match: {}\n"))
    assert found == (Problem("rules[0].effect", 6, 13, "`alow` is not an effect", "did you mean `allow`?"),)


def test_what_is_not_text_or_too_large_is_refused() -> None:
    assert only(problems(b"a: \xff"))[1] == "the document is not UTF-8"
    assert "larger than 1024 KiB" in only(problems(b"#" * (MAX_DOCUMENT_BYTES + 1)))[1]
    assert "nested deeper" in only(problems(b"[" * 100_000))[1]
    assert "more than 50000 values" in only(problems(b"[" + b"a," * 100_000 + b"]"))[1]
    assert len(problems(b"a: 1\n" * 1000)) == MAX_PROBLEMS + 1


def test_no_message_repeats_a_card_number() -> None:
    number = "4111" + "111111111111"
    text = ruled(f"  - {{name: '{number}', effect: '{number}', match: {{operations: ['{number}']}}, '{number}': 1}}\n")
    text += f"  - {{name: '{number}', effect: allow, match: {{}}}}"
    found = problems(text)
    assert len(found) == 4
    assert not any(re.search(r"[0-9]{12}", str(problem)) for problem in found)


def policy_or_problems(data: bytes) -> Policy | tuple[Problem, ...]:
    """Nothing else may come out, and never no problems."""
    try:
        return parse_policy(data)
    except PolicyInvalid as invalid:
        return invalid.problems or pytest.fail("refused without a problem")


json_value = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5000) | st.sampled_from(["a", "*", "chat", "hold", "1s", ""]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["name", "effect", "match", "hold", "rules", "groups", "wait", "expire", "at_least", "x", "masking"]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@settings(max_examples=250)
@given(json_value, st.sampled_from(["rules", "masking", "name", "kind"]), st.booleans())
def test_any_value_anywhere_is_a_policy_or_problems(value: Any, key: str, inside: bool) -> None:
    document: dict[str, Any] = yaml.safe_load(ruled(ALLOW))
    if inside and isinstance(value, dict):
        document["rules"][0] |= value
    else:
        document[key] = value
    found = policy_or_problems(yaml.safe_dump(document, sort_keys=False).encode())
    assert isinstance(found, Policy) or all("is not valid here" not in problem.message for problem in found)


@settings(max_examples=300)
@given(st.data())
def test_any_bytes_are_a_policy_or_problems(data: st.DataObject) -> None:
    source = (POLICIES / "demo.yaml").read_bytes()
    at = data.draw(st.integers(0, len(source)))
    until = data.draw(st.integers(at, min(at + 30, len(source))))
    put = data.draw(st.binary(max_size=8) | st.sampled_from([b"[", b"}", b"*a", b"&a ", b"!x ", b"\n- ", b": ", b"\t"]))
    found = policy_or_problems(source[:at] + put + source[until:])
    assert isinstance(found, Policy) or all(problem.line >= 1 and problem.column >= 1 for problem in found)


def test_the_schema_lists_the_operations_effects_styles_and_thresholds_that_exist() -> None:
    schema = load_schema("policy")
    match = schema["$defs"]["match"]["properties"]
    assert match["operations"]["items"]["enum"] == [each.value for each in Operation]
    assert sorted(schema["$defs"]["rule"]["properties"]["effect"]["enum"]) == sorted(each.value for each in Effect)
    assert schema["$defs"]["style"]["enum"] == [each.value for each in Style]
    assert list(match["at_least"]["properties"]) == list(AtLeast.__dataclass_fields__)
