"""What the records of a period say, counted in one pass. Memory is bounded by the counters, not by the records."""

from collections import Counter
from dataclasses import dataclass, field

from extproc.audit.evidence.factors import is_automated, means_several_factors
from extproc.audit.evidence.incidents import Incidents
from extproc.audit.evidence.tally import Tally
from extproc.audit.reading.reader import Evidence
from extproc.audit.stores.inspect import capabilities
from extproc.core.policy import DEFAULT_DENY
from extproc.core.record import (
    ENDS_EXCHANGE,
    OPAQUE_REQUEST,
    OPAQUE_RESPONSE,
    EventCode,
    Outcome,
    Record,
    missing_fields,
)

SAMPLES = 2
"""Records shown of each kind of event: the first ones of the period."""
MAX_LISTED = 1_000
"""Of shreddings and adoptions, which are few; a longer list is said to be cut."""

UNREAD = {OPAQUE_REQUEST: "request", OPAQUE_RESPONSE: "response"}
"""Kinds of `not_inspected` that are whole bodies, and their direction."""


@dataclass(slots=True)
class Seen:
    """First and last moment, Unix milliseconds, and how often."""

    first_ms: int
    last_ms: int
    count: int = 1

    def again(self, at_ms: int) -> None:
        self.first_ms, self.last_ms = min(self.first_ms, at_ms), max(self.last_ms, at_ms)
        self.count += 1


@dataclass(slots=True)
class Factors:
    """Exchanges that a model was asked for, by how their caller signed in."""

    people: int = 0
    several: int = 0
    one: int = 0
    """Methods are named, and they are not several factors."""
    not_said: int = 0
    automated: int = 0


@dataclass(slots=True)
class Clock:
    """What heartbeats and starts say of the clock."""

    reports: Counter[str] = field(default_factory=Counter)
    error_ms_max: float = 0.0
    step_ms_max: int = 0


