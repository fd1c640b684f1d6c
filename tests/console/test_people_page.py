"""`/people`: an admin sees who is logged in and ends their sessions, and nobody else does either."""

import hashlib

import pytest

from extproc.console.session import SESSION_COOKIE
from extproc.core.record import EventCode
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
        assert (done.status_code, done.headers["location"]) == (303, "/people")
        assert [(await browser.get("/approvals")).status_code for browser in (one, two, other)] == [303, 303, 200]
        assert WHO["reader"].uid not in (await admin.get("/people")).text
    (record,) = world.log.records
    assert (record.event_code, record.actor.uid) == (EventCode.ADMIN_SESSIONS_END, ADA.uid)
    assert (record.resource.operation, record.detail) == ("console.end-sessions", {"person": WHO["reader"].uid})


async def test_no_form_of_another_site_ends_a_session(world: World) -> None:
    async with await session_of(with_roles(world), WHO["reader"]) as reader, await session_of(world, ADA) as admin:
        form = {"csrf": "0" * 64, "person": WHO["reader"].uid}
        assert (await admin.post("/people/end", data=form)).status_code == 403
        assert (await reader.get("/approvals")).status_code == 200
    assert world.log.records == []
