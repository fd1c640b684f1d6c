"""Who sits at the terminal, as the configured issuers vouch, and what they say, with card data masked."""

import asyncio
import os
import pwd
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

import click

from extproc.cli.config import EXIT_INPUT
from extproc.core.identity import Principal, UnverifiedToken
from extproc.core.printable import printable_line
from extproc.edge.settings import Settings

IDENTITY_SECONDS = 10.0
"""For the issuer's keys; a person waits."""

_Option = Callable[[Callable[..., Any]], Callable[..., Any]]
_reason: _Option = click.option("--reason", required=True, help="Why; kept in the audit log, with card data masked.")
_token_options: tuple[_Option, ...] = (
    click.option("--token-file", type=click.Path(dir_okay=False, path_type=Path), help="Your token, in a file."),
    click.option("--token-stdin", is_flag=True, help="Read your token from standard input. [else env: EXTPROC_TOKEN]"),
)


def said_by_a_person(function: Callable[..., Any]) -> Callable[..., Any]:
    """The options of what a person answers for."""
    return _reason(known_by_a_token(function))


def known_by_a_token(function: Callable[..., Any]) -> Callable[..., Any]:
    """The options that say who somebody is. A token is never an argument: every process sees arguments."""
    for option in reversed(_token_options):
        function = option(function)
    return function


def read_token(token_file: Path | None, *, from_stdin: bool) -> UnverifiedToken:
    """From the one place that was named. Leaves with exit code 2 when there is none."""
    if token_file is not None and from_stdin:
        raise click.UsageError("--token-file and --token-stdin exclude each other")
    if token_file is not None:
        try:
            compact = token_file.read_text(encoding="ascii")
        except (OSError, ValueError):
            _leave(f"The token file `{token_file}` cannot be read.")
    elif from_stdin:
        compact = sys.stdin.read()
    else:
        compact = os.environ.get("EXTPROC_TOKEN", "")
    if not compact.strip():
        raise click.UsageError("a token is required: --token-file, --token-stdin or EXTPROC_TOKEN")
    return UnverifiedToken(compact.strip())


def verify_person(settings: Settings, token: UnverifiedToken) -> Principal:
    """By the same issuers and rules as the service's, as records may name them.

    Raises `Malformed`, `Unverified` or `Unavailable`.
    """
    from extproc.core.masking import typed  # noqa: PLC0415

    return typed.recordable(asyncio.run(_verify(settings, token)))


async def _verify(settings: Settings, token: UnverifiedToken) -> Principal:
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


def account() -> str:
    """The account that runs the command, as the machine knows it: `LOGNAME` and `USER` are anybody's to set."""
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:  # a container's user that no file names
        return str(os.getuid())


def person_uid(_: click.Context, __: click.Parameter, value: str | None) -> str | None:
    """A person as records name one: what has another form names nobody."""
    issuer, _sign, subject = (value or "").partition("|")
    if value is None or (issuer.strip() and subject.strip()):
        return value
    message = "names no person; a person is `issuer|subject`, as in records and `extproc budgets list`, for example "
    raise click.BadParameter(f"`{printable_line(mask_reason(value))}` {message}'https://idp.example|anna'")


def mask_argument(argument: str) -> str:
    """What a person typed to name something, as it may be kept."""
    from extproc.core.masking import typed  # noqa: PLC0415

    return typed.mask_argument(argument)


def mask_reason(reason: str) -> str:
    """What a person wrote, as it may be kept."""
    from extproc.core.masking import typed  # noqa: PLC0415

    return typed.mask_reason(reason)


def _leave(sentence: str) -> NoReturn:
    click.echo(sentence, err=True)
    sys.exit(EXIT_INPUT)
