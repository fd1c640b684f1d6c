"""What the pages about the log, the policy and the keys read: the configuration that the console was started with."""

from dataclasses import dataclass, field

from extproc.approvals.account import Source
from extproc.approvals.database import Database
from extproc.approvals.index.search import SessionIndex
from extproc.approvals.notify.deliveries import Deliveries
from extproc.audit.keys.keys import AuditKeys
from extproc.audit.reading.holdings import Holdings
from extproc.audit.reading.reader import ALWAYS, Span, evidence_of
from extproc.audit.stores.store import ObjectStore, open_store
from extproc.console.jobs import Jobs
from extproc.edge.settings import Settings


@dataclass(frozen=True, slots=True)
class Deployment:
    """`settings` are the whole configuration; `keys` open transcripts. Blocking, all of it."""

    settings: Settings
    keys: AuditKeys = field(repr=False)
    store: ObjectStore
    index: SessionIndex
    deliveries: Deliveries
    jobs: Jobs = field(default_factory=Jobs)

    @classmethod
    def of(cls, settings: Settings, keys: AuditKeys, database: Database) -> "Deployment":
        """Over the configured audit store; index and outbox are in `database`. Raises `AuditRefused`."""
        return cls(settings, keys, open_store(settings.audit), SessionIndex(database), Deliveries(database))

    @property
    def source(self) -> Source:
        """Where one session is read."""
        audit = self.settings.audit
        return Source(self.store, audit.spool, audit.deployment, self.keys)

    def look(self, span: Span = ALWAYS) -> Holdings:
        """What there is of the evidence of a span, in store and spool. Raises `StoreFailed`."""
        audit = self.settings.audit
        listing = evidence_of(audit.deployment, span)
        return Holdings.look(self.store, audit.spool, audit.deployment, listing=listing)
