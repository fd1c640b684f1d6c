"""`extproc probe`: a test card number through a live gateway, and whether it was masked, recorded and traced.

What `helm test` runs. Exit codes: 0 all is well; 1 a check failed; 2 wrong input.
"""

from __future__ import annotations

import contextlib
import ssl
import sys
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import click

from extproc.cli.config import EXIT_FINDING, EXIT_INPUT

if TYPE_CHECKING:
    from collections.abc import Iterator

    import httpx

    from extproc.live.check import Check
    from extproc.live.echo_model import EchoModel
    from extproc.live.planted_record import Console
    from extproc.live.planted_request import Gateway

_file = click.Path(exists=True, dir_okay=False, path_type=Path)
_url = click.option("--gateway", "gateway_url", required=True, metavar="URL", help="Where clients reach the gateway.")


@click.command("probe")
@_url
@click.option("--token-file", type=_file, required=True, help="A token that the gateway accepts.")
@click.option("--model", required=True, help="A model that the policy allows that token.")
@click.option(
    "--echo",
    "echo_port",
    type=click.IntRange(1, 65535),
    metavar="PORT",
    help="Be the model server, at this port: a connection of the configuration leads `--model` here.",
)
@click.option("--ca-file", type=_file, help="The authority of gateway and console. Left out: the machine's.")
@click.option(
    "--console", "console_url", metavar="URL", help="The console as `console.url` names it: look for the record."
)
@click.option(
    "--console-address", default="", metavar="HOST:PORT", help="Where to reach it, if not where its name leads."
)
@click.option("--wait", "wait_seconds", type=click.IntRange(1, 600), default=120, show_default=True, metavar="SECONDS")
def command(  # noqa: PLR0917 - the options
    gateway_url: str,
    token_file: Path,
    model: str,
    echo_port: int | None,
    ca_file: Path | None,
    console_url: str | None,
    console_address: str,
    wait_seconds: int,
) -> None:
    """Plant a test card number through a gateway that runs, and check mask, record and trace."""
    import httpx  # noqa: PLC0415

    from extproc.edge.settings_file import SettingsInvalid, read_credential  # noqa: PLC0415
    from extproc.live.check import State  # noqa: PLC0415
    from extproc.live.echo_model import EchoModel  # noqa: PLC0415
    from extproc.live.planted_record import Console  # noqa: PLC0415
    from extproc.live.planted_request import Gateway  # noqa: PLC0415

    try:
        token = read_credential(token_file).value
        context = ssl.create_default_context(cafile=ca_file)
    except SettingsInvalid as error:
        _leave("\n".join(str(problem) for problem in error.problems))
    except (ssl.SSLError, OSError):
        _leave(f"{ca_file} is not a PEM file of certificates")
    with contextlib.ExitStack() as stack:
        http: httpx.Client = stack.enter_context(httpx.Client(verify=context, trust_env=False, timeout=30))
        echo = None
        if echo_port:
            try:
                echo = stack.enter_context(EchoModel(echo_port))
            except OSError as error:
                _leave(f"port {echo_port} cannot be used: {error.strerror}")
        gateway = Gateway(gateway_url.rstrip("/"), token, model, http, float(wait_seconds))
        console = None
        if console_url:
            console = Console(console_url.rstrip("/"), token, http, float(wait_seconds), console_address)
        states = []
        for check in _checks(gateway, echo, console):
            click.echo(check.line())
            states.append(check.state)
    counts = {state: states.count(state) for state in State}
    click.echo(f"{counts[State.OK]} OK, {counts[State.FAIL]} FAIL, {counts[State.LEFT]} not asked")
    sys.exit(EXIT_FINDING if counts[State.FAIL] else 0)


def _checks(gateway: Gateway, echo: EchoModel | None, console: Console | None) -> Iterator[Check]:
    from extproc.live.check import left  # noqa: PLC0415
    from extproc.live.planted_record import check_recorded  # noqa: PLC0415
    from extproc.live.planted_request import check_exchange, check_reached, check_strangers, plant  # noqa: PLC0415

    for name, stream in (("whole", False), ("streamed", True)):
        found = plant(gateway, stream=stream)
        yield from check_exchange(found, name)
        if found is None or found.status != 200:
            continue
        yield from check_reached(found, echo, gateway.token, name)
        if console is None:
            yield left("record", "not looked for without --console")
        else:
            yield check_recorded(console, found, echoed=echo is not None)
    yield check_strangers(gateway)


def _leave(sentence: str) -> NoReturn:
    click.echo(sentence, err=True)
    sys.exit(EXIT_INPUT)
