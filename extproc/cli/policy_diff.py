"""`extproc policy diff`: what two policies differ in, as they read and as they decide."""

import json
from pathlib import Path

import click

from extproc.cli.columns import align
from extproc.cli.config import EXIT_FINDING
from extproc.cli.policy_files import policy_or_exit
from extproc.core.policy_diff import CaseChange, Difference, changed_cases, differences
from extproc.core.printable import printable_line


@click.command("diff")
@click.argument("old", type=click.Path(path_type=Path))
@click.argument("new", type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def command(*, old: Path, new: Path, as_json: bool) -> None:
    """Print what NEW says that OLD does not, field by field, and which of the cases of both come out otherwise.

    Exits 0 when they mean the same, 1 when they differ, 2 when one cannot be read or has problems.
    """
    before, after = policy_or_exit(old), policy_or_exit(new)
    found, cases = list(differences(before, after)), list(changed_cases(before, after))
    if as_json:
        document = {
            "old": before.digest,
            "new": after.digest,
            "differences": [{"path": each.path, "old": each.old, "new": each.new} for each in found],
            "cases": [{"name": each.name, "what": each.what, "old": each.old, "new": each.new} for each in cases],
        }
        click.echo(json.dumps(document, ensure_ascii=False))
    else:
        _print(found, cases)
    raise SystemExit(EXIT_FINDING if found or cases else 0)


def _print(found: list[Difference], cases: list[CaseChange]) -> None:
    for each in found:
        click.echo(printable_line(f"{each.path}:"))
        click.echo(f"  - {printable_line(each.old)}")
        click.echo(f"  + {printable_line(each.new)}")
    rows = [(each.name, each.what, each.old, "->", each.new) for each in cases]
    if rows:
        click.echo("cases that come out otherwise:")
        for line in align([tuple(map(printable_line, row)) for row in rows]):
            click.echo(f"  {line}")
    changed = len({each.name for each in cases})
    click.echo(f"{len(found)} difference{'' if len(found) == 1 else 's'}, {changed} of the cases come out otherwise")
