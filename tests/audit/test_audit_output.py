"""A standard output that takes nothing: the command says so, in one line, and is not done."""

import os
import sys

import pytest

from extproc.cli import output
from extproc.cli.main import main

COMMANDS = {
    "list": ["list"],
    "list as JSON": ["list", "--json"],
    "show": ["show", "x-1"],
    "show as JSON": ["show", "x-1", "--json"],
    "replay": ["replay", "x-1", "--no-wait"],
    "replay as JSON": ["replay", "x-1", "--json"],
    "replay of the events": ["replay", "x-1", "--raw", "--no-wait"],
    "verify": ["verify"],
    "verify as JSON": ["verify", "--json"],
    "export": ["export", "--format", "ocsf-jsonl", "--output", "exported"],
    "keys": ["keys"],
    "retention-check": ["retention-check"],
}


@pytest.fixture
def invoke(config, tmp_path, monkeypatch, capsys):
    """The exit code and what stands on standard error, of a command whose standard output is a full disk."""

    def invoke(*arguments: str) -> tuple[object, str]:
        monkeypatch.chdir(tmp_path)
        monkeypatch.setenv("EXTPROC_CONFIG", str(config))
        with open("/dev/full", "w") as full:
            monkeypatch.setattr(sys, "stdout", full)
            with pytest.raises(SystemExit) as ended:
                main(["audit", *arguments])
            # As the interpreter does at its end: what is left in the buffer is no second error.
            full.flush()
        return ended.value.code, capsys.readouterr().err

    return invoke


@pytest.mark.parametrize("command", COMMANDS)
def test_a_full_disk_is_one_line_and_not_the_stores_fault(invoke, living, command: str) -> None:
    code, said = invoke(*COMMANDS[command])
    assert code == 2
    assert said.splitlines() == ["the output could not be written (No space left on device)"]


def test_who_reads_no_further_is_no_full_disk(monkeypatch) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    with pytest.raises(BrokenPipeError), open(writer, "w") as broken:
        monkeypatch.setattr(sys, "stdout", broken)
        output.say("more than one reads")
