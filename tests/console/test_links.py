"""Signed links: they lead to one approval after a login, serve one decision, and look at nothing for anybody else."""

import asyncio
import re
from dataclasses import replace

import httpx
import pytest

from extproc.approvals.notify.deliveries import Notification
from extproc.approvals.notify.events import Event
from extproc.console.links import LinkMaker, LinkRefused, find_link, through
from extproc.console.sealing import Sealing
from extproc.console.session import SESSION_COOKIE, begin_session
from extproc.core.approval import (
    Approval,
    ApprovalRequest,
    Channel,
    DecisionRefused,
    TransitionCode,
    TransitionRefused,
    open_approval,
    shown_digest,
)
from extproc.core.principal import Principal
from extproc.core.reasons import Reason, Unavailable
from extproc.core.trust import Masked
from tests.console.approving import asked as asked_of_staff
from tests.console.approving import person as somebody
from tests.console.approving import session_of, with_roles
from tests.console.conftest import World, token_of
from tests.console.idp import CONSOLE, NOW

SECRETS = ("apr-1", "bulk", "Anna Analyst", "small")


def asked(approval_id: str = "apr-1") -> Approval:
    request = ApprovalRequest(
        approval_id, "x-1", "https://idp.test|anna", "Anna Analyst", "bulk", "Large requests are approved.", "sha256:00",
        "digest", "main", "chat", "small", (("pan", 2),), ("approvers",), NOW, NOW + 600, Masked(b"{}"),
    )  # fmt: skip
    return open_approval(request)


def told(event: Event = Event.OPENED, name: str = "ntf_1") -> Notification:
    return Notification(name, "apr-1", event, "pending", NOW)


def made(world: World, channel: str = "slack", event: Event = Event.OPENED) -> str:
    return LinkMaker(world.parts.sealing, CONSOLE)(told(event), asked(), channel).removeprefix(CONSOLE)


def token_in(path: str) -> str:
    return path.removeprefix("/a/")


@pytest.fixture
async def person(world: World, browser: httpx.AsyncClient) -> httpx.AsyncClient:
    """The browser of somebody who is logged in."""
    somebody = Principal("https://idp.test", "paula", "Paula", ("approvers",))
    secret = await begin_session(world.parts, somebody, NOW + 3600, NOW)
    browser.cookies.set(SESSION_COOKIE, secret)
    return browser


async def test_whoever_is_not_logged_in_sees_the_login_and_uses_nothing_up(
    world: World, browser: httpx.AsyncClient
) -> None:
    path = made(world)
    for method in ("GET", "HEAD"):
        answer = await browser.request(method, path)
        assert answer.status_code == 303
        assert answer.headers["location"].startswith("/login?to=%2Fa%2F")
    page = (await browser.get(answer.headers["location"])).text
    assert not [secret for secret in SECRETS if secret in page]
    unknown = await browser.get("/a/unknown")
    assert unknown.headers["location"].startswith("/login?to=%2Fa%2F"), "valid or not, the same"
    link = find_link(world.parts.sealing, token_in(path), NOW)
    assert link is not None
    assert not world.parts.single_use.is_used("link", link.name, NOW)


async def test_after_the_login_the_browser_comes_back_to_the_link(world: World, person: httpx.AsyncClient) -> None:
    path = made(world)
    back = await person.get("/login", params={"to": path})
    assert back.headers["location"] == path
    answer = await person.get(path)
    assert (answer.status_code, answer.headers["location"]) == (303, f"/approvals/apr-1?link={token_in(path)}")


async def test_a_decision_uses_the_link_up_and_a_second_use_says_so(world: World, person: httpx.AsyncClient) -> None:
    path = made(world)
    async with through(world.parts, token_in(path), "apr-1") as channel:
        assert channel is Channel.LINK
    with pytest.raises(LinkRefused, match="already"):
        async with through(world.parts, token_in(path), "apr-1"):
            raise AssertionError
    answer = await person.get(path)
    assert answer.status_code == 410
    assert "This link was used already" in answer.text
    assert 'href="/approvals/apr-1"' in answer.text


async def test_the_link_of_every_attempt_is_the_same_one_and_of_another_channel_another(world: World) -> None:
    first, again, other = made(world), made(world), made(world, "mail")
    assert first != again
    async with through(world.parts, token_in(first), "apr-1"):
        pass
    with pytest.raises(LinkRefused, match="already"):
        async with through(world.parts, token_in(again), "apr-1"):
            raise AssertionError
    async with through(world.parts, token_in(other), "apr-1") as channel:
        assert channel is Channel.LINK


async def test_a_decision_that_is_refused_gives_the_link_back(world: World) -> None:
    token = token_in(made(world))
    with pytest.raises(TransitionRefused):
        async with through(world.parts, token, "apr-1"):
            raise DecisionRefused(TransitionCode.OTHER_VIEW)
    async with through(world.parts, token, "apr-1") as channel:
        assert channel is Channel.LINK


