"""What `extproc audit shred` and `extproc audit open-sealed` share: who it is, what was asked, the records of both."""

from __future__ import annotations

import functools
import json
import socket
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import click

from extproc.cli.audit_where import fail, find_where, json_option
from extproc.cli.config import EXIT_FINDING, EXIT_INPUT, config_file_option, settings_or_exit
from extproc.cli.output import say
from extproc.cli.person import mask_argument, mask_reason, read_token, said_by_a_person, verify_person

if TYPE_CHECKING:
    from enum import StrEnum

    from extproc.audit.keys.keys import AuditKeys
    from extproc.audit.reading.exchanges import ExchangeRecords
    from extproc.audit.reading.holdings import Holdings
    from extproc.audit.retention.two_people import PersonRequest, TwoPeople
    from extproc.core.identity import Principal
    from extproc.core.record import Record
    from extproc.edge.settings import Settings

    Write = Callable[[Sequence[Record]], str]


@dataclass(frozen=True, slots=True)
class Step:
    """One of the two, by a person who is known. `target` is an exchange's or a request's id.

    What was typed, `reason` and `target`, is masked.
    """

    config: Path
    settings: Settings
    person: Principal
    reason: str
    target: str


def step_of(target: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """The options of one step: the command is given the `Step` first. Anything wrong with it ends the command."""

    def decorate(function: Callable[..., None]) -> Callable[..., None]:
        @click.argument("target", metavar=target)
        @said_by_a_person
        @config_file_option
        @functools.wraps(function)
        def command(
            *, target: str, reason: str, token_file: Path | None, token_stdin: bool, config: Path, **more: Any
        ) -> None:
            function(_begin(config, target, token_file, reason, token_stdin=token_stdin), **more)

        return command

    return decorate


def _begin(config: Path, target: str, token_file: Path | None, reason: str, *, token_stdin: bool) -> Step:
    from extproc.core.approval import DecisionRefused, checked_reason  # noqa: PLC0415
    from extproc.core.reasons import REFUSALS, ExchangeError  # noqa: PLC0415

    token = read_token(token_file, from_stdin=token_stdin)
    settings = settings_or_exit(config)
    try:
        person = verify_person(settings, token)
        return Step(config, settings, person, checked_reason(mask_reason(reason)), mask_argument(target[:128]))
    except DecisionRefused as refused:
        fail(refused.sentence)
    except ExchangeError as error:
        fail(REFUSALS[error.reason].sentence)


@contextmanager
def writing(act: TwoPeople, settings: Settings, otherwise: str) -> Iterator[tuple[AuditKeys, Write]]:
    """The deployment's keys, and what writes records. A log that cannot be read or written ends the command."""
    from extproc.audit.keys.keys import open_keys  # noqa: PLC0415
    from extproc.audit.refusal import AuditRefused  # noqa: PLC0415
    from extproc.audit.stores.store import StoreFailed  # noqa: PLC0415

    try:
        keys = open_keys(settings.audit)
        yield keys, functools.partial(write_records, settings, keys, act.writer, otherwise)
    except (AuditRefused, StoreFailed, OSError) as error:
        fail(f"Not done: {error}")


def write_records(settings: Settings, keys: AuditKeys, writer: str, otherwise: str, records: Sequence[Record]) -> str:
    """The origin of the records, once they are durable. When they cannot be, the command ends with `otherwise`."""
    from extproc.audit.log.journal import write_once  # noqa: PLC0415
    from extproc.audit.refusal import AuditRefused  # noqa: PLC0415
    from extproc.core.reasons import Unavailable  # noqa: PLC0415

    try:
        return write_once(settings.audit, keys, writer, records)
    except (AuditRefused, Unavailable, OSError):
        fail(f"The step cannot be recorded. {otherwise}")


@contextmanager
def refusals(act: TwoPeople, write: Write, person: Principal, exchange_id: str) -> Iterator[None]:
    """A try without the right to it is evidence as well (PCI DSS 10.2.1.4)."""
    from extproc.audit.retention.two_people import RequestRefused  # noqa: PLC0415
    from extproc.core.record import Outcome  # noqa: PLC0415

    try:
        yield
    except RequestRefused as refused:
        write(
            [
                act.record(
                    act.refused,
                    person,
                    exchange_id,
                    source=socket.gethostname(),
                    detail={"refused": refused.code.value},
                    status=Outcome.REFUSED,
                )
            ]
        )
        _leave(refused.sentence, refused.code)


def _leave(sentence: str, code: StrEnum) -> NoReturn:
    """With 1 where who asks may not, or the log lacks a key; with 2 where there is nothing of what was asked for."""
    from extproc.audit.retention.shred_request import ShredCode  # noqa: PLC0415
    from extproc.audit.retention.two_people import RequestCode  # noqa: PLC0415

    click.echo(sentence, err=True)
    findings = {RequestCode.NOT_IN_GROUP, RequestCode.OWN_REQUEST, ShredCode.KEY_GONE}
    sys.exit(EXIT_FINDING if code in findings else EXIT_INPUT)


def ask(
    act: TwoPeople,
    step: Step,
    groups: tuple[str, ...],
    check: Callable[[ExchangeRecords | None], object],
    otherwise: str,
) -> None:
    """Record the request, and print its id. `check` raises `RequestRefused` for an exchange that is none for it."""
    from extproc.audit.reading.exchanges import show_exchange  # noqa: PLC0415
    from extproc.audit.retention.two_people import request_id_of  # noqa: PLC0415

    where = find_where(step.config, None)
    where.record_read(act.operation, {"exchange": step.target})
    with writing(act, step.settings, otherwise) as (_, write), refusals(act, write, step.person, step.target):
        act.check_person(groups, step.person)
        check(show_exchange(where.look(), step.target))
        said: dict[str, str | int | float | bool] = {"reason": step.reason}
        origin = write([act.record(act.asked, step.person, step.target, source=socket.gethostname(), detail=said)])
    say(request_id_of(origin))
    command = act.operation.replace(".", " ")
    click.echo(f"requested; another person confirms it with `extproc {command} confirm` within 24 hours", err=True)


def find_asked(
    act: TwoPeople, step: Step, groups: tuple[str, ...], write: Write, look: Callable[[], Holdings]
) -> PersonRequest:
    """The request that this step confirms. What is refused is recorded, and ends the command."""
    from extproc.audit.keys.public_keys import PUBLIC_KEY, load_public_key  # noqa: PLC0415

    with refusals(act, write, step.person, ""):
        act.check_person(groups, step.person)
        key = load_public_key(step.settings.audit.keys / PUBLIC_KEY)
        return act.find_request(look(), key, step.settings.deployment, step.target)
    raise AssertionError("what is refused ends the command")


def listing(act: Callable[[], TwoPeople]) -> click.Command:
    """The command that lists what was asked."""

    @click.command("list")
    @json_option
    @config_file_option
    def list_command(*, as_json: bool, config: Path) -> None:
        """Requests of the last 24 hours."""
        _list(act(), config, as_json=as_json)

    return list_command


def _list(act: TwoPeople, config: Path, *, as_json: bool) -> None:
    """Those of the last 24 hours; the reading is recorded first."""
    from extproc.audit.keys.public_keys import PUBLIC_KEY, load_public_key  # noqa: PLC0415
    from extproc.audit.reading.reader import time_text  # noqa: PLC0415
    from extproc.audit.refusal import AuditRefused  # noqa: PLC0415
    from extproc.core.printable import printable_line  # noqa: PLC0415

    where = find_where(config, None)
    assert where.settings is not None  # noqa: S101 - a configuration was given
    where.record_read(f"{act.operation}.list", {})
    try:
        key = load_public_key(where.settings.keys / PUBLIC_KEY)
    except AuditRefused as error:
        fail(str(error))
    for request in act.open_requests(where.look(), key, where.deployment, int(time.time() * 1000)):
        row = {
            "request": request.id,
            "time": time_text(request.asked_ms),
            "exchange": request.exchange_id,
            "requester": request.requester_name or request.requester_uid,
            "requester_uid": request.requester_uid,
            "reason": request.reason,
        }
        if as_json:
            say(json.dumps(row))
        else:
            words = (row[name] for name in ("request", "time", "exchange", "requester", "reason"))
            say("  ".join(map(printable_line, words)))
