"""The records of the log as exchanges: what each one asked, how it ended, and which of them a person looks for."""

from collections.abc import Iterator
from dataclasses import dataclass, field

from extproc.audit.reading.holdings import Holdings
from extproc.audit.reading.reader import Evidence, Reader, span_of_exchange
from extproc.audit.records.line import parse_mark
from extproc.core.record import ENDS_EXCHANGE, OPENS_EXCHANGE, EventCode, PolicyRef, Record
from extproc.core.recorded import changing

_OF_AN_EXCHANGE = OPENS_EXCHANGE | ENDS_EXCHANGE | {EventCode.APPROVAL_USE, EventCode.APPROVAL_WITHDRAW}
"""What an exchange records of itself. Others may name one: who decides on it, who reads it."""
_ENDED_LATELY = 10_000
"""How many ended exchanges are remembered, so that a second end is not taken for another exchange."""
RETENTION_WRITER = "retention"
SHRED_WRITER = "shred"
"""Writes, in epochs of its own, what makes transcripts unreadable."""
UNDER_WAY = "under_way"
"""In place of an outcome, while there is none."""


@dataclass(slots=True)
class ExchangeRecords:
    """The records of one exchange, in order."""

    exchange_id: str
    records: list[Evidence] = field(default_factory=list)

    @property
    def first(self) -> Record:
        return self.records[0].record

    @property
    def last(self) -> Record:
        """Its end; before there is one, the last record of its own. Others may decide and shred after it."""
        own = [item.record for item in self.records if item.record.event_code in _OF_AN_EXCHANGE]
        return (self._ends() or own or [self.records[-1].record])[-1]

    @property
    def decided(self) -> Record:
        """The last of its own records that says what the policy's decision looked at, or at least what it was; else
        `last`."""
        own = [item.record for item in reversed(self.records) if item.record.event_code in _OF_AN_EXCHANGE]
        full = (record for record in own if record.decision is not None)
        short = (record for record in own if record.policy is not None and record.policy.effect)
        return next(full, next(short, self.last))

    @property
    def shadow(self) -> tuple[str, ...]:
        """Rules in shadow that would have changed something, had they been enforced."""
        return changing(self.decided)

    @property
    def shredded(self) -> Record | None:
        """The first record by which its key was destroyed, with who and why."""
        records = (item.record for item in self.records if item.record.event_code is EventCode.ADMIN_SHRED)
        return next((record for record in records if record.detail.get("keys", 1)), None)

    @property
    def has_transcript(self) -> bool:
        """Whether content was recorded of it. It may be unreadable by now."""
        return any(
            item.record.event_code is EventCode.INFERENCE_RECOVERED or parse_mark(item.line).content_frames
            for item in self.records
        )

    @property
    def ended(self) -> bool:
        return bool(self._ends())

    @property
    def began_ms(self) -> int:
        """Unix milliseconds; by the end's own account where the beginning is not among the records."""
        last = self.last
        return min(self.first.time_ms, last.time_ms - int(last.measures.duration_ms if last.measures else 0))

    @property
    def effect(self) -> str:
        """The policy's answer, as last recorded; empty when it was never asked."""
        return next((policy.effect for policy in self._policies() if policy.effect), "")

    @property
    def rule(self) -> str:
        """The rule that determined it, as last recorded."""
        return next((policy.rule for policy in self._policies() if policy.rule), "")

    @property
    def outcome(self) -> str:
        return str(self.last.status) if self.ended else UNDER_WAY

    @property
    def model(self) -> str:
        return next((item.record.resource.model for item in self.records if item.record.resource.model), "")

    @property
    def findings(self) -> dict[str, int]:
        """By kind, both directions, as the last record has them."""
        last = self.last
        kinds = [*last.findings_request, *last.findings_response]
        return {
            kind: last.findings_request.get(kind, 0) + last.findings_response.get(kind, 0)
            for kind in dict.fromkeys(kinds)
        }

    def _ends(self) -> list[Record]:
        return [item.record for item in self.records if item.record.event_code in ENDS_EXCHANGE]

    def _policies(self) -> Iterator[PolicyRef]:
        return (item.record.policy for item in reversed(self.records) if item.record.policy is not None)


