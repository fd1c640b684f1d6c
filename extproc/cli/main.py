"""The `extproc` command. Groups are imported when called, so that one command does not pay for another's libraries."""

import importlib

import click

_GROUPS = {
    "approvals": ("extproc.cli.approvals", "Decide held requests."),
    "audit": ("extproc.cli.audit", "List, show, replay, export and verify the audit log."),
    "console": ("extproc.cli.console", "Serve single sign-on and tokens for API clients."),
    "budgets": ("extproc.cli.budgets", "Show what was used of budgets."),
    "demo": ("extproc.cli.demo", "Show the whole story on this machine."),
    "dev": ("extproc.cli.dev", "Development tokens and issuer."),
    "doctor": ("extproc.cli.doctor", "Say what is wrong with an installation that runs, and how to mend it."),
    "drain": ("extproc.cli.drain", "Have a running service finish and end."),
    "envoy": ("extproc.cli.envoy", "Render and validate Envoy's bootstrap."),
    "evidence": ("extproc.cli.evidence", "Write the assessor's pack of a period."),
    "identity": ("extproc.cli.identity", "Show whom a token names, or why it is refused."),
    "mask": ("extproc.cli.mask", "Mask files or standard input, and say what was where, and why."),
    "mask-tokens": ("extproc.cli.mask_tokens", "Print the tokens that stand for given values in records."),
    "policy": ("extproc.cli.policy", "Check, test and replay policies."),
    "probe": ("extproc.cli.probe", "Plant a test card number through a live gateway, and check what became of it."),
    "run": ("extproc.cli.run", "Guard a model server on this machine: Envoy, workers, development issuer."),
    "serve": ("extproc.cli.serve", "The data plane beside one Envoy."),
}


class LazyGroup(click.Group):
    """A group whose commands live in modules of their own, each with an attribute `command`."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted(_GROUPS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _GROUPS:
            return None
        command = importlib.import_module(_GROUPS[cmd_name][0]).command
        assert isinstance(command, click.Command)  # noqa: S101 - a programming error, not input
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in sorted(_GROUPS.items())])


@click.command(cls=LazyGroup)
@click.version_option(package_name="extproc")
def main() -> None:
    """A PCI DSS guard for self-hosted language models."""
