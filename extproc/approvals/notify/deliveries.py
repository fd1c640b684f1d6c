"""What is to be told, to whom, and what became of it. Several consoles share it: each delivery is leased by one."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from sqlalchemy import ColumnElement, RowMapping, Select, delete, exists, func, insert, select, tuple_, update

from extproc.approvals.database import Database
from extproc.approvals.notify.events import Event
from extproc.approvals.notify.tables import DELIVERIES, NOTIFICATIONS

LEASE_SECONDS: Final = 90.0
"""Longer than any sending takes. A console that dies meanwhile: another one sends it again, with the same id."""
GIVE_UP_SECONDS: Final = 24 * 3600.0
KEEP_SECONDS: Final = 90 * 86400.0
"""What was told, or could not be, is shown for so long."""

_event, _row = NOTIFICATIONS.c, DELIVERIES.c
_ENDED: Final = {"leased_until": 0.0}


class DeliveryState(StrEnum):
    """`MOOT`: somebody decided before it could be told. `DEAD`: not told, and not tried any more."""

    WAITING = "waiting"
    SENT = "sent"
    DEAD = "dead"
    MOOT = "moot"


@dataclass(frozen=True, slots=True)
class Notification:
    """What happened. `state`: the approval's just then. Times are Unix seconds."""

    notification_id: str
    approval_id: str
    event: Event
    state: str
    at: float


@dataclass(frozen=True, slots=True)
class Spread:
    """A notification with the channels that tell it, and until when they try."""

    notification: Notification
    channels: tuple[str, ...]
    gives_up_at: float


@dataclass(frozen=True, slots=True)
class Delivery:
    """One channel's part of a notification. `failure`: why the last attempt failed, in a word of ours."""

    notification: Notification
    channel: str
    state: DeliveryState
    attempts: int
    due_at: float
    leased_until: float
    gives_up_at: float
    failure: str
    ended_at: float


