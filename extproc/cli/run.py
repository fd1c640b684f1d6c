"""`extproc run`: guard a model server from this machine."""

import signal
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from extproc.core.policy_document import PolicyInvalid
    from extproc.edge.policy_file import Fitness
    from extproc.local.guard import Guard


def _require_origin(_: click.Context, __: click.Parameter, value: str) -> str:
    """Before anything is written: a configuration that does not hold stops every command that reads it."""
    from extproc.edge.settings_checks import is_origin  # noqa: PLC0415

    if not is_origin(value, {"http"}):
        raise click.BadParameter("must be http://host:port, without path, query or user")
    return value


@click.command("run")
@click.option(
    "--upstream",
    required=True,
    metavar="URL",
    callback=_require_origin,
    help="The model server, for example http://127.0.0.1:8000.",
)
@click.option("--directory", type=click.Path(path_type=Path), default=Path(".run"), show_default=True)
@click.option("--port", type=click.IntRange(0, 65535), default=8080, show_default=True, help="Where clients connect.")
@click.option(
    "--console-port",
    type=click.IntRange(0, 65535),
    default=0,
    help="Where people look; the one it had before, or a free one, unless told.",
)
@click.option("--workers", type=click.IntRange(1, 64), default=2, show_default=True)
@click.option(
    "--credential-file", type=click.Path(path_type=Path, exists=True), help="The model server's own key, one line."
)
def command(
    *, upstream: str, directory: Path, port: int, console_port: int, workers: int, credential_file: Path | None
) -> None:
    """Start Envoy, workers, a console and a development issuer in DIRECTORY, and guard the model server at URL."""
    from extproc.cli.config import EXIT_INPUT, settings_or_exit  # noqa: PLC0415
    from extproc.core.policy_document import PolicyInvalid  # noqa: PLC0415
    from extproc.edge.policy_file import Fitness  # noqa: PLC0415
    from extproc.edge.settings_file import SettingsInvalid, read_credential  # noqa: PLC0415
    from extproc.edge.stop_signals import set_on_signal  # noqa: PLC0415
    from extproc.local.console_process import port_of_console  # noqa: PLC0415
    from extproc.local.envoy_process import EnvoyFailed  # noqa: PLC0415
    from extproc.local.guard import Wanted, start_guard  # noqa: PLC0415
    from extproc.local.own_settings import OWN_NAME, keep_edited  # noqa: PLC0415
    from extproc.local.service_process import NotStarted  # noqa: PLC0415

    stopped = threading.Event()
    set_on_signal(stopped, (signal.SIGINT, signal.SIGTERM, signal.SIGHUP))
    try:
        credential = read_credential(credential_file).value if credential_file else ""
    except SettingsInvalid as error:
        for problem in error.problems:
            hint = f" ({problem.hint})" if problem.hint else ""
            click.echo(f"{problem.path}:{problem.line}:{problem.column}: {problem.message}{hint}", err=True)
        sys.exit(EXIT_INPUT)
    wanted = Wanted(
        directory=directory,
        upstream=upstream,
        port=port,
        workers=workers,
        credential=credential,
        console_port=console_port or port_of_console(directory / "config.yaml"),
    )
    if kept := keep_edited(directory / "config.yaml"):
        click.echo(f"config.yaml was edited, and is written anew: what stood there is kept in {kept}.", err=True)
        click.echo(f"What is to stay belongs in {directory / OWN_NAME}: the same keys, and it wins.", err=True)
    try:
        guard = start_guard(wanted)
    except SettingsInvalid as error:
        if (directory / OWN_NAME).exists():
            click.echo(f"the configuration is refused, which {directory / OWN_NAME} is a part of:", err=True)
        settings_or_exit(directory / "config.yaml")  # what was written, read once more: it says all as `serve` does
        click.echo(f"not started: {error}", err=True)
        sys.exit(EXIT_INPUT)
    except PolicyInvalid as invalid:
        _say_problems(directory / "policy.yaml", invalid)
        click.echo("not started: the policy is refused", err=True)
        sys.exit(EXIT_INPUT)
    except (NotStarted, EnvoyFailed, OSError) as error:
        click.echo(f"not started: {error}", err=True)
        sys.exit(1)
    _say_where(guard)
    policy = WatchedPolicy(guard.settings.policy_file, Fitness.of(guard.settings), guard.policy_digest)
    while not stopped.wait(0.3):
        if ended := guard.ended():
            click.echo(f"stopped: {ended}", err=True)
            guard.stop()
            sys.exit(1)
        policy.look()
    sys.exit(guard.stop())


def _say_where(guard: "Guard") -> None:
    """Its addresses, and the commands to paste."""
    from extproc.local.own_command import own_command, shell_path  # noqa: PLC0415
    from extproc.local.own_settings import OWN_NAME  # noqa: PLC0415

    click.echo(f"guarding {', '.join(each.upstream for each in guard.settings.connections)} at {guard.url}/v1")
    if (own_file := guard.config.with_name(OWN_NAME)).exists():
        click.echo(f"settings   {own_file}   (its keys replace those of config.yaml)")
    click.echo(f"console    {guard.console_url}   (log in as whoever you want to be: analyst, approver, auditor ...)")
    click.echo(f"policy     {guard.settings.policy_file}   (edit it; reloaded within a second)")
    own, config = own_command(), shell_path(guard.config.resolve())
    issuer = shell_path(guard.issuer_directory.resolve())
    click.echo(f"token      {own} dev token --directory {issuer} --subject S --groups analysts")
    click.echo(f"audit      {own} audit list --config {config}")
    click.echo(f"approvals  {own} approvals list --config {config}")
    click.echo("stop with Ctrl-C")


def _stamp(path: Path) -> tuple[int, int]:
    try:
        found = path.stat()
    except OSError:
        return (0, 0)
    return (found.st_mtime_ns, found.st_ino)


class WatchedPolicy:
    """Says what the workers make of a policy that is edited: they say it in the log only.

    Compared with the policy that was started with, not with the file as it is at the first look, which may be later
    than an edit. A change counts when two looks in a row see it, as the workers have it: a write may be under way.
    """

    def __init__(self, path: Path, fitness: "Fitness", digest: str) -> None:
        self._path = path
        self._fitness = fitness
        self._said: str | None = digest
        self._judged: tuple[int, int] | None = None
        self._before: tuple[int, int] | None = None

    def look(self) -> None:
        from extproc.core.policy_document import PolicyInvalid  # noqa: PLC0415
        from extproc.edge.policy_file import load_policy  # noqa: PLC0415

        stamp, before = _stamp(self._path), self._before
        self._before = stamp
        if stamp != before or stamp == self._judged:
            return
        self._judged = stamp
        try:
            digest = load_policy(self._path, self._fitness).digest
        except PolicyInvalid as invalid:
            self._said = None
            _say_problems(self._path, invalid)
            click.echo("the new policy is refused; the last good one stays", err=True)
        else:
            if digest != self._said:
                self._said = digest
                click.echo("the policy was replaced")


def _say_problems(path: Path, invalid: "PolicyInvalid") -> None:
    for problem in invalid.problems:
        click.echo(f"{path}:{problem}", err=True)
