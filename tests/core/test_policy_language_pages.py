"""The pages about the policy language and about budgets: their documents are whole, and their tables say what there is."""

import re
import shlex
from pathlib import Path
from typing import Any

import pytest

import extproc.core.policy
from extproc.cli.budgets import command as budgets
from extproc.core.policy_cases import failing_cases
from extproc.core.policy_document import PolicyInvalid, parse_policy
from extproc.core.reasons import REFUSALS, Reason
from extproc.core.schema import load_schema
from extproc.core.yaml_format import format_document
from extproc.pb import input_pb2

FOLDER = Path(extproc.core.policy.__file__).parent
PAGE, BUDGETS = ((FOLDER / name).read_text("utf-8") for name in ("README.md", "BUDGETS.md"))
(DOCUMENT,) = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)
SCHEMA = load_schema("policy")
PARTS = ("rule", "match", "hold", "span", "response_rule", "budget", "budget_step", "masking_section", "masking_rule")
HEAD = "apiVersion: extproc/v1\nkind: Policy\nname: page\n"
RULE = "rules:\n  - {name: work, effect: allow, match: {groups: [analysts]}}\n"


def keys_of(schema: dict[str, Any]) -> set[str]:
    """Those that are not reserved, with those of mappings within them."""
    given = {key: value for key, value in schema["properties"].items() if value.get("$ref") != "#/$defs/later"}
    return set(given) | {
        inner for key, value in given.items() if "properties" in value and key != "at_least" for inner in keys_of(value)
    }


def test_the_document_is_a_policy_in_canonical_form_and_its_case_holds() -> None:
    policy = parse_policy(DOCUMENT.encode())
    assert (len(policy.tests), failing_cases(policy)) == (1, ())
    assert format_document(DOCUMENT.encode()) == DOCUMENT


def test_the_document_shows_every_key() -> None:
    keys = keys_of(SCHEMA).union(*(keys_of(SCHEMA["$defs"][part]) for part in PARTS))
    # `check` and `context` of a masking rule are in the page about masking.
    assert keys - set(re.findall(r"(\w+):(?= |\n)", DOCUMENT)) == {"check", "context"}
    (thresholds,) = re.findall(r"at_least: \{messages: 1\} # also ([^\n]+)", DOCUMENT)
    at_least = SCHEMA["$defs"]["match"]["properties"]["at_least"]["properties"]
    assert {"messages", *thresholds.split(", ")} == set(at_least)


@pytest.mark.parametrize("name", ["principal", "request", "response", "approval"])
def test_the_table_of_variables_is_that_of_the_messages(name: str) -> None:
    (fields,) = re.findall(rf"^\| `{name}` \| [^|]+ \| `([^`]+)` \|$", PAGE, re.MULTILINE)
    assert fields.split() == [field.name for field in input_pb2.DESCRIPTOR.message_types_by_name[name.title()].fields]


def test_an_error_is_told_as_the_page_shows() -> None:
    (shown,) = re.findall(r"```\n(policy.yaml:.*?)\n```", PAGE, re.DOTALL)
    when = shown.splitlines()[1].strip()
    filling = "#\n" * 5
    with pytest.raises(PolicyInvalid) as invalid:
        text = f"{HEAD}{filling}rules:\n  - name: many\n    effect: deny\n    when: {when}\n    match: {{}}\n"
        parse_policy(text.encode())
    (problem,) = invalid.value.problems
    assert [f"policy.yaml:{problem}", *(f"    {line}" for line in problem.excerpt.splitlines())] == shown.splitlines()


def test_the_budget_of_the_page_is_one() -> None:
    (text,) = re.findall(r"```yaml\n(.*?)```", BUDGETS, re.DOTALL)
    (budget,) = parse_policy((HEAD + RULE + text).encode()).budgets
    assert [step.at for step in budget.steps] == [10, 50, 100]


def test_the_refusals_of_budgets_are_those_of_the_page() -> None:
    told = re.findall(r"(\d{3})\s+\(`(budget\w*)`\)", BUDGETS)
    assert {Reason(code) for _, code in told} == {reason for reason in Reason if reason.startswith("budget")}
    assert all(REFUSALS[Reason(code)].status == int(status) for status, code in told)


def test_the_commands_about_budgets_are_ones() -> None:
    (lines,) = re.findall(r"```sh\n(.*?)```", BUDGETS, re.DOTALL)
    for line in lines.splitlines():
        program, group, name, *arguments = shlex.split(line)
        assert (program, group) == ("extproc", "budgets")
        assert budgets.commands[name].make_context(name, arguments).params["config"] == Path("config.yaml")
