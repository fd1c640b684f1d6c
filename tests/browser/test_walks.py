"""People at the console, each in a real browser: who waits, who decides, who looks a year later, and who may nothing."""

import re
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from functools import partial

import pytest
from playwright.sync_api import Page, expect

from extproc.approvals.tables import SESSIONS
from tests.browser.chromium import PHONE, Visitor, overflow, violations
from tests.browser.held import Waiting, held
from tests.conformance.service.conftest import World

Visit = Callable[..., Visitor]

HOSTILE = (
    "<script>alert(1)</script><img src=x onerror=alert(2)></pre></textarea></article><h1>owned</h1> "
    "{{7*7}} {% raw %} \u202egnp.exe\u2066 \x1b[31mred\x07 \x00 javascript:alert(3) card 4111 1111 1111 1111"
)
FORBIDDEN = re.compile(r"the server responded with a status of 403")
NO_ROOM = re.compile(r"the server responded with a status of 503")
BIG_CHARACTERS = 1_000_000


@pytest.fixture
def visit(visit: Visit, world: World) -> Visit:
    """Visitors of this module's console."""
    return partial(visit, world.guard.console_url)


@pytest.fixture(scope="module")
def told(world: World) -> str:
    """The id of an exchange in which both sides were hostile: the model server says what it was asked."""
    answer = world.chat(HOSTILE)
    assert answer.status_code == 200, answer.text
    return answer.headers["x-extproc-exchange"]


@pytest.fixture(scope="module")
def waiting(world: World) -> Iterator[Waiting]:
    """A hostile request that waits for as long as the module runs; its client has gone."""
    with held(world, HOSTILE, stays=False) as each:
        yield each


def link_to(page: Page, path: str):
    return page.locator(f'a[href="{path}"]').first


def decide(approver: Visitor, button: str) -> None:
    """And see that it is decided."""
    reason = f"{button} it, for the quarterly report"
    approver.page.get_by_label("Reason").fill(reason)
    approver.page.get_by_role("button", name=button, exact=True).click()
    expect(approver.page.get_by_text(reason)).to_be_visible()


def test_an_approver_reads_it_masked_and_grants_it(visit: Visit, world: World) -> None:
    with held(world, "Summarise card 4111 1111 1111 1111 of the first walk") as waits:
        approver = visit()
        approver.log_in("approver", "/approvals")
        approver.keep("approvals-desk")
        link_to(approver.page, f"/approvals/{waits.approval_id}").click()
        expect(approver.page.get_by_text("Summarise card [PAN] of the first walk")).to_be_visible()
        assert "4111 1111" not in approver.page.content()
        approver.keep("approval-desk")
        decide(approver, "Grant")
        answer = waits.answer.result(30)
        assert approver.page.get_by_role("button", name="Grant", exact=True).count() == 0, "nobody decides twice"
        approver.keep("approval-granted-desk")
    assert answer.status_code == 200
    assert "of the first walk" in answer.text


def test_who_asked_sees_it_and_cannot_decide_it(visit: Visit, world: World) -> None:
    with held(world, "what the analyst asked") as waits:
        analyst = visit()
        analyst.log_in("analyst", f"/approvals/{waits.approval_id}")
        assert analyst.page.get_by_role("button", name="Grant", exact=True).count() == 0
        assert violations(analyst.page) == []
        analyst.keep("approval-own-desk")
        approver = visit()
        approver.log_in("approver", f"/approvals/{waits.approval_id}")
        decide(approver, "Refuse")
        assert waits.answer.result(30).status_code == 403


def test_a_phone_without_scripts_grants(visit: Visit, world: World) -> None:
    with held(world, "granted without a script") as waits:
        approver = visit(java_script_enabled=False, viewport=PHONE)
        approver.log_in("approver", f"/approvals/{waits.approval_id}")
        decide(approver, "Grant")
        assert waits.answer.result(30).status_code == 200


