"""`extproc approvals migrate`: bring the database to the revision of this version.

Exit codes: 0 it is there now; 1 with `--check`, when it is not; 2 a configuration or a database that cannot be used.
"""

import sys
from pathlib import Path

import click

from extproc.cli.approvals_store import exit_codes
from extproc.cli.config import EXIT_FINDING, EXIT_INPUT, settings_or_exit
from extproc.core.printable import printable_line


@click.command("migrate")
@click.option("--check", is_flag=True, help="Change nothing; exit code 1 when the database is behind.")
@click.option(
    "--config",
    type=click.Path(dir_okay=False, path_type=Path),
    envvar="EXTPROC_CONFIG",
    help="The service's config.yaml. [env: EXTPROC_CONFIG]",
)
@click.option(
    "--database-file",
    type=click.Path(dir_okay=False, path_type=Path),
    help="A file with the database's URL, instead of a configuration and all that it names.",
)
def command(*, check: bool, config: Path | None, database_file: Path | None) -> None:
    """Bring the database to this version, whole or not at all."""
    from extproc.approvals.database import open_database, read_revision  # noqa: PLC0415
    from extproc.approvals.revisions import NEWEST  # noqa: PLC0415

    address = _address(config, database_file)
    with exit_codes():
        before = read_revision(address)
        if check and before <= NEWEST:
            click.echo(f"{_said(before)}; this version has {NEWEST}")
            sys.exit(EXIT_FINDING if before != NEWEST else 0)
        open_database(address).close()
    click.echo(f"{_said(before)} -> {NEWEST}" if before != NEWEST else f"{_said(before)}, the newest")


def _address(config: Path | None, database_file: Path | None) -> str:
    """The file counts where there is one: it needs no other secret than the database's."""
    if database_file is None:
        if config is None:
            raise click.UsageError("give --database-file, or --config (or EXTPROC_CONFIG)")
        return settings_or_exit(config).approvals.database
    from extproc.edge.settings_file import SettingsInvalid, read_credential  # noqa: PLC0415

    try:
        return read_credential(database_file).value
    except SettingsInvalid as error:  # it quotes nothing of the file
        click.echo("\n".join(str(problem) for problem in error.problems), err=True)
        sys.exit(EXIT_INPUT)


def _said(revision: str) -> str:
    return f"revision {printable_line(revision)}" if revision else "no tables"
