"""What the records of a span say of the log's own health: who writes, what failed, which policy each writer serves by,
and what rules in shadow would have done. One pass; memory is bounded by writers and failures, not by records."""

from collections import Counter
from dataclasses import dataclass, field

from extproc.audit.evidence.incidents import Incident, Incidents
from extproc.audit.names import Origin
from extproc.audit.reading.holdings import Holdings
from extproc.audit.reading.reader import Evidence, Reader, Span
from extproc.core.record import ENDS_EXCHANGE, EventCode, Record
from extproc.core.recorded import changing

MAX_WRITERS = 1_000
MAX_EVENTS = 100
"""Of changes of policy, the newest; and of rules in shadow, the first."""
DEFAULT_BEAT_SECONDS = 300.0
_POLICY = "policy"
_MOVES = frozenset({EventCode.ADMIN_POLICY_CHANGE, EventCode.CONTROL_FAILURE, EventCode.CONTROL_RESTORED})


@dataclass(slots=True)
class WriterSeen:
    """One epoch in the span. Unix milliseconds, 0 for what was not seen. `policy`: the digest its last record names."""

    origin: Origin
    first_ms: int
    last_ms: int
    records: int = 0
    heartbeat_ms: int = 0
    ended: str = ""
    """`stopped` by itself, or `adopted` after its process died; empty while neither is recorded."""
    beat_seconds: float = DEFAULT_BEAT_SECONDS
    alive: bool = False
    """Its process holds its place in the spool of this machine."""
    policy: str = ""
    policy_ms: int = 0
    lag_seconds: float = 0.0
    """By its last heartbeat."""
    program: str = ""
    gaps: int = 0
    """Numbers that are missing between the records that were read."""
    _seq: int = -1

    def add(self, item: Evidence) -> None:
        record, detail = item.record, item.record.detail
        self.gaps += max(item.seq - self._seq - 1, 0) if self._seq >= 0 else 0
        self._seq = max(self._seq, item.seq)
        self.records += 1
        self.first_ms, self.last_ms = min(self.first_ms, record.time_ms), max(self.last_ms, record.time_ms)
        if record.policy is not None and record.policy.digest:
            self.policy, self.policy_ms = record.policy.digest, record.time_ms
        match record.event_code:
            case EventCode.LOG_START:
                self.program = str(detail.get("program", ""))
                self.policy, self.policy_ms = str(detail.get("policy_digest", "")), record.time_ms
                self.beat_seconds = _number(detail.get("heartbeat_seconds")) or DEFAULT_BEAT_SECONDS
            case EventCode.LOG_HEARTBEAT:
                self.heartbeat_ms = record.time_ms
                self.lag_seconds = _number(detail.get("store_lag_seconds"))
            case EventCode.LOG_STOP:
                self.ended = "stopped"
            case EventCode.LOG_ADOPT:
                self.ended = "adopted"
            case _:
                pass

    def silent(self, now_ms: int) -> bool:
        """It neither ended nor was heard of for twice as long as its heartbeats are apart."""
        return not self.ended and now_ms - self.last_ms > 2_000 * self.beat_seconds


@dataclass(slots=True)
class Overview:
    """Of `span`, as of `looked_ms`."""

    span: Span
    looked_ms: int
    records: int = 0
    problems: list[str] = field(default_factory=list)
    """What of the span could not be read."""
    writers: dict[Origin, WriterSeen] = field(default_factory=dict)
    writers_not_listed: int = 0
    incidents: Incidents = field(default_factory=Incidents)
    policy_events: list[Record] = field(default_factory=list)
    """Changes of policy, and policies that were refused; the newest last."""
    shadow_held: Counter[str] = field(default_factory=Counter)
    """Exchanges by the rule in shadow that matched them."""
    shadow_changes: Counter[str] = field(default_factory=Counter)
    """Exchanges by the rule in shadow that would have changed what came of them."""
    ended: int = 0
    """Exchanges that ended in the span."""

    def add(self, item: Evidence) -> None:
        """Take note of one record. A writer's records come in their order."""
        record = item.record
        self.records += 1
        self._writer(item)
        self.incidents.add(item.origin.writer, str(item.origin), record)
        if record.event_code in _MOVES and (
            record.event_code is EventCode.ADMIN_POLICY_CHANGE or record.detail.get("control") == _POLICY
        ):
            self.policy_events.append(record)
            del self.policy_events[:-MAX_EVENTS]
        if record.event_code in ENDS_EXCHANGE:
            self.ended += 1
            self._shadow(record)

    def of_policy(self, digest: str) -> list[WriterSeen]:
        """The writers that serve by it, as their last records say."""
        return [each for each in self.writers.values() if each.policy == digest]

    def open_incidents(self) -> list[Incident]:
        """Failures that no record ends, the newest first."""
        return sorted((each for each in self.incidents.found if not each.end_ms), key=lambda each: -each.start_ms)

    def closed_incidents(self) -> list[Incident]:
        """Failures that are over, the one that ended last first."""
        return sorted((each for each in self.incidents.found if each.end_ms), key=lambda each: -each.end_ms)

    def _writer(self, item: Evidence) -> None:
        seen = self.writers.get(item.origin)
        if seen is None:
            if len(self.writers) >= MAX_WRITERS:
                self.writers_not_listed += 1
                return
            seen = self.writers[item.origin] = WriterSeen(item.origin, item.record.time_ms, item.record.time_ms)
        seen.add(item)

    def _shadow(self, record: Record) -> None:
        held = [each.rule for each in record.decision.shadow] if record.decision else []
        would = changing(record)
        for tally, rules in ((self.shadow_held, {*held, *would}), (self.shadow_changes, set(would))):
            for rule in rules:
                if rule in tally or len(tally) < MAX_EVENTS:
                    tally[rule] += 1


def look_over(holdings: Holdings, span: Span, now_ms: int) -> Overview:
    """Every record of the span. Raises `StoreFailed`."""
    overview = Overview(span, now_ms)
    reader = Reader(holdings, span, overview.problems)
    for item in reader.records():
        overview.add(item)
    for origin, seen in overview.writers.items():
        epoch = holdings.epochs.get(origin)
        seen.alive = epoch is not None and epoch.alive
    return overview


def _number(value: object) -> float:
    return float(value) if isinstance(value, int | float) else 0.0
