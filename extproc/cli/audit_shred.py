"""`extproc audit shred`: two people make one transcript unreadable, in every copy; the log still verifies.

Exit codes: 0 done; 1 refused (own request, wrong group, unknown or expired request, exchange not over); 2 usage,
configuration, or not done to the end: confirm again.
"""

from __future__ import annotations

import functools
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from extproc.cli.audit_where import fail, find_where, json_option
from extproc.cli.person import mask_reason, said_by_a_person
from extproc.cli.two_people import begin, config_file_option, list_requests, refusals, write_records

if TYPE_CHECKING:
    from extproc.audit.shred import Shredder
    from extproc.edge.settings import Settings


@click.group("shred")
def shred_command() -> None:
    """Make one transcript unreadable: one person requests it, another one confirms."""


@shred_command.command("request")
@click.argument("exchange_id")
@said_by_a_person
@config_file_option
def request_command(*, exchange_id: str, reason: str, token_file: Path | None, token_stdin: bool, config: Path) -> None:
    """Ask for it. Prints the id that another person confirms within 24 hours."""
    from extproc.audit.exchanges import show_exchange  # noqa: PLC0415
    from extproc.audit.shred import check_shreddable  # noqa: PLC0415
    from extproc.audit.shred_request import SHRED  # noqa: PLC0415
    from extproc.audit.two_people import request_id_of  # noqa: PLC0415
    from extproc.core.record import EventCode  # noqa: PLC0415

    settings, person, said = begin(config, token_file, reason, token_stdin=token_stdin)
    exchange_id = mask_reason(exchange_id[:128])
    find_where(config, None).record_read("audit.shred", {"exchange": exchange_id})
    with _shredder(settings) as shredder, refusals(SHRED, shredder.write, person, exchange_id):
        SHRED.check_person(settings.audit.shredders, person)
        check_shreddable(show_exchange(shredder.look(), exchange_id))
        detail: dict[str, str | int | float | bool] = {"reason": said}
        origin = shredder.write(
            [SHRED.record(EventCode.ADMIN_SHRED_REQUEST, person, exchange_id, source=shredder.source, detail=detail)]
        )
    click.echo(request_id_of(origin))
    click.echo("requested; another person confirms it with `extproc audit shred confirm` within 24 hours", err=True)


@shred_command.command("confirm")
@click.argument("request_id")
@said_by_a_person
@config_file_option
def confirm_command(*, request_id: str, reason: str, token_file: Path | None, token_stdin: bool, config: Path) -> None:
    """Confirm another person's request, and destroy the key. Repeat it when it was not done to the end."""
    from extproc.audit.public_keys import PUBLIC_KEY, load_public_key  # noqa: PLC0415
    from extproc.audit.shred_request import SHRED  # noqa: PLC0415

    settings, person, said = begin(config, token_file, reason, token_stdin=token_stdin)
    request_id = mask_reason(request_id[:64])
    find_where(config, None).record_read("audit.shred", {"request": request_id})
    with _shredder(settings) as shredder:
        with refusals(SHRED, shredder.write, person, ""):
            SHRED.check_person(settings.audit.shredders, person)
            key = load_public_key(settings.audit.keys / PUBLIC_KEY)
            request = SHRED.find_request(shredder.look(), key, settings.deployment, request_id)
        with refusals(SHRED, shredder.write, person, request.exchange_id):
            count = shredder.shred(request, person, said, int(time.time() * 1000))
    click.echo(f"{request.exchange_id} shredded" if count else f"{request.exchange_id} was shredded already")


@shred_command.command("list")
@json_option
@config_file_option
def list_command(*, as_json: bool, config: Path) -> None:
    """Requests of the last 24 hours."""
    from extproc.audit.shred_request import SHRED  # noqa: PLC0415

    list_requests(SHRED, config, as_json=as_json)


@contextmanager
def _shredder(settings: Settings) -> Iterator[Shredder]:
    from extproc.approvals.store import open_store as open_approvals  # noqa: PLC0415
    from extproc.audit.keys import open_keys  # noqa: PLC0415
    from extproc.audit.refusal import AuditRefused  # noqa: PLC0415
    from extproc.audit.seal import open_bytes, seal_bytes  # noqa: PLC0415
    from extproc.audit.shred import Shredder, ShredFailed  # noqa: PLC0415
    from extproc.audit.shred_request import SHRED  # noqa: PLC0415
    from extproc.audit.store import StoreFailed, open_store  # noqa: PLC0415
    from extproc.core.reasons import Unavailable  # noqa: PLC0415

    try:
        keys = open_keys(settings.audit)
        approvals = open_approvals(
            settings.approvals, functools.partial(seal_bytes, keys), functools.partial(open_bytes, keys)
        )
        try:
            yield Shredder(
                settings.audit,
                open_store(settings.audit),
                functools.partial(
                    write_records, settings, keys, SHRED.writer, "Nothing is destroyed without its record; repeat it."
                ),
                approvals.erase_previews,
                socket.gethostname(),
            )
        finally:
            approvals.close()
    except ShredFailed as failed:
        fail(f"Recorded, and not done to the end ({failed}). Confirm again.")
    except (AuditRefused, StoreFailed, OSError) as error:
        fail(f"Not done: {error}")
    except Unavailable:
        fail("Not done: the approval store cannot be reached.")
