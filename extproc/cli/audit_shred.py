"""`extproc audit shred`: two people make one transcript unreadable, in every copy; the log still verifies.

Exit codes: 0 done; 1 the person may not (own request, wrong group), or the key is gone and no record tells why; 2 wrong
input (unknown or expired request, unknown exchange or one that is not over), configuration, or not done to the end:
confirm again.
"""

from __future__ import annotations

import functools
import socket
import time
from typing import TYPE_CHECKING

import click

from extproc.cli.audit_destroy import destroying
from extproc.cli.audit_where import find_where
from extproc.cli.output import say
from extproc.cli.two_people import Step, ask, find_asked, listing, refusals, step_of, write_records

if TYPE_CHECKING:
    from extproc.audit.retention.two_people import TwoPeople

_OTHERWISE = "Nothing is destroyed without its record; repeat it."


def _act() -> TwoPeople:
    from extproc.audit.retention.shred_request import SHRED  # noqa: PLC0415

    return SHRED


@click.group("shred")
def shred_command() -> None:
    """Make one transcript unreadable: one person requests it, another one confirms."""


@shred_command.command("request")
@step_of("EXCHANGE_ID")
def request_command(step: Step) -> None:
    """Ask for it. Prints the id that another person confirms within 24 hours."""
    from extproc.audit.retention.shred import check_shreddable  # noqa: PLC0415

    ask(_act(), step, step.settings.audit.shredders, check_shreddable, _OTHERWISE)


@shred_command.command("confirm")
@step_of("REQUEST_ID")
def confirm_command(step: Step) -> None:
    """Confirm another person's request, and destroy the key. Repeat it when it was not done to the end."""
    from extproc.audit.retention.shred import Shredder  # noqa: PLC0415
    from extproc.audit.stores.store import open_store  # noqa: PLC0415

    act, settings = _act(), step.settings
    find_where(step.config, None).record_read(act.operation, {"request": step.target})
    with destroying(settings, "Confirm again.") as (keys, approvals):
        write = functools.partial(write_records, settings, keys, act.writer, _OTHERWISE)
        shredder = Shredder(
            settings.audit, open_store(settings.audit), write, approvals.erase_previews, socket.gethostname()
        )
        request = find_asked(act, step, settings.audit.shredders, write, shredder.look)
        with refusals(act, write, step.person, request.exchange_id):
            count = shredder.shred(request, step.person, step.reason, int(time.time() * 1000))
    say(f"{request.exchange_id} shredded" if count else f"{request.exchange_id} was shredded already")


shred_command.add_command(listing(_act))
