"""The pages about policy, health and evidence, over a real log on disk; and who may see which page of all of these."""

import asyncio
import json
import re
from pathlib import Path
from unittest.mock import Mock

import pytest
from sqlalchemy import insert
from starlette.routing import Route

from extproc.approvals.notify.deliveries import Deliveries, DeliveryState, Notification, Spread
from extproc.approvals.notify.events import Event
from extproc.approvals.notify.tables import NOTIFICATIONS
from extproc.console import log_pages
from extproc.core.reasons import Reason, Unavailable
from extproc.core.record import EventCode, Outcome
from tests.audit.conftest import make_record, run_exchange
from tests.console.conftest import World, token_of
from tests.console.log_pages import GROUP_OF, POLICY, LogWorld, headings, make_log_world

ID = "019ac0a1b2c3-0000000000000001"
READERS = frozenset({"reader", "approver", "auditor", "admin"})
WHOSE = {
    ("GET", "/sessions"): READERS,
    ("GET", "/sessions/{exchange_id}"): READERS,
    ("GET", "/sessions/{exchange_id}/events"): {"auditor"},
    ("GET", "/sessions/{exchange_id}/turns/{number}"): {"auditor"},
    ("GET", "/sessions/{exchange_id}/replay.json"): {"auditor"},
    ("GET", "/sessions/{exchange_id}/records.jsonl"): {"auditor"},
    ("GET", "/policy"): READERS,
    ("POST", "/policy/cases"): READERS,
    ("GET", "/health"): READERS,
    ("POST", "/health/verify"): READERS,
    ("GET", "/evidence"): {"auditor"},
    ("POST", "/evidence"): {"auditor"},
    ("POST", "/evidence/forget"): {"auditor"},
    ("GET", "/evidence/{pack_id}/{name}"): {"auditor"},
    ("GET", "/notifications"): {"admin"},
    ("POST", "/notifications/retry"): {"admin"},
}


@pytest.fixture
def pages(tmp_path: Path, world: World):
    made = make_log_world(tmp_path, world)
    yield made
    made.database.close()


def written(pages: LogWorld) -> None:
    """A worker's epoch with one exchange and two controls that failed, of which one came back; in the store."""
    journal = pages.log.open()
    run_exchange(journal, ID)
    for code, status in ((EventCode.CONTROL_FAILURE, Outcome.FAILED), (EventCode.CONTROL_RESTORED, Outcome.SUCCEEDED)):
        journal.append_record(make_record(code, status=status, detail={"control": "telemetry", "cause": "<i>away"}))
    journal.append_record(make_record(EventCode.CONTROL_FAILURE, status=Outcome.FAILED, detail={"control": "store"}))
    failing = {"control": "policy", "problems": 2, "path": "rules[1]", "refused_digest": "sha256:refused"}
    journal.append_record(make_record(EventCode.CONTROL_FAILURE, status=Outcome.FAILED, detail=failing))
    journal.close()
    pages.log.ship()


def test_every_route_is_in_the_table_of_roles() -> None:
    routes = {
        (method, route.path)
        for route in log_pages.ROUTES
        if isinstance(route, Route)
        for method in (route.methods or ()) - {"HEAD"}
    }
    assert routes == set(WHOSE)


@pytest.mark.parametrize("role", GROUP_OF)
async def test_each_route_is_for_its_roles_alone(pages: LogWorld, role: str) -> None:
    for number, ((method, path), roles) in enumerate(WHOSE.items()):
        async with await pages.browser(role, f"Ada {number}") as browser:  # one person is refused so often alone
            url = path.format(exchange_id=ID, number="0", pack_id="0", name="evidence.json")
            answer = await browser.request(method, url)
        refused = answer.status_code == 403 and "none of your groups has a role that this page is for" in answer.text
        assert refused is (role not in roles), (method, path, answer.status_code)
        told = [each for each in pages.world.log.records if each.detail.get("refused") == "role_missing"]
        assert (len(told) == 1) is refused, (method, path)
        pages.world.log.records.clear()


