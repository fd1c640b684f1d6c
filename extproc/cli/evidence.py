"""`extproc evidence`: the assessor's pack of a period, for people (HTML) and for programs (JSON).

Exit codes: 0 the log is proven for the period, 1 the verifier has a finding, 2 incomplete, empty, or wrong input. The
pack is written with each of them but for wrong input, and says the same.
"""

from __future__ import annotations

import sys
import time
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import click

from extproc.cli.audit_anchored import anchor_options, anchored_or_exit
from extproc.cli.audit_where import config_option, fail, find_where, since_ms, store_failures
from extproc.cli.output import say

if TYPE_CHECKING:
    from extproc.audit.evidence.pack import Pack
    from extproc.audit.verify.anchored import Anchored

JSON_FILE, HTML_FILE = "evidence.json", "evidence.html"


@click.command("evidence")
@config_option
@click.option(
    "--from", "begin", required=True, help="The period's start: a span like `90d`, or an ISO 8601 time (UTC)."
)
@click.option("--to", "end", default="", help="Its end, which is not in it. [default: now]")
@click.option(
    "--output", required=True, type=click.Path(path_type=Path), help="A folder that is not there yet, or is empty."
)
@anchor_options
def command(*, config: Path | None, begin: str, end: str, output: Path, anchor: Path | None, anchor_key: str) -> None:
    """Write evidence.html and evidence.json: requirement by requirement what is enforced, with its facts and limits.

    Exit 0 when the log is proven for the period, 1 when the verifier has a finding, 2 when it is incomplete or empty.
    """
    from extproc.audit.evidence.files import FolderTaken, check_folder, write_folder  # noqa: PLC0415
    from extproc.audit.evidence.pack import encode_pack  # noqa: PLC0415
    from extproc.audit.evidence.page import render_page  # noqa: PLC0415

    if config is None:
        raise click.UsageError("give --config (or EXTPROC_CONFIG)")
    now_ms = int(time.time() * 1000)
    from_ms, to_ms = since_ms(begin, "--from"), since_ms(end, "--to") if end else now_ms
    if not 0 < from_ms < min(to_ms, now_ms):
        fail("the period is empty: --from must be before --to, and before now")
    try:
        check_folder(output)
        pack = _make(config, (from_ms, to_ms), now_ms, anchored_or_exit(anchor, anchor_key))
        write_folder(output, {HTML_FILE: render_page(pack), JSON_FILE: encode_pack(pack)})
    except (FolderTaken, OSError) as error:
        fail(f"the pack cannot be written ({error})")
    _tell(pack, output)
    sys.exit(pack.exit_code)


def _make(config: Path, requested: tuple[int, int], now_ms: int, anchored: Anchored | None) -> Pack:
    """The reading is recorded first. A period that goes on is shown up to now, without this reading."""
    from extproc.cli.audit_progress import watch_on_terminal  # noqa: PLC0415
    from extproc.cli.config import settings_or_exit  # noqa: PLC0415
    from extproc.cli.person import account  # noqa: PLC0415
    from extproc.edge.evidence_making import PackImpossible, make_pack, occasion_of, subject_of  # noqa: PLC0415

    settings = settings_or_exit(config)
    where = find_where(config, None)
    from_ms, to_ms = requested
    try:
        subject = subject_of(settings, from_ms, min(to_ms, now_ms), now_ms, anchored)
        where.record_read("evidence", {"from_ms": from_ms, "to_ms": to_ms})
        with store_failures(), watch_on_terminal() as watch:
            return make_pack(settings, where.store, subject, occasion_of(f"os|{account()}", requested, now_ms), watch)
    except PackImpossible as error:
        fail(str(error))


def _tell(pack: Pack, output: Path) -> None:
    from extproc.audit.evidence.page import verdict_of  # noqa: PLC0415

    statuses = Counter(row.status for row in pack.requirements)
    told = ", ".join(f"{count} {status}" for status, count in statuses.items())
    say(f"{output / HTML_FILE}, {output / JSON_FILE}")
    say(f"{pack.records} record(s); requirements: {told}; the log: {verdict_of(pack)}")
    if pack.not_read:
        click.echo(f"Not every record could be read: {pack.not_read[0]}", err=True)
    if pack.empty:
        click.echo("No record was found in the period: the pack shows nothing.", err=True)
