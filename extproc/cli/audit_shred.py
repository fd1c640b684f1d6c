"""`extproc audit shred`: two people make one transcript unreadable, in every copy; the log still verifies.

Exit codes: 0 done; 1 refused (own request, wrong group, unknown or expired request, exchange not over); 2 usage,
configuration, or not done to the end: confirm again.
"""

from __future__ import annotations

import functools
import json
import socket
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import click

from extproc.cli.audit_where import EXIT_FINDING, EXIT_INPUT, fail, find_where, json_option
from extproc.cli.person import mask_reason, read_token, said_by_a_person, verify_person

if TYPE_CHECKING:
    from extproc.audit.shred import Shredder
    from extproc.core.identity import Principal
    from extproc.core.record import Record
    from extproc.edge.settings import Settings

_config = click.option(
    "--config",
    type=click.Path(dir_okay=False, path_type=Path),
    envvar="EXTPROC_CONFIG",
    required=True,
    help="The service's config.yaml. [env: EXTPROC_CONFIG]",
)


@click.group("shred")
def shred_command() -> None:
    """Make one transcript unreadable: one person requests it, another one confirms."""


@shred_command.command("request")
@click.argument("exchange_id")
@said_by_a_person
@_config
def request_command(*, exchange_id: str, reason: str, token_file: Path | None, token_stdin: bool, config: Path) -> None:
    """Ask for it. Prints the id that another person confirms within 24 hours."""
    from extproc.audit.exchanges import show_exchange  # noqa: PLC0415
    from extproc.audit.shred_request import check_ended, check_shredder, request_id_of, shred_record  # noqa: PLC0415
    from extproc.core.record import EventCode  # noqa: PLC0415

    settings, person, said = _begin(config, token_file, reason, token_stdin=token_stdin)
    exchange_id = mask_reason(exchange_id[:128])
    find_where(config, None).record_read("audit.shred", {"exchange": exchange_id})
    with _shredder(settings) as shredder, _refusals(shredder, person, exchange_id):
        check_shredder(settings.audit, person)
        check_ended(show_exchange(shredder.look(), exchange_id))
        detail: dict[str, str | int | float | bool] = {"reason": said}
        origin = shredder.write(
            [shred_record(EventCode.ADMIN_SHRED_REQUEST, person, exchange_id, source=shredder.source, detail=detail)]
        )
    click.echo(request_id_of(origin))
    click.echo("requested; another person confirms it with `extproc audit shred confirm` within 24 hours", err=True)


@shred_command.command("confirm")
@click.argument("request_id")
@said_by_a_person
@_config
def confirm_command(*, request_id: str, reason: str, token_file: Path | None, token_stdin: bool, config: Path) -> None:
    """Confirm another person's request, and destroy the key. Repeat it when it was not done to the end."""
    from extproc.audit.public_keys import PUBLIC_KEY, load_public_key  # noqa: PLC0415
    from extproc.audit.shred_request import check_shredder, find_request  # noqa: PLC0415

    settings, person, said = _begin(config, token_file, reason, token_stdin=token_stdin)
    request_id = mask_reason(request_id[:64])
    find_where(config, None).record_read("audit.shred", {"request": request_id})
    with _shredder(settings) as shredder:
        with _refusals(shredder, person, ""):
            check_shredder(settings.audit, person)
            key = load_public_key(settings.audit.keys / PUBLIC_KEY)
            request = find_request(shredder.look(), key, settings.deployment, request_id)
        with _refusals(shredder, person, request.exchange_id):
            count = shredder.shred(request, person, said, int(time.time() * 1000))
    click.echo(f"{request.exchange_id} shredded" if count else f"{request.exchange_id} had no key that was left")


