"""One exchange's records and transcript on their way into the journal."""

import time
from collections.abc import Callable
from functools import partial

from extproc.audit.log.content import ContentLog
from extproc.audit.log.journal import Journal
from extproc.core import events
from extproc.core.actions import StoreContent, StoreRecord
from extproc.core.reasons import Unavailable
from extproc.core.record import EventCode


class Recording:
    """Every `store_` is answered by one event: `Stored` once it is durable, `StoreFailed` when it never will be.

    What is to be stored together is stored up to the first that fails: an end without its content would be a false
    record. `begin` says that something new is to be stored.
    """

    def __init__(
        self, journal: Journal, exchange_id: str, started_at: float, feed: Callable[[events.Event], None]
    ) -> None:
        """`started_at`: monotonic seconds, from which the transcript's times count."""
        self._journal = journal
        self._exchange_id = exchange_id
        self._started_at = started_at
        self._feed = feed
        self._content: ContentLog | None = None
        self._failing = False
        self.receipt = b""
        """Where the intent record stands: `<origin>#<number>`; empty before it is queued."""

    def begin(self) -> None:
        self._failing = False

    def store_record(self, action: StoreRecord) -> None:
        if self._failing:
            return
        try:
            seq = self._journal.append_record(action.record, partial(self._stored, action.ticket))
        except Unavailable:
            self._not_stored(action.ticket)
            return
        if action.record.event_code is EventCode.INFERENCE_REQUEST:
            self.receipt = f"{self._journal.origin}#{seq}".encode()

    def store_content(self, action: StoreContent) -> None:
        if self._failing:
            return
        try:
            if self._content is None:
                self._content = self._journal.open_content(self._exchange_id)
            offset_us = int((action.at - self._started_at) * 1e6)
            self._content.append(action.direction, offset_us, action.data, partial(self._stored, action.ticket))
        except Unavailable:
            self._not_stored(action.ticket)

    def _not_stored(self, ticket: int) -> None:
        self._failing = True
        self._feed(events.StoreFailed(time.monotonic(), ticket))

    def _stored(self, ticket: int, durable: bool) -> None:
        at = time.monotonic()
        self._feed(events.Stored(ticket, at) if durable else events.StoreFailed(at, ticket))
