"""The options by which a command is told what an anchor remembers."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from extproc.cli.audit_where import fail

if TYPE_CHECKING:
    from extproc.audit.verify.anchored import Anchored

_options = (
    click.option(
        "--anchor",
        type=click.Path(path_type=Path, exists=True, file_okay=False),
        help="An anchor's memory, or a copy: the log must go on from every head that it co-signed.",
    ),
    click.option("--anchor-key", default="", help="What `extproc audit anchor --show-key` printed there."),
)


def anchor_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """`anchor` and `anchor_key`."""
    for option in reversed(_options):
        function = option(function)
    return function


def anchored_or_exit(directory: Path | None, key: str) -> Anchored | None:
    """What the anchor remembers, when one is asked; what cannot be trusted ends the command."""
    from extproc.audit.anchor.note import VerifierKey  # noqa: PLC0415
    from extproc.audit.refusal import AuditRefused  # noqa: PLC0415
    from extproc.audit.verify.anchored import read_anchored  # noqa: PLC0415

    if bool(directory) != bool(key):
        raise click.UsageError("--anchor and --anchor-key belong together")
    if directory is None:
        return None
    try:
        return read_anchored(directory, VerifierKey.parse(key))
    except (AuditRefused, OSError) as error:
        fail(str(error))
