"""A session in a real browser: its replay by mouse and keyboard, without a script, and text that wishes the reader ill."""

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
import uvicorn

from extproc.console.app import build_app
from extproc.console.jobs import Progress
from extproc.console.session import SESSION_COOKIE
from extproc.core.principal import Principal
from extproc.core.record import EventCode, Outcome
from extproc.edge.evidence_making import PackImpossible
from extproc.edge.settings_console import ConsoleSettings, SamlSettings, TokenSettings
from extproc.local.ports import free_port
from tests.audit.conftest import make_record
from tests.browser.chromium import PHONE, overflow, violations
from tests.console.conftest import make_world
from tests.console.idp import SP, ec_keys, write_metadata
from tests.console.log_pages import LogWorld, make_log_world
from tests.console.test_session_pages import BLOCKED, LONG, SAID, index, say


@pytest.fixture(scope="module")
def console(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, dict[str, str], LogWorld]]:
    """Its address, the headers of an auditor's session, and what it reads."""
    folder, keys = tmp_path_factory.mktemp("console"), ec_keys()
    url = f"http://127.0.0.1:{free_port()}"
    settings = ConsoleSettings(
        url=url,
        keys=folder / "console-keys",
        saml=SamlSettings(write_metadata(folder / "idp.xml", keys), SP),
        token=TokenSettings(issuer=url, audience="extproc"),
    )
    worlds = make_world(folder, settings, keys)
    pages = make_log_world(folder, next(worlds))
    write(pages, folder)
    parts = pages.world.parts
    ada = Principal("https://idp.test", "ada", "Ada", ("auditors", "admins"))
    secret = "s" * 43
    parts.sessions.begin(secret, msgspec.json.encode(ada).decode(), time.time() + 3600, time.time())
    port = int(url.rpartition(":")[2])
    server = uvicorn.Server(uvicorn.Config(build_app(parts), host="127.0.0.1", port=port, log_config=None))
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        time.sleep(0.02)
    yield url, {"cookie": f"{SESSION_COOKIE}={secret}"}, pages
    server.should_exit = True
    thread.join()
    pages.database.close()
    worlds.close()


def write(pages, folder: Path) -> None:
    journal = pages.log.open()
    hostile = "<script>alert(1)</script><img src=x onerror=alert(2)> \u202egnp.exe \x1b[31m"
    say(pages, journal, SAID, [{"role": "user", "content": f"card [PAN] {hostile}"}])
    say(
        pages,
        journal,
        LONG,
        [{"role": "user", "content": "lorem" * 200_000}, *({"role": "user", "content": "x"},) * 50],
    )
    refused = {"status": Outcome.REFUSED, "status_detail": "policy_denied", "http_status": 403}
    journal.append_record(make_record(EventCode.POLICY_DENY, BLOCKED, **refused))
    journal.close()
    pages.log.ship()
    index(pages)


def test_a_session_is_replayed_by_keyboard_and_mouse(visit, console) -> None:
    url, headers, _ = console
    visitor = visit(url, extra_http_headers=headers)
    visitor.open(f"/sessions/{SAID}")
    page = visitor.page
    stage, position = page.locator("#stage"), page.get_by_role("slider", name="Position")
    assert page.locator("#conversation").is_visible()
    play = page.get_by_role("button", name="Play", exact=True)
    page.get_by_role("combobox", name="Speed").select_option("0.5")
    play.focus()
    page.keyboard.press("Enter")
    page.get_by_role("button", name="Pause").wait_for()
    assert stage.is_visible()
    page.keyboard.press("k")
    play.wait_for()
    position.focus()
    page.keyboard.press("Home")
    assert not stage.get_by_text("Sorry,").is_visible()
    page.keyboard.press("End")
    stage.get_by_text("Sorry,").wait_for()
    assert stage.locator("mark").all_inner_texts() == ["[PAN]", "[PAN]"]
    assert position.get_attribute("aria-valuetext") == "2.5 s of 2.5 s"
    page.keyboard.press("Home")
    page.get_by_role("combobox", name="Speed").select_option("20")
    play.click()
    page.get_by_text("The end.").wait_for()
    page.get_by_role("button", name="Show all").click()
    assert page.locator("#conversation").is_visible()
    assert violations(page) == []
    visitor.keep("session-replayed")


def test_without_a_script_the_whole_text_is_there(visit, console) -> None:
    url, headers, _ = console
    visitor = visit(url, extra_http_headers=headers, java_script_enabled=False)
    visitor.open(f"/sessions/{SAID}")
    assert visitor.page.locator("#conversation").is_visible()
    assert "Sorry," in visitor.page.locator("#conversation").inner_text()
    assert not visitor.page.locator("#player").is_visible()


def test_a_page_that_waits_for_a_job_shows_by_itself_what_came_of_it(visit, console) -> None:
    url, headers, pages = console
    gate, kind = threading.Event(), "evidence"

    def work(_: Progress) -> None:
        gate.wait(30)
        raise PackImpossible("the keys cannot be read")

    job = pages.deployment.jobs.begin(kind, "a month", "ada", work)
    visitor = visit(url, extra_http_headers=headers)
    visitor.open("/evidence")
    assert visitor.page.get_by_text("A pack is being made").is_visible()
    gate.set()
    visitor.page.get_by_text("the keys cannot be read").wait_for()
    assert job.over.wait(10)
    pages.deployment.jobs.forget(kind)


def test_each_page_fits_a_phone_and_axe_finds_nothing(visit, console) -> None:
    url, headers, _ = console
    visitor = visit(url, extra_http_headers=headers, viewport=PHONE, reduced_motion="reduce")
    paths = {
        "sessions": ("/sessions?range=all", "light"),
        "blocked": (f"/sessions/{BLOCKED}", "dark"),
        "long": (f"/sessions/{LONG}", "light"),
        "events": (f"/sessions/{SAID}/events", "dark"),
        "policy": ("/policy", "dark"),
        "health": ("/health", "light"),
        "evidence": ("/evidence", "dark"),
        "notifications": ("/notifications", "light"),
    }
    for name, (path, scheme) in paths.items():
        visitor.page.emulate_media(color_scheme=scheme)
        response = visitor.open(path)
        assert response.status == 200, name
        assert overflow(visitor.page) == 0, name
        assert violations(visitor.page) == [], name
        visitor.keep(f"{name}-{scheme}-phone")
