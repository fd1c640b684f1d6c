"""What one exchange asks for, carried out: towards Envoy, the journal, the desks and the clock."""

import asyncio
import time
from collections.abc import Callable, Coroutine
from typing import Any

from extproc.core import events
from extproc.core.actions import (
    Abort,
    Action,
    AllowHold,
    AttachApproval,
    AwaitBody,
    AwaitShipped,
    ChargeBudgets,
    ClaimGrant,
    Finish,
    ForwardRequest,
    OpenApproval,
    ReadBudgets,
    ReleaseBody,
    ReleaseHeaders,
    ReleaseTrailers,
    Respond,
    SetDeadline,
    SettleBudgets,
    StoreContent,
    StoreRecord,
    VerifyToken,
    WithdrawApproval,
)
from extproc.core.exchange import Exchange
from extproc.core.forwarding import RECEIPT_HEADER
from extproc.core.phase import Phase
from extproc.edge import wire
from extproc.edge.dialogue import Dialogue
from extproc.edge.holding import Holding
from extproc.edge.outgoing import Outgoing
from extproc.edge.recording import Recording
from extproc.edge.services import Services
from extproc.edge.shipping import await_shipped
from extproc.edge.spending import Spending
from extproc.edge.verifying import Verifying

Start = Callable[[Coroutine[Any, Any, None]], object]


class Carrying:
    """Decides nothing: what comes of an action is fed to the exchange as an event."""

    def __init__(
        self,
        services: Services,
        exchange: Exchange,
        dialogue: Dialogue,
        outgoing: Outgoing,
        *,
        started_at: float,
        feed: Callable[[events.Event], None],
        start: Start,
        start_beyond: Start,
        over: Callable[[Finish | Abort], None],
    ) -> None:
        """`start` begins work that ends with the session, `start_beyond` work that outlives it; `over` is told of the
        exchange's last action. `started_at`: monotonic seconds."""
        self._services = services
        self._exchange = exchange
        self._dialogue = dialogue
        self._outgoing = outgoing
        self._feed = feed
        self._start = start
        self._over = over
        self._recording = Recording(services.journal, exchange.exchange_id, started_at, feed)
        self._verifying = Verifying(services.authenticator(), feed=feed, start=start)
        self._holding = Holding(
            services.desk,
            feed=feed,
            held=lambda: exchange.phase is Phase.HELD,
            start=start,
            start_beyond=start_beyond,
        )
        self._spending = Spending(services.budgets, feed=feed, start=start)
        self._deadline: asyncio.TimerHandle | None = None

    def begin(self) -> None:
        """The actions of one more event follow: what is to be stored of them is stored up to the first that fails."""
        self._recording.begin()

    def carry_out(self, action: Action) -> None:  # noqa: PLR0912 - one case an action
        services = self._services
        match action:
            case ReleaseBody():
                self._outgoing.put(*wire.response_body_answers(action.data, end_of_stream=action.end_of_stream))
            case StoreContent():
                self._recording.store_content(action)
            case StoreRecord():
                self._recording.store_record(action)
            case VerifyToken():
                self._verifying.verify(action.token, action.presented)
            case AwaitBody():
                self._dialogue.await_body()
            case ForwardRequest():
                self._dialogue.forward(action, self._exchange.labels)
            case ReleaseHeaders():
                receipt = self._recording.receipt
                extra = ((RECEIPT_HEADER, receipt),) if receipt else ()
                self._outgoing.put(wire.response_headers_answer(action.mutation, services.gate_secret, extra))
            case ReleaseTrailers():
                self._dialogue.release_trailers()
            case Respond():
                self._outgoing.put(wire.immediate_answer(action, self._exchange.labels))
            case AllowHold():
                self._dialogue.allow_hold(action)
            case AwaitShipped():
                self._start(await_shipped(services.journal, self._feed))
            case SetDeadline():
                self._set_deadline(action.at)
            case OpenApproval():
                self._holding.open(action)
            case AttachApproval():
                self._holding.attach(action)
            case ClaimGrant() if not services.journal.accepting():  # what it allows could not be recorded
                self._feed(events.StoreFailed(time.monotonic()))
            case ClaimGrant():
                self._holding.claim(action, self._exchange.requester_uid)
            case WithdrawApproval():
                self._holding.withdraw(action)
            case ReadBudgets():
                self._spending.read(action)
            case ChargeBudgets():
                self._spending.charge(action)
            case SettleBudgets():
                self._spending.settle(action)
            case Finish() | Abort():
                self._over(action)
            case _:
                raise AssertionError(type(action).__name__)

    def close(self) -> None:
        """No deadline comes any more, and no approval is watched."""
        self._set_deadline(None)
        self._holding.close()

    def _set_deadline(self, at: float | None) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None
        if at is not None:
            delay = max(0.0, at - time.monotonic())
            self._deadline = asyncio.get_running_loop().call_later(
                delay, lambda: self._feed(events.DeadlinePassed(time.monotonic()))
            )