def test_keys_alone_grant_and_show_where_one_is(visit: Visit, world: World) -> None:
    with held(world, "granted by keys alone") as waits:
        approver = visit()
        approver.log_in("approver", f"/approvals/{waits.approval_id}")
        press = approver.page.keyboard.press
        seen: list[str] = []
        while not seen or not seen[-1].endswith("Grant"):
            press("Tab")
            seen.append(focused(approver.page))
            assert len(seen) < 60, f"Tab does not reach the button: {seen}"
            if seen[-1].startswith("TEXTAREA"):
                approver.page.keyboard.type("without a mouse")
        press("Enter")
        expect(approver.page.get_by_text("without a mouse")).to_be_visible()
        assert waits.answer.result(30).status_code == 200
    assert seen[0].endswith("Skip to the content")


def focused(page: Page) -> str:
    """What has the focus: its kind and its words. It must be seen that it has it."""
    visible, name = page.evaluate(
        """() => { const at = document.activeElement, style = getComputedStyle(at);
        const ring = style.outlineStyle !== "none" && parseFloat(style.outlineWidth) >= 2;
        return [ring || style.boxShadow !== "none", `${at.tagName} ${at.textContent.trim()}`]; }"""
    )
    assert visible, f"that the focus is at `{name}` cannot be seen"
    return str(name)


def test_what_is_held_and_decided_appears_without_a_reload(visit: Visit, world: World) -> None:
    reader = visit()
    reader.log_in("reader", "/approvals")
    reader.page.evaluate("window.stayed = true")
    with held(world, "appears by itself") as waits:
        row = link_to(reader.page, f"/approvals/{waits.approval_id}")
        expect(row).to_be_visible()
        approver = visit()
        approver.log_in("approver", f"/approvals/{waits.approval_id}")
        decide(approver, "Refuse")
        expect(row).to_be_hidden()
        assert waits.answer.result(30).status_code == 403
    assert reader.page.evaluate("window.stayed") is True


def test_an_auditor_finds_it_replays_it_and_has_evidence(visit: Visit, told: str) -> None:
    auditor = visit()
    auditor.log_in("auditor", "/sessions")
    open_session(auditor, told)
    page = auditor.page
    auditor.keep("session-desk")
    page.get_by_label("Speed").select_option("20 times")
    page.get_by_role("button", name="Play").click()
    expect(page.get_by_text("The end.")).to_be_visible()
    is_text(page, page.locator("#stage"))
    auditor.keep("replay-desk")
    page.get_by_role("link", name="Raw events").click()
    is_text(page, page.locator("main"))
    auditor.keep("events-desk")
    auditor.open("/evidence")
    page.get_by_role("button", name="Make the pack").click()
    with page.expect_download() as download:
        page.get_by_role("link", name="Download for people (HTML)").click()
    assert "PCI DSS" in download.value.path().read_text("utf-8")
    auditor.keep("evidence-desk")


def open_session(visitor: Visitor, exchange_id: str) -> None:
    """Once the index has it: it follows what is sealed."""
    link = link_to(visitor.page, f"/sessions/{exchange_id}")
    for _ in range(60):
        if link.count():
            break
        visitor.page.wait_for_timeout(500)
        visitor.open("/sessions")
    link.click()
    expect(visitor.page.get_by_role("heading", level=1)).to_contain_text(exchange_id)


def is_text(page: Page, place) -> None:
    """What is hostile stands there as text, masked, with its invisible characters made visible; and did nothing."""
    expect(place).to_contain_text("<script>alert(1)</script><img src=x onerror=alert(2)>")
    expect(place).to_contain_text("{{7*7}} {% raw %}")
    expect(place).to_contain_text("[PAN]")
    said = place.inner_text()
    assert not set(said) & set("\u202e\u2066\x1b\x07\x00")
    assert page.locator("h1").count() == 1
    assert page.locator("script:not([src]), img[src=x]").count() == 0


def test_a_reader_sees_that_it_happened_and_no_text(visit: Visit, told: str, waiting: Waiting) -> None:
    reader = visit(expected=FORBIDDEN)
    reader.log_in("reader", f"/sessions/{told}")
    assert "alert(1)" not in reader.page.content()
    reader.open(f"/approvals/{waiting.approval_id}")
    assert "alert(1)" not in reader.page.content()
    assert reader.page.get_by_role("button", name="Grant", exact=True).count() == 0
    assert reader.open(f"/sessions/{told}/events").status == 403
    assert reader.open("/evidence").status == 403


