"""`extproc audit`: search, show, replay and verify the audit log.

Reading works beside a running service. `list`, `show` and `replay` first record that they read (PCI DSS 10.2.1.3).
"""

from __future__ import annotations

import datetime as dt
import getpass
import json
import re
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import click

if TYPE_CHECKING:
    from extproc.audit.holdings import Holdings
    from extproc.audit.settings import AuditSettings
    from extproc.audit.store import ObjectStore

EXIT_FINDING = 1
EXIT_INPUT = 2
_SPAN = re.compile(r"(\d+)([smhd])")
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


@dataclass(frozen=True, slots=True)
class Where:
    """From `--config` or `--store`: what to read, and the settings when there are any."""

    settings: AuditSettings | None
    store: ObjectStore
    deployment: str

    @property
    def spool(self) -> Path | None:
        return self.settings.spool if self.settings else None

    def look(self) -> Holdings:
        from extproc.audit.holdings import Holdings  # noqa: PLC0415
        from extproc.audit.store import StoreFailed  # noqa: PLC0415

        try:
            return Holdings.look(self.store, self.spool, self.deployment)
        except (StoreFailed, OSError) as error:
            _fail(f"the audit store could not be read ({error})")

    def record_read(self, operation: str, detail: dict[str, str | int | float | bool]) -> None:
        """Before anything is shown. Without settings there is no journal to write to."""
        from extproc.audit.journal import write_once  # noqa: PLC0415
        from extproc.audit.keys import AuditKeys  # noqa: PLC0415
        from extproc.audit.refusal import AuditRefused  # noqa: PLC0415
        from extproc.core.reasons import ExchangeError  # noqa: PLC0415
        from extproc.core.record import Actor, EventCode, Outcome, Record, Resource  # noqa: PLC0415

        if self.settings is None:
            return
        user = getpass.getuser()
        record = Record(
            event_code=EventCode.AUDIT_READ,
            time_ms=int(time.time() * 1000),
            actor=Actor(uid=f"os|{user}", name=user),
            status=Outcome.SUCCEEDED,
            src_address="local",
            resource=Resource(connection="", operation=operation, protocol="cli"),
            detail=detail,
        )
        try:
            write_once(self.settings, AuditKeys.load_or_create(self.settings.keys), "cli", [record])
        except (ExchangeError, AuditRefused, OSError) as error:
            _fail(f"the reading could not be recorded, so nothing is shown ({error})")


def _fail(sentence: str) -> NoReturn:
    click.echo(sentence, err=True)
    sys.exit(EXIT_INPUT)


def _where(config: Path | None, store: Path | None) -> Where:
    from extproc.audit.settings import DirectoryStore  # noqa: PLC0415
    from extproc.audit.store import Directory, open_store  # noqa: PLC0415

    if store is not None:
        return Where(None, Directory(DirectoryStore(store)), "")
    if config is None:
        raise click.UsageError("give --config (or EXTPROC_CONFIG) or --store")
    from extproc.cli.config import settings_or_exit  # noqa: PLC0415

    settings = settings_or_exit(config).audit
    return Where(settings, open_store(settings), settings.deployment)


_config = click.option(
    "--config",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    envvar="EXTPROC_CONFIG",
    help="config.yaml",
)
_store = click.option(
    "--store",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    help="A copy of the store, instead of --config.",
)
_json = click.option("--json", "as_json", is_flag=True, help="JSON, one object a line.")


@click.group()
def command() -> None:
    """List, show, replay and verify the audit log."""


def _since(text: str) -> int:
    if not text:
        return 0
    if match := _SPAN.fullmatch(text):
        return int((time.time() - int(match[1]) * _SECONDS[match[2]]) * 1000)
    try:
        moment = dt.datetime.fromisoformat(text)
    except ValueError as error:
        raise click.BadParameter("a span like `24h`, or an ISO 8601 time") from error
    return int((moment if moment.tzinfo else moment.replace(tzinfo=dt.UTC)).timestamp() * 1000)


@command.command("list")
@_config
@_store
@_json
@click.option("--person", default="", help="Part of a name or uid.")
@click.option("--model", default="", help="The model's name.")
@click.option("--effect", default="", type=click.Choice(["", "allow", "hold", "deny"]), help="What the policy said.")
@click.option("--since", default="", help="A span like `24h`, or an ISO 8601 time (UTC).")
def list_command(
    *, config: Path | None, store: Path | None, as_json: bool, person: str, model: str, effect: str, since: str
) -> None:
    """Exchanges, oldest first."""
    from extproc.audit.reader import Query, list_exchanges  # noqa: PLC0415
    from extproc.cli.audit_view import print_list  # noqa: PLC0415

    where = _where(config, store)
    query = Query(person=person, model=model, effect=effect, since_ms=_since(since))
    where.record_read("audit.list", {"person": person, "model": model, "effect": effect, "since": since})
    exchanges = list_exchanges(where.look(), query)
    print_list(exchanges, as_json=as_json)


