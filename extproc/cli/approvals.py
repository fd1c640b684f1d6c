"""`extproc approvals`: who waits, what for, and the decision.

Exit codes: 0 done; 1 refused (own request, wrong group, not pending, a token that is not accepted, no audit record);
2 usage, configuration, or a store that cannot be reached.
"""

import asyncio
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
from extproc.approvals.store import ApprovalStore, open_store
from extproc.audit.keys import AuditKeys
from extproc.audit.refusal import AuditRefused
from extproc.cli.approvals_view import as_json, print_list, print_one
from extproc.core.approval import SENTENCES, ApprovalState, DecisionRefused, TransitionCode
from extproc.core.identity import Principal, UnverifiedToken
from extproc.core.reasons import REFUSALS, Malformed, Reason, Unavailable, Unverified
from extproc.core.record import Record
from extproc.edge.settings import Settings

MAX_LISTED = 1000
IDENTITY_SECONDS = 10.0
"""For the issuer's keys; a person waits."""
_ANY = "all"
_EXIT_REFUSED, _EXIT_INPUT = 1, 2

_config = click.option(
    "--config",
    type=click.Path(dir_okay=False, path_type=Path),
    envvar="EXTPROC_CONFIG",
    required=True,
    help="The service's config.yaml. [env: EXTPROC_CONFIG]",
)
_json = click.option("--json", "as_machine", is_flag=True, help="For machines.")


@click.group("approvals")
def command() -> None:
    """Decide held requests."""


@command.command("list")
@click.option(
    "--state",
    type=click.Choice([_ANY, *(state.value for state in ApprovalState)]),
    default=ApprovalState.PENDING.value,
    show_default=True,
)
@_json
@_config
def list_(*, state: str, as_machine: bool, config: Path) -> None:
    """Show the newest approvals, newest first."""
    states = list(ApprovalState) if state == _ANY else [ApprovalState(state)]
    now = time.time()
    with _exit_codes(), _store(_settings(config)) as store:
        approvals = store.search(states, now, MAX_LISTED)
    if as_machine:
        click.echo(json.dumps([as_json(approval, now) for approval in approvals], indent=2))
    else:
        print_list(Console(), approvals, now)


@command.command()
@click.argument("approval_id", metavar="ID")
@_json
@_config
def show(*, approval_id: str, as_machine: bool, config: Path) -> None:
    """Show one approval with its masked request."""
    now = time.time()
    with _exit_codes(), _store(_settings(config)) as store:
        approval, preview = store.find(approval_id, now), store.read_preview(approval_id)
        if approval is None or preview is None:
            _leave(SENTENCES[TransitionCode.UNKNOWN], _EXIT_REFUSED)
        turns = read_conversation(preview)
    if as_machine:
        said = [{"role": turn.role, "text": turn.text} for turn in turns]
        click.echo(json.dumps(as_json(approval, now) | {"request": said}, indent=2))
    else:
        print_one(Console(), approval, turns, now)


def _deciding(function: Callable[..., None]) -> Callable[..., None]:
    """The options of a decision. A token is never an argument: arguments are seen by every process on the machine."""
    options: list[Callable[[Callable[..., None]], Callable[..., None]]] = [
        click.argument("approval_id", metavar="ID"),
        click.option("--reason", required=True, help="Why; kept in the audit log, with card data masked."),
        click.option("--token-file", type=click.Path(dir_okay=False, path_type=Path), help="Your token, in a file."),
        click.option(
            "--token-stdin", is_flag=True, help="Read your token from standard input. [else env: EXTPROC_TOKEN]"
        ),
        _json,
        _config,
    ]
    for option in reversed(options):
        function = option(function)
    return function


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
    token = _read_token(token_file, from_stdin=token_stdin)
    settings = _settings(config)
    with _exit_codes(), _store(settings) as store:
        decider = asyncio.run(_verify(settings, token))
        verdict = Verdict(grant, _mask(reason))
        write = functools.partial(_write, settings)
        now = time.time()
        decided = decide_recorded(store, write, approval_id, decider, verdict, source=socket.gethostname(), now=now)
    if as_machine:
        click.echo(json.dumps(as_json(decided, now), indent=2))
    else:
        Console().print(f"{decided.approval_id} {decided.state.value}", highlight=False, markup=False)


