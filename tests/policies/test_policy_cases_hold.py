"""The policies in `cases/` with what must come of requests under them: every case holds, every rule is reached."""

from pathlib import Path

import pytest
from click.testing import CliRunner

from extproc.cli.policy import command
from extproc.core.policy_case import Case, build_case
from extproc.core.policy_case_document import parse_cases
from extproc.core.policy_cases import CaseRunner
from extproc.core.policy_document import parse_policy

FOLDER = Path(__file__).parent / "cases"
POLICIES = {
    path.name: parse_policy(path.read_bytes()) for path in sorted(FOLDER.glob("*.yaml")) if ".tests" not in path.name
}
BESIDE = {name: FOLDER / name.replace(".yaml", ".tests.yaml") for name in POLICIES}
CASES: dict[str, tuple[str, Case]] = {
    f"{name}: {case.name}": (name, case)
    for name, policy in POLICIES.items()
    for case in (
        *map(build_case, policy.tests),
        *(parse_cases(BESIDE[name].read_bytes(), policy) if BESIDE[name].exists() else ()),
    )
}


@pytest.fixture(scope="module")
def runners() -> dict[str, CaseRunner]:
    return {name: CaseRunner(policy) for name, policy in POLICIES.items()}


@pytest.mark.parametrize("name", CASES)
def test_a_case_holds(runners: dict[str, CaseRunner], name: str) -> None:
    file, case = CASES[name]
    (result,) = runners[file].run([case])
    assert [str(difference) for difference in result.differences] == []


def test_there_are_sixty_at_least() -> None:
    assert len(CASES) >= 60


@pytest.mark.parametrize("name", POLICIES)
def test_every_rule_is_reached(name: str) -> None:
    files = [str(path) for path in (FOLDER / name, BESIDE[name]) if path.exists()]
    result = CliRunner().invoke(command, ["coverage", *files])
    assert (result.exit_code, "reached by no case" in result.output) == (0, False), result.output
    assert "determines the outcome of no case" not in result.output


def test_the_files_have_their_canonical_form() -> None:
    result = CliRunner().invoke(command, ["fmt", "--check", *map(str, sorted(FOLDER.glob("*.yaml")))])
    assert (result.exit_code, result.output) == (0, "")
