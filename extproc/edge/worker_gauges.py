"""What is measured when somebody asks: the gauges of one worker, each by the part that knows."""

import time
from collections.abc import Mapping

from extproc.approvals.budget_desk import BudgetDesk
from extproc.audit.keys.keys import AuditKeys
from extproc.audit.log.alarms import Cause
from extproc.audit.log.journal import Journal
from extproc.audit.log.spool import measure
from extproc.audit.settings import AuditSettings
from extproc.edge.authenticator_in_force import AuthenticatorInForce
from extproc.edge.key_inventory import key_facts
from extproc.edge.metrics import Gauge
from extproc.edge.server import ExtProcServer
from extproc.edge.settings import Settings
from extproc.edge.telemetry import Telemetry


def offer_gauges(
    telemetry: Telemetry,
    settings: Settings,
    server: ExtProcServer,
    authenticator: AuthenticatorInForce,
    budgets: BudgetDesk,
) -> None:
    """Those of traffic and of what it needs. Each is asked from another thread."""
    telemetry.observe(Gauge.LIVE, lambda: server.live)
    telemetry.observe(Gauge.HOLDS_WAITING, lambda: server.held)
    telemetry.observe(Gauge.HOLDS_OLDEST, lambda: server.oldest_held_seconds)
    telemetry.observe(Gauge.BUDGET_CHARGES_LOST, lambda: budgets.lost)
    telemetry.observe(Gauge.KEY_AGE, lambda: max(authenticator.key_age_seconds().values(), default=0.0))
    telemetry.observe(Gauge.SPOOL_LIMIT, lambda: settings.audit.max_spool_bytes)
    telemetry.observe(Gauge.AUDIT_LAG_LIMIT, lambda: settings.audit.max_lag_seconds)


def offer_audit_gauges(telemetry: Telemetry, settings: Settings, journal: Journal, keys: AuditKeys) -> None:
    """Those of the audit log. Raises as `key_facts` does."""
    ends: dict[str, float] = {}
    for fact in key_facts(settings, keys):
        if fact.active:
            ends[fact.purpose.value] = min(fact.expires_ms / 1000, ends.get(fact.purpose.value, float("inf")))

    def expires() -> Mapping[str, float]:
        now = time.time()
        return {purpose: end - now for purpose, end in ends.items()}

    telemetry.observe(Gauge.KEY_EXPIRES, expires)
    telemetry.observe(Gauge.AUDIT_ACCEPTING, lambda: float(journal.accepting()))
    telemetry.observe(Gauge.AUDIT_PAUSED, lambda: {each.value: float(each in journal.paused) for each in Cause})
    telemetry.observe(Gauge.AUDIT_LAG, lambda: _lag(settings.audit))
    telemetry.observe(Gauge.SPOOL_BYTES, lambda: measure(settings.audit.spool, time.time()).used_bytes)


def _lag(audit: AuditSettings) -> float:
    return measure(audit.spool, time.time()).oldest_pending_seconds
