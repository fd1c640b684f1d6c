"""`extproc approvals`: who waits, what for, and the decision.

Exit codes: 0 done; 1 refused (own request, wrong group, not pending, ...); 2 usage, configuration, an unknown approval,
a token or a reason that is not accepted, or a store or an audit log that cannot be reached.
"""

import json
import socket
import time
from pathlib import Path

import click
from rich.console import Console

from extproc.approvals.decisions import Asking, Decisions
from extproc.approvals.store import ApprovalQuery, ApprovalStore
from extproc.cli import approvals_deciding, approvals_migrate
from extproc.cli.approvals_store import NOT_SHOWN, exit_codes, opened_store, with_id, writer
from extproc.cli.approvals_store import as_machine as _json
from extproc.cli.approvals_view import as_json, history_json, print_list, print_one
from extproc.cli.config import config_file_option, settings_or_exit
from extproc.cli.notifications import command as notifications
from extproc.cli.person import account, known_by_a_token, read_token, verify_person
from extproc.core.approval import Approval, ApprovalState, Channel
from extproc.core.principal import Principal

MAX_LISTED = 1000
HISTORY = 5
"""Earlier approvals of the same requester that `show` adds."""
_ANY = "all"


@click.group("approvals")
def command() -> None:
    """Decide held requests."""


command.add_command(notifications)
command.add_command(approvals_migrate.command)
for each in ("grant", "refuse", "revoke", "review", "withdraw"):
    command.add_command(getattr(approvals_deciding, each))


@command.command("list")
@click.option(
    "--state",
    type=click.Choice([_ANY, *(state.value for state in ApprovalState)]),
    default=ApprovalState.PENDING.value,
    show_default=True,
)
@click.option("--rule", default="", help="Of this rule only.")
@click.option("--requester", default="", help="Of this person only: a uid or name, or a part of one.")
@click.option("--mine", is_flag=True, help="What waits for your vote; who you are says a token.")
@known_by_a_token
@_json
@config_file_option
def list_(
    *,
    state: str,
    rule: str,
    requester: str,
    mine: bool,
    token_file: Path | None,
    token_stdin: bool,
    as_machine: bool,
    config: Path,
) -> None:
    """Show the newest approvals, newest first."""
    if mine and state not in {_ANY, ApprovalState.PENDING}:
        raise click.UsageError("`--mine` is what waits for a vote: leave `--state` out")
    token = read_token(token_file, from_stdin=token_stdin) if mine else None
    settings, now = settings_or_exit(config), time.time()
    with exit_codes(), opened_store(settings) as store:
        query = ApprovalQuery(
            states=() if state == _ANY else (ApprovalState(state),), rule=rule, text=requester, limit=MAX_LISTED
        )
        if token is not None:
            person = verify_person(settings, token)
            # Nobody without groups decides anything; an empty filter would find everything.
            groups = person.groups or ("",)
            query = ApprovalQuery(
                states=(ApprovalState.PENDING,),
                decider_groups=groups,
                decider_uid=person.uid,
                rule=rule,
                text=requester,
                limit=MAX_LISTED,
            )
        approvals = [each for each in store.search(query, now) if _is_of(each, requester)]
    if as_machine:
        click.echo(json.dumps([as_json(approval, now) for approval in approvals], indent=2))
    else:
        print_list(Console(), approvals, now)


def _is_of(approval: Approval, requester: str) -> bool:
    """Whether the text that was found stands in what names the requester."""
    wanted = requester.casefold()
    return any(wanted in said.casefold() for said in (approval.requester_uid, approval.requester_name))


@command.command()
@with_id
@_json
@config_file_option
def show(*, approval_id: str, as_machine: bool, config: Path) -> None:
    """Show one approval with its masked request. That you read it is recorded first."""
    settings, now = settings_or_exit(config), time.time()
    reader = Asking(Principal("os", account(), account(), ()), Channel.CLI, socket.gethostname(), now)
    with exit_codes(), opened_store(settings) as store:
        approval, turns = Decisions(store, writer(settings, NOT_SHOWN)).read_request(approval_id, reader)
        history = _history(store, approval, now)
    if as_machine:
        said = [{"role": turn.role, "text": turn.text} for turn in turns]
        document = as_json(approval, now) | {"history": history_json(history), "request": said}
        click.echo(json.dumps(document, indent=2))
    else:
        print_one(Console(), approval, turns, now, history)


def _history(store: ApprovalStore, approval: Approval, now: float) -> list[Approval]:
    """What the same person had asked for before, the newest first."""
    query = ApprovalQuery(
        requester_uid=approval.requester_uid, before=(approval.created_at, approval.approval_id), limit=HISTORY
    )
    return store.search(query, now)
