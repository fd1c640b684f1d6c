"""`extproc demo`: a real llama.cpp server with a scripted model, guarded on this machine, and the whole story."""

import shutil
import signal
import sys
import time
from pathlib import Path

import click
from rich.console import Console


@click.command("demo")
@click.option("--directory", type=click.Path(path_type=Path), default=Path(".demo"), show_default=True)
@click.option("--keep", is_flag=True, help="Leave it running afterwards and print the addresses.")
def command(directory: Path, keep: bool) -> None:
    """Start Envoy, two workers, an issuer and a model server, and walk through the story. Exit 1 if a step fails."""
    from extproc.local.stage import Stage  # noqa: PLC0415
    from extproc.local.story import STEPS, tell  # noqa: PLC0415

    console = Console(width=None if sys.stdout.isatty() else 160, highlight=False)
    started = time.monotonic()
    if directory.exists():
        shutil.rmtree(directory)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    with Stage(directory, console) as stage:
        failed = tell(stage.scene)
        total = len(STEPS)
        seconds = time.monotonic() - started
        console.print(f"\n{total - failed} of {total} steps as they should be, in {seconds:.0f} s")
        if keep:
            stage.wait()
    if not keep:
        shutil.rmtree(directory, ignore_errors=True)
    sys.exit(1 if failed else 0)
