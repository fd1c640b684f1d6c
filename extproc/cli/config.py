"""Where every command gets its settings from."""

import sys
from pathlib import Path

import click

from extproc.edge.settings import Settings
from extproc.edge.settings_file import SettingsInvalid, load_settings

EXIT_FINDING = 1
EXIT_INPUT = 2


def settings_or_exit(path: Path) -> Settings:
    """The parsed configuration; prints every problem with its place and exits 2 when it has any."""
    try:
        return load_settings(path)
    except SettingsInvalid as error:
        for problem in error.problems:
            hint = f" ({problem.hint})" if problem.hint else ""
            click.echo(f"{path}:{problem.line}:{problem.column}: {problem.path}: {problem.message}{hint}", err=True)
        click.echo(f"{len(error.problems)} problem(s) in the configuration", err=True)
        sys.exit(EXIT_INPUT)
