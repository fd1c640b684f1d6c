"""What is found among the sessions is what a plain look at every row finds, on every page and in both directions."""

import random
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from extproc.approvals.database import Database, open_database
from extproc.approvals.index import query as bounds
from extproc.approvals.index import reading as reading_module
from extproc.approvals.index import runs as runs_module
from extproc.approvals.index import search as search_module
from extproc.approvals.index.facts import NOWHERE, Facts, Place, Told, Word, merge
from extproc.approvals.index.query import FACET_CHOICES, Choice, SessionPage, SessionQuery, SessionRow
from extproc.approvals.index.runs import MAX_PEOPLE
from extproc.approvals.index.search import SessionIndex
from extproc.approvals.index.verdict import Verdict
from extproc.approvals.index.writer import IndexWriter

BEGAN_MS = 1_795_600_000_000
PEOPLE = (("https://idp|ann", "Ann Größe"), ("https://idp|bo", "Bo"), ("https://idp|cy%_", "Cy <b>"), ("svc|batch", ""))


def facts(number: int, choose: random.Random) -> Facts:
    at = BEGAN_MS + choose.randint(0, 50) * 60_000
    uid, name = choose.choice(PEOPLE)
    place = Place(2, at + 10, 7, number + 1)
    outcome, effect = choose.choice(
        (("completed", "allow"), ("refused", "deny"), ("held", "hold"), ("cut", "allow"), ("completed", "hold"))
    )

    def word(text: str, more: str = "") -> Word:
        return Word(place._replace(rank=0), text, more) if text else Word(NOWHERE, "")

    told = Told(
        place=place,
        segment=1,
        event_code="inference.end",
        person_uid=uid,
        person_name=name,
        person_kind="person",
        tenant="",
        connection=choose.choice(("main", "other")),
        operation=choose.choice(("chat", "embeddings")),
        outcome=outcome,
        http_status=200,
        reason="",
        findings_request=choose.choice(((), (("pan", 2),), (("email", 1), ("pan", 0)))),
        findings_response=choose.choice(((), (("pan", 1),))),
        input_tokens=1,
        output_tokens=2,
        request_bytes=3,
        response_bytes=4,
        duration_ms=10.0,
        hold_ms=0.0,
        decision_ms=0.5,
        first_byte_ms=5.0,
    )
    return Facts(
        exchange_id=f"{at:012x}-{number:016x}",
        told=told,
        first_ms=at,
        listed=number % 17 != 0,
        model=word(choose.choice(("tiny", "large", ""))),
        effect=word(effect),
        rule=word(choose.choice(("analysts", "bulk"))),
        policy=word("digest"),
        approval=word(f"apr-{number % 5}", "used") if effect == "hold" else word(""),
        has_transcript=True,
    )


GIVEN = tuple(facts(number, choose) for choose in (random.Random(3),) for number in range(160))


@pytest.fixture(scope="module")
def filled(shared_database: Database) -> Database:
    fill(shared_database)
    return shared_database


@pytest.fixture
def index(filled: Database) -> tuple[SessionIndex, list[Facts]]:
    return SessionIndex(filled), list(GIVEN)


@pytest.fixture
def writer(filled: Database) -> Iterator[IndexWriter]:
    """For a test that adds to what is there. Others do not see it."""
    yield IndexWriter(filled)
    fill(filled)


def fill(opened: Database) -> None:
    writer = IndexWriter(opened)
    writer.empty()
    for start in range(0, len(GIVEN), 40):
        writer.take({each.exchange_id: each for each in GIVEN[start : start + 40]})


def expected(given: list[Facts], query: SessionQuery) -> list[str]:
    found = [each for each in given if each.listed and matches(each, query)]
    return [
        each.exchange_id for each in sorted(found, key=lambda each: (-each.started_ms, each.exchange_id), reverse=False)
    ]


def matches(each: Facts, query: SessionQuery) -> bool:
    told, at = each.told, each.started_ms
    kinds = set(each.kinds) | {kind.partition(":")[2] for kind in each.kinds}
    return (
        (not query.person or query.person.casefold() in f"{told.person_name}\n{told.person_uid}".casefold())
        and (not query.model or query.model == each.model.text)
        and (not query.connection or query.connection == told.connection)
        and (not query.operation or query.operation == told.operation)
        and (not query.verdict or query.verdict == each.verdict.value)
        and (not query.effect or query.effect == each.effect.text)
        and (not query.rule or query.rule == each.rule.text)
        and (not query.finding or query.finding in kinds)
        and query.since_ms <= at
        and (not query.until_ms or at < query.until_ms)
        and each.exchange_id.startswith(query.exchange_id)
        and (not query.held_only or each.held)
    )


