"""`extproc policy`: check, test, format, compare and replay policies."""

import click

from extproc.cli import policy_diff, policy_explain, policy_replay
from extproc.cli.policy_check import check_command
from extproc.cli.policy_format import fmt_command, schema_command
from extproc.cli.policy_preset import preset_command
from extproc.cli.policy_status import status_command
from extproc.cli.policy_test import coverage_command, test_command


@click.group(name="policy")
def command() -> None:
    """Check, test and replay policies."""


command.add_command(check_command)
command.add_command(coverage_command)
command.add_command(policy_diff.command)
command.add_command(policy_explain.command)
command.add_command(fmt_command)
command.add_command(preset_command)
command.add_command(policy_replay.command)
command.add_command(schema_command)
command.add_command(status_command)
command.add_command(test_command)
