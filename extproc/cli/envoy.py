"""`extproc envoy`: render and validate Envoy's bootstrap. Exit codes: 0 accepted, 1 Envoy refuses, 2 wrong input."""

import os
from pathlib import Path
from typing import NoReturn

import click

from extproc.edge.bootstrap_check import EnvoyMissing, EnvoyRefused, validate_bootstrap, write_private

_REFUSED = 1
_WRONG_INPUT = 2


@click.group(name="envoy")
def command() -> None:
    """Render and validate Envoy's bootstrap."""


@command.command()
@click.option(
    "--config",
    "config_path",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    envvar="EXTPROC_CONFIG",
    required=True,
    help="The deployment's settings (default: $EXTPROC_CONFIG).",
)
@click.option("--output", type=click.Path(dir_okay=False, path_type=Path), help="Write there instead (mode 0600).")
@click.option("--unchecked", is_flag=True, help="Do not ask an Envoy on this machine: the one that starts on it says.")
def config(config_path: Path, output: Path | None, *, unchecked: bool) -> None:
    """Render the bootstrap that Envoy runs on, once Envoy has accepted it. It holds the gate secret."""
    # Slow to import (0.7 s): Envoy's configuration classes.
    from extproc.cli.config import settings_or_exit  # noqa: PLC0415
    from extproc.edge.bootstrap import render_here, write_secret_configs  # noqa: PLC0415
    from extproc.edge.gate import read_or_create_gate  # noqa: PLC0415

    settings = settings_or_exit(config_path)
    try:
        text = render_here(settings, read_or_create_gate(settings.run_directory), os.environ)
        write_secret_configs(settings)
    except (ValueError, OSError) as error:
        _fail(str(error), _WRONG_INPUT)
    if not unchecked:
        _validate(text, "; `--unchecked` renders without one")
    if output is None:
        click.echo(text, nl=False)
        return
    try:
        write_private(output, text)
    except OSError as error:
        _fail(f"{output}: cannot be written: {error.strerror}", _WRONG_INPUT)


@command.command()
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
def validate(file: Path) -> None:
    """Have the real Envoy check a bootstrap file."""
    try:
        text = file.read_text("utf-8")
    except (ValueError, OSError) as error:
        _fail(f"{file}: {error}", _WRONG_INPUT)
    _validate(text)
    click.echo(f"{file}: accepted", err=True)


def _validate(text: str, without: str = "") -> None:
    try:
        validate_bootstrap(text)
    except EnvoyMissing as error:
        _fail(f"{error}{without}", _REFUSED)
    except EnvoyRefused as error:
        _fail(str(error), _REFUSED)


def _fail(message: str, code: int) -> NoReturn:
    click.echo(message, err=True)
    raise SystemExit(code)
