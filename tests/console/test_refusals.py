"""What is refused for a missing role is on the record, with who and what, and so often a minute as a person errs."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from extproc.console.failures import MAX_FAILURES, WINDOW_SECONDS
from extproc.core.record import EventCode, Outcome
from extproc.local.issuer import RunningIssuer
from tests.console.approving import asked, person, session_of, with_roles
from tests.console.callers import Calls, calling
from tests.console.conftest import World

NOBODY = person("nina", "sales")
OTHER = person("otto", "sales")
PAN = "4111111111111111"


@pytest.fixture
async def api(world: World, dev_issuer: tuple[Path, RunningIssuer]) -> AsyncIterator[Calls]:
    async with calling(world, *dev_issuer) as calls:
        yield calls


def told(world: World) -> list[tuple[str, object]]:
    return [(each.resource.operation, each.detail.get("refused")) for each in world.log.records]


async def test_a_page_that_is_not_for_somebody_is_refused_on_the_record(world: World) -> None:
    """Who, from where, which page, of which approval and which roles would do: PCI DSS 10.2.1.4 and 10.2.2."""
    approval = asked(with_roles(world))
    async with await session_of(world, NOBODY) as browser:
        assert (await browser.get("/approvals?text=hers")).status_code == 403
        assert (await browser.get(f"/approvals/{approval.approval_id}")).status_code == 403
    (first, second) = world.log.records
    assert (first.event_code, first.status, first.http_status) == (EventCode.AUTH_FAIL, Outcome.REFUSED, 403)
    assert (first.actor.uid, first.actor.groups, first.src_address) == (NOBODY.uid, ("sales",), "192.0.2.7:4711")
    assert (first.resource.operation, first.resource.connection) == ("/approvals", "console")
    assert first.status_detail == "role_missing"
    assert first.detail == {"refused": "role_missing", "needs": "reader"}
    assert second.resource.operation == "/approvals/{approval_id}"
    assert (second.detail["approval_id"], second.detail["needs"]) == (approval.approval_id, "reader approver")


async def test_a_card_number_in_a_path_is_masked_in_the_refusal(world: World) -> None:
    async with await session_of(with_roles(world), NOBODY) as browser:
        assert (await browser.get(f"/approvals/{PAN}")).status_code == 403
    assert len(world.log.records) == 1
    assert PAN not in str(world.log.records)


async def test_a_refusal_that_cannot_be_recorded_is_no_other_answer(world: World) -> None:
    async with await session_of(with_roles(world), NOBODY) as browser:
        world.log.broken = True
        answer = await browser.get("/approvals")
    assert (answer.status_code, "Not for your groups" in answer.text) == (503, False)


async def test_whoever_is_refused_again_and_again_fills_no_log(world: World) -> None:
    """So many a minute of one person, from wherever and in whatever session; nobody else is held up."""
    async with await session_of(with_roles(world), NOBODY) as browser:
        answers = [(await browser.get("/approvals")).status_code for _ in range(2 * MAX_FAILURES)]
    assert answers == [403] * MAX_FAILURES + [429] * MAX_FAILURES
    assert told(world) == [("/approvals", "role_missing")] * MAX_FAILURES + [("/approvals", "too_many_failures")]
    async with await session_of(world, NOBODY, "192.0.2.9") as again, await session_of(world, OTHER) as other:
        late = await again.get("/approvals")
        assert (late.status_code, int(late.headers["retry-after"]) > 0) == (429, True)
        assert (await again.get("/")).status_code == 200
        assert (await other.get("/approvals")).status_code == 403
        world.now[0] += WINDOW_SECONDS
        assert (await again.get("/approvals")).status_code == 403
    assert len(told(world)) == MAX_FAILURES + 3


@pytest.mark.parametrize("approval_id", ["apr-1", "apr-9"], ids=["of somebody else", "of nobody"])
async def test_a_program_that_looks_for_others_approvals_is_on_the_record_and_not_heard_for_ever(
    api: Calls, approval_id: str
) -> None:
    """It learns nothing by it: there being one answers as there being none."""
    api.open()
    mallory = api.headers("mallory")
    for _ in range(MAX_FAILURES):
        answer = await api.client.get(f"/approvals/{approval_id}", headers=mallory)
        assert (answer.status_code, answer.json()["code"]) == (404, "unknown")
    assert [(each.detail["refused"], each.detail["asked"]) for each in api.world.log.records[:-1]] == [
        ("role_missing", approval_id)
    ] * MAX_FAILURES
    many = await api.client.get(f"/approvals/{approval_id}", headers=mallory)
    assert (many.status_code, many.json()["code"]) == (429, "too_many_failures")
    assert len(api.world.log.records) == MAX_FAILURES + 1
    assert (await api.client.get("/approvals/apr-1", headers=api.headers("analyst"))).status_code == 200
