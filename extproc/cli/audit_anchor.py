"""`extproc audit anchor`: remember the log's heads elsewhere, under an identity of its own, and say when they are gone.

Each pass prints JSON lines: one for each open alarm, and one that says how the pass went.
"""

from __future__ import annotations

import json
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

import click

from extproc.cli.audit_where import fail
from extproc.cli.output import say

if TYPE_CHECKING:
    from extproc.audit.anchor.anchor import Anchor, Pass
    from extproc.audit.anchor.settings import AnchorSettings
    from extproc.audit.signed import TrustedKeys

_DAY_MS = 86_400_000


@click.command("anchor")
@click.option(
    "--config",
    required=True,
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    envvar="EXTPROC_ANCHOR_CONFIG",
    help="anchor.yaml",
)
@click.option("--once", is_flag=True, help="One pass, for a CronJob. Otherwise a pass every `interval`.")
@click.option("--show-key", is_flag=True, help="Print the verifier key of the co-signatures, and do nothing else.")
@click.option(
    "--acknowledge", metavar="ID", multiple=True, help="Close an open alarm; with --reason. Once for each alarm."
)
@click.option("--reason", default="", help="What was found out; kept in the anchor's log, with card data masked.")
def anchor_command(*, config: Path, once: bool, show_key: bool, acknowledge: tuple[str, ...], reason: str) -> None:
    """Witness the log from outside. Exit 0 nothing is wrong, 1 an alarm is open, 2 not finished, or nothing there."""
    from extproc.audit.anchor.note import Algorithm  # noqa: PLC0415
    from extproc.audit.anchor.settings import load_anchor_settings, load_signer  # noqa: PLC0415
    from extproc.audit.refusal import AuditRefused  # noqa: PLC0415

    if reason and not acknowledge:
        raise click.UsageError("--reason is for --acknowledge")
    if acknowledge and not reason.strip():
        raise click.UsageError("--acknowledge needs --reason")
    try:
        settings = load_anchor_settings(config)
        if show_key:
            say(str(load_signer(settings).verifier(Algorithm.COSIGNATURE)))
            return
        sys.exit(_run(settings, once=once, acknowledge=acknowledge, reason=reason))
    except (AuditRefused, OSError) as error:
        fail(str(error))


def _run(settings: AnchorSettings, *, once: bool, acknowledge: tuple[str, ...], reason: str) -> int:
    from extproc.audit.anchor.anchor import Anchor  # noqa: PLC0415
    from extproc.audit.anchor.given import Giver, RolledBack  # noqa: PLC0415
    from extproc.audit.anchor.memory import open_memory  # noqa: PLC0415
    from extproc.audit.anchor.settings import load_signer  # noqa: PLC0415
    from extproc.audit.stores.store import StoreFailed, open_objects  # noqa: PLC0415
    from extproc.cli.person import account, mask_reason  # noqa: PLC0415

    copies = open_objects(settings.copies) if settings.copies else None
    with open_memory(settings.memory, settings.name, settings.deployment) as memory:
        anchor = Anchor(
            store=open_objects(settings.store),
            key=_public_key(settings.public_key),
            memory=memory,
            giver=Giver(load_signer(settings), copies),
            retention_ms=int(settings.retention_days * _DAY_MS),
            silence_ms=int(settings.silence_seconds * 1000),
        )
        try:
            if copies is not None:
                copies.check()
        except StoreFailed as error:
            fail(f"the store for copies cannot be used ({error})")
        if not acknowledge:
            return _watch(anchor, 0.0 if once else settings.interval_seconds)
        try:
            said = mask_reason(reason.strip())
            alarms = anchor.acknowledge(acknowledge, account(), said, int(time.time() * 1000))
        except (StoreFailed, RolledBack) as error:
            fail(f"the acknowledgement could not be kept ({error})")
        for alarm in alarms:
            _say(acknowledged=alarm.name, where=alarm.where, by=alarm.acknowledged_by, reason=alarm.reason)
        return 0


def _public_key(path: Path) -> TrustedKeys:
    from extproc.audit.keys.public_keys import load_public_key  # noqa: PLC0415
    from extproc.audit.refusal import AuditRefused  # noqa: PLC0415

    try:
        return load_public_key(path)
    except AuditRefused as error:
        raise AuditRefused(f"public_key: {error}; copy the gateway's deployment.pub there") from error


def _watch(anchor: Anchor, interval_seconds: float) -> int:
    """Passes until a signal comes; one, when there is no interval. The exit code of the last."""
    from extproc.edge.stop_signals import set_on_signal  # noqa: PLC0415

    stop = threading.Event()
    set_on_signal(stop)
    while True:
        started = time.monotonic()
        code = _pass(anchor)
        if not interval_seconds or stop.wait(max(interval_seconds - (time.monotonic() - started), 0.0)):
            return code


def _pass(anchor: Anchor) -> int:
    from extproc.audit.stores.store import StoreFailed  # noqa: PLC0415

    try:
        passed = anchor.watch(int(time.time() * 1000))
    except (StoreFailed, OSError) as error:
        _say(state="incomplete", why=f"{type(error).__name__}: {error}")
        left = anchor.left()
        _say_alarms(left)
        return left.exit_code or 2
    _say_alarms(passed)
    _say(
        state="behind" if passed.behind else "complete" if passed.epochs else "empty",
        epochs=passed.epochs,
        records=passed.records,
        moved=passed.moved,
        behind=passed.behind,
        open_alarms=len(passed.open_alarms),
    )
    return passed.exit_code


def _say_alarms(passed: Pass) -> None:
    for alarm in passed.open_alarms:
        _say(alarm=alarm.name, id=alarm.id, where=alarm.where, what=alarm.what, since_ms=alarm.since_ms)


def _say(**fields: str | int) -> None:
    """One JSON line, in ASCII: what comes from the store steers no terminal."""
    say(json.dumps({"time_ms": int(time.time() * 1000), **fields}))
