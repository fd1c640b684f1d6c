"""`/people`: an admin sees who is logged in and ends their sessions, and nobody else does either."""

import asyncio
import hashlib
from unittest.mock import Mock

import pytest

from extproc.console.session import SESSION_COOKIE
from extproc.core.reasons import Reason, Unavailable
from extproc.core.record import EventCode, Outcome, Record
from tests.console.approving import person, session_of, with_roles
from tests.console.conftest import World, token_of

ADA = person("ada", "platform")
WHO = {
    "reader": person("rob", "staff"),
    "approver": person("anna", "approvers"),
    "auditor": person("otto", "audit"),
    "nobody": person("nina", "sales"),
}


@pytest.mark.parametrize("role", WHO)
async def test_who_is_logged_in_is_for_admins_alone(world: World, role: str) -> None:
    async with await session_of(with_roles(world), WHO[role]) as browser, await session_of(world, ADA) as admin:
        front = (await browser.get("/")).text
        assert "/people" not in front
        assert (await browser.get("/people")).status_code == 403
        form = {"csrf": token_of(front), "person": ADA.uid}
        assert (await browser.post("/people/end", data=form)).status_code == 403
        assert (await admin.get("/people")).status_code == 200
    assert all(each.event_code is EventCode.AUTH_FAIL for each in world.log.records)


async def test_an_admin_sees_who_is_logged_in_and_nothing_that_a_session_could_be_used_by(world: World) -> None:
    paula = person("<b>paula", "approvers", "staff")
    async with (
        await session_of(with_roles(world), paula) as one,
        await session_of(world, paula) as two,
        await session_of(world, ADA) as admin,
    ):
        assert (await two.get("/")).status_code == 200
        page = (await admin.get("/people")).text
        secrets = [browser.cookies[SESSION_COOKIE] for browser in (one, two, admin)]
    assert page.count('<form method="post" action="/people/end">') == 2
    assert "&lt;b&gt;paula" in page
    assert "<b>paula" not in page.lower()
    assert "approvers, staff" in page
    assert '<td data-name="Sessions" class="number-cell">2</td>' in page
    assert "Ada (you)" in page
    assert "Nobody else is logged in." not in page
    for secret in secrets:
        assert secret not in page
        assert hashlib.sha256(secret.encode()).hexdigest() not in page


async def test_an_admin_who_is_alone_is_told_so(world: World) -> None:
    async with await session_of(with_roles(world), ADA) as admin:
        assert "Nobody else is logged in." in (await admin.get("/people")).text


async def test_an_admin_ends_the_sessions_of_one_person_and_that_is_recorded_first(world: World) -> None:
    async with (
        await session_of(with_roles(world), WHO["reader"]) as one,
        await session_of(world, WHO["reader"]) as two,
        await session_of(world, WHO["approver"]) as other,
        await session_of(world, ADA) as admin,
    ):
        form = {"csrf": token_of((await admin.get("/people")).text), "person": WHO["reader"].uid}
        world.log.broken = True
        assert (await admin.post("/people/end", data=form)).status_code == 503
        world.log.broken = False
        assert (await one.get("/approvals")).status_code == 200
        assert (await admin.post("/people/end", data={**form, "person": ""})).status_code == 400
        assert world.log.records == []
        done = await admin.post("/people/end", data=form)
        assert (done.status_code, done.headers["location"]) == (303, "/people?ended=2")
        assert [(await browser.get("/approvals")).status_code for browser in (one, two, other)] == [303, 303, 200]
        assert WHO["reader"].uid not in (await admin.get("/people")).text
    (record,) = world.log.records
    assert (record.event_code, record.actor.uid) == (EventCode.ADMIN_SESSIONS_END, ADA.uid)
    assert (record.resource.operation, record.detail) == ("console.end-sessions", {"person": WHO["reader"].uid})


async def test_the_page_says_how_many_sessions_ended(world: World) -> None:
    said = {
        "2": "2 sessions were ended.",
        "1": "1 session was ended.",
        "0": "No session was ended: the person had none any more.",
    }
    async with await session_of(with_roles(world), ADA) as admin:
        for ended, sentence in said.items():
            assert sentence in (await admin.get(f"/people?ended={ended}")).text
        for nothing in ("", "?ended=", "?ended=-1", "?ended=<b>", "?ended=1234567", "?ended=%D9%A2"):
            page = await admin.get(f"/people{nothing}")
            assert (page.status_code, " ended." in page.text) == (200, False)


async def test_sessions_that_the_store_keeps_from_ending_are_recorded_as_not_ended(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with await session_of(with_roles(world), WHO["reader"]) as reader, await session_of(world, ADA) as admin:
        form = {"csrf": token_of((await admin.get("/people")).text), "person": WHO["reader"].uid}
        monkeypatch.setattr(
            world.parts.sessions, "end_all", Mock(side_effect=Unavailable(Reason.APPROVALS_UNAVAILABLE))
        )
        assert (await admin.post("/people/end", data=form)).status_code == 503
        assert (await reader.get("/approvals")).status_code == 200
    first, second = world.log.records
    assert (first.event_code, first.status) == (EventCode.ADMIN_SESSIONS_END, Outcome.SUCCEEDED)
    assert (second.event_code, second.status, second.http_status) == (first.event_code, Outcome.FAILED, 503)
    assert (second.actor, second.status_detail) == (first.actor, "approvals_unavailable")
    assert second.detail == {"person": WHO["reader"].uid, "refused": "approvals_unavailable"}


async def test_sessions_end_also_when_who_asked_is_gone_once_it_is_recorded(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, goes_on, store = asyncio.Event(), asyncio.Event(), world.log.store

    async def slowly(record: Record) -> None:
        begun.set()
        await goes_on.wait()
        await store(record)

    async with await session_of(with_roles(world), WHO["reader"]) as reader, await session_of(world, ADA) as admin:
        form = {"csrf": token_of((await admin.get("/people")).text), "person": WHO["reader"].uid}
        monkeypatch.setattr(world.log, "store", slowly)
        before = asyncio.all_tasks()
        asking = asyncio.create_task(admin.post("/people/end", data=form))
        async with asyncio.timeout(20):
            await begun.wait()
            asking.cancel()
            await asyncio.gather(asking, return_exceptions=True)
            goes_on.set()
            await asyncio.gather(*(asyncio.all_tasks() - before - {asking}))
        assert asking.cancelled()
        assert (await reader.get("/approvals")).status_code == 303
    assert [each.event_code for each in world.log.records] == [EventCode.ADMIN_SESSIONS_END]


async def test_no_form_of_another_site_ends_a_session(world: World) -> None:
    async with await session_of(with_roles(world), WHO["reader"]) as reader, await session_of(world, ADA) as admin:
        form = {"csrf": "0" * 64, "person": WHO["reader"].uid}
        assert (await admin.post("/people/end", data=form)).status_code == 403
        assert (await reader.get("/approvals")).status_code == 200
    assert world.log.records == []
