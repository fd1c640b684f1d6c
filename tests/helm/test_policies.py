"""A bad policy in the chart's values fails where the chart is rendered, not in the cluster.

`helm template … | extproc policy check --manifests -`, and the same with `test`.
"""

import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner

from extproc.cli.policy import command
from tests.helm.rendering import CASES, HELM, ROOT, expected, expects_refusal, names, render_values

CASE: dict[str, Any] = {
    "apiVersion": "extproc/v1",
    "kind": "PolicyTests",
    "tests": [
        {
            "name": "staff may chat",
            "now": "2026-11-28T10:00:00Z",
            "principal": {"subject": "anna", "groups": ["staff"]},
            "request": {
                "path": "/v1/chat/completions",
                "body": {"model": "m", "messages": [{"role": "user", "content": "Hello"}]},
            },
            "expect": {"effect": "allow", "rule": "staff"},
        }
    ],
}
RULES: list[dict[str, Any]] = [
    {"name": "staff", "effect": "allow", "match": {"groups": ["staff"]}},
    {
        "name": "bulk",
        "effect": "hold",
        "match": {"at_least": {"max_tokens": 2000}},
        "text": "Bulk needs an approval.",
        "hold": {"approvers": ["leads"], "wait": "60s", "expire": "1h"},
    },
]


def rendered(tmp_path: Path, values: dict[str, Any]) -> str:
    path = tmp_path / "values.yaml"
    path.write_text(yaml.safe_dump(values))
    result = render_values(CASES / "gateway.in.yaml", path)
    assert not result.refused, result.text
    return result.text


def run(what: str, objects: str) -> tuple[int, str]:
    result = CliRunner().invoke(command, [what, "--manifests", "-"], input=objects)
    return result.exit_code, result.output


@pytest.mark.parametrize(
    "name",
    [name for name in names() if not expects_refusal(name) and "policy.yaml: |" in expected(name).read_text("utf-8")],
)
def test_every_policy_that_a_case_renders_is_one(name: str) -> None:
    """Against the settings that are rendered beside it, which are checked with it."""
    code, output = run("check", expected(name).read_text("utf-8"))
    assert code == 0, output


def test_cases_in_values_are_run_on_the_policy_in_values(tmp_path: Path) -> None:
    values = {"policy": {"document": {"name": "ours", "rules": RULES}, "cases": {"staff": CASE}}}
    assert run("test", rendered(tmp_path, values)) == (0, "1 case: 1 passed, 0 failed\n")


def test_a_case_that_fails_is_told(tmp_path: Path) -> None:
    denied = [{**RULES[0], "match": {"groups": ["nobody"]}}]
    values = {"policy": {"document": {"name": "ours", "rules": denied}, "cases": {"staff": CASE}}}
    code, output = run("test", rendered(tmp_path, values))
    assert code == 1
    assert "ConfigMap/guard-extproc-policy/staff.test.yaml:" in output
    assert "staff may chat" in output


@pytest.mark.parametrize(
    ("document", "config", "said"),
    [
        ({"rules": [RULES[0], RULES[0]]}, {}, "rules[1].name"),
        ({"rules": RULES}, {"envoy": {"max_hold": "30s"}}, "rules[1].hold.wait"),
        ({"rules": [{**RULES[0], "match": {"connections": ["other"]}}]}, {}, "rules[0].match.connections"),
        ({"masking": {"profile": "pci-strict", "styles": {"pan": "token"}}, "rules": RULES}, {}, "masking.styles"),
    ],
    ids=["two rules of one name", "a longer hold than Envoy's", "no such connection", "tokens without a key"],
)
def test_a_bad_policy_in_values_is_told_with_its_line(
    tmp_path: Path, document: dict[str, Any], config: dict[str, Any], said: str
) -> None:
    """What no schema can say. The line is that of the rendered policy."""
    code, output = run("check", rendered(tmp_path, {"policy": {"document": document}, "config": config}))
    assert code == 1, output
    (line,) = [line for line in output.splitlines() if said in line]
    place, line_number, *_ = line.split(":")
    assert place == "ConfigMap/guard-extproc-policy/policy.yaml"
    assert int(line_number) > 1


def test_the_pipelines_of_the_page_end_well(tmp_path: Path) -> None:
    page = (ROOT / "extproc" / "core" / "POLICY.md").read_text("utf-8")
    lines = [line for line in page.splitlines() if line.startswith("helm template")]
    assert [line.partition("| ")[2] for line in lines] == [
        f"extproc policy {what} --manifests -" for what in ("check", "test")
    ]
    values = yaml.safe_load((CASES / "gateway.in.yaml").read_text("utf-8"))
    values["policy"] = {"document": {"name": "ours", "rules": RULES}, "cases": {"staff": CASE}}
    (tmp_path / "values.yaml").write_text(yaml.safe_dump(values))
    shutil.copytree(ROOT / "helm", tmp_path / "helm")
    environment = {**os.environ, "PATH": f"{HELM.parent}:{os.environ['PATH']}", "PYTHONPATH": str(ROOT)}
    for line in lines:
        ran = subprocess.run(
            ["bash", "-o", "pipefail", "-c", line],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert ran.returncode == 0, ran.stdout + ran.stderr
