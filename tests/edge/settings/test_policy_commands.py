"""`extproc policy test`, `coverage`, `fmt` and `schema`: what they print, and their exit codes."""

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from click.testing import CliRunner

from extproc.cli.policy import command
from extproc.core import schema
from extproc.core.schema import load_schema

POLICY = """\
apiVersion: extproc/v1
kind: Policy
name: p
rules:
  - name: chats
    effect: allow
    match: {groups: [analysts]}
  - name: no-adapters
    effect: deny
    match: {operations: [model_admin]}
tests:
  - name: an analyst's chat is masked
    now: 2026-11-28T10:00:00Z
    principal: {subject: anna, groups: [analysts]}
    request: {path: /v1/completions, body: {model: m, prompt: card 4111 1111 1111 1111}}
    expect: {effect: allow, masked: {model: m, prompt: "card [PAN]"}}
"""
CASES = """\
apiVersion: extproc/v1
kind: PolicyTests
tests:
  - name: others do not chat
    now: 2026-11-28T10:00:00Z
    principal: {subject: bert}
    request: {path: /v1/completions, body: {model: m, prompt: Hello}}
    expect: {rule: default-deny}
"""
WRONG = POLICY.replace('prompt: "card [PAN]"', "prompt: card none").replace("{effect: allow,", "{effect: deny,")


def run(*arguments: object) -> tuple[int, str]:
    result = CliRunner().invoke(command, [str(argument) for argument in arguments])
    return result.exit_code, result.output


@pytest.fixture
def write(tmp_path: Path) -> Any:
    def put(name: str, text: str) -> Path:
        path = tmp_path / name
        path.write_text(text)
        return path

    return put


def test_cases_that_hold_exit_0_with_a_tally(write: Any) -> None:
    policy, cases = write("p.yaml", POLICY), write("c.yaml", CASES)
    assert run("test", policy) == (0, "1 case: 1 passed, 0 failed\n")
    assert run("test", policy, cases) == (0, "2 cases: 2 passed, 0 failed\n")
    assert run("test", policy, "--cases", cases) == (0, "2 cases: 2 passed, 0 failed\n")


def test_a_failing_case_exits_1_with_what_differs_and_no_card_number(write: Any) -> None:
    file = write("p.yaml", WRONG)
    code, output = run("test", file)
    assert code == 1
    assert output.splitlines() == [
        f"FAIL - {file}:12 - an analyst's chat is masked",
        "  effect: expected deny",
        "          actual   allow",
        '  masked.prompt: expected "card none"',
        '                 actual   "card [PAN]"',
        "1 case: 0 passed, 1 failed",
    ]


def test_the_same_as_json(write: Any) -> None:
    file = write("p.yaml", WRONG)
    code, output = run("test", file, "--json")
    assert code == 1
    told = json.loads(output)
    (policy,) = told["policies"]
    (case,) = policy["cases"]
    assert (told["passed"], told["failed"]) == (0, 1)
    assert policy["digest"].startswith("sha256:")
    assert case["differences"][0] == {"key": "effect", "expected": "deny", "actual": "allow"}
    assert (case["file"], case["line"], case["passed"]) == (str(file), 12, False)


def test_wrong_input_exits_2_with_all_problems(write: Any, tmp_path: Path) -> None:
    none = write("none.yaml", POLICY.partition("tests:")[0])
    assert run("test", none) == (
        2,
        f"0 cases: 0 passed, 0 failed\n{none}: there is no case to run; add `tests:` to the policy, or `--cases FILE`\n",
    )
    cases = write("c.yaml", CASES.replace("default-deny", "chat"))
    code, output = run("test", none, cases)
    assert code == 2
    assert output.splitlines()[0].startswith(f"{cases}:8:20: tests[0].expect.rule: the policy has no rule `chat`")
    assert run("test", cases) == (2, "no policy is given; name the file of the policy that the cases are for\n")
    assert run("test", tmp_path / "gone")[0] == 2
    assert run("test", write("bad.yaml", "a: 1"))[0] == 2


def test_a_policy_without_a_case_is_named_beside_one_that_has_some(write: Any) -> None:
    policy, none = write("p.yaml", POLICY), write("none.yaml", POLICY.partition("tests:")[0])
    code, output = run("test", policy, none)
    assert (code, output.splitlines()[0]) == (2, "1 case: 1 passed, 0 failed")
    assert output.splitlines()[1].startswith(f"{none}: there is no case to run")
    empty = write("empty.yaml", CASES.partition("  - name")[0].replace("tests:", "tests: []"))
    code, output = run("test", policy, empty)
    assert (code, str(empty) in output) == (2, True), output


