"""Where `extproc audit` reads: the options that every command of the group shares, and the record of each reading."""

from __future__ import annotations

import datetime as dt
import re
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import click
from click.core import ParameterSource

from extproc.cli.config import EXIT_INPUT, settings_or_exit

if TYPE_CHECKING:
    from extproc.audit.reading.holdings import Holdings
    from extproc.audit.reading.reader import Span
    from extproc.audit.settings import AuditSettings
    from extproc.audit.stores.store import ObjectStore
    from extproc.core.record import EventCode

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
        from extproc.audit.reading.holdings import Holdings  # noqa: PLC0415

        with store_failures():
            return Holdings.look(self.store, self.spool, self.deployment)

    def look_at_evidence(self, span: Span) -> Holdings:
        """What there is of the evidence of a span; nothing else is listed."""
        from extproc.audit.reading.holdings import Holdings  # noqa: PLC0415
        from extproc.audit.reading.reader import evidence_of  # noqa: PLC0415

        with store_failures():
            listing = evidence_of(self.deployment, span)
            return Holdings.look(self.store, self.spool, self.deployment, listing=listing)

    def record_read(self, operation: str, detail: dict[str, str | int | float | bool]) -> None:
        """Before anything is shown. Without settings there is no journal to write to.

        What a person typed may be a card number: every text of `detail` is masked, because a record is never changed.
        """
        from extproc.cli.person import mask_argument  # noqa: PLC0415
        from extproc.core.record import EventCode  # noqa: PLC0415

        if self.settings is not None:
            masked = {name: mask_argument(value) if isinstance(value, str) else value for name, value in detail.items()}
            self.record(
                EventCode.AUDIT_READ, operation, masked, "the reading could not be recorded, so nothing is shown"
            )

    def record(
        self, event_code: EventCode, operation: str, detail: dict[str, str | int | float | bool], otherwise: str
    ) -> None:
        """Durable, by who runs the command. When it cannot be, the command ends with `otherwise`."""
        from extproc.audit.keys.keys import open_keys  # noqa: PLC0415
        from extproc.audit.log.journal import write_once  # noqa: PLC0415
        from extproc.audit.refusal import AuditRefused  # noqa: PLC0415
        from extproc.cli.person import account  # noqa: PLC0415
        from extproc.core.reasons import ExchangeError  # noqa: PLC0415
        from extproc.core.record import Actor, Outcome, Record, Resource  # noqa: PLC0415

        if self.settings is None:
            raise ValueError("without settings there is no journal to write to")
        user = account()
        record = Record(
            event_code=event_code,
            time_ms=int(time.time() * 1000),
            actor=Actor(uid=f"os|{user}", name=user),
            status=Outcome.SUCCEEDED,
            src_address="local",
            resource=Resource(connection="audit-log", operation=operation, protocol="cli"),
            detail=detail,
        )
        try:
            write_once(self.settings, open_keys(self.settings), "cli", [record])
        except (ExchangeError, AuditRefused, OSError) as error:
            fail(f"{otherwise} ({error})")


def fail(sentence: str) -> NoReturn:
    """End with exit code 2 and a sentence."""
    click.echo(sentence, err=True)
    sys.exit(EXIT_INPUT)


@contextmanager
def store_failures(what: str = "the audit store could not be read") -> Iterator[None]:
    """A store that cannot be read, or a disk that takes nothing, ends the command."""
    from extproc.audit.stores.store import StoreFailed  # noqa: PLC0415

    try:
        yield
    except BrokenPipeError:  # whoever read our output has had enough
        raise
    except (StoreFailed, OSError) as error:
        fail(f"{what} ({error})")


def find_where(config: Path | None, store: Path | None) -> Where:
    """From the two options; wrong use and wrong settings end the command."""
    from extproc.audit.settings import DirectoryStore  # noqa: PLC0415
    from extproc.audit.stores.store import Directory, open_store  # noqa: PLC0415

    if store is not None:
        typed = click.get_current_context().get_parameter_source("config")
        if config is not None and typed is ParameterSource.COMMANDLINE:
            raise click.UsageError("give --config or --store, not both: only one log is read")
        if not (store / "v1").is_dir():
            fail(f"{store} holds no audit log (no v1/ in it)")
        return Where(None, Directory(DirectoryStore(store)), "")
    if config is None:
        raise click.UsageError("give --config (or EXTPROC_CONFIG) or --store")
    settings = settings_or_exit(config).audit
    return Where(settings, open_store(settings), settings.deployment)


def find_configured(config: Path | None) -> Where:
    """For a command that has no `--store`."""
    if config is None:
        raise click.UsageError("give --config (or EXTPROC_CONFIG)")
    return find_where(config, None)


config_option = click.option(
    "--config",
    type=click.Path(path_type=Path),
    envvar="EXTPROC_CONFIG",
    show_envvar=True,
    help="config.yaml",
)
store_option = click.option(
    "--store",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    help="A copy of the store, instead of --config.",
)
_since = click.option(
    "--since", "--from", "since", default="", help="From then on: a span like `24h`, or an ISO 8601 time (UTC)."
)
_until = click.option("--until", "--to", "until", default="", help="Until before then, likewise.")


def span_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """`--since` and `--until`, in that order of the help."""
    return _since(_until(function))


json_option = click.option("--json", "as_json", is_flag=True, help="JSON, one object a line.")


def no_such_exchange(exchange_id: str) -> NoReturn:
    """End with exit code 2, and name it. A card number that was typed for an id is masked here too."""
    from extproc.cli.person import mask_argument  # noqa: PLC0415
    from extproc.core.printable import printable_line  # noqa: PLC0415

    said = printable_line(mask_argument(exchange_id[:128]))
    fail(f"there is no exchange `{said}`; `extproc audit list` shows which there are")


def since_ms(text: str, option: str) -> int:
    """Unix milliseconds of an ISO 8601 time, or of a span before now; 0 for nothing. What is neither is wrong use."""
    if not text:
        return 0
    try:
        if match := _SPAN.fullmatch(text):
            return int((time.time() - int(match[1]) * _SECONDS[match[2]]) * 1000)
        moment = dt.datetime.fromisoformat(text)
    except (ValueError, OverflowError) as error:
        said = f"{text!a} is neither a span like `24h` nor an ISO 8601 time"
        raise click.BadParameter(said, param_hint=option) from error
    return int((moment if moment.tzinfo else moment.replace(tzinfo=dt.UTC)).timestamp() * 1000)


def span_of(since: str, until: str) -> Span:
    """Of the two options; a span that holds nothing is wrong use."""
    from extproc.audit.reading.reader import FOREVER_MS, Span  # noqa: PLC0415

    since_at, until_at = since_ms(since, "--since (--from)"), since_ms(until, "--until (--to)")
    span = Span(since_at, min(until_at, FOREVER_MS) if until else FOREVER_MS)
    if span.since_ms >= span.until_ms:
        ends = [f"begins at {since!a}"] * bool(since) + [f"ends before {until!a}"] * bool(until)
        raise click.UsageError(f"the span that {' and '.join(ends)} holds nothing; `2h` is two hours ago, `1h` one")
    return span