@command.command("show")
@click.argument("exchange_id")
@_config
@_store
@_json
def show_command(*, exchange_id: str, config: Path | None, store: Path | None, as_json: bool) -> None:
    """Every record of one exchange, with its place in the log."""
    from extproc.audit.reader import show_exchange, time_text  # noqa: PLC0415

    where = _where(config, store)
    where.record_read("audit.show", {"exchange": exchange_id[:128]})
    exchange = show_exchange(where.look(), exchange_id)
    if exchange is None:
        click.echo("no such exchange", err=True)
        sys.exit(EXIT_FINDING)
    for item in exchange.records:
        if as_json:
            click.echo(item.line)
            continue
        click.echo(f"{time_text(item.record.time_ms)}  {item.record.event_code}  {item.receipt}")
        for line in json.dumps(json.loads(item.line), indent=2, ensure_ascii=True).splitlines()[1:-1]:
            click.echo("  " + line)


@command.command("replay")
@click.argument("exchange_id")
@_config
@_json
@click.option("--speed", default=1.0, type=click.FloatRange(min=0.001), help="2: twice as fast as it was.")
@click.option("--no-wait", is_flag=True, help="Print at once, without the pauses.")
def replay_command(*, exchange_id: str, config: Path | None, as_json: bool, speed: float, no_wait: bool) -> None:
    """One exchange as it crossed the boundary, both directions, in its own time. Needs the content key."""
    from extproc.audit.keys import AuditKeys  # noqa: PLC0415
    from extproc.audit.refusal import AuditRefused  # noqa: PLC0415
    from extproc.audit.replay import read_transcript  # noqa: PLC0415
    from extproc.cli.audit_view import play  # noqa: PLC0415
    from extproc.core.reasons import ExchangeError  # noqa: PLC0415

    where = _where(config, None)
    if where.settings is None:
        raise click.UsageError("replay needs --config")
    where.record_read("audit.replay", {"exchange": exchange_id[:128]})
    try:
        keys = AuditKeys.load_or_create(where.settings.keys)
        transcript = read_transcript(where.look(), keys, exchange_id)
    except AuditRefused as error:
        click.echo(str(error), err=True)
        sys.exit(EXIT_FINDING)
    except ExchangeError:
        click.echo("the content key does not open: it is another deployment's, or was changed", err=True)
        sys.exit(EXIT_FINDING)
    if transcript is None:
        click.echo("no such exchange", err=True)
        sys.exit(EXIT_FINDING)
    play(transcript.pieces, 0.0 if no_wait else 1 / speed, as_json=as_json)
    if not transcript.closed:
        click.echo("the exchange has no recorded end yet; this is what is there so far", err=True)


@command.command("verify")
@_config
@_store
@_json
@click.option(
    "--public-key", type=click.Path(path_type=Path, exists=True, dir_okay=False), help="deployment.pub; with --store."
)
@click.option("--until", default="", help="Prove up to this time only: an epoch that goes on later needs no end.")
def verify_command(
    *, config: Path | None, store: Path | None, as_json: bool, public_key: Path | None, until: str
) -> None:
    """Prove the log, or say where it does not hold. Exit 0 proven, 1 a finding, 2 incomplete."""
    from extproc.audit.keys import PUBLIC_KEY, load_public_key  # noqa: PLC0415
    from extproc.audit.refusal import AuditRefused  # noqa: PLC0415
    from extproc.audit.verify import verify  # noqa: PLC0415
    from extproc.cli.audit_view import print_report  # noqa: PLC0415

    where = _where(config, store)
    if public_key is None and where.settings is None:
        raise click.UsageError("--store needs --public-key")
    try:
        key = load_public_key(public_key or where.settings.keys / PUBLIC_KEY)  # type: ignore[union-attr]
    except AuditRefused as error:
        _fail(str(error))
    report = verify(
        where.store, key, deployment=where.deployment, spool=where.spool, until_ms=_since(until) if until else None
    )
    print_report(report, as_json=as_json)
    sys.exit(report.exit_code)
