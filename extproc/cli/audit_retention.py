"""`extproc audit retention-check`: is anything kept for longer than it may be, and the evidence for as long as it must?

Exit codes: 0 nothing is over-age; 1 something is, or evidence is not at hand or not locked; 2 incomplete,
or there is no evidence at all.
"""

from __future__ import annotations

import functools
import json
import socket
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from extproc.cli.audit_destroy import destroying
from extproc.cli.audit_where import fail, find_where, json_option
from extproc.cli.config import EXIT_FINDING, EXIT_INPUT, config_file_option, settings_or_exit
from extproc.cli.output import say

if TYPE_CHECKING:
    from extproc.audit.retention.over_age import RetentionJob
    from extproc.audit.retention.retention import Retention
    from extproc.edge.settings import Settings


@click.command("retention-check")
@config_file_option
@click.option("--enforce", is_flag=True, help="Shred what is older than `audit.content_retention`.")
@json_option
def retention_command(*, config: Path, enforce: bool, as_json: bool) -> None:
    """Count what is kept, and how old it is (PCI DSS 3.2.1, 10.5.1). At least every three months."""
    from extproc.audit.retention.over_age import result_of  # noqa: PLC0415

    settings = settings_or_exit(config)
    find_where(config, None).record_read("audit.retention_check", {"enforce": enforce})
    with _job(settings) as job:
        now_ms = int(time.time() * 1000)
        found = job.enforce(now_ms) if enforce else job.check(now_ms)
    result = result_of(settings.audit, found)
    if as_json:
        say(json.dumps(result))
    else:
        _print(found, settings.audit.content_retention_days)
    if found.incomplete:
        sys.exit(EXIT_INPUT)
    if found.outlived or found.out_of_reach or found.unlocked:
        sys.exit(EXIT_FINDING)
    if not found.evidence:
        fail("Nothing is shown by this: there is no evidence in the store. Is it the right one?")


@contextmanager
def _job(settings: Settings) -> Iterator[RetentionJob]:
    from extproc.audit.log.journal import write_once  # noqa: PLC0415
    from extproc.audit.retention.over_age import WRITER, RetentionJob  # noqa: PLC0415
    from extproc.audit.stores.store import open_store  # noqa: PLC0415
    from extproc.cli.person import account  # noqa: PLC0415
    from extproc.core.record import Actor  # noqa: PLC0415

    user = account()
    with destroying(settings, "Repeat it.") as (keys, approvals):
        yield RetentionJob(
            settings.audit,
            open_store(settings.audit),
            functools.partial(write_once, settings.audit, keys, WRITER),
            approvals.erase_previews_before,
            Actor(uid=f"os|{user}", name=user),
            socket.gethostname(),
            approvals.erase_previews,
        )


def _print(found: Retention, limit_days: int) -> None:
    from extproc.audit.reading.reader import time_text  # noqa: PLC0415
    from extproc.audit.retention.retention import AT_HAND_DAYS, HISTORY_DAYS  # noqa: PLC0415
    from extproc.core.printable import printable_line  # noqa: PLC0415

    def when(time_ms: int) -> str:
        return time_text(time_ms) if time_ms else "-"

    say(f"Transcripts: {found.bags} key bag(s), {when(found.oldest_bag_ms)} .. {when(found.newest_bag_ms)}")
    say(f"  over-age, sealed more than {limit_days} day(s) ago: {len(found.over_age)}")
    if found.quarantined:
        say(f"  damaged files in the spool's quarantine as old, with keys: {len(found.quarantined)}")
    say(f"  over-age by the policy they were allowed under (`obligations.retention`): {len(found.obliged)} exchange(s)")
    say(f"Evidence: {found.evidence} object(s), the oldest of {when(found.oldest_evidence_ms)}")
    reached = "reached" if found.history_days >= HISTORY_DAYS else "not reached yet"
    say(f"  history: {found.history_days} day(s); twelve months are {reached}")
    say(f"  sample of the last {AT_HAND_DAYS} days: {found.sampled} read, {len(found.out_of_reach)} out of reach")
    for key in found.out_of_reach:
        say(printable_line(f"OUT_OF_REACH - {key}"))
    for key in found.unlocked:
        say(printable_line(f"UNLOCKED - {key} - not locked for twelve months"))
    if found.incomplete:
        say("INCOMPLETE - the age of some segments could not be read")
