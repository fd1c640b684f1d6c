"""`extproc serve`: the data plane beside one Envoy."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from extproc.edge.supervisor import Supervisor

EXIT_INPUT = 2


@click.command("serve")
@click.option("--config", "config", type=click.Path(path_type=Path), envvar="EXTPROC_CONFIG", required=True)
@click.option("--worker", type=click.IntRange(0, 63), default=None, hidden=True, help="Be worker N of a supervisor.")
@click.option("--as-read", type=click.Path(path_type=Path), hidden=True, help="What the supervisor read of --config.")
def command(config: Path, worker: int | None, as_read: Path | None) -> None:
    """Serve ext_proc on one Unix socket per worker, ship the audit log, adopt what dead workers left."""
    from extproc.cli.config import settings_or_exit  # noqa: PLC0415
    from extproc.edge.logs import setup_logging  # noqa: PLC0415
    from extproc.edge.program import digest_file  # noqa: PLC0415

    if worker is None:
        sys.exit(_supervisor(config).run())
    from extproc.edge.hardening import end_with_parent  # noqa: PLC0415

    if not end_with_parent():
        sys.exit(0)  # its supervisor died while it was started: nobody would end it
    copy = as_read or config
    digest = digest_file(copy)
    settings = settings_or_exit(config, as_read)
    setup_logging(settings.telemetry.service_name, worker)
    from extproc.app import run_worker  # noqa: PLC0415
    from extproc.edge.configuration_watch import AsRead  # noqa: PLC0415

    run_worker(settings, worker, AsRead(copy, config, digest))


def _supervisor(config: Path) -> Supervisor:
    """Of settings and a copy for its workers that are of one content of the file."""
    from extproc.audit.refusal import AuditRefused  # noqa: PLC0415
    from extproc.cli.config import settings_or_exit  # noqa: PLC0415
    from extproc.edge.logs import setup_logging  # noqa: PLC0415
    from extproc.edge.program import digest_file  # noqa: PLC0415
    from extproc.edge.supervisor import Supervisor  # noqa: PLC0415

    while True:
        digest = digest_file(config)
        settings = settings_or_exit(config)
        setup_logging(settings.telemetry.service_name, -1)
        try:
            supervisor = Supervisor(settings, config)
        except (AuditRefused, OSError) as error:
            click.echo(f"the audit keys cannot be used: {error}", err=True)
            sys.exit(EXIT_INPUT)
        if supervisor.configuration_digest == digest:
            return supervisor