def test_a_case_s_name_is_shown_without_card_data(write: Any) -> None:
    named = WRONG.replace("an analyst's chat", "the card 4111 1111 1111 1111")
    old, new = (
        write("p.yaml", named),
        write("q.yaml", named.replace("[analysts]}\n  - name: no", "[others]}\n  - name: no")),
    )
    for arguments in (
        ("test", old),
        ("test", old, "--json"),
        ("diff", old, new),
        ("diff", old, new, "--json"),
        ("explain", old, "--case", "other"),
    ):
        code, output = run(*arguments)
        assert code > 0
        assert "the card [PAN] is masked" in output
        assert "1111" not in output


def test_coverage_counts_no_case_that_fails(write: Any) -> None:
    admin = CASES.replace("/v1/completions, body: {model: m, prompt: Hello}", "/api/pull, body: {name: m}")
    cases = write("c.yaml", admin.replace("default-deny", "no-adapters"))
    wrong = write("p.yaml", WRONG)
    assert run("coverage", wrong, cases) == (
        1,
        (
            f"{wrong}: 1 case is failing, and not counted; `extproc policy test` says why\n"
            f"{wrong}: rule chats is reached by no case\n{wrong}: 1 of 2 reached by 1 cases\n"
        ),
    )
    twice = WRONG + POLICY.partition("tests:\n")[2].replace("an analyst's", "another")
    reached = write("twice.yaml", twice)
    assert run("coverage", reached, cases) == (
        1,
        (
            f"{reached}: 1 case is failing, and not counted; `extproc policy test` says why\n"
            f"{reached}: 2 of 2 reached by 2 cases\n"
        ),
    )


def test_coverage_says_what_no_case_reaches(write: Any) -> None:
    policy = write("p.yaml", POLICY)
    assert run("coverage", policy) == (
        1,
        f"{policy}: rule no-adapters is reached by no case\n{policy}: 1 of 2 reached by 1 cases\n",
    )
    admin = CASES.replace("/v1/completions, body: {model: m, prompt: Hello}", "/api/pull, body: {name: m}")
    cases = write("c.yaml", admin.replace("default-deny", "no-adapters"))
    assert run("coverage", policy, cases) == (0, f"{policy}: 2 of 2 reached by 2 cases\n")


def test_coverage_tells_a_rule_that_determines_nothing(write: Any) -> None:
    """Reached it is, but what it decides is shown by no case."""
    wide = POLICY.replace(
        "{groups: [analysts]}\n", "{groups: [analysts], operations: [text_completion, model_admin]}\n"
    )
    policy = write("p.yaml", wide.partition("tests:")[0])
    admin = CASES.replace("/v1/completions, body: {model: m, prompt: Hello}", "/api/pull, body: {name: m}")
    member = admin.replace("{subject: bert}", "{subject: bert, groups: [analysts]}").replace(
        "default-deny", "no-adapters"
    )
    code, output = run("coverage", policy, write("c.yaml", member))
    assert code == 0
    assert output.splitlines()[0] == f"{policy}: rule chats is reached, and determines the outcome of no case"


def test_fmt_writes_the_canonical_form_at_once_and_check_writes_nothing(write: Any) -> None:
    wanted = POLICY.partition("tests:")[0]
    file = write("p.yaml", wanted.replace("    effect: allow\n", "    effect:   allow # why\n"))
    file.chmod(0o640)
    code, output = run("fmt", "--check", file)
    assert code == 1
    assert "-    effect:   allow # why\n+    effect: allow # why" in output
    assert "effect:   allow" in file.read_text()
    inode = file.stat().st_ino
    assert run("fmt", file) == (0, f"{file}: formatted\n")
    assert file.read_text() == wanted.replace("    effect: allow\n", "    effect: allow # why\n")
    assert file.stat().st_ino != inode
    assert file.stat().st_mode & 0o777 == 0o640
    assert [each.name for each in file.parent.iterdir()] == ["p.yaml"]
    assert run("fmt", file) == run("fmt", "--check", file) == (0, "")


