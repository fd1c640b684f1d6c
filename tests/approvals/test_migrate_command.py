"""`extproc approvals migrate`, and what the other commands say of a database that is behind."""

from pathlib import Path

import pytest
from click import Command
from click.testing import CliRunner, Result
from sqlalchemy import text

from extproc.approvals.database import open_database, read_revision
from extproc.approvals.revisions import NEWEST
from extproc.cli.approvals import command
from extproc.cli.budgets import command as budgets
from tests.approvals.test_migrations import at_0003, changing
from tests.audit.configured import write_config


def run(folder: Path, *arguments: str, asking: Command = command) -> Result:
    return CliRunner().invoke(asking, [*arguments, "--config", str(folder / "config.yaml")])


@pytest.fixture
def address(tmp_path: Path) -> str:
    """A database that is behind, which nobody but the command may migrate."""
    address = f"sqlite:///{tmp_path}/approvals.db"
    write_config(tmp_path, approvals={"database": address, "migrate": "manual"})
    at_0003(address)
    return address


def test_the_command_says_from_where_to_where_and_then_there_is_nothing_to_do(tmp_path: Path, address: str) -> None:
    ran = [run(tmp_path, "migrate"), run(tmp_path, "migrate"), run(tmp_path, "migrate", "--check")]
    assert [(each.exit_code, each.output) for each in ran] == [
        (0, f"revision 0003 -> {NEWEST}\n"),
        (0, f"revision {NEWEST}, the newest\n"),
        (0, f"revision {NEWEST}; this version has {NEWEST}\n"),
    ]
    assert read_revision(address) == NEWEST


def test_a_check_finds_it_behind_and_leaves_it_so(tmp_path: Path, address: str) -> None:
    checked = run(tmp_path, "migrate", "--check")
    assert (checked.exit_code, checked.output) == (1, f"revision 0003; this version has {NEWEST}\n")
    assert read_revision(address) == "0003"


def test_other_commands_say_what_to_run_and_leave_it_so(tmp_path: Path, address: str) -> None:
    asked = ((command, "list"), (command, "show apr-1"), (command, "notifications list"), (budgets, "list"))
    for asking, arguments in asked:
        ran = run(tmp_path, *arguments.split(), asking=asking)
        assert (ran.exit_code, ran.output) == (
            2,
            f"The approval database is at revision 0003 and {NEWEST} is needed: run `extproc approvals migrate`.\n",
        )
    assert read_revision(address) == "0003"


def test_a_newer_database_is_wrong_input_for_migrate_too(tmp_path: Path) -> None:
    address = f"sqlite:///{tmp_path}/approvals.db"
    write_config(tmp_path, approvals={"database": address})
    open_database(address).close()
    with changing(address) as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    for arguments in (["migrate"], ["migrate", "--check"]):
        ran = run(tmp_path, *arguments)
        assert (ran.exit_code, "not older than the one that migrated it" in ran.output) == (2, True)


def test_the_urls_file_alone_is_enough(tmp_path: Path) -> None:
    """A Job that migrates holds no other secret of the service."""
    address = f"sqlite:///{tmp_path}/alone.db"
    at_0003(address)
    (tmp_path / "url").write_text(address + "\n")
    ran = [
        CliRunner().invoke(command, ["migrate", *more, "--database-file", str(tmp_path / "url")])
        for more in (["--check"], [])
    ]
    assert [each.exit_code for each in ran] == [1, 0]
    assert read_revision(address) == NEWEST


def test_a_file_that_holds_no_url_is_told_without_a_word_of_it(tmp_path: Path) -> None:
    (tmp_path / "url").write_text("postgresql://u:hunter2@db/x\nmore")
    for arguments in (["--database-file", str(tmp_path / "url")], ["--database-file", str(tmp_path / "none")], []):
        ran = CliRunner().invoke(command, ["migrate", *arguments], env={"EXTPROC_CONFIG": ""})
        assert (ran.exit_code, "hunter2" in ran.output) == (2, False)