@pytest.mark.parametrize("ended", [asyncio.CancelledError, Unavailable(Reason.AUDIT_UNAVAILABLE), ZeroDivisionError])
async def test_a_link_through_which_something_may_have_been_decided_stays_used(
    world: World, ended: BaseException | type[BaseException]
) -> None:
    """The browser goes, or the answer fails, after the decision was stored."""
    token = token_in(made(world))
    with pytest.raises(ended if isinstance(ended, type) else type(ended)):
        async with through(world.parts, token, "apr-1"):
            raise ended
    with pytest.raises(LinkRefused, match="already"):
        async with through(world.parts, token, "apr-1"):
            raise AssertionError


async def test_a_link_is_of_its_approval_its_time_and_its_deployment(world: World, person: httpx.AsyncClient) -> None:
    token = token_in(made(world))
    other = Sealing(bytes(32)).seal("link", '["apr-1","slack","ntf_1",9e9]', NOW + 600)
    cookie = world.parts.sealing.seal("login", '["apr-1","slack","ntf_1",9e9]', NOW + 600)
    for wrong, approval_id in (
        (token, "apr-2"),
        (other, "apr-1"),
        (cookie, "apr-1"),
        (token[:-4], "apr-1"),
        ("x" * 9000, "apr-1"),
    ):
        with pytest.raises(LinkRefused, match="not valid"):
            async with through(world.parts, wrong, approval_id):
                raise AssertionError
    for wrong in (other, cookie, token[:-4], token + "%00"):
        assert (await person.get(f"/a/{wrong}")).status_code == 410
    world.now[0] = NOW + 600
    assert (await person.get(f"/a/{token}")).status_code == 410
    with pytest.raises(LinkRefused, match="not valid"):
        async with through(world.parts, token, "apr-1"):
            raise AssertionError


async def test_without_a_link_a_decision_is_the_console_s(world: World) -> None:
    async with through(world.parts, "", "apr-1") as channel:
        assert channel is Channel.CONSOLE


def test_what_asks_for_no_decision_has_the_page_s_address(world: World) -> None:
    assert made(world, event=Event.DECIDED) == "/approvals/apr-1"
    odd = replace(asked(), approval_id="a/../?b")
    assert (
        LinkMaker(world.parts.sealing, CONSOLE)(told(Event.EXPIRED), odd, "mail")
        == f"{CONSOLE}/approvals/a%2F..%2F%3Fb"
    )


async def test_the_approval_s_page_brings_the_link_along_and_its_vote_says_so(world: World) -> None:
    world = with_roles(world)
    approval = asked_of_staff(world)
    happened = Notification("ntf_1", approval.approval_id, Event.OPENED, "pending", NOW)
    path = LinkMaker(world.parts.sealing, CONSOLE)(happened, approval, "slack").removeprefix(CONSOLE)
    async with await session_of(world, somebody("paula", "approvers")) as browser:
        shown = await browser.get(path, follow_redirects=True)
        fields = dict(re.findall(r'name="(csrf|link|seen)" value="([^"]+)"', shown.text))
        assert fields["link"] == token_in(path)
        form = fields | {"verdict": "grant", "reason": "She may."}
        decided = await browser.post(f"/approvals/{approval.approval_id}/decide", data=form)
        assert decided.status_code == 303
        (vote,) = found(world, approval).votes
        assert (vote.channel, vote.name) == (Channel.LINK, "Paula")
        assert (await browser.get(path)).status_code == 410
        assert (await browser.post(f"/approvals/{approval.approval_id}/decide", data=form)).status_code == 410


async def test_who_may_not_decide_uses_no_link_up(world: World) -> None:
    world = with_roles(world)
    approval = asked_of_staff(world)
    happened = Notification("ntf_1", approval.approval_id, Event.OPENED, "pending", NOW)
    token = token_in(LinkMaker(world.parts.sealing, CONSOLE)(happened, approval, "slack").removeprefix(CONSOLE))
    form = {"link": token, "seen": shown_digest(approval), "verdict": "grant", "reason": "I may not."}
    async with await session_of(world, somebody("rita", "approvers")) as requester:
        form["csrf"] = token_of((await requester.get(f"/approvals/{approval.approval_id}")).text)
        refused = await requester.post(f"/approvals/{approval.approval_id}/decide", data=form)
    assert refused.status_code in {403, 409}
    assert found(world, approval).votes == ()
    async with through(world.parts, token, approval.approval_id) as channel:
        assert channel is Channel.LINK


def found(world: World, approval: Approval) -> Approval:
    kept = world.parts.approvals.find(approval.approval_id, world.now[0])
    assert kept is not None
    return kept
