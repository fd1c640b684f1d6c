"""`extproc policy check`. Exit codes: 0 every file is clean, 1 some have problems, 2 some cannot be read."""

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import IO

import click

from extproc.cli.policy_files import print_problems, print_unreadable, read_file
from extproc.cli.policy_manifests import manifests_option, manifests_or_exit
from extproc.core.held_terms import terms_of
from extproc.core.masking.mask import label_of
from extproc.core.masking.rule import Rule
from extproc.core.masking.rule_catalogue import rules_of
from extproc.core.masking.rules import compile_rule
from extproc.core.masking.settings import Side
from extproc.core.policy import Effect, Policy
from extproc.core.policy_document import PolicyInvalid
from extproc.core.printable import printable_line
from extproc.edge.policy_file import Fitness

_CLEAN = 0
_PROBLEMS = 1
_UNREADABLE = 2


@click.command("check")
@click.argument("files", metavar="[FILE...]", nargs=-1, type=click.Path(path_type=Path))
@manifests_option
@click.option(
    "--config",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Check against this deployment, too: its longest hold, its mask keys, its connections, its console's roles.",
)
@click.option("--masking-rules", is_flag=True, help="Show every masking rule, and how much of a stream it holds back.")
def check_command(
    files: tuple[Path, ...], manifests: IO[bytes] | None, config: Path | None, *, masking_rules: bool
) -> None:
    """Print every problem of the policies as FILE:LINE:COLUMN: PATH: MESSAGE (HINT), and a tally.

    Their tests are checked and not run: `extproc policy test` runs them. Exits 0 when all are clean, 1 when some have
    problems, 2 when some cannot be read. Of the policy's own masking rules those are shown that hold
    back each word of a stream until its next piece. With `--config` also the groups that decide holds and have no
    role for it in the console. The policies of `--manifests` are checked against the settings that stand beside them.
    """
    if not files and manifests is None:
        raise click.UsageError("name a policy's file, or `--manifests`")
    fitness, approvers = Fitness(), None
    rendered = manifests_or_exit(manifests) if manifests is not None else None
    if rendered is not None and rendered.fitness is not None:
        fitness = rendered.fitness
    if config is not None:
        from extproc.cli.config import settings_or_exit  # noqa: PLC0415

        settings = settings_or_exit(config)
        fitness = Fitness.of(settings)
        approvers = settings.console.roles.approver if settings.console else None
    shown = _every_rule if masking_rules else _own_rules_that_delay
    texts: list[tuple[Path, Callable[[], bytes]]] = [(file, partial(read_file, file)) for file in files]
    if rendered is not None:
        texts += ((each.policy, partial(bytes, each.data[each.policy])) for each in rendered.policies)
    codes = [_check(file, read, fitness, shown, approvers) for file, read in texts]
    tally = Counter(codes)
    words = ((_CLEAN, "clean"), (_PROBLEMS, "with problems"), (_UNREADABLE, "unreadable"))
    click.echo(f"{len(codes)} checked: " + ", ".join(f"{tally[code]} {word}" for code, word in words))
    raise SystemExit(max(codes))


def _check(
    file: Path,
    read: Callable[[], bytes],
    fitness: Fitness,
    shown: Callable[[Policy], Iterable[Rule]],
    approvers: Collection[str] | None,
) -> int:
    """`approvers` are the groups with that role in the console; None where there is no console."""
    try:
        policy = fitness.parse(read(), datetime.now(UTC).date())
    except OSError as error:
        print_unreadable(file, error)
        return _UNREADABLE
    except PolicyInvalid as invalid:
        print_problems(file, invalid.problems, err=False)
        return _PROBLEMS
    click.echo(f"{file}: {_summary(policy)}")
    for line in (*_styles(policy), *map(_masking_rule, shown(policy)), *_without_role(policy, approvers)):
        click.echo(f"{file}: {line}")
    return _CLEAN


def _summary(policy: Policy) -> str:
    effects = Counter(rule.effect for rule in policy.rules)
    rules = ", ".join(f"{effects[effect]} {effect.value}" for effect in Effect)
    return f"policy {policy.name}, {policy.digest}, rules: {rules}"


def _styles(policy: Policy) -> Iterator[str]:
    """What is not replaced by its label."""
    for side in Side:
        for kind, style in sorted(policy.masking.styles(side).items()):
            yield f"masking style of {kind} in a {side}: {style}"


def _without_role(policy: Policy, approvers: Collection[str] | None) -> Iterator[str]:
    """Who is in such a group alone is asked by a hold, and cannot answer where people are sent."""
    terms = () if approvers is None else filter(None, terms_of(policy))
    groups = {group for each in terms for group in (*each.approver_groups, *each.escalation_groups)}
    for group in sorted(groups.difference(approvers or ())):
        yield printable_line(
            f"group {group} decides holds, and `console.roles.approver` has it not: its members need another group "
            "of that role to decide in the console"
        )


def _every_rule(policy: Policy) -> Iterator[Rule]:
    return map(compile_rule, rules_of(policy.masking))


def _own_rules_that_delay(policy: Policy) -> Iterator[Rule]:
    return (rule for rule in map(compile_rule, policy.masking.rules) if rule.lag.number)


def _masking_rule(rule: Rule) -> str:
    """How the rule delays a stream."""
    waits = ", ordinary words wait for the next piece" if rule.lag.number else ""
    held = f"at most {rule.lag.characters} characters of a stream held"
    return f"masking rule {rule.name}: {label_of(rule.kind)}, lag class {rule.lag.number}{waits}, {held}"
