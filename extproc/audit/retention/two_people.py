"""What takes two people: one who asks, and another one of the configured groups who confirms.

A request is a record in an epoch of its own, whose name is the request's id: it survives a restart like any record, is
found without a search, and is proven before it is believed.
"""

import time
from dataclasses import dataclass
from enum import StrEnum

from extproc.audit.names import Origin
from extproc.audit.reading.exchanges import ExchangeRecords
from extproc.audit.reading.holdings import Holdings
from extproc.audit.reading.reader import find_records
from extproc.audit.refusal import AuditRefused
from extproc.audit.signed import VerifyKey
from extproc.audit.verify.verify import proves_epoch
from extproc.core.identity import Principal
from extproc.core.record import Actor, EventCode, Outcome, Record, Resource

REQUEST_SECONDS = 24 * 3600
"""Then a request is no longer confirmed."""
_SKEW_MS = 300_000
"""A clock that is further behind the one that the request was made by says nothing about its age."""
Detail = dict[str, str | int | float | bool]


class RequestCode(StrEnum):
    """Why a request is not made or confirmed. Stable: it is in records."""

    NOBODY_MAY = "nobody_may"
    NOT_IN_GROUP = "not_in_group"
    OWN_REQUEST = "own_request"
    REQUEST_UNKNOWN = "request_unknown"
    REQUEST_EXPIRED = "request_expired"
    EXCHANGE_UNKNOWN = "exchange_unknown"
    UNDER_WAY = "under_way"


_SENTENCES = {
    RequestCode.OWN_REQUEST: "Nobody confirms their own request: another person does.",
    RequestCode.REQUEST_UNKNOWN: "There is no such request, or it cannot be proven.",
    RequestCode.REQUEST_EXPIRED: "The request is older than 24 hours. Ask anew.",
    RequestCode.EXCHANGE_UNKNOWN: "There is no such exchange.",
    RequestCode.UNDER_WAY: "The exchange has not ended. Try again after its end is recorded.",
}


class RequestRefused(Exception):
    """Carries a code, which is in records, and its fixed sentence; never input."""

    def __init__(self, code: StrEnum, sentence: str) -> None:
        super().__init__(code.value)
        self.code = code
        self.sentence = sentence


@dataclass(frozen=True, slots=True)
class PersonRequest:
    """What one person asked for. `reason` is masked."""

    id: str
    exchange_id: str
    requester_uid: str
    requester_name: str
    reason: str
    asked_ms: int

    def is_expired(self, now_ms: int) -> bool:
        return not -_SKEW_MS <= now_ms - self.asked_ms < REQUEST_SECONDS * 1000


@dataclass(frozen=True, slots=True)
class TwoPeople:
    """One kind of act. `writer` writes its records, `asked` and `refused` are two of them, `operation` names it in all.

    `setting` names the groups in words: `audit.shredders`.
    """

    writer: str
    operation: str
    asked: EventCode
    refused: EventCode
    setting: str

    def refusal(self, code: RequestCode) -> RequestRefused:
        """The exception, with its sentence."""
        match code:
            case RequestCode.NOBODY_MAY:
                sentence = f"Nobody may: `{self.setting}` names no group. Set it in the configuration."
            case RequestCode.NOT_IN_GROUP:
                sentence = f"You are in none of the groups of `{self.setting}`."
            case _:
                sentence = _SENTENCES[code]
        return RequestRefused(code, sentence)

    def check_person(self, groups: tuple[str, ...], person: Principal) -> None:
        """Raises `RequestRefused`."""
        if not groups:
            raise self.refusal(RequestCode.NOBODY_MAY)
        if set(groups).isdisjoint(person.groups):
            raise self.refusal(RequestCode.NOT_IN_GROUP)

    def check_confirmer(self, groups: tuple[str, ...], request: PersonRequest, person: Principal, now_ms: int) -> None:
        """Raises `RequestRefused`."""
        self.check_person(groups, person)
        if request.is_expired(now_ms):
            raise self.refusal(RequestCode.REQUEST_EXPIRED)
        if person.may_be(request.requester_uid):
            raise self.refusal(RequestCode.OWN_REQUEST)

    def check_ended(self, exchange: ExchangeRecords | None) -> ExchangeRecords:
        """The exchange, whose transcript grows no more. Raises `RequestRefused`."""
        if exchange is None:
            raise self.refusal(RequestCode.EXCHANGE_UNKNOWN)
        if not exchange.ended:
            raise self.refusal(RequestCode.UNDER_WAY)
        return exchange

    def record(
        self,
        event_code: EventCode,
        person: Principal,
        exchange_id: str,
        *,
        source: str,
        detail: Detail,
        status: Outcome = Outcome.SUCCEEDED,
    ) -> Record:
        """One step, taken by `person` at the host `source`."""
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
            resource=Resource(connection="audit-log", operation=self.operation, protocol="cli"),
            exchange_id=exchange_id,
            detail={"exchange": exchange_id, **detail},
        )

    def find_request(self, holdings: Holdings, key: VerifyKey, deployment: str, request_id: str) -> PersonRequest:
        """The request, signed and whole in the log. Raises `RequestRefused` for any other."""
        try:
            origin = Origin.parse(f"{deployment}/{self.writer}/{request_id}")
        except AuditRefused:
            raise self.refusal(RequestCode.REQUEST_UNKNOWN) from None
        epoch = holdings.epochs.get(origin)
        if epoch is None:
            raise self.refusal(RequestCode.REQUEST_UNKNOWN)
        alone = Holdings(holdings.store, holdings.spool, {origin: epoch})
        records = [item.record for item in find_records(alone)]
        asked = [record for record in records if record.event_code is self.asked]
        if not proves_epoch(holdings, epoch, key, int(time.time() * 1000)) or len(asked) != 1:
            raise self.refusal(RequestCode.REQUEST_UNKNOWN)
        (record,) = asked
        return PersonRequest(
            request_id,
            record.exchange_id,
            record.actor.uid,
            record.actor.name,
            str(record.detail.get("reason", "")),
            record.time_ms,
        )

    def open_requests(self, holdings: Holdings, key: VerifyKey, deployment: str, now_ms: int) -> list[PersonRequest]:
        """Those that can still be confirmed, oldest first. One that was confirmed is among them until it expires."""
        found = []
        first = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(now_ms / 1000 - REQUEST_SECONDS - _SKEW_MS / 1000))
        for origin in sorted(holdings.epochs):
            if origin.writer != self.writer or origin.epoch < first:
                continue
            try:
                request = self.find_request(holdings, key, deployment, origin.epoch)
            except RequestRefused:
                continue
            if not request.is_expired(now_ms):
                found.append(request)
        return found


def request_id_of(origin: str) -> str:
    """The id of the request whose record was written in the epoch `origin`."""
    return Origin.parse(origin).epoch
