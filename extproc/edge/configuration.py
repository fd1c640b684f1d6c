"""config.yaml while the service runs: another one is taken over, refused, or waits for a restart. Never a part of one.

What may change under traffic are the model servers (`connections`) and who is believed (`identity`). Everything else is
in sockets, listeners, keys and stores that were opened at start: a file that changes any of it waits whole.
"""

import logging
import time
from collections.abc import Callable
from dataclasses import fields
from enum import Enum
from pathlib import Path
from typing import Final, Protocol

from extproc.audit.files import replace
from extproc.audit.log.own_records import Detail
from extproc.core.document import DocumentInvalid
from extproc.core.policy_document import PolicyInvalid
from extproc.core.record import EventCode, Outcome
from extproc.edge.bounded_file import read_bounded, read_failure
from extproc.edge.policy_file import Fitness, load_policy, places_of
from extproc.edge.program import digest
from extproc.edge.settings import TAKEN_OVER, Settings
from extproc.edge.settings_file import load_settings_as_read

CONTROL: Final = "configuration"
LOOK_SECONDS: Final = 0.5
SETTLED_SECONDS: Final = 2.0
"""How long a file stays as it is until it counts: what is written in place is half for a while."""
RETRY_SECONDS: Final = 5.0
"""Until a refused file is judged again: what it names may have come (a mounted Secret, a policy that fits)."""
AS_READ: Final = "config.as-read.yaml"
"""In the run directory: what is in force. Workers watch it."""
_NEXT: Final = "config.next.yaml"

_log = logging.getLogger(__name__)


class Verdict(Enum):
    """On the file as it is now."""

    IN_FORCE = "in force"
    WAITS = "waits for a restart"
    REFUSED = "refused"


class Note(Protocol):
    """Records what the service itself did. Why it could not be recorded; empty: it is."""

    def __call__(self, code: EventCode, status: Outcome, detail: Detail) -> str: ...


Direct = Callable[[Path, Path, str], str]
"""Has Envoy lead also to the model servers of another configuration: the file with it, the file with the one in force,
its digest. What went wrong; empty: Envoy has it."""


def waits_for_restart(now: Settings, then: Settings) -> tuple[str, ...]:
    """The settings that differ and cannot change under traffic, in the order of `Settings`."""
    names = (each.name for each in fields(Settings) if each.name not in TAKEN_OVER)
    return tuple(name for name in names if getattr(now, name) != getattr(then, name))


