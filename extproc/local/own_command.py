"""Command lines to paste into a shell, from the folder that the running command was started in."""

import shlex
import sys
from pathlib import Path


def own_command() -> str:
    """How the running `extproc` was called: the script where there is one, else the interpreter and the module."""
    script = Path(sys.argv[0])
    return shlex.quote(str(script)) if script.name == "extproc" else f"{shlex.quote(sys.executable)} -m extproc"


def shell_path(path: Path) -> str:
    """`path` for the shell: relative where it is below the working directory, quoted where it needs quotes."""
    here = Path.cwd()
    return shlex.quote(str(path.relative_to(here) if path.is_relative_to(here) else path))