def _read_token(token_file: Path | None, *, from_stdin: bool) -> UnverifiedToken:
    if token_file is not None and from_stdin:
        raise click.UsageError("--token-file and --token-stdin exclude each other")
    if token_file is not None:
        try:
            compact = token_file.read_text(encoding="ascii")
        except (OSError, ValueError):
            _leave(f"The token file `{token_file}` cannot be read.", _EXIT_INPUT)
    elif from_stdin:
        compact = sys.stdin.read()
    else:
        compact = os.environ.get("EXTPROC_TOKEN", "")
    if not compact.strip():
        raise click.UsageError("a token is required: --token-file, --token-stdin or EXTPROC_TOKEN")
    return UnverifiedToken(compact.strip())


async def _verify(settings: Settings, token: UnverifiedToken) -> Principal:
    """Who decides, by the same issuers and rules as the service's."""
    import httpx  # noqa: PLC0415 - only a decision pays for it

    from extproc.edge.authenticator import Authenticator  # noqa: PLC0415
    from extproc.edge.direct import DIRECT  # noqa: PLC0415

    async with httpx.AsyncClient(timeout=IDENTITY_SECONDS, mounts=DIRECT) as client:
        authenticator = Authenticator(settings.issuers, client)
        # Not in a TaskGroup, which would wrap a refusal in a group of errors.
        fetching = asyncio.create_task(authenticator.run())
        try:
            return await authenticator.verify(token)
        finally:
            fetching.cancel()
            await asyncio.wait([fetching])


def _mask(reason: str) -> str:
    from extproc.core.masking.scanner import Scanner  # noqa: PLC0415
    from extproc.core.masking.settings import MaskingSettings  # noqa: PLC0415

    return Scanner(MaskingSettings()).masker().mask_text(reason)


def _write(settings: Settings, records: Sequence[Record]) -> None:
    """Durable, or the decision is refused."""
    from extproc.audit.journal import write_once  # noqa: PLC0415

    try:
        write_once(settings.audit, AuditKeys.load_or_create(settings.audit.keys), f"cli-{os.getpid()}", records)
    except (AuditRefused, Unavailable, OSError):
        _leave("The decision cannot be recorded and is not carried out.", _EXIT_REFUSED)


def _settings(config: Path) -> Settings:
    from extproc.cli.config import settings_or_exit  # noqa: PLC0415

    return settings_or_exit(config)


@contextmanager
def _store(settings: Settings) -> Iterator[ApprovalStore]:
    """The store; the keys are read only when a preview is."""
    from extproc.audit.seal import open_bytes, seal_bytes  # noqa: PLC0415

    keys = functools.cache(lambda: AuditKeys.load_or_create(settings.audit.keys))
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
        _leave(refused.sentence, _EXIT_REFUSED)
    except Malformed as error:
        if error.reason is not Reason.TOKEN_MALFORMED:
            _leave("The masked request cannot be opened with the keys of this configuration.", _EXIT_INPUT)
        _leave(REFUSALS[error.reason].sentence, _EXIT_REFUSED)
    except Unverified as error:
        _leave(REFUSALS[error.reason].sentence, _EXIT_REFUSED)
    except Unavailable as error:
        _leave(REFUSALS[error.reason].sentence, _EXIT_INPUT)
    except AuditRefused as error:
        _leave(f"The keys cannot be used: {error}", _EXIT_INPUT)


def _leave(sentence: str, code: int) -> NoReturn:
    click.echo(sentence, err=True)
    sys.exit(code)