def test_fmt_leaves_what_it_cannot_format(write: Any, tmp_path: Path) -> None:
    file = write("p.yaml", "a: &x 1\n")
    code, output = run("fmt", file)
    assert code == 2
    assert output.startswith(f"{file}:1:4: a: anchors and aliases are not supported")
    assert file.read_text() == "a: &x 1\n"
    assert run("fmt", tmp_path / "gone")[0] == 2


@pytest.mark.parametrize("name", ["policy", "tests", "config"])
def test_schema_prints_what_documents_are_checked_by(name: str) -> None:
    code, output = run("schema", name)
    assert code == 0
    printed = json.loads(output)
    assert printed == load_schema(name)
    jsonschema.Draft202012Validator.check_schema(printed)
    assert not _dangling(printed)


def test_no_key_of_a_schema_is_written_twice() -> None:
    """The second would stand for both."""

    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        assert len(dict(pairs)) == len(pairs), sorted(name for name, _ in pairs)
        return dict(pairs)

    for path in (Path(schema.__file__).parent / "schemas").glob("*.json"):
        json.loads(path.read_text("utf-8"), object_pairs_hook=once)


def _dangling(whole: dict[str, Any]) -> set[str]:
    references = {part.split('"')[0] for part in json.dumps(whole).split('"$ref": "#/$defs/')[1:]}
    return {each for each in references if each.split("/")[0] not in whole["$defs"]}


@pytest.mark.parametrize("name", ["policy", "tests", "config"])
def test_every_key_has_a_description(name: str) -> None:
    """An editor shows it beside the key."""
    whole = load_schema(name)
    assert not _undescribed(whole, whole, ())


def _properties(part: dict[str, Any]) -> list[tuple[str, Any]]:
    found = part.get("properties")
    # A document may have a key of that name.
    return list(found.items()) if isinstance(found, dict) and "$ref" not in found else []


def _undescribed(part: Any, root: dict[str, Any], path: tuple[str, ...]) -> list[str]:
    found: list[str] = []
    if isinstance(part, dict):
        for key, value in _properties(part):
            reference = value.get("$ref", "").removeprefix("#/$defs/")
            target = root["$defs"].get(reference, {}) if reference else {}
            if "description" not in value and "description" not in target:
                found.append("/".join((*path, key)))
        for key, value in part.items():
            found += _undescribed(value, root, (*path, key))
    elif isinstance(part, list):
        for index, value in enumerate(part):
            found += _undescribed(value, root, (*path, str(index)))
    return found


def test_check_against_a_deployment(write: Any, put: Any, minimal: dict[str, Any]) -> None:
    """Its longest hold, its mask keys and its connections; without one none of that is a problem."""
    hold = "  - {name: h, effect: hold, match: {}, hold: {approvers: [a], wait: 2m, expire: 1h}}\n"
    text = POLICY.partition("tests:")[0].replace("[analysts]}", "[analysts], connections: [modle]}") + hold
    file = write("p.yaml", text.replace("rules:", "masking: {styles: {pan: token}}\nrules:", 1))
    assert run("check", file)[0] == 0
    code, output = run("check", file, "--config", put({**minimal, "envoy": {"max_hold": "1m"}}))
    assert code == 1
    assert [line.removeprefix(f"{file}:").split(": ", 1)[1] for line in output.splitlines()[:3]] == [
        "masking.styles.pan: `token` needs a key, and the service has none (give it `mask_keys` in its configuration)",
        "rules[0].match.connections[0]: `modle` is no connection of the configuration (did you mean `model`?)",
        "rules[2].hold.wait: must be at most 60s (the configuration's `envoy.max_hold` is the limit)",
    ]


def test_check_tells_which_groups_decide_and_have_no_role_for_it(write: Any, put: Any, minimal: dict[str, Any]) -> None:
    """Those of rules and of budgets, who decide at once and who decide later; not who goes on in an emergency."""
    hold = (
        "  - {name: h, effect: hold, match: {}, hold: {approvers: [boss, risk], wait: 2s, expire: 1h,\n"
        "     escalate: {after: 1m, to: [leads]}, emergency: {groups: [on-call]}}}\n"
        "budgets: [{name: b, match: {}, per: person, window: 1d, count: exchanges,\n"
        "  steps: [{at: 9, do: hold, hold: {approvers: [pay], wait: 2s, expire: 1h}}]}]\n"
    )
    file = write("p.yaml", POLICY.partition("tests:")[0] + hold)
    console = {"url": "https://c.example", "keys": "console", "saml": {"metadata": "idp.xml"}}
    for roles, told in (({"approver": ["boss"]}, ["leads", "pay", "risk"]), ({}, ["boss", "leads", "pay", "risk"])):
        code, output = run("check", file, "--config", put({**minimal, "console": {**console, "roles": roles}}))
        assert code == 0, output
        assert [line.split(" ")[2] for line in output.splitlines() if "decides holds" in line] == told
    for arguments in ((), ("--config", put(minimal))):
        assert "decides holds" not in run("check", file, *arguments)[1]