async def test_nobody_sees_any_of_them_without_a_session(pages: LogWorld) -> None:
    async with pages.world.browser() as browser:
        for method, path in WHOSE:
            answer = await browser.request(method, path.format(exchange_id=ID, number="0", pack_id="0", name="x"))
            assert answer.status_code in (303, 401), path
    assert pages.world.log.records == []


async def test_the_policy_is_a_table_and_its_texts_are_text(pages: LogWorld) -> None:
    written(pages)
    async with await pages.browser("reader") as browser:
        page = (await browser.get("/policy")).text
    for shown in ("analysts", "no-fraud", "in shadow", "until 2027-03-01", "fraud-*", "request.model.startsWith"):
        assert shown in page
    assert "<b>need</b>" not in page
    assert "Large requests &lt;b&gt;need&lt;/b&gt; an approval." in page
    assert "refused" in page
    assert "sha256:refused" in page
    assert headings(page)[0] == 1
    assert max(b - a for a, b in zip(headings(page), headings(page)[1:], strict=False)) <= 1


async def test_the_policy_page_says_when_file_and_workers_differ(pages: LogWorld) -> None:
    written(pages)  # its records name the policy `d1`
    journal = pages.log.open("worker-1")
    journal.append_record(make_record(EventCode.CONTROL_RESTORED, detail={"control": "policy"}))
    async with await pages.browser("reader") as browser:
        for _ in range(100):  # until the record is written
            page = (await browser.get("/policy")).text
            if "File and workers differ" in page:
                break
            await asyncio.sleep(0.05)
    journal.close()
    assert "File and workers differ" in page
    assert "another policy" in page


async def test_a_file_that_is_no_policy_is_said_to_be_not_in_force(pages: LogWorld) -> None:
    pages.deployment.settings.policy_file.write_text("rules: [{nam: x}]")
    async with await pages.browser("reader") as browser:
        page = (await browser.get("/policy")).text
    assert "The file is no policy" in page
    assert "In force</span>" not in page


async def test_the_cases_of_the_policy_are_run_when_asked(tmp_path: Path, world: World) -> None:
    case = {
        "name": "nobody <else>",
        "now": "2026-11-29T06:00:00Z",
        "principal": {"subject": "eve"},
        "request": {
            "path": "/v1/chat/completions",
            "body": {"model": "m", "messages": [{"role": "user", "content": "x"}]},
        },
        "expect": {"effect": "allow"},
    }
    pages = make_log_world(
        tmp_path, world, POLICY | {"tests": [case, case | {"name": "b", "expect": {"effect": "deny"}}]}
    )
    async with await pages.browser("reader") as browser:
        form = {"csrf": token_of((await browser.get("/policy")).text)}
        answer = await browser.post("/policy/cases", data=form)
        assert answer.headers["location"] == "/policy#cases"
        page = (await browser.get("/policy")).text
    pages.database.close()
    assert "1 failed" in page
    assert "2 cases run" in page
    assert "nobody &lt;else&gt;" in page


async def test_health_says_what_failed_and_whether_it_is_over(pages: LogWorld) -> None:
    written(pages)
    async with await pages.browser("reader") as browser:
        page = (await browser.get("/health")).text
    assert "Something fails" in page
    assert "telemetry" in page
    assert "<i>away" not in page
    assert [bool(re.search(rf">{name}</th>.*?>open<", page)) for name in ("store", "telemetry")] == [True, False]
    assert "worker-0" in page
    assert "stopped" in page
    assert "Signing" in page or "signing" in page


async def test_health_is_shown_while_nothing_can_be_recorded_and_the_records_are_not(pages: LogWorld) -> None:
    written(pages)
    async with await pages.browser("reader") as browser:
        pages.world.log.broken = True
        answer = await browser.get("/health")
    assert answer.status_code == 200
    assert "Something fails" in answer.text
    assert "the reading could not be recorded" in answer.text.lower()
    assert "telemetry" not in answer.text


