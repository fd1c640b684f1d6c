"""`extproc approvals grant`, `refuse`, `revoke`, `review`, `withdraw`: what a person decides, known by a token."""

import json
import socket
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from extproc.approvals.decisions import Asking, Decisions, Verdict
from extproc.cli.approvals_store import NOT_CARRIED_OUT, exit_codes, opened_store, with_id, writer
from extproc.cli.approvals_store import as_machine as _json
from extproc.cli.approvals_view import as_json, bound_to, progress
from extproc.cli.config import config_file_option, settings_or_exit
from extproc.cli.person import known_by_a_token, mask_reason, read_token, said_by_a_person, verify_person
from extproc.core.approval import Approval, ApprovalState, Channel, DecisionRefused, TransitionCode, shown_digest
from extproc.core.identity import UnverifiedToken
from extproc.core.printable import printable_line

_seen = click.option(
    "--seen",
    default="",
    metavar="DIGEST",
    help="As `show` printed it: the decision counts for nothing else. Left out, it counts for what is there now.",
)


def _reasoned(function: Callable[..., None]) -> Callable[..., None]:
    """The options of a step that needs a reason."""
    return with_id(said_by_a_person(_json(config_file_option(function))))


@click.command()
@_reasoned
@_seen
def grant(**options: Any) -> None:
    """Let the held request go on, once."""
    _vote(grant=True, **options)


@click.command()
@_reasoned
@_seen
def refuse(**options: Any) -> None:
    """Refuse the held request."""
    _vote(grant=False, **options)


@click.command()
@_reasoned
def revoke(*, reason: str, **options: Any) -> None:
    """Take a grant back before its (next) use."""
    masked = mask_reason(reason)
    _step(lambda decisions, approval, asking: decisions.revoke(approval.approval_id, asking, masked), **options)


@click.command()
@_reasoned
def review(*, reason: str, **options: Any) -> None:
    """Say what came of looking at an emergency."""
    masked = mask_reason(reason)
    _step(lambda decisions, approval, asking: decisions.review(approval.approval_id, asking, masked), **options)


@click.command()
@with_id
@known_by_a_token
@_json
@config_file_option
def withdraw(**options: Any) -> None:
    """End the wait of your own request."""
    _step(lambda decisions, approval, asking: decisions.withdraw(approval.approval_id, asking), **options)


def _vote(*, grant: bool, reason: str, seen: str, **options: Any) -> None:
    """Without `--seen`, what it counts for is said first: a script that decides unseen leaves a trace of it."""
    masked = mask_reason(reason)

    def step(decisions: Decisions, approval: Approval, asking: Asking) -> Approval:
        if not seen and approval.state is ApprovalState.PENDING:
            click.echo(f"counts for {bound_to(approval)}", err=True)
        verdict = Verdict(grant, masked, seen.strip().lower() or shown_digest(approval))
        return decisions.decide(approval.approval_id, asking, verdict)

    _step(step, **options)


def _step(
    step: Callable[[Decisions, Approval, Asking], Approval],
    *,
    approval_id: str,
    token_file: Path | None,
    token_stdin: bool,
    as_machine: bool,
    config: Path,
) -> None:
    token: UnverifiedToken = read_token(token_file, from_stdin=token_stdin)
    settings = settings_or_exit(config)
    with exit_codes(), opened_store(settings) as store:
        asking = Asking(verify_person(settings, token), Channel.CLI, socket.gethostname(), time.time())
        approval = store.find(approval_id, asking.now)
        if approval is None:
            raise DecisionRefused(TransitionCode.UNKNOWN)
        after = step(Decisions(store, writer(settings, NOT_CARRIED_OUT)), approval, asking)
    if as_machine:
        click.echo(json.dumps(as_json(after, asking.now), indent=2))
    else:
        counted = f" ({progress(after)})" if after.state is ApprovalState.PENDING else ""
        click.echo(printable_line(f"{after.approval_id} {after.state.value}{counted}"))
