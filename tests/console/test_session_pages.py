"""The list of sessions and the page of one, over a real log on disk and the index that follows it."""

import json
import time
from pathlib import Path
from typing import Any

import pytest

from extproc.approvals.account import Phase
from extproc.approvals.index.follow import Follower
from extproc.approvals.index.writer import IndexWriter
from extproc.approvals.session_content import Content, ContentState, SpokenPart, SpokenTurn, Stretch
from extproc.audit.names import Part
from extproc.audit.stores.store import open_store
from extproc.console.finding_sessions import read_asked
from extproc.console.health import State
from extproc.console.session_view import (
    REPLAY_CHARACTERS,
    TURN_CHARACTERS,
    TURNS,
    cut,
    replay_document,
    view_content,
    view_phases,
)
from extproc.console.verdicts import LOOKS, look_of
from extproc.core.record import Direction, EventCode, Outcome
from extproc.core.trust import Masked
from tests.audit.conftest import Acks, make_record
from tests.console.conftest import World
from tests.console.log_pages import LogWorld, headings, make_log_world

HOSTILE = "<script>alert(1)</script><img src=x onerror=alert(2)> \u202egnp.exe \x1b[31m \0"
SAID, BLOCKED, LONG = (
    "019ac0a1b2c3-0000000000000001",
    "019ac0a1b2c3-0000000000000002",
    "019ac0a1b2c3-0000000000000003",
)


def say(pages: LogWorld, journal: Any, exchange_id: str, prompt: list[dict[str, str]]) -> None:
    acks, content = Acks(), journal.open_content(exchange_id)
    found = {"findings_request": {"pan": 1}}
    content.append(Direction.TO_MODEL, 1_000, Masked(json.dumps({"messages": prompt}).encode()), acks)
    journal.append_record(make_record(EventCode.INFERENCE_REQUEST, exchange_id, **found), acks)
    for index, word in enumerate(("Sorry, ", "[PAN]", HOSTILE)):
        event = json.dumps({"choices": [{"index": 0, "delta": {"content": word}}]})
        content.append(Direction.TO_CLIENT, 500_000 + index * 1_000_000, Masked(f"data: {event}\n\n".encode()), acks)
    acks.wait(5)
    journal.append_record(make_record(EventCode.INFERENCE_END, exchange_id, http_status=200, **found), acks)
    acks.wait(6)


@pytest.fixture
def pages(tmp_path: Path, world: World):
    made = make_log_world(tmp_path, world)
    journal = made.log.open()
    say(made, journal, SAID, [{"role": "user", "content": f"card [PAN] {HOSTILE}"}])
    say(
        made,
        journal,
        LONG,
        [{"role": "user", "content": "lorem " * 40_000}, *({"role": "user", "content": "x"},) * 100],
    )
    refused = {"status": Outcome.REFUSED, "status_detail": "policy_denied", "http_status": 403}
    journal.append_record(make_record(EventCode.POLICY_DENY, BLOCKED, **refused))
    journal.close()
    made.log.ship()
    yield made
    made.database.close()


def index(pages: LogWorld) -> None:
    Follower(open_store(pages.log.settings), "test", IndexWriter(pages.database)).look(time.time())


def operations(pages: LogWorld) -> list[str]:
    return [operation for operation, _ in pages.reads]


# -- the list ----------------------------------------------------------------------------------------------------------


async def test_before_anything_is_indexed_the_list_says_what_to_do(pages: LogWorld) -> None:
    async with await pages.browser("reader") as browser:
        page = (await browser.get("/sessions")).text
    assert "Nothing is indexed yet." in page
    assert "extproc audit reindex" in page


async def test_the_list_finds_by_what_the_url_says_and_is_recorded(pages: LogWorld) -> None:
    index(pages)
    async with await pages.browser("reader") as browser:
        page = (await browser.get("/sessions?range=all")).text
        assert "3 sessions" in page
        assert headings(page) == [1, 2]
        blocked = (await browser.get("/sessions?range=all&verdict=blocked")).text
        none = (await browser.get("/sessions?range=all&person=zzz")).text
    assert "1 session<" in blocked
    assert BLOCKED in blocked
    assert SAID not in blocked
    assert "No session is like that." in none
    assert pages.reads[1] == ("audit.list", {"range": "all", "verdict": "blocked"})


