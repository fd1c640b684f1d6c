"""What `extproc audit shred` and `extproc audit open-sealed` share: who it is, what was asked, the records of both."""

from __future__ import annotations

import json
import socket
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import click

from extproc.cli.audit_where import EXIT_FINDING, EXIT_INPUT, fail, find_where
from extproc.cli.person import mask_reason, read_token, verify_person

if TYPE_CHECKING:
    from extproc.audit.keys import AuditKeys
    from extproc.audit.two_people import TwoPeople
    from extproc.core.identity import Principal
    from extproc.core.record import Record
    from extproc.edge.settings import Settings

config_file_option = click.option(
    "--config",
    type=click.Path(dir_okay=False, path_type=Path),
    envvar="EXTPROC_CONFIG",
    required=True,
    help="The service's config.yaml. [env: EXTPROC_CONFIG]",
)


def begin(config: Path, token_file: Path | None, reason: str, *, token_stdin: bool) -> tuple[Settings, Principal, str]:
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


def write_records(settings: Settings, keys: AuditKeys, writer: str, otherwise: str, records: Sequence[Record]) -> str:
    """The origin of the records, once they are durable. When they cannot be, the command ends with `otherwise`."""
    from extproc.audit.journal import write_once  # noqa: PLC0415
    from extproc.audit.refusal import AuditRefused  # noqa: PLC0415
    from extproc.core.reasons import Unavailable  # noqa: PLC0415

    try:
        return write_once(settings.audit, keys, writer, records)
    except (AuditRefused, Unavailable, OSError):
        fail(f"The step cannot be recorded. {otherwise}")


@contextmanager
def refusals(
    act: TwoPeople, write: Callable[[Sequence[Record]], str], person: Principal, exchange_id: str
) -> Iterator[None]:
    """A try without the right to it is evidence as well (PCI DSS 10.2.1.4)."""
    from extproc.audit.two_people import RequestRefused  # noqa: PLC0415
    from extproc.core.record import Outcome  # noqa: PLC0415

    try:
        yield
    except RequestRefused as refused:
        write(
            [
                act.record(
                    act.refused,
                    person,
                    exchange_id,
                    source=socket.gethostname(),
                    detail={"refused": refused.code.value},
                    status=Outcome.REFUSED,
                )
            ]
        )
        _leave(refused.sentence, EXIT_FINDING)


def list_requests(act: TwoPeople, config: Path, *, as_json: bool) -> None:
    """Those of the last 24 hours; the reading is recorded first."""
    from extproc.audit.public_keys import PUBLIC_KEY, load_public_key  # noqa: PLC0415
    from extproc.audit.reader import time_text  # noqa: PLC0415
    from extproc.audit.refusal import AuditRefused  # noqa: PLC0415
    from extproc.core.printable import printable_line  # noqa: PLC0415

    where = find_where(config, None)
    assert where.settings is not None  # noqa: S101 - a configuration was given
    where.record_read(f"{act.operation}.list", {})
    try:
        key = load_public_key(where.settings.keys / PUBLIC_KEY)
    except AuditRefused as error:
        fail(str(error))
    for request in act.open_requests(where.look(), key, where.deployment, int(time.time() * 1000)):
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


def _leave(sentence: str, code: int) -> NoReturn:
    click.echo(sentence, err=True)
    sys.exit(code)
