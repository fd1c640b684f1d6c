"""`extproc budgets`: what was used of the policy's budgets.

Exit codes: 0 done; 2 usage, configuration, or a store that cannot be reached.
"""

import json
import sys
import time
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from extproc.cli.config import EXIT_INPUT, config_file_option, settings_or_exit

if TYPE_CHECKING:
    from extproc.approvals.consumption import Consumption

_HEADINGS = ("BUDGET", "COUNTS", "WHOSE", "USED", "UNTIL (UTC)")


@click.group("budgets")
def command() -> None:
    """Show what was used of budgets."""


@command.command("list")
@click.option("--person", metavar="UID", help="Only of this person: `issuer|subject`, as in records.")
@click.option("--tenant", metavar="TENANT", help="Only of this tenant.")
@click.option("--json", "as_machine", is_flag=True, help="For machines.")
@config_file_option
def list_(*, person: str | None, tenant: str | None, as_machine: bool, config: Path) -> None:
    """Show what counts now, by budget, in one line for each who has used some of it."""
    from extproc.approvals.consumption import find_consumption  # noqa: PLC0415
    from extproc.approvals.database import open_database  # noqa: PLC0415
    from extproc.core.reasons import REFUSALS, Unavailable  # noqa: PLC0415

    if person is not None and tenant is not None:
        raise click.UsageError("`--person` and `--tenant` are not given together: a budget is one's or the other's")
    settings = settings_or_exit(config)
    try:
        database = open_database(settings.approvals.database)
        try:
            found = find_consumption(database, time.time(), tenant if person is None else person)
        finally:
            database.close()
    except Unavailable as error:
        click.echo(REFUSALS[error.reason].sentence, err=True)
        sys.exit(EXIT_INPUT)
    asked = "person" if person is not None else "tenant"
    if person is not None or tenant is not None:
        found = [used for used in found if f" per {asked} " in used.series]
    if as_machine:
        click.echo(json.dumps([asdict(used) for used in found], indent=2))
    else:
        _print(found)


def _print(found: "Iterable[Consumption]") -> None:
    from extproc.cli.columns import align  # noqa: PLC0415

    rows = [_HEADINGS, *map(_row, found)]
    if len(rows) == 1:
        click.echo("Nothing counts now.")
        return
    for line in align(rows):
        click.echo(line)


def _row(used: "Consumption") -> tuple[str, ...]:
    from extproc.core.printable import printable_line  # noqa: PLC0415

    until = time.strftime("%Y-%m-%d %H:%M", time.gmtime(used.frees_unix))
    cells = (used.budget, used.series, used.holder or "everybody", str(used.count), until)
    return tuple(map(printable_line, cells))
