"""`extproc mask-tokens`: whoever knows a value and has the keys finds where it went.

Exit codes: 0 done, 2 wrong input.
"""

import sys
from pathlib import Path

import click

from extproc.cli.config import settings_or_exit
from extproc.cli.policy_files import policy_or_exit
from extproc.core.document import quoted
from extproc.core.masking.aliases import canonical, token_of
from extproc.core.masking.mask import marked
from extproc.core.masking.rule_catalogue import rules_of
from extproc.core.masking.settings import Kind
from extproc.core.schema import nearest
from extproc.edge.settings_file import read_mask_keys

_MOST = 4096
"""Characters of a value."""


@click.command(name="mask-tokens")
@click.option("--config", type=click.Path(path_type=Path), required=True, envvar="EXTPROC_CONFIG", help="config.yaml")
@click.option("--kind", default=Kind.PAN.value, show_default=True, help="What the values are, as a policy names it.")
@click.option("--tenant", default="", help="Whose: the tenant in the caller's token. Empty for callers without one.")
def command(*, config: Path, kind: str, tenant: str) -> None:
    """Print what stands for each value where the style is `token`, under every key of the configuration.

    Values come from standard input, one a line: an argument would show in the list of processes. For each a line is
    printed, with one token a key, in the order of `mask_keys`. The values themselves are not.
    """
    settings = settings_or_exit(config)
    keys = read_mask_keys(settings)
    if not keys:
        raise click.UsageError(f"{config} has no `mask_keys`: no token was ever made with it")
    rules = rules_of(policy_or_exit(settings.policy_file).masking)
    known = (Kind.PAN.value, *(rule.kind or rule.name for rule in rules))
    if kind not in known:
        raise click.UsageError(
            f"no token stands for {quoted(kind)} under {settings.policy_file} ({nearest(kind, known)})"
        )
    lines: list[str] = []
    for number, line in enumerate(sys.stdin, 1):
        value = line.strip()
        if not canonical(kind, value) or len(value) > _MOST:
            raise click.UsageError(f"line {number} of standard input is no {kind}")
        lines.append(" ".join(marked(kind, f"{key.id}_{token_of(key, tenant, kind, value)}") for key in keys))
    for line in lines:
        click.echo(line)
