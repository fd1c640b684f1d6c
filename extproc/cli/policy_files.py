"""Policies as commands read them: problems in their places, and never half a policy."""

from pathlib import Path

import click

from extproc.cli.config import EXIT_INPUT
from extproc.core.document import DocumentInvalid, Problem
from extproc.core.policy import Policy
from extproc.core.policy_case import Case
from extproc.core.policy_case_document import parse_cases
from extproc.core.policy_document import PolicyInvalid, parse_policy
from extproc.edge.bounded_file import MAX_FILE_BYTES, read_failure


def read_file(file: Path) -> bytes:
    """The file's bytes. Raises `OSError`. Opened to wait: the shell's `<(…)` is a pipe."""
    with file.open("rb") as opened:
        return opened.read(MAX_FILE_BYTES)


def read_policy(file: Path) -> Policy:
    """The policy in the file, whatever the deployment. Raises `OSError` and `PolicyInvalid`."""
    return parse_policy(read_file(file))


def policy_or_exit(file: Path) -> Policy:
    """The policy in `file`; prints every problem to standard error and ends with 2 when it has any."""
    try:
        return read_policy(file)
    except OSError as error:
        print_unreadable(file, error)
    except PolicyInvalid as invalid:
        print_problems(file, invalid.problems, err=True)
    raise SystemExit(EXIT_INPUT)


def cases_or_exit(file: Path, policy: Policy) -> tuple[Case, ...]:
    """The cases for `policy` in a file of their own; prints every problem and ends with 2 when it has any."""
    try:
        return parse_cases(read_file(file), policy)
    except OSError as error:
        print_unreadable(file, error)
    except DocumentInvalid as invalid:
        print_problems(file, invalid.problems, err=True)
    raise SystemExit(EXIT_INPUT)


def print_unreadable(file: Path, error: OSError) -> None:
    click.echo(f"{file}: {read_failure(error)}", err=True)


def print_problems(file: Path, problems: tuple[Problem, ...], *, err: bool) -> None:
    """Each as FILE:LINE:COLUMN: PATH: MESSAGE (HINT), for a `when` with a caret under it; and how many there are."""
    for problem in problems:
        click.echo(f"{file}:{problem}", err=err)
        for line in problem.excerpt.splitlines():
            click.echo(f"    {line}", err=err)
    click.echo(f"{file}: {len(problems)} problem{'s' if len(problems) > 1 else ''}", err=err)