def queries(choose: random.Random, count: int) -> Iterator[SessionQuery]:
    yield SessionQuery()
    for _ in range(count):
        since = choose.choice((0, 0, BEGAN_MS + choose.randint(0, 50) * 60_000))
        yield SessionQuery(
            person=choose.choice(("", "", "gRÖSSE", "idp", "%_", "nobody")),
            model=choose.choice(("", "", "tiny", "none")),
            connection=choose.choice(("", "", "main")),
            operation=choose.choice(("", "", "chat")),
            verdict=choose.choice(("", "", "blocked", "answered", "held")),
            effect=choose.choice(("", "", "", "hold")),
            rule=choose.choice(("", "", "bulk")),
            finding=choose.choice(("", "", "pan", "request:pan", "email")),
            since_ms=since,
            until_ms=choose.choice((0, since + 20 * 60_000)) if since else 0,
            exchange_id=choose.choice(("", "", "", "", f"{BEGAN_MS + 60_000:012x}", f"{BEGAN_MS:012x}"[:6])),
            held_only=choose.random() < 0.2,
        )


def all_pages(index: SessionIndex, query: SessionQuery, limit: int) -> list[SessionPage]:
    pages = [index.search(query, limit=limit)]
    while pages[-1].older:
        pages.append(index.search(query, pages[-1].older, limit))
    return pages


def test_every_filter_finds_what_matches_and_counts_it(index: tuple[SessionIndex, list[Facts]]) -> None:
    search, given = index
    some = 0
    for query in queries(random.Random(4), 40):
        page = search.search(query, limit=1000)
        assert sorted(row.exchange_id for row in page.rows) == sorted(expected(given, query)), query
        assert (page.count, page.counted_all) == (len(page.rows), True), query
        assert not page.too_many_people
        some += bool(page.rows) and query != SessionQuery()
    assert some > 10


@pytest.mark.parametrize("looked_through", [10, 2000], ids=["few", "many"])
def test_pages_hold_each_row_once_newest_first_and_lead_back(
    index: tuple[SessionIndex, list[Facts]], looked_through: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading_module, "LOOKED_THROUGH", looked_through)
    search, given = index
    for query in (SessionQuery(), SessionQuery(rule="bulk"), SessionQuery(person="bo", finding="pan")):
        pages = all_pages(search, query, 13)
        rows = [row for page in pages for row in page.rows]
        assert sorted(row.exchange_id for row in rows) == sorted(expected(given, query))
        keys = [(row.started_ms, row.exchange_id) for row in rows]
        assert keys == sorted(keys, reverse=True)
        assert not pages[0].newer
        back, page = [pages[-1]], pages[-1]
        while page.newer:
            page = search.search(query, page.newer, 13)
            back.append(page)
        assert back[-1].rows == pages[0].rows
        assert {row.exchange_id for page in back for row in page.rows} == {row.exchange_id for row in rows}


def test_what_comes_while_somebody_pages_moves_nothing(
    index: tuple[SessionIndex, list[Facts]], writer: IndexWriter
) -> None:
    search, given = index
    first = search.search(SessionQuery(), limit=5)
    newest = replace(given[1], exchange_id="x-new", first_ms=BEGAN_MS * 2, told=given[1].told._replace(duration_ms=0.0))
    newest = replace(newest, told=newest.told._replace(place=Place(2, BEGAN_MS * 2, 7, 1)))
    before = search.search(SessionQuery(), first.older, 5).rows
    writer.take({"x-new": newest})
    assert search.search(SessionQuery(), first.older, 5).rows == before
    assert search.search(SessionQuery(), limit=5).rows[0].exchange_id == "x-new"


CURSORS = ("", "x", "o.1", "o.99999999999999999999.x", "n.1.\0", "o.-1.x", "o.1795600000000.'; DROP TABLE x; --")
HOSTILE = ("'", "%", "\0", "\udc80", "x" * 5000, "\u202e", "a\nb")


def test_whatever_is_typed_is_harmless(index: tuple[SessionIndex, list[Facts]]) -> None:
    search, _ = index
    for cursor in CURSORS:
        page = search.search(SessionQuery(), cursor, 5)
        assert all(isinstance(row, SessionRow) for row in page.rows)
    assert search.search(SessionQuery(since_ms=2**80, until_ms=-5)).rows == ()
    for text in HOSTILE:
        for name in ("person", "model", "connection", "operation", "verdict", "effect", "rule", "finding"):
            if (name, text) != ("person", "%"):
                assert search.search(SessionQuery(**{name: text})).rows == (), name
        assert search.search(SessionQuery(exchange_id=text)).rows == ()
        assert search.find(text) is None
        assert search.history_of(text, 5) == search.of_approval(text) == ()


def test_more_than_can_be_counted_is_said(index: tuple[SessionIndex, list[Facts]], monkeypatch) -> None:
    for module in (search_module, reading_module):
        monkeypatch.setattr(module, "COUNTED_TO", 10)
    for query in (SessionQuery(), SessionQuery(since_ms=1), SessionQuery(since_ms=1, rule="bulk")):
        page = index[0].search(query)
        assert (page.count, page.counted_all) == (10, False)
    assert bounds.COUNTED_TO == 10_000


def test_where_very_many_shapes_match_the_same_is_found(index: tuple[SessionIndex, list[Facts]], monkeypatch) -> None:
    search, given = index
    monkeypatch.setattr(runs_module, "MAX_RUNS", 1)
    for query in queries(random.Random(5), 20):
        page = search.search(query, limit=1000)
        assert sorted(row.exchange_id for row in page.rows) == sorted(expected(given, query)), query
        assert page.count == len(page.rows)


