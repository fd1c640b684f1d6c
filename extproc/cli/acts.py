"""What somebody does to the deployment by a command: one record, durable, by the account that runs it."""

import os
import time
from typing import TYPE_CHECKING

from extproc.cli.person import account

if TYPE_CHECKING:
    from extproc.core.reasons import Reason
    from extproc.core.record import EventCode, Outcome
    from extproc.edge.settings import Settings


class NotRecorded(Exception):
    """The record is not durable. The text says why, and holds nothing that was typed."""


class FailureNotRecorded(NotRecorded):
    """The log says that something was done, and it was not."""


def record_act(
    settings: "Settings", code: "EventCode", operation: str, detail: "dict[str, str | int | float | bool]"
) -> None:
    """Returns once the record is durable; `operation` is `console.rotate-keys`. Raises `NotRecorded`."""
    from extproc.core.record import Outcome  # noqa: PLC0415

    _store(settings, code, operation, detail, Outcome.SUCCEEDED, "")


def record_failure(
    settings: "Settings",
    code: "EventCode",
    operation: str,
    detail: "dict[str, str | int | float | bool]",
    reason: "Reason",
) -> None:
    """As `record_act`, of what that recorded and `reason` then kept from being done. Raises `FailureNotRecorded`."""
    from extproc.core.record import Outcome  # noqa: PLC0415

    try:
        _store(settings, code, operation, {**detail, "refused": reason.value}, Outcome.FAILED, reason.value)
    except NotRecorded as error:
        raise FailureNotRecorded(str(error)) from error


def _store(  # noqa: PLR0917 - two callers, both above
    settings: "Settings",
    code: "EventCode",
    operation: str,
    detail: "dict[str, str | int | float | bool]",
    status: "Outcome",
    status_detail: str,
) -> None:
    from extproc.audit.keys.keys import open_keys  # noqa: PLC0415
    from extproc.audit.log.journal import write_once  # noqa: PLC0415
    from extproc.audit.refusal import AuditRefused  # noqa: PLC0415
    from extproc.core.reasons import ExchangeError  # noqa: PLC0415
    from extproc.core.record import Actor, Record, Resource  # noqa: PLC0415

    user = account()
    record = Record(
        event_code=code,
        time_ms=int(time.time() * 1000),
        actor=Actor(uid=f"os|{user}", name=user),
        status=status,
        status_detail=status_detail,
        src_address="local",
        resource=Resource(connection="console", operation=operation, protocol="cli"),
        detail=detail,
    )
    try:
        write_once(settings.audit, open_keys(settings.audit), f"cli-{os.getpid()}", [record])
    except (ExchangeError, AuditRefused, OSError) as error:
        raise NotRecorded(str(error)) from error
