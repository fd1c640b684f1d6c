"""The session index: what is in it, however it came there; and that nothing stops it for good."""

import random
import threading
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Column, Integer, MetaData, Table, select

from extproc.approvals.database import Database
from extproc.approvals.index import follow as follow_module
from extproc.approvals.index.facts import facts_of, gather, merge
from extproc.approvals.index.follow import GAPS_SECONDS, LOOK_SECONDS, Follower
from extproc.approvals.index.query import SessionQuery
from extproc.approvals.index.search import SessionIndex
from extproc.approvals.index.tables import ALL, EPOCHS, STATE
from extproc.approvals.index.taking import SegmentTaker
from extproc.approvals.index.verdict import Verdict, verdict_of
from extproc.approvals.index.writer import IndexWriter
from extproc.audit.names import Part
from extproc.audit.reading.holdings import Holdings
from extproc.audit.reading.reader import Reader
from extproc.core.reasons import Unavailable
from extproc.core.record import EventCode, Outcome
from tests.approvals.exchange_log import BEGAN_MS, expected_rows, segments_of, ship, write_log
from tests.audit.chronicle import store_of

NOW = BEGAN_MS / 1000 + 3600


@pytest.fixture
def opened(shared_database: Database) -> Database:
    """Without anything in the index."""
    IndexWriter(shared_database).empty()
    return shared_database


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("log")
    write_log(folder, 6)
    return folder


def take_all(folder: Path, opened: Database) -> None:
    taker = SegmentTaker(store_of(folder), IndexWriter(opened))
    for origin, segments in segments_of(folder).items():
        for segment in segments:
            taker.take(origin, segment, int(NOW * 1000))


def everything(opened: Database) -> dict[str, list[tuple[Any, ...]]]:
    """All that a person could see, of every table."""
    tables: dict[str, list[tuple[Any, ...]]] = {}
    with opened.transaction() as connection:
        for table in ALL:
            columns = [column for column in table.c if column.name not in ("newest_ms", "named_ms", "noted_ms")]
            query = select(*columns)
            if "exchanges" in table.c:
                query = query.where(table.c.exchanges != 0)
            if table not in (EPOCHS, STATE) and table.name != "exchange_index_kinds":
                tables[table.name] = sorted(tuple(row) for row in connection.execute(query))
    return tables


def rows_of(opened: Database) -> dict[str, dict[str, Any]]:
    return {row.exchange_id: asdict(row) for row in SessionIndex(opened).search(SessionQuery(), limit=1000).rows}


def test_each_row_says_what_the_records_of_its_exchange_say(log: Path, opened: Database) -> None:
    take_all(log, opened)
    expected = expected_rows(log)
    found = rows_of(opened)
    assert {i: {name: row[name] for name in expected[i]} for i, row in found.items()} == expected
    assert {row["verdict"] for row in expected.values()} == {word.value for word in Verdict}
    times = [row.started_ms for row in SessionIndex(opened).search(SessionQuery(), limit=1000).rows]
    assert times == sorted(times, reverse=True)


@pytest.mark.parametrize("seed", range(2))
def test_an_index_that_was_followed_is_the_one_that_is_made_anew(seed: int, tmp_path: Path, opened: Database) -> None:
    """Segments arrive in any order of the writers; two followers take turns, and one of them is new at times."""
    source, choose = tmp_path / "source", random.Random(seed)
    write_log(source, seed, exchanges=12)
    writer = IndexWriter(opened)
    (tmp_path / "store").mkdir()
    followers = [Follower(store_of(tmp_path), "test", writer) for _ in range(2)]
    waiting, now = segments_of(source), NOW
    while waiting:
        origin = choose.choice(sorted(waiting))
        ship(source, tmp_path, origin, waiting[origin].pop(0))
        if not waiting[origin]:
            del waiting[origin]
        now += LOOK_SECONDS
        if choose.random() < 0.2:
            followers[1] = Follower(store_of(tmp_path), "test", writer)
        choose.choice(followers).look(now)
    for follower in followers:
        follower.look(now + LOOK_SECONDS)
    followed = everything(opened)
    assert followed["exchange_index"]
    writer.empty()
    assert not any(everything(opened).values())
    take_all(tmp_path, opened)
    assert everything(opened) == followed
    take_all(tmp_path, opened)
    assert everything(opened) == followed


def test_facts_come_together_in_any_order(log: Path) -> None:
    items = list(Reader(Holdings.look(store_of(log), None, "")).records())
    expected = gather(items)
    for seed in range(5):
        random.Random(seed).shuffle(items)
        assert gather([*items, *items[:50]]) == expected
    by_exchange = [facts for item in items if (facts := facts_of(item)) is not None]
    for facts in by_exchange:
        assert merge(facts, facts) == facts


def test_what_was_blocked_never_looks_like_success() -> None:
    for status in Outcome:
        for code in EventCode:
            verdict = verdict_of(code, status, 403, "deny")
            assert verdict is not Verdict.ANSWERED
    assert verdict_of(EventCode.INFERENCE_END, Outcome.COMPLETED, 200, "allow") is Verdict.ANSWERED
    assert verdict_of(EventCode.INFERENCE_END, Outcome.COMPLETED, 503, "allow") is Verdict.FAILED
    assert verdict_of(EventCode.INFERENCE_END, Outcome.COMPLETED, 200, "deny") is Verdict.BLOCKED


