"""`extproc audit reindex`: make the session index of the audit objects, whole or from where it was left."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from extproc.cli.audit_where import fail, find_where, since_ms, store_failures
from extproc.cli.config import EXIT_INPUT, config_file_option, settings_or_exit

if TYPE_CHECKING:
    from extproc.approvals.index.search import SessionIndex
    from extproc.approvals.index.writer import IndexWriter
    from extproc.approvals.settings import ApprovalSettings


@click.command("reindex")
@config_file_option
@click.option(
    "--from",
    "since",
    default="",
    help="Read again what was sealed from then on: a span like `24h`, or an ISO 8601 time.",
)
@click.option("--rebuild", is_flag=True, help="Empty the index first. Pages of sessions are incomplete until the end.")
def reindex_command(*, config: Path, since: str, rebuild: bool) -> None:
    """Bring the session index up to the audit store: what is new, what is sealed since `--from`, or all of it.

    It may be interrupted and begun again, and runs beside consoles. Exit codes: 0 done, 2 some segments could not be
    read (they are named) or nothing could be done.
    """
    from extproc.approvals.index.reindex import Reindexing  # noqa: PLC0415
    from extproc.audit.reading.reader import time_text  # noqa: PLC0415
    from extproc.core.printable import printable_line  # noqa: PLC0415

    if since and rebuild:
        raise click.UsageError("give --from or --rebuild, not both: a rebuild reads everything")
    from_ms = since_ms(since, "--from")
    settings = settings_or_exit(config)
    where = find_where(config, None)
    where.record_read("audit.reindex", {"from": since, "rebuild": rebuild})
    with _writer(settings.approvals) as (writer, index), store_failures():
        reindexing = Reindexing(where.store, where.deployment, writer)
        if rebuild:
            click.echo("emptying the session index; pages of sessions are incomplete until this is done", err=True)
            writer.empty()
        with _progress() as told:
            done = reindexing.run(int(time.time() * 1000), from_ms, told)
        fresh, problems = index.freshness(), index.problems()
    click.echo(
        f"{done.segments} segment(s) read, {done.changed} exchange(s) new or changed; "
        f"indexed up to {time_text(fresh.indexed_up_to_ms) if fresh.indexed_up_to_ms else 'nothing yet'}"
    )
    for problem in problems:
        click.echo(printable_line(f"segment {problem.segment} of {problem.origin} {problem.what}"), err=True)
    if problems:
        click.echo("these are not in the index; `extproc audit verify` says what does not hold", err=True)
        sys.exit(EXIT_INPUT)


@contextmanager
def _writer(approvals: ApprovalSettings) -> Iterator[tuple[IndexWriter, SessionIndex]]:
    """Of the configured database. One that is away ends the command."""
    from extproc.approvals.database import open_database  # noqa: PLC0415
    from extproc.approvals.index.search import SessionIndex  # noqa: PLC0415
    from extproc.approvals.index.writer import IndexWriter  # noqa: PLC0415
    from extproc.approvals.revisions import Unusable  # noqa: PLC0415
    from extproc.core.reasons import Unavailable  # noqa: PLC0415

    try:
        database = open_database(approvals.database, approvals.migrate)
        try:
            yield IndexWriter(database), SessionIndex(database)
        finally:
            database.close()
    except Unusable as error:
        fail(error.sentence)
    except Unavailable:
        fail(
            "the approval store, in whose database the index is, cannot be used (`approvals.database`); what was done"
            " until now is kept, and the same command goes on from there"
        )


@contextmanager
def _progress() -> Iterator[Callable[[int, int], None]]:
    """A bar on standard error; nothing where that is no terminal."""
    if not sys.stderr.isatty():
        yield lambda done, listed: None
        return
    from rich.console import Console  # noqa: PLC0415
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn  # noqa: PLC0415

    columns = (TextColumn("reindex"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("reindex", total=None)
        yield lambda done, listed: progress.update(task, completed=done, total=listed)
