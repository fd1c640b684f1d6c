"""The facts of one exchange for the page that shows it: what came of it, when each phase was, what was decided and
found. What was said is `session_content`'s."""

import json
from dataclasses import dataclass, field
from pathlib import Path

from extproc.approvals.index.verdict import verdict_of
from extproc.approvals.spoken import ending
from extproc.audit.keys.keys import AuditKeys
from extproc.audit.keys.public_keys import PUBLIC_KEY, load_public_key
from extproc.audit.reading.exchanges import ExchangeRecords, collect_exchange, show_exchange
from extproc.audit.reading.holdings import Holdings
from extproc.audit.reading.reader import Evidence, Reader, Span, evidence_of, span_of_exchange
from extproc.audit.reading.replay import list_content
from extproc.audit.refusal import AuditRefused
from extproc.audit.stores.store import ObjectStore
from extproc.audit.verify.light import Check, CheckState, check_segment
from extproc.core.decision_record import DecisionRef
from extproc.core.record import Actor, ApprovalRef, EventCode, Measures

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
