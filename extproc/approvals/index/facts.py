"""What the index keeps of one exchange, and how the records of it come together. Pure.

Records come in any order, more than once, and from several writers (an approver's console, whoever shreds). So each
fact is kept with the place of the record that it is from, and `merge` takes the later one (of a few the earlier): it
is associative, commutative and idempotent, and an index that was followed is the one that is made anew. The rules are
those of `extproc.audit.reading.exchanges.ExchangeRecords`.
"""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import Final, NamedTuple

from extproc.approvals.index.verdict import Verdict, verdict_of
from extproc.audit.reading.exchanges import ExchangeRecords
from extproc.audit.reading.reader import Evidence
from extproc.core.record import ENDS_EXCHANGE, OPENS_EXCHANGE, EventCode, Measures, Outcome

_OWN = OPENS_EXCHANGE | ENDS_EXCHANGE | {EventCode.APPROVAL_USE, EventCode.APPROVAL_WITHDRAW}
MAX_ID: Final = 200
"""Ours are 29 characters. A longer one is nobody's exchange."""
MAX_TEXT: Final = 1000
"""Of a name that came from outside, as much as a page shows."""
MAX_KINDS: Final = 64
_MAX_NUMBER = 2**63 - 1


class Place(NamedTuple):
    """Where a fact is from, in the order in which later counts more. `epoch` is `number_of` its origin."""

    rank: int
    time_ms: int
    epoch: int
    seq: int


NOWHERE: Final = Place(-1, 0, 0, 0)
_OTHERS, _OF_ITSELF, _ITS_END = 0, 1, 2


class Told(NamedTuple):
    """Of the record that tells the most."""

    place: Place
    segment: int
    event_code: str
    person_uid: str
    person_name: str
    person_kind: str
    tenant: str
    connection: str
    operation: str
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


class Word(NamedTuple):
    """A fact of a few words with its place."""

    place: Place
    text: str
    more: str = ""


_NOTHING = Word(NOWHERE, "")


@dataclass(frozen=True, slots=True)
class Facts:
    """Of one exchange. `listed`: it began or ended by a record of its own; else others named it, so far."""

    exchange_id: str
    told: Told
    first_ms: int
    listed: bool
    model: Word = _NOTHING
    effect: Word = _NOTHING
    rule: Word = _NOTHING
    policy: Word = _NOTHING
    approval: Word = _NOTHING
    """Its id and state."""
    has_transcript: bool = False
    shredded_ms: int = 0

    @property
    def ended(self) -> bool:
        return self.told.place.rank == _ITS_END

    @property
    def ended_ms(self) -> int:
        return self.told.place.time_ms if self.ended else 0

    @property
    def started_ms(self) -> int:
        """By the end's own account where that is earlier."""
        return max(min(self.first_ms, self.told.place.time_ms - int(self.told.duration_ms)), 0)

    @property
    def verdict(self) -> Verdict:
        told = self.told
        status = Outcome(told.outcome) if told.outcome else None
        return verdict_of(EventCode(told.event_code), status, told.http_status, self.effect.text)

    @property
    def held(self) -> bool:
        """It waited for an approval, or was to."""
        return bool(self.approval.text) or self.effect.text == "hold"

    @property
    def kinds(self) -> tuple[str, ...]:
        """Of findings, with their direction."""
        told = self.told
        kinds = {f"request:{kind}" for kind, count in told.findings_request if count}
        return tuple(sorted(kinds | {f"response:{kind}" for kind, count in told.findings_response if count}))


