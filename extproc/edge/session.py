"""One gRPC stream: Envoy's messages into an exchange, the exchange's actions out. Exactly one clean way out."""

import asyncio
import contextlib
import logging
import time
from collections import deque
from collections.abc import Coroutine
from typing import Any

import grpc

from extproc.core import events
from extproc.core.actions import Abort, Finish, SettleBudgets, StoreRecord, WithdrawApproval
from extproc.core.exchange import Exchange
from extproc.core.forwarding import names_a_number
from extproc.core.phase import Phase
from extproc.core.reasons import Malformed, Reason, Unavailable
from extproc.core.record import Summary
from extproc.edge import wire
from extproc.edge.carrying import Carrying
from extproc.edge.dialogue import Dialogue
from extproc.edge.logs import bind_trace
from extproc.edge.outgoing import Outgoing
from extproc.edge.services import Services, new_exchange_id
from extproc.edge.traceparent import parse_traceparent
from extproc.pb import ext_proc_pb2 as pb

INTERNAL_SENTENCE = "the exchange could not be completed"
"""All that a peer ever reads of an unexpected failure: Envoy copies gRPC details into its access log."""
LAST_WRITE_SECONDS = 2.0
"""How long a write under way may still take when the stream must end with an error."""
CLOSE_SECONDS = 5.0
"""How long the proxy may take to close a stream whose exchange is over."""

_log = logging.getLogger(__name__)


