"""What happens is told once, by all of its channels, through outages and deaths, or is a dead letter that shows."""

import asyncio
import base64
import contextlib
import datetime as dt
import json
import logging
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
from standardwebhooks.webhooks import Webhook

from extproc.approvals.database import open_database
from extproc.approvals.notify import outbox
from extproc.approvals.notify.channels import open_sender
from extproc.approvals.notify.deliveries import (
    GIVE_UP_SECONDS,
    KEEP_SECONDS,
    LEASE_SECONDS,
    Deliveries,
    DeliveryState,
    Notification,
    Spread,
)
from extproc.approvals.notify.dispatcher import Dispatcher
from extproc.approvals.notify.events import Event
from extproc.approvals.notify.settings import Channel, WebhookTo
from extproc.approvals.notify.telling import NotTold, Telling
from extproc.approvals.store import ApprovalStore
from extproc.core.approval import Approval, ApprovalRequest
from extproc.core.reasons import Reason, Unavailable
from tests.approvals.receivers import Clock, Counted, Receiver

SECRET = "whsec_" + base64.b64encode(bytes(range(32))).decode()
START = float(int(time.time()))
Ask = Callable[..., ApprovalRequest]


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    receiver = Receiver()
    receiver.up()
    yield receiver
    receiver.down()


@pytest.fixture
def clock() -> Clock:
    return Clock(START)


@pytest.fixture
def deliveries(sqlite_store: ApprovalStore) -> Deliveries:
    return Deliveries(sqlite_store._database)


class Told:
    """A sender that keeps what it was given, and fails as it is told to."""

    def __init__(self) -> None:
        self.got: list[Telling] = []
        self.failing: Exception | None = None
        self.going = asyncio.Event()
        self.going.set()

    async def send(self, telling: Telling, now: float) -> None:
        await self.going.wait()
        if self.failing is not None:
            raise self.failing
        self.got.append(telling)


def happen(store: ApprovalStore, approval: Approval, event: Event, now: float = START) -> None:
    with store._database.transaction() as connection:
        outbox.add(connection, approval, event, now)


def opened(store: ApprovalStore, ask: Ask, name: str, seconds: float = 3600.0) -> Approval:
    return store.open(ask(name, created_at=START, expires_at=START + seconds))


def webhook(folder: Path, receiver: Receiver, name: str = "hook") -> Channel:
    (folder / "hook.key").write_text(SECRET)
    return Channel(name, WebhookTo(folder / "hook.key", receiver.url))


def dispatcher(
    store: ApprovalStore, channels: dict[Channel, Told | None], clock: Clock, signal: Counted | None = None
) -> Dispatcher:
    """`None`: by the real sender."""
    return Dispatcher(
        Deliveries(store._database),
        list(channels),
        {each.name: sender or open_sender(each) for each, sender in channels.items()},
        store.find_all,
        link=lambda happened, _, channel: f"https://console.test/{channel}/{happened.notification_id}",
        signal=signal or Counted(),
        deployment="test",
        clock=clock,
        jitter=lambda: 1.0,
    )


def channel(name: str, *, groups: tuple[str, ...] = (), events: tuple[Event, ...] = tuple(Event)) -> Channel:
    return Channel(name, WebhookTo(Path("none"), "https://x.test"), frozenset(events), frozenset(groups))


# -- what is told, and by whom ------------------------------------------------------------------------------------------


async def test_a_webhook_holds_by_the_library_and_says_what_happened(
    sqlite_store: ApprovalStore, ask: Ask, receiver: Receiver, tmp_path: Path
) -> None:
    approval = opened(sqlite_store, ask, "apr-1")
    await dispatcher(sqlite_store, {webhook(tmp_path, receiver): None}, Clock(time.time())).step()
    (got,) = receiver.got
    said = Webhook(SECRET).verify(got.body, got.headers)
    assert said["type"] == "approval.opened"
    assert said["data"]["approval"]["id"] == approval.approval_id
    assert said["data"]["approval"]["findings"] == {"pan": 2, "security_code": 1}
    assert said["data"]["link"].startswith("https://console.test/hook/ntf_")
    with pytest.raises(Exception, match="No matching signature"):
        Webhook(SECRET).verify(got.body.replace(b"pending", b"granted"), got.headers)


