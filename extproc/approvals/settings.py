"""What the approval store is told at start."""

from dataclasses import dataclass

from extproc.approvals.notify.settings import Channel


@dataclass(frozen=True, slots=True)
class ApprovalSettings:
    """`database` is an SQLAlchemy URL (`sqlite:////var/lib/extproc/approvals.db`)."""

    database: str
    poll_seconds: float = 0.25
    """How often one worker asks the store, once for all that wait, where the store cannot wake it."""
    channels: tuple[Channel, ...] = ()
    """By which the console tells people."""
