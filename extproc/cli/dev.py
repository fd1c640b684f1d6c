"""`extproc dev`: tokens and an issuer for development on one machine. Never for a deployment."""

import re
import time
from pathlib import Path
from threading import Event
from typing import Any

import click

from extproc.edge.stop_signals import set_on_signal
from extproc.local.issuer import ALGORITHMS, AUDIENCE, mint_token, read_issuer_file, start_issuer

_UNITS = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400}

_directory = click.option(
    "--directory",
    type=click.Path(file_okay=False, path_type=Path),
    envvar="EXTPROC_DEV_DIRECTORY",
    default=Path(".run/issuer"),
    show_default=True,
    help="The issuer's folder: keys and issuer.json. [env: EXTPROC_DEV_DIRECTORY]",
)


class Incomplete(click.ClickException):
    """Something that the command needs is not there."""

    exit_code = 2


class Ttl(click.ParamType[int]):
    """A whole number with a unit: `90s`, `15m`, `1h`, `1d`; seconds without one."""

    name = "duration"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> int:
        match = re.fullmatch(r"([0-9]{1,6})([smhd]?)", str(value))
        if match is None or int(match[1]) == 0:
            self.fail("not a duration such as `90s`, `15m` or `1h`", param, ctx)
        return int(match[1]) * _UNITS[match[2]]


def _listed(options: tuple[str, ...]) -> list[str]:
    """The names of all options, however many each holds."""
    return [name.strip() for names in options for name in names.split(",") if name.strip()]


@click.group("dev")
def command() -> None:
    """Development tokens and issuer, for one machine; never for a deployment."""


@command.command()
@click.option("--subject", required=True, help="The `sub` claim: who the token stands for.")
@click.option(
    "--groups", multiple=True, metavar="G,H", help="The `groups` claim, separated by commas, or one option for each."
)
@click.option("--name", default="", help="The `name` claim: how people see them; the subject without it.")
@click.option("--amr", multiple=True, metavar="M,N", help="The `amr` claim: how they signed in, for example pwd,mfa.")
@click.option("--auth-time", type=Ttl(), metavar="AGO", help="The `auth_time` claim: how long ago, for example 5m.")
@click.option("--tenant", default="", help="The `tenant` claim.")
@click.option("--audience", default="", help="The `aud` claim, instead of the issuer's.")
@click.option("--ttl", type=Ttl(), default="1h", show_default=True, help="How long the token is good for.")
@click.option("--algorithm", type=click.Choice(ALGORITHMS), default="ES256", show_default=True)
@_directory
def token(
    *,
    subject: str,
    groups: tuple[str, ...],
    name: str,
    amr: tuple[str, ...],
    auth_time: int | None,
    tenant: str,
    audience: str,
    ttl: int,
    algorithm: str,
    directory: Path,
) -> None:
    """Print a token, and nothing else. Claims that are not given are not in it, but for a name."""
    more: dict[str, Any] = {"amr": _listed(amr)} if amr else {}
    more |= {"tenant": tenant} if tenant else {}
    more |= {"auth_time": int(time.time()) - auth_time} if auth_time is not None else {}
    try:
        file = read_issuer_file(directory)
        minted = mint_token(
            directory,
            subject=subject,
            groups=_listed(groups),
            name=name or subject,
            ttl_seconds=ttl,
            audience=audience or file.audience,
            issuer=file.issuer,
            algorithm=algorithm,
            extra=more,
        )
    except (OSError, ValueError) as error:
        hint = (
            f"no usable development issuer in `{directory}`: `make run` makes one, and so does "
            f"`extproc dev issuer --directory {directory}`"
        )
        raise Incomplete(hint) from error
    click.echo(minted)


@command.command()
@click.option("--port", type=click.IntRange(0, 65535), default=0, help="Loopback port; 0 takes a free one.")
@click.option("--audience", default=AUDIENCE, show_default=True, help="The `aud` claim of its tokens.")
@_directory
def issuer(port: int, audience: str, directory: Path) -> None:
    """Run the issuer in the foreground; its URL is the first line printed."""
    ended = Event()
    set_on_signal(ended)
    try:
        running = start_issuer(directory, port, audience=audience)
    except (OSError, ValueError) as error:
        raise Incomplete(f"the issuer cannot start in `{directory}` on port {port}") from error
    with running:
        click.echo(running.url)
        ended.wait()
