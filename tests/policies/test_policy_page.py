"""The page about a policy's tools: its commands and examples do what it says."""

import json
import re
import shlex
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from click.testing import CliRunner

from extproc.cli.policy import command

PAGE = Path(__file__).parents[2] / "extproc" / "core" / "POLICY.md"
BLOCKS = re.findall(r"```(\w+)\n(.*?)```", PAGE.read_text("utf-8"), re.DOTALL)
CASES = """\
apiVersion: extproc/v1
kind: PolicyTests
tests:
  - name: adapters are refused
    now: 2026-11-28T10:00:00Z
    principal: {subject: bert}
    request: {path: /v1/load_lora_adapter, body: {lora_name: a}}
    expect: {effect: deny, rule: no-adapters}
"""


def block(beginning: str) -> str:
    (found,) = (text for _, text in BLOCKS if text.startswith(beginning))
    return found


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "policy.yaml").write_text(block("# yaml-language-server"))
    (tmp_path / "policy.tests.yaml").write_text(CASES)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(line: str) -> None:
    """A command as a shell would run it; its output goes to the file behind `>`."""
    program, group, *arguments = shlex.split(line)
    assert (program, group) == ("extproc", "policy")
    target = Path(arguments[arguments.index(">") + 1]) if ">" in arguments else None
    given = arguments[: arguments.index(">")] if target else arguments
    result = CliRunner().invoke(command, given)
    assert result.exit_code == 0, result.output
    if target:
        target.write_text(result.output)


def test_every_command_of_the_page_ends_well(folder: Path) -> None:
    lines = [line for kind, text in BLOCKS if kind == "sh" for line in text.splitlines()]
    assert len(lines) == 6
    for line in lines:
        run(line)
    assert (folder / "policy.yaml").read_text() == block("# yaml-language-server"), "the example has its canonical form"


def test_the_commands_of_the_pipeline_end_well(folder: Path) -> None:
    workflow = yaml.safe_load(block("# .github/workflows"))
    lines = [step["run"] for step in workflow["jobs"]["policy"]["steps"] if step.get("run", "").startswith("extproc")]
    assert len(lines) == 4
    hooks: list[dict[str, Any]] = yaml.safe_load(block("# .pre-commit"))["repos"][0]["hooks"]
    for line in (*lines, hooks[0]["entry"] + " policy.yaml policy.tests.yaml", hooks[1]["entry"]):
        run(line)
    for hook in hooks:
        assert all(re.search(hook["files"], path.name) for path in folder.glob("*.yaml"))


def test_an_editor_finds_nothing_wrong_in_the_example(folder: Path) -> None:
    for line in block("extproc policy schema").splitlines():
        run(line)
    for name in ("policy", "tests"):
        schema = json.loads((folder / f"{name}.schema.json").read_text())
        document = yaml.load((folder / f"policy{'.tests' * (name == 'tests')}.yaml").read_text(), yaml.BaseLoader)
        jsonschema.Draft202012Validator(schema).validate(document)


def test_the_table_names_every_command_that_is_not_of_recordings() -> None:
    named = set(re.findall(r"^\| `(\w+)", PAGE.read_text("utf-8"), re.MULTILINE))
    described = set(re.findall(r"`extproc policy (\w+)`", PAGE.read_text("utf-8").replace("\n", " ")))
    assert set(command.commands) <= named | described
