"""`extproc audit open-sealed` and `sealed-key`: card numbers of one exchange, for two people and the custodian's key.

Exit codes: 0 shown; 1 the person may not (own request, wrong group), it was shredded, or does not open as stored; 2
wrong input (unknown or expired request, another key, nothing to open), configuration, or it cannot be recorded.
"""

from __future__ import annotations

import socket
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import click

from extproc.cli.audit_where import fail, find_where, store_failures
from extproc.cli.config import EXIT_FINDING
from extproc.cli.output import say
from extproc.cli.two_people import Step, ask, find_asked, listing, refusals, step_of, writing

if TYPE_CHECKING:
    from collections.abc import Sequence

    from extproc.audit.keys.keys import AuditKeys
    from extproc.audit.reading.holdings import Holdings
    from extproc.audit.reading.replay import Transcript
    from extproc.audit.retention.open_sealed import Opened
    from extproc.audit.retention.two_people import PersonRequest, TwoPeople

_OTHERWISE = "Nothing is shown without its record; repeat it."


def _act() -> TwoPeople:
    from extproc.audit.retention.open_sealed import OPENING  # noqa: PLC0415

    return OPENING


@click.command("sealed-key")
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), required=True, help="The private key's file.")
def sealed_key_command(*, out: Path) -> None:
    """Make the custodian's key pair: FILE (0600) is for the custodian alone, FILE.pub for the service."""
    from extproc.audit.retention.sealed import PUBLIC_SUFFIX, write_custodian_keys  # noqa: PLC0415

    try:
        name = write_custodian_keys(out)
    except OSError as error:
        # Where a name is taken already, `filename` is the temporary file and `filename2` the name.
        place = error.filename2 or error.filename
        fail(f"The keys cannot be written: {error.strerror} ({place}). Nothing is overwritten.")
    say(name)
    click.echo(
        f"{out}{PUBLIC_SUFFIX} is `audit.sealed_originals.public_key`; take {out} to the custodian, away from here.",
        err=True,
    )


@click.group("open-sealed")
def open_sealed_command() -> None:
    """See the card numbers of one exchange: one person requests it, another one confirms with the custodian's key."""


@open_sealed_command.command("request")
@step_of("EXCHANGE_ID")
def request_command(step: Step) -> None:
    """Ask for it. Prints the id that another person confirms within 24 hours."""
    act = _act()
    ask(act, step, step.settings.audit.openers, act.check_ended, _OTHERWISE)


@open_sealed_command.command("confirm")
@step_of("REQUEST_ID")
@click.option(
    "--key",
    "key_file",
    type=click.Path(dir_okay=False, path_type=Path),
    required=True,
    help="The custodian's private key.",
)
@click.option("--direction", type=click.Choice(["to_model", "to_client"]), help="One of them; else what there is.")
def confirm_command(step: Step, *, key_file: Path, direction: str | None) -> None:
    """Confirm another person's request, and print what arrived, byte for byte but for what is never kept."""
    from extproc.audit.refusal import AuditRefused  # noqa: PLC0415
    from extproc.audit.retention.open_sealed import NothingToOpen, Opener  # noqa: PLC0415
    from extproc.audit.retention.sealed import load_private_key  # noqa: PLC0415
    from extproc.core.record import Direction  # noqa: PLC0415

    try:
        key = load_private_key(key_file)
    except AuditRefused as error:
        fail(f"Not opened: {error}")
    act, openers = _act(), step.settings.audit.openers
    where = find_where(step.config, None)
    where.record_read(act.operation, {"request": step.target})
    with writing(act, step.settings, _OTHERWISE) as (keys, write):
        request = find_asked(act, step, openers, write, where.look)
        with refusals(act, write, step.person, request.exchange_id):
            act.check_confirmer(openers, request, step.person, int(time.time() * 1000))
        try:
            with store_failures():
                transcript = _transcript(where.look(), keys, request)
            directions = [Direction(direction)] if direction else [Direction.TO_MODEL, Direction.TO_CLIENT]
            opener = Opener(write, socket.gethostname())
            opened = opener.open(transcript, directions, key, request=request, person=step.person, reason=step.reason)
        except NothingToOpen as nothing:
            fail(f"Not opened: {nothing}")
        except AuditRefused as error:
            click.echo(f"Not opened: {error}", err=True)
            sys.exit(EXIT_FINDING)
    _show(opened)


open_sealed_command.add_command(listing(_act))


def _transcript(holdings: Holdings, keys: AuditKeys, request: PersonRequest) -> Transcript:
    """Raises `AuditRefused` and `StoreFailed`."""
    from extproc.audit.reading.replay import read_transcript  # noqa: PLC0415
    from extproc.audit.refusal import AuditRefused  # noqa: PLC0415
    from extproc.core.reasons import ExchangeError  # noqa: PLC0415

    try:
        transcript = read_transcript(holdings, keys, request.exchange_id)
    except ExchangeError as error:
        raise AuditRefused("the content key does not open: it is another deployment's, or was changed") from error
    if transcript is None:
        raise AuditRefused("there is no such exchange")
    return transcript


def _show(opened: Sequence[Opened]) -> None:
    """To a terminal as text that steers nothing; anywhere else the bytes."""
    from extproc.core.printable import printable  # noqa: PLC0415

    for one in opened:
        if len(opened) > 1:
            click.echo(f"{one.direction}:", err=True)
        if sys.stdout.isatty():
            say(printable(one.text.decode("utf-8", "backslashreplace")))
        else:
            say(one.text, nl=len(opened) > 1)
