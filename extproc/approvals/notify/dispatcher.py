"""Tells people what the outbox holds: gives each notification to its channels, and each channel tells on its own.

A receiver that is away is left alone for a while that doubles, and what it missed is told when it is back. Nothing is
told that the outbox does not hold, and nothing leaves it untold but as a dead letter.
"""

import asyncio
import contextlib
import logging
import random
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Final, ParamSpec, Protocol, TypeVar

from extproc.approvals.notify.channels import gives_up_at, is_moot, is_too_late, takers
from extproc.approvals.notify.deliveries import Deliveries, Delivery, DeliveryState, Notification, Spread
from extproc.approvals.notify.events import Event
from extproc.approvals.notify.settings import Channel
from extproc.approvals.notify.telling import NotTold, Sender, Telling
from extproc.core.approval import Approval
from extproc.core.reasons import Unavailable

LOOK_SECONDS: Final = 1.0
"""How often the outbox is looked at: one statement for what is new, one for what is due."""
SWEEP_SECONDS: Final = 30.0
FORGET_SECONDS: Final = 3600.0
FIRST_WAIT_SECONDS: Final = 5.0
MAX_WAIT_SECONDS: Final = 120.0
"""Between two attempts, before jitter. So long after it is back at most a receiver has heard all that it missed."""
STOP_SECONDS: Final = 10.0
"""What is being sent may still end when the console stops; then another one sends it once more."""
SPREAD_AT_ONCE: Final = 100

P = ParamSpec("P")
T = TypeVar("T")
_log = logging.getLogger("extproc.console")


class Signal(Protocol):
    """The metrics of telling."""

    def told(self, channel: str, outcome: str) -> None: ...
    def untold(self, waiting: int, dead: int) -> None: ...


