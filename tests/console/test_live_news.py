"""News of approvals: who hears them, how many at once, and that listening keeps no session alive."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from extproc.console import live
from extproc.console.live import MAX_OF_SESSION, MAX_STREAMS, Live
from extproc.console.session import LIVE_HEADER, SESSION_COOKIE, begin_session
from tests.console.approving import asked, person, session_of, with_roles
from tests.console.conftest import World

ANNA = person("anna", "approvers")


@pytest_asyncio.fixture
async def looking(world: World, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Live]:
    monkeypatch.setattr(live, "LOOK_SECONDS", 0.02)
    monkeypatch.setattr(live, "BEAT_SECONDS", 0.05)
    running = asyncio.create_task(world.parts.live.run(world.parts.approvals))
    yield world.parts.live
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


async def secret_of(world: World) -> str:
    return await begin_session(world.parts, ANNA, world.now[0] + 9999, world.now[0])


def stream_of(world: World, secret: str) -> AsyncIterator[str]:
    return world.parts.live.stream(world.parts.sessions, secret, world.parts.clock, lambda _: True)


async def event_of(stream: AsyncIterator[str]) -> tuple[str, Any]:
    """The next one that is no comment."""
    async with asyncio.timeout(20):
        async for text in stream:
            if text.startswith("event: "):
                name, _, data = text.partition("\n")
                return name.removeprefix("event: "), data.removeprefix("data: ").strip()
    return "end", ""


async def test_a_browser_hears_which_approval_changed_and_nothing_else_of_it(world: World, looking: Live) -> None:
    stream = stream_of(world, await secret_of(world))
    assert (await anext(stream)).startswith("retry:")
    waiting = asyncio.create_task(event_of(stream))
    await asyncio.sleep(0.1)
    made = asked(world)
    name, data = await waiting
    assert (name, json.loads(data)) == ("approvals", [{"id": made.approval_id, "state": "pending"}])
    looking.close()
    assert (await event_of(stream))[0] == "end"
    assert not looking.may_begin("any")


async def test_whoever_has_no_role_hears_of_their_own_alone(world: World) -> None:
    nina, mallory = person("nina", "sales"), person("mallory", "sales")
    hers = asked(with_roles(world), number=1, requester_uid=nina.uid)
    other = asked(world, number=3)
    news, said = world.parts.live, []
    async with (
        await session_of(world, ANNA) as approver,
        await session_of(world, nina) as requester,
        await session_of(world, mallory) as stranger,
    ):
        listening = [asyncio.create_task(each.get("/live/approvals")) for each in (approver, requester, stranger)]
        async with asyncio.timeout(20):
            while len(news._waiting) < len(listening):
                await asyncio.sleep(0.01)
            news._tell([hers, other])
            news.close()
            said = [(await each).text for each in listening]
    heard = [[each.approval_id for each in (hers, other) if each.approval_id in text] for text in said]
    assert heard == [[hers.approval_id, other.approval_id], [hers.approval_id], []]
    assert ["event: approvals" in text for text in said] == [True, True, False]


async def test_listening_keeps_no_session_alive_and_ends_with_it(world: World, looking: Live) -> None:
    with_roles(world)
    secret = await secret_of(world)
    stream = stream_of(world, secret)
    await anext(stream)
    for _ in range(3):
        world.now[0] += 290
        assert await anext(stream) == ": \n\n"
        async with world.browser() as browser:
            browser.cookies.set(SESSION_COOKIE, secret, domain="console.example.org")
            loaded = await browser.get("/approvals", headers={LIVE_HEADER: "1"})  # as the script does
            assert loaded.status_code == 200
    world.now[0] += 31
    assert (await event_of(stream))[0] == "over"
    async with world.browser() as browser:
        browser.cookies.set(SESSION_COOKIE, secret, domain="console.example.org")
        assert (await browser.get("/approvals")).status_code == 303
        assert (await browser.get("/live/approvals")).status_code == 401


async def test_of_streams_that_begin_at_once_none_is_one_too_many(world: World) -> None:
    secret = await secret_of(world)
    streams = [stream_of(world, secret) for _ in range(MAX_OF_SESSION + 1)]  # answered, and none has begun
    began = [await anext(each) for each in streams]
    assert began == ["retry: 3000\n\n"] * MAX_OF_SESSION + ["retry: 15000\n\n"]
    assert [each async for each in streams[-1]] == []
    for each in streams:
        await each.aclose()  # type: ignore[attr-defined]
    assert world.parts.live.may_begin(secret)


async def test_there_is_room_for_so_many_streams_of_a_session_and_of_all(world: World) -> None:
    streams = [stream_of(world, "one") for _ in range(MAX_OF_SESSION)]
    for each in streams:
        await anext(each)
    assert not world.parts.live.may_begin("one")
    assert world.parts.live.may_begin("two")
    async with await session_of(world, ANNA) as browser:
        others = [stream_of(world, f"s{number}") for number in range(MAX_STREAMS - MAX_OF_SESSION)]
        for each in others:
            await anext(each)
        assert (await browser.get("/live/approvals")).status_code == 503
    for each in (*streams, *others):
        await each.aclose()  # type: ignore[attr-defined]
    assert world.parts.live.may_begin("one")
