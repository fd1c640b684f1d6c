"""The pages of approvals: who sees what, who decides, what is recorded, and what hostile texts become."""

import re

import httpx
import pytest

from extproc.console.pages import environment
from extproc.core.approval import ApprovalState
from tests.console.approving import asked, person, session_of, with_roles
from tests.console.conftest import World, token_of

ANNA, BERT = person("anna", "approvers"), person("bert", "approvers", "risk")
READER, AUDITOR, NOBODY = person("rosa", "staff"), person("aldo", "audit"), person("nora", "sales")
RITA = person("rita", "analysts")


def field(page: str, name: str) -> str:
    found = re.search(rf'name="{name}" value="([^"]*)"', page)
    assert found is not None
    return found[1]


async def vote(
    browser: httpx.AsyncClient, path: str, verdict: str, reason: str = "Checked.", **more: str
) -> httpx.Response:
    page = (await browser.get(path)).text
    form = {"csrf": token_of(page), "seen": field(page, "seen"), "verdict": verdict, "reason": reason} | more
    return await browser.post(f"{path}/decide", data=form)


async def test_an_approver_reads_the_masked_request_and_grants_it(world: World) -> None:
    path = f"/approvals/{asked(with_roles(world)).approval_id}"
    async with await session_of(world, ANNA) as browser:
        listed = (await browser.get("/approvals")).text
        assert path in listed
        assert "waits for you" in listed
        assert not world.log.records
        page = (await browser.get(path)).text
        assert '<mark title="found and masked: PAN">[PAN]</mark>' in page
        assert "A customer waits on the phone." in page
        assert [each.event_code for each in world.log.records] == ["audit.read"]
        done = await vote(browser, path, "grant", "Known customer, card 4111111111111111.")
        assert (done.status_code, done.headers["location"]) == (303, f"https://console.example.org{path}")
        after = (await browser.get(path)).text
        assert "1 of 1 grant" in after
        assert "4111111111111111" not in after
        assert "not pending any more" in after
    decision = next(each for each in world.log.records if each.event_code == "approval.decide")
    assert (decision.actor.uid, decision.status, decision.detail["channel"]) == (ANNA.uid, "succeeded", "console")
    assert "4111111111111111" not in repr(world.log.records)


async def test_what_a_person_may_not_do_is_said_instead_of_a_button(world: World) -> None:
    path = f"/approvals/{asked(with_roles(world), quorum=2, approver_groups=('approvers', 'risk')).approval_id}"
    said = {}
    for who in (
        READER,
        AUDITOR,
        person("rita", "approvers"),
        person("dora", "risk", "staff"),
        person("other", "approvers", aliases=("rita@example.org",)),
    ):
        async with await session_of(world, who) as browser:
            page = (await browser.get(path)).text
            assert 'value="grant"' not in page
            said[who.name] = page
            form = {"csrf": token_of(page), "seen": "x", "verdict": "grant", "reason": "r"}
            assert (await browser.post(f"{path}/decide", data=form)).status_code == 403
    assert "You would need one of the groups approvers, risk." in said["Rosa"]
    assert "You would need the role approver" in said["Dora"]
    assert "declined twice" not in said["Rosa"]
    assert "A customer waits" not in said["Rosa"]
    assert "declined twice" in said["Aldo"]
    assert "This is your own request" in said["Rita"]
    assert "This is your own request" in said["Other"]
    async with await session_of(world, ANNA) as browser:
        await vote(browser, path, "grant")
        assert "You have voted to grant." in (await browser.get(path)).text
    assert world.parts.approvals.count_by_state(world.now[0])[ApprovalState.PENDING] == 1


async def test_whoever_asks_sees_the_state_and_may_withdraw_without_any_role(world: World) -> None:
    path = f"/approvals/{asked(with_roles(world)).approval_id}"
    async with await session_of(world, RITA) as browser:
        page = (await browser.get(path)).text
        assert "pending" in page
        assert "declined twice" not in page
        assert (await browser.get("/approvals")).status_code == 403
        done = await browser.post(f"{path}/withdraw", data={"csrf": token_of(page)})
        assert done.status_code == 303
        assert "withdrawn" in (await browser.get(path)).text


