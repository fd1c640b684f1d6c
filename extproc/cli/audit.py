"""`extproc audit`: search, show, replay and verify the audit log.

Reading works beside a running service. Every reading is first recorded itself (PCI DSS v4.0.1 10.2.1.3),
but for one of a copy (`--store`), beside which there is no journal.
"""

import click

from extproc.cli.audit_anchor import anchor_command
from extproc.cli.audit_export import export_command
from extproc.cli.audit_inspect import inspect_command
from extproc.cli.audit_keys import keys_command, make_command, rotate_command
from extproc.cli.audit_list import list_command, show_command
from extproc.cli.audit_reindex import reindex_command
from extproc.cli.audit_replay import replay_command
from extproc.cli.audit_retention import retention_command
from extproc.cli.audit_sealed import open_sealed_command, sealed_key_command
from extproc.cli.audit_shred import shred_command
from extproc.cli.audit_verify import verify_command


@click.group()
def command() -> None:
    """List, show, replay, export and verify the audit log."""


command.add_command(anchor_command)
command.add_command(export_command)
command.add_command(inspect_command)
command.add_command(keys_command)
command.add_command(list_command)
command.add_command(open_sealed_command)
command.add_command(reindex_command)
command.add_command(replay_command)
command.add_command(make_command)
command.add_command(rotate_command)
command.add_command(sealed_key_command)
command.add_command(show_command)
command.add_command(verify_command)
command.add_command(shred_command)
command.add_command(retention_command)
