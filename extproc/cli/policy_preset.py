"""`extproc policy preset`: a complete policy to begin with."""

import click

from extproc.core.presets import PRESETS, load_preset


@click.command("preset")
@click.argument("name", type=click.Choice(PRESETS))
def preset_command(name: str) -> None:
    """Print a complete policy, with a reason for each line.

    `extproc policy preset pci-strict > policy.yaml`, then put the names of your groups in. Exits 0, or 2 for wrong
    usage.
    """
    click.echo(load_preset(name).decode(), nl=False)
