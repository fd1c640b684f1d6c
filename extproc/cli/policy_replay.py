"""`extproc policy replay`: what another policy would have said to the exchanges that are recorded."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

import click

from extproc.cli.audit_where import config_option, find_where, json_option, span_of, span_options, store_option
from extproc.cli.config import EXIT_FINDING, EXIT_INPUT

if TYPE_CHECKING:
    from extproc.audit.reading.reader import Span
    from extproc.core.policy_replay import Replay

_EFFECTS = ("allow", "hold", "deny", "cut")
KINDS = ("any", *(f"{then}-to-{now}" for then in _EFFECTS for now in _EFFECTS))
"""Ways in which a decision changes. `allow-to-allow` is another rule with the same effect."""


def _kinds(_: click.Context, option: click.Parameter, text: str) -> frozenset[str]:
    kinds = frozenset(part.strip() for part in text.split(",") if part.strip())
    if unknown := sorted(kinds - set(KINDS)):
        raise click.BadParameter(f"{unknown[0]!a} is not `any` or a change such as `allow-to-deny`", param=option)
    return kinds


@click.command("replay")
@click.option("--policy", "file", required=True, type=click.Path(path_type=Path), help="The policy to try.")
@config_option
@store_option
@span_options
@click.option("--limit", type=click.IntRange(1, sys.maxsize), help="Only the first so many exchanges.")
@click.option(
    "--fail-on",
    default="",
    callback=_kinds,
    help="End with 1 where a decision changes so: `allow-to-deny,hold-to-allow,…` of allow, hold, deny, cut; or `any`.",
)
@click.option(
    "--strict",
    is_flag=True,
    help="End with 2 where not every exchange could be decided again in whole: by all counts and its answer; or none.",
)
@json_option
def command(
    *,
    file: Path,
    config: Path | None,
    store: Path | None,
    since: str,
    until: str,
    limit: int | None,
    fail_on: frozenset[str],
    strict: bool,
    as_json: bool,
) -> None:
    """Decide the recorded exchanges of a span again, by another policy, and print which decisions change.

    Exits 0 when no decision changes as --fail-on names, 1 when some do, 2 when not everything could be read, or, with
    --strict, not every exchange could be decided again in whole, or there was none.
    """
    from extproc.audit.reading.exchanges import Query, find_exchanges  # noqa: PLC0415
    from extproc.audit.reading.reader import Reader  # noqa: PLC0415
    from extproc.cli.audit_view import print_problems  # noqa: PLC0415
    from extproc.cli.audit_where import store_failures  # noqa: PLC0415
    from extproc.cli.policy_files import policy_or_exit  # noqa: PLC0415
    from extproc.cli.policy_replay_view import print_json, print_table  # noqa: PLC0415
    from extproc.core.policy_replay import Replay  # noqa: PLC0415

    policy = policy_or_exit(file)
    where = find_where(config, store)
    span = span_of(since, until)
    asked: dict[str, str | int | float | bool] = {
        "since": since,
        "until": until,
        "limit": limit or 0,
        "policy": policy.digest,
    }
    where.record_read("policy.replay", {name: value for name, value in asked.items() if value})
    replay = Replay(policy)
    with store_failures(), _bar(span) as reached:
        reader = Reader(where.look_at_evidence(span), span)
        for exchange in islice(find_exchanges(reader, Query()), limit):
            replay.add(exchange.exchange_id, exchange.decided)
            reached(exchange.last.time_ms, replay)
    (print_json if as_json else print_table)(replay)
    print_problems(reader.problems)
    if not replay.decided and (strict or fail_on):
        click.echo(
            "nothing was decided again, so that nothing could change; is this the span that was meant?", err=True
        )
    if strict and not replay.whole:
        if replay.decided:
            click.echo(f"--strict: ends with {EXIT_INPUT}, as {_partly(replay)}", err=True)
        sys.exit(EXIT_INPUT)
    if replay.found(fail_on):
        sys.exit(EXIT_FINDING)


def _partly(replay: Replay) -> str:
    """What was not decided again in whole."""
    told = (
        (replay.not_rebuilt, "could not be decided again"),
        (sum(replay.uncounted.values()), "budgets had no count in a record"),
        (replay.unanswered, "answers were not judged"),
    )
    return ", ".join(f"{count} {what}" for count, what in told if count)


@contextmanager
def _bar(span: Span) -> Iterator[Callable[[int, Replay], None]]:
    """A bar on standard error, by the time of the records, while the block runs; nothing where that is no terminal."""
    if not sys.stderr.isatty():
        yield lambda time_ms, replay: None
        return
    import time  # noqa: PLC0415

    from rich.console import Console  # noqa: PLC0415
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn  # noqa: PLC0415

    columns = (TextColumn("replay"), BarColumn(), TextColumn("{task.fields[done]}"), TimeRemainingColumn())
    until = min(span.until_ms, int(time.time() * 1000))
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("replay", total=None, done="reading")
        first = span.since_ms

        def reached(time_ms: int, replay: Replay) -> None:
            nonlocal first
            first = first or time_ms
            done = f"{replay.decided} exchanges, {sum(replay.changes.values())} changed"
            progress.update(task, total=max(until - first, 1), completed=max(time_ms - first, 0), done=done)

        yield reached
