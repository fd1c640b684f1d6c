"""`extproc audit replay`: one exchange as it happened, from its encrypted transcript."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from extproc.cli.audit_where import (
    Where,
    config_option,
    find_configured,
    json_option,
    no_such_exchange,
    store_failures,
)
from extproc.cli.config import EXIT_FINDING

if TYPE_CHECKING:
    from extproc.audit.reading.replay import Transcript
    from extproc.audit.settings import AuditSettings


@click.command("replay")
@click.argument("exchange_id")
@config_option
@json_option
@click.option("--speed", default=1.0, type=click.FloatRange(min=0.001), help="2: twice as fast as it was.")
@click.option("--no-wait", is_flag=True, help="Print at once, without the pauses; with --json always.")
@click.option("--raw", is_flag=True, help="The exact events that crossed the boundary, instead of a conversation.")
def replay_command(
    *, exchange_id: str, config: Path | None, as_json: bool, speed: float, no_wait: bool, raw: bool
) -> None:
    """One exchange as it crossed the boundary, both directions, in its own time. Needs the content key."""
    from extproc.cli.audit_play import (  # noqa: PLC0415
        Pace,
        nothing_crossed,
        play_conversation,
        play_events,
        print_conversation,
        print_events,
    )

    where = find_configured(config)
    assert where.settings is not None  # noqa: S101 - a configuration was given
    where.record_read("audit.replay", {"exchange": exchange_id[:128], "view": "raw" if raw else "conversation"})
    transcript = _read(where, where.settings, exchange_id)
    pace = Pace.begin(0.0 if no_wait else 1 / speed)
    if not transcript.pieces:
        nothing_crossed(transcript.exchange, as_json=as_json)
    elif raw and as_json:
        print_events(transcript.pieces)
    elif raw:
        play_events(transcript.pieces, pace)
    elif as_json:
        print_conversation(transcript)
    else:
        play_conversation(transcript, pace)
    if not transcript.closed:
        click.echo("the exchange has no recorded end yet; this is what is there so far", err=True)


def _read(where: Where, settings: AuditSettings, exchange_id: str) -> Transcript:
    from extproc.audit.keys.keys import open_keys  # noqa: PLC0415
    from extproc.audit.reading.reader import span_of_exchange  # noqa: PLC0415
    from extproc.audit.reading.replay import read_transcript  # noqa: PLC0415
    from extproc.audit.refusal import AuditRefused  # noqa: PLC0415
    from extproc.core.reasons import ExchangeError  # noqa: PLC0415

    try:
        keys = open_keys(settings)
        with store_failures():
            transcript = read_transcript(where.look_at_evidence(span_of_exchange(exchange_id)), keys, exchange_id)
    except AuditRefused as error:
        click.echo(str(error), err=True)
        sys.exit(EXIT_FINDING)
    except ExchangeError:
        click.echo("the content key does not open: it is another deployment's, or was changed", err=True)
        sys.exit(EXIT_FINDING)
    if transcript is None:
        no_such_exchange(exchange_id)
    return transcript
