"""What time does to approvals happens while nobody asks, once by all consoles together, is recorded, and is told."""

import asyncio
import contextlib
from dataclasses import replace
from pathlib import Path

import pytest

from extproc.approvals.notify.deliveries import Notification
from extproc.approvals.notify.dispatcher import Dispatcher
from extproc.approvals.notify.events import Event
from extproc.approvals.notify.settings import Channel, WebhookTo
from extproc.approvals.notify.telling import Telling
from extproc.approvals.steps import LEASE_SECONDS
from extproc.console.approvals_due import ApprovalsDue
from extproc.core.approval import Approval, ApprovalRequest
from extproc.core.reasons import Unavailable
from extproc.core.record import Record
from extproc.core.trust import Masked
from tests.approvals.receivers import Counted
from tests.console.conftest import MemoryLog, World
from tests.console.idp import NOW


class Told:
    def __init__(self) -> None:
        self.got: list[str] = []

    async def send(self, telling: Telling, now: float) -> None:
        self.got.append(telling.notification.event.value)


def request(approval_id: str) -> ApprovalRequest:
    return ApprovalRequest(
        approval_id, f"x-{approval_id}", "https://idp.test|anna", "Anna", "bulk", "", "sha256:00", "digest", "main", "chat",
        "small", (), ("approvers",), NOW, NOW + 600, Masked(b"{}"),
    )  # fmt: skip


def asked(world: World, approval_id: str = "apr-1") -> Approval:
    """Expires after ten minutes; after five those of `leads` are asked as well."""
    escalates = replace(request(approval_id), escalate_after_seconds=300.0, escalation_groups=("leads",))
    return world.parts.approvals.open(escalates)


def consoles(world: World) -> tuple[ApprovalsDue, ApprovalsDue]:
    return ApprovalsDue(world.parts.approvals, world.log), ApprovalsDue(world.parts.approvals, world.log)


def recorded(world: World) -> list[tuple[str, str, str]]:
    return [
        (str(record.event_code), record.approval.id, record.approval.state)
        for record in world.log.records
        if record.approval is not None
    ]


async def test_an_escalation_is_recorded_once_and_told_to_the_second_group(world: World) -> None:
    asked(world)
    told = {"approvers": Told(), "leads": Told()}
    channels = [Channel(name, WebhookTo(Path("none")), groups=frozenset({name})) for name in told]
    telling = Dispatcher(
        world.parts.approvals.deliveries(), channels, told, world.parts.approvals.find_all,
        link=lambda happened, approval, channel: "", signal=Counted(), deployment="", clock=world.parts.clock,
    )  # fmt: skip
    first, second = consoles(world)
    await first.look(NOW + 299)
    world.now[0] = NOW + 299
    await telling.step()
    assert (told["approvers"].got, told["leads"].got, recorded(world)) == (["opened"], [], [])
    world.now[0] = NOW + 300
    for console in (first, second, first):
        await console.look(NOW + 300)
    await telling.step()
    assert (told["approvers"].got, told["leads"].got) == (["opened"], ["escalated"])
    assert recorded(world) == [("approval.escalate", "apr-1", "pending")]
    assert world.log.records[-1].detail == {"groups": "leads"}


async def test_what_nobody_decided_expires_while_nobody_looks_and_is_recorded_once(world: World) -> None:
    asked(world)
    first, second = consoles(world)
    for console in (first, second):
        await console.look(NOW + 600)
    assert recorded(world) == [("approval.expire", "apr-1", "expired")]
    (record,) = world.log.records
    assert (record.exchange_id, record.actor.uid, record.resource.connection) == ("x-apr-1", "extproc", "main")
    found = world.parts.approvals.deliveries().unspread(9)
    assert [each.event for each in found] == [Event.OPENED, Event.EXPIRED]
    assert isinstance(found[0], Notification)


async def test_a_record_that_cannot_be_made_is_owed(world: World) -> None:
    for name in ("apr-1", "apr-2"):
        asked(world, name)
    console, _ = consoles(world)
    world.log.broken = True
    with pytest.raises(Unavailable):
        await console.look(NOW + 600)
    world.log.broken = False
    await console.look(NOW + 601)
    assert sorted(recorded(world)) == [("approval.expire", name, "expired") for name in ("apr-1", "apr-2")]


class DyingLog(MemoryLog):
    """Of a console that dies once its record is in `records`."""

    def __init__(self, records: list[Record]) -> None:
        super().__init__()
        self.records = records

    async def store(self, record: Record) -> None:
        self.records.append(record)
        raise asyncio.CancelledError


@pytest.mark.parametrize("durable", [False, True])
@pytest.mark.parametrize(("after", "code"), [(300, "approval.escalate"), (600, "approval.expire")])
async def test_what_a_console_left_that_died_is_recorded_by_another_one_after_a_while(
    world: World, after: int, code: str, durable: bool
) -> None:
    """When it died between the record and saying so, it is there twice, never not at all."""
    asked(world)
    dying = ApprovalsDue(world.parts.approvals, DyingLog(world.log.records if durable else []))
    with pytest.raises(asyncio.CancelledError):
        await dying.look(NOW + after)
    _, other = consoles(world)
    before = [code] * durable
    await other.look(NOW + after + LEASE_SECONDS - 1)
    assert [each for each, _, _ in recorded(world)] == before
    for _ in range(2):
        await other.look(NOW + after + LEASE_SECONDS)
    assert [each for each, _, _ in recorded(world)] == [*before, code]


async def test_further_groups_are_asked_also_while_nothing_can_be_recorded(world: World) -> None:
    asked(world)
    world.parts.approvals.open(replace(request("apr-2"), expires_at=NOW + 200))
    world.log.broken = True
    with pytest.raises(Unavailable):
        await consoles(world)[0].look(NOW + 300)
    told = [(each.approval_id, each.event.value) for each in world.parts.approvals.deliveries().unspread(9)]
    assert sorted(told) == [("apr-1", "escalated"), ("apr-1", "opened"), ("apr-2", "expired"), ("apr-2", "opened")]


async def test_a_log_that_is_away_is_said_once_and_waited_for(
    world: World, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("extproc.console.approvals_due.LOOK_SECONDS", 0.001)
    asked(world)
    world.log.broken, world.now[0] = True, NOW + 600
    looks, look = list[int](), ApprovalsDue.look

    async def counted(self: ApprovalsDue, now: float) -> None:
        looks.append(1)
        world.log.broken = len(looks) < 4
        await look(self, now)

    monkeypatch.setattr(ApprovalsDue, "look", counted)
    running = asyncio.create_task(consoles(world)[0].run(world.parts))
    while not recorded(world):
        await asyncio.sleep(0.001)
    running.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await running
    assert [record.getMessage() for record in caplog.records] == ["approvals that are due cannot be ended or recorded"]
