"""`extproc audit`: search, show, replay and verify the audit log.

Reading works beside a running service. `list`, `show` and `replay` first record that they read (PCI DSS 10.2.1.3).
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import click

from extproc.cli.audit_anchor import anchor_command
from extproc.cli.audit_inspect import inspect_command
from extproc.cli.audit_keys import keys_command, rotate_command
from extproc.cli.audit_retention import retention_command
from extproc.cli.audit_shred import shred_command
from extproc.cli.audit_verify import verify_command
from extproc.cli.audit_where import EXIT_FINDING, config_option, find_where, json_option, since_ms, store_option


@click.group()
def command() -> None:
    """List, show, replay and verify the audit log."""


command.add_command(anchor_command)
command.add_command(inspect_command)
command.add_command(keys_command)
command.add_command(rotate_command)
command.add_command(verify_command)
command.add_command(shred_command)
command.add_command(retention_command)


@command.command("list")
@config_option
@store_option
@json_option
@click.option("--person", default="", help="Part of a name or uid.")
@click.option("--model", default="", help="The model's name.")
@click.option("--effect", default="", type=click.Choice(["", "allow", "hold", "deny"]), help="What the policy said.")
@click.option("--since", default="", help="A span like `24h`, or an ISO 8601 time (UTC).")
def list_command(
    *, config: Path | None, store: Path | None, as_json: bool, person: str, model: str, effect: str, since: str
) -> None:
    """Exchanges, oldest first."""
    from extproc.audit.reader import Query, list_exchanges  # noqa: PLC0415
    from extproc.cli.audit_view import print_list  # noqa: PLC0415

    where = find_where(config, store)
    query = Query(person=person, model=model, effect=effect, since_ms=since_ms(since))
    where.record_read("audit.list", {"person": person, "model": model, "effect": effect, "since": since})
    exchanges = list_exchanges(where.look(), query)
    print_list(exchanges, as_json=as_json)


@command.command("show")
@click.argument("exchange_id")
@config_option
@store_option
@json_option
def show_command(*, exchange_id: str, config: Path | None, store: Path | None, as_json: bool) -> None:
    """Every record of one exchange, with its place in the log."""
    from extproc.audit.reader import show_exchange, time_text  # noqa: PLC0415

    where = find_where(config, store)
    where.record_read("audit.show", {"exchange": exchange_id[:128]})
    exchange = show_exchange(where.look(), exchange_id)
    if exchange is None:
        click.echo("no such exchange", err=True)
        sys.exit(EXIT_FINDING)
    for item in exchange.records:
        if as_json:
            click.echo(item.line)
            continue
        click.echo(f"{time_text(item.record.time_ms)}  {item.record.event_code}  {item.receipt}")
        for line in json.dumps(json.loads(item.line), indent=2, ensure_ascii=True).splitlines()[1:-1]:
            click.echo("  " + line)


@command.command("replay")
@click.argument("exchange_id")
@config_option
@json_option
@click.option("--speed", default=1.0, type=click.FloatRange(min=0.001), help="2: twice as fast as it was.")
@click.option("--no-wait", is_flag=True, help="Print at once, without the pauses.")
def replay_command(*, exchange_id: str, config: Path | None, as_json: bool, speed: float, no_wait: bool) -> None:
    """One exchange as it crossed the boundary, both directions, in its own time. Needs the content key."""
    from extproc.audit.keys import open_keys  # noqa: PLC0415
    from extproc.audit.refusal import AuditRefused  # noqa: PLC0415
    from extproc.audit.replay import read_transcript  # noqa: PLC0415
    from extproc.cli.audit_view import play  # noqa: PLC0415
    from extproc.core.reasons import ExchangeError  # noqa: PLC0415

    where = find_where(config, None)
    if where.settings is None:
        raise click.UsageError("replay needs --config")
    where.record_read("audit.replay", {"exchange": exchange_id[:128]})
    try:
        keys = open_keys(where.settings)
        transcript = read_transcript(where.look(), keys, exchange_id)
    except AuditRefused as error:
        click.echo(str(error), err=True)
        sys.exit(EXIT_FINDING)
    except ExchangeError:
        click.echo("the content key does not open: it is another deployment's, or was changed", err=True)
        sys.exit(EXIT_FINDING)
    if transcript is None:
        click.echo("no such exchange", err=True)
        sys.exit(EXIT_FINDING)
    play(transcript.pieces, 0.0 if no_wait else 1 / speed, as_json=as_json)
    if not transcript.closed:
        click.echo("the exchange has no recorded end yet; this is what is there so far", err=True)
