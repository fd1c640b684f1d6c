"""The presets: clean, tested by their own cases, and each line with a reason."""

from datetime import date
from pathlib import Path

import pytest
from click.testing import CliRunner

from extproc.cli.main import main
from extproc.core.policy_cases import failing_cases
from extproc.core.policy_document import parse_policy
from extproc.core.presets import PRESETS, load_preset

BOTH = pytest.mark.parametrize("name", PRESETS)


@BOTH
def test_a_preset_is_clean_and_its_cases_hold(name: str) -> None:
    policy = parse_policy(load_preset(name), today=date(2026, 11, 28))
    assert policy.name == name
    assert policy.tests
    assert not failing_cases(policy)


@BOTH
def test_each_line_has_a_reason(name: str) -> None:
    """Beside it, or on the line above. Lines of numbers only go on with the text that begins above."""
    before = ""
    for line in load_preset(name).decode().splitlines():
        said = line.strip()
        if said.strip("0123456789, ") and not said.startswith("#"):
            reason = line.partition(" # ")[2] or before.removeprefix("#")
            assert len(reason.split()) >= 2, line
        before = said if said.startswith("#") else ""


@BOTH
def test_a_preset_passes_the_pipeline_that_the_page_shows(name: str, tmp_path: Path) -> None:
    """It is what people begin with: its form is canonical, and its cases reach all of it."""
    path = tmp_path / "policy.yaml"
    path.write_bytes(load_preset(name))
    for arguments in (("fmt", "--check"), ("check",), ("test",), ("coverage",)):
        result = CliRunner().invoke(main, ["policy", *arguments, str(path)])
        assert result.exit_code == 0, result.output
    assert "determines the outcome of no case" not in result.output


def test_the_command_prints_one() -> None:
    printed = CliRunner().invoke(main, ["policy", "preset", "pci-strict"])
    assert (printed.exit_code, printed.output.encode()) == (0, load_preset("pci-strict"))
    assert CliRunner().invoke(main, ["policy", "preset", "pci-lax"]).exit_code == 2
