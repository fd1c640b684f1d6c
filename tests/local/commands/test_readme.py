"""Every command that the README names is there, and what can be run without a stage is run as it stands."""

import os
import re
import subprocess
import sys
from pathlib import Path

import jwt
import pytest
from click.testing import CliRunner

from extproc.audit.keys.first_keys import first_keys
from extproc.audit.log.journal import Journal
from extproc.audit.log.shipper import Shipper
from extproc.cli.main import main
from extproc.edge.settings_file import load_settings
from extproc.local.console_process import ROLES
from extproc.local.guard import AUDIENCE, Wanted, write_config
from extproc.local.issuer import start_issuer
from extproc.local.issuer_login import PEOPLE
from tests.audit.conftest import run_exchange

ROOT = Path(__file__).parents[3]
README = (ROOT / "README.md").read_text("utf-8")
MAKEFILE = (ROOT / "Makefile").read_text("utf-8")
TARGETS_OF_STYLE = ("dev", "run", "demo", "test", "check", "bench", "proto", "docs", "chart", "image", "fuzz")
CONSOLE = [
    line[2:]
    for block in re.findall(r"```console\n(.*?)```", README, re.DOTALL)
    for line in block.splitlines()
    if line.startswith("$ ")
]
MAKE = sorted({*(line for line in CONSOLE if line.startswith("make ")), *re.findall(r"`(make [^`]+)`", README)})
OTHERS = [line for line in CONSOLE if not line.startswith("make ")]


def table_commands() -> list[str]:
    """Of each row that starts with `extproc`: the command, and the further ones that differ in the last word."""
    commands = []
    for row in re.findall(r"^\| (`extproc [^|]*)\|", README, re.MULTILINE):
        first, *others = re.findall(r"`([^`]+)`", row)
        words = [word for word in first.split() if not word.isupper()]
        commands += [" ".join(words), *(" ".join([*words[:-1], other]) for other in others)]
    return commands


def make(*arguments: str) -> str:
    """Without the variables of a `make` that runs these tests, which would change what is printed."""
    environment = {name: value for name, value in os.environ.items() if name not in {"MAKEFLAGS", "MAKELEVEL", "KEEP"}}
    result = subprocess.run(
        ["make", *arguments], cwd=ROOT, env=environment, capture_output=True, text=True, timeout=60, check=False
    )
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout


def test_what_is_looked_for_is_found() -> None:
    assert {"make demo", "make test"} <= set(MAKE)
    assert any(line.startswith(".venv/bin/extproc dev token ") for line in OTHERS)
    assert {"extproc policy check", "extproc approvals refuse", "extproc audit verify", "extproc serve"} <= set(
        table_commands()
    )


def test_make_help_lists_each_target_in_a_line() -> None:
    listed = [line.split()[0] for line in make("help").splitlines()]
    assert len(listed) == len(set(listed))
    there = [name for name in TARGETS_OF_STYLE if re.search(rf"^{name}:", MAKEFILE, re.MULTILINE)]
    assert {"dev", "run", "demo", "test", "check", "bench", "proto"} <= set(there) <= set(listed)


@pytest.mark.parametrize("command", MAKE)
def test_a_make_line_is_a_target_of_make_help(command: str) -> None:
    words = command.split()[1:]
    assert make("-n", *words)
    assert words[0] in [line.split()[0] for line in make("help").splitlines()]


def test_make_demo_keeps_it_running_only_when_asked() -> None:
    def last_line(*arguments: str) -> str:
        return make("-n", "demo", *arguments).splitlines()[-1].rstrip()

    assert last_line("KEEP=1") == ".venv/bin/extproc demo --keep"
    assert last_line() == ".venv/bin/extproc demo"


def test_make_run_asks_for_the_model_server() -> None:
    missing = subprocess.run(["make", "run"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert missing.returncode == 2
    assert "UPSTREAM=http://" in missing.stderr


@pytest.mark.parametrize("line", OTHERS)
def test_another_console_line_runs_as_it_stands(line: str, tmp_path: Path) -> None:
    """In a folder with an environment and the issuer that `make run` leaves there."""
    (tmp_path / ".venv").symlink_to(sys.prefix)
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    environment.pop("EXTPROC_DEV_DIRECTORY", None)
    with start_issuer(tmp_path / ".run" / "issuer"):
        result = subprocess.run(
            ["/bin/sh", "-c", line],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
    assert result.returncode == 0, result.stderr
    if "dev token" in line:
        claims = jwt.decode(result.stdout.strip(), options={"verify_signature": False})
        assert (claims["sub"], claims["groups"]) == ("alice", ["analysts"])


@pytest.mark.parametrize("command", table_commands())
def test_a_command_of_a_table_row_is_there(command: str) -> None:
    program, *words = command.split()
    assert program == "extproc"
    result = CliRunner().invoke(main, [*words, "--help"], prog_name=program)
    assert result.exit_code == 0, result.output
    assert re.match(rf"Usage: {command} ", result.output)


def test_the_people_of_the_development_login_are_those_of_the_consoles_readme() -> None:
    table = (ROOT / "extproc" / "console" / "README.md").read_text("utf-8").partition("| person | groups | role")[2]
    said = {}
    for row in table.partition("\n\n")[0].splitlines()[2:]:
        names, groups, role = (cell.strip() for cell in row.strip("|").split("|"))
        for name in re.findall(r"`([^`]+)`", names):
            said[name] = (tuple(re.findall(r"`([^`]+)`", groups)), role.partition(":")[0])
    roles = {
        person.subject: [role for role, groups in ROLES.items() if {*groups} & {*person.groups}] for person in PEOPLE
    }
    assert said == {each.subject: (each.groups, *(roles[each.subject] or ["none"])) for each in PEOPLE}


def test_the_lines_that_shred_do_so_on_the_log_of_make_run(tmp_path: Path) -> None:
    """As they stand, but for the exchange's id, with the configuration that `make run` writes."""
    (shred,) = (block for block in re.findall(r"```sh\n(.*?)```", README, re.DOTALL) if "shred confirm" in block)
    lines = shred.replace("ID=the-id-of-an-exchange", "ID=x-1")
    assert lines != shred
    (tmp_path / ".venv").symlink_to(sys.prefix)
    folder = tmp_path / ".run"
    with start_issuer(folder / "issuer", audience=AUDIENCE) as issuer:
        settings = load_settings(write_config(Wanted(folder, "http://127.0.0.1:9"), issuer.url, 9)).audit
        journal = Journal.open(settings, first_keys(settings), writer="worker-0", deliver=lambda run: run())
        run_exchange(journal, "x-1")
        journal.close()
        assert Shipper(settings).ship_pending().shipped
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        for name in ("EXTPROC_DEV_DIRECTORY", "EXTPROC_TOKEN"):
            environment.pop(name, None)
        result = subprocess.run(
            ["/bin/sh", "-e", "-c", lines],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            timeout=100,
            check=False,
        )
    assert result.returncode == 0, result.stderr
    assert "x-1 shredded\n" in result.stdout
    assert "the transcript of x-1 was shredded" in result.stdout