@pytest.mark.parametrize(
    ("name", "known", "good"),
    [("verdict", "blocked, cut, failed", "blocked"), ("effect", "allow, hold, deny.", "deny")],
    ids=["verdict", "effect"],
)
async def test_a_word_that_a_filter_has_not_is_told_with_those_that_it_has(
    pages: LogWorld, name: str, known: str, good: str
) -> None:
    """And it finds nothing; those that there are can be chosen, whether a session has them or not."""
    index(pages)
    async with await pages.browser("reader") as browser:
        page = (await browser.get(f"/sessions?range=all&{name}=nonsense")).text
        found = (await browser.get(f"/sessions?range=all&{name}={good}")).text
    assert f"There is no {name} `nonsense`, so no session has it. There are: {known}" in page
    assert "0 sessions" in page
    assert f"There is no {name}" not in found
    assert f'<option value="{good}" selected>' in found
    assert all(f'<option value="{word}"' in found for word in known.rstrip(".").split(", "))


async def test_a_list_that_cannot_be_recorded_is_not_shown(pages: LogWorld) -> None:
    index(pages)
    async with await pages.browser("reader") as browser:
        pages.world.log.broken = True
        answer = await browser.get("/sessions?range=all")
    assert answer.status_code == 503
    assert SAID not in answer.text


async def test_a_card_number_in_a_filter_is_masked_in_the_record(pages: LogWorld) -> None:
    async with await pages.browser("reader") as browser:
        await browser.get("/sessions?person=4111111111111111")
    assert "4111111111111111" not in str(pages.world.log.records)


def test_the_url_of_a_list_keeps_what_is_said_and_drops_a_page_when_a_filter_goes() -> None:
    asked = read_asked({"person": " ann ", "verdict": "blocked", "range": "7d", "cursor": "o.1.x", "else": "?"}, 1e9)
    assert asked.query.person == "ann"
    assert asked.query.since_ms == int((1e9 - 604_800) * 1000)
    assert asked.url(verdict="") == "/sessions?person=ann&range=7d"
    assert asked.page("o.2.y") == "/sessions?person=ann&verdict=blocked&range=7d&cursor=o.2.y"
    assert read_asked({"person": "ann", "verdict": "blocked", "range": "7d"}, 1e9).query == asked.query


def test_two_times_are_utc_and_what_is_none_is_told() -> None:
    asked = read_asked({"from": "2026-11-29T06:00", "to": "2026-11-29T07:00"}, 1e9)
    assert (asked.query.until_ms - asked.query.since_ms, asked.query.since_ms) == (3_600_000, 1_795_932_000_000)
    assert len(read_asked({"from": "yesterday", "range": "between"}, 1e9).problems) == 1
    assert len(read_asked({"from": "2026-11-29T07:00", "to": "2026-11-29T06:00"}, 1e9).problems) == 1


def test_only_what_was_answered_looks_like_a_success() -> None:
    assert [word for word, look in LOOKS.items() if look.css == "good"] == ["answered"]
    assert look_of("blocked").state is State.FAILING
    assert look_of("something new").css == ""


# -- one session -------------------------------------------------------------------------------------------------------


async def test_a_reader_sees_the_facts_and_no_word_of_what_was_said(pages: LogWorld) -> None:
    async with await pages.browser("reader") as browser:
        page = (await browser.get(f"/sessions/{SAID}")).text
    assert "Answered" in page
    assert "Sorry" not in page
    assert "replay.js" not in page
    assert operations(pages) == ["audit.show"]


async def test_an_auditor_reads_prompt_and_answer_with_masks_marked_and_markup_as_text(pages: LogWorld) -> None:
    async with await pages.browser("auditor") as browser:
        page = (await browser.get(f"/sessions/{SAID}")).text
    assert "Sorry, " in page
    assert page.count("[PAN]</mark>") == 2
    assert "<script>alert" not in page
    assert "<img src=x" not in page
    assert "\u202e" not in page
    assert "\x1b" not in page
    assert "style=" not in page
    assert operations(pages) == ["audit.show", "audit.replay"]
    assert max(b - a for a, b in zip(headings(page), headings(page)[1:], strict=False)) <= 1


async def test_what_was_blocked_says_so_first_and_is_no_success(pages: LogWorld) -> None:
    async with await pages.browser("auditor") as browser:
        page = (await browser.get(f"/sessions/{BLOCKED}")).text
    main = page[page.index("<main") :]
    assert main.index("Blocked") < main.index("<h2")
    assert '<div class="verdict bad">' in main
    assert "Answered</span>" not in main
    assert "Nothing crossed the boundary" in main


