"""Epochs that cannot be adopted: how often that was tried, and when the service goes on without them.

Such an epoch stays where it is, for people to look at and for a later version to adopt. After `MAX_TRIES` it no longer
counts as lag, so that one broken journal does not stop a service whose store is sound; that is a control failure, and
the verifier reports a finding until the epoch is adopted after all.
"""

import logging
import time
from dataclasses import dataclass
from pathlib import Path

import msgspec

from extproc.audit.files import replace, sync_directory, write_new
from extproc.audit.keys.keys import AuditKeys
from extproc.audit.log.journal import write_once
from extproc.audit.log.own_records import Detail, log_record
from extproc.audit.log.spool import GIVEN_UP
from extproc.audit.refusal import NOT_PARSED, AuditRefused
from extproc.audit.settings import AuditSettings
from extproc.core.reasons import Unavailable
from extproc.core.record import EventCode, Outcome, Record

MAX_TRIES = 5
RETRY_SECONDS = 600.0
"""Between two tries of an epoch that was given up."""
CONTROL = "audit_adoption"
_TRIES = "tries.json"
_WRITER = "adopter"

_log = logging.getLogger("extproc.audit")


class Unadoptable(Exception):
    """This epoch, and no other, cannot be adopted. The text is the type of what was wrong."""


class _Tries(msgspec.Struct, frozen=True):
    count: int = 0
    first_ms: int = 0
    last_ms: int = 0


@dataclass(frozen=True, slots=True)
class Setbacks:
    """The tries of one epoch, kept in its directory. The caller holds the epoch's lock."""

    settings: AuditSettings
    keys: AuditKeys
    origin: str
    directory: Path

    def may_try(self) -> bool:
        """False for an epoch that was given up and tried again not long ago."""
        if not (self.directory / GIVEN_UP).exists():
            return True
        return abs(_now_ms() - self._tries().last_ms) >= RETRY_SECONDS * 1000

    def note(self, failure: str) -> None:
        """One more. The last one is recorded before it counts. Raises OSError, `Unavailable` or `AuditRefused`."""
        tries, now_ms = self._tries(), _now_ms()
        more = _Tries(tries.count + 1, tries.first_ms or now_ms, now_ms)
        if more.count >= MAX_TRIES and not (self.directory / GIVEN_UP).exists():
            detail: Detail = {
                "control": CONTROL,
                "cause": failure,
                "origin": self.origin,
                "tries": more.count,
                "first_ms": more.first_ms,
            }
            self._record(log_record(EventCode.CONTROL_FAILURE, _WRITER, now_ms, detail, Outcome.FAILED))
            write_new(self.directory / GIVEN_UP, b"")
            _log.critical("an epoch cannot be adopted; the service goes on without it", extra={"origin": self.origin})
        replace(self.directory / _TRIES, msgspec.json.encode(more))

    def forget(self) -> None:
        """The epoch is adopted. Raises OSError, `Unavailable` or `AuditRefused`."""
        tries, now_ms = self._tries(), _now_ms()
        if not tries.count:
            return
        if (self.directory / GIVEN_UP).exists():
            detail: Detail = {"control": CONTROL, "origin": self.origin, "failed_ms": now_ms - tries.first_ms}
            self._record(log_record(EventCode.CONTROL_RESTORED, _WRITER, now_ms, detail))
            (self.directory / GIVEN_UP).unlink()
        (self.directory / _TRIES).unlink(missing_ok=True)
        sync_directory(self.directory)

    def _tries(self) -> _Tries:
        """A count that cannot be read begins anew."""
        try:
            return msgspec.json.decode((self.directory / _TRIES).read_bytes(), type=_Tries)
        except (FileNotFoundError, *NOT_PARSED):
            return _Tries()

    def _record(self, record: Record) -> None:
        write_once(self.settings, self.keys, _WRITER, [record])


def note_setback(setbacks: Setbacks, failure: str) -> None:
    """Note it if that can be noted; else the epoch goes on counting as lag, and is tried again."""
    try:
        setbacks.note(failure)
    except (OSError, Unavailable, AuditRefused) as error:
        _log.error("a failed adoption could not be noted", extra={"failure": type(error).__name__})


def _now_ms() -> int:
    return int(time.time() * 1000)