async def test_the_log_is_verified_on_demand_and_that_is_recorded(pages: LogWorld) -> None:
    written(pages)
    async with await pages.browser("reader") as browser:
        form = {"csrf": token_of((await browser.get("/health")).text), "range": "1h"}
        assert (await browser.post("/health/verify", data=form)).status_code == 303
        page = (await browser.get("/health")).text
        assert ("audit.verify", {"range": "1h"}) in pages.reads
        assert "records in" in page
        stored = next(iter(sorted(pages.log.store_path.rglob("*.jsonl"))))
        stored.write_bytes(stored.read_bytes().replace(b"192.0.2.7", b"192.0.2.8"))
        await browser.post("/health/verify", data=form)
        assert re.search(r"state bad\">findings", (await browser.get("/health")).text)


async def test_a_form_of_another_site_begins_nothing(pages: LogWorld) -> None:
    async with await pages.browser("auditor") as browser:
        for path in ("/health/verify", "/policy/cases", "/evidence", "/evidence/forget"):
            answer = await browser.post(path, data={"range": "1h", "csrf": "0" * 64})
            assert answer.status_code == 403
    assert pages.reads == []


async def make_pack(pages: LogWorld, browser, first: str, last: str) -> str:
    form = {"csrf": token_of((await browser.get("/evidence")).text), "from": first, "to": last}
    answer = await browser.post("/evidence", data=form)
    if answer.status_code != 303:
        return answer.text
    job = pages.deployment.jobs.latest("evidence")
    assert job is not None
    await asyncio.to_thread(job.over.wait, 30)
    return (await browser.get("/evidence")).text


async def test_a_pack_is_made_and_downloaded_and_both_are_recorded_first(pages: LogWorld) -> None:
    written(pages)
    async with await pages.browser("auditor") as browser:
        page = await make_pack(pages, browser, "2020-01-01", "2038-01-01")
        found = re.search(r"/evidence/([0-9a-f]{16})/evidence\.json", page)
        assert found is not None
        answer = await browser.get(found[0])
        assert answer.headers["content-disposition"] == 'attachment; filename="evidence.json"'
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert json.loads(answer.content)["generated_by"] == "https://idp.test|ada"
        assert [operation for operation, _ in pages.reads] == ["evidence", "evidence.download"]
        pages.world.log.broken = True
        assert (await browser.get(found[0])).status_code == 503


async def test_no_pack_is_begun_while_the_reading_cannot_be_recorded(pages: LogWorld) -> None:
    async with await pages.browser("auditor") as browser:
        form = {"csrf": token_of((await browser.get("/evidence")).text), "from": "2026-01-01", "to": "2026-02-01"}
        pages.world.log.broken = True
        assert (await browser.post("/evidence", data=form)).status_code == 503
    assert pages.deployment.jobs.latest("evidence") is None


@pytest.mark.parametrize(("first", "last"), [("", ""), ("2026-02-01", "2026-01-01"), ("2099-01-01", "2099-02-01")])
async def test_a_period_that_is_none_is_told(pages: LogWorld, first: str, last: str) -> None:
    async with await pages.browser("auditor") as browser:
        assert 'role="alert"' in await make_pack(pages, browser, first, last)
    assert pages.reads == []


async def test_a_pack_that_is_forgotten_is_gone(pages: LogWorld) -> None:
    written(pages)
    async with await pages.browser("auditor") as browser:
        page = await make_pack(pages, browser, "2020-01-01", "2038-01-01")
        path = re.search(r"/evidence/[0-9a-f]{16}/evidence\.html", page)
        assert path is not None
        await browser.post("/evidence/forget", data={"csrf": token_of(page)})
        assert (await browser.get(path[0])).status_code == 404


