"""`extproc approvals notifications`: what people could not be told, and to try once more.

Exit codes: 0 done; 1 there is no such dead letter; 2 usage, configuration, or a store that cannot be reached.
"""

import json
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from extproc.cli.config import EXIT_FINDING, EXIT_INPUT, config_file_option, settings_or_exit
from extproc.core.printable import printable_line

if TYPE_CHECKING:
    from extproc.approvals.notify.deliveries import Deliveries, Delivery
    from extproc.edge.settings import Settings

MAX_LISTED = 1000
_STATES = ("waiting", "dead", "sent", "moot")
_UNTOLD = "untold"
_HEADINGS = ("ID", "CHANNEL", "WHAT", "STATE", "APPROVAL", "HAPPENED (UTC)", "ATTEMPTS", "LAST FAILURE")


@click.group("notifications")
def command() -> None:
    """Show what people were told of approvals, and tell once more what could not be told."""


@command.command("list")
@click.option(
    "--state",
    type=click.Choice([_UNTOLD, "all", *_STATES]),
    default=_UNTOLD,
    show_default=True,
    help="`untold`: waiting and dead. `moot`: decided before it could be told.",
)
@click.option("--json", "as_machine", is_flag=True, help="For machines.")
@config_file_option
def list_(*, state: str, as_machine: bool, config: Path) -> None:
    """Show the newest notifications, newest first, one line for each channel."""
    from extproc.approvals.notify.deliveries import DeliveryState  # noqa: PLC0415

    groups = {_UNTOLD: ("waiting", "dead"), "all": _STATES}
    states = [DeliveryState(each) for each in groups.get(state, (state,))]
    with _deliveries(settings_or_exit(config)) as deliveries:
        found = deliveries.search(states, MAX_LISTED)
    if as_machine:
        click.echo(json.dumps([_as_json(delivery) for delivery in found], indent=2))
    else:
        _print(found, state)


@command.command()
@click.argument("notification_id", metavar="[ID]", required=False)
@click.option("--channel", metavar="NAME", help="Only of this channel.")
@click.option("--all", "every", is_flag=True, help="Every dead letter.")
@config_file_option
def retry(*, notification_id: str | None, channel: str | None, every: bool, config: Path) -> None:
    """Try dead letters once more, for a day; recorded first. The console sends them at once."""
    from extproc.approvals.notify.deliveries import DeliveryState  # noqa: PLC0415

    if every == (notification_id is not None):
        raise click.UsageError(
            "give the ID of a notification, or `--all`; `extproc approvals notifications list` has it"
        )
    settings = settings_or_exit(config)
    revived, now = 0, time.time()
    with _deliveries(settings) as deliveries:
        while found := deliveries.search([DeliveryState.DEAD], MAX_LISTED):
            wanted = [
                each
                for each in found
                if notification_id in {None, each.notification.notification_id} and channel in {None, each.channel}
            ]
            done = _retry(settings, deliveries, wanted, now) if wanted else 0
            revived += done
            if not done or len(found) < MAX_LISTED:
                break
    if not revived:
        click.echo("There are no dead letters." if every else "There is no such dead letter.", err=True)
        sys.exit(EXIT_FINDING)
    click.echo(f"{revived} to be told again.")


def _retry(settings: "Settings", deliveries: "Deliveries", wanted: "list[Delivery]", now: float) -> int:
    """How many are told again, recorded first; of what the store then keeps from it there is a second record.

    Where that is not durable the command ends. Raises `Unavailable`.
    """
    from extproc.approvals.notify.deliveries import described  # noqa: PLC0415
    from extproc.cli.acts import FailureNotRecorded, NotRecorded, record_act, record_failure  # noqa: PLC0415
    from extproc.core.reasons import Unavailable  # noqa: PLC0415
    from extproc.core.record import EventCode  # noqa: PLC0415

    code, operation, revived = EventCode.ADMIN_NOTIFY_RETRY, "approvals.notifications.retry", 0
    try:
        record_act(settings, code, operation, {**described(wanted)})
        for at, each in enumerate(wanted):
            try:
                revived += deliveries.retry(each.notification.notification_id, each.channel, now)
            except Unavailable as error:
                record_failure(settings, code, operation, {**described(wanted[at:])}, error.reason)
                raise
    except FailureNotRecorded as error:
        click.echo(
            f"Of {len(wanted)} only {revived} are told again, and that could not be recorded ({error}); say so in your "
            "change records.",
            err=True,
        )
        sys.exit(EXIT_INPUT)
    except NotRecorded as error:
        click.echo(f"Nothing more is told again, because that cannot be recorded ({error}).", err=True)
        sys.exit(EXIT_INPUT)
    return revived


@contextmanager
def _deliveries(settings: "Settings") -> "Iterator[Deliveries]":
    from extproc.approvals.database import open_database  # noqa: PLC0415
    from extproc.approvals.notify.deliveries import Deliveries  # noqa: PLC0415
    from extproc.approvals.revisions import Unusable  # noqa: PLC0415
    from extproc.core.reasons import REFUSALS, Unavailable  # noqa: PLC0415

    try:
        database = open_database(settings.approvals.database, settings.approvals.migrate)
        try:
            yield Deliveries(database)
        finally:
            database.close()
    except Unavailable as error:
        sentence = error.sentence if isinstance(error, Unusable) else REFUSALS[error.reason].sentence
        click.echo(sentence, err=True)
        sys.exit(EXIT_INPUT)


def _as_json(delivery: "Delivery") -> dict[str, Any]:
    happened = delivery.notification
    return {
        "id": happened.notification_id,
        "channel": delivery.channel,
        "event": happened.event.value,
        "state": delivery.state.value,
        "approval_id": happened.approval_id,
        "approval_state": happened.state,
        "at": happened.at,
        "attempts": delivery.attempts,
        "failure": delivery.failure,
        "due_at": delivery.due_at,
        "gives_up_at": delivery.gives_up_at,
        "ended_at": delivery.ended_at,
    }


def _print(found: "list[Delivery]", state: str) -> None:
    from extproc.cli.columns import align  # noqa: PLC0415

    if not found:
        click.echo("Everything was told." if state == _UNTOLD else "No notifications in that state.")
        return
    for line in align([_HEADINGS, *map(_row, found)]):
        click.echo(line)


def _row(delivery: "Delivery") -> tuple[str, ...]:
    happened = delivery.notification
    cells = (
        happened.notification_id,
        delivery.channel,
        happened.event.value,
        delivery.state.value,
        happened.approval_id,
        time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(happened.at)),
        str(delivery.attempts),
        delivery.failure or "-",
    )
    return tuple(map(printable_line, cells))