async def test_whoever_has_no_role_learns_which_and_of_nobody_else_s_request(world: World) -> None:
    path = f"/approvals/{asked(with_roles(world)).approval_id}"
    async with await session_of(world, NOBODY) as browser:
        missing = await browser.get(path)
        assert missing.status_code == 403
        assert "approvers" in missing.text
        assert "sales" in missing.text
        assert "Rita" not in missing.text
        assert (await browser.get("/approvals/unknown")).text == missing.text.replace(path, "/approvals/unknown")
    async with world.browser() as stranger:
        answer = await stranger.get(path)
        assert answer.status_code == 303
        assert answer.headers["location"].startswith("/login?to=")


async def test_a_request_that_cannot_be_recorded_as_read_is_not_shown(world: World) -> None:
    path = f"/approvals/{asked(with_roles(world)).approval_id}"
    async with await session_of(world, ANNA) as browser:
        world.log.broken = True
        answer = await browser.get(path)
        assert answer.status_code == 503
        assert "declined twice" not in answer.text


async def test_a_decision_is_for_what_was_shown_with_a_reason_and_from_this_session(world: World) -> None:
    path = f"/approvals/{asked(with_roles(world)).approval_id}"
    async with await session_of(world, ANNA) as browser, await session_of(world, BERT) as other:
        assert (await vote(browser, path, "grant", seen="0" * 64)).status_code == 409
        assert (await vote(browser, path, "grant", " ")).status_code == 422
        assert (await vote(browser, path, "maybe")).status_code == 400
        stolen = token_of((await other.get(path)).text)
        assert (await vote(browser, path, "grant", csrf=stolen)).status_code == 403
        page = (await browser.get(path)).text
        form = {"csrf": token_of(page), "seen": field(page, "seen"), "verdict": "grant", "reason": "r"}
        for headers in ({"origin": "https://evil.example"}, {"sec-fetch-site": "cross-site"}, {"origin": "null"}):
            assert (await browser.post(f"{path}/decide", data=form, headers=headers)).status_code == 403
        assert (await browser.post(f"{path}/decide", data={**form, "csrf": ""})).status_code == 403
        found = world.parts.approvals.find(path.rpartition("/")[2], world.now[0])
        assert found is not None
        assert not found.votes
        assert (await vote(browser, path, "grant")).status_code == 303


HOSTILE = {
    "script": ("<script>alert(1)</script>", "&lt;script&gt;alert(1)"),
    "attribute": ('"><img src=x onerror=alert(1)>', "&lt;img src=x"),
    "bidi": ("a\u202eb", "&lt;U+202E&gt;"),
    "control": ("a\x1b[31mb", "&lt;U+001B&gt;"),
    "zero width": ("a\u200bb", "&lt;U+200B&gt;"),
    "invisible": ("a\u3164b", "&lt;U+3164&gt;"),
    "template": ("{{ 7 * 7 }}", "{{ 7 * 7 }}"),
}


@pytest.mark.parametrize("case", HOSTILE.values(), ids=HOSTILE)
async def test_a_hostile_prompt_is_text(world: World, case: tuple[str, str]) -> None:
    text, shown = case
    chat = {"messages": [{"role": text, "content": text}], "model": text}
    made = asked(with_roles(world), chat=chat, request_reason=text, model=text, requester_name=text, rule=text)
    async with await session_of(world, ANNA) as browser:
        for path in (f"/approvals/{made.approval_id}", "/approvals"):
            page = (await browser.get(path)).text
            assert shown in page
            assert text not in page or text.startswith("{{")


async def test_a_megabyte_is_shown_in_part_and_whole_on_demand(world: World) -> None:
    made = asked(with_roles(world), chat={"messages": [{"role": "user", "content": "x" * (1 << 20)}]})
    async with await session_of(world, ANNA) as browser:
        page = (await browser.get(f"/approvals/{made.approval_id}")).text
        assert len(page) < 60_000
        assert "more characters" in page
        whole = (await browser.get(f"/approvals/{made.approval_id}?text=whole")).text
        assert "x" * (1 << 20) in whole