def test_who_has_no_role_learns_what_is_missing(visit: Visit, told: str) -> None:
    nobody = visit(viewport=PHONE, expected=FORBIDDEN)
    nobody.log_in("nobody")
    for path in ("/sessions", f"/sessions/{told}", "/policy", "/health", "/evidence", "/notifications", "/people"):
        assert nobody.open(path).status == 403, path
    expect(nobody.page.get_by_text("Ask whoever runs this console")).to_be_visible()
    assert violations(nobody.page) == []
    nobody.keep("nobody-phone")


def test_a_hostile_request_is_text_on_the_approvers_page(visit: Visit, waiting: Waiting) -> None:
    approver = visit(viewport=PHONE)
    approver.log_in("approver", f"/approvals/{waiting.approval_id}")
    is_text(approver.page, approver.page.locator("main"))
    approver.open("/approvals?text=alert")
    is_as_before = approver.page.locator("script:not([src]), img[src=x]").count()
    assert is_as_before == 0


def test_a_request_of_a_megabyte_can_be_read_and_decided(visit: Visit, world: World) -> None:
    with held(world, "big " + "<b>\u202e" * (BIG_CHARACTERS // 4)) as waits:
        approver = visit()
        approver.log_in("approver", f"/approvals/{waits.approval_id}")
        assert approver.page.locator("main b").count() == 0
        assert overflow(approver.page) == 0
        decide(approver, "Grant")
        assert waits.answer.result(30).status_code == 200


def test_who_is_idle_logs_in_again(visit: Visit, world: World) -> None:
    reader = visit()
    reader.log_in("reader", "/approvals")
    expect(reader.page.get_by_text("It follows what changes.")).to_be_visible()  # else its stream may be refused first
    with closing(sqlite3.connect(world.guard.settings.approvals.database.removeprefix("sqlite:///"))) as database:
        database.execute(f"UPDATE {SESSIONS.name} SET expires_at = 1")
        database.commit()
    reader.open("/approvals")
    expect(reader.page.get_by_role("link", name="Log in", exact=True)).to_be_visible()


def test_a_page_that_gets_no_news_says_so(visit: Visit) -> None:
    reader = visit(expected=NO_ROOM)
    reader.page.route("**/live/approvals", lambda route: route.fulfill(status=503))
    reader.log_in("reader", "/approvals")
    expect(reader.page.get_by_text("It follows nothing now: use the link.")).to_be_visible()


def test_logging_out_is_possible_in_a_real_browser(visit: Visit) -> None:
    reader = visit()
    reader.log_in("reader")
    reader.page.get_by_role("button", name="Log out").click()
    expect(reader.page.get_by_role("link", name="Log in", exact=True)).to_be_visible()


PAGES = {
    "approver": ("/", "/approvals", "/approvals?show=decided", "/approvals/{waiting}"),
    "auditor": ("/sessions", "/sessions/{told}", "/sessions/{told}/events", "/policy", "/health", "/evidence"),
    "admin": ("/", "/notifications", "/people"),
}


@pytest.mark.parametrize("who", PAGES)
def test_the_pages_are_accessible_and_fit_a_phone(visit: Visit, told: str, waiting: Waiting, who: str) -> None:
    """By axe, in light and dark; of what is dark only the colours differ."""
    visitor = visit(viewport=PHONE)
    visitor.log_in(who)
    for path in PAGES[who]:
        visitor.open(path.format(told=told, waiting=waiting.approval_id))
        name = re.sub(r"\W+", "-", path).strip("-") or "front"
        visitor.page.emulate_media(color_scheme="light")
        assert violations(visitor.page) == [], path
        visitor.keep(f"{who}-{name}-phone-light")
        visitor.page.emulate_media(color_scheme="dark")
        assert violations(visitor.page, only=["color-contrast"]) == [], f"{path} in dark"
        visitor.keep(f"{who}-{name}-phone-dark")
        assert overflow(visitor.page) == 0, path
