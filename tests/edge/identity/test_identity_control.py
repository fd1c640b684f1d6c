"""An identity provider that cannot be reached is a control that fails: recorded once, and once when it is back."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from extproc.core.dpop import DpopTerms
from extproc.core.reasons import Reason, Unavailable
from extproc.core.record import EventCode, Outcome
from extproc.core.trust import Secret
from extproc.edge import keys as keys_module
from extproc.edge.identity_control import IdentityControl, identity_terms
from extproc.edge.settings import ListenerSettings, TlsSettings


class Books:
    """Records, and the metric; `closed`: nothing can be recorded."""

    def __init__(self) -> None:
        self.records: list[tuple[EventCode, Outcome, dict[str, Any]]] = []
        self.signals: list[bool] = []
        self.closed = False

    def note(self, code: EventCode, status: Outcome, **detail: str | float | bool) -> None:
        if self.closed:
            raise Unavailable(Reason.AUDIT_UNAVAILABLE)
        self.records.append((code, status, detail))

    def control_failure(self, control: str, failing: bool) -> None:
        assert control == "identity"
        self.signals.append(failing)


class Issuers:
    def __init__(self) -> None:
        self.down: frozenset[str] = frozenset()

    def failing(self) -> frozenset[str]:
        return self.down

    def key_age_seconds(self) -> dict[str, float]:
        return {"a": 61.5, "b": float("inf")}


FAILED, RESTORED = (EventCode.CONTROL_FAILURE, Outcome.FAILED), (EventCode.CONTROL_RESTORED, Outcome.SUCCEEDED)


def test_each_issuer_has_a_record_when_it_is_down_and_when_it_is_back() -> None:
    books, issuers = Books(), Issuers()
    control = IdentityControl(issuers, books.note, books)
    for down in ("", "a", "a", "ab", "b", "b", ""):
        issuers.down = frozenset(down)
        control.look()
    assert books.records == [
        (*FAILED, {"control": "identity", "issuer": "a", "key_age_seconds": 61}),
        (*FAILED, {"control": "identity", "issuer": "b"}),
        (*RESTORED, {"control": "identity", "issuer": "a"}),
        (*RESTORED, {"control": "identity", "issuer": "b"}),
    ]
    assert books.signals == [True, False]


def test_what_cannot_be_recorded_now_is_recorded_later() -> None:
    books, issuers = Books(), Issuers()
    control = IdentityControl(issuers, books.note, books)
    issuers.down, books.closed = frozenset("a"), True
    control.look()
    assert (books.records, books.signals) == ([], [])
    books.closed = False
    control.look()
    control.look()
    assert [code for code, *_ in books.records] == [EventCode.CONTROL_FAILURE]


async def until(holds: Callable[[], bool], seconds: float = 20.0) -> None:
    async with asyncio.timeout(seconds):
        while not holds():
            await asyncio.sleep(0.01)


async def test_an_outage_is_seen_and_its_end(start: Any, toy: Any, key: Any, clock: Any) -> None:
    authenticator = start(toy.issuer(refresh_seconds=1))
    await authenticator.verify(key.token(toy.url))
    assert authenticator.failing() == frozenset()
    toy.status = 503
    await until(lambda: bool(authenticator.failing()))
    assert authenticator.failing() == {toy.url}
    assert authenticator.verify_now(key.token(toy.url, sub="u-2")) is not None  # known keys serve
    toy.status = 200
    await until(lambda: not authenticator.failing())


async def test_one_answer_that_fails_is_no_outage_and_keys_that_are_too_old_are_one(
    start: Any, toy: Any, key: Any, clock: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    authenticator = start(toy.issuer())
    await authenticator.verify(key.token(toy.url))
    (keys,) = authenticator._issuers.values()
    keys._failures = keys_module.FAILURES_BEFORE_DOWN - 1
    assert authenticator.failing() == frozenset()
    keys._failures = 0
    clock.now += 3601
    assert authenticator.failing() == {toy.url}


def test_the_terms_are_those_of_the_configuration() -> None:
    tls = TlsSettings(Path("c"), Path("k"), Path("ca"))
    secret = Secret("d" * 32)

    def terms(listener: ListenerSettings, *, nonce: bool) -> Any:
        settings: Any = SimpleNamespace(
            listener=listener, dpop=DpopTerms(("https://m",), 9), dpop_nonce=nonce, trust_domains=("td",)
        )
        return identity_terms(settings, secret)

    with_all = terms(ListenerSettings(tls=tls), nonce=True)
    assert (with_all.certificates_verified, with_all.trust_domains) == (True, ("td",))
    assert (with_all.dpop.external_urls, with_all.dpop.max_age_seconds) == (("https://m",), 9)
    assert with_all.dpop.nonce_key == terms(ListenerSettings(), nonce=True).dpop.nonce_key
    assert len(with_all.dpop.nonce_key) == 32
    assert secret.value.encode() not in with_all.dpop.nonce_key
    without = terms(ListenerSettings(tls=TlsSettings(Path("c"), Path("k"))), nonce=False)
    assert (without.certificates_verified, without.dpop.nonce_key) == (False, b"")