class Configuration:
    """Looks at the file when told, from one thread. What others may ask is read from any."""

    def __init__(
        self, settings: Settings, path: Path, *, note: Note, direct: Direct, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """`settings` are what `path` holds now. Raises `OSError`."""
        self._path = path
        self._settings = settings
        self._note = note
        self._direct = direct
        self._clock = clock
        self._data = read_bounded(path)
        self._seen = self._judged = self._in_force = digest(self._data)
        self._seen_at = self._judged_at = clock()
        self._again = False
        """What was judged is judged again after a while."""
        self._astray = False
        """Envoy may have been led to what is not in force."""
        self._recorded = ""
        """What was recorded and is not in force yet."""
        self._told: object = None
        self._unrecorded: list[tuple[EventCode, Outcome, Detail]] = []
        self.verdict = Verdict.IN_FORCE
        self.settings = settings
        """In force."""

    @property
    def as_read(self) -> Path:
        """The file that workers read."""
        return self._settings.run_directory / AS_READ

    @property
    def digest(self) -> str:
        """Of what is in force."""
        return self._in_force

    @property
    def failing(self) -> frozenset[str]:
        """The control, while the file is refused."""
        return frozenset({CONTROL} if self.verdict is Verdict.REFUSED else ())

    def keep(self) -> None:
        """Write what is in force, for workers. Raises `OSError`."""
        replace(self.as_read, self._data)

    def offer(self) -> Path:
        """Write what is in force, for Envoy: where no worker reads it. Raises `OSError`."""
        copy = self._settings.run_directory / _NEXT
        replace(copy, self._data)
        return copy

    def look(self) -> None:
        """Judge the file when it has changed and settled, or when it was refused a while ago."""
        self._record_owed()
        try:
            data, failure = read_bounded(self._path), ""
        except OSError as error:
            data, failure = b"", read_failure(error)
        now, seen = self._clock(), failure or digest(data)
        if seen != self._seen:
            self._seen, self._seen_at = seen, now
        again = self._again and now - self._judged_at >= RETRY_SECONDS
        if now - self._seen_at >= SETTLED_SECONDS and (seen != self._judged or again):
            self._judged, self._judged_at, self._again = seen, now, False
            self._judge(data, failure)

    def _judge(self, data: bytes, failure: str) -> None:
        if failure:
            self._refuse((failure,))
            return
        try:
            if self._judged == self._in_force:
                self._return()
            else:
                self._consider(data)
        except DocumentInvalid as invalid:  # its own problems, or those of a policy that does not fit it
            fitting = "the policy does not fit: " if isinstance(invalid, PolicyInvalid) else ""
            self._refuse(tuple(f"{fitting}{place}" for place in places_of(invalid.problems)))
        except OSError as error:
            self._refuse((f"it cannot be taken over: {error.strerror}",))
        except Exception as error:  # noqa: BLE001 - a boundary: whatever it is, the last good one stays, and that is told
            self._refuse((f"it cannot be taken over ({type(error).__name__})",))

    def _consider(self, data: bytes) -> None:
        """Raises `DocumentInvalid` and `OSError`."""
        copy = self._settings.run_directory / _NEXT
        replace(copy, data)
        settings = load_settings_as_read(copy, self._path)
        waiting = waits_for_restart(self.settings, settings)
        if waiting:
            self._settle(Verdict.WAITS, "the configuration counts after a restart", settings=waiting)
            return
        load_policy(settings.policy_file, Fitness.of(settings))
        self._astray = True
        if failure := self._direct(copy, self.as_read, self._judged):
            self._refuse((failure,))
            return
        change = {"configuration_digest": self._judged, "previous_digest": self._in_force}
        recorded = self._recorded == self._judged
        if not recorded and (failure := self._note(EventCode.ADMIN_CONFIG_CHANGE, Outcome.SUCCEEDED, {**change})):
            _log.error("the new configuration cannot be recorded, and waits for that", extra={"failure": failure})
            self._again = True  # nothing changes that is not recorded
            return
        self._recorded = self._judged
        replace(self.as_read, data)  # what workers cannot read is not in force
        self.settings, self._data, self._in_force = settings, data, self._judged
        self._astray, self._recorded = False, ""
        names = sorted(each.name for each in settings.connections)
        self._settle(Verdict.IN_FORCE, "configuration replaced", connections=names, **change)

    def _return(self) -> None:
        """To what is in force, from what was tried meanwhile. Raises `OSError`."""
        if self._astray and (failure := self._direct(self.as_read, self.as_read, self._in_force)):
            self._refuse((failure,))
            return
        self._astray = False
        if self._recorded:
            self.keep()
            change: Detail = {"configuration_digest": self._in_force, "previous_digest": self._recorded}
            self._owe(EventCode.ADMIN_CONFIG_CHANGE, Outcome.SUCCEEDED, change)
            self._recorded = ""
        self._settle(Verdict.IN_FORCE, "the file is again the configuration in force")

    def _settle(self, verdict: Verdict, sentence: str, **said: object) -> None:
        """The file is a configuration."""
        if self.verdict is Verdict.REFUSED:
            self._owe(EventCode.CONTROL_RESTORED, Outcome.SUCCEEDED, {"control": CONTROL})
        if (verdict, self._judged) != self._told:
            _log.log(logging.WARNING if verdict is Verdict.WAITS else logging.INFO, sentence, extra=said)
        self.verdict, self._told = verdict, (verdict, self._judged)

    def _refuse(self, places: tuple[str, ...]) -> None:
        """The file is none, for now. The last good one stays."""
        self._again = True
        if self.verdict is not Verdict.REFUSED:
            detail: Detail = {"control": CONTROL, "problems": len(places)}
            if self._judged.startswith("sha256:"):
                detail["refused_digest"] = self._judged
            self._owe(EventCode.CONTROL_FAILURE, Outcome.FAILED, detail)
        if places != self._told:
            said = {"file": str(self._path), "problems": places}
            _log.error("the new configuration is refused; the last good one stays", extra=said)
        self.verdict, self._told = Verdict.REFUSED, places

    def _owe(self, code: EventCode, status: Outcome, detail: Detail) -> None:
        self._unrecorded.append((code, status, detail))
        self._record_owed()

    def _record_owed(self) -> None:
        """The oldest first, as far as it can be recorded now."""
        while self._unrecorded and not self._note(*self._unrecorded[0]):
            del self._unrecorded[0]
