"""What was tried against the console from outside and from within, and no longer succeeds."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from extproc.console.failures import MAX_FAILURES
from extproc.console.session import SESSION_COOKIE, begin_session
from extproc.core.approval import shown_digest
from extproc.core.reasons import Reason, Unavailable
from extproc.core.record import ApprovalRef, EventCode
from extproc.local.issuer import RunningIssuer
from tests.audit.conftest import Acks, make_record
from tests.console.approving import asked, person, session_of, with_roles
from tests.console.callers import Calls, calling
from tests.console.conftest import World, token_of
from tests.console.log_pages import make_log_world

ANNA, READER = person("anna", "approvers"), person("rosa", "staff")
WHY = "because-of-the-merger"
EXCHANGE = "019ac0a1b2c3-00000000000000aa"


@pytest.mark.parametrize("name", [f"\xa0{SESSION_COOKIE}", f"\x85{SESSION_COOKIE}", f"{SESSION_COOKIE}\xa0"])
async def test_no_other_host_gives_a_browser_its_session(world: World, name: str) -> None:
    """A host beside ours sets a cookie whose name is ours but for a blank, which a browser sends as it is."""
    with_roles(world)
    theirs = await begin_session(world.parts, person("mallory", "staff"), world.now[0] + 3600, world.now[0])
    async with world.browser() as browser:
        own = f"{SESSION_COOKIE}={await begin_session(world.parts, READER, world.now[0] + 3600, world.now[0])}"
        for cookies in (f"{own}; {name}={theirs}", f"{name}={theirs}; {own}"):
            page = (await browser.get("/", headers={"cookie": cookies.encode("latin-1")})).text
            assert "Rosa" in page
            assert "Mallory" not in page
        alone = await browser.get("/approvals", headers={"cookie": f"{name}={theirs}".encode("latin-1")})
        assert alone.status_code == 303
        twice = await browser.get("/approvals", headers={"cookie": f"{own}; {SESSION_COOKIE}={theirs}"})
        assert twice.status_code == 303


async def test_readers_neither_see_nor_find_why_somebody_asks_or_decides(world: World) -> None:
    made = asked(with_roles(world), request_reason=WHY)
    async with await session_of(world, READER) as reader, await session_of(world, ANNA) as approver:
        assert "Nothing fits" in (await reader.get(f"/approvals?text={WHY}")).text
        assert made.approval_id in (await approver.get(f"/approvals?text={WHY}")).text


@pytest.fixture
async def api(world: World, dev_issuer: tuple[Path, RunningIssuer]) -> AsyncIterator[Calls]:
    async with calling(world, *dev_issuer) as calls:
        yield calls


async def test_callers_without_the_right_to_text_get_no_reasons(api: Calls) -> None:
    seen = shown_digest(api.open(request_reason=WHY))
    approver = api.headers("bob", "approvers")
    said = {"verdict": "grant", "reason": f"{WHY}-too", "seen": seen}
    assert (await api.client.post("/approvals/apr-1/decide", json=said, headers=approver)).status_code == 200
    for who in (api.headers("rita", "readers"), api.headers("robot", "approvers", gty="client-credentials")):
        one = await api.client.get("/approvals/apr-1", headers=who)
        assert (one.status_code, one.json()["grants"]) == (200, 1)
        listed = await api.client.get("/approvals", headers=who)
        assert len(listed.json()["approvals"]) == 1
        assert WHY not in one.text + listed.text
        found = await api.client.get("/approvals", params={"text": WHY}, headers=who)
        assert found.json()["approvals"] == []
    assert WHY in (await api.client.get("/approvals", params={"text": WHY}, headers=approver)).text
    assert WHY in (await api.client.get("/approvals/apr-1", headers=api.headers("ada", "auditors"))).text


async def test_the_page_of_a_session_keeps_reasons_from_readers(world: World, tmp_path: Path) -> None:
    pages = make_log_world(tmp_path, world)
    journal, acks = pages.log.open(), Acks()
    ref = ApprovalRef(id="apr-9", state="granted", request_digest="d", decided_by="idp|bob", reason=WHY)
    journal.append_record(make_record(EventCode.APPROVAL_DECIDE, EXCHANGE, approval=ref), acks)
    acks.wait(1)
    journal.close()
    pages.log.ship()
    shown = {}
    for role in ("reader", "approver", "auditor"):
        async with await pages.browser(role) as browser:
            shown[role] = (await browser.get(f"/sessions/{EXCHANGE}")).text
    pages.database.close()
    assert all("apr-9" in page for page in shown.values())
    assert [role for role, page in shown.items() if WHY in page] == ["approver", "auditor"]


async def test_a_reason_that_is_shown_again_holds_no_card_number(world: World) -> None:
    path = f"/approvals/{asked(with_roles(world)).approval_id}"
    async with await session_of(world, ANNA) as browser:
        form = {"csrf": token_of((await browser.get(path)).text), "verdict": "grant", "seen": "0" * 64}
        again = await browser.post(f"{path}/decide", data={**form, "reason": "Card 4111111111111111 of Rita."})
        assert again.status_code == 409
        assert "Card [PAN] of Rita." in again.text
        assert "4111111111111111" not in again.text


async def test_people_without_a_role_learn_of_no_approval_that_there_is_one(world: World) -> None:
    there = asked(with_roles(world)).approval_id
    async with await session_of(world, person("nora", "sales")) as browser:
        form = {"csrf": token_of((await browser.get("/")).text)}
        for step in ("decide", "revoke", "review", "withdraw"):
            answers = [await browser.post(f"/approvals/{name}/{step}", data=form) for name in (there, "apr-none")]
            assert [each.status_code for each in answers] == [403, 403]
            assert answers[0].text == answers[1].text.replace("apr-none", there)
        seen = [await browser.get(f"/approvals/{name}") for name in (there, "apr-none")]
        assert [each.status_code for each in seen] == [403, 403]


async def test_a_session_takes_so_many_steps_a_minute(world: World) -> None:
    """Each is a record, also a refused one: else anybody who can log in fills the spool. Refused pages are fewer."""
    path = f"/approvals/{asked(with_roles(world)).approval_id}"
    async with await session_of(world, person("nora", "sales")) as browser:
        form = {"csrf": token_of((await browser.get("/")).text)}
        answers = [(await browser.post(f"{path}/withdraw", data=form)).status_code for _ in range(62)]
    assert answers == [403] * MAX_FAILURES + [429] * (62 - MAX_FAILURES)
    steps = [each for each in world.log.records if each.event_code is not EventCode.AUTH_FAIL]
    assert len(steps) == 60
    assert len(world.log.records) == 60 + MAX_FAILURES + 1


async def test_logs_hold_no_link_and_nothing_of_a_path(world: World, caplog: pytest.LogCaptureFixture) -> None:
    with_roles(world)
    async with await session_of(world, ANNA) as browser:
        sealed = world.parts.sealing.seal("link", "x", world.now[0] + 60)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(type(world.parts.sessions), "find", _away)
            for path in (f"/a/{sealed}", "/approvals/4111111111111111"):
                assert (await browser.get(path)).status_code == 503
    said = [vars(each) for each in caplog.records if each.name == "extproc.console"]
    assert [each["route"] for each in said] == ["/a/{token}", "/approvals/{approval_id}"]
    assert sealed not in str(said)
    assert "4111111111111111" not in str(said)


def _away(*_: object) -> None:
    raise Unavailable(Reason.APPROVALS_UNAVAILABLE)


async def test_no_redirect_to_another_scheme(world: World) -> None:
    """Starlette mends a slash by a redirect to the scheme that it hears: plain HTTP behind what ends TLS."""
    async with await session_of(with_roles(world), ANNA) as browser:
        for path in ("/approvals/", "/static/console.css/", "//evil.example/", "/api/v1"):
            assert (await browser.get(f"https://console.example.org{path}")).status_code == 404


async def test_a_body_of_two_lengths_is_refused_and_the_connection_closed(world: World) -> None:
    async with world.browser() as browser:
        two = {"content-length": "6", "transfer-encoding": "chunked"}
        answer = await browser.post("/logout", content=b"0\r\n\r\nX", headers=two)
    assert (answer.status_code, answer.headers["connection"]) == (400, "close")
    assert "content-security-policy" in answer.headers