@dataclass(frozen=True, slots=True)
class Query:
    """Which exchanges to list. Empty: every one. `person` is part of a name or uid, `kind` is `person` or `service`,
    `shadow` a rule that would have changed something. Of several effects, outcomes or kinds of findings any one is
    enough."""

    person: str = ""
    kind: str = ""
    model: str = ""
    rule: str = ""
    shadow: str = ""
    effects: frozenset[str] = frozenset()
    outcomes: frozenset[str] = frozenset()
    findings: frozenset[str] = frozenset()

    def matches(self, exchange: ExchangeRecords) -> bool:
        actor = exchange.last.actor
        wanted = self.person.casefold()
        return (
            (not wanted or wanted in actor.name.casefold() or wanted in actor.uid.casefold())
            and (not self.kind or self.kind == actor.kind)
            and (not self.shadow or self.shadow in exchange.shadow)
            and (not self.model or self.model == exchange.model)
            and (not self.rule or self.rule == exchange.rule)
            and (not self.effects or exchange.effect in self.effects)
            and (not self.outcomes or exchange.outcome in self.outcomes)
            and (not self.findings or any(exchange.findings.get(kind) for kind in self.findings))
        )


def find_exchanges(reader: Reader, query: Query) -> Iterator[ExchangeRecords]:
    """Exchanges in the order of their ends, those that have none last; each by its records in the reader's span.

    Memory: the exchanges that are under way at one time, and what was shredded. Raises `StoreFailed`.
    """
    shredded = _shredded(reader.holdings)
    under_way: dict[str, ExchangeRecords] = {}
    ended: dict[str, None] = {}
    for item in reader.in_order():
        exchange_id, code = item.record.exchange_id, item.record.event_code
        exchange = under_way.get(exchange_id)
        if exchange is None:
            # A use or a withdrawal may come after the end, which has been listed by then.
            if not exchange_id or exchange_id in ended or code not in OPENS_EXCHANGE | ENDS_EXCHANGE:
                continue
            exchange = under_way[exchange_id] = ExchangeRecords(exchange_id)
        exchange.records.append(item)
        if code in ENDS_EXCHANGE:
            del under_way[exchange_id]
            ended[exchange_id] = None
            if len(ended) > _ENDED_LATELY:
                del ended[next(iter(ended))]
            exchange.records += shredded.get(exchange_id, [])
            if query.matches(exchange):
                yield exchange
    yield from filter(query.matches, under_way.values())


def _shredded(holdings: Holdings) -> dict[str, list[Evidence]]:
    """Exchanges are shredded long after their end, so that is looked for first."""
    writers = {SHRED_WRITER, RETENTION_WRITER}
    own = {origin: epoch for origin, epoch in holdings.epochs.items() if origin.writer in writers}
    found: dict[str, list[Evidence]] = {}
    for item in Reader(Holdings(holdings.store, holdings.spool, own)).records():
        if item.record.event_code is EventCode.ADMIN_SHRED and item.record.exchange_id:
            found.setdefault(item.record.exchange_id, []).append(item)
    return found


def show_exchange(holdings: Holdings, exchange_id: str) -> ExchangeRecords | None:
    """Everything recorded of one exchange, or None. Raises `StoreFailed`."""
    return collect_exchange(Reader(holdings, span_of_exchange(exchange_id)), exchange_id)


def collect_exchange(reader: Reader, exchange_id: str) -> ExchangeRecords | None:
    """The same from a reader, which then says what could not be read."""
    records = [item for item in reader.records() if item.record.exchange_id == exchange_id]
    records.sort(key=lambda item: (item.record.time_ms, item.origin, item.seq))
    return ExchangeRecords(exchange_id, records) if records else None