@dataclass(slots=True)
class Facts:
    """The period is `from_ms <= time < to_ms`, Unix milliseconds."""

    from_ms: int
    to_ms: int
    problems: list[str] = field(default_factory=list)
    """What of the period could not be read; the numbers are then too small."""
    records: int = 0
    incomplete: int = 0
    """Records that lack something that 10.2.2 asks for."""
    first_ms: int = 0
    last_ms: int = 0
    events: Counter[EventCode] = field(default_factory=Counter)
    samples: dict[EventCode, list[Evidence]] = field(default_factory=dict)
    outcomes: Counter[tuple[EventCode, Outcome]] = field(default_factory=Counter)
    refusals: Tally[tuple[str, str]] = field(default_factory=Tally)
    """By event and reason."""
    abandoned: int = 0
    """Exchanges whose client left before anything was let through: nobody refused them."""
    wait_over: int = 0
    """Exchanges that ended with a ticket for a held request that was still undecided: nobody refused them either."""
    default_denials: int = 0
    identified: int = 0
    """Exchanges that a model was asked for, and whose caller an issuer vouched for."""
    factors: Factors = field(default_factory=Factors)
    people: Tally[str] = field(default_factory=Tally)
    readers: Tally[tuple[str, str]] = field(default_factory=Tally)
    """Access to the log, by person and operation."""
    incidents: Incidents = field(default_factory=Incidents)
    policies: dict[str, Seen] = field(default_factory=dict)
    attached_instead: int = 0
    """Openings that became none: what was asked for had an approval already."""
    decisions: Tally[tuple[str, str]] = field(default_factory=Tally)
    """Of approvals: by who decided, and how."""
    findings: Counter[tuple[str, str]] = field(default_factory=Counter)
    """By kind and direction."""
    not_inspected: Tally[str] = field(default_factory=Tally)
    unread: Tally[tuple[str, str, str]] = field(default_factory=Tally)
    """Bodies that `opaque` let through, by direction, operation and connection. In `not_inspected` too."""
    stripped: Tally[str] = field(default_factory=Tally)
    clock: Clock = field(default_factory=Clock)
    lag_seconds_max: float = 0.0
    configurations: set[str] = field(default_factory=set)
    model_administration: int = 0
    recovered: int = 0
    shreddings: list[Evidence] = field(default_factory=list)
    shredded: set[str] = field(default_factory=set)
    """Exchanges whose key two people destroyed."""
    over_age_keys: int = 0
    """Keys that were destroyed because their time was over."""
    sealed_to: set[str] = field(default_factory=set)
    """Fingerprints of the keys that originals were sealed to."""
    opened: Tally[str] = field(default_factory=Tally)
    """Sealed originals, by who opened them."""
    accepted: str = ""
    """The sentence by which a bucket without Object Lock was taken, when a writer started with it."""
    retention_check: Evidence | None = None
    inspection: Evidence | None = None

    def add(self, item: Evidence) -> None:
        """Take note of one record, of whatever time. A writer's records come in their order."""
        record = item.record
        if not self.from_ms <= record.time_ms < self.to_ms:
            return
        self.records += 1
        self.first_ms = min(self.first_ms or record.time_ms, record.time_ms)
        self.last_ms = max(self.last_ms, record.time_ms)
        self.incomplete += bool(missing_fields(record))
        self.events[record.event_code] += 1
        self.outcomes[record.event_code, record.status] += 1
        if len(kept := self.samples.setdefault(record.event_code, [])) < SAMPLES:
            kept.append(item)
        self.incidents.add(item.origin.writer, str(item.origin), record)
        self.attached_instead += "instead_of" in record.detail
        self._policy(record)
        self._exchange(record)
        self._own(item)

    def _policy(self, record: Record) -> None:
        if record.policy is None or not record.policy.digest:
            return
        seen = self.policies.get(record.policy.digest)
        if seen is not None:
            seen.again(record.time_ms)
        elif len(self.policies) < MAX_LISTED:
            self.policies[record.policy.digest] = Seen(record.time_ms, record.time_ms)

    def _exchange(self, record: Record) -> None:
        code = record.event_code
        if code is EventCode.INFERENCE_REQUEST:
            self._caller(record)
        if code not in ENDS_EXCHANGE:
            return
        if code is EventCode.INFERENCE_RECOVERED:
            self.recovered += 1
        elif record.status is Outcome.ABANDONED:
            self.abandoned += code is not EventCode.INFERENCE_END
        elif code is EventCode.APPROVAL_WAIT_OVER:
            self.wait_over += 1
        elif code is not EventCode.INFERENCE_END:
            self.refusals.add((code.value, record.status_detail or "not said"))
        if code is EventCode.POLICY_DENY and record.policy is not None and record.policy.rule == DEFAULT_DENY:
            self.default_denials += 1
        for direction, found in (("request", record.findings_request), ("response", record.findings_response)):
            for kind, count in found.items():
                self.findings[kind, direction] += count
        for kind, count in record.not_inspected.items():
            self.not_inspected.add(kind, count)
            if kind in UNREAD:
                self.unread.add((UNREAD[kind], record.resource.operation, record.resource.connection))
        for name in record.stripped:
            self.stripped.add(name)
        self.model_administration += record.resource.operation == "model_admin"

    def _caller(self, record: Record) -> None:
        actor, factors = record.actor, self.factors
        self.people.add(actor.uid)
        if "|" not in actor.uid:
            return
        self.identified += 1
        if is_automated(actor.uid, actor.client):
            factors.automated += 1
            return
        factors.people += 1
        if means_several_factors(actor.methods):
            factors.several += 1
        elif actor.methods:
            factors.one += 1
        else:
            factors.not_said += 1

    def _own(self, item: Evidence) -> None:
        """What the service and its administrators did."""
        record, detail = item.record, item.record.detail
        match record.event_code:
            case EventCode.AUDIT_READ:
                self.readers.add((record.actor.uid, record.resource.operation))
            case EventCode.APPROVAL_DECIDE if record.approval is not None and not detail.get("refused"):
                state = record.approval.state
                # One vote of several that the rule asks for: what it leads to is another person's record.
                self.decisions.add((record.actor.uid, "voted" if state == "pending" else state))
            case EventCode.LOG_START:
                if digest := detail.get("configuration_digest"):
                    self.configurations.add(str(digest))
                if key := detail.get("sealed_to"):
                    self.sealed_to.add(str(key))
                self.accepted = str(detail.get("accept_no_object_lock", "")) or self.accepted
                self._clock(record)
            case EventCode.LOG_HEARTBEAT:
                self._clock(record)
                self.lag_seconds_max = max(self.lag_seconds_max, _number(detail.get("store_lag_seconds")))
            case EventCode.SEALED_OPEN:
                self.opened.add(record.actor.uid)
            case EventCode.AUDIT_RETENTION_CHECK:
                self.retention_check = _newer(self.retention_check, item)
            case EventCode.STORE_INSPECT if capabilities(detail) is not None:
                self.inspection = _newer(self.inspection, item)
            case code if code.value.startswith("admin.shred"):
                self._shredding(item)
            case _:
                pass

    def _shredding(self, item: Evidence) -> None:
        """One that was repeated, or that found no key, destroyed nothing more."""
        detail = item.record.detail
        if item.record.event_code is EventCode.ADMIN_SHRED_DONE and (keys := int(_number(detail.get("keys")))):
            if exchange := str(detail.get("exchange", "")):
                self.shredded.add(exchange)
            else:
                self.over_age_keys += keys
        if len(self.shreddings) < MAX_LISTED:
            self.shreddings.append(item)

    def _clock(self, record: Record) -> None:
        detail = record.detail
        self.clock.reports[str(detail.get("clock", "not said"))] += 1
        self.clock.error_ms_max = max(self.clock.error_ms_max, _number(detail.get("clock_error_ms")))
        self.clock.step_ms_max = max(self.clock.step_ms_max, abs(int(_number(detail.get("clock_step_ms")))))


def _number(value: object) -> float:
    return float(value) if isinstance(value, int | float) else 0.0


def _newer(known: Evidence | None, item: Evidence) -> Evidence:
    return item if known is None or item.record.time_ms >= known.record.time_ms else known