class Session:
    def __init__(self, services: Services, context: Any) -> None:
        self._services = services
        self._context = context
        self._broken: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        """Done when nothing more is to be written, also while a write is under way."""
        self._tasks: asyncio.TaskGroup | None = None
        self._exchange: Exchange | None = None
        self._dialogue: Dialogue | None = None
        self._carrying: Carrying | None = None
        self._events: deque[events.Event] = deque()
        self._feeding = False
        self._outgoing = Outgoing()
        self._limit = 0
        self._room = asyncio.Event()
        self._room.set()
        self._leaving = False
        self._source = ""
        self._failed = False
        self._traceparent = ""
        self._started_unix = time.time()
        self._started_at = time.monotonic()

    @property
    def held(self) -> bool:
        return self._exchange is not None and self._exchange.phase is Phase.HELD

    @property
    def age_seconds(self) -> float:
        return time.monotonic() - self._started_at

    # -- the stream ----------------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Serve one exchange. Returns only when it is over and everything it released is written; aborts otherwise."""
        try:
            async with asyncio.TaskGroup() as tasks:
                self._tasks = tasks
                reader = tasks.create_task(self._guarded(self._read()))
                writer = tasks.create_task(self._guarded(self._write()))
                try:
                    await asyncio.wait({writer, self._broken}, return_when=asyncio.FIRST_COMPLETED)
                    if self._failed:  # a write that is cancelled would leave the stream without an end
                        await asyncio.wait({writer}, timeout=LAST_WRITE_SECONDS)
                    await self._await_close(reader)
                except asyncio.CancelledError:
                    self._leaving = True
                    self._feed(events.Disconnected(time.monotonic()))
                    raise
                finally:
                    self._leaving = True
                    reader.cancel()
                    writer.cancel()
                    self._clean_up()
        except BaseExceptionGroup as group:
            bind_trace(self._traceparent, self.exchange_id)
            _log.error("session failed", extra={"failures": [type(error).__name__ for error in group.exceptions]})
            self._break()
        if self._exchange is not None and self._exchange.over and not self._failed:
            return
        await self._context.abort(grpc.StatusCode.INTERNAL, INTERNAL_SENTENCE)

    async def _guarded(self, work: Coroutine[Any, Any, None]) -> None:
        """Whatever goes wrong in a part of the session breaks the session, not the group: its writes must end."""
        try:
            await work
        except asyncio.CancelledError:
            if not self._leaving:
                self._break()
            raise
        except Exception as error:  # noqa: BLE001 - a boundary: what is unexpected ends with an error, never goes on
            bind_trace(self._traceparent, self.exchange_id)
            _log.error("session failed", extra={"failure": type(error).__name__})
            self._break()

    async def _read(self) -> None:
        """Every message in order, whatever the exchange waits for: Envoy's own timeouts arrive on this stream too."""
        while True:
            message = await self._context.read()
            if message is grpc.aio.EOF:
                self._feed(events.Disconnected(time.monotonic()))
                self._failed = self._failed or self._exchange is None
                self._outgoing.wake()
                return
            try:
                self._receive(message)
            except Malformed as error:
                _log.error("stream refused", extra={"reason": error.reason.value})
                self._break(error.reason)
                return
            if self._crowded():
                self._room.clear()
                await self._room.wait()

    def _crowded(self) -> bool:
        """More waits for its record or for Envoy to take it than one exchange may keep: read no further."""
        waiting = self._exchange.unreleased_bytes if self._exchange is not None else 0
        return waiting + self._outgoing.waiting_bytes > self._limit

    async def _write(self) -> None:
        while True:
            while (message := self._outgoing.take()) is not None:
                if not await self._wrote(message):
                    return
                self._outgoing.taken(message)
                self._make_room()
            if self._failed or (self._exchange is not None and self._exchange.over):
                return
            await self._outgoing.wait()

    async def _wrote(self, message: Any) -> bool:
        """Whether Envoy took it. A stream that Envoy has reset refuses writes: the client is gone."""
        try:
            await self._context.write(message)
        except grpc.aio.InternalError:
            self._feed(events.Disconnected(time.monotonic()))
            self._failed = True  # also after the last message: what was not written is not over for Envoy
            return False
        return True

    async def _await_close(self, reader: "asyncio.Task[None]") -> None:
        """Envoy closes a finished stream itself; our status is only its second sign."""
        if not self._failed:
            await asyncio.wait({reader}, timeout=CLOSE_SECONDS)

    def _make_room(self) -> None:
        if not self._crowded():
            self._room.set()

    def _clean_up(self) -> None:
        if self._carrying is not None:
            self._carrying.close()
        self._room.set()

    # -- in ------------------------------------------------------------------------------------------------------------

    def _receive(self, message: pb.ProcessingRequest) -> None:
        dialogue = self._dialogue or self._begin(message)
        event = dialogue.read(message)
        if event is not None:
            self._feed(event)

    def _begin(self, message: pb.ProcessingRequest) -> Dialogue:
        exchange_id = new_exchange_id()
        bind_trace("", exchange_id)
        snapshot = self._services.snapshot()
        found = wire.read_traceparent(message, self._context.invocation_metadata() or ())
        self._traceparent = "" if names_a_number(found, snapshot.scanner.masker()) else found
        parent = parse_traceparent(self._traceparent)
        bind_trace(self._traceparent, exchange_id)
        self._limit = snapshot.limits.max_unreleased_bytes
        self._exchange = Exchange(
            exchange_id,
            snapshot,
            started_unix=self._started_unix,
            started_at=self._started_at,
            accepting=self._services.journal.accepting(),
            trace_id=parent.trace_id if parent else "",
            clock=time.monotonic,
        )
        self._source = wire.read_attributes(message).source_address
        self._dialogue = Dialogue(message, self._outgoing.put)
        self._carrying = Carrying(
            self._services,
            self._exchange,
            self._dialogue,
            self._outgoing,
            started_at=self._started_at,
            feed=self._feed,
            start=self._spawn,
            start_beyond=lambda work: self._services.spawn(self._guarded(work)),
            over=self._end,
        )
        return self._dialogue

    def _feed(self, event: events.Event) -> None:
        """Events one after the other, also those that actions cause at once."""
        self._events.append(event)
        if self._feeding or self._exchange is None or self._carrying is None:
            return
        self._feeding = True
        try:
            while self._events:
                actions = self._exchange.receive(self._events.popleft())
                self._carrying.begin()
                for action in actions:
                    self._carrying.carry_out(action)
        except Exception as error:  # noqa: BLE001 - the one boundary: what is unexpected ends with an error, never goes on
            _log.error("unexpected failure in an exchange", extra={"failure": type(error).__name__})
            self._break()
        finally:
            self._feeding = False
        self._make_room()

    def _break(self, reason: Reason = Reason.INTERNAL) -> None:
        """Something unexpected: the stream ends with an error, and what can still be recorded is."""
        self._failed = True
        self._events.clear()
        self._outgoing.clear()
        if not self._broken.done():
            self._broken.set_result(None)
        try:
            self._record_failure(reason)
        except Exception as error:  # noqa: BLE001 - whoever called is at a boundary already: the stream must end
            _log.error("a failure is not recorded", extra={"failure": type(error).__name__})
        self._outgoing.wake()

    def _record_failure(self, reason: Reason) -> None:
        if self._exchange is None:
            return
        for action in self._exchange.fail(reason, self._source, time.monotonic()):
            if isinstance(action, StoreRecord):
                with contextlib.suppress(Unavailable):
                    self._services.journal.append_record(action.record)
            elif isinstance(action, Abort):
                self._account(action.summary)
            elif isinstance(action, SettleBudgets | WithdrawApproval) and self._carrying is not None:
                self._carrying.carry_out(action)

    # -- out -----------------------------------------------------------------------------------------------------------

    def _end(self, action: Finish | Abort) -> None:
        """The exchange is over: the writer writes what is left and notices."""
        self._failed = self._failed or isinstance(action, Abort)
        self._account(action.summary)
        self._outgoing.wake()

    def _account(self, summary: Summary) -> None:
        """The exchange's span and its share of the metrics."""
        self._services.telemetry.record_exchange(
            summary,
            traceparent=self._traceparent,
            started_unix=self._started_unix,
            started_monotonic=self._started_at,
        )

    @property
    def exchange_id(self) -> str:
        return self._exchange.exchange_id if self._exchange is not None else ""

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        if self._tasks is None:
            work.close()
            return
        self._tasks.create_task(self._guarded(work))

    def drain(self) -> None:
        """The time is up: the exchange ends as well as it still can."""
        self._feed(events.Drained(time.monotonic()))
