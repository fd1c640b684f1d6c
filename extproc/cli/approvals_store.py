"""What every command of `extproc approvals` stands on: the store, the records of a decision, the exit codes."""

import functools
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NoReturn

import click

from extproc.approvals.revisions import Unusable
from extproc.approvals.store import ApprovalStore, open_store
from extproc.audit.keys.keys import open_keys
from extproc.audit.refusal import AuditRefused
from extproc.cli.config import EXIT_FINDING, EXIT_INPUT
from extproc.core.approval import TransitionCode, TransitionRefused
from extproc.core.reasons import REFUSALS, Malformed, Reason, Unavailable, Unverified
from extproc.core.record import Record
from extproc.edge.settings import Settings

_WRONG_INPUT = {
    TransitionCode.UNKNOWN,
    TransitionCode.REASON_EMPTY,
    TransitionCode.REASON_TOO_LONG,
    TransitionCode.REASON_UNPRINTABLE,
}
as_machine = click.option("--json", "as_machine", is_flag=True, help="For machines.")


NOT_CARRIED_OUT = "The decision cannot be recorded and is not carried out."
NOT_SHOWN = "The reading cannot be recorded, so nothing is shown."


def writer(settings: Settings, otherwise: str) -> Callable[[Sequence[Record]], None]:
    """Durable, or the command ends with the sentence `otherwise`."""

    def write(records: Sequence[Record]) -> None:
        from extproc.audit.log.journal import write_once  # noqa: PLC0415

        try:
            write_once(settings.audit, open_keys(settings.audit), f"cli-{os.getpid()}", records)
        except AuditRefused as refused:
            leave(f"{otherwise} ({refused})", EXIT_INPUT)
        except (Unavailable, OSError):
            leave(otherwise, EXIT_INPUT)

    return write


@contextmanager
def opened_store(settings: Settings) -> Iterator[ApprovalStore]:
    """The store; the keys are read only when a preview is."""
    from extproc.audit.keys.seal import open_bytes, seal_bytes  # noqa: PLC0415

    keys = functools.cache(lambda: open_keys(settings.audit))
    store = open_store(
        settings.approvals,
        lambda context, data: seal_bytes(keys(), context, data),
        lambda context, sealed: open_bytes(keys(), context, sealed),
    )
    try:
        yield store
    finally:
        store.close()


@contextmanager
def exit_codes() -> Iterator[None]:
    """1 for what the rules refuse, 2 for all else, with a fixed sentence on standard error."""
    try:
        yield
    except TransitionRefused as refused:
        leave(refused.sentence, EXIT_INPUT if refused.code in _WRONG_INPUT else EXIT_FINDING)
    except Malformed as error:
        if error.reason is not Reason.TOKEN_MALFORMED:
            leave("The masked request cannot be opened with the keys of this configuration.", EXIT_INPUT)
        leave(REFUSALS[error.reason].sentence, EXIT_INPUT)
    except Unusable as error:
        leave(error.sentence, EXIT_INPUT)
    except (Unverified, Unavailable) as error:
        leave(REFUSALS[error.reason].sentence, EXIT_INPUT)
    except AuditRefused as error:
        leave(f"The keys cannot be used: {error}", EXIT_INPUT)


def leave(sentence: str, code: int) -> NoReturn:
    """End with a sentence on standard error."""
    click.echo(sentence, err=True)
    sys.exit(code)


def with_id(function: Callable[..., Any]) -> Callable[..., Any]:
    """The argument that names an approval."""
    return click.argument("approval_id", metavar="ID")(function)