class TestFollowing:
    @pytest.fixture
    def behind(self, log: Path, tmp_path: Path, opened: Database) -> tuple[Path, Follower, SessionIndex]:
        """A store of its own with all of the log."""
        for origin, segments in segments_of(log).items():
            for segment in segments:
                ship(log, tmp_path, origin, segment)
        return tmp_path, Follower(store_of(tmp_path), "test", IndexWriter(opened)), SessionIndex(opened)

    def test_an_outage_is_caught_up_and_it_is_said_how_far_the_index_is(
        self, log: Path, behind: tuple[Path, Follower, SessionIndex]
    ) -> None:
        folder, follower, index = behind
        assert index.freshness().looked_ms == 0
        assert index.freshness().is_stale(int(NOW * 1000))
        assert follower.look(NOW) == sum(map(len, segments_of(folder).values()))
        fresh = index.freshness()
        assert (fresh.looked_ms, fresh.behind, fresh.problems) == (int(NOW * 1000), 0, 0)
        assert not fresh.is_stale(int(NOW * 1000) + 60_000)
        assert (
            fresh.indexed_up_to_ms
            == max(
                row.time_ms
                for row in (item.record for item in Reader(Holdings.look(store_of(folder), None, "")).records())
            )
            + 1000
        )
        assert set(rows_of_index(index)) == set(expected_rows(log))

    def test_a_broken_segment_is_noted_and_later_ones_go_on(
        self, log: Path, behind: tuple[Path, Follower, SessionIndex]
    ) -> None:
        folder, follower, index = behind
        origin = next(origin for origin in segments_of(folder) if origin.writer == "worker-0")
        broken = {
            1: (Part.EVIDENCE, b'{"chain":'),
            2: (Part.MANIFEST, b"no manifest"),
            3: (Part.EVIDENCE, None),
        }
        kept = {}
        for segment, (part, data) in broken.items():
            path = folder / "store" / origin.object_key(part, segment)
            kept[path] = path.read_bytes()
            path.unlink()
            if data is not None:
                path.write_bytes(data)
        follower.look(NOW)
        assert sorted((problem.origin, problem.segment) for problem in index.problems()) == [
            (str(origin), 1),
            (str(origin), 2),
            (str(origin), 3),
        ]
        assert index.freshness().problems == 3
        assert 0 < len(rows_of_index(index)) < len(expected_rows(log))
        for path, data in kept.items():
            path.write_bytes(data)
        follower.look(NOW + GAPS_SECONDS)
        assert index.problems() == ()
        assert set(rows_of_index(index)) == set(expected_rows(log))

    def test_a_missing_segment_is_passed_over_and_taken_when_it_comes(
        self, log: Path, behind: tuple[Path, Follower, SessionIndex]
    ) -> None:
        folder, follower, index = behind
        origin = next(origin for origin in segments_of(folder) if origin.writer == "worker-1")
        paths = [folder / "store" / origin.object_key(part, 2) for part in (Part.EVIDENCE, Part.MANIFEST)]
        kept = [path.read_bytes() for path in paths]
        for path in paths:
            path.unlink()
        follower.look(NOW)
        assert [(problem.segment, problem.what) for problem in index.problems()] == [
            (2, "is missing, and later ones are there")
        ]
        for path, data in zip(paths, kept, strict=True):
            path.write_bytes(data)
        follower.look(NOW + GAPS_SECONDS)
        assert index.problems() == ()
        assert set(rows_of_index(index)) == set(expected_rows(log))

    def test_what_stays_broken_keeps_nothing_else_from_being_tried_again(
        self, log: Path, behind: tuple[Path, Follower, SessionIndex], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(follow_module, "RETRIED_AT_ONCE", 1)
        folder, follower, index = behind
        origin = next(origin for origin in segments_of(folder) if origin.writer == "worker-0")
        first, second = (folder / "store" / origin.object_key(Part.EVIDENCE, number) for number in (1, 2))
        kept = second.read_bytes()
        for path in (first, second):
            path.write_bytes(b"{")
        follower.look(NOW)
        second.write_bytes(kept)
        for number in range(1, 4):
            follower.look(NOW + number * GAPS_SECONDS)
        assert [problem.segment for problem in index.problems()] == [1]


def test_followers_at_the_same_moment_make_the_index_of_one(log: Path, opened: Database) -> None:
    writer, failures = IndexWriter(opened), []
    take_all(log, opened)
    expected = everything(opened)
    writer.empty()
    ready = threading.Barrier(3)

    def follow() -> None:
        try:
            follower = Follower(store_of(log), "test", IndexWriter(opened))
            ready.wait()
            follower.look(NOW)
            follower.look(NOW + GAPS_SECONDS)
        except Exception as error:  # noqa: BLE001 - of a thread, told by the test
            failures.append(repr(error))

    threads = [threading.Thread(target=follow) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert everything(opened) == expected


def test_it_is_emptied_at_once_or_not_at_all(log: Path, opened: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    take_all(log, opened)
    before, marks = everything(opened), IndexWriter(opened).watermarks()
    gone = Table("exchange_index_gone", MetaData(), Column("number", Integer))
    monkeypatch.setattr("extproc.approvals.index.writer.ALL", (*ALL, gone))
    with pytest.raises(Unavailable):
        IndexWriter(opened).empty()
    assert (everything(opened), IndexWriter(opened).watermarks()) == (before, marks)


def rows_of_index(index: SessionIndex) -> list[str]:
    return [row.exchange_id for row in index.search(SessionQuery(), limit=1000).rows]
