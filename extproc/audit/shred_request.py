"""Who may shred a transcript: two people of the configured groups, one who asks and another one who confirms.

A request is a record in an epoch of its own, whose name is the request's id: it survives a restart like any record, is
found without a search, and is proven before it is believed.
"""

import time
from dataclasses import dataclass
from enum import StrEnum

from extproc.audit.exchanges import SHRED_WRITER, ExchangeRecords
from extproc.audit.holdings import Holdings
from extproc.audit.names import Origin
from extproc.audit.reader import find_records
from extproc.audit.refusal import AuditRefused
from extproc.audit.settings import AuditSettings
from extproc.audit.signed import VerifyKey
from extproc.audit.verify import proves_epoch
from extproc.core.identity import Principal
from extproc.core.record import ENDS_EXCHANGE, Actor, EventCode, Outcome, Record, Resource

WRITER = SHRED_WRITER
REQUEST_SECONDS = 24 * 3600
"""Then a request is no longer confirmed."""
_SKEW_MS = 300_000
"""A clock that is further behind the one that the request was made by says nothing about its age."""


class ShredCode(StrEnum):
    """Why a transcript is not shredded. Stable: it is in records."""

    NOBODY_MAY = "nobody_may"
    NOT_A_SHREDDER = "not_a_shredder"
    OWN_REQUEST = "own_request"
    REQUEST_UNKNOWN = "request_unknown"
    REQUEST_EXPIRED = "request_expired"
    EXCHANGE_UNKNOWN = "exchange_unknown"
    UNDER_WAY = "under_way"
    NOT_SEALED = "not_sealed"


_SENTENCES = {
    ShredCode.NOBODY_MAY: "Nobody may shred: `audit.shredders` names no group. Set it in the configuration.",
    ShredCode.NOT_A_SHREDDER: "You are in none of the groups of `audit.shredders`.",
    ShredCode.OWN_REQUEST: "Nobody confirms their own request: another person does.",
    ShredCode.REQUEST_UNKNOWN: "There is no such request, or it cannot be proven.",
    ShredCode.REQUEST_EXPIRED: "The request is older than 24 hours. Ask anew.",
    ShredCode.EXCHANGE_UNKNOWN: "There is no such exchange.",
    ShredCode.UNDER_WAY: "The exchange has not ended. Try again after its end is recorded.",
    ShredCode.NOT_SEALED: "The exchange's key is in a journal that is not sealed. "
    "Try again after the segment is sealed: within a minute, or, when its writer died, after the service's next start. "
    "Where `extproc audit verify` says UNADOPTED, that comes first.",
}


class ShredRefused(Exception):
    """Carries a code and its fixed sentence, never input."""

    def __init__(self, code: ShredCode) -> None:
        super().__init__(code.value)
        self.code = code
        self.sentence = _SENTENCES[code]


@dataclass(frozen=True, slots=True)
class ShredRequest:
    """What one person asked for. `reason` is masked."""

    id: str
    exchange_id: str
    requester_uid: str
    requester_name: str
    reason: str
    asked_ms: int

    def is_expired(self, now_ms: int) -> bool:
        return not -_SKEW_MS <= now_ms - self.asked_ms < REQUEST_SECONDS * 1000


def check_shredder(settings: AuditSettings, person: Principal) -> None:
    """Raises `ShredRefused`."""
    if not settings.shredders:
        raise ShredRefused(ShredCode.NOBODY_MAY)
    if set(settings.shredders).isdisjoint(person.groups):
        raise ShredRefused(ShredCode.NOT_A_SHREDDER)


def check_confirmer(settings: AuditSettings, request: ShredRequest, person: Principal, now_ms: int) -> None:
    """Raises `ShredRefused`."""
    check_shredder(settings, person)
    if request.is_expired(now_ms):
        raise ShredRefused(ShredCode.REQUEST_EXPIRED)
    if person.uid == request.requester_uid:
        raise ShredRefused(ShredCode.OWN_REQUEST)


def check_ended(exchange: ExchangeRecords | None) -> ExchangeRecords:
    """The exchange, whose transcript grows no more. Raises `ShredRefused`."""
    if exchange is None:
        raise ShredRefused(ShredCode.EXCHANGE_UNKNOWN)
    if not any(item.record.event_code in ENDS_EXCHANGE for item in exchange.records):
        raise ShredRefused(ShredCode.UNDER_WAY)
    return exchange


def shred_record(
    event_code: EventCode,
    person: Principal,
    exchange_id: str,
    *,
    source: str,
    detail: dict[str, str | int | float | bool],
    status: Outcome = Outcome.SUCCEEDED,
) -> Record:
    """One step of shredding `exchange_id`, taken by `person` at the host `source`."""
    return Record(
        event_code=event_code,
        time_ms=int(time.time() * 1000),
        actor=Actor(
            uid=person.uid,
            name=person.name,
            groups=person.groups,
            token_id=person.token_id,
            client=person.client,
            methods=person.methods,
        ),
        status=status,
        src_address=source,
        resource=Resource(connection="audit-log", operation="audit.shred", protocol="cli"),
        exchange_id=exchange_id,
        detail={"exchange": exchange_id, **detail},
    )


def request_id_of(origin: str) -> str:
    """The id of the request whose record was written in the epoch `origin`."""
    return Origin.parse(origin).epoch


def find_request(holdings: Holdings, key: VerifyKey, deployment: str, request_id: str) -> ShredRequest:
    """The request, signed and whole in the log. Raises `ShredRefused` for any other."""
    try:
        origin = Origin.parse(f"{deployment}/{WRITER}/{request_id}")
    except AuditRefused:
        raise ShredRefused(ShredCode.REQUEST_UNKNOWN) from None
    epoch = holdings.epochs.get(origin)
    if epoch is None:
        raise ShredRefused(ShredCode.REQUEST_UNKNOWN)
    alone = Holdings(holdings.store, holdings.spool, {origin: epoch})
    records = [item.record for item in find_records(alone)]
    asked = [record for record in records if record.event_code is EventCode.ADMIN_SHRED_REQUEST]
    if not proves_epoch(holdings, epoch, key, int(time.time() * 1000)) or len(asked) != 1:
        raise ShredRefused(ShredCode.REQUEST_UNKNOWN)
    (record,) = asked
    return ShredRequest(
        request_id,
        record.exchange_id,
        record.actor.uid,
        record.actor.name,
        str(record.detail.get("reason", "")),
        record.time_ms,
    )


def open_requests(holdings: Holdings, key: VerifyKey, deployment: str, now_ms: int) -> list[ShredRequest]:
    """Requests that can still be confirmed, oldest first. One that was confirmed is among them until it expires."""
    found = []
    first = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(now_ms / 1000 - REQUEST_SECONDS - _SKEW_MS / 1000))
    for origin in sorted(holdings.epochs):
        if origin.writer != WRITER or origin.epoch < first:
            continue
        try:
            request = find_request(holdings, key, deployment, origin.epoch)
        except ShredRefused:
            continue
        if not request.is_expired(now_ms):
            found.append(request)
    return found
