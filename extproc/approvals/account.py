"""One exchange for the page that shows it: what came of it, when each phase was, what was decided and found, and, for
who may read it, what was said."""

import asyncio
import json
import re
from collections.abc import Awaitable, Callable, Iterable, Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

from extproc.approvals.index.facts import verdict_of
from extproc.approvals.spoken import Step, ending, read_prompt, spoken
from extproc.audit.keys.keys import AuditKeys
from extproc.audit.keys.public_keys import PUBLIC_KEY, load_public_key
from extproc.audit.log.content import Piece
from extproc.audit.reading.exchanges import ExchangeRecords, collect_exchange, show_exchange
from extproc.audit.reading.holdings import Holdings
from extproc.audit.reading.reader import Evidence, Reader, Span, evidence_of, span_of_exchange
from extproc.audit.reading.replay import list_content, read_transcript
from extproc.audit.refusal import AuditRefused
from extproc.audit.stores.store import ObjectStore
from extproc.audit.verify.light import Check, CheckState, check_segment
from extproc.core.decision_record import DecisionRef
from extproc.core.masking.mask import LABELS, label_of
from extproc.core.printable import printable, printable_line
from extproc.core.reasons import ExchangeError
from extproc.core.record import Actor, ApprovalRef, EventCode, Measures

EVENTS_A_PAGE = 200
EVENT_SHOWN = 20_000
"""Bytes of one raw event."""
OTHER_KEY = "The content key does not open: it is another deployment's, or was changed."
RECORDS_SHOWN = 200
RECORD_SHOWN = 50_000
"""Characters of one record."""


@dataclass(frozen=True, slots=True)
class Source:
    """Where one deployment's log is read."""

    store: ObjectStore
    spool: Path | None
    deployment: str
    keys: AuditKeys = field(repr=False)

    def look(self, span: Span) -> Holdings:
        """What there is of the evidence of a span. Raises `StoreFailed`."""
        return Holdings.look(self.store, self.spool, self.deployment, listing=evidence_of(self.deployment, span))


@dataclass(frozen=True, slots=True)
class Phase:
    """`name` is one of `identity`, `decision`, `hold`, `record`, `model` (until its first byte), `answer`; milliseconds
    from the exchange's beginning."""

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
    span = span_of_exchange(exchange_id)
    reader = Reader(source.look(span), span)
    exchange = collect_exchange(reader, exchange_id)
    return None if exchange is None else _account(exchange, tuple(reader.problems))


def check_exchange(source: Source, exchange_id: str) -> tuple[Check, ...]:
    """A check of each segment with records of the exchange, by itself. Blocking. Raises `StoreFailed`."""
    holdings = source.look(span_of_exchange(exchange_id))
    exchange = show_exchange(holdings, exchange_id)
    if exchange is None:
        return ()
    places = sorted({(item.origin, item.segment) for item in exchange.records})
    try:
        key = load_public_key(source.keys.directory / PUBLIC_KEY)
    except AuditRefused as refused:
        return (Check("deployment.pub", CheckState.BROKEN, str(refused)),)
    for origin in {origin for origin, _ in places}:
        list_content(holdings, origin)
    return tuple(check_segment(key, holdings, holdings.epochs[origin], number) for origin, number in places)


async def read_content(
    source: Source, exchange_id: str, record_first: Callable[[], Awaitable[None]], first_event: int = 0
) -> Content:
    """What was said. `record_first` records the reading durably, and nothing is opened before.

    `events` are `EVENTS_A_PAGE` from `first_event` on. Raises `StoreFailed`.
    """
    await record_first()
    return await asyncio.to_thread(_read_content, source, exchange_id, max(first_event, 0))


# -- the facts ---------------------------------------------------------------------------------------------------------


def _account(exchange: ExchangeRecords, problems: tuple[str, ...]) -> Account:
    last, shredded = exchange.last, exchange.shredded
    status = last.status if exchange.ended else None
    measures = last.measures or Measures()
    approvals = [item.record.approval for item in exchange.records if item.record.approval is not None]
    policies = [item.record.policy for item in exchange.records if item.record.policy is not None]
    return Account(
        exchange_id=exchange.exchange_id,
        verdict=verdict_of(last.event_code, status, last.http_status, exchange.effect).value,
        sentence=ending(exchange),
        began_ms=exchange.began_ms,
        ended_ms=last.time_ms if exchange.ended else 0,
        actor=last.actor,
        connection=last.resource.connection,
        operation=last.resource.operation,
        protocol=last.resource.protocol,
        model=exchange.model,
        source_address=last.src_address,
        effect=exchange.effect,
        rule=exchange.rule,
        policy_digest=policies[-1].digest if policies else "",
        shadow=exchange.shadow,
        decision=exchange.decided.decision,
        approval=approvals[-1] if approvals else None,
        http_status=last.http_status,
        reason=last.status_detail,
        findings_request=tuple(sorted(last.findings_request.items())),
        findings_response=tuple(sorted(last.findings_response.items())),
        measures=measures,
        phases=_phases(exchange),
        records=tuple(_line(item) for item in exchange.records[:RECORDS_SHOWN]),
        has_transcript=exchange.has_transcript,
        shredded_ms=shredded.time_ms if shredded else 0,
        shredded_why=str(shredded.detail.get("reason", "")) if shredded else "",
        problems=problems,
    )