class Deliveries:
    """Blocking; safe to use from several threads and processes. `now` is Unix seconds.

    Every method raises `Unavailable(APPROVALS_UNAVAILABLE)` when the database does not do what it was asked.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def unspread(self, limit: int) -> list[Notification]:
        """What happened and no console has given to channels yet: emergencies, then the oldest."""
        order = (_event.event != Event.EMERGENCY.value, _event.at)
        oldest = select(NOTIFICATIONS).where(_event.spread_at == 0).order_by(*order).limit(limit)
        with self._database.transaction() as connection:
            return [_notification(row) for row in connection.execute(oldest).mappings()]

    def spread(self, spreads: Sequence[Spread], now: float) -> int:
        """Write the deliveries, all or none; of what another console has spread meanwhile nothing. Of how many."""
        count = 0
        with self._database.writing() as connection:
            for each in spreads:
                own = _event.notification_id == each.notification.notification_id
                first = update(NOTIFICATIONS).where(own, _event.spread_at == 0).values(spread_at=now)
                if not connection.execute(first).rowcount:
                    continue
                count += 1
                if each.channels:
                    connection.execute(insert(DELIVERIES), [_new_row(each, channel, now) for channel in each.channels])
        return count

    def due_channels(self, now: float) -> set[str]:
        """The channels that have something to tell now."""
        with self._database.transaction() as connection:
            return set(connection.execute(select(_row.channel).where(*_due(now)).distinct()).scalars())

    def lease(self, channel: str, now: float) -> Delivery | None:
        """The next delivery of the channel, ours for `LEASE_SECONDS`; None where none is due or others have them."""
        due = (_row.channel == channel, *_due(now))
        first = (
            select(_row.notification_id)
            .where(*due)
            .order_by(_row.urgency, _row.attempts, _row.due_at, _row.notification_id)
            .limit(1)
            .with_for_update(skip_locked=True)
        )
        # Said once more outside: of two that chose the same one, the second looks again at what the first left.
        leased = (
            update(DELIVERIES)
            .where(_row.notification_id == first.scalar_subquery(), *due)
            .values(leased_until=now + LEASE_SECONDS)
            .returning(_row.notification_id)
        )
        with self._database.writing() as connection:
            name = connection.execute(leased).scalar_one_or_none()
            if name is None:
                return None
            found = _shown().where(_row.notification_id == name, _row.channel == channel)
            return _delivery(connection.execute(found).mappings().one())

    def sent(self, delivery: Delivery, now: float) -> None:
        """It was told."""
        self._end(delivery, DeliveryState.SENT, "", now)

    def moot(self, delivery: Delivery, now: float) -> None:
        """Nobody needs it any more."""
        self._end(delivery, DeliveryState.MOOT, delivery.failure, now)

    def dead(self, delivery: Delivery, failure: str, now: float) -> None:
        """It is not tried any more."""
        self._end(delivery, DeliveryState.DEAD, failure, now)

    def failed(self, delivery: Delivery, failure: str, due_at: float) -> None:
        """Not told; tried again at `due_at`. What another console has leased meanwhile is left to it."""
        values: dict[str, Any] = {"attempts": delivery.attempts + 1, "due_at": due_at, "failure": failure}
        mine = _row.leased_until == delivery.leased_until
        with self._database.writing() as connection:
            connection.execute(update(DELIVERIES).where(*_same(delivery), mine).values(**values, **_ENDED))

    def give_up(self, now: float) -> int:
        """What nobody could be told in time is dead, of channels that are not configured any more too. How many."""
        over = (_row.state == DeliveryState.WAITING.value, _row.gives_up_at <= now, _row.leased_until <= now)
        values = {"state": DeliveryState.DEAD.value, "ended_at": now}
        with self._database.writing() as connection:
            connection.execute(update(DELIVERIES).where(*over, _row.failure == "").values(failure="too_late"))
            return connection.execute(update(DELIVERIES).where(*over).values(**values, **_ENDED)).rowcount

    def retry(self, notification_id: str, channel: str, now: float) -> bool:
        """A dead one is tried again, for as long as a new one; False where there is no such dead one."""
        own = (_row.notification_id == notification_id, _row.channel == channel)
        values: dict[str, Any] = {"attempts": 0, "due_at": now, "gives_up_at": now + GIVE_UP_SECONDS, "ended_at": 0.0}
        revived = update(DELIVERIES).where(*own, _row.state == DeliveryState.DEAD.value)
        with self._database.writing() as connection:
            return connection.execute(revived.values(state=DeliveryState.WAITING.value, **values)).rowcount > 0

    def search(self, states: Sequence[DeliveryState], limit: int) -> list[Delivery]:
        """The newest deliveries in one of the states, newest first."""
        wanted = _row.state.in_([state.value for state in states])
        newest = _shown().where(wanted).order_by(_event.at.desc(), _event.notification_id, _row.channel).limit(limit)
        with self._database.transaction() as connection:
            return [_delivery(row) for row in connection.execute(newest).mappings()]

    def count_by_state(self, states: Sequence[DeliveryState] = tuple(DeliveryState)) -> dict[DeliveryState, int]:
        """How many there are in each of the states."""
        counted = select(_row.state, func.count()).where(_row.state.in_([state.value for state in states]))
        with self._database.transaction() as connection:
            found = {str(state): int(count) for state, count in connection.execute(counted.group_by(_row.state))}
        return {state: found.get(state.value, 0) for state in states}

    def forget(self, now: float) -> None:
        """Delete what ended `KEEP_SECONDS` ago, and what happened then and is told by no channel."""
        before = now - KEEP_SECONDS
        told = exists().where(_row.notification_id == _event.notification_id)
        with self._database.writing() as connection:
            connection.execute(delete(DELIVERIES).where(_row.ended_at > 0, _row.ended_at <= before))
            connection.execute(delete(NOTIFICATIONS).where(_event.at <= before, ~told))

    def _end(self, delivery: Delivery, state: DeliveryState, failure: str, now: float) -> None:
        """Once: whoever tells it a second time, after a lease that was over, changes nothing."""
        values = {"state": state.value, "failure": failure, "ended_at": now, "attempts": delivery.attempts + 1}
        with self._database.writing() as connection:
            connection.execute(update(DELIVERIES).where(*_same(delivery)).values(**values, **_ENDED))


def described(deliveries: Sequence[Delivery]) -> dict[str, str | int]:
    """What a record says of these: how many, and which one where it is one."""
    if len(deliveries) != 1:
        return {"deliveries": len(deliveries)}
    (only,) = deliveries
    return {"deliveries": 1, "notification": only.notification.notification_id, "channel": only.channel}


def _new_row(spread: Spread, channel: str, now: float) -> dict[str, Any]:
    return {
        "notification_id": spread.notification.notification_id,
        "channel": channel,
        "state": DeliveryState.WAITING.value,
        "urgency": int(spread.notification.event is not Event.EMERGENCY),
        "attempts": 0,
        "due_at": now,
        "leased_until": 0.0,
        "gives_up_at": spread.gives_up_at,
        "failure": "",
        "ended_at": 0.0,
    }


def _due(now: float) -> tuple[ColumnElement[bool], ...]:
    return (_row.state == DeliveryState.WAITING.value, _row.due_at <= now, _row.leased_until <= now)


def _same(delivery: Delivery) -> tuple[ColumnElement[bool], ...]:
    """This one, while it waits."""
    key = (delivery.notification.notification_id, delivery.channel)
    return (tuple_(_row.notification_id, _row.channel) == key, _row.state == DeliveryState.WAITING.value)


def _shown() -> Select[Any]:
    events = (_event.approval_id, _event.event, _event.state.label("approval_state"), _event.at)
    return select(DELIVERIES, *events).join(NOTIFICATIONS, _row.notification_id == _event.notification_id)


def _notification(row: RowMapping, state: str = "state") -> Notification:
    return Notification(row["notification_id"], row["approval_id"], Event(row["event"]), row[state], row["at"])


def _delivery(row: RowMapping) -> Delivery:
    names = ("channel", "attempts", "due_at", "leased_until", "gives_up_at", "failure", "ended_at")
    notification = _notification(row, "approval_state")
    return Delivery(notification=notification, state=DeliveryState(row["state"]), **{name: row[name] for name in names})