def test_choices_are_counted_and_the_most_frequent_first(index: tuple[SessionIndex, list[Facts]]) -> None:
    search, given = index
    facets = search.facets()
    listed = [each for each in given if each.listed]
    for name, choices in (("model", facets.models), ("rule", facets.rules), ("effect", facets.effects)):
        texts = [getattr(each, name).text for each in listed]
        assert {choice.value: choice.count for choice in choices} == {t: texts.count(t) for t in set(texts) if t}
        assert [choice.count for choice in choices] == sorted((choice.count for choice in choices), reverse=True)
    who = {choice.value: (choice.label, choice.count) for choice in facets.people}
    uids = [each.told.person_uid for each in listed]
    assert who == {uid: (name or uid, uids.count(uid)) for uid, name in PEOPLE}
    assert {choice.value for choice in facets.findings} == {"request:pan", "response:pan", "request:email"}
    assert {choice.value for choice in facets.verdicts} <= {word.value for word in Verdict}


def test_a_persons_history_one_exchange_and_those_of_an_approval(index: tuple[SessionIndex, list[Facts]]) -> None:
    search, given = index
    uid = PEOPLE[0][0]
    own = [row.exchange_id for row in search.history_of(uid, 5)]
    page = search.search(SessionQuery(person=uid), limit=5)
    assert own == [row.exchange_id for row in page.rows]
    assert len(own) == 5
    assert search.history_of("https://idp|an", 5) == ()
    found = search.find(own[0])
    assert found == page.rows[0]
    assert search.find("nobody's") is None
    held = sorted(each.exchange_id for each in given if each.listed and each.approval.text == "apr-1")
    rows = search.of_approval("apr-1")
    assert sorted(row.exchange_id for row in rows) == held
    assert [row.started_ms for row in rows] == sorted(row.started_ms for row in rows)
    assert search.of_approval("") == ()


def test_too_many_people_of_a_name_are_said(index: tuple[SessionIndex, list[Facts]], writer: IndexWriter) -> None:
    search, _ = index
    choose = random.Random(1)
    many = {}
    for number in range(MAX_PEOPLE + 5):
        each = facts(number * 17 + 1, choose)
        many[each.exchange_id] = replace(each, told=each.told._replace(person_uid=f"u|{number}", person_name="Same"))
    writer.take(many)
    page = search.search(SessionQuery(person="same"))
    assert page.too_many_people
    assert len({row.person_uid for row in page.rows}) == MAX_PEOPLE
    assert not search.search(SessionQuery(person="u|7")).too_many_people


def test_counts_follow_an_exchange_that_becomes_another(sqlite_index: SessionIndex) -> None:
    """Under way, then refused: it leaves the one filter and is in the other."""
    end = facts(1, random.Random(1))
    begin = replace(
        end,
        told=end.told._replace(place=Place(1, end.first_ms, 7, 1), event_code="inference.request", outcome=""),
        effect=Word(NOWHERE, ""),
    )
    refused = replace(end, told=end.told._replace(outcome="refused"))
    writer = IndexWriter(sqlite_index._database)
    writer.take({end.exchange_id: begin})
    assert sqlite_index.search(SessionQuery(verdict="running")).count == 1
    writer.take({end.exchange_id: refused})
    writer.take({end.exchange_id: begin})
    assert sqlite_index.search(SessionQuery(verdict="running")).count == 0
    assert sqlite_index.search(SessionQuery(verdict="blocked")).count == 1
    assert [choice.value for choice in sqlite_index.facets().verdicts] == ["blocked"]
    assert [(choice.value, choice.count) for choice in sqlite_index.facets().people] == [(end.told.person_uid, 1)]
    assert merge(begin, refused) == merge(refused, begin)


def test_of_many_choices_the_rarest_are_left_out(sqlite_index: SessionIndex) -> None:
    given, choose = {}, random.Random(1)
    for number in range(1, FACET_CHOICES + 6):
        each = replace(facts(number * 17 + 1, choose), model=Word(Place(0, 1, 7, 1), f"model-{number % 203:03}"))
        given[each.exchange_id] = each
    IndexWriter(sqlite_index._database).take(given)
    choices = sqlite_index.facets().models
    assert len(choices) == FACET_CHOICES
    assert [choice.value for choice in choices if choice.count == 2] == ["model-001", "model-002"]
    given = {
        each.exchange_id: each
        for number in range(300, 303)
        for each in [replace(facts(number * 17 + 1, choose), model=Word(Place(0, 1, 7, 1), "model-zzz"))]
    }
    IndexWriter(sqlite_index._database).take(given)
    assert sqlite_index.facets().models[0] == Choice("model-zzz", "model-zzz", 3)


@pytest.fixture
def sqlite_index(tmp_path: Path) -> Iterator[SessionIndex]:
    opened = open_database(f"sqlite:///{tmp_path}/index.db")
    yield SessionIndex(opened)
    opened.close()
