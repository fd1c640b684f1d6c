"""Failures of controls and pauses of the log, each with its beginning, its end and its cause (PCI DSS v4.0.1 10.7.3).

A failure is over when the same writer says so. What a worker found out about its own epoch is over with the epoch.
"""

from dataclasses import dataclass, field

from extproc.audit.log.alarms import Control
from extproc.core.record import EventCode, Record

MAX_INCIDENTS = 5_000
PAUSE = "new exchanges"
"""What a pause of the log stops."""
_OF_AN_EPOCH = frozenset({*Control, "policy", PAUSE})
"""These are states of a worker; the store's failure is the deployment's."""
_BEGINS = {EventCode.CONTROL_FAILURE, EventCode.LOG_PAUSE}
_ENDS = {EventCode.CONTROL_RESTORED, EventCode.LOG_RESUME}
_EPOCH_ENDS = {EventCode.LOG_STOP, EventCode.LOG_ADOPT}


@dataclass(slots=True)
class Incident:
    """Unix milliseconds. `start_ms` 0: it began before the period. `end_ms` 0: it is not over in the records."""

    control: str
    writer: str
    cause: str
    start_ms: int
    end_ms: int = 0
    with_epoch: bool = False
    """It ended because the process that said so ended."""
    origin: str = ""
    reports: int = 1

    @property
    def duration_ms(self) -> int | None:
        return self.end_ms - self.start_ms if self.start_ms and self.end_ms else None


@dataclass(slots=True)
class Incidents:
    """Pairs what the records of one writer say, in their order."""

    found: list[Incident] = field(default_factory=list)
    more: int = 0
    _open: dict[tuple[str, str], Incident] = field(default_factory=dict)

    def add(self, writer: str, origin: str, record: Record) -> None:
        if record.event_code in _EPOCH_ENDS:
            self._end_epoch(origin, record.time_ms)
        elif record.event_code in _BEGINS | _ENDS:
            paused = record.event_code in (EventCode.LOG_PAUSE, EventCode.LOG_RESUME)
            control = PAUSE if paused else str(record.detail.get("control", "unnamed"))
            if record.event_code in _BEGINS:
                self._begin(control, writer, origin, record)
            else:
                self._end(control, writer, origin, record)

    def _begin(self, control: str, writer: str, origin: str, record: Record) -> None:
        known = self._open.get((control, writer))
        if known is not None:
            known.reports += 1
            known.origin = origin
            return
        incident = Incident(control, writer, _cause(record), record.time_ms, origin=origin)
        self._open[control, writer] = incident
        self._keep(incident)

    def _end(self, control: str, writer: str, origin: str, record: Record) -> None:
        incident = self._open.pop((control, writer), None)
        if incident is None:
            self._keep(Incident(control, writer, _cause(record), 0, record.time_ms, origin=origin))
        else:
            incident.end_ms = record.time_ms

    def _end_epoch(self, origin: str, time_ms: int) -> None:
        over = [key for key, each in self._open.items() if each.origin == origin and each.control in _OF_AN_EPOCH]
        for key in over:
            incident = self._open.pop(key)
            incident.end_ms, incident.with_epoch = time_ms, True

    def _keep(self, incident: Incident) -> None:
        if len(self.found) < MAX_INCIDENTS:
            self.found.append(incident)
        else:
            self.more += 1


def _cause(record: Record) -> str:
    """What the record says beside the control's name."""
    words = {key: value for key, value in record.detail.items() if key not in ("control", "certificate")}
    return ", ".join(f"{key.replace('_', ' ')} {value}" for key, value in words.items()) or "not said"
