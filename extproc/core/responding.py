"""The answer of one exchange on its way: each piece masked, recorded, and released once its record is durable."""

from extproc.core.actions import Action
from extproc.core.answer import Answer
from extproc.core.events import ResponseBody, ResponseHeaders, Stored
from extproc.core.ledger import Ledger
from extproc.core.reasons import Reason
from extproc.core.record import OPAQUE_RESPONSE, Outcome
from extproc.core.snapshot import Connection
from extproc.core.storing import Storing
from extproc.core.trust import Masked

_FROM_THE_MODEL = "via_upstream"
"""Envoy's `response.code_details` of what a model server answered; anything else it answered itself."""


class Responding:
    """The one who asks has the phases. What is returned is to be stored; nothing leaves but by `release`."""

    __slots__ = ("_answer", "_ledger", "_storing")

    def __init__(self, ledger: Ledger, answer: Answer, storing: Storing) -> None:
        self._ledger = ledger
        self._answer = answer
        self._storing = storing

    def begin(self, event: ResponseHeaders, connection: Connection | None) -> None:
        """Judge the response by its headers, which are withheld until the first safe bytes. Raises `Malformed`."""
        ledger, answer = self._ledger, self._answer
        ledger.source = event.attributes.source_address or ledger.source
        if event.attributes.response_details not in ("", _FROM_THE_MODEL):
            answer.local_reply = True
        answer.begin(event, ledger.operation, connection, ledger.exchange_id)
        if answer.opaque:
            ledger.not_inspected = {**ledger.not_inspected, OPAQUE_RESPONSE: 1}

    def feed(self, event: ResponseBody) -> tuple[Action, ...]:
        """Mask, record, queue. Raises `Malformed`, also where a response rule cuts the answer."""
        out = self._answer.feed(event.data, end_of_stream=event.end_of_stream)
        self._ledger.waits.holds(self._answer.held_characters, event.at)
        if self._answer.watch is not None:
            self._answer.judge(out, event.at)
        if event.end_of_stream:
            return self.close(out, event.at)
        if not out:
            return ()
        stored = self._storing.answered(out, event.at)
        self._answer.queue(self._storing.ticket, out, end_of_stream=False)
        self._ledger.waits.queued(self._storing.ticket, event.at)
        if self._answer.opaque:  # nothing of it is stored, so there is nothing to wait for
            return tuple(self.release(Stored(self._storing.ticket, event.at)))
        return stored

    def end_with_trailers(self, at: float) -> tuple[Action, ...]:
        """They end the body, whose last bytes then do not. Raises as `feed` does."""
        last = self._answer.feed(b"", end_of_stream=True)
        self._ledger.waits.holds(self._answer.held_characters, at)
        self._answer.judge(last, at)
        content = self._storing.answered(last, at)
        end = self._storing.end(at, Outcome.COMPLETED)
        self._answer.queue(self._storing.ticket, last, end_of_stream=False)
        self._answer.queue_trailers(self._storing.ticket)
        self._ledger.waits.queued(self._storing.ticket, at)
        return (*content, end)

    def close(self, last: Masked, at: float, *, reason: Reason | None = None) -> tuple[Action, ...]:
        """The closing record, then the last byte. With a `reason`, the answer was cut."""
        content = self._storing.answered(last, at)
        end = self._storing.end(at, Outcome.CUT if reason else Outcome.COMPLETED, reason)
        self._answer.queue(self._storing.ticket, last, end_of_stream=True)
        self._ledger.waits.queued(self._storing.ticket, at)
        return (*content, end)

    def release(self, event: Stored) -> list[Action]:
        """What may leave, now that this is durable."""
        self._ledger.waits.stored(event.ticket, event.at)
        first = not self._answer.headers_released
        actions = self._answer.release(event.ticket)
        if actions and first:
            self._ledger.first_byte_at = event.at
        return actions
