"""`extproc audit verify`: prove the log, or say where it does not hold."""

from __future__ import annotations

import sys
import time
from pathlib import Path

import click

from extproc.cli.audit_anchored import anchor_options, anchored_or_exit
from extproc.cli.audit_where import config_option, fail, find_where, json_option, since_ms, store_option


@click.command("verify")
@config_option
@store_option
@json_option
@click.option(
    "--public-key", type=click.Path(path_type=Path, exists=True, dir_okay=False), help="deployment.pub; with --store."
)
@click.option(
    "--from", "begin", default="", help="Prove from this time on: a span like `24h`, or an ISO 8601 time (UTC)."
)
@click.option("--to", "--until", "end", default="", help="Prove up to this time: what goes on later needs no end.")
@anchor_options
def verify_command(
    *,
    config: Path | None,
    store: Path | None,
    as_json: bool,
    public_key: Path | None,
    begin: str,
    end: str,
    anchor: Path | None,
    anchor_key: str,
) -> None:
    """Prove the log, or say where it does not hold. Exit 0 proven, 1 a finding, 2 incomplete."""
    from extproc.audit.keys.public_keys import PUBLIC_KEY, load_public_key  # noqa: PLC0415
    from extproc.audit.reading.span import Span  # noqa: PLC0415
    from extproc.audit.refusal import AuditRefused  # noqa: PLC0415
    from extproc.audit.verify.anchored import report_alarms  # noqa: PLC0415
    from extproc.audit.verify.verify import verify  # noqa: PLC0415
    from extproc.cli.audit_progress import watch_on_terminal  # noqa: PLC0415
    from extproc.cli.audit_report import print_report  # noqa: PLC0415

    where = find_where(config, store)
    asked = Span(since_ms(begin, "--from") if begin else None, since_ms(end, "--to") if end else None)
    if asked.from_ms is not None and asked.is_behind(asked.from_ms):
        raise click.UsageError("--from lies behind --to")
    if asked.from_ms is not None and asked.from_ms > time.time() * 1000:
        raise click.UsageError("--from lies in the future: nothing of it can be proven")
    if public_key is None and where.settings is None:
        raise click.UsageError("--store needs --public-key")
    try:
        key = load_public_key(public_key or where.settings.keys / PUBLIC_KEY)  # type: ignore[union-attr]
    except AuditRefused as error:
        fail(str(error))
    anchored = anchored_or_exit(anchor, anchor_key)
    with watch_on_terminal() as watch:
        report = verify(
            where.store,
            key,
            deployment=where.deployment,
            spool=where.spool,
            asked=asked,
            remembered=anchored.remembered if anchored else None,
            watch=watch,
        )
    if anchored:
        report_alarms(report, anchored)
    print_report(report, as_json=as_json, anchored=anchored)
    sys.exit(report.exit_code)