@shred_command.command("list")
@json_option
@_config
def list_command(*, as_json: bool, config: Path) -> None:
    """Requests of the last 24 hours."""
    from extproc.audit.public_keys import PUBLIC_KEY, load_public_key  # noqa: PLC0415
    from extproc.audit.reader import time_text  # noqa: PLC0415
    from extproc.audit.refusal import AuditRefused  # noqa: PLC0415
    from extproc.audit.shred_request import open_requests  # noqa: PLC0415
    from extproc.core.printable import printable_line  # noqa: PLC0415

    where = find_where(config, None)
    assert where.settings is not None  # noqa: S101 - a configuration was given
    where.record_read("audit.shred.list", {})
    try:
        key = load_public_key(where.settings.keys / PUBLIC_KEY)
    except AuditRefused as error:
        fail(str(error))
    for request in open_requests(where.look(), key, where.deployment, int(time.time() * 1000)):
        row = {
            "request": request.id,
            "time": time_text(request.asked_ms),
            "exchange": request.exchange_id,
            "requester": request.requester_name or request.requester_uid,
            "requester_uid": request.requester_uid,
            "reason": request.reason,
        }
        if as_json:
            click.echo(json.dumps(row))
        else:
            words = (row[name] for name in ("request", "time", "exchange", "requester", "reason"))
            click.echo("  ".join(map(printable_line, words)))


def _begin(config: Path, token_file: Path | None, reason: str, *, token_stdin: bool) -> tuple[Settings, Principal, str]:
    """The settings, who it is, and the reason as it may be kept. Anything wrong ends the command."""
    from extproc.cli.config import settings_or_exit  # noqa: PLC0415
    from extproc.core.approval import DecisionRefused, checked_reason  # noqa: PLC0415
    from extproc.core.reasons import REFUSALS, Malformed, Unavailable, Unverified  # noqa: PLC0415

    token = read_token(token_file, from_stdin=token_stdin)
    settings = settings_or_exit(config)
    try:
        return settings, verify_person(settings, token), checked_reason(mask_reason(reason))
    except DecisionRefused as refused:
        _leave(refused.sentence, EXIT_FINDING)
    except (Malformed, Unverified) as error:
        _leave(REFUSALS[error.reason].sentence, EXIT_FINDING)
    except Unavailable as error:
        _leave(REFUSALS[error.reason].sentence, EXIT_INPUT)


@contextmanager
def _shredder(settings: Settings) -> Iterator[Shredder]:
    from extproc.approvals.store import open_store as open_approvals  # noqa: PLC0415
    from extproc.audit.keys import open_keys  # noqa: PLC0415
    from extproc.audit.refusal import AuditRefused  # noqa: PLC0415
    from extproc.audit.seal import open_bytes, seal_bytes  # noqa: PLC0415
    from extproc.audit.shred import Shredder, ShredFailed  # noqa: PLC0415
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
                functools.partial(_write, settings, keys),
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


def _write(settings: Settings, keys: object, records: Sequence[Record]) -> str:
    """Durable, or nothing is done."""
    from extproc.audit.journal import write_once  # noqa: PLC0415
    from extproc.audit.refusal import AuditRefused  # noqa: PLC0415
    from extproc.audit.shred_request import WRITER  # noqa: PLC0415
    from extproc.core.reasons import Unavailable  # noqa: PLC0415

    try:
        return write_once(settings.audit, keys, WRITER, records)  # type: ignore[arg-type]
    except (AuditRefused, Unavailable, OSError):
        fail("The step cannot be recorded. Nothing is destroyed without its record; repeat it.")


@contextmanager
def _refusals(shredder: Shredder, person: Principal, exchange_id: str) -> Iterator[None]:
    """A try without the right to it is evidence as well (PCI DSS 10.2.1.4)."""
    from extproc.audit.shred_request import ShredRefused, shred_record  # noqa: PLC0415
    from extproc.core.record import EventCode, Outcome  # noqa: PLC0415

    try:
        yield
    except ShredRefused as refused:
        detail: dict[str, str | int | float | bool] = {"refused": refused.code.value}
        shredder.write(
            [
                shred_record(
                    EventCode.ADMIN_SHRED_REFUSED,
                    person,
                    exchange_id,
                    source=shredder.source,
                    detail=detail,
                    status=Outcome.REFUSED,
                )
            ]
        )
        _leave(refused.sentence, EXIT_FINDING)


def _leave(sentence: str, code: int) -> NoReturn:
    click.echo(sentence, err=True)
    sys.exit(code)
