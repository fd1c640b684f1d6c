"""The evidence pack as it is written: closed and versioned. `evidence.json` is this, `evidence.html` shows the same.

Times are UTC, ISO 8601 to the millisecond; empty where there is none. What came from tokens, requests or object names
is masked and put into one line. Described for other programs by `proto/extproc/evidence/v1/pack.schema.json`.
"""

import msgspec

from extproc.audit.evidence.self_test import Answer

PACK_VERSION = 1
Value = str | int | float | bool


class Span(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """From and to; both empty when there is nothing."""

    start: str = ""
    end: str = ""


class RequirementRow(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`status`: enforced, supported or not covered, each taken from `facts`. In their place, with the reason among
    `limits`: not proven (it rests on records, and the log does not hold) or not shown in this period (no record)."""

    number: str
    old_number: str
    title: str
    status: str
    by: tuple[str, ...]
    facts: dict[str, Value]
    limits: tuple[str, ...]


class Finding(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`level`: finding, incomplete or tells; an alarm of an anchor has none."""

    name: str
    where: str
    what: str
    level: str = ""


class AnchorRow(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Who remembers the log's heads outside of the store: how many, co-signed when, and which alarms are open."""

    name: str
    signed: str
    heads: int
    open_alarms: tuple[Finding, ...]


class Proof(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The verifier's answer: exit code 0 proven, 1 a finding, 2 incomplete."""

    exit_code: int
    verdict: str
    reason: str = ""
    """Why it is not proven, in words; empty when it is."""
    begins: str = ""
    """When the log's first epoch was registered; empty where the register does not reach back to it."""
    requested: Span
    proven: Span
    """From the first to the last proven moment."""
    proven_spans: tuple[Span, ...] = ()
    """What of that is proven. What is broken or missing in between is left out; the first five hundred."""
    epochs: int
    segments: int
    records: int
    findings: tuple[Finding, ...]
    findings_total: int
    """Without those that only tell."""
    anchor: AnchorRow | None
    """None: nobody outside of the store was asked."""


class Sample(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One record, by the six things that 10.2.2 asks for. `place` finds it in the log."""

    place: str
    user: str
    event: str
    time: str
    result: str
    origin: str
    affected: str


class EventRow(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    event: str
    count: int
    samples: tuple[Sample, ...]


class Count(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How often something was seen, by up to three names."""

    names: tuple[str, ...]
    count: int


class IncidentRow(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`start` empty: before the period. `end` empty: open. `duration_seconds` -1: not known."""

    control: str
    writer: str
    cause: str
    start: str
    end: str
    duration_seconds: float
    ended_by: str
    reports: int


class FactorCounts(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """8.4.2. Exchanges that a model was asked for, by how people signed in."""

    people: int
    several: int
    one: int
    not_said: int
    automated: int


class KeyRow(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    id: str
    purpose: str
    algorithm: str
    provider: str
    created: str
    expires: str
    state: str
    falls_short: bool
    """Of 3.6.1.2: a secret for account data or the log that stands in a file."""


class PolicyRow(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A policy's digest, when records first and last named it, and how many did."""

    digest: str
    first: str
    last: str
    records: int


class Masking(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    profile: str
    styles: dict[str, str]
    media: str
    catalogues: tuple[str, ...]
    own_rules: int
    findings: tuple[Count, ...]
    """By kind and direction."""
    not_inspected: tuple[Count, ...]
    stripped: tuple[Count, ...]
    self_test: tuple[Answer, ...]


class ClockRow(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """10.6. From starts and heartbeats."""

    reports: dict[str, int]
    error_ms_max: float
    step_ms_max: int


class Note(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One record of which the pack repeats what it says."""

    time: str
    event: str
    person: str
    place: str
    said: dict[str, Value]


class Store(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`inspection`: the newest one in the period; None: not inspected."""

    settings: dict[str, Value]
    accepted: str
    inspection: Note | None
    shown: tuple[str, ...]
    """What the inspection says, in words."""
    objects: dict[str, int]
    """How many objects of each plane the store lists now; empty when it could not be listed."""
    lag_seconds_max: float


class Pack(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Everything. `period.end` is not in the period. `empty`: no record was found in it, and nothing is shown by it."""

    version: int
    deployment: str
    program: str
    generated: str
    generated_by: str
    period: Span
    requested: Span
    empty: bool
    exit_code: int
    not_read: tuple[str, ...]
    """What of the period could not be read; the numbers are then too small. Empty: all was read."""
    records: int
    records_incomplete: int
    requirements: tuple[RequirementRow, ...]
    proof: Proof
    events: tuple[EventRow, ...]
    refusals: tuple[Count, ...]
    """By event and reason."""
    abandoned: int = 0
    """Exchanges whose client left before anything was let through; not among the refusals."""
    wait_over: int = 0
    """Exchanges whose client got a ticket for a held request that nobody had decided yet; not among the refusals."""
    access_to_log: tuple[Count, ...]
    """10.2.1.3, by person and operation."""
    people: tuple[Count, ...]
    people_not_listed: int
    decisions: tuple[Count, ...]
    """Of approvals, by who decided and how."""
    incidents: tuple[IncidentRow, ...]
    """10.7.3, and pauses of the log."""
    incidents_not_listed: int
    factors: FactorCounts
    keys: tuple[KeyRow, ...]
    policy_in_force: str
    policies: tuple[PolicyRow, ...]
    masking: Masking
    clock: ClockRow
    retention_check: Note | None
    shreddings: tuple[Note, ...]
    store: Store
    limits: tuple[str, ...]


def encode_pack(pack: Pack) -> bytes:
    """`evidence.json`: indented, with a final newline."""
    return msgspec.json.format(msgspec.json.encode(pack), indent=2) + b"\n"
