"""That a rule in shadow is enforced or taken out in time is a control: one whose last day has passed is recorded.

It is shown as failing until the policy is changed, and stays in shadow: a date must not change what is let through.
"""

import asyncio
import logging
from collections.abc import Callable
from datetime import UTC, date, datetime
from typing import Final

from extproc.core.policy import Policy
from extproc.core.policy_document import expired_shadows
from extproc.core.reasons import Unavailable
from extproc.core.record import EventCode, Outcome
from extproc.edge.identity_control import Note, Signal

CONTROL: Final = "policy-shadow"
LOOK_SECONDS: Final = 5.0

_log = logging.getLogger(__name__)


class ShadowControl:
    """Looks at the policy until cancelled. One record when the shadow of a rule is over, one when that is mended."""

    def __init__(self, policy: Callable[[], Policy], note: Note, signal: Signal) -> None:
        self._policy = policy
        self._note = note
        self._signal = signal
        self._noted: frozenset[str] = frozenset()

    async def run(self) -> None:
        self._signal.control_failure(CONTROL, failing=False)
        while True:
            self.look(datetime.now(UTC).date())
            await asyncio.sleep(LOOK_SECONDS)

    def look(self, today: date) -> None:
        """Record what has changed. What cannot be recorded now is tried again at the next look."""
        over = frozenset(expired_shadows(self._policy(), today))
        for rule in sorted(over ^ self._noted):
            code = EventCode.CONTROL_FAILURE if rule in over else EventCode.CONTROL_RESTORED
            status = Outcome.FAILED if rule in over else Outcome.SUCCEEDED
            try:
                self._note(code, status, control=CONTROL, rule=rule)
            except Unavailable:
                _log.error("the end of a shadow could not be recorded", extra={"event_code": code.value})
                continue
            if rule in over:
                _log.error("a rule's shadow is over; enforce it or take it out", extra={"rule": rule})
            before, self._noted = self._noted, self._noted ^ {rule}
            if bool(before) != bool(self._noted):
                self._signal.control_failure(CONTROL, failing=bool(self._noted))
