"""`extproc console`: the control plane for people, and the tokens that SAML assertions are exchanged for.

Exit codes of its commands: 0 done; 1 there was no such session; 2 usage, configuration, or what it needs is away.
"""

from __future__ import annotations

import datetime as dt
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import click

from extproc.cli.acts import FailureNotRecorded, NotRecorded, record_act, record_failure
from extproc.cli.config import EXIT_FINDING, EXIT_INPUT, settings_or_exit
from extproc.cli.person import person_uid

if TYPE_CHECKING:
    from extproc.console.token_keys import TokenKey
    from extproc.edge.settings import Settings
    from extproc.edge.settings_console import ConsoleSettings

_config = click.option("--config", type=click.Path(path_type=Path), envvar="EXTPROC_CONFIG", help="config.yaml")
_END_SESSIONS = "console.end-sessions"


@click.group("console", invoke_without_command=True)
@_config
@click.pass_context
def command(context: click.Context, config: Path | None) -> None:
    """Serve the console: single sign-on by OpenID Connect or SAML, and `POST /token` for API clients."""
    context.obj = config
    if context.invoked_subcommand is None:
        _run(config)


def _run(config: Path | None) -> None:
    import asyncio  # noqa: PLC0415

    from extproc.approvals.revisions import Unusable  # noqa: PLC0415
    from extproc.audit.refusal import AuditRefused  # noqa: PLC0415
    from extproc.console.process import run_console  # noqa: PLC0415
    from extproc.console.request_signer import SignerUnfit  # noqa: PLC0415
    from extproc.console.saml_metadata import MetadataInvalid  # noqa: PLC0415
    from extproc.console.token_keys import TokenKeysUnfit  # noqa: PLC0415
    from extproc.core.reasons import Unavailable  # noqa: PLC0415
    from extproc.edge.hardening import end_with_parent  # noqa: PLC0415
    from extproc.edge.logs import setup_logging  # noqa: PLC0415

    if not end_with_parent():
        return
    settings, console = _settings(config)
    setup_logging(settings.telemetry.service_name, -1)
    try:
        code = asyncio.run(run_console(settings, console))
    except MetadataInvalid as error:
        _leave(f"console.saml.metadata: {error}")
    except SignerUnfit as error:
        _leave(f"console.saml.signing: {error}")
    except Unusable as error:
        _leave(error.sentence)
    except Unavailable:
        _leave("the approval store cannot be opened, or the log takes no record: is `approvals.database` right?")
    except (AuditRefused, TokenKeysUnfit, OSError) as error:
        _leave(f"the console cannot start: {error}")
    sys.exit(code)


@command.command("rotate-keys")
@_config
@click.option(
    "--compromised",
    is_flag=True,
    help="The new key signs at once and all others are gone: tokens that they signed are refused soon.",
)
@click.pass_obj
def rotate_command(outer: Path | None, *, config: Path | None, compromised: bool) -> None:
    """Make the next key that signs tokens. A console that runs sees it at once; it signs once it was announced."""
    from extproc.console.token_keys import TokenKeys, TokenKeysUnfit  # noqa: PLC0415

    settings, console = _settings(config or outer)
    if console.token is None:
        _leave("`console.token` is not configured: there are no keys that sign tokens")
    keys = TokenKeys(console.keys, console.token)
    now = time.time()
    try:
        key = keys.replace_all(now) if compromised else keys.rotate(now)
    except TokenKeysUnfit as error:
        _leave(f"the keys cannot be rotated: {error}")
    _record(settings, key, compromised=compromised)
    since = dt.datetime.fromtimestamp(key.signs_from, dt.UTC).isoformat(sep=" ")
    click.echo(f"{key.kid} signs {f'from {since}' if key.signs_from > now else 'now'}")


def _record(settings: Settings, key: TokenKey, *, compromised: bool) -> None:
    """What is done is said even when it cannot be recorded: the console uses the key anyway."""
    from extproc.core.record import EventCode  # noqa: PLC0415

    try:
        record_act(
            settings,
            EventCode.ADMIN_KEY_ROTATE,
            "console.rotate-keys",
            {"token key": key.kid, "signs_from": key.signs_from, "compromised": compromised},
        )
    except NotRecorded as error:
        _leave(f"the keys are rotated, and that could not be recorded ({error}); say so in your change records")


@command.command("end-sessions")
@click.argument("person", metavar="UID", callback=person_uid)
@_config
@click.pass_obj
def end_sessions_command(outer: Path | None, *, person: str, config: Path | None) -> None:
    """End all sessions of a person in the console, of all its replicas, at once; recorded first.

    UID is `issuer|subject`, as in records. For whoever has lost a group: with the next login they have those of then.
    """
    from extproc.approvals.database import open_database  # noqa: PLC0415
    from extproc.approvals.revisions import Unusable  # noqa: PLC0415
    from extproc.approvals.sessions import Sessions  # noqa: PLC0415
    from extproc.cli.person import mask_argument  # noqa: PLC0415
    from extproc.console.session import end_sessions_of  # noqa: PLC0415
    from extproc.core.reasons import REFUSALS, Unavailable  # noqa: PLC0415
    from extproc.core.record import EventCode  # noqa: PLC0415

    settings, console = _settings(config or outer)
    try:
        database = open_database(settings.approvals.database, settings.approvals.migrate)
        try:
            said: dict[str, str | int | float | bool] = {"person": mask_argument(person)}
            record_act(settings, EventCode.ADMIN_SESSIONS_END, _END_SESSIONS, said)
            try:
                ended = end_sessions_of(Sessions(database, console.idle_seconds), person, time.time())
            except Unavailable as error:
                record_failure(settings, EventCode.ADMIN_SESSIONS_END, _END_SESSIONS, said, error.reason)
                raise
        finally:
            database.close()
    except FailureNotRecorded as error:
        _leave(f"no session was ended, and that could not be recorded ({error}); say so in your change records")
    except NotRecorded as error:
        _leave(f"no session was ended, because that cannot be recorded ({error})")
    except Unavailable as error:
        _leave(error.sentence if isinstance(error, Unusable) else REFUSALS[error.reason].sentence)
    if not ended:
        click.echo("Nobody of that name has a session in the console.", err=True)
        sys.exit(EXIT_FINDING)
    click.echo(f"{ended} ended.")


def _settings(config: Path | None) -> tuple[Settings, ConsoleSettings]:
    if config is None:
        raise click.UsageError("give --config (or EXTPROC_CONFIG)")
    settings = settings_or_exit(config)
    if settings.console is None:
        _leave(f"{config} has no `console` section; extproc/console/README.md shows one")
    return settings, settings.console


def _leave(sentence: str) -> NoReturn:
    click.echo(sentence, err=True)
    sys.exit(EXIT_INPUT)
