"""What of the log fails, and whether it takes new exchanges. Each change is a record, once (PCI DSS 10.7.2, 10.7.3).

Between a `log.pause` and its `log.resume` no exchange begins. A control fails from its `control.failure` to its
`control.restored` or, when there is none, to the end of the epoch.
"""

from dataclasses import dataclass, field
from enum import StrEnum

from extproc.audit.log.clock import Step, Synchronised
from extproc.audit.log.own_records import Detail
from extproc.core.record import EventCode, Outcome

SOFT_SHARE = 0.6
"""Of `max_spool_bytes`: from here on the spool is an alarm, long before it is full."""
CALM_SHARE = 0.5
"""Below it the alarm ends: a spool that stays around the limit is one alarm."""


class Control(StrEnum):
    """Which control of the log failed."""

    SPOOL = "audit_spool"
    CLOCK = "clock"


class Cause(StrEnum):
    """Why no new exchange is taken."""

    SPOOL_FULL = "spool_full"
    DISK_FULL = "disk_full"
    STORE_LAGS = "store_lags"
    STORE_DIVERGES = "store_diverges"
    CLOCK = "clock"


@dataclass(frozen=True, slots=True)
class Sight:
    """What the keeper found at one look."""

    used_bytes: int
    limit_bytes: int
    lag_seconds: float
    spool_full: bool
    disk_full: bool
    store_lags: bool
    store_diverges: bool
    """It holds other bytes in the place of a segment."""
    step: Step | None
    synchronised: Synchronised
    clock_must_hold: bool
    """A clock that is not known to be synchronised refuses new exchanges."""


@dataclass(frozen=True, slots=True)
class Change:
    """A record to be written."""

    event_code: EventCode
    status: Outcome
    detail: Detail


@dataclass(slots=True)
class _Since:
    cause: str
    at: float


@dataclass(slots=True)
class Alarms:
    """The state of one epoch's alarms. `look` is for one thread; the rest may be read by any."""

    paused: frozenset[Cause] = frozenset()
    failing: frozenset[Control] = frozenset()
    _since: dict[Control, _Since] = field(default_factory=dict)
    _paused: _Since | None = None
    _was_synchronised: bool = False

    def look(self, sight: Sight, now: float) -> list[Change]:
        """What changed since the last look; `now` is monotonic seconds."""
        changes = self._control(Control.SPOOL, self._spool(sight), _spool_detail(sight), now)
        changes += self._control(Control.CLOCK, self._clock(sight), _clock_detail(sight), now)
        changes += self._pause(_causes(sight), sight, now)
        self.failing = frozenset(self._since)
        return changes

    def _spool(self, sight: Sight) -> str:
        if sight.disk_full:
            return Cause.DISK_FULL
        if sight.spool_full:
            return Cause.SPOOL_FULL
        share = CALM_SHARE if Control.SPOOL in self._since else SOFT_SHARE
        return "soft_limit" if sight.used_bytes > share * sight.limit_bytes else ""

    def _clock(self, sight: Sight) -> str:
        """A clock that never was synchronised is said in `log.start`; that it no longer is, is a failure."""
        if sight.step is not None:
            return "step"
        if sight.synchronised is Synchronised.YES:
            self._was_synchronised = True
            return ""
        lost = self._was_synchronised and sight.synchronised is Synchronised.NO
        return sight.synchronised.value if lost or sight.clock_must_hold else ""

    def _control(self, control: Control, cause: str, detail: Detail, now: float) -> list[Change]:
        since = self._since.get(control)
        if cause and since is None:
            self._since[control] = _Since(cause, now)
            return [Change(EventCode.CONTROL_FAILURE, Outcome.FAILED, {"control": control, "cause": cause, **detail})]
        if since is not None and not cause:
            del self._since[control]
            over: Detail = {"control": control, "cause": since.cause, "failed_ms": round((now - since.at) * 1000)}
            return [Change(EventCode.CONTROL_RESTORED, Outcome.SUCCEEDED, over)]
        return []

    def _pause(self, causes: frozenset[Cause], sight: Sight, now: float) -> list[Change]:
        if causes == self.paused:
            return []
        self.paused = causes
        if causes:
            self._paused = _Since(",".join(sorted(causes)), self._paused.at if self._paused else now)
            detail: Detail = {"cause": self._paused.cause, **_spool_detail(sight)}
            return [Change(EventCode.LOG_PAUSE, Outcome.FAILED, detail)]
        before, self._paused = self._paused, None
        over: Detail = {"cause": before.cause, "paused_ms": round((now - before.at) * 1000)} if before else {}
        return [Change(EventCode.LOG_RESUME, Outcome.SUCCEEDED, over)]


def _causes(sight: Sight) -> frozenset[Cause]:
    holds = {
        Cause.SPOOL_FULL: sight.spool_full and not sight.disk_full,
        Cause.DISK_FULL: sight.disk_full,
        Cause.STORE_LAGS: sight.store_lags,
        Cause.STORE_DIVERGES: sight.store_diverges,
        Cause.CLOCK: sight.clock_must_hold and sight.synchronised is not Synchronised.YES,
    }
    return frozenset(cause for cause, there in holds.items() if there)


def _spool_detail(sight: Sight) -> Detail:
    return {
        "spool_used_bytes": sight.used_bytes,
        "spool_limit_bytes": sight.limit_bytes,
        "store_lag_seconds": round(sight.lag_seconds, 1),
    }


def _clock_detail(sight: Sight) -> Detail:
    detail: Detail = {"clock": sight.synchronised.value}
    if sight.step is not None:
        detail |= {
            "clock_step_ms": sight.step.step_ms,
            "expected_ms": sight.step.expected_ms,
            "found_ms": sight.step.found_ms,
        }
    return detail