async def test_a_channel_tells_its_groups_and_its_events(sqlite_store: ApprovalStore, ask: Ask, clock: Clock) -> None:
    told = {
        channel("all"): Told(),
        channel("ours", groups=("approvers",)): Told(),
        channel("others", groups=("nobody",)): Told(),
        channel("leads", groups=("leads",)): Told(),
        channel("decided", events=(Event.DECIDED,)): Told(),
    }
    request = replace(ask("apr-1", created_at=START, expires_at=START + 60), escalation_groups=("leads",))
    approval = sqlite_store.open(request)
    telling = dispatcher(sqlite_store, dict(told), clock)
    await telling.step()
    got = {each.name: [one.notification.event.value for one in sender.got] for each, sender in told.items()}
    assert got == {"all": ["opened"], "ours": ["opened"], "others": [], "leads": [], "decided": []}
    happen(sqlite_store, approval, Event.ESCALATED)
    happen(sqlite_store, approval, Event.EMERGENCY)
    await telling.step()
    got = {each.name: [one.notification.event.value for one in sender.got][-2:] for each, sender in told.items()}
    assert got == {
        "all": ["emergency", "escalated"],
        "ours": ["opened", "emergency"],
        "others": ["emergency"],
        "leads": ["emergency", "escalated"],
        "decided": [],
    }


def test_what_happens_is_written_with_what_it_is_told_of_or_not_at_all(sqlite_store: ApprovalStore, ask: Ask) -> None:
    approval = sqlite_store.open(ask("apr-1"))
    deliveries = Deliveries(sqlite_store._database)
    before = len(deliveries.unspread(10))
    with contextlib.suppress(Unavailable), sqlite_store._database.transaction() as connection:
        outbox.add(connection, approval, Event.DECIDED, 1.0)
        raise Unavailable(Reason.APPROVALS_UNAVAILABLE)
    assert len(deliveries.unspread(10)) == before
    for _ in range(2):
        happen(sqlite_store, approval, Event.DECIDED)
    assert len(deliveries.unspread(10)) == before + 1


# -- outages and deaths ------------------------------------------------------------------------------------------------


async def test_an_outage_of_ten_minutes_loses_nothing_and_doubles_nothing(
    sqlite_store: ApprovalStore, ask: Ask, receiver: Receiver, tmp_path: Path, clock: Clock
) -> None:
    telling = dispatcher(sqlite_store, {webhook(tmp_path, receiver): None}, clock)
    opened(sqlite_store, ask, "before")
    await telling.step()
    receiver.down()
    for minute in range(10):
        opened(sqlite_store, ask, f"during-{minute}")
        for _ in range(4):
            await telling.step()
            clock.now += 15
    receiver.up()
    opened(sqlite_store, ask, "after")
    for _ in range(20):
        await telling.step()
        clock.now += 15
    told = [json.loads(got.body)["data"]["approval"]["id"] for got in receiver.got]
    assert sorted(told) == sorted(["before", "after", *(f"during-{minute}" for minute in range(10))])
    for got in receiver.got:
        at = Webhook(SECRET).sign(
            got.headers["webhook-id"], _instant(got.headers["webhook-timestamp"]), got.body.decode()
        )
        assert got.headers["webhook-signature"] == at


