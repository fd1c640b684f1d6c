"""`extproc approvals`: who waits, what for, and the decision.

Exit codes: 0 done; 1 refused (own request, wrong group, not pending); 2 usage, configuration, an unknown approval, a
token or a reason that is not accepted, or a store or an audit log that cannot be reached.
"""

import functools
import json
import os
import socket
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NoReturn

import click
from rich.console import Console

from extproc.approvals.conversation import read_conversation
from extproc.approvals.decisions import Verdict, decide_recorded
from extproc.approvals.store import ApprovalQuery, ApprovalStore, open_store
from extproc.audit.keys.keys import open_keys
from extproc.audit.refusal import AuditRefused
from extproc.cli.approvals_view import as_json, print_list, print_one
from extproc.cli.config import EXIT_FINDING, EXIT_INPUT, config_file_option, settings_or_exit
from extproc.cli.notifications import command as notifications
from extproc.cli.person import mask_reason, read_token, said_by_a_person, verify_person
from extproc.core.approval import SENTENCES, ApprovalState, DecisionRefused, TransitionCode
from extproc.core.reasons import REFUSALS, Malformed, Reason, Unavailable, Unverified
from extproc.core.record import Record
from extproc.edge.settings import Settings

MAX_LISTED = 1000
_ANY = "all"
_WRONG_INPUT = {
    TransitionCode.UNKNOWN,
    TransitionCode.REASON_EMPTY,
    TransitionCode.REASON_TOO_LONG,
    TransitionCode.REASON_UNPRINTABLE,
}
_json = click.option("--json", "as_machine", is_flag=True, help="For machines.")


@click.group("approvals")
def command() -> None:
    """Decide held requests."""


command.add_command(notifications)


@command.command("list")
@click.option(
    "--state",
    type=click.Choice([_ANY, *(state.value for state in ApprovalState)]),
    default=ApprovalState.PENDING.value,
    show_default=True,
)
@_json
@config_file_option
def list_(*, state: str, as_machine: bool, config: Path) -> None:
    """Show the newest approvals, newest first."""
    states = () if state == _ANY else (ApprovalState(state),)
    now = time.time()
    with _exit_codes(), _store(settings_or_exit(config)) as store:
        approvals = store.search(ApprovalQuery(states=states, limit=MAX_LISTED), now)
    if as_machine:
        click.echo(json.dumps([as_json(approval, now) for approval in approvals], indent=2))
    else:
        print_list(Console(), approvals, now)


@command.command()
@click.argument("approval_id", metavar="ID")
@_json
@config_file_option
def show(*, approval_id: str, as_machine: bool, config: Path) -> None:
    """Show one approval with its masked request."""
    now = time.time()
    with _exit_codes(), _store(settings_or_exit(config)) as store:
        approval, preview = store.find(approval_id, now), store.read_preview(approval_id)
        if approval is None or preview is None:
            _leave(SENTENCES[TransitionCode.UNKNOWN], EXIT_INPUT)
        turns = read_conversation(preview)
    if as_machine:
        said = [{"role": turn.role, "text": turn.text} for turn in turns]
        click.echo(json.dumps(as_json(approval, now) | {"request": said}, indent=2))
    else:
        print_one(Console(), approval, turns, now)


def _deciding(function: Callable[..., None]) -> Callable[..., None]:
    """The options of a decision."""
    return click.argument("approval_id", metavar="ID")(said_by_a_person(_json(config_file_option(function))))


@command.command()
@_deciding
def grant(**options: Any) -> None:
    """Let the held request go on, once."""
    _decide(grant=True, **options)


@command.command()
@_deciding
def refuse(**options: Any) -> None:
    """Refuse the held request."""
    _decide(grant=False, **options)


def _decide(
    *,
    grant: bool,
    approval_id: str,
    reason: str,
    token_file: Path | None,
    token_stdin: bool,
    as_machine: bool,
    config: Path,
) -> None:
    token = read_token(token_file, from_stdin=token_stdin)
    settings = settings_or_exit(config)
    with _exit_codes(), _store(settings) as store:
        decider = verify_person(settings, token)
        verdict = Verdict(grant, mask_reason(reason))
        write = functools.partial(_write, settings)
        now = time.time()
        decided = decide_recorded(store, write, approval_id, decider, verdict, source=socket.gethostname(), now=now)
    if as_machine:
        click.echo(json.dumps(as_json(decided, now), indent=2))
    else:
        Console().print(f"{decided.approval_id} {decided.state.value}", highlight=False, markup=False)


def _write(settings: Settings, records: Sequence[Record]) -> None:
    """Durable, or the decision is refused."""
    from extproc.audit.log.journal import write_once  # noqa: PLC0415

    try:
        write_once(settings.audit, open_keys(settings.audit), f"cli-{os.getpid()}", records)
    except (AuditRefused, Unavailable, OSError):
        _leave("The decision cannot be recorded and is not carried out.", EXIT_INPUT)


@contextmanager
def _store(settings: Settings) -> Iterator[ApprovalStore]:
    """The store; the keys are read only when a preview is."""
    from extproc.audit.keys.seal import open_bytes, seal_bytes  # noqa: PLC0415

    keys = functools.cache(lambda: open_keys(settings.audit))
    store = open_store(
        settings.approvals,
        lambda context, data: seal_bytes(keys(), context, data),
        lambda context, sealed: open_bytes(keys(), context, sealed),
    )
    try:
        yield store
    finally:
        store.close()


@contextmanager
def _exit_codes() -> Iterator[None]:
    """The table above, with a fixed sentence on standard error."""
    try:
        yield
    except DecisionRefused as refused:
        _leave(refused.sentence, EXIT_INPUT if refused.code in _WRONG_INPUT else EXIT_FINDING)
    except Malformed as error:
        if error.reason is not Reason.TOKEN_MALFORMED:
            _leave("The masked request cannot be opened with the keys of this configuration.", EXIT_INPUT)
        _leave(REFUSALS[error.reason].sentence, EXIT_INPUT)
    except (Unverified, Unavailable) as error:
        _leave(REFUSALS[error.reason].sentence, EXIT_INPUT)
    except AuditRefused as error:
        _leave(f"The keys cannot be used: {error}", EXIT_INPUT)


def _leave(sentence: str, code: int) -> NoReturn:
    click.echo(sentence, err=True)
    sys.exit(code)
