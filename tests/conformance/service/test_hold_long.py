"""Holds that outlast what proxies and clients have patience for, through the real Envoy."""

import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest

from tests.conformance.service.test_holds import approver, cli, pending

LONG_SECONDS = 91.0
"""Envoy's defaults end a route after 15 s, a stream without a byte after 5 minutes; gateways before it after 60 s."""

pytestmark = pytest.mark.timeout(240)


def ask(world: Any, content: str, model: str, seconds: float, **headers: str) -> httpx.Response:
    return httpx.post(
        world.guard.url + "/v1/chat/completions",
        json={"model": model, "messages": [{"role": "user", "content": content}]},
        headers={**world.headers(), **{name.replace("_", "-"): value for name, value in headers.items()}},
        timeout=seconds,
        trust_env=False,
    )


def await_pending(world: Any, model: str) -> str:
    """The id of the one approval for the model."""
    deadline = time.monotonic() + 40
    while time.monotonic() < deadline:
        found = [item["approval_id"] for item in pending(world) if item["model"] == model]
        if found:
            assert len(found) == 1
            return str(found[0])
        time.sleep(0.2)
    raise AssertionError("no approval appeared")


@dataclass
class Patient:
    """Whoever waits since the first test of this file."""

    world: Any
    began: float = field(default_factory=time.monotonic)
    got: list[httpx.Response] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.thread = threading.Thread(target=self._wait, daemon=True)
        self.thread.start()

    def _wait(self) -> None:
        self.got.append(ask(self.world, "marker-patient", "patient-1", 200))


@pytest.fixture(scope="module")
def patient(shared_world: Any) -> Iterator[Patient]:
    waiting = Patient(shared_world)
    yield waiting
    waiting.thread.join(200)


def test_a_detached_hold_outlives_its_client_who_comes_back_by_its_id(patient: Patient) -> None:
    world = patient.world
    with pytest.raises(httpx.ReadTimeout):
        ask(world, "marker-detached", "detached-1", 3)
    approval_id = await_pending(world, "detached-1")
    cli(world, "approvals", "grant", approval_id, "--reason", "fine", token=approver(world))
    again = ask(world, "marker-detached", "detached-1", 60, x_extproc_approval=approval_id)
    assert again.status_code == 200
    assert len(world.upstream.requests("marker-detached")) == 1


def test_a_request_that_is_granted_after_90_seconds_goes_on(patient: Patient) -> None:
    world = patient.world
    approval_id = await_pending(world, "patient-1")
    time.sleep(max(0.0, patient.began + LONG_SECONDS - time.monotonic()))
    assert patient.got == []
    assert not world.upstream.requests("marker-patient")
    cli(world, "approvals", "grant", approval_id, "--reason", "fine", token=approver(world))
    patient.thread.join(60)
    assert [answer.status_code for answer in patient.got] == [200]
    assert len(world.upstream.requests("marker-patient")) == 1
