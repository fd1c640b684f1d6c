"""What two policies differ in is told where it stands, and nothing else is."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st

from extproc.cli.main import main
from extproc.core.policy import Policy
from extproc.core.policy_diff import NOTHING, CaseChange, Difference, changed_cases, differences
from extproc.core.policy_document import parse_policy

BASE: dict[str, Any] = {
    "apiVersion": "extproc/v1",
    "kind": "Policy",
    "name": "base",
    "rules": [
        {"name": "no-admin", "effect": "deny", "match": {"operations": ["model_admin"]}, "text": "no"},
        {
            "name": "big",
            "effect": "hold",
            "match": {"at_least": {"max_tokens": 4000}},
            "hold": {"approvers": ["boss"], "wait": "30s", "expire": "1h"},
        },
        {"name": "people", "effect": "allow", "match": {"groups": ["analysts"]}},
        {"name": "late", "effect": "deny", "match": {"operations": ["tokenize"]}},
    ],
    "budgets": [
        {
            "name": "cards-a-day",
            "match": {},
            "count": "distinct_cards",
            "per": "person",
            "window": "24h",
            "steps": [
                {"at": 5, "do": "hold", "hold": {"approvers": ["boss"], "wait": "30s", "expire": "1h"}},
                {"at": 12, "do": "deny", "text": "enough"},
            ],
        }
    ],
    "tests": [
        {
            "name": "analysts may chat",
            "now": "2026-11-28T10:00:00Z",
            "principal": {"subject": "anna", "groups": ["analysts"]},
            "request": {
                "path": "/v1/chat/completions",
                "body": {"model": "m", "messages": [{"role": "user", "content": "4111 1111 1111 1111"}]},
            },
            "expect": {"effect": "allow"},
        }
    ],
}


def policy(change: Callable[[dict[str, Any]], object] = lambda _: None, **dump: Any) -> Policy:
    document = yaml.safe_load(yaml.safe_dump(BASE))
    change(document)
    return parse_policy(yaml.safe_dump(document, sort_keys=False, **dump).encode())


CHANGES: dict[str, tuple[Callable[[dict[str, Any]], object], list[Difference]]] = {
    "a rule is taken away": (
        lambda document: document["rules"].pop(0),
        [
            Difference(
                "rules[no-admin]",
                '{"name": "no-admin", "effect": "deny", "match": {"operations": ["model_admin"]}, "text": "no"}',
                NOTHING,
            )
        ],
    ),
    "a field changes": (
        lambda document: document["rules"][1]["match"]["at_least"].update(max_tokens=2000),
        [Difference("rules[big].match.at_least.max_tokens", "4000", "2000")],
    ),
    "a field comes": (
        lambda document: document["rules"][2]["match"].update(models=["llama-*"]),
        [Difference("rules[people].match.models", NOTHING, '["llama-*"]')],
    ),
    "an effect changes": (
        lambda document: document["rules"][3].update(effect="allow"),
        [Difference("rules[late].effect", '"deny"', '"allow"')],
    ),
    "a text changes": (
        lambda document: document["rules"][0].update(text="never"),
        [Difference("rules[no-admin].text", '"no"', '"never"')],
    ),
    "how long a hold waits": (
        lambda document: document["rules"][1]["hold"].update(wait="20s"),
        [Difference("rules[big].hold.wait_seconds", "30.0", "20.0")],
    ),
    "a step of a budget changes": (
        lambda document: document["budgets"][0]["steps"][1].update(at=10),
        [Difference("budgets[cards-a-day].steps[1].at", "12", "10")],
    ),
    "who approves a step": (
        lambda document: document["budgets"][0]["steps"][0]["hold"].update(approvers=["chief"]),
        [Difference("budgets[cards-a-day].steps[0].hold.approvers", '["boss"]', '["chief"]')],
    ),
    "models of a deny": (
        lambda document: document["rules"][3]["match"].update(models=["llama-*"]),
        [Difference("rules[late].match.models", NOTHING, '["llama-*"]')],
    ),
    "the order changes": (
        lambda document: document["rules"].reverse(),
        [Difference("rules, order", "no-admin, big, people, late", "late, people, big, no-admin")],
    ),
    "the masking changes": (
        lambda document: document.update(masking={"profile": "balanced"}),
        [Difference("masking.profile", NOTHING, '"balanced"')],
    ),
}


@pytest.mark.parametrize("name", CHANGES)
def test_a_change_is_told_where_it_stands(name: str) -> None:
    change, wanted = CHANGES[name]
    assert list(differences(policy(), policy(change))) == wanted


def test_other_bytes_with_the_same_meaning_are_no_difference() -> None:
    same = policy(lambda document: document.update(name="other"), default_flow_style=True, width=20)
    assert same.digest != policy().digest
    assert list(differences(policy(), same)) == []
    assert list(changed_cases(policy(), same)) == []


LAST = "the order changes"


@given(st.permutations(sorted(CHANGES)).map(lambda names: names[:3]))
@settings(max_examples=25, deadline=None)
def test_the_way_back_is_the_way_there_turned_round(names: list[str]) -> None:
    def change(document: dict[str, Any]) -> None:
        for name in sorted(names, key=lambda name: (name == LAST, name == "a rule is taken away")):
            CHANGES[name][0](document)

    one, other = policy(), policy(change)
    there, back = list(differences(one, other)), list(differences(other, one))
    assert {(each.path, each.new, each.old) for each in there} == {(each.path, each.old, each.new) for each in back}
    assert list(differences(other, other)) == []


def test_the_cases_of_both_say_what_it_means() -> None:
    def stricter(document: dict[str, Any]) -> None:
        document["rules"].insert(0, {"name": "cards", "effect": "deny", "match": {"at_least": {"findings": 1}}})
        document["tests"][0]["expect"]["effect"] = "deny"

    changed = list(changed_cases(policy(), policy(stricter)))
    assert changed == [
        CaseChange("analysts may chat", "effect", "allow", "deny"),
        CaseChange("analysts may chat", "rule", "people", "cards"),
    ]
    alone = policy(lambda document: document.pop("tests"))
    assert list(changed_cases(alone, policy(stricter))) == changed
    assert list(changed_cases(alone, alone)) == []


def test_a_case_whose_text_is_masked_otherwise_is_told_without_the_text() -> None:
    def truncated(document: dict[str, Any]) -> None:
        document["masking"] = {"styles": {"pan": {"request": "truncate"}}}

    changed = list(changed_cases(policy(), policy(truncated)))
    assert [each.what for each in changed] == ["masked"]
    assert "4111" not in str(changed)


def test_what_decides_nothing_is_no_difference() -> None:
    assert list(differences(policy(), replace(policy(), digest="sha256:other", name="other", tests=()))) == []


@pytest.mark.parametrize(
    ("change", "code", "said"),
    [
        (lambda document: document.update(name="other"), 0, "0 differences, 0 of the cases come out otherwise"),
        (CHANGES["a field changes"][0], 1, "rules[big].match.at_least.max_tokens:\n  - 4000\n  + 2000\n1 difference,"),
        (
            lambda document: document["rules"].insert(
                0, {"name": "none", "effect": "deny", "match": {"groups": ["analysts"], "operations": ["chat"]}}
            ),
            1,
            "analysts may chat  effect  allow   ->  deny",
        ),
        (lambda document: document.update(rules=1), 2, ""),
    ],
    ids=["the same", "a field", "a case", "unreadable"],
)
def test_the_command_says_it_and_ends_with_it(
    tmp_path: Path, change: Callable[[dict[str, Any]], object], code: int, said: str
) -> None:
    changed = yaml.safe_load(yaml.safe_dump(BASE))
    change(changed)
    for name, document in (("old", BASE), ("new", changed)):
        (tmp_path / name).write_text(yaml.safe_dump(document, sort_keys=False))
    arguments = ["policy", "diff", str(tmp_path / "old"), str(tmp_path / "new")]
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == code, result.output
    assert said in result.stdout
    if code < 2:
        document = json.loads(CliRunner().invoke(main, [*arguments, "--json"]).stdout)
        assert bool(document["differences"] or document["cases"]) == bool(code)
