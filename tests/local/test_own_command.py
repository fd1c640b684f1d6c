"""What the demo and `extproc run` print is pasted into a shell: it must come out as it was meant."""

import shlex
import sys
from pathlib import Path

import pytest

from extproc.local.own_command import own_command, shell_path


@pytest.mark.parametrize("name", ["plain", "with space", "quo'te", "$HOME", "a;b"])
def test_a_path_is_one_word_to_the_shell_and_relative_below_the_working_directory(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert shlex.split(shell_path(tmp_path / name)) == [name]
    assert shlex.split(shell_path(tmp_path.parent / name)) == [str(tmp_path.parent / name)]


def test_the_command_is_the_script_that_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", [".venv/bin/extproc", "demo"])
    assert own_command() == ".venv/bin/extproc"
    monkeypatch.setattr(sys, "argv", ["/some where/extproc", "demo"])
    assert shlex.split(own_command()) == ["/some where/extproc"]


def test_without_a_script_it_is_the_interpreter_and_the_module(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["/anywhere/extproc/__main__.py", "demo"])
    assert shlex.split(own_command()) == [sys.executable, "-m", "extproc"]