def test_check_says_that_a_shadow_is_over(write: Any) -> None:
    over = "  - {name: s, effect: deny, match: {}, mode: shadow, shadow_until: 2026-01-01}\n"
    code, output = run("check", write("p.yaml", POLICY.partition("tests:")[0] + over))
    assert code == 1
    assert "rules[2].shadow_until: the shadow ended on 2026-01-01" in output


def test_a_case_beside_the_policy_is_explained(write: Any) -> None:
    policy, cases = write("p.yaml", POLICY), write("p.tests.yaml", CASES)
    named = ("--case", "others do not chat")
    code, output = run("explain", policy, "--cases", cases, *named)
    assert (code, output.splitlines()[0]) == (0, "deny by default-deny: No rule of the policy allows this request.")
    code, output = run("explain", policy, *named)
    assert (code, "there is no case `others do not chat`" in output) == (2, True)
    wrong = write("wrong.yaml", CASES.replace("default-deny", "default-den"))
    code, output = run("explain", policy, "--cases", wrong, *named)
    assert (code, output.splitlines()[0].startswith(f"{wrong}:8:20: tests[0].expect.rule: ")) == (2, True)
    assert run("explain", policy, "--cases", cases, "--subject", "anna")[0] == 2


def test_explain_says_the_terms_of_all_rules_that_hold_a_request(write: Any) -> None:
    """A window of the first is none for both, and who holds first says how many must grant."""
    terms = "approvers: [leads], wait: 30s, expire: 10m"
    first = f"{{{terms}, quorum: 2, window: {{for: 1h, uses: 9}}}}"
    one = f"  - {{name: a, effect: hold, match: {{at_least: {{max_tokens: 9}}}}, hold: {first}}}\n"
    two = f"  - {{name: b, effect: hold, match: {{}}, hold: {{{terms}, reason: required}}}}\n"
    text = POLICY.partition("tests:")[0]
    asked = ("--subject", "anna", "--group", "analysts", "--max-tokens", "9")
    code, output = run("explain", write("p.yaml", text + one + two), *asked)
    lines = output.splitlines()
    begin = lines.index("held on these terms, of all these rules together:")
    assert (code, [" ".join(line.split()) for line in lines[begin + 1 : begin + 11]]) == (
        0,
        [
            "approvers [leads]",
            "quorum 2",
            "each_of []",
            "wait 30s",
            "expire 10m",
            "detach false",
            "reason required",
            "window none",
            "escalate none",
            "emergency none",
        ],
    )
    held = json.loads(run("explain", write("p.yaml", text + one), *asked, "--json")[1])["hold"]
    assert (held["quorum"], held["window"], held["reason"]) == (2, {"for": "1h", "uses": 9}, "none")
    free = write("p.yaml", text)
    assert "held on" not in run("explain", free, *asked)[1]
    assert json.loads(run("explain", free, *asked, "--json")[1])["hold"] is None


@pytest.mark.parametrize(
    ("option", "hint"), [("--finding=pam=1", "did you mean `pan`?"), ("--budget=cards=3", "it has none")]
)
def test_explain_takes_no_count_of_what_the_policy_has_not(write: Any, option: str, hint: str) -> None:
    policy = write("p.yaml", POLICY)
    code, output = run("explain", policy, "--subject", "anna", option)
    assert (code, hint in output) == (2, True)
    assert run("explain", policy, "--subject", "anna", "--finding", "pan=1")[0] == 0


def test_a_file_of_cases_is_no_policy_and_told_so_in_one_sentence(write: Any) -> None:
    cases = write("p.tests.yaml", CASES)
    said = (
        f"{cases}:2:7: kind: is a file of cases, not a policy (`extproc policy test POLICY CASES` checks and runs them)"
    )
    code, output = run("check", cases)
    assert (code, output.splitlines()[:2]) == (1, [said, f"{cases}: 1 problem"])
