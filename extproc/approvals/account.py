"""One exchange for the page that shows it: what came of it, when each phase was, what was decided and found, and, for
who may read it, what was said."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

from extproc.audit.keys.keys import AuditKeys
from extproc.audit.stores.store import ObjectStore
from extproc.core.decision_record import DecisionRef
from extproc.core.record import Actor, ApprovalRef, Measures

EVENTS_A_PAGE = 200


@dataclass(frozen=True, slots=True)
class Source:
    """Where one deployment's log is read."""

    store: ObjectStore
    spool: Path | None
    deployment: str
    keys: AuditKeys


@dataclass(frozen=True, slots=True)
class Phase:
    """`name` is one of `identity`, `decision`, `hold`, `model` (until its first byte), `answer`; milliseconds from the
    exchange's beginning."""

    name: str
    begin_ms: float
    end_ms: float


@dataclass(frozen=True, slots=True)
class RecordLine:
    """A record of the exchange: when, what, its place in the log and its JSON as stored (bounded)."""

    time_ms: int
    event_code: str
    who: str
    receipt: str
    text: str


class CheckState(StrEnum):
    HOLDS = "holds"
    BROKEN = "broken"
    NOT_SEALED = "not_sealed"
    """Still in a writer's journal: there is no signature yet."""


@dataclass(frozen=True, slots=True)
class Check:
    """What was checked of one segment (`name`), and what came of it in words."""

    name: str
    state: CheckState
    words: str


@dataclass(frozen=True, slots=True)
class Account:
    """The facts of an exchange, without its text."""

    exchange_id: str
    verdict: str
    sentence: str
    """How it ended and why, in words."""
    began_ms: int
    ended_ms: int
    actor: Actor
    connection: str
    operation: str
    protocol: str
    model: str
    source_address: str
    effect: str
    rule: str
    policy_digest: str
    shadow: tuple[str, ...]
    """Rules in shadow that would have changed something."""
    decision: DecisionRef | None
    approval: ApprovalRef | None
    http_status: int
    reason: str
    findings_request: tuple[tuple[str, int], ...]
    findings_response: tuple[tuple[str, int], ...]
    measures: Measures
    phases: tuple[Phase, ...]
    records: tuple[RecordLine, ...]
    has_transcript: bool
    shredded_ms: int
    shredded_why: str
    problems: tuple[str, ...]
    """What of the log could not be read."""


@dataclass(frozen=True, slots=True)
class Stretch:
    """Text of a turn; `masked` is the kind of finding that stood here (`PAN`), empty for what was said as it is."""

    text: str
    masked: str = ""


@dataclass(frozen=True, slots=True)
class SpokenPart:
    """What was said at once: at which second from the first byte on."""

    at_seconds: float
    stretches: tuple[Stretch, ...]


@dataclass(frozen=True, slots=True)
class SpokenTurn:
    """One thing said. `side` is `request` or `answer`, `voice` counts an answer's choices from 0."""

    side: str
    role: str
    voice: int
    parts: tuple[SpokenPart, ...]


@dataclass(frozen=True, slots=True)
class RawEvent:
    """What crossed the boundary at once. `direction`: `to_model` or `to_client`."""

    number: int
    at_seconds: float
    direction: str
    text: str
    left_out: int = 0
    """Bytes behind `text` that are not shown."""


class ContentState(StrEnum):
    READABLE = "readable"
    UNDER_WAY = "under_way"
    """Readable so far; the exchange's end is not recorded yet."""
    NOTHING = "nothing"
    """Nothing crossed the boundary."""
    SHREDDED = "shredded"
    NOT_STORED = "not_stored"
    """No record of it is in the store yet."""
    BROKEN = "broken"
    """It does not open as stored."""


@dataclass(frozen=True, slots=True)
class Content:
    """What was said, masked. `words` say why there is nothing to show, where there is not."""

    state: ContentState
    words: str = ""
    turns: tuple[SpokenTurn, ...] = field(default=(), repr=False)
    events: tuple[RawEvent, ...] = field(default=(), repr=False)
    events_total: int = 0
    seconds: float = 0.0
    """From the first byte to the last."""


def read_account(source: Source, exchange_id: str) -> Account | None:
    """None where no record names it (yet). Blocking. Raises `StoreFailed`."""
    return None


def check_exchange(source: Source, exchange_id: str) -> tuple[Check, ...]:
    """A check of each segment with records of the exchange, by itself. Blocking. Raises `StoreFailed`."""
    return ()


async def read_content(
    source: Source, exchange_id: str, record_first: Callable[[], Awaitable[None]], first_event: int = 0
) -> Content:
    """What was said. `record_first` records the reading durably, and nothing is opened before.

    `events` are `EVENTS_A_PAGE` from `first_event` on. Raises `StoreFailed`.
    """
    await record_first()
    return Content(ContentState.NOT_STORED)
