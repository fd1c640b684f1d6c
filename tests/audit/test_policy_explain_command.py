"""`extproc policy explain`: from a recorded exchange, a case, or a request from options."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from extproc.cli.main import main
from extproc.cli.policy_explain import OPERATIONS
from extproc.core.policy import Operation
from extproc.core.policy_document import parse_policy
from extproc.core.record import Record
from tests.audit.configured import write_config
from tests.audit.conftest import Log
from tests.audit.traffic import Player, requests

POLICY = """apiVersion: extproc/v1
kind: Policy
name: explained
rules:
  - {name: no-admin, effect: deny, match: {operations: [model_admin]}, text: no}
  - {name: big, effect: hold, match: {at_least: {max_tokens: 4500}}, hold: {approvers: [boss], wait: 30s, expire: 1h}}
  - {name: people, effect: allow, match: {groups: [analysts, staff]}}
tests:
  - name: analysts may chat
    now: 2026-11-28T10:00:00Z
    principal: {subject: ann, groups: [analysts]}
    request: {path: /v1/chat/completions, body: {model: m, messages: [{role: user, content: hello}]}}
    expect: {effect: allow}
  - name: nonsense is refused
    now: 2026-11-28T10:00:00Z
    principal: {subject: ann, groups: [analysts]}
    request: {path: /v1/chat/completions, body: "{"}
    expect: {refused: body_malformed}
"""


@pytest.fixture
def policy(tmp_path: Path) -> Path:
    path = tmp_path / "explained.yaml"
    path.write_text(POLICY)
    return path


@pytest.fixture
def ends(log: Log) -> list[Record]:
    """Ten exchanges in the log."""
    journal = log.open()
    player = Player(parse_policy(POLICY.encode()), journal.append_record)
    ends = [player.play(request) for request in requests(10, seed=2)]
    journal.close()
    log.ship()
    return ends


def explain(*arguments: object) -> Result:
    return CliRunner().invoke(main, ["policy", "explain", *map(str, arguments)])


def test_a_recorded_exchange_is_explained_as_it_was_decided(log: Log, policy: Path, ends: list[Record]) -> None:
    assert len({end.policy.rule for end in ends if end.policy}) > 2
    for end in ends:
        assert end.policy is not None
        result = explain(policy, "--store", log.store_path, "--exchange", end.exchange_id, "--json")
        assert result.exit_code == 0, result.output
        said = json.loads(result.stdout)
        assert (said["effect"], said["rule"]) == (end.policy.effect, end.policy.rule)
        assert said["recorded"] == {"effect": said["effect"], "rule": said["rule"], "policy": end.policy.digest}
        assert result.stderr == ""


def test_another_policy_than_the_one_that_decided_is_said_to_be_another(
    log: Log, policy: Path, ends: list[Record]
) -> None:
    policy.write_text(POLICY.replace("groups: [analysts, staff]", "groups: [nobody]"))
    allowed = next(end for end in ends if end.policy and end.policy.effect == "allow")
    result = explain(policy, "--store", log.store_path, "--exchange", allowed.exchange_id)
    assert result.exit_code == 0, result.output
    assert result.stdout.startswith("recorded: allow by people, policy sha256:")
    assert "deny by default-deny" in result.stdout
    assert "match.groups: wants nobody; is" in result.stdout
    assert "decided by another policy than this one" in result.stderr


def test_the_policy_in_force_is_explained_and_the_reading_recorded(
    log: Log, tmp_path: Path, ends: list[Record], lines_of: Callable[[Any], Any]
) -> None:
    config = write_config(tmp_path, policy=POLICY)
    result = explain("--config", config, "--exchange", ends[0].exchange_id)
    assert result.exit_code == 0, result.output
    log.ship()
    read = next(line for line in lines_of(log) if line["event_code"] == "audit.read")
    assert (read["resource"]["operation"], read["detail"]["exchange"]) == ("policy.explain", ends[0].exchange_id)
    shutil.rmtree(log.settings.keys)
    unrecorded = explain("--config", config, "--exchange", ends[0].exchange_id)
    assert (unrecorded.exit_code, unrecorded.stdout) == (2, "")


def test_a_case_is_explained(policy: Path) -> None:
    result = explain(policy, "--case", "analysts may chat")
    assert result.exit_code == 0, result.output
    lines = [" ".join(line.split()) for line in result.stdout.splitlines()]
    assert lines[0] == "allow by people"
    assert "no-admin deny match.operations: wants model_admin; is chat" in lines
    assert "big hold match.at_least.max_tokens: wants 4500; is 0" in lines
    assert "= people allow holds" in lines


@pytest.mark.parametrize(
    ("name", "said"),
    [("analysts may chet", "did you mean `analysts may chat`?"), ("nonsense is refused", "(body_malformed)")],
    ids=["no such case", "refused before"],
)
def test_a_case_that_cannot_be_explained_is_told_why(policy: Path, name: str, said: str) -> None:
    result = explain(policy, "--case", name)
    assert (result.exit_code, result.stdout) == (2, "")
    assert said in result.stderr


def test_a_request_is_made_from_options(policy: Path) -> None:
    asked = ("--subject", "ann", "--group", "analysts", "--max-tokens", 5000, "--now", "2026-11-28T10:00:00Z")
    said = json.loads(explain(policy, *asked, "--json").stdout)
    assert (said["effect"], said["rule"], said["determining"]) == ("hold", "big", ["big"])
    assert [each["determining"] for each in said["rules"]] == [False, True, False]
    denied = json.loads(explain(policy, "--subject", "ann", "--operation", "model_admin", "--json").stdout)
    assert denied["rule"] == "no-admin"


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["--case", "x", "--subject", "y"],
        ["--subject", "x", "--finding", "pan"],
        ["--subject", "x", "--now", "noon"],
    ],
    ids=["nothing", "two things", "no count", "no time"],
)
def test_wrong_use_is_told(policy: Path, arguments: list[str]) -> None:
    result = explain(policy, *arguments)
    assert result.exit_code == 2
    assert "Error: " in result.stderr


def test_an_exchange_that_is_not_there_is_told(log: Log, policy: Path, ends: list[Record]) -> None:
    result = explain(policy, "--store", log.store_path, "--exchange", "0123456789ab-0123456789abcdef")
    assert result.exit_code == 2
    assert "there is no exchange" in result.stderr


def test_what_an_earlier_version_recorded_is_not_guessed(policy: Path) -> None:
    golden = Path(__file__).parent / "golden/v2/store"
    result = explain(policy, "--store", golden, "--exchange", "g-0")
    assert (result.exit_code, result.stdout) == (2, "")
    assert "does not say all that the decision looked at" in result.stderr


def test_what_of_the_log_could_not_be_read_is_told(log: Log, policy: Path, ends: list[Record]) -> None:
    evidence = next(path for path in sorted(log.store_path.rglob("*.jsonl")) if "/evidence/" in path.as_posix())
    lines = evidence.read_bytes().splitlines(keepends=True)
    evidence.write_bytes(b"".join([*lines[:-1], b"no record\n"]))
    result = explain(policy, "--store", log.store_path, "--exchange", ends[0].exchange_id)
    assert result.exit_code == 2
    assert "by" in result.stdout.splitlines()[0]
    assert "not everything could be read" in result.stderr
    unknown = explain(policy, "--store", log.store_path, "--exchange", "0" * 12 + "-" + "1" * 16)
    assert unknown.exit_code == 2
    assert "not everything could be read" in unknown.stderr


def test_every_operation_can_be_asked_for() -> None:
    assert tuple(Operation) == OPERATIONS
