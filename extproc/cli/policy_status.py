"""`extproc policy status`: is the policy in the file the one that the workers serve by."""

import hashlib
import time
from datetime import UTC, datetime
from pathlib import Path

import click

from extproc.cli.config import EXIT_FINDING, EXIT_INPUT, config_file_option
from extproc.cli.policy_files import print_unreadable
from extproc.edge.bounded_file import read_bounded
from extproc.edge.policy_status import PolicyStatus, read_status, status_path, why_not_in_force
from extproc.edge.settings import Settings

_POLL_SECONDS = 0.2


@click.command("status")
@config_file_option
@click.option("--wait", type=click.FloatRange(0, 3600), default=0.0, help="Seconds to wait for it to be in force.")
def status_command(config: Path, wait: float) -> None:
    """Say which policy is in force in each worker of the service on this machine, and since when.

    Exits 0 when all serve by the file as it is now, 1 when one does not, 2 when the file cannot be read.
    """
    from extproc.cli.config import settings_or_exit  # noqa: PLC0415

    settings = settings_or_exit(config)
    end = time.monotonic() + wait
    while True:
        digest = _digest_or_exit(settings.policy_file)
        lines, in_force = _look(settings, digest)
        if in_force == settings.workers or time.monotonic() >= end:
            break
        time.sleep(_POLL_SECONDS)
    click.echo(f"{settings.policy_file}: {digest}")
    for line in lines:
        click.echo(line)
    click.echo(f"in force in {in_force} of {settings.workers} worker{'' if settings.workers == 1 else 's'}")
    raise SystemExit(0 if in_force == settings.workers else EXIT_FINDING)


def _digest_or_exit(file: Path) -> str:
    try:
        return f"sha256:{hashlib.sha256(read_bounded(file)).hexdigest()}"
    except OSError as error:
        print_unreadable(file, error)
        raise SystemExit(EXIT_INPUT) from None


def _look(settings: Settings, digest: str) -> tuple[list[str], int]:
    """What to say of each worker, and how many serve by the file."""
    lines, in_force = [], 0
    for index in range(settings.workers):
        status = read_status(status_path(settings.run_directory, index))
        why = why_not_in_force(digest, status, settings.run_directory / f"worker-{index}.sock")
        in_force += not why
        lines.append(f"worker {index}: {_told(status, why)}")
        lines += [f"worker {index}: {problem}" for problem in (status.problems if status and why else ())]
    return lines, in_force


def _told(status: PolicyStatus | None, why: str) -> str:
    if status is None:
        return why
    since = datetime.fromtimestamp(status.since_unix, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return f"in force since {since}" if not why else f"{why}; {status.digest} in force since {since}"
