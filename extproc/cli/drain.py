"""`extproc drain`: for a `preStop` hook beside `extproc serve`. Exit codes: 0 told, 1 no service, 2 wrong input."""

import sys
import time
from pathlib import Path

import click

from extproc.cli.config import EXIT_FINDING, EXIT_INPUT, config_file_option, settings_or_exit


@click.command("drain")
@config_file_option
@click.option("--after", default="0s", show_default=True, help="Wait so long first, while both still serve.")
def command(config: Path, after: str) -> None:
    """Have the service of this configuration end as by SIGTERM: it finishes what is under way, and takes nothing new.

    A native sidecar gets SIGTERM only after the model server has ended, which is too late to finish anything.
    """
    from extproc.core.units import parse_duration  # noqa: PLC0415
    from extproc.edge.run_lock import end_holder  # noqa: PLC0415

    try:
        seconds = parse_duration(after)
    except ValueError:
        click.echo("--after: must be a duration such as `5s`", err=True)
        sys.exit(EXIT_INPUT)
    run_directory = settings_or_exit(config).run_directory
    time.sleep(seconds)
    if not end_holder(run_directory):
        click.echo(f"no service runs in {run_directory}", err=True)
        sys.exit(EXIT_FINDING)
