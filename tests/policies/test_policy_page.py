"""The page about a policy's tools: its commands and examples do what it says."""

import json
import re
import shlex
import time
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from click.testing import CliRunner

from extproc.cli.policy import command
from extproc.core.policy_document import parse_policy
from tests.audit.configured import write_config
from tests.audit.conftest import make_log
from tests.audit.traffic import Player, requests

PAGE = Path(__file__).parents[2] / "extproc" / "core" / "POLICY.md"
BLOCKS = re.findall(r"```(\w*)\n(.*?)```", PAGE.read_text("utf-8"), re.DOTALL)
ENDS = {"diff": 1}
"""What ends with another code than 0 where all is as the page has it: the two policies differ."""


def block(beginning: str) -> str:
    (found,) = (text for _, text in BLOCKS if text.startswith(beginning))
    return found


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The page's files, and a change to try: one more group that may chat."""
    policy = block("# yaml-language-server")
    (tmp_path / "policy.yaml").write_text(policy)
    (tmp_path / "policy.tests.yaml").write_text(block("# policy.tests.yaml"))
    (tmp_path / "new.yaml").write_text(policy.replace("[analysts], operations", "[analysts, staff], operations"))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def record_traffic(folder: Path) -> str:
    """A deployment whose log has an hour of exchanges under the page's policy, and the id of one."""
    log = make_log(folder)
    policy = (folder / "policy.yaml").read_text()
    traffic = list(requests(12, seed=1, began=int(time.time()) - 3600, apart=60.0))
    journal = log.open()
    player = Player(parse_policy(policy.encode()), journal.append_record)
    for request in traffic:
        player.play(request)
    journal.close()
    log.ship()
    write_config(folder, policy=policy)
    return traffic[0].exchange_id


def run(line: str) -> None:
    """A command as a shell would run it; its output goes to the file behind `>`."""
    program, group, *arguments = shlex.split(line)
    assert (program, group) == ("extproc", "policy")
    target = Path(arguments[arguments.index(">") + 1]) if ">" in arguments else None
    given = arguments[: arguments.index(">")] if target else arguments
    result = CliRunner().invoke(command, given)
    assert result.exit_code == ENDS.get(given[0], 0), result.output
    if target:
        target.write_text(result.output)


def test_every_command_of_the_page_ends_well(folder: Path) -> None:
    exchange = record_traffic(folder)
    every = [line for kind, text in BLOCKS if kind == "sh" for line in text.splitlines()]
    lines = [line for line in every if not line.startswith("helm ")]  # `tests/helm/test_policies.py` has those
    assert len(lines) == 14
    assert {"test", "coverage", "replay", "explain", "diff"} <= {line.split()[2] for line in lines}
    for line in lines:
        run(re.sub(r"(?<=--exchange )\S+", exchange, line))
    assert (folder / "policy.yaml").read_text() == block("# yaml-language-server"), "the example has its canonical form"


def test_a_case_that_fails_is_told_as_the_page_shows(folder: Path) -> None:
    path = folder / "policy.yaml"
    path.write_text(path.read_text().replace("Adapters are loaded by operators only.", "Ask an operator."))
    result = CliRunner().invoke(command, ["test", "policy.yaml", "--cases", "policy.tests.yaml"])
    assert (result.exit_code, result.output) == (1, block("FAIL - "))


def test_the_commands_of_the_pipeline_end_well(folder: Path) -> None:
    workflow = yaml.safe_load(block("# .github/workflows"))
    lines = [step["run"] for step in workflow["jobs"]["policy"]["steps"] if step.get("run", "").startswith("extproc")]
    assert len(lines) == 4
    hooks: list[dict[str, Any]] = yaml.safe_load(block("# .pre-commit"))["repos"][0]["hooks"]
    for line in (*lines, hooks[0]["entry"] + " policy.yaml policy.tests.yaml", hooks[1]["entry"]):
        run(line)
    for hook in hooks:
        assert all(re.search(hook["files"], path.name) for path in folder.glob("policy*.yaml"))


def test_an_editor_finds_nothing_wrong_in_the_example(folder: Path) -> None:
    for line in block("extproc policy schema").splitlines():
        run(line)
    for name in ("policy", "tests"):
        schema = json.loads((folder / f"{name}.schema.json").read_text())
        document = yaml.load((folder / f"policy{'.tests' * (name == 'tests')}.yaml").read_text(), yaml.BaseLoader)
        jsonschema.Draft202012Validator(schema).validate(document)


def test_the_right_to_tell_the_cluster_is_bound_to_the_account_of_the_service() -> None:
    role, binding = yaml.safe_load_all(block("apiVersion: rbac"))
    assert role["rules"] == [{"apiGroups": [""], "resources": ["events"], "verbs": ["create"]}]
    group, _ = role["apiVersion"].split("/")
    assert binding["roleRef"] == {"apiGroup": group, "kind": role["kind"], "name": role["metadata"]["name"]}
    (account,) = binding["subjects"]
    assert account["kind"] == "ServiceAccount"
    assert {account["namespace"]} == {each["metadata"]["namespace"] for each in (role, binding)}


def test_the_table_names_every_command_that_is_not_of_recordings() -> None:
    named = set(re.findall(r"^\| `(\w+)", PAGE.read_text("utf-8"), re.MULTILINE))
    described = set(re.findall(r"`extproc policy (\w+)`", PAGE.read_text("utf-8").replace("\n", " ")))
    assert set(command.commands) <= named | described