@pytest.mark.parametrize("path", ["", "/events", "/turns/0", "/replay.json", "/records.jsonl"])
async def test_nothing_of_a_session_is_shown_while_the_reading_cannot_be_recorded(pages: LogWorld, path: str) -> None:
    async with await pages.browser("auditor") as browser:
        pages.world.log.broken = True
        answer = await browser.get(f"/sessions/{SAID}{path}")
    assert answer.status_code == 503
    assert "Sorry" not in answer.text
    assert "[PAN]" not in answer.text


@pytest.mark.parametrize(
    ("path", "operation", "detail"),
    [
        ("/events", "audit.replay", {"exchange": SAID, "view": "raw"}),
        ("/turns/0", "audit.replay", {"exchange": SAID, "view": "conversation"}),
        ("/replay.json", "audit.replay", {"exchange": SAID, "view": "replay"}),
        ("/records.jsonl", "audit.export", {"exchange": SAID, "format": "jsonl"}),
    ],
)
async def test_each_reading_of_a_session_is_recorded(
    pages: LogWorld, path: str, operation: str, detail: dict[str, Any]
) -> None:
    async with await pages.browser("auditor") as browser:
        assert (await browser.get(f"/sessions/{SAID}{path}")).status_code == 200
    assert pages.reads == [(operation, detail)]
    (record,) = pages.world.log.records
    assert (record.actor.uid, record.resource.connection) == ("https://idp.test|ada", "audit-log")


async def test_the_records_are_a_file_and_as_they_are_stored(pages: LogWorld) -> None:
    async with await pages.browser("auditor") as browser:
        answer = await browser.get(f"/sessions/{SAID}/records.jsonl")
    assert answer.headers["content-disposition"] == f'attachment; filename="session-{SAID}.jsonl"'
    assert answer.headers["x-content-type-options"] == "nosniff"
    stored = b"".join(path.read_bytes() for path in pages.log.store_path.rglob("*.jsonl") if "evidence" in path.parts)
    lines = answer.content.splitlines()
    assert len(lines) == 2
    assert set(lines) < set(stored.splitlines())


async def test_a_long_prompt_and_many_turns_come_in_pages(pages: LogWorld) -> None:
    async with await pages.browser("auditor") as browser:
        page = (await browser.get(f"/sessions/{LONG}")).text
        assert len(page) < 100_000
        assert "Show more" in page
        assert f"1 to {TURNS} of 101 turns" in page
        later = (await browser.get(f"/sessions/{LONG}?prompt=80")).text
        assert "81 to 101 of 101 turns" in later
        part = (await browser.get(f"/sessions/{LONG}/turns/0?from=200000")).text
        assert "of 240\u202f000" in part
        assert "After this" not in part
        assert (await browser.get(f"/sessions/{LONG}/turns/9999")).status_code == 404


async def test_raw_events_have_their_times_and_are_text(pages: LogWorld) -> None:
    async with await pages.browser("auditor") as browser:
        page = (await browser.get(f"/sessions/{SAID}/events")).text
    assert "1 to 4 of 4 events" in page
    assert "0.499" in page
    assert "<script>alert" not in page


async def test_what_a_replay_loads_has_times_and_no_character_that_hides(pages: LogWorld) -> None:
    async with await pages.browser("auditor") as browser:
        answer = await browser.get(f"/sessions/{SAID}/replay.json")
    assert answer.headers["content-type"] == "application/json"
    document = answer.json()
    said = [turn for turn in document["turns"] if turn["side"] == "answer"]
    times = [at for turn in said for at, _ in turn["parts"]]
    assert times == sorted(times)
    assert times[-1] - times[0] == pytest.approx(2.0)
    assert "\u202e" not in json.dumps(document, ensure_ascii=False)


@pytest.mark.parametrize("path", ["", "/events"])
async def test_a_transcript_that_was_shredded_says_when_and_why_and_shows_no_word(pages: LogWorld, path: str) -> None:
    for bag in pages.log.store_path.rglob(f"*{Part.KEYS.value}"):
        bag.unlink()
    journal = pages.log.open("shred")
    journal.append_record(make_record(EventCode.ADMIN_SHRED, SAID, detail={"keys": 1, "reason": "asked <b>for</b>"}))
    journal.close()
    pages.log.ship()
    async with await pages.browser("auditor") as browser:
        page = (await browser.get(f"/sessions/{SAID}{path}")).text
    assert "The transcript cannot be read any more." in page
    assert "the exchange was shredded on 20" in page
    assert "asked &lt;b&gt;for&lt;/b&gt;" in page
    assert "Sorry" not in page
    assert "replay.js" not in page


