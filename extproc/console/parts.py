"""What every page and endpoint of the console works with."""

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from starlette.requests import Request
from starlette.routing import Route

from extproc.approvals.sessions import Sessions
from extproc.approvals.single_use import SingleUse
from extproc.approvals.store import ApprovalStore
from extproc.console.client_address import Client, find_client
from extproc.console.deployment import Deployment
from extproc.console.failures import WINDOW_SECONDS, Failures
from extproc.console.live import Live
from extproc.console.oidc_provider import OidcProvider
from extproc.console.pace import Pace
from extproc.console.provider_file import ProviderFile
from extproc.console.records import Act, ConsoleLog
from extproc.console.request_signer import RequestSigner
from extproc.console.sealing import Sealing
from extproc.console.token_keys import TokenKeys
from extproc.core.record import Record
from extproc.edge.authenticator import Authenticator
from extproc.edge.settings_console import ConsoleSettings, SamlSettings

LOCKED: Final = "too_many_failures"
_log = logging.getLogger("extproc.console")


class NotConfigured(Exception):
    """What was asked for is no part of this console."""


@dataclass(frozen=True, slots=True)
class Parts:
    """One console process. `provider` is None where nobody logs in by SAML, `keys` where no tokens are configured,
    `signer` where requests are not signed."""

    settings: ConsoleSettings
    provider: ProviderFile | None
    sealing: Sealing
    single_use: SingleUse
    sessions: Sessions
    keys: TokenKeys | None
    log: ConsoleLog
    approvals: ApprovalStore
    signer: RequestSigner | None = None
    oidc: OidcProvider | None = None
    """None where nobody logs in by OpenID Connect."""
    deployment: Deployment | None = None
    """What the pages about the log, the policy and the keys read; None where they have nothing to show."""
    live: Live = field(default_factory=Live)
    pace: Pace = field(default_factory=Pace)
    login_failures: Failures = field(default_factory=Failures)
    stray_answers: Failures = field(default_factory=Failures)
    """Apart: answers to logins that the browser did not begin, by either way."""
    authenticator: Authenticator | None = None
    """Of those who call the API, by the issuers of `identity`; None where nobody does."""
    api_failures: Failures = field(default_factory=Failures)
    role_refusals: Failures = field(default_factory=Failures)
    """Of people, by uid: what they were refused for want of a role."""
    token_failures: Failures = field(default_factory=Failures)
    """Apart: a program that tries tokens locks nobody out of the login at the same address."""
    clock: Callable[[], float] = time.time

    @property
    def issuer(self) -> str:
        """Under which name people are known here: the same in a session and in a token."""
        return self.settings.token.issuer if self.settings.token else self.settings.url

    @property
    def saml(self) -> tuple[SamlSettings, ProviderFile]:
        """Raises `NotConfigured`."""
        if self.settings.saml is None or self.provider is None:
            raise NotConfigured
        return self.settings.saml, self.provider


def parts_of(request: Request) -> Parts:
    parts = request.app.state.parts
    assert isinstance(parts, Parts)  # noqa: S101 - a programming error, not input
    return parts


def deployment_of(request: Request) -> Deployment:
    """Raises `NotConfigured` where the console has no log to read."""
    deployment = parts_of(request).deployment
    if deployment is None:
        raise NotConfigured
    return deployment


def route_of(request: Request) -> str:
    """Which of ours, without what the path holds: a signed link is a secret, and people put anything there."""
    route = request.scope.get("route")
    return route.path if isinstance(route, Route) else "none"


def act_of(request: Request, operation: str) -> Act:
    """What is asked, and by whom, as far as the configuration lets anybody but the socket say so."""
    peer = request.client
    if peer is None:
        return Act(operation, request.method, Client("unknown", "unknown"))
    said = request.headers.getlist("x-forwarded-for")
    client = find_client(peer.host, peer.port, said, parts_of(request).settings.proxies)
    return Act(operation, request.method, client)


async def store_failure(parts: Parts, failures: Failures, act: Act, refusal: Record, now: float) -> None:
    """Count it, then record it; where it locks the address, that is recorded too, once. Raises `Unavailable`."""
    locks = failures.failed(act.client.address, now)
    await parts.log.store(refusal)
    if locks:
        _log.warning("an address failed too often and is not heard for a while", extra={"source": act.client.source})
        await parts.log.store(act.refused(LOCKED, 429, seconds=int(WINDOW_SECONDS)))
