"""Where every command gets its settings from, and the exit codes of all."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from extproc.edge.settings import Settings

EXIT_FINDING = 1
"""What was asked for is so, and not as it should be: a finding, or who asks may not."""
EXIT_INPUT = 2
"""Not done: wrong input, or something that is needed cannot be had."""

config_file_option = click.option(
    "--config",
    type=click.Path(dir_okay=False, path_type=Path),
    envvar="EXTPROC_CONFIG",
    required=True,
    help="The service's config.yaml. [env: EXTPROC_CONFIG]",
)


def settings_or_exit(path: Path, as_read: Path | None = None) -> Settings:
    """The parsed configuration; prints every problem with its place and exits 2 when it has any.

    `as_read`: a copy of what the file at `path` held earlier, which counts.
    """
    from extproc.edge.settings_file import SettingsInvalid, load_settings_as_read  # noqa: PLC0415

    try:
        return load_settings_as_read(as_read or path, path)
    except SettingsInvalid as error:
        for problem in error.problems:
            hint = f" ({problem.hint})" if problem.hint else ""
            click.echo(f"{path}:{problem.line}:{problem.column}: {problem.path}: {problem.message}{hint}", err=True)
        click.echo(f"{len(error.problems)} problem(s) in the configuration", err=True)
        sys.exit(EXIT_INPUT)
