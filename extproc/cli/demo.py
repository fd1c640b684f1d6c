"""`extproc demo`: a real llama.cpp server with a scripted model, guarded on this machine, and the whole story."""

import shutil
import signal
import sys
import time
from pathlib import Path

import click
from rich.console import Console

MARKER = ".extproc-demo"
"""Says that a folder was made by the demo, and may be removed by it."""


@click.command("demo")
@click.option("--directory", type=click.Path(path_type=Path), default=Path(".demo"), show_default=True)
@click.option("--keep", is_flag=True, help="Leave it running until Ctrl-C, and print the addresses.")
def command(directory: Path, keep: bool) -> None:
    """Start Envoy, two workers, an issuer and a model server, and walk through the story. Exit 1 if a step fails.

    When it ends, its folder is removed, with the audit log and all keys. `extproc run` keeps its folder.
    """
    from extproc.edge.settings_file import SettingsInvalid  # noqa: PLC0415
    from extproc.local.envoy_process import EnvoyFailed  # noqa: PLC0415
    from extproc.local.service_process import NotStarted  # noqa: PLC0415
    from extproc.local.stage import Stage  # noqa: PLC0415
    from extproc.local.story import STEPS, tell  # noqa: PLC0415

    console = Console(width=None if sys.stdout.isatty() else 160, highlight=False)
    started = time.monotonic()
    _make_room(directory)
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda number, _: sys.exit(128 + number))
    try:
        with Stage(directory, console) as stage:
            failed = tell(stage.scene)
            total = len(STEPS)
            seconds = time.monotonic() - started
            console.print(f"\n{total - failed} of {total} steps as they should be, in {seconds:.0f} s")
            if keep:
                stage.wait()
    except (NotStarted, EnvoyFailed, SettingsInvalid, OSError, RuntimeError) as error:
        click.echo(f"not started: {error}", err=True)
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)
    finally:  # tokens and keys of the demo stay nowhere
        shutil.rmtree(directory, ignore_errors=True)
    sys.exit(1 if failed else 0)


def _make_room(directory: Path) -> None:
    """A folder that a demo left is removed; any other is somebody's. Exits with 2 and says what to do.

    It is this process's until it ends.
    """
    from extproc.local.folder_lock import lock_folder  # noqa: PLC0415

    try:
        if directory.exists():
            if not (directory / MARKER).is_file():
                click.echo(f"`{directory}` is no folder of an earlier demo; name another with --directory", err=True)
                sys.exit(2)
            lock_folder(directory, MARKER)
            shutil.rmtree(directory)
        directory.mkdir(mode=0o700, parents=True)
        lock_folder(directory, MARKER)
    except BlockingIOError:
        click.echo(f"another demo runs in `{directory}`; stop it, or name another with --directory", err=True)
        sys.exit(2)
    except OSError as error:
        click.echo(f"`{directory}` cannot be used: {error.strerror}; name another with --directory", err=True)
        sys.exit(2)
