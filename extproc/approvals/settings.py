"""What the approval store is told at start."""

from dataclasses import dataclass, field
from enum import StrEnum

from extproc.approvals.notify.settings import Channel


class Migrate(StrEnum):
    """Who brings an older database to the newest revision: whoever opens it, or nobody but who is told to."""

    AUTOMATIC = "automatic"
    MANUAL = "manual"


@dataclass(frozen=True, slots=True)
class ApprovalSettings:
    """`database` is an SQLAlchemy URL (`sqlite:////var/lib/extproc/approvals.db`), perhaps with a password."""

    database: str = field(repr=False)
    poll_seconds: float = 0.25
    """How often one worker asks the store, once for all that wait, where the store cannot wake it."""
    channels: tuple[Channel, ...] = ()
    """By which the console tells people."""
    migrate: Migrate = Migrate.AUTOMATIC
    """Who brings an older database to the newest revision."""
