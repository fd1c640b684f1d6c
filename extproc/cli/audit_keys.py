"""`extproc audit keys` and `rotate-keys`: what keys there are, how long they may be used, and new ones."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import click

from extproc.cli.audit_where import config_option, fail, json_option
from extproc.cli.config import EXIT_FINDING
from extproc.cli.output import say

if TYPE_CHECKING:
    from collections.abc import Sequence

    from extproc.audit.keys.register import KeyFact
    from extproc.edge.settings import Settings


def _settings(config: Path | None) -> Settings:
    from extproc.cli.config import settings_or_exit  # noqa: PLC0415

    if config is None:
        raise click.UsageError("give --config (or EXTPROC_CONFIG)")
    return settings_or_exit(config)


@click.command("keys")
@config_option
@json_option
def keys_command(*, config: Path | None, as_json: bool) -> None:
    """The inventory of keys, without any key material. Exit 1 when a key in use is past its cryptoperiod."""
    from extproc.audit.keys.keys import open_keys  # noqa: PLC0415
    from extproc.audit.refusal import AuditRefused  # noqa: PLC0415
    from extproc.edge.key_inventory import key_facts  # noqa: PLC0415

    settings = _settings(config)
    try:
        facts = key_facts(settings, open_keys(settings.audit))
    except (AuditRefused, OSError) as error:
        fail(f"the keys cannot be read ({error})")
    now_ms = int(time.time() * 1000)
    _print(facts, now_ms, as_json=as_json)
    sys.exit(EXIT_FINDING if any(fact.expired(now_ms) for fact in facts) else 0)


def _print(facts: Sequence[KeyFact], now_ms: int, *, as_json: bool) -> None:
    """The rows of the evidence pack's inventory."""
    import msgspec  # noqa: PLC0415

    from extproc.audit.evidence.rows import KEY_HEADINGS, key, key_cells  # noqa: PLC0415
    from extproc.audit.keys.register import NOT_MET  # noqa: PLC0415
    from extproc.cli.columns import align  # noqa: PLC0415
    from extproc.core.printable import printable_line  # noqa: PLC0415

    rows = [key(fact, now_ms) for fact in facts]
    if as_json:
        for fact, row in zip(facts, rows, strict=True):
            note = {"note": NOT_MET if row.falls_short else ""}
            say(msgspec.json.encode(msgspec.to_builtins(fact) | msgspec.to_builtins(row) | note))
        return
    headings = tuple(heading.upper() for heading in KEY_HEADINGS)
    for line in align([headings, *(tuple(map(printable_line, key_cells(row))) for row in rows)]):
        say(line)
    if any(row.falls_short for row in rows):
        say(NOT_MET)


def _record_rotation(settings: Settings) -> None:
    """With the new keys. What is done is said even when it cannot be recorded: the next start uses them anyway."""
    from extproc.audit.keys.keys import open_keys  # noqa: PLC0415
    from extproc.audit.log.journal import write_once  # noqa: PLC0415
    from extproc.audit.refusal import AuditRefused  # noqa: PLC0415
    from extproc.cli.person import account  # noqa: PLC0415
    from extproc.core.reasons import ExchangeError  # noqa: PLC0415
    from extproc.core.record import Actor, EventCode, Outcome, Record, Resource  # noqa: PLC0415

    user = account()
    try:
        keys = open_keys(settings.audit)
        record = Record(
            event_code=EventCode.ADMIN_KEY_ROTATE,
            time_ms=int(time.time() * 1000),
            actor=Actor(uid=f"os|{user}", name=user),
            status=Outcome.SUCCEEDED,
            src_address="local",
            resource=Resource(connection="audit-keys", operation="audit.rotate-keys", protocol="cli"),
            detail={str(fact.purpose): fact.id for fact in keys.facts if fact.active},
        )
        write_once(settings.audit, keys, "cli", [record])
    except (ExchangeError, AuditRefused, OSError) as error:
        fail(f"the keys are rotated, and that could not be recorded ({error}); say so in your change records")


@click.command("make-keys")
@click.argument("folder", type=click.Path(file_okay=False, path_type=Path))
@click.option(
    "--digest-key",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    multiple=True,
    help="The file of `digest_key`: since when it is used stands in keys.json, too.",
)
@click.option(
    "--mask-key",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    multiple=True,
    help="A file of `mask_keys`, likewise.",
)
@click.option(
    "--public-key",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Of the signing key of `audit.kms`, PEM: it stands first in deployment.pub, and no key file is made.",
)
def make_command(
    *, folder: Path, digest_key: tuple[Path, ...], mask_key: tuple[Path, ...], public_key: Path | None
) -> None:
    """Make the files of `audit.keys` for a Secret: the service makes none where it can only read.

    What is there stays: over a copy of a Secret it adds the keys that keys.json does not know yet.
    """
    from extproc.audit.keys.keys import AuditKeys, locked  # noqa: PLC0415
    from extproc.audit.keys.public_keys import load_public_key, put_first  # noqa: PLC0415
    from extproc.audit.keys.register import KeyRegister, public_fingerprint, secret_fingerprint  # noqa: PLC0415
    from extproc.audit.refusal import AuditRefused  # noqa: PLC0415

    try:
        if public_key is None:
            AuditKeys.load_or_create(folder)
        with locked(folder):
            register, now_ms = KeyRegister(folder), int(time.time() * 1000)
            if public_key is not None:
                first = next(iter(load_public_key(public_key)))
                put_first(folder, first)
                register.created_ms(public_fingerprint(first), now_ms)
            for file in (*digest_key, *mask_key):
                register.created_ms(secret_fingerprint(file.read_bytes()), now_ms)
    except (AuditRefused, OSError) as error:
        fail(f"the keys cannot be made ({error})")
    files = sorted(path.name for path in folder.iterdir() if path.suffix in {".key", ".pub", ".json"})
    say(f"In {folder}: {', '.join(files)}. Put all into one Secret, and keep a copy where no cluster can lose it:")
    say("kubectl create secret generic extproc-audit " + " ".join(f"--from-file={folder / each}" for each in files))
    say("Give the anchor, and whoever verifies, deployment.pub alone.")


@click.command("rotate-keys")
@config_option
def rotate_command(*, config: Path | None) -> None:
    """Make new keys that sign and wrap, or put the configured KMS key first. Restart the service to use them.

    Only those of `audit.keys`. The key of `digest_key` and those of `mask_keys` stay: replace them in their files.
    """
    from extproc.audit.keys.register import REMEDY, Purpose  # noqa: PLC0415
    from extproc.audit.keys.rotation import rotate_keys  # noqa: PLC0415
    from extproc.audit.refusal import AuditRefused  # noqa: PLC0415

    settings = _settings(config)
    try:
        rotate_keys(settings.audit, int(time.time() * 1000))
    except (AuditRefused, OSError) as error:
        fail(f"the keys cannot be rotated ({error})")
    _record_rotation(settings)
    say("Rotated: the keys that sign and wrap. Restart the service: workers go on with the old keys until then.")
    public = settings.audit.keys / "deployment.pub"
    say(f"Give the anchor, and whoever verifies, the new {public}: it holds all keys, the old ones too.")
    for purpose in (Purpose.DIGEST, Purpose.MASK):
        say(f"Not rotated by this: {purpose} keys. Where they are due, {REMEDY[purpose]}, then restart.")
