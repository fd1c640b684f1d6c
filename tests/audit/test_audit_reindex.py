"""`extproc audit reindex`: what it reads, what it says, and that it can be interrupted."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from extproc.approvals.database import Database, open_database
from extproc.approvals.index.query import SessionQuery
from extproc.approvals.index.reindex import Reindexing
from extproc.approvals.index.search import SessionIndex
from extproc.approvals.index.writer import IndexWriter
from extproc.audit.names import Part
from extproc.audit.reading.reader import CLOCK_SLACK_MS, find_records
from extproc.core.record import EventCode, Outcome
from extproc.edge.settings_file import load_settings
from tests.audit.chronicle import Epoch, exchange_of, store_of

START_MS = 1_790_812_800_000
HOUR_MS = 3_600_000


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    found = open_database(f"sqlite:///{tmp_path}/index.db")
    yield found
    found.close()


@pytest.fixture
def hours(tmp_path: Path) -> Path:
    """A segment an hour, of six."""
    epoch = Epoch(tmp_path, START_MS)
    for number in range(6):
        epoch.segment(*exchange_of(number, START_MS + number * HOUR_MS))
    return tmp_path


def numbers(database: Database) -> list[int]:
    return sorted(int(row.exchange_id[-16:], 16) for row in SessionIndex(database).search(SessionQuery()).rows)


def reindex(folder: Path, database: Database, from_ms: int = 0) -> tuple[int, int]:
    done = Reindexing(store_of(folder), "test", IndexWriter(database)).run(START_MS, from_ms, lambda _done, _of: None)
    return done.segments, done.changed


def test_it_reads_what_is_new_and_nothing_twice(hours: Path, database: Database) -> None:
    assert reindex(hours, database) == (6, 6)
    assert numbers(database) == list(range(6))
    assert reindex(hours, database) == (0, 0)


def test_interrupted_it_goes_on_where_it_was(hours: Path, database: Database) -> None:
    class Interrupted(Exception):
        pass

    def told(done: int, listed: int) -> None:
        assert listed == 6
        if done == 4:
            raise Interrupted

    with pytest.raises(Interrupted):
        Reindexing(store_of(hours), "test", IndexWriter(database)).run(START_MS, 0, told)
    assert numbers(database) == [0, 1, 2, 3]
    assert reindex(hours, database) == (2, 2)
    assert numbers(database) == list(range(6))


def test_from_a_time_on_it_reads_again_what_was_sealed_since(hours: Path, database: Database) -> None:
    reindex(hours, database)
    assert reindex(hours, database, START_MS + 4 * HOUR_MS + CLOCK_SLACK_MS + 5000) == (1, 0)
    assert reindex(hours, database, START_MS) == (6, 0)


class TestCommand:
    @pytest.fixture
    def shipped(self, log, record, acks) -> None:
        journal = log.open()
        journal.append_record(record(EventCode.POLICY_DENY, "x-1", status=Outcome.REFUSED, http_status=403), acks)
        acks.wait(1)
        journal.close()
        log.ship()

    def index_of(self, config: Path) -> list[tuple[str, str]]:
        database = open_database(load_settings(config).approvals.database)
        rows = SessionIndex(database).search(SessionQuery()).rows
        database.close()
        return [(row.exchange_id, row.verdict) for row in rows]

    def test_it_is_recorded_first_and_says_what_it_did(self, shipped, run, log, config) -> None:
        result = run("reindex")
        assert result.exit_code == 0, result.output
        assert result.stdout.startswith("1 segment(s) read, 1 exchange(s) new or changed; indexed up to 20")
        assert self.index_of(config) == [("x-1", "blocked")]
        read = [item.record.resource.operation for item in find_records(log.look())]
        assert "audit.reindex" in read

    def test_a_rebuild_says_what_it_means_and_makes_the_same(self, shipped, run, config) -> None:
        run("reindex")
        result = run("reindex", "--rebuild")
        assert result.exit_code == 0, result.output
        assert "pages of sessions are incomplete until this is done" in result.stderr
        assert "1 exchange(s) new or changed" in result.stdout
        assert self.index_of(config) == [("x-1", "blocked")]

    def test_a_segment_that_is_not_what_was_sealed_is_named_and_ends_with_2(self, shipped, run, log, config) -> None:
        (path,) = log.store_path.rglob(f"*{Part.EVIDENCE.value}")
        path.chmod(0o600)
        path.write_bytes(path.read_bytes().replace(b'"refused"', b'"allowed"'))
        result = run("reindex")
        assert result.exit_code == 2
        assert "is not what it says in its manifest" in result.stderr
        assert self.index_of(config) == []

    def test_wrong_use(self, run) -> None:
        assert run("reindex", "--from", "1h", "--rebuild").exit_code == 2
        assert "is neither a span" in run("reindex", "--from", "yesterday").stderr
