"""`extproc audit inspect-store`: which rules of write-once storage the configured store really enforces."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from extproc.cli.audit_where import config_option, fail, find_configured, json_option
from extproc.cli.output import say

if TYPE_CHECKING:
    from extproc.audit.settings import DirectoryStore, S3Store
    from extproc.audit.stores.inspect import Inspection

_VERDICTS = (
    "all that matters is enforced",
    "NOT everything that matters is enforced",
    "not everything that matters could be asked",
)


@click.command("inspect-store")
@config_option
@json_option
def inspect_command(*, config: Path | None, as_json: bool) -> None:
    """Try to break the store's rules with small objects of our own, and record what it enforces.

    It asks to delete, shorten and overwrite locked objects, to take wrong ones, and for a moment to turn versions off:
    use credentials that may do all that. Where they may not, a rule counts as not asked. Objects that it locks stay for
    two minutes (where the policy of the bucket forbids that: for the configured retention) and are named.

    Exit 0: all that matters is enforced. 1: something is not. 2: something could not be asked.
    """
    from extproc.audit.refusal import AuditRefused  # noqa: PLC0415
    from extproc.audit.stores.store import StoreFailed  # noqa: PLC0415

    try:
        inspection = inspect_recorded(config)
    except (StoreFailed, AuditRefused, FileNotFoundError) as error:
        fail(f"the audit store could not be asked ({error})")
    _print(inspection, as_json=as_json)
    sys.exit(inspection.exit_code)


def inspect_recorded(config: Path | None) -> Inspection:
    """What the configured store enforces, recorded before it is asked and after. Ends the command when it cannot be
    recorded; raises `StoreFailed`, `AuditRefused` or FileNotFoundError when nothing can be asked."""
    from extproc.audit.stores.inspect import BEGUN, STATE  # noqa: PLC0415
    from extproc.core.record import EventCode  # noqa: PLC0415

    where = find_configured(config)
    assert where.settings is not None  # noqa: S101 - a configuration was given
    operation = "audit.inspect-store"
    where.record(
        EventCode.STORE_INSPECT, operation, {STATE: BEGUN}, "the inspection could not be recorded, so nothing is asked"
    )
    inspection = _inspect(where.settings.store)
    where.record(EventCode.STORE_INSPECT, operation, inspection.detail(), "what was found could not be recorded")
    return inspection


def _inspect(store: DirectoryStore | S3Store) -> Inspection:
    from extproc.audit.settings import DirectoryStore  # noqa: PLC0415

    if isinstance(store, DirectoryStore):
        from extproc.audit.stores.inspect_directory import inspect_directory  # noqa: PLC0415

        return inspect_directory(store)
    from extproc.audit.stores.inspect_s3 import inspect_s3  # noqa: PLC0415

    return inspect_s3(store)


def _print(inspection: Inspection, *, as_json: bool) -> None:
    from extproc.audit.stores.inspect import MEANINGS, Result, capabilities  # noqa: PLC0415
    from extproc.core.printable import printable_line  # noqa: PLC0415

    known = capabilities(inspection.detail())
    sentences = known.sentences() if known else ()
    if as_json:
        findings = [
            {
                "rule": finding.rule.value,
                "expected": f"the store {MEANINGS[finding.rule].expected}",
                "result": finding.result.value,
                "because": finding.because,
                "needed": MEANINGS[finding.rule].needed,
                "otherwise": MEANINGS[finding.rule].otherwise,
            }
            for finding in inspection.findings
        ]
        body = {
            "store": inspection.store,
            "exit_code": inspection.exit_code,
            "verdict": _VERDICTS[inspection.exit_code],
            "place": inspection.place,
            "findings": findings,
            "kept": list(inspection.kept),
            "sentences": list(sentences),
        }
        say(json.dumps(body))
        return
    for finding in inspection.findings:
        meaning = MEANINGS[finding.rule]
        because = "" if finding.result is Result.ENFORCED else printable_line(finding.because)
        because = f" ({because})" if because else ""
        say(f"{finding.result.value:19} {finding.rule.value:26} {meaning.expected}{because}")
        if finding.result is not Result.ENFORCED:
            weight = "this matters" if meaning.needed else "for your information"
            say(f"{'':19} {weight}: {meaning.otherwise}")
    for key in inspection.kept:
        say(printable_line(f"stays until its lock is over: {key}"))
    say("")
    if inspection.store == "directory":
        say(sentences[0])
    say(_VERDICTS[inspection.exit_code])
