"""Holds that outlast what proxies and clients have patience for, and the time that they may take, through the real Envoy.

One request waits for as long as the tests of this file run.
"""

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


def test_an_approval_expires_while_the_client_waits_again(patient: Patient) -> None:
    world = patient.world
    first = world.chat("marker-waits-again", model="expiring-1")
    ticket = first.headers["x-extproc-approval"]
    answers = [first]
    while answers[-1].status_code == 202 and len(answers) < 16:
        answers.append(world.chat("marker-waits-again", model="expiring-1", headers={"x-extproc-approval": ticket}))
    assert (answers[-1].status_code, answers[-1].json()["error"]["code"]) == (403, "approval_expired")
    assert len(answers) > 2
    assert not world.upstream.requests("marker-waits-again")


def test_a_grant_that_came_in_time_is_worth_nothing_once_it_expired(patient: Patient) -> None:
    """Granted and expired; expired and then decided: neither ever reaches the model."""
    world = patient.world
    granted, late = (world.chat(f"marker-expiring-{n}", model="expiring-1") for n in (1, 2))
    tickets = [answer.headers["x-extproc-approval"] for answer in (granted, late)]
    assert (granted.status_code, late.status_code) == (202, 202)
    cli(world, "approvals", "grant", tickets[0], "--reason", "in time", token=approver(world))
    time.sleep(15.5)
    cli(world, "approvals", "grant", tickets[1], "--reason", "too late", token=approver(world), expect=1)
    for n, ticket in zip((1, 2), tickets, strict=True):
        again = world.chat(f"marker-expiring-{n}", model="expiring-1", headers={"x-extproc-approval": ticket})
        assert (again.status_code, again.json()["error"]["code"]) == (403, "approval_expired")
        assert again.headers["x-extproc-exchange"]
    assert not world.upstream.requests("marker-expiring")
    refused = world.await_record(lambda r: r.get("status_detail") == "approval_expired")
    assert refused["status"] == "refused"


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