class Dispatcher:
    """Of one console. `find_all` is the store's (blocking), `link` makes the URL that a message leads to.

    `clock` is Unix seconds; `jitter` gives a number from 0 to 1, so that consoles and channels do not march in step.
    """

    def __init__(
        self,
        deliveries: Deliveries,
        channels: Sequence[Channel],
        senders: Mapping[str, Sender],
        find_all: Callable[[Sequence[str], float], Mapping[str, Approval]],
        *,
        link: Callable[[Notification, Approval, str], str],
        signal: Signal,
        deployment: str,
        clock: Callable[[], float] = time.time,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        """`senders`: of each of `channels`, by its name."""
        self._deliveries = deliveries
        self._channels = channels
        self._senders = senders
        self._find_all = find_all
        self._link = link
        self._signal = signal
        self._deployment = deployment
        self._clock = clock
        self._jitter = jitter
        self._busy: dict[str, asyncio.Task[None]] = {}
        self._away: dict[str, tuple[int, float]] = {}
        """How often in a row a channel's receiver failed, and until when it is left alone."""
        self._lost = self._stopping = False
        # One thread of our own: whatever is to be told, the pages' connections to the store are theirs.
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="notify")

    async def run(self) -> None:
        """Until cancelled; then what is being sent may end. Raises what nobody expected: it must not end in silence."""
        swept = forgotten = float("-inf")
        try:
            while True:
                now, more = self._clock(), False
                try:
                    if now - swept >= SWEEP_SECONDS:
                        await self.sweep()
                        swept = now
                    if now - forgotten >= FORGET_SECONDS:
                        await self._call(self._deliveries.forget, now)
                        forgotten = now
                    more = await self.spread()
                    for channel in await self.due():
                        self._begin(channel)
                    self._say_lost(lost=False)
                except Unavailable:
                    self._say_lost(lost=True)
                await asyncio.sleep(0 if more else LOOK_SECONDS)
                self._reap()
        finally:
            await self._stop()

    async def step(self) -> None:
        """What `run` does again and again, until no channel has anything that it can tell now."""
        while await self.spread():
            pass
        await asyncio.gather(*(self.tell_due(channel) for channel in await self.due()))

    async def spread(self) -> bool:
        """Give what happened to the channels that tell it; whether there may be more. Raises `Unavailable`.

        Without channels it is left for a console that has some: two may differ while a configuration is rolled out.
        """
        if not self._channels:
            return False
        now, found = self._clock(), await self._call(self._deliveries.unspread, SPREAD_AT_ONCE)
        if found:
            approvals = await self._call(self._find_all, [each.approval_id for each in found], now)
            spreads = [self._spread_of(each, approvals.get(each.approval_id), now) for each in found]
            await self._call(self._deliveries.spread, spreads, now)
        return len(found) == SPREAD_AT_ONCE

    def _spread_of(self, notification: Notification, approval: Approval | None, now: float) -> Spread:
        until = now if approval is None else gives_up_at(notification, approval)
        if approval is None or until <= now:
            return Spread(notification, (), until)
        names = tuple(sorted(takers(self._channels, notification.event, approval)))
        if notification.event is Event.EMERGENCY and not names:
            _log.error("an emergency is told by no channel", extra={"approval": notification.approval_id})
        return Spread(notification, names, until)

    async def due(self) -> list[str]:
        """The channels that have something to tell, and whose receivers are not left alone. Raises `Unavailable`."""
        now = self._clock()
        due = await self._call(self._deliveries.due_channels, now)
        return [name for name in sorted(due & set(self._senders)) if self._away.get(name, (0, now))[1] <= now]

    async def tell_due(self, channel: str) -> None:
        """One message after the other, until none is due or the receiver is away. Raises `Unavailable`."""
        while not self._stopping:
            delivery = await self._call(self._deliveries.lease, channel, self._clock())
            if delivery is None:
                return
            name = delivery.notification.approval_id
            approval = (await self._call(self._find_all, [name], self._clock())).get(name)
            if approval is None or is_moot(delivery.notification, approval):
                await self._call(self._deliveries.moot, delivery, self._clock())
            elif self._clock() >= delivery.gives_up_at or is_too_late(delivery.notification, approval):
                await self._bury(delivery, delivery.failure or "too_late")
            elif not await self._tell(delivery, approval):
                return

    async def sweep(self) -> None:
        """Give up what is over, and say how much waits and how much is dead. Raises `Unavailable`."""
        if given_up := await self._call(self._deliveries.give_up, self._clock()):
            _log.error("notifications could not be told in time", extra={"count": given_up})
        counts = await self._call(self._deliveries.count_by_state, (DeliveryState.WAITING, DeliveryState.DEAD))
        self._signal.untold(counts[DeliveryState.WAITING], counts[DeliveryState.DEAD])

    async def _tell(self, delivery: Delivery, approval: Approval) -> bool:
        """Whether the receiver is there: it took it, or said that it never will."""
        channel, notification = delivery.channel, delivery.notification
        link = self._link(notification, approval, channel)
        try:
            telling = Telling(notification, channel, approval, self._deployment, link)
            await self._senders[channel].send(telling, self._clock())
        except NotTold as failed:
            if failed.lasting:
                await self._bury(delivery, failed.failure)
                return True
            await self._put_off(delivery, failed)
            return False
        except Exception as error:  # noqa: BLE001 - a boundary: one message that cannot be made stops no other
            _log.error("a notification could not be made", extra={"channel": channel, "failure": type(error).__name__})
            await self._put_off(delivery, NotTold("unexpected"))
            return True
        self._signal.told(channel, "sent")
        if self._away.pop(channel, None):
            _log.warning("a receiver of notifications is back", extra={"channel": channel})
        # It was told: that is marked even when the console stops just now.
        await asyncio.shield(self._call(self._deliveries.sent, delivery, self._clock()))
        return True

    async def _put_off(self, delivery: Delivery, failed: NotTold) -> None:
        channel, now = delivery.channel, self._clock()
        times = self._away.get(channel, (0, 0.0))[0] + 1
        # Of a channel that only cannot make one message, others are told at once.
        pause = 0.0 if failed.failure == "unexpected" else max(self._wait(times) / 2, failed.wait_seconds)
        if pause:
            self._away[channel] = times, now + pause
        wait = max(self._wait(delivery.attempts + 1), failed.wait_seconds)
        self._signal.told(channel, "failed")
        facts = {"channel": channel, "failure": failed.failure, "attempts": delivery.attempts + 1}
        if times == 1:
            _log.warning("a notification was not taken, and is sent again", extra=facts)
        await self._call(self._deliveries.failed, delivery, failed.failure, now + wait)

    async def _bury(self, delivery: Delivery, failure: str) -> None:
        self._signal.told(delivery.channel, "dead")
        facts = {
            "channel": delivery.channel,
            "failure": failure,
            "notification": delivery.notification.notification_id,
            "approval": delivery.notification.approval_id,
        }
        _log.error("a notification could not be told, and is a dead letter", extra=facts)
        await self._call(self._deliveries.dead, delivery, failure, self._clock())

    def _wait(self, attempts: int) -> float:
        """Doubles with each attempt, up to a bound; half of it is chance."""
        whole = min(MAX_WAIT_SECONDS, FIRST_WAIT_SECONDS * 2.0 ** min(attempts - 1, 10))
        return whole * (0.5 + self._jitter() / 2)

    def _begin(self, channel: str) -> None:
        """A slow receiver keeps no other channel waiting, and no second task of its own begins."""
        if channel not in self._busy:
            self._busy[channel] = asyncio.create_task(self._tell_or_wait(channel))

    async def _tell_or_wait(self, channel: str) -> None:
        with contextlib.suppress(Unavailable):  # the next look meets it too, and says it
            await self.tell_due(channel)

    def _reap(self) -> None:
        for channel, task in list(self._busy.items()):
            if task.done():
                del self._busy[channel]
                task.result()

    def _say_lost(self, *, lost: bool) -> None:
        if lost and not self._lost:
            _log.error("the outbox of notifications cannot be read; they are told when it is back")
        self._lost = lost

    async def _stop(self) -> None:
        self._stopping = True
        if self._busy:
            _, unended = await asyncio.wait(self._busy.values(), timeout=STOP_SECONDS)
            for task in unended:
                task.cancel()
            await asyncio.gather(*unended, return_exceptions=True)
        self._thread.shutdown(wait=False)

    async def _call(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._thread, lambda: function(*args, **kwargs))
