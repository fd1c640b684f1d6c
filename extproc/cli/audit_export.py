"""`extproc audit export`: the records of a span for other tools. Records only, never content."""

from __future__ import annotations

import importlib.util
import shlex
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click

from extproc.cli.audit_where import (
    config_option,
    fail,
    find_where,
    span_of,
    span_options,
    store_failures,
    store_option,
)
from extproc.cli.config import EXIT_FINDING
from extproc.cli.output import say

FORMATS = ("ocsf-jsonl", "parquet")
PYARROW = "pyarrow>=20"
"""As the package's extra `export` has it."""


@click.command("export")
@config_option
@store_option
@span_options
@click.option("--format", "form", required=True, type=click.Choice(FORMATS), help="OCSF 1.8 events, or flat columns.")
@click.option("--output", required=True, type=click.Path(path_type=Path), help="A directory that does not exist yet.")
def export_command(*, config: Path | None, store: Path | None, since: str, until: str, form: str, output: Path) -> None:
    """The records of a span as files, a partition a day.

    What is read is held against its manifests' digests; that they are the right ones is for `extproc audit verify`.
    Exit 0 done, 1 the log is not as its manifests say, 2 not done.
    """
    from extproc.audit.reading.export import new_directory, write_days  # noqa: PLC0415
    from extproc.audit.reading.export_ocsf import JsonLines  # noqa: PLC0415
    from extproc.audit.reading.export_parquet import ParquetRows  # noqa: PLC0415
    from extproc.audit.reading.reader import Reader  # noqa: PLC0415
    from extproc.audit.refusal import AuditRefused  # noqa: PLC0415

    where, span = find_where(config, store), span_of(since, until)
    if form == "parquet" and importlib.util.find_spec("pyarrow") is None:
        fail(
            "Parquet is written with pyarrow, which is not installed: run "
            f"`{shlex.quote(sys.executable)} -m pip install '{PYARROW}'`, or take `--format ocsf-jsonl`"
        )
    if output.exists() or not output.absolute().parent.is_dir():
        fail(f"{output} must not exist yet, and the directory that it is in must")
    asked = {"since": since, "until": until, "format": form}
    where.record_read("audit.export", {**asked, "state": "begun"})
    try:
        with store_failures():
            reader = Reader(where.look_at_evidence(span), span)
        with _tidy_end(), store_failures("the export was not written"), new_directory(output.absolute()) as directory:
            open_file = JsonLines if form == "ocsf-jsonl" else ParquetRows
            try:
                exported = write_days(reader, directory, open_file, _progress)
            except AuditRefused as error:
                _refuse([*reader.problems, str(error)])
                raise
            _refuse(reader.problems)
            where.record_read(
                "audit.export",
                {**asked, "state": "done", "records": exported.records, "days": len(exported.days)},
            )
    finally:
        if sys.stderr.isatty():
            click.echo(err=True)
    say(f"{exported.records} records of {len(exported.days)} days in {exported.files} files, {exported.bytes} bytes")
    click.echo("held against the manifests' digests; `extproc audit verify` proves the log itself", err=True)


@contextmanager
def _tidy_end() -> Iterator[None]:
    """A signal to end, or a terminal that is closed, ends the command by way of what takes half an export away."""
    ours = [each for each in (signal.SIGTERM, signal.SIGHUP) if signal.getsignal(each) is signal.SIG_DFL]
    for each in ours:
        signal.signal(each, lambda number, _: sys.exit(128 + number))
    try:
        yield
    finally:
        for each in ours:
            signal.signal(each, signal.SIG_DFL)


def _progress(records: int, day: str) -> None:
    if sys.stderr.isatty():
        click.echo(f"\r{records} records, {day}", nl=False, err=True)


def _refuse(problems: list[str]) -> None:
    """An export that lacks records, or has others, is none."""
    from extproc.core.printable import printable_line  # noqa: PLC0415

    for problem in problems:
        click.echo(printable_line(problem), err=True)
    if problems:
        click.echo("nothing is exported; `extproc audit verify` says what does not hold", err=True)
        sys.exit(EXIT_FINDING)
