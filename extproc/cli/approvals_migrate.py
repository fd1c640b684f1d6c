"""`extproc approvals migrate`: bring the database to the revision of this version.

Exit codes: 0 it is there now; 1 with `--check`, when it is not; 2 a configuration or a database that cannot be used.
"""

import sys
from pathlib import Path

import click

from extproc.cli.approvals_store import exit_codes
from extproc.cli.config import EXIT_FINDING, config_file_option, settings_or_exit
from extproc.core.printable import printable_line


@click.command("migrate")
@click.option("--check", is_flag=True, help="Change nothing; exit code 1 when the database is behind.")
@config_file_option
def command(*, check: bool, config: Path) -> None:
    """Bring the database to this version, whole or not at all."""
    from extproc.approvals.database import open_database, read_revision  # noqa: PLC0415
    from extproc.approvals.revisions import NEWEST  # noqa: PLC0415

    address = settings_or_exit(config).approvals.database
    with exit_codes():
        before = read_revision(address)
        if check and before <= NEWEST:
            click.echo(f"{_said(before)}; this version has {NEWEST}")
            sys.exit(EXIT_FINDING if before != NEWEST else 0)
        open_database(address).close()
    click.echo(f"{_said(before)} -> {NEWEST}" if before != NEWEST else f"{_said(before)}, the newest")


def _said(revision: str) -> str:
    return f"revision {printable_line(revision)}" if revision else "no tables"
