"""The outbox of notifications: what happens to an approval is written down in the transaction in which it happens."""

import hashlib

from sqlalchemy import Connection
from sqlalchemy.dialects import postgresql, sqlite

from extproc.approvals.notify.events import Event
from extproc.approvals.notify.tables import NOTIFICATIONS
from extproc.core.approval import Approval


def add(connection: Connection, approval: Approval, event: Event, now: float) -> None:
    """In the transaction of `connection`, once: what is there already stays as it is. `approval` is as it is then."""
    insert = sqlite.insert if connection.dialect.name == "sqlite" else postgresql.insert
    row = {
        "notification_id": notification_id(approval, event),
        "approval_id": approval.approval_id,
        "event": event.value,
        "state": approval.state.value,
        "at": now,
        "spread_at": 0.0,
    }
    connection.execute(insert(NOTIFICATIONS).values(row).on_conflict_do_nothing())


def notification_id(approval: Approval, event: Event) -> str:
    """The same whoever makes it: receivers know by it what they were told already."""
    named = "\n".join((approval.approval_id, event.value, approval.state.value))
    return f"ntf_{hashlib.sha256(named.encode()).hexdigest()[:32]}"
