"""What the supervisor read of the configuration, watched: another one is taken over without a restart."""

import asyncio
import logging
import time
from dataclasses import dataclass
from pathlib import Path

from extproc.core.document import DocumentInvalid, Problem
from extproc.core.reasons import Unavailable
from extproc.core.record import EventCode, Outcome
from extproc.edge.configuration_takeover import Prepared, Takeover
from extproc.edge.identity_control import Note, Signal
from extproc.edge.policy_file import places_of
from extproc.edge.program import digest_file
from extproc.edge.settings_file import load_settings_as_read

CONTROL = "configuration"
POLL_SECONDS = 0.3
RETRY_SECONDS = 2.0
"""Until what could not be taken over is tried again: what it needs, a credential's file, may come later."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class AsRead:
    """Where a worker's settings come from: `copy` holds what the supervisor read of `config`.

    `digest` is that of the copy just before the settings were read of it: one that came in between is seen as another.
    """

    copy: Path
    config: Path
    digest: str


class ConfigurationWatch:
    """Takes over what the copy holds, once the supervisor has put another one there, with one rename.

    One that cannot be taken over leaves the last good one in force, is a recorded failure of the control
    `configuration`, and is tried again.
    """

    def __init__(self, as_read: AsRead, takeover: Takeover, note: Note, signal: Signal) -> None:
        self._as_read = as_read
        self._takeover = takeover
        self._note = note
        self._signal = signal
        self._in_force = as_read.digest
        self._refused: str | None = None
        self._again_at = 0.0
        self._noted = False

    @property
    def failing(self) -> bool:
        """What the copy holds is not in force."""
        return self._refused is not None

    async def run(self) -> None:
        """Watch until cancelled."""
        self._signal.control_failure(CONTROL, failing=False)
        while True:
            await asyncio.sleep(POLL_SECONDS)
            await self.look()

    async def look(self) -> None:
        # In threads: a file system that hangs must not stop the exchanges.
        found = await asyncio.to_thread(digest_file, self._as_read.copy)
        if found == self._in_force:
            self._refused = None
        elif found != self._refused or time.monotonic() >= self._again_at:
            await self._take(found)
        self._tell()

    async def _take(self, digest: str) -> None:
        try:
            prepared = await asyncio.to_thread(self._prepare)
        except DocumentInvalid as invalid:  # its own problems, or those of a policy that does not fit it
            self._refuse(digest, invalid.problems)
            return
        except Exception as error:  # noqa: BLE001 - a boundary: a worker that ended would come back without it
            failure = f"it cannot be taken over ({type(error).__name__})"
            self._refuse(digest, (Problem("(document)", 1, 1, failure),))
            return
        if await asyncio.to_thread(digest_file, self._as_read.copy) != digest:
            return  # another one by now: the next look takes that
        if self._takeover.put(prepared, digest):
            self._in_force, self._refused = digest, None

    def _prepare(self) -> Prepared:
        return self._takeover.prepare(load_settings_as_read(self._as_read.copy, self._as_read.config))

    def _refuse(self, digest: str, problems: tuple[Problem, ...]) -> None:
        if digest != self._refused:
            _log.error(
                "the configuration is not taken over; the last good one stays", extra={"problems": places_of(problems)}
            )
        self._refused, self._again_at = digest, time.monotonic() + RETRY_SECONDS

    def _tell(self) -> None:
        """Record that it fails, or no longer does. What cannot be recorded now is tried again at the next look."""
        if self.failing is self._noted:
            return
        code = EventCode.CONTROL_FAILURE if self.failing else EventCode.CONTROL_RESTORED
        try:
            self._note(code, Outcome.FAILED if self.failing else Outcome.SUCCEEDED, control=CONTROL)
        except Unavailable:
            _log.error("the state of the configuration could not be recorded", extra={"event_code": code.value})
            return
        self._noted = self.failing
        self._signal.control_failure(CONTROL, failing=self.failing)
