"""What a person looks for among the sessions, and what is found. Times are Unix milliseconds, UTC."""

from dataclasses import dataclass

COUNTED_TO = 10_000
"""More are not counted: a page says `more than`."""
PAGE_ROWS = 50


@dataclass(frozen=True, slots=True)
class SessionQuery:
    """Which exchanges to find; empty: every one.

    `person` is a uid or name, or a part of one, whatever the case. `finding` is a kind in either direction (`pan`), or
    in one (`request:pan`, `response:pan`). The span holds what began in it, `since_ms` until before `until_ms`; 0 is
    open. `exchange_id` is the beginning of one.
    """

    person: str = ""
    model: str = ""
    connection: str = ""
    operation: str = ""
    verdict: str = ""
    effect: str = ""
    rule: str = ""
    finding: str = ""
    since_ms: int = 0
    until_ms: int = 0
    exchange_id: str = ""
    held_only: bool = False


@dataclass(frozen=True, slots=True)
class SessionRow:
    """One exchange as its records tell it so far. Every text may come from elsewhere.

    `verdict` is a word of `Verdict`, `effect` the policy's answer, `outcome` and `reason` as recorded. Findings are
    (kind, count). `ended_ms` and `shredded_ms` are 0 until then. Durations are milliseconds. `origin`, `segment` and
    `seq` say where the record lies that tells the most of it.
    """

    exchange_id: str
    started_ms: int
    ended_ms: int
    person_uid: str
    person_name: str
    person_kind: str
    tenant: str
    connection: str
    operation: str
    model: str
    effect: str
    rule: str
    verdict: str
    outcome: str
    http_status: int
    reason: str
    findings_request: tuple[tuple[str, int], ...]
    findings_response: tuple[tuple[str, int], ...]
    input_tokens: int
    output_tokens: int
    request_bytes: int
    response_bytes: int
    duration_ms: float
    hold_ms: float
    decision_ms: float
    first_byte_ms: float
    approval_id: str
    approval_state: str
    policy_digest: str
    origin: str
    segment: int
    seq: int
    has_transcript: bool
    shredded_ms: int


@dataclass(frozen=True, slots=True)
class SessionPage:
    """Rows, newest first. `older` and `newer` are cursors for `SessionIndex.search`, empty where there is nothing.

    `count` is of all pages; with `counted_all` false there are more than that. `too_many_people`: more people match
    `person` than are looked at, so it must say more.
    """

    rows: tuple[SessionRow, ...]
    older: str
    newer: str
    count: int
    counted_all: bool
    too_many_people: bool = False


@dataclass(frozen=True, slots=True)
class Choice:
    """A value that a filter can have, how it reads, and how many exchanges have it."""

    value: str
    label: str
    count: int


@dataclass(frozen=True, slots=True)
class Facets:
    """The filters' choices, the most frequent first; no more than `FACET_CHOICES` of each."""

    people: tuple[Choice, ...]
    models: tuple[Choice, ...]
    connections: tuple[Choice, ...]
    operations: tuple[Choice, ...]
    verdicts: tuple[Choice, ...]
    effects: tuple[Choice, ...]
    rules: tuple[Choice, ...]
    findings: tuple[Choice, ...]


FACET_CHOICES = 200


@dataclass(frozen=True, slots=True)
class Freshness:
    """How far the index is. `indexed_up_to_ms`: when the newest segment that was taken over was sealed; `looked_ms`:
    when everything that the store held was last taken over; 0: never. Of `behind` writers there is more to take.
    """

    indexed_up_to_ms: int
    looked_ms: int
    behind: int
    problems: int

    def is_stale(self, now_ms: int) -> bool:
        """Nobody has followed the store for a while."""
        return now_ms - self.looked_ms > STALE_MS


STALE_MS = 120_000


@dataclass(frozen=True, slots=True)
class SegmentProblem:
    """A segment that could not be taken over, and is tried again."""

    origin: str
    segment: int
    what: str
    noted_ms: int
