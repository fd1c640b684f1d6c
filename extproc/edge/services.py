"""What every session of a worker shares."""

import secrets
import time
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any

from extproc.approvals.budget_desk import BudgetDesk
from extproc.approvals.desk import Desk
from extproc.audit.log.journal import Journal
from extproc.core.snapshot import Snapshot
from extproc.edge.authenticator import Authenticator
from extproc.edge.telemetry import Telemetry


@dataclass(frozen=True, slots=True)
class Services:
    """`snapshot` and `authenticator` are called once per exchange, with nothing in between: they belong together."""

    snapshot: Callable[[], Snapshot]
    authenticator: Callable[[], Authenticator]
    journal: Journal
    desk: Desk
    budgets: BudgetDesk
    telemetry: Telemetry
    spawn: Callable[[Coroutine[Any, Any, None]], object]
    """Starts work that outlives its stream."""
    gate_secret: str
    """Empty towards a foreign gateway: nothing there would take the marker off before the client sees it."""


def new_exchange_id() -> str:
    """`<milliseconds, 12 hex digits>-<64 random bits>`: sorts by time, is not guessable."""
    return f"{time.time_ns() // 1_000_000:012x}-{secrets.token_hex(8)}"