async def test_a_transcript_whose_key_is_lost_is_not_said_to_be_shredded(pages: LogWorld) -> None:
    for bag in pages.log.store_path.rglob(f"*{Part.KEYS.value}"):
        bag.unlink()
    async with await pages.browser("auditor") as browser:
        page = (await browser.get(f"/sessions/{SAID}")).text
    assert "The transcript does not open as stored." in page
    assert "shredded" not in page


@pytest.mark.parametrize("path", ["/events", "/replay.json"])
async def test_what_is_not_stored_yet_is_said_and_is_no_empty_transcript(pages: LogWorld, path: str) -> None:
    async with await pages.browser("auditor") as browser:
        answer = await browser.get(f"/sessions/019ac0a1b2c3-00000000000000ff{path}")
        known = await browser.get("/sessions/019ac0a1b2c3-00000000000000ff")
    if path == "/events":
        assert "The transcript is not in the store yet." in answer.text
        assert "Look again in a minute." in answer.text
    else:
        assert answer.json()["turns"] == []
    assert known.status_code == 404
    assert "stands in its worker&#39;s journal" in known.text


@pytest.mark.parametrize("exchange_id", ["019ac0a1b2c3-00000000000000ff", "4111111111111111", "nope"])
async def test_a_session_that_nothing_names_is_told_without_card_numbers(pages: LogWorld, exchange_id: str) -> None:
    async with await pages.browser("auditor") as browser:
        answer = await browser.get(f"/sessions/{exchange_id}")
    assert answer.status_code == 404
    assert "4111111111111111" not in answer.text.replace("/sessions/4111111111111111", "")


async def test_a_segment_that_was_changed_is_said_on_the_page(pages: LogWorld) -> None:
    stored = next(path for path in sorted(pages.log.store_path.rglob("*.jsonl")) if "evidence" in path.parts)
    stored.write_bytes(stored.read_bytes().replace(b"192.0.2.7", b"192.0.2.8"))
    async with await pages.browser("reader") as browser:
        page = (await browser.get(f"/sessions/{SAID}")).text
    assert '<span class="state bad">broken</span>' in page


# -- pieces ------------------------------------------------------------------------------------------------------------


def turns(*texts: str, side: str = "request") -> tuple[SpokenTurn, ...]:
    return tuple(SpokenTurn(side, "user", 0, (SpokenPart(0.0, (Stretch(text),)),)) for text in texts)


@pytest.mark.parametrize("begin", range(0, 12, 3))
def test_a_cut_of_stretches_is_a_cut_of_their_text(begin: int) -> None:
    stretches = [Stretch("abc"), Stretch("[PAN]", "PAN"), Stretch("defg")]
    text = "abc[PAN]defg"
    kept, left_out = cut(stretches, begin, 3)
    assert "".join(one.text for one in kept) == text[begin : begin + 3]
    assert left_out == len(text) - begin - 3


def test_a_turn_and_a_page_of_turns_are_bounded() -> None:
    content = Content(ContentState.READABLE, turns=turns(*["x" * 10_000] * 100))
    view = view_content(content, "/sessions/x", 99, 0)
    assert len(view.prompt) == 100 - 80
    assert view.prompt[0].number == 80
    assert sum(len(one.text) for one in view.prompt[0].stretches) == TURN_CHARACTERS
    assert view.prompt[0].left_out == 10_000 - TURN_CHARACTERS


def test_a_replay_is_bounded_and_says_what_is_left_out() -> None:
    content = Content(ContentState.READABLE, turns=turns("x" * REPLAY_CHARACTERS, "y" * 7))
    assert replay_document(content)["left_out"] == 7


def test_bars_stay_within_the_whole_and_short_phases_are_seen() -> None:
    views, whole = view_phases(
        (Phase("identity", 0.0, 0.1), Phase("hold", 0.1, 1_000.0), Phase("new", 1_000.0, 1_000.0))
    )
    assert whole == "1.00 s"
    assert all(float(view.x) + float(view.width) <= 1_000.05 and float(view.width) >= 4 for view in views)
    assert views[2].css == "other"
