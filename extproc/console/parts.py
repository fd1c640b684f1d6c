"""What every page and endpoint of the console works with."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from starlette.requests import Request

from extproc.approvals.sessions import Sessions
from extproc.approvals.single_use import SingleUse
from extproc.console.failures import Failures
from extproc.console.records import Act, ConsoleLog
from extproc.console.saml_metadata import ProviderFile
from extproc.console.sealing import Sealing
from extproc.console.token_keys import TokenKeys
from extproc.edge.settings_console import ConsoleSettings


@dataclass(frozen=True, slots=True)
class Parts:
    """One console process. `keys` is None where no tokens are configured."""

    settings: ConsoleSettings
    provider: ProviderFile
    sealing: Sealing
    single_use: SingleUse
    sessions: Sessions
    keys: TokenKeys | None
    log: ConsoleLog
    failures: Failures = field(default_factory=Failures)
    clock: Callable[[], float] = time.time

    @property
    def issuer(self) -> str:
        """Under which name people are known here: the same in a session and in a token."""
        return self.settings.token.issuer if self.settings.token else self.settings.url


def parts_of(request: Request) -> Parts:
    parts = request.app.state.parts
    assert isinstance(parts, Parts)  # noqa: S101 - a programming error, not input
    return parts


def address_of(request: Request) -> str:
    """The peer's address, as the socket knows it; no header is believed."""
    return request.client.host if request.client else "unknown"


def act_of(request: Request, operation: str) -> Act:
    client = request.client
    if client is None:
        return Act(operation, request.method, "unknown")
    host = f"[{client.host}]" if ":" in client.host else client.host
    return Act(operation, request.method, f"{host}:{client.port}")
