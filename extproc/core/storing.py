"""What one exchange puts into the log, in order. Each thing has a ticket, by which `Stored` says that it is durable."""

from collections.abc import Mapping
from typing import cast

from extproc.core.actions import StoreContent, StoreRecord
from extproc.core.answer import Answer
from extproc.core.ledger import Ledger
from extproc.core.originals import OriginalPlace
from extproc.core.reasons import Reason
from extproc.core.record import Direction, EventCode, Outcome, Record, Summary
from extproc.core.snapshot import Snapshot
from extproc.core.trust import Masked, Passed, Sealed


class Storing:
    """Makes the actions that store. The one who asks decides what is stored, and when."""

    def __init__(self, ledger: Ledger, answer: Answer, snapshot: Snapshot, started_at: float) -> None:
        self.ticket = 0
        """Of the last thing that is to be stored; 0 before the first."""
        self._ledger = ledger
        self._answer = answer
        self._scanner = snapshot.scanner
        self._seal = snapshot.seal
        self._intent_ticket = 0
        self._closing = ledger.record(EventCode.REQUEST_REFUSE, started_at, Outcome.FAILED)

    @property
    def intended(self) -> bool:
        """Whether the log has, or will have, the intent of this exchange: then it needs its end as well."""
        return self._intent_ticket > 0

    def summary(self) -> Summary:
        """The exchange as its closing record tells it."""
        return self._ledger.summary(self._closing)

    def record(
        self,
        code: EventCode,
        at: float,
        status: Outcome,
        *,
        detail: Mapping[str, str | int | float | bool] | None = None,
    ) -> StoreRecord:
        """Something that happened on the way."""
        return self._store(self._ledger.record(code, at, status, detail=detail))

    def intent(self, at: float, detail: Mapping[str, str | int | float | bool]) -> StoreRecord:
        sent = self._ledger.model_sent
        detail = {**detail, "model_sent": sent} if sent else detail
        stored = self.record(EventCode.INFERENCE_REQUEST, at, Outcome.SUCCEEDED, detail=detail)
        self._intent_ticket = stored.ticket
        return stored

    def lost(self, ticket: int) -> None:
        """What has `ticket`, and what came after it, never becomes durable."""
        if ticket <= self._intent_ticket:
            self._intent_ticket = 0

    def refusal(
        self, code: EventCode, at: float, status: Outcome, reason: Reason, *, http_status: int = 0
    ) -> StoreRecord:
        """The closing record of an exchange of which nothing went on."""
        self._closing = self._ledger.record(code, at, status, reason=reason, http_status=http_status)
        return self._store(self._closing)

    def end(self, at: float, outcome: Outcome, reason: Reason | None = None, *, http_status: int = 0) -> StoreRecord:
        """The closing record: how it ended, what was found, what it cost."""
        ledger, answer = self._ledger, self._answer
        ledger.findings_response = answer.findings
        if answer.watch is not None:
            answer.watch.finish(answer.filter, ledger.findings_response, at)
            ledger.response_judged(answer.watch.verdict, answer.watch.counts, answer.watch.approval)
        undelivered = outcome is Outcome.ABANDONED or reason is Reason.AUDIT_UNAVAILABLE
        ledger.response_bytes = answer.released_bytes if undelivered else ledger.recorded_bytes
        if reason is None and answer.local_reply:
            reason = Reason.PROXY_LOCAL_REPLY
        self._closing = ledger.end(
            EventCode.PROXY_REPLY if answer.local_reply else EventCode.INFERENCE_END,
            at,
            outcome,
            reason=reason,
            http_status=http_status or answer.status,
            answer=answer.filter,
            held_characters_max=answer.held_characters_max,
            mask=self._scanner.masker().mask_text,
        )
        return self._store(self._closing)

    def request(self, body: Masked | None, sealed: Sealed | None, at: float) -> tuple[StoreContent, ...]:
        """What goes to the model server, and its original if that is kept."""
        content = (self._content(Direction.TO_MODEL, body, at),) if body else ()
        return content if sealed is None else (*content, self._content(Direction.SEALED_TO_MODEL, sealed, at))

    def answered(self, data: Passed, at: float) -> tuple[StoreContent, ...]:
        """What goes to the client, and its original if that is kept; nothing when nothing goes, or nobody looked."""
        offset = self._ledger.recorded_bytes
        self._ledger.recorded_bytes += len(data)
        if not data or self._answer.opaque:
            return ()
        content = self._content(Direction.TO_CLIENT, cast("Masked", data), at)
        original = self._answer.take_original()
        if original is None or self._seal is None:
            return (content,)
        place = OriginalPlace(self._ledger.exchange_id, Direction.TO_CLIENT, offset, len(data))
        return (content, self._content(Direction.SEALED_TO_CLIENT, self._seal(place, original), at))

    def _content(self, direction: Direction, data: Masked | Sealed, at: float) -> StoreContent:
        self.ticket += 1
        return StoreContent(direction, data, at, self.ticket)

    def _store(self, record: Record) -> StoreRecord:
        self.ticket += 1
        return StoreRecord(record, self.ticket)
