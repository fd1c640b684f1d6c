"""`extproc doctor`: what is wrong with an installation that runs, and how to mend it.

Exit codes: 0 all is well, or only warnings; 1 something is wrong; 2 it could not look: wrong input.
"""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from extproc.cli.config import EXIT_FINDING, config_file_option, settings_or_exit
from extproc.cli.output import say

if TYPE_CHECKING:
    from extproc.live.check import Check


@click.command("doctor")
@config_file_option
@click.option(
    "--envoy-admin",
    metavar="URL",
    default="",
    help="Envoy's admin, where it is not where the configuration puts it, such as http://127.0.0.1:15000.",
)
@click.option(
    "--outside",
    is_flag=True,
    help="This is not the gateway's machine or pod: ask only whether a model server answers from here, past Envoy.",
)
@click.option(
    "--probe-store",
    is_flag=True,
    help="Also ask the store to break its rules, as `extproc audit inspect-store` does: it writes, and is recorded.",
)
@click.option("--json", "as_json", is_flag=True, help="One JSON document.")
def command(*, config: Path, envoy_admin: str, outside: bool, probe_store: bool, as_json: bool) -> None:
    """Look at everything that this configuration's installation rests on, where it runs; change nothing.

    For each question one line: OK, WARN (it works, look at it), FAIL (with what mends it), or `-` for what could not be
    asked here and why. A test card number through the gateway is `extproc probe`.
    """
    from extproc.live.check import State  # noqa: PLC0415
    from extproc.live.examination import Terms, examine  # noqa: PLC0415

    # Without a handler Python prints what libraries log, whole: the exporters quote a header they cannot read.
    logging.root.addHandler(logging.NullHandler())
    settings = settings_or_exit(config)
    terms = Terms(envoy_admin, outside, _inspection(config) if probe_store else None)
    checks: list[Check] = []
    for check in examine(settings, terms):
        checks.append(check)
        if not as_json:
            say(check.line())
    wrong = any(check.state is State.FAIL for check in checks)
    code = EXIT_FINDING if wrong else 0
    counts = {state: sum(check.state is state for check in checks) for state in State}
    if as_json:
        say(json.dumps({"exit_code": code, "checks": [_row(check) for check in checks]}, indent=2))
    else:
        say(", ".join(f"{counts[state]} {_MEANT[state.name]}" for state in State))
    sys.exit(code)


_MEANT = {"OK": "OK", "WARN": "to look at", "FAIL": "wrong", "LEFT": "not asked"}


def _row(check: Check) -> dict[str, str]:
    return {"name": check.name, "state": check.state.name.lower(), "said": check.said, "mend": check.mend}


def _inspection(config: Path) -> Callable[[], Iterator[Check]]:
    """`inspect-store`, recorded before and after as there."""

    def ask() -> Iterator[Check]:
        from extproc.audit.refusal import AuditRefused  # noqa: PLC0415
        from extproc.audit.stores.inspect import MEANINGS  # noqa: PLC0415
        from extproc.audit.stores.store import StoreFailed  # noqa: PLC0415
        from extproc.cli.audit_inspect import inspect_recorded  # noqa: PLC0415
        from extproc.live.check import failed, passed  # noqa: PLC0415

        name = "store, rules"
        try:
            inspection = inspect_recorded(config)
        except (StoreFailed, AuditRefused, FileNotFoundError) as error:
            yield failed(name, f"the store could not be asked ({error})", "`extproc audit inspect-store` says more")
            return
        broken = [MEANINGS[finding.rule].otherwise for finding in inspection.findings if finding.matters]
        if broken:
            yield failed(name, "; ".join(broken), "`extproc audit inspect-store` says which rule; take another store")
        else:
            yield passed(name, f"it enforces what matters, of {len(inspection.findings)} rules")

    return ask