async def test_in_real_time_a_receiver_that_comes_back_is_told(
    sqlite_store: ApprovalStore, ask: Ask, receiver: Receiver, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("extproc.approvals.notify.dispatcher.LOOK_SECONDS", 0.02)
    monkeypatch.setattr("extproc.approvals.notify.dispatcher.FIRST_WAIT_SECONDS", 0.1)
    receiver.down()
    names = {opened(sqlite_store, ask, f"apr-{number}").approval_id for number in range(3)}
    telling = dispatcher(sqlite_store, {webhook(tmp_path, receiver): None}, Clock(0))
    telling._clock = time.time
    running = asyncio.create_task(telling.run())
    deliveries = Deliveries(sqlite_store._database)
    while not any(each.attempts for each in deliveries.search([DeliveryState.WAITING], 10)):
        await asyncio.sleep(0.02)
    receiver.up()
    while len(deliveries.search([DeliveryState.SENT], 10)) < len(names):
        await asyncio.sleep(0.02)
    running.cancel()
    await asyncio.wait([running])
    bodies = [Webhook(SECRET).verify(got.body, got.headers) for got in receiver.got]
    assert sorted(body["data"]["approval"]["id"] for body in bodies) == sorted(names)


async def test_a_death_between_sending_and_marking_tells_again_with_the_same_id(  # noqa: PLR0917 - fixtures
    store: ApprovalStore, ask: Ask, receiver: Receiver, tmp_path: Path, clock: Clock,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    opened(store, ask, "apr-1")
    hook = webhook(tmp_path, receiver)

    def die(*_: object) -> None:
        raise Unavailable(Reason.APPROVALS_UNAVAILABLE)

    with monkeypatch.context() as dying, pytest.raises(Unavailable):
        dying.setattr(Deliveries, "sent", die)
        await dispatcher(store, {hook: None}, clock).step()
    another = dispatcher(store, {hook: None}, clock)
    await another.step()
    assert len(receiver.ids) == 1, "its lease goes on"
    clock.now += LEASE_SECONDS
    await another.step()
    await another.step()
    assert len(receiver.ids) == 2
    assert len(set(receiver.ids)) == 1


async def test_a_slow_channel_delays_no_other(
    sqlite_store: ApprovalStore, ask: Ask, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("extproc.approvals.notify.dispatcher.LOOK_SECONDS", 0.01)
    slow, quick = Told(), Told()
    slow.going.clear()
    running = asyncio.create_task(
        dispatcher(sqlite_store, {channel("slow"): slow, channel("quick"): quick}, clock).run()
    )
    for number in range(3):
        opened(sqlite_store, ask, f"apr-{number}")
        while len(quick.got) <= number:
            await asyncio.sleep(0.01)
    assert slow.got == []
    slow.going.set()
    while len(slow.got) < 3:
        await asyncio.sleep(0.01)
    running.cancel()
    await asyncio.wait([running])
    assert running.cancelled()


async def test_what_is_being_sent_ends_before_a_console_stops(
    sqlite_store: ApprovalStore, ask: Ask, clock: Clock, deliveries: Deliveries
) -> None:
    sender = Told()
    sender.going.clear()
    opened(sqlite_store, ask, "apr-1")
    running = asyncio.create_task(dispatcher(sqlite_store, {channel("hook"): sender}, clock).run())
    while not any(each.leased_until for each in deliveries.search([DeliveryState.WAITING], 1)):
        await asyncio.sleep(0.01)
    running.cancel()
    await asyncio.sleep(0.05)
    sender.going.set()
    await asyncio.wait([running])
    assert len(sender.got) == 1
    assert [each.state for each in deliveries.search(list(DeliveryState), 9)] == [DeliveryState.SENT]


def test_two_consoles_lease_each_delivery_once(store: ApprovalStore, ask: Ask, database: str) -> None:
    other = open_database(database)
    consoles = [Deliveries(store._database), Deliveries(other)]
    notifications = []
    for number in range(12):
        approval = store.open(ask(f"apr-{number}"))
        happen(store, approval, Event.DECIDED)
        notifications.append(
            Notification(outbox.notification_id(approval, Event.DECIDED), "", Event.DECIDED, "", START)
        )

    def work(deliveries: Deliveries) -> tuple[int, list[str]]:
        spread = sum(deliveries.spread([Spread(each, ("hook",), START + 9e9)], START) for each in notifications)
        leased: list[str] = []
        while (delivery := deliveries.lease("hook", START)) is not None:
            leased.append(delivery.notification.notification_id)
            deliveries.sent(delivery, START)
        return spread, leased

    with ThreadPoolExecutor(2) as pool:
        did = list(pool.map(work, consoles))
    other.close()
    assert sum(spread for spread, _ in did) == 12
    leased = [name for _, names in did for name in names]
    while (late := consoles[0].lease("hook", START)) is not None:
        leased.append(late.notification.notification_id)
        consoles[0].sent(late, START)
    assert sorted(leased) == sorted({each.notification_id for each in notifications})


async def test_an_emergency_goes_before_all_that_waits(sqlite_store: ApprovalStore, ask: Ask, clock: Clock) -> None:
    sender = Told()
    for number in range(5):
        opened(sqlite_store, ask, f"apr-{number}")
    happen(sqlite_store, sqlite_store.open(ask("urgent", created_at=START)), Event.EMERGENCY, START + 9)
    telling = dispatcher(sqlite_store, {channel("hook", events=(Event.OPENED, Event.EMERGENCY)): sender}, clock)
    assert telling._deliveries.unspread(1)[0].event is Event.EMERGENCY
    await telling.step()
    assert sender.got[0].notification.event is Event.EMERGENCY


async def test_an_emergency_that_no_channel_takes_is_an_error_in_the_log(
    sqlite_store: ApprovalStore, ask: Ask, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    happen(sqlite_store, sqlite_store.open(ask("apr-1", created_at=START)), Event.EMERGENCY)
    await dispatcher(sqlite_store, {channel("hook", events=(Event.OPENED,)): Told()}, clock).step()
    assert [record.getMessage() for record in caplog.records if record.levelno == logging.ERROR] == [
        "an emergency is told by no channel"
    ]


async def test_a_console_without_channels_leaves_all_to_one_with_channels(
    sqlite_store: ApprovalStore, ask: Ask, clock: Clock
) -> None:
    opened(sqlite_store, ask, "apr-1")
    await dispatcher(sqlite_store, {}, clock).step()
    sender = Told()
    await dispatcher(sqlite_store, {channel("hook"): sender}, clock).step()
    assert len(sender.got) == 1


async def test_what_was_told_is_forgotten_after_its_time(
    sqlite_store: ApprovalStore, ask: Ask, clock: Clock, deliveries: Deliveries
) -> None:
    happen(sqlite_store, sqlite_store.open(ask("apr-1", created_at=START)), Event.EMERGENCY)
    await dispatcher(sqlite_store, {channel("hook", events=(Event.EMERGENCY,)): Told()}, clock).step()
    happen(sqlite_store, sqlite_store.open(ask("apr-2", created_at=START)), Event.EMERGENCY, START + KEEP_SECONDS)
    deliveries.forget(START + KEEP_SECONDS - 1)
    assert len(deliveries.search(list(DeliveryState), 9)) == 1
    deliveries.forget(START + KEEP_SECONDS)
    assert deliveries.search(list(DeliveryState), 9) == []
    with sqlite_store._database.transaction() as connection:
        left = connection.exec_driver_sql(
            "SELECT DISTINCT approval_id FROM notifications WHERE event = 'emergency'"
        ).all()
    assert [name for (name,) in left] == ["apr-2"]


# -- what cannot be told -----------------------------------------------------------------------------------------------


async def test_what_was_decided_meanwhile_asks_nobody_any_more(
    sqlite_store: ApprovalStore, ask: Ask, clock: Clock, deliveries: Deliveries
) -> None:
    sender = Told()
    sender.failing = NotTold("unreachable")
    telling = dispatcher(sqlite_store, {channel("hook", events=(Event.OPENED,)): sender}, clock)
    opened(sqlite_store, ask, "apr-1")
    await telling.step()
    sqlite_store.withdraw("apr-1")
    sender.failing = None
    clock.now += 600
    await telling.step()
    assert sender.got == []
    (delivery,) = deliveries.search(list(DeliveryState), 9)
    assert (delivery.state, delivery.failure) == (DeliveryState.MOOT, "unreachable")


async def test_what_nobody_was_asked_in_time_is_a_dead_letter_that_shows(
    sqlite_store: ApprovalStore, ask: Ask, clock: Clock, deliveries: Deliveries, caplog: pytest.LogCaptureFixture
) -> None:
    sender, signal = Told(), Counted()
    sender.failing = NotTold("http_503")
    hook = channel("hook", events=(Event.OPENED,))
    telling = dispatcher(sqlite_store, {hook: sender}, clock, signal)
    opened(sqlite_store, ask, "apr-1", seconds=60)
    await telling.step()
    clock.now += 60
    await telling.sweep()
    (dead,) = deliveries.search([DeliveryState.DEAD], 9)
    assert (dead.failure, dead.attempts, signal.dead) == ("http_503", 1, 1)
    assert [record.levelno for record in caplog.records if "in time" in record.getMessage()] == [logging.ERROR]


async def test_a_lasting_refusal_is_a_dead_letter_at_once_which_a_person_has_sent_again(
    sqlite_store: ApprovalStore, ask: Ask, clock: Clock, deliveries: Deliveries
) -> None:
    sender, signal = Told(), Counted()
    sender.failing = NotTold("http_400", lasting=True)
    telling = dispatcher(sqlite_store, {channel("hook"): sender}, clock, signal)
    approval = opened(sqlite_store, ask, "apr-1")
    await telling.step()
    (dead,) = deliveries.search([DeliveryState.DEAD], 9)
    assert signal.outcomes == {("hook", "dead"): 1}
    assert not deliveries.retry(dead.notification.notification_id, "other", clock.now)
    sender.failing = None
    await telling.step()
    assert sender.got == []
    assert deliveries.retry(dead.notification.notification_id, "hook", clock.now)
    await telling.step()
    assert [each.approval.approval_id for each in sender.got] == [approval.approval_id]
    assert not deliveries.retry(dead.notification.notification_id, "hook", clock.now)


async def test_what_is_of_a_channel_that_is_not_configured_any_more_dies_in_its_time(
    sqlite_store: ApprovalStore, ask: Ask, clock: Clock, deliveries: Deliveries
) -> None:
    old = dispatcher(sqlite_store, {channel("old"): Told()}, clock)
    sqlite_store.open(replace(ask("apr-1", created_at=START), emergency=True))
    await old.spread()
    new = dispatcher(sqlite_store, {channel("new"): Told()}, clock)
    await new.step()
    clock.now += GIVE_UP_SECONDS
    await new.sweep()
    (dead,) = deliveries.search([DeliveryState.DEAD], 9)
    assert (dead.channel, dead.failure) == ("old", "too_late")


async def test_a_message_that_cannot_be_made_stops_no_other(
    sqlite_store: ApprovalStore, ask: Ask, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    sender = Told()
    good = sender.send

    async def send(telling: Telling, now: float) -> None:
        if telling.approval.approval_id == "apr-0":
            raise ZeroDivisionError("4111111111111111")
        await good(telling, now)

    sender.send = send  # type: ignore[method-assign]
    for number in range(3):
        opened(sqlite_store, ask, f"apr-{number}")
    await dispatcher(sqlite_store, {channel("hook"): sender}, clock).step()
    assert sorted(each.approval.approval_id for each in sender.got) == ["apr-1", "apr-2"]
    assert "4111" not in caplog.text


async def test_a_receiver_that_asks_to_be_left_alone_is(sqlite_store: ApprovalStore, ask: Ask, clock: Clock) -> None:
    sender = Told()
    sender.failing = NotTold("http_429", wait_seconds=300.0)
    telling = dispatcher(sqlite_store, {channel("hook"): sender}, clock)
    opened(sqlite_store, ask, "apr-0")
    await telling.step()
    sender.failing = None
    opened(sqlite_store, ask, "apr-1")
    clock.now += 299
    await telling.step()
    assert sender.got == []
    clock.now += 1
    await telling.step()
    assert sorted(each.approval.approval_id for each in sender.got) == ["apr-0", "apr-1"]


async def test_what_nobody_expected_ends_the_dispatcher(
    sqlite_store: ApprovalStore, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(Deliveries, "unspread", fail)
    with pytest.raises(ZeroDivisionError):
        await dispatcher(sqlite_store, {channel("hook"): Told()}, clock).run()


async def test_a_store_that_is_away_is_waited_for(
    sqlite_store: ApprovalStore, ask: Ask, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("extproc.approvals.notify.dispatcher.LOOK_SECONDS", 0.01)
    sender, looks, due = Told(), list[int](), Deliveries.due_channels

    def away_first(self: Deliveries, now: float) -> set[str]:
        looks.append(1)
        if len(looks) < 3:
            raise Unavailable(Reason.APPROVALS_UNAVAILABLE)
        return due(self, now)

    monkeypatch.setattr(Deliveries, "due_channels", away_first)
    opened(sqlite_store, ask, "apr-1")
    running = asyncio.create_task(dispatcher(sqlite_store, {channel("hook"): sender}, clock).run())
    while not sender.got:
        await asyncio.sleep(0.01)
    running.cancel()
    await asyncio.wait([running])


def _instant(seconds: str) -> dt.datetime:
    return dt.datetime.fromtimestamp(int(seconds), dt.UTC)
