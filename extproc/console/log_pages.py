"""The pages about what is recorded and by which policy: sessions, policy, health, evidence, notifications."""

from typing import Final

from starlette.routing import BaseRoute

from extproc.console import (
    pages_evidence,
    pages_health,
    pages_notifications,
    pages_policy,
    pages_session,
    pages_sessions,
)

ROUTES: Final[tuple[BaseRoute, ...]] = (
    *pages_sessions.ROUTES,
    *pages_session.ROUTES,
    *pages_policy.ROUTES,
    *pages_health.ROUTES,
    *pages_evidence.ROUTES,
    *pages_notifications.ROUTES,
)
