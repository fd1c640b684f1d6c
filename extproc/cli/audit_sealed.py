"""`extproc audit open-sealed` and `sealed-key`: card numbers of one exchange, for two people and the custodian's key.

Exit codes: 0 shown; 1 refused (own request, wrong group, unknown or expired request), shredded, or nothing to open;
2 usage, configuration, or it cannot be recorded.
"""

from __future__ import annotations

import functools
import socket
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from extproc.cli.audit_where import EXIT_FINDING, fail, find_where, json_option, store_failures
from extproc.cli.person import mask_reason, said_by_a_person
from extproc.cli.two_people import begin, config_file_option, list_requests, refusals, write_records

if TYPE_CHECKING:
    from collections.abc import Sequence

    from extproc.audit.holdings import Holdings
    from extproc.audit.keys import AuditKeys
    from extproc.audit.open_sealed import Opened
    from extproc.audit.replay import Transcript
    from extproc.audit.two_people import PersonRequest
    from extproc.core.record import Record
    from extproc.edge.settings import Settings

_OTHERWISE = "Nothing is shown without its record; repeat it."


@click.command("sealed-key")
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), required=True, help="The private key's file.")
def sealed_key_command(*, out: Path) -> None:
    """Make the custodian's key pair: FILE (0600) is for the custodian alone, FILE.pub for the service."""
    from extproc.audit.sealed import PUBLIC_SUFFIX, write_custodian_keys  # noqa: PLC0415

    try:
        name = write_custodian_keys(out)
    except OSError as error:
        fail(f"The keys cannot be written: {error.strerror} ({error.filename}). Nothing is overwritten.")
    click.echo(name)
    click.echo(
        f"{out}{PUBLIC_SUFFIX} is `audit.sealed_originals.public_key`; take {out} to the custodian, away from here.",
        err=True,
    )


@click.group("open-sealed")
def open_sealed_command() -> None:
    """See the card numbers of one exchange: one person requests it, another one confirms with the custodian's key."""


@open_sealed_command.command("request")
@click.argument("exchange_id")
@said_by_a_person
@config_file_option
def request_command(*, exchange_id: str, reason: str, token_file: Path | None, token_stdin: bool, config: Path) -> None:
    """Ask for it. Prints the id that another person confirms within 24 hours."""
    from extproc.audit.exchanges import show_exchange  # noqa: PLC0415
    from extproc.audit.open_sealed import OPENING  # noqa: PLC0415
    from extproc.audit.two_people import request_id_of  # noqa: PLC0415
    from extproc.core.record import EventCode  # noqa: PLC0415

    settings, person, said = begin(config, token_file, reason, token_stdin=token_stdin)
    exchange_id = mask_reason(exchange_id[:128])
    where = find_where(config, None)
    where.record_read(OPENING.operation, {"exchange": exchange_id})
    with _log(settings) as (_, write), refusals(OPENING, write, person, exchange_id):
        OPENING.check_person(settings.audit.openers, person)
        OPENING.check_ended(show_exchange(where.look(), exchange_id))
        record = OPENING.record(
            EventCode.SEALED_OPEN_REQUEST, person, exchange_id, source=socket.gethostname(), detail={"reason": said}
        )
        origin = write([record])
    click.echo(request_id_of(origin))
    click.echo("requested; another person confirms it with `extproc audit open-sealed confirm` in 24 hours", err=True)


@open_sealed_command.command("confirm")
@click.argument("request_id")
@said_by_a_person
@click.option(
    "--key",
    "key_file",
    type=click.Path(dir_okay=False, path_type=Path),
    required=True,
    help="The custodian's private key.",
)
@click.option("--direction", type=click.Choice(["to_model", "to_client"]), help="One of them; else what there is.")
@config_file_option
def confirm_command(
    *,
    request_id: str,
    reason: str,
    token_file: Path | None,
    token_stdin: bool,
    key_file: Path,
    direction: str | None,
    config: Path,
) -> None:
    """Confirm another person's request, and print what arrived, byte for byte but for what is never kept."""
    from extproc.audit.open_sealed import OPENING, Opener  # noqa: PLC0415
    from extproc.audit.public_keys import PUBLIC_KEY, load_public_key  # noqa: PLC0415
    from extproc.audit.refusal import AuditRefused  # noqa: PLC0415
    from extproc.audit.sealed import load_private_key  # noqa: PLC0415
    from extproc.core.record import Direction  # noqa: PLC0415

    settings, person, said = begin(config, token_file, reason, token_stdin=token_stdin)
    try:
        key = load_private_key(key_file)
    except AuditRefused as error:
        fail(f"Not opened: {error}")
    request_id = mask_reason(request_id[:64])
    where = find_where(config, None)
    where.record_read(OPENING.operation, {"request": request_id})
    with _log(settings) as (keys, write):
        with refusals(OPENING, write, person, ""):
            OPENING.check_person(settings.audit.openers, person)
            trusted = load_public_key(settings.audit.keys / PUBLIC_KEY)
            request = OPENING.find_request(where.look(), trusted, settings.deployment, request_id)
        with refusals(OPENING, write, person, request.exchange_id):
            OPENING.check_confirmer(settings.audit.openers, request, person, int(time.time() * 1000))
        try:
            with store_failures():
                transcript = _transcript(where.look(), keys, request)
            directions = [Direction(direction)] if direction else [Direction.TO_MODEL, Direction.TO_CLIENT]
            opener = Opener(write, socket.gethostname())
            opened = opener.open(transcript, directions, key, request=request, person=person, reason=said)
        except AuditRefused as error:
            click.echo(f"Not opened: {error}", err=True)
            sys.exit(EXIT_FINDING)
    _show(opened)


@open_sealed_command.command("list")
@json_option
@config_file_option
def list_command(*, as_json: bool, config: Path) -> None:
    """Requests of the last 24 hours."""
    from extproc.audit.open_sealed import OPENING  # noqa: PLC0415

    list_requests(OPENING, config, as_json=as_json)


@contextmanager
def _log(settings: Settings) -> Iterator[tuple[AuditKeys, Callable[[Sequence[Record]], str]]]:
    """The deployment's keys, and what writes records. A log that cannot be read or written ends the command."""
    from extproc.audit.keys import open_keys  # noqa: PLC0415
    from extproc.audit.open_sealed import OPENING  # noqa: PLC0415
    from extproc.audit.refusal import AuditRefused  # noqa: PLC0415
    from extproc.audit.store import StoreFailed  # noqa: PLC0415

    try:
        keys = open_keys(settings.audit)
        yield keys, functools.partial(write_records, settings, keys, OPENING.writer, _OTHERWISE)
    except (AuditRefused, StoreFailed, OSError) as error:
        fail(f"Not done: {error}")


def _transcript(holdings: Holdings, keys: AuditKeys, request: PersonRequest) -> Transcript:
    """Raises `AuditRefused` and `StoreFailed`."""
    from extproc.audit.refusal import AuditRefused  # noqa: PLC0415
    from extproc.audit.replay import read_transcript  # noqa: PLC0415
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
            click.echo(printable(one.text.decode("utf-8", "backslashreplace")))
        else:
            click.echo(one.text, nl=len(opened) > 1)