def _phases(exchange: ExchangeRecords) -> tuple[Phase, ...]:
    """As far as the records say: each phase begins where the one before it ended."""
    decision, began = exchange.decided.decision, exchange.began_ms
    measures = exchange.last.measures or Measures()
    whole = max(measures.duration_ms, exchange.last.time_ms - began)
    asked = [item.record.time_ms for item in exchange.records if item.record.event_code in _ASKS_MODEL]
    marks: list[tuple[str, float]] = []
    if decision is not None:
        # Of a hold the decision's own time may be long after its beginning: it is made again when it goes on.
        decided = min(max(decision.time_ms - began, 0), whole - measures.hold_ms - measures.decision_ms)
        marks += [("identity", decided), ("decision", decided + measures.decision_ms)]
        if measures.hold_ms:
            marks.append(("hold", decided + measures.decision_ms + measures.hold_ms))
    else:
        marks.append(("identity", asked[0] - began if asked else whole))
    if asked:
        marks.append(("record", asked[0] - began))
        marks.append(("model", measures.first_byte_ms or whole))
        if measures.first_byte_ms:
            marks.append(("answer", whole))
    phases: list[Phase] = []
    at = 0.0
    for name, mark in marks:
        end = min(max(mark, at), max(whole, at))
        if end > at or name != "record":
            phases.append(Phase(name, at, end))
        at = end
    return tuple(phases)


_ASKS_MODEL = frozenset({EventCode.INFERENCE_REQUEST})


def _line(item: Evidence) -> RecordLine:
    actor = item.record.actor
    text = json.dumps(json.loads(item.line), indent=2, ensure_ascii=False)
    return RecordLine(
        item.record.time_ms, item.record.event_code.value, actor.name or actor.uid, item.receipt, text[:RECORD_SHOWN]
    )


# -- what was said -----------------------------------------------------------------------------------------------------


def _read_content(source: Source, exchange_id: str, first_event: int) -> Content:
    holdings = source.look(span_of_exchange(exchange_id))
    exchange = show_exchange(holdings, exchange_id)
    if exchange is None:
        return Content(ContentState.NOT_STORED, "No record of it is in the store yet. Look again in a minute.")
    try:
        transcript = read_transcript(holdings, source.keys, exchange_id)
    except AuditRefused as refused:
        state = ContentState.SHREDDED if exchange.shredded is not None else ContentState.BROKEN
        return Content(state, str(refused))
    except ExchangeError:
        return Content(
            ContentState.BROKEN, "The content key does not open: it is another deployment's, or was changed."
        )
    if transcript is None or not transcript.pieces:
        if exchange.ended:
            return Content(ContentState.NOTHING, f"{ending(exchange)}. Nothing crossed the boundary.")
        return Content(ContentState.UNDER_WAY, "Nothing has crossed the boundary yet.")
    pieces = transcript.pieces
    return Content(
        ContentState.READABLE if transcript.closed else ContentState.UNDER_WAY,
        "" if transcript.closed else "Its end is not recorded yet; this is what is there so far.",
        turns=turns_of(pieces, exchange.findings),
        events=tuple(_events(pieces, first_event)),
        events_total=len(pieces),
        seconds=(pieces[-1].at_us - pieces[0].at_us) / 1e6,
    )


def _events(pieces: tuple[Piece, ...], first: int) -> Iterator[RawEvent]:
    for number, piece in enumerate(pieces[first : first + EVENTS_A_PAGE], first):
        shown = piece.data[:EVENT_SHOWN].decode("utf-8", "backslashreplace")
        at = (piece.at_us - pieces[0].at_us) / 1e6
        yield RawEvent(number, at, str(piece.direction), printable(shown), max(len(piece.data) - EVENT_SHOWN, 0))


def turns_of(pieces: tuple[Piece, ...], kinds: Iterable[str]) -> tuple[SpokenTurn, ...]:
    """The conversation, with what reads like a mask marked: of cards, and of the `kinds` that were found."""
    turns: dict[int, tuple[Step, list[tuple[float, str]]]] = {}
    for step in spoken(pieces):
        turns.setdefault(step.turn, (step, []))[1].append((step.at, printable(step.said.text)))
    find = _masks_of(kinds).finditer
    asked = sum(1 for _ in read_prompt(pieces))
    return tuple(
        SpokenTurn(
            "request" if number <= asked else "answer",
            printable_line(step.said.role),
            step.said.voice,
            _parts(said, find("".join(text for _, text in said))),
        )
        for number, (step, said) in sorted(turns.items())
    )


def _masks_of(kinds: Iterable[str]) -> re.Pattern[str]:
    labels = sorted({label_of(kind)[1:-1] for kind in (*LABELS, *kinds)}, key=len, reverse=True)
    names = "|".join(map(re.escape, labels))
    return re.compile(rf"\[({names})(?:_[A-Za-z0-9_]{{1,80}})?\]|(?<!\d)\d{{6}}\*{{4,9}}\d{{4}}(?!\d)")


def _parts(said: list[tuple[float, str]], masks: Iterable[re.Match[str]]) -> tuple[SpokenPart, ...]:
    """Cut at the masks, also where one stands across two pieces."""
    spans = [(mask.start(), mask.end(), mask[1] or "PAN") for mask in masks]
    parts: list[SpokenPart] = []
    begin = at_span = 0
    for at, text in said:
        end, here = begin + len(text), begin
        stretches: list[Stretch] = []
        while here < end:
            while at_span < len(spans) and spans[at_span][1] <= here:
                at_span += 1
            start, stop, kind = spans[at_span] if at_span < len(spans) else (end, end, "")
            if start > here:
                stop, kind = min(start, end), ""
            stop = min(stop, end)
            stretches.append(Stretch(text[here - begin : stop - begin], kind))
            here = stop
        parts.append(SpokenPart(at, tuple(stretches)))
        begin = end
    return tuple(parts)
