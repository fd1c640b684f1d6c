"""Whatever order outages, restarts, deaths and clocks come in: everything is told, and once unless a console died."""

import itertools
from collections import Counter
from collections.abc import Callable
from typing import Any
from unittest import mock

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from extproc.approvals.notify import outbox
from extproc.approvals.notify.deliveries import LEASE_SECONDS, Deliveries, DeliveryState
from extproc.approvals.notify.dispatcher import MAX_WAIT_SECONDS, Dispatcher
from extproc.approvals.notify.events import Event
from extproc.approvals.notify.settings import Channel, WebhookTo
from extproc.approvals.notify.telling import NotTold, Telling
from extproc.approvals.store import ApprovalStore
from extproc.core.approval import ApprovalRequest
from extproc.core.reasons import Reason, Unavailable
from tests.approvals.receivers import Clock, Counted

NAMES = ("a", "b")
START = 1_000_000.0
_numbers = itertools.count()
STEPS = st.one_of(
    st.just(("happen", 0)),
    st.tuples(st.sampled_from(["look", "die", "restart"]), st.integers(0, 1)),
    st.tuples(st.sampled_from(["away", "back"]), st.integers(0, 1)),
    st.tuples(st.just("pass"), st.sampled_from([1, 10, 100])),
)


class Receiver:
    def __init__(self) -> None:
        self.away = False
        self.told: list[str] = []

    async def send(self, telling: Telling, now: float) -> None:
        if self.away:
            raise NotTold("unreachable")
        self.told.append(telling.notification.notification_id)


def console(store: ApprovalStore, receivers: dict[str, Receiver], clock: Clock) -> Dispatcher:
    channels = [Channel(name, WebhookTo(mock.sentinel.file)) for name in NAMES]
    return Dispatcher(
        store.deliveries(), channels, receivers, store.find_all, link=lambda *_: "", signal=Counted(), deployment="",
        clock=clock, jitter=lambda: 1.0,
    )  # fmt: skip


async def look(dispatcher: Dispatcher, dies: bool) -> None:
    """`dies`: after it has sent something, before it is marked."""

    def die(*_: object) -> None:
        raise Unavailable(Reason.APPROVALS_UNAVAILABLE)

    if not dies:
        await dispatcher.step()
        return
    with mock.patch.object(Deliveries, "sent", die):
        try:
            await dispatcher.step()
        except Unavailable:
            return


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(steps=st.lists(STEPS, max_size=20))
async def test_everything_is_told_and_once_unless_a_console_died(
    sqlite_store: ApprovalStore, ask: Callable[..., ApprovalRequest], steps: list[tuple[str, Any]]
) -> None:
    clock, receivers = Clock(START), {name: Receiver() for name in NAMES}
    consoles = [console(sqlite_store, receivers, clock) for _ in range(2)]
    happened: list[str] = []
    died = False
    for step, which in steps:
        match step:
            case "happen":
                request = ask(f"apr-{next(_numbers)}", created_at=clock.now, expires_at=clock.now + 1e6)
                approval = sqlite_store.open(request)
                happened.append(outbox.notification_id(approval, Event.OPENED))
            case "look" | "die":
                died |= step == "die"
                await look(consoles[which], step == "die")
            case "restart":
                consoles[which] = console(sqlite_store, receivers, clock)
            case "pass":
                clock.now += which
            case _:
                receivers[NAMES[which]].away = step == "away"
    for receiver in receivers.values():
        receiver.away = False
    for _ in range(3):
        clock.now += max(LEASE_SECONDS, MAX_WAIT_SECONDS)
        await consoles[0].step()
        await consoles[1].step()
    for receiver in receivers.values():
        counts = Counter(receiver.told)
        assert set(counts) == set(happened)
        assert died or max(counts.values(), default=1) == 1
    assert sqlite_store.deliveries().search([DeliveryState.WAITING, DeliveryState.DEAD], 9) == []
