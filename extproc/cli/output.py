"""Standard output of a command. What it does not take, a full disk say, ends the command in words of its own."""

import os
import sys
from contextlib import suppress
from typing import Any

import click

from extproc.cli.config import EXIT_INPUT


class OutputFailed(click.ClickException):
    """No OSError: what is read and printed piece by piece would take that for the reading's."""

    exit_code = EXIT_INPUT

    def show(self, file: Any = None) -> None:
        click.echo(self.message, err=True)


def say(message: str | bytes = "", *, nl: bool = True) -> None:
    """As `click.echo`. Raises `OutputFailed`; BrokenPipeError where whoever read it has had enough."""
    try:
        click.echo(message, nl=nl)
    except BrokenPipeError:
        raise
    except OSError as error:
        _let_go()
        raise OutputFailed(f"the output could not be written ({error.strerror})") from error


def _let_go() -> None:
    """What could not be written is still buffered, and the interpreter tries once more as it ends."""
    with suppress(OSError):
        os.dup2(os.open(os.devnull, os.O_WRONLY | os.O_CLOEXEC), sys.stdout.fileno())
