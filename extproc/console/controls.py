"""What logins rest on is a control (PCI DSS 10.7.2): the provider's metadata, the approval store, the token keys.

One record when one fails, one when it is back. Each request that fails meanwhile is recorded as it is anyway.
"""

import asyncio
import logging
from collections.abc import Callable, Mapping
from typing import Final, Protocol

from extproc.console.parts import Parts
from extproc.console.records import own_record
from extproc.console.token_keys import TokenKeysUnfit
from extproc.core.reasons import Unavailable
from extproc.core.record import EventCode, Outcome, Record

METADATA: Final = "saml-metadata"
OIDC: Final = "oidc-issuer"
STORE: Final = "approval-store"
SIGNING: Final = "token-keys"
LOOK_SECONDS: Final = 5.0
_NOBODY: Final = "console-control"
"""The secret of no session: they are longer."""
_log = logging.getLogger("extproc.console")

Check = Callable[[float], str]
"""What is wrong at a time in Unix seconds, in a word of ours; empty where nothing is. Blocking."""


class Signal(Protocol):
    """The metric of failing controls."""

    def control_failure(self, control: str, *, failing: bool) -> None: ...


class Controls:
    """Looks at each check until cancelled. What cannot be recorded now is tried again at the next look."""

    def __init__(self, checks: Mapping[str, Check], append: Callable[[Record], object], signal: Signal) -> None:
        """`append` takes a record and raises `Unavailable` when it cannot."""
        self._checks = checks
        self._append = append
        self._signal = signal
        self._failing: set[str] = set()

    async def run(self, clock: Callable[[], float]) -> None:
        while True:
            await self.look(clock())
            await asyncio.sleep(LOOK_SECONDS)

    async def look(self, now: float) -> None:
        """Record what has changed."""
        for control, check in self._checks.items():
            cause = await asyncio.to_thread(check, now)
            if bool(cause) == (control in self._failing):
                continue
            code = EventCode.CONTROL_FAILURE if cause else EventCode.CONTROL_RESTORED
            status = Outcome.FAILED if cause else Outcome.SUCCEEDED
            detail = {"control": control} | ({"cause": cause} if cause else {})
            try:
                self._append(own_record(code, status, **detail))
            except Unavailable:
                _log.error("the state of a control could not be recorded", extra={"event_code": code.value, **detail})
                continue
            self._failing ^= {control}
            self._signal.control_failure(control, failing=bool(cause))
            if cause:
                _log.error("what logins rest on fails", extra=detail)
            else:
                _log.warning("what logins rest on is back", extra=detail)


def checks_of(parts: Parts) -> dict[str, Check]:
    """Those of a console process, by the names that records say."""

    def store(now: float) -> str:
        try:
            parts.sessions.find(_NOBODY, now)
        except Unavailable:
            return "away"
        return ""

    def token_keys(now: float) -> str:
        try:
            if parts.keys is not None:
                parts.keys.signing(now)
        except TokenKeysUnfit:
            return "unfit"
        return ""

    checks: dict[str, Check] = {STORE: store, SIGNING: token_keys}
    if parts.oidc is not None:
        checks[OIDC] = parts.oidc.trouble
    return checks if parts.provider is None else {METADATA: parts.provider.trouble, **checks}