async def test_a_grant_is_taken_back_and_an_emergency_reviewed(world: World) -> None:
    granted = f"/approvals/{asked(with_roles(world)).approval_id}"
    emergency = f"/approvals/{asked(world, number=7, emergency=True).approval_id}"
    async with await session_of(world, ANNA) as browser:
        await vote(browser, granted, "grant")
        page = (await browser.get(granted)).text
        await browser.post(f"{granted}/revoke", data={"csrf": token_of(page), "reason": "Wrong person."})
        assert "revoked" in (await browser.get(granted)).text
        page = (await browser.get(emergency)).text
        assert "to be reviewed" in page
        await browser.post(f"{emergency}/review", data={"csrf": token_of(page), "reason": "It was one."})
        reviewed = (await browser.get(emergency)).text
        assert "Reviewed" in reviewed
        assert "It was one." in reviewed


async def test_the_list_is_filtered_by_its_url_and_says_what_to_do_when_it_is_empty(world: World) -> None:
    with_roles(world)
    async with await session_of(world, READER) as browser:
        assert "Nobody waits for a decision" in (await browser.get("/approvals")).text
        for number in range(1, 53):
            asked(world, number=number, rule=f"rule-{number % 2}", created_at=world.now[0] - number)
        first = (await browser.get("/approvals")).text
        assert first.count("<tr>") + first.count('<tr class="mine">') == 51
        older = re.search(r'href="(/approvals\?before=[^"]+)">Older', first)
        assert older is not None
        assert (await browser.get(older[1].replace("&amp;", "&"))).text.count("<tr>") == 3
        assert "rule-0</td>" not in (await browser.get("/approvals?rule=rule-1")).text
        assert "Nothing fits" in (await browser.get("/approvals?text=nothing-like-it")).text
        for odd in ("before=x", "state=odd", "show=%00", "before=1.2.3'--", "rule=%F0%9F"):
            assert (await browser.get(f"/approvals?{odd}")).status_code == 200


async def test_a_wrong_word_in_the_url_of_the_list_is_told(world: World) -> None:
    asked(with_roles(world), emergency=True)
    async with await session_of(world, READER) as browser:
        for words, said in (
            (
                "state=grantd",
                "There is no state `grantd`, and it is passed over. There are: pending, granted, refused,",
            ),
            ("show=all", "There is no show `all`, and it is passed over. There are: pending, decided, mine."),
            ("before=yesterday", "`before` is no place in this list"),
        ):
            assert said in (await browser.get(f"/approvals?{words}")).text
        for words in ("state=pending", "show=decided&state=granted", "show=mine", ""):
            assert 'role="alert"' not in (await browser.get(f"/approvals?{words}")).text
        assert "cards-need-a-person" not in (await browser.get("/approvals?state=granted")).text
        assert "cards-need-a-person" in (await browser.get("/approvals?state=used")).text


async def test_a_session_reads_so_many_pages_with_content_a_minute(world: World) -> None:
    path = f"/approvals/{asked(with_roles(world)).approval_id}"
    async with await session_of(world, AUDITOR) as browser, await session_of(world, ANNA) as other:
        answers = [(await browser.get(path)).status_code for _ in range(61)]
        assert answers == [200] * 60 + [429]
        assert (await other.get(path)).status_code == 200
        world.now[0] += 60
        assert (await browser.get(path)).status_code == 200


def test_no_template_turns_escaping_off() -> None:
    made = environment()
    assert made.autoescape is True
    assert made.loader is not None
    for name in made.list_templates():
        source = made.loader.get_source(made, name)[0]
        assert not re.search(r"\|\s*safe|autoescape|<script(?! src=\"/static/)|\son\w+=|style=|javascript:", source), (
            name
        )


async def test_the_first_page_says_what_waits_for_whom(world: World) -> None:
    with_roles(world)
    async with await session_of(world, ANNA) as browser:
        assert "Nothing waits for you" in (await browser.get("/")).text
        path = f"/approvals/{asked(world).approval_id}"
        assert path in (await browser.get("/")).text
        await vote(browser, path, "grant")
        assert path not in (await browser.get("/")).text
    async with await session_of(world, RITA) as browser:
        page = (await browser.get("/")).text
        assert path in page
        assert "None of your groups has a role" in page
    async with await session_of(world, NOBODY) as browser:
        assert path not in (await browser.get("/")).text
