"""`extproc envoy`: render and validate Envoy's bootstrap. Exit codes: 0 accepted, 1 Envoy refuses, 2 wrong input."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import click

from extproc.edge.bootstrap_check import EnvoyMissing, EnvoyRefused, validate_bootstrap, write_private

if TYPE_CHECKING:
    from extproc.edge.settings import ConnectionSettings

_REFUSED = 1
_WRONG_INPUT = 2


@click.group(name="envoy")
def command() -> None:
    """Render and validate Envoy's bootstrap."""


_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
_config_option = click.option(
    "--config",
    "config_path",
    type=_FILE,
    envvar="EXTPROC_CONFIG",
    required=True,
    help="The deployment's settings (default: $EXTPROC_CONFIG).",
)


@command.command()
@_config_option
@click.option("--output", type=click.Path(dir_okay=False, path_type=Path), help="Write there instead (mode 0600).")
@click.option("--unchecked", is_flag=True, help="Do not ask an Envoy on this machine: the one that starts on it says.")
def config(config_path: Path, output: Path | None, *, unchecked: bool) -> None:
    """Render the bootstrap that Envoy runs on, once Envoy has accepted it. It holds the gate secret."""
    # Slow to import (0.7 s): Envoy's configuration classes.
    from extproc.cli.config import settings_or_exit  # noqa: PLC0415
    from extproc.edge.bootstrap import (  # noqa: PLC0415
        render_here,
        render_whole_here,
        write_discovery,
        write_secret_configs,
    )
    from extproc.edge.gate import read_or_create_gate  # noqa: PLC0415
    from extproc.edge.program import digest_file  # noqa: PLC0415

    version = digest_file(config_path)
    settings = settings_or_exit(config_path)
    try:
        secret = read_or_create_gate(settings.run_directory)
        text, whole = (render(settings, secret, os.environ) for render in (render_here, render_whole_here))
        write_secret_configs(settings)
        if not unchecked:
            _validate(whole, "; `--unchecked` renders without one")
        write_discovery(settings, version, _connections_in_force(settings.run_directory, config_path))
    except (ValueError, OSError) as error:
        _fail(str(error), _WRONG_INPUT)
    if output is None:
        click.echo(text, nl=False)
        return
    try:
        write_private(output, text)
    except OSError as error:
        _fail(f"{output}: cannot be written: {error.strerror}", _WRONG_INPUT)


@command.command(hidden=True)
@_config_option
@click.option("--as-read", type=_FILE, required=True, help="What --config holds by now: what Envoy is to have.")
@click.option("--also", type=_FILE, required=True, help="What it held before: exchanges under way may be of it.")
def discovery(config_path: Path, as_read: Path, also: Path) -> None:
    """Write the files by which a running Envoy follows model servers and routes. Exit codes: 0, and 2 without them."""
    from extproc.cli.config import settings_or_exit  # noqa: PLC0415
    from extproc.edge.bootstrap_discovery import write_discovery  # noqa: PLC0415
    from extproc.edge.hardening import end_with_parent  # noqa: PLC0415
    from extproc.edge.program import digest_file  # noqa: PLC0415

    if not end_with_parent():
        _fail("nobody waits for it any more", _WRONG_INPUT)
    version = digest_file(as_read)
    settings = settings_or_exit(config_path, as_read)
    try:
        write_discovery(settings, version, _connections_of(also, config_path))
    except (ValueError, OSError) as error:
        _fail(str(error), _WRONG_INPUT)


@command.command()
@click.argument("file", type=_FILE)
def validate(file: Path) -> None:
    """Have the real Envoy check a bootstrap file."""
    try:
        text = file.read_text("utf-8")
    except (ValueError, OSError) as error:
        _fail(f"{file}: {error}", _WRONG_INPUT)
    _validate(text)
    click.echo(f"{file}: accepted", err=True)


def _connections_of(counted: Path, config: Path) -> tuple[ConnectionSettings, ...]:
    """As `counted`, a copy of what `config` held, says them. What it names besides may be gone by now.

    Raises `ValueError` and OSError.
    """
    from extproc.edge.settings_file import SettingsInvalid, build_unread  # noqa: PLC0415

    try:
        return build_unread(counted.read_bytes(), config.absolute().parent).connections
    except SettingsInvalid:
        raise ValueError(f"{counted}: is no configuration") from None


def _connections_in_force(run_directory: Path, config: Path) -> tuple[ConnectionSettings, ...]:
    """Of a service that may run here: its requests go on while Envoy has what counts next."""
    from extproc.edge.configuration import AS_READ  # noqa: PLC0415

    try:
        return _connections_of(run_directory / AS_READ, config)
    except (ValueError, OSError):
        return ()


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
