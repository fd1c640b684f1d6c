"""A new policy is recorded, in force and told; one that is refused is a failing control (PCI DSS 10.2.1.2, 10.7.2)."""

import asyncio
import logging
import re
import time
from collections import deque
from dataclasses import dataclass, field
from typing import Final, Protocol

from extproc.core.document import Problem
from extproc.core.policy import Policy
from extproc.core.reasons import Unavailable
from extproc.core.record import EventCode, Outcome, Record
from extproc.core.schema import load_schema
from extproc.edge.kubernetes_events import Notice
from extproc.edge.policy_file import Fitness, PolicyFile, places_of
from extproc.edge.policy_in_force import PolicyInForce, own_record

CONTROL: Final = "policy"
RETRY_SECONDS: Final = 0.5
MAX_OWED: Final = 1000
"""Records that wait for the journal; of more the oldest are given up."""

_log = logging.getLogger(__name__)


class Journal(Protocol):
    def append_record(self, record: Record) -> object:
        """Raises `Unavailable`."""


class Signal(Protocol):
    """The metrics of failing controls and of the policy in force."""

    def control_failure(self, control: str, failing: bool) -> None: ...

    def set_policy(self, digest: str, loaded_unix: float) -> None: ...


class Teller(Protocol):
    """Tells the cluster."""

    def tell(self, notice: Notice) -> None: ...


@dataclass(frozen=True, slots=True)
class _Event:
    """What is to be recorded, and when it happened, in Unix seconds."""

    code: EventCode
    status: Outcome
    policy_digest: str
    at: float
    detail: dict[str, str | float | bool] = field(default_factory=dict)

    def record(self) -> Record:
        """As of now: the log is read by the time of recording, and `late_seconds` says how long before it happened."""
        late = int(time.time() - self.at)
        return own_record(
            self.code, self.status, self.policy_digest, **self.detail, **({"late_seconds": late} if late > 0 else {})
        )


def _first_place(problems: tuple[Problem, ...]) -> dict[str, str | float | bool]:
    """Where the first problem is. No text of the document: of its path only the part, and which one of a list."""
    if not problems:
        return {}
    part = re.match(r"\w+(\[\d+\])?", problems[0].path)
    known = part is not None and part[0].partition("[")[0] in load_schema("policy")["properties"]
    place: dict[str, str | float | bool] = {"line": problems[0].line, "column": problems[0].column}
    return place | ({"path": part[0]} if part is not None and known else {})


class PolicyControl:
    """Puts in force what its `file` finds.

    While nothing can be recorded every exchange is refused too, and a reload must not end the worker: what could not be
    recorded is kept, and is recorded, in its order, once that is possible.
    """

    def __init__(self, in_force: PolicyInForce, journal: Journal, signal: Signal, teller: Teller) -> None:
        self._in_force = in_force
        self._journal = journal
        self._signal = signal
        self._teller = teller
        self._failing = False
        self._owed: deque[_Event] = deque(maxlen=MAX_OWED)
        settings = in_force.settings
        self.file = PolicyFile(
            settings.policy_file, on_change=self.changed, on_failure=self.failed, fitness=Fitness.of(settings)
        )

    def begin(self, policy: Policy) -> None:
        """The first policy. The record that began the log names the file as it was then, which may be another."""
        named = self._in_force.settings.audit.policy_digest
        if policy.digest != named:
            self._note(EventCode.ADMIN_POLICY_CHANGE, Outcome.SUCCEEDED, policy, previous_digest=named)
        self._put(policy)
        self._signal.control_failure(CONTROL, failing=False)

    def changed(self, policy: Policy) -> None:
        """Another policy, or the one in force once more, after a failure: that is no change, and it gets no younger."""
        before = self._in_force.get().policy.digest
        if policy.digest != before:
            self._note(EventCode.ADMIN_POLICY_CHANGE, Outcome.SUCCEEDED, policy, previous_digest=before)
            self._put(policy)
        if self._failing:
            self._failing = False
            self._note(EventCode.CONTROL_RESTORED, Outcome.SUCCEEDED, policy, control=CONTROL)
            self._signal.control_failure(CONTROL, failing=False)
        if policy.digest == before:
            self._teller.tell(Notice("PolicyReturned", f"the policy {policy.digest} stays in force", warning=False))
            _log.info("the file is again the policy in force", extra={"policy_digest": policy.digest})
            return
        self._teller.tell(Notice("PolicyReplaced", f"the policy {policy.digest} is in force", warning=False))
        _log.info("policy replaced", extra={"policy_digest": policy.digest})

    def failed(self, problems: tuple[Problem, ...]) -> None:
        """A policy that is none. The last good one stays."""
        self._failing = True
        current = self._in_force.get().policy
        self._note(
            EventCode.CONTROL_FAILURE,
            Outcome.FAILED,
            current,
            control=CONTROL,
            problems=len(problems),
            **_first_place(problems),
            **({"refused_digest": self.file.refused_digest} if self.file.refused_digest else {}),
        )
        self._signal.control_failure(CONTROL, failing=True)
        places = places_of(problems)
        told = f"the new policy is refused; {current.digest} stays in force: {'; '.join(places)}"
        self._teller.tell(Notice("PolicyRefused", told, warning=True))
        file = str(self._in_force.settings.policy_file)
        _log.error("the new policy is refused; the last good one stays", extra={"file": file, "problems": places})

    async def run(self) -> None:
        """Watch the file, and record what is owed, until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self.file.run())
            tasks.create_task(self._retry())

    async def _retry(self) -> None:
        try:
            while True:
                await asyncio.sleep(RETRY_SECONDS)
                self.record_owed()
        finally:
            self.record_owed()

    def record_owed(self) -> None:
        """The oldest first, as far as it can be recorded now."""
        while self._owed:
            try:
                self._journal.append_record(self._owed[0].record())
            except Unavailable:
                return
            self._owed.popleft()

    def _note(self, code: EventCode, status: Outcome, policy: Policy, **detail: str | float | bool) -> None:
        self._owed.append(_Event(code, status, policy.digest, time.time(), detail))
        self.record_owed()
        if self._owed:
            _log.error("what happened to the policy could not be recorded yet", extra={"event_code": code.value})

    def _put(self, policy: Policy) -> None:
        self._in_force.put(policy)
        self._signal.set_policy(policy.digest, time.time())
