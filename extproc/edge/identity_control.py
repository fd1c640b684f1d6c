"""That identity providers can be reached is a control (PCI DSS 10.7.2): its failure and its return are recorded."""

import asyncio
import hmac
import logging
from dataclasses import replace
from typing import Final, Protocol

from extproc.core.reasons import Unavailable
from extproc.core.record import EventCode, Outcome
from extproc.core.trust import Secret
from extproc.edge.possession import Terms
from extproc.edge.settings import Settings

CONTROL: Final = "identity"
LOOK_SECONDS: Final = 0.5

_log = logging.getLogger(__name__)


class Watched(Protocol):
    """What an `Authenticator` knows of its issuers."""

    def failing(self) -> frozenset[str]: ...

    def key_age_seconds(self) -> dict[str, float]: ...


class Note(Protocol):
    """Appends a record of what the service itself did. Raises `Unavailable`."""

    def __call__(self, code: EventCode, status: Outcome, **detail: str | float | bool) -> None: ...


class Signal(Protocol):
    """The metric of failing controls."""

    def control_failure(self, control: str, failing: bool) -> None: ...


class IdentityControl:
    """Looks at the issuers until cancelled. One record when the keys of one cannot be had, one when they are back."""

    def __init__(self, watched: Watched, note: Note, signal: Signal) -> None:
        self._watched = watched
        self._note = note
        self._signal = signal
        self._noted: frozenset[str] = frozenset()

    async def run(self) -> None:
        self._signal.control_failure(CONTROL, failing=False)
        while True:
            self.look()
            await asyncio.sleep(LOOK_SECONDS)

    def look(self) -> None:
        """Record what has changed. What cannot be recorded now is tried again at the next look."""
        failing = self._watched.failing()
        for issuer in sorted(failing ^ self._noted):
            down = issuer in failing
            detail: dict[str, str | int] = {"control": CONTROL, "issuer": issuer}
            age = self._watched.key_age_seconds().get(issuer, float("inf"))
            if down and age != float("inf"):  # infinite: its keys were never there
                detail["key_age_seconds"] = int(age)
            code = EventCode.CONTROL_FAILURE if down else EventCode.CONTROL_RESTORED
            try:
                self._note(code, Outcome.FAILED if down else Outcome.SUCCEEDED, **detail)
            except Unavailable:
                _log.error("the state of an issuer could not be recorded", extra={"event_code": code.value})
                continue
            before, self._noted = self._noted, self._noted ^ {issuer}
            if bool(before) != bool(self._noted):
                self._signal.control_failure(CONTROL, failing=bool(self._noted))


def identity_terms(settings: Settings, digest_key: Secret) -> Terms:
    """What is asked of tokens that are bound to a key. All workers and replicas have the digest key, and so know one
    another's nonces."""
    tls = settings.listener.tls
    nonce_key = hmac.digest(digest_key.value.encode(), b"extproc dpop nonce", "sha256") if settings.dpop_nonce else b""
    return Terms(
        dpop=replace(settings.dpop, nonce_key=nonce_key),
        certificates_verified=tls is not None and tls.client_ca is not None,
        trust_domains=settings.trust_domains,
    )
