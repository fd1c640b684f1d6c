"""`extproc budgets`: what was used of the policy's budgets, and a person gives one back.

Exit codes: 0 done; 1 refused (not an approver, one's own); 2 usage, configuration, policy, an unknown budget, a token
or a reason that is not accepted, or a store or an audit log that cannot be reached.
"""

import functools
import json
import os
import socket
import sys
import time
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import click

from extproc.cli.config import EXIT_FINDING, EXIT_INPUT, config_file_option, settings_or_exit
from extproc.cli.person import mask_reason, person_uid, read_token, said_by_a_person, verify_person
from extproc.core.printable import printable_line

if TYPE_CHECKING:
    from extproc.approvals.consumption import Consumption
    from extproc.core.policy import Budget, Policy
    from extproc.core.record import Record
    from extproc.edge.settings import Settings

_HEADINGS = ("BUDGET", "COUNTS", "WHOSE", "USED", "UNTIL (UTC)")


@click.group("budgets")
def command() -> None:
    """Show what was used of budgets, and give one back."""


@command.command("list")
@click.option(
    "--person", metavar="UID", callback=person_uid, help="Only of this person: `issuer|subject`, as in records."
)
@click.option("--tenant", metavar="TENANT", help="Only of this tenant.")
@click.option("--json", "as_machine", is_flag=True, help="For machines.")
@config_file_option
def list_(*, person: str | None, tenant: str | None, as_machine: bool, config: Path) -> None:
    """Show what counts now, by budget, in one line for each who has used some of it."""
    from extproc.approvals.consumption import find_consumption  # noqa: PLC0415
    from extproc.approvals.database import open_database  # noqa: PLC0415
    from extproc.approvals.revisions import Unusable  # noqa: PLC0415
    from extproc.core.principal import folded_uid  # noqa: PLC0415
    from extproc.core.reasons import REFUSALS, Unavailable  # noqa: PLC0415

    if person is not None and tenant is not None:
        raise click.UsageError("`--person` and `--tenant` are not given together: a budget is one's or the other's")
    settings = settings_or_exit(config)
    try:
        database = open_database(settings.approvals.database, settings.approvals.migrate)
        try:
            found = find_consumption(database, time.time(), tenant if person is None else folded_uid(person))
        finally:
            database.close()
    except Unavailable as error:
        sentence = error.sentence if isinstance(error, Unusable) else REFUSALS[error.reason].sentence
        click.echo(sentence, err=True)
        sys.exit(EXIT_INPUT)
    asked = "person" if person is not None else "tenant"
    if person is not None or tenant is not None:
        found = [used for used in found if f" per {asked} " in used.series]
    if as_machine:
        click.echo(json.dumps([asdict(used) for used in found], indent=2))
    else:
        _print(found)


@command.command()
@click.argument("budget", metavar="BUDGET")
@click.option(
    "--person", metavar="UID", callback=person_uid, help="Whose: `issuer|subject`, for a budget `per: person`."
)
@click.option("--tenant", metavar="TENANT", help="Whose, for a budget `per: tenant`.")
@said_by_a_person
@config_file_option
def reset(
    *,
    budget: str,
    person: str | None,
    tenant: str | None,
    reason: str,
    token_file: Path | None,
    token_stdin: bool,
    config: Path,
) -> None:
    """Forget what was used of a budget: recorded first. Those may who approve what it holds, and not their own."""
    from extproc.approvals.budget_reset import Reset, ResetRefused, reset_recorded  # noqa: PLC0415
    from extproc.approvals.budgets import BudgetStore  # noqa: PLC0415
    from extproc.approvals.database import open_database  # noqa: PLC0415
    from extproc.core.approval import DecisionRefused, checked_reason  # noqa: PLC0415
    from extproc.core.reasons import REFUSALS, ExchangeError  # noqa: PLC0415
    from extproc.edge.settings_file import read_digest_key  # noqa: PLC0415

    token = read_token(token_file, from_stdin=token_stdin)
    settings = settings_or_exit(config)
    policy = _policy(settings)
    found = next((each for each in policy.budgets if each.name == budget), None)
    if found is None:
        names = ", ".join(f"`{each.name}`" for each in policy.budgets) or "none"
        _leave(f"The policy has no budget `{printable_line(budget)}`; it has {names}.", EXIT_INPUT)
    holder = _holder(found, person, tenant)
    told = mask_reason(holder)
    try:
        who = verify_person(settings, token)
        said = checked_reason(mask_reason(reason))
        database = open_database(settings.approvals.database, settings.approvals.migrate)
        try:
            store = BudgetStore(database, read_digest_key(settings.digest_key_file))
            asked = Reset(policy.digest, found, holder, told, who, said, socket.gethostname())
            existed = reset_recorded(store, functools.partial(_write, settings), asked, time.time())
        finally:
            database.close()
    except ResetRefused as refused:
        _leave(str(refused), EXIT_FINDING)
    except DecisionRefused as refused:
        _leave(refused.sentence, EXIT_INPUT)
    except ExchangeError as error:
        _leave(REFUSALS[error.reason].sentence, EXIT_INPUT)
    done = "counts from nothing again" if existed else "had counted nothing"
    click.echo(f"{found.name} {done} for {printable_line(told) or 'everybody'}.")


def _policy(settings: "Settings") -> "Policy":
    from extproc.core.policy_document import PolicyInvalid  # noqa: PLC0415
    from extproc.edge.policy_file import Fitness, load_policy  # noqa: PLC0415

    try:
        return load_policy(settings.policy_file, Fitness.of(settings))
    except (PolicyInvalid, OSError):
        _leave("The policy of this configuration cannot be used; `extproc policy check` says why.", EXIT_INPUT)


def _holder(budget: "Budget", person: str | None, tenant: str | None) -> str:
    from extproc.core.principal import folded_uid  # noqa: PLC0415

    wanted = {"person": (person, tenant), "tenant": (tenant, person), "deployment": ("", person or tenant)}
    holder, other = wanted[budget.per]
    if holder is None or other is not None:
        option = f"`--{budget.per}` alone" if budget.per != "deployment" else "neither `--person` nor `--tenant`"
        raise click.UsageError(f"the budget `{budget.name}` is per {budget.per}: give {option}")
    return holder if person is None else folded_uid(holder)


def _write(settings: "Settings", records: "Sequence[Record]") -> None:
    """Durable, or nothing is done."""
    from extproc.audit.keys.keys import open_keys  # noqa: PLC0415
    from extproc.audit.log.journal import write_once  # noqa: PLC0415
    from extproc.audit.refusal import AuditRefused  # noqa: PLC0415
    from extproc.core.reasons import Unavailable  # noqa: PLC0415

    try:
        write_once(settings.audit, open_keys(settings.audit), f"cli-{os.getpid()}", records)
    except (AuditRefused, Unavailable, OSError):
        _leave("The step cannot be recorded and is not carried out.", EXIT_INPUT)


def _leave(sentence: str, code: int) -> NoReturn:
    click.echo(sentence, err=True)
    sys.exit(code)


def _print(found: "Iterable[Consumption]") -> None:
    from extproc.cli.columns import align  # noqa: PLC0415

    rows = [_HEADINGS, *map(_row, found)]
    if len(rows) == 1:
        click.echo("Nothing counts now.")
        return
    for line in align(rows):
        click.echo(line)


def _row(used: "Consumption") -> tuple[str, ...]:
    until = time.strftime("%Y-%m-%d %H:%M", time.gmtime(used.frees_unix))
    cells = (used.budget, used.series, used.holder or "everybody", str(used.count), until)
    return tuple(map(printable_line, cells))