def facts_of(item: Evidence) -> Facts | None:
    """What one record says of its exchange; None when it says nothing that the index keeps."""
    record = item.record
    code, exchange_id = record.event_code, record.exchange_id
    if not exchange_id or len(exchange_id) > MAX_ID or not (code in _OWN or _is_told_by_others(code)):
        return None
    rank = _ITS_END if code in ENDS_EXCHANGE else _OF_ITSELF if code in _OWN else _OTHERS
    place = Place(rank, _number(record.time_ms), number_of(str(item.origin)), _number(item.seq))
    later = place._replace(rank=_OTHERS)
    policy, approval = record.policy, record.approval
    return Facts(
        exchange_id=clean(exchange_id, MAX_ID),
        told=_told(place, item),
        first_ms=_number(record.time_ms),
        listed=code in OPENS_EXCHANGE or code in ENDS_EXCHANGE,
        model=_word(later, record.resource.model),
        effect=_word(later, policy.effect if policy else ""),
        rule=_word(later, policy.rule if policy else ""),
        policy=_word(later, policy.digest if policy else ""),
        approval=_word(later, approval.id[:MAX_ID] if approval else "", approval.state if approval else ""),
        has_transcript=code is EventCode.INFERENCE_RECOVERED
        or (code in ENDS_EXCHANGE and ExchangeRecords(exchange_id, [item]).has_transcript),
        shredded_ms=_number(record.time_ms) if code is EventCode.ADMIN_SHRED and record.detail.get("keys", 1) else 0,
    )


def merge(one: Facts, other: Facts) -> Facts:
    """Both together, of the same exchange."""
    shredded = [at for at in (one.shredded_ms, other.shredded_ms) if at]
    return Facts(
        exchange_id=one.exchange_id,
        told=max(one.told, other.told),
        first_ms=min(one.first_ms, other.first_ms),
        listed=one.listed or other.listed,
        model=_earlier(one.model, other.model),
        effect=max(one.effect, other.effect),
        rule=max(one.rule, other.rule),
        policy=max(one.policy, other.policy),
        approval=max(one.approval, other.approval),
        has_transcript=one.has_transcript or other.has_transcript,
        shredded_ms=min(shredded, default=0),
    )


def gather(items: Iterable[Evidence]) -> dict[str, Facts]:
    """The facts of all exchanges that the records name."""
    found: dict[str, Facts] = {}
    for item in items:
        facts = facts_of(item)
        if facts is not None:
            before = found.get(facts.exchange_id)
            found[facts.exchange_id] = merge(before, facts) if before else facts
    return found


@lru_cache(maxsize=4096)
def number_of(text: str) -> int:
    """A number for a text, from 1 on: 62 bits of its SHA-256, so that two texts do not share one."""
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8]) >> 2 | 1


def clean(text: str, most: int = MAX_TEXT) -> str:
    """What both engines can hold: no NUL, no half of a surrogate pair, and no more than `most` characters."""
    return text[:most].replace("\0", "\N{REPLACEMENT CHARACTER}").encode("utf-8", "replace").decode()


def _told(place: Place, item: Evidence) -> Told:
    record = item.record
    actor, resource, measures = record.actor, record.resource, record.measures or _NO_MEASURES
    ended = place.rank == _ITS_END
    return Told(
        place=place,
        segment=item.segment,
        event_code=record.event_code.value,
        person_uid=clean(actor.uid),
        person_name=clean(actor.name),
        person_kind=clean(actor.kind),
        tenant=clean(actor.tenant),
        connection=clean(resource.connection),
        operation=clean(resource.operation),
        outcome=record.status.value if ended else "",
        http_status=_number(record.http_status) & 0xFFFF,
        reason=clean(record.status_detail),
        findings_request=_findings(record.findings_request),
        findings_response=_findings(record.findings_response),
        input_tokens=_number(measures.input_tokens),
        output_tokens=_number(measures.output_tokens),
        request_bytes=_number(measures.request_bytes),
        response_bytes=_number(measures.response_bytes),
        duration_ms=measures.duration_ms,
        hold_ms=measures.hold_ms,
        decision_ms=measures.decision_ms,
        first_byte_ms=measures.first_byte_ms,
    )


_NO_MEASURES = Measures()


def _findings(counts: dict[str, int]) -> tuple[tuple[str, int], ...]:
    return tuple((clean(kind, 64), _number(count)) for kind, count in sorted(counts.items())[:MAX_KINDS])


def _is_told_by_others(code: EventCode) -> bool:
    return code is EventCode.ADMIN_SHRED or code.value.startswith("approval.")


def _word(place: Place, text: str, more: str = "") -> Word:
    return Word(place, clean(text), clean(more)) if text else _NOTHING


def _earlier(one: Word, other: Word) -> Word:
    said = [word for word in (one, other) if word.text]
    return min(said, default=_NOTHING)


def _number(value: int) -> int:
    """Within what both engines hold."""
    return min(max(value, 0), _MAX_NUMBER)
