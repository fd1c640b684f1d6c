"""`extproc policy`. Exit codes: 0 every file is clean, 1 some have problems, 2 some cannot be read, or wrong usage."""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import click

from extproc.cli import policy_replay
from extproc.core.document import Problem
from extproc.core.masking.mask import label_of
from extproc.core.masking.rule_catalogue import rules_of
from extproc.core.masking.rules import compile_rule
from extproc.core.masking.settings import Side
from extproc.core.policy import Effect, Policy
from extproc.core.policy_document import PolicyInvalid, parse_policy
from extproc.edge.bounded_file import MAX_FILE_BYTES, read_failure

_CLEAN = 0
_PROBLEMS = 1
_UNREADABLE = 2


@click.group(name="policy")
def command() -> None:
    """Check a policy."""


command.add_command(policy_replay.command)


@command.command()
@click.argument("files", metavar="FILE...", nargs=-1, required=True, type=click.Path(path_type=Path))
def check(files: tuple[Path, ...]) -> None:
    """Print every problem of the policies as FILE:LINE:COLUMN: PATH: MESSAGE (HINT), and a tally.

    Exits 0 when all are clean, 1 when some have problems, 2 when some cannot be read.
    """
    codes = [_check(file) for file in files]
    tally = Counter(codes)
    words = ((_CLEAN, "clean"), (_PROBLEMS, "with problems"), (_UNREADABLE, "unreadable"))
    click.echo(f"{len(files)} checked: " + ", ".join(f"{tally[code]} {word}" for code, word in words))
    raise SystemExit(max(codes))


def policy_or_exit(file: Path) -> Policy:
    """The policy in `file`; prints every problem to standard error and ends with 2 when it has any."""
    try:
        return _read(file)
    except OSError as error:
        click.echo(f"{file}: {read_failure(error)}", err=True)
    except PolicyInvalid as invalid:
        _print_problems(file, invalid.problems, err=True)
    raise SystemExit(_UNREADABLE)


def _read(file: Path) -> Policy:
    # Opened to wait: the shell's `<(…)` is a pipe.
    with file.open("rb") as opened:
        return parse_policy(opened.read(MAX_FILE_BYTES))


def _check(file: Path) -> int:
    try:
        policy = _read(file)
    except OSError as error:
        click.echo(f"{file}: {read_failure(error)}", err=True)
        return _UNREADABLE
    except PolicyInvalid as invalid:
        _print_problems(file, invalid.problems, err=False)
        return _PROBLEMS
    click.echo(f"{file}: {_summary(policy)}")
    for line in (*_styles(policy), *_masking_rules(policy)):
        click.echo(f"{file}: {line}")
    return _CLEAN


def _print_problems(file: Path, problems: tuple[Problem, ...], *, err: bool) -> None:
    for problem in problems:
        click.echo(f"{file}:{problem}", err=err)
    click.echo(f"{file}: {len(problems)} problem{'s' if len(problems) > 1 else ''}", err=err)


def _summary(policy: Policy) -> str:
    effects = Counter(rule.effect for rule in policy.rules)
    rules = ", ".join(f"{effects[effect]} {effect.value}" for effect in Effect)
    return f"policy {policy.name}, {policy.digest}, rules: {rules}"


def _styles(policy: Policy) -> Iterator[str]:
    """What is not replaced by its label."""
    for side in Side:
        for kind, style in sorted(policy.masking.styles(side).items()):
            yield f"masking style of {kind} in a {side}: {style}"


def _masking_rules(policy: Policy) -> Iterator[str]:
    """How each masking rule delays a stream."""
    for rule in map(compile_rule, rules_of(policy.masking)):
        waits = ", ordinary words wait for the next piece" if rule.lag.number else ""
        yield (
            f"masking rule {rule.name}: {label_of(rule.kind)}, lag class {rule.lag.number}{waits}, "
            f"at most {rule.lag.characters} characters held"
        )