def dead_letters(pages: LogWorld, *channels: str) -> Deliveries:
    """One notification that no channel took."""
    deliveries, told = pages.deployment.deliveries, Notification("ntf_1", "apr_1", Event.OPENED, "pending", 1.0)
    with pages.database.writing() as connection:
        row = {"notification_id": "ntf_1", "approval_id": "apr_1", "event": "opened", "state": "pending", "at": 1.0}
        connection.execute(insert(NOTIFICATIONS).values(row | {"spread_at": 0.0}))
    deliveries.spread([Spread(told, tuple(channels), 3600.0)], 1.0)
    for channel in channels:
        delivery = deliveries.lease(channel, 2.0)
        assert delivery is not None
        deliveries.dead(delivery, "refused<b>", 3.0)
    return deliveries


async def test_a_dead_letter_is_told_again_one_or_all(pages: LogWorld) -> None:
    deliveries = dead_letters(pages, "mail", "slack", "hook")
    async with await pages.browser("admin") as browser:
        page = (await browser.get("/notifications")).text
        assert "refused&lt;b&gt;" in page
        assert "not configured any more" in page
        form = {"csrf": token_of(page)}
        await browser.post("/notifications/retry", data=form | {"id": "ntf_1", "channel": "mail"})
        assert deliveries.count_by_state()[DeliveryState.WAITING] == 1
        await browser.post("/notifications/retry", data=form | {"every": "1"})
        assert deliveries.count_by_state()[DeliveryState.DEAD] == 0
        await browser.post("/notifications/retry", data=form | {"id": "4111111111111111", "channel": "mail"})
    records = [each for each in pages.world.log.records if each.event_code == "admin.notify_retry"]
    assert [(each.actor.name, dict(each.detail)) for each in records] == [
        ("Ada", {"deliveries": 1, "notification": "ntf_1", "channel": "mail"}),
        ("Ada", {"deliveries": 2}),
    ]


async def test_nothing_is_told_again_that_cannot_be_recorded(pages: LogWorld) -> None:
    deliveries = dead_letters(pages, "mail")
    async with await pages.browser("admin") as browser:
        form = {"csrf": token_of((await browser.get("/notifications")).text), "every": "1"}
        pages.world.log.broken = True
        assert (await browser.post("/notifications/retry", data=form)).status_code == 503
    assert deliveries.count_by_state()[DeliveryState.DEAD] == 1


async def test_what_the_store_keeps_from_being_told_again_is_on_the_record(
    pages: LogWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    deliveries, away = dead_letters(pages, "mail", "slack"), Unavailable(Reason.APPROVALS_UNAVAILABLE)
    monkeypatch.setattr(Deliveries, "retry", Mock(side_effect=[True, away]))
    async with await pages.browser("admin") as browser:
        form = {"csrf": token_of((await browser.get("/notifications")).text), "every": "1"}
        assert (await browser.post("/notifications/retry", data=form)).status_code == 503
    first, second = (each for each in pages.world.log.records if each.event_code == "admin.notify_retry")
    assert (first.status, dict(first.detail)) == ("succeeded", {"deliveries": 2})
    last = deliveries.search([DeliveryState.DEAD], 9)[1]
    assert (second.status, second.actor, dict(second.detail)) == (
        "failed",
        first.actor,
        {"deliveries": 1, "notification": "ntf_1", "channel": last.channel, "refused": "approvals_unavailable"},
    )


@pytest.mark.parametrize(("path", "role"), [("/notifications/retry", "admin"), ("/policy/cases", "reader")])
async def test_a_session_begins_so_much_in_a_minute(pages: LogWorld, path: str, role: str) -> None:
    async with await pages.browser(role) as browser:
        form = {"csrf": token_of((await browser.get("/")).text), "id": "none"}
        answers = [(await browser.post(path, data=form)).status_code for _ in range(61)]
    assert answers == [303] * 60 + [429]


async def test_nothing_is_told_again_by_a_form_of_another_site(pages: LogWorld) -> None:
    deliveries = dead_letters(pages, "mail")
    async with await pages.browser("admin") as browser:
        answer = await browser.post("/notifications/retry", data={"csrf": "0" * 64, "every": "1"})
    assert answer.status_code == 403
    assert deliveries.count_by_state()[DeliveryState.DEAD] == 1
