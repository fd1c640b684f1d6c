"""What was asked for against what is proven: a range is judged on its part, and a proof that is shorter says so."""

import json
import time

import msgspec
import pytest

from extproc.audit.findings import Name
from extproc.audit.segment import Manifest
from extproc.audit.signed import split_document
from extproc.audit.span import Span
from extproc.core.record import EventCode

SEGMENTS = 6


def names(report) -> list[Name]:
    return [finding.name for finding in report.findings]


def wait_a_millisecond() -> int:
    """Until what comes next has a later time than what was; that time."""
    before = time.time_ns() // 1_000_000
    while (now := time.time_ns() // 1_000_000) <= before + 1:
        time.sleep(0.001)
    return now


class Story:
    """One epoch of some segments, with what each manifest says of its times."""

    def __init__(self, log, exchange) -> None:
        self.log = log
        journal = log.with_(segment_bytes=1_000).open()
        for number in range(SEGMENTS):
            exchange(journal, f"x-{number}")
            wait_a_millisecond()
        journal.close()
        log.ship()
        self.manifests = [
            msgspec.json.decode(split_document(path.read_bytes())[0], type=Manifest)
            for path in sorted(log.store_path.rglob("*.manifest.json"))
        ]
        assert len(self.manifests) >= SEGMENTS

    def break_segment(self, index: int) -> None:
        path = self.log.store_path / self.manifests[index].evidence.key
        path.write_bytes(path.read_bytes().replace(b"analyst", b"analysu", 1))

    def verify(self, begin: int | None = None, end: int | None = None, **more):
        return self.log.verify(asked=Span(begin, end), **more)


@pytest.fixture
def story(log, exchange) -> Story:
    return Story(log, exchange)


def test_an_epoch_that_began_before_is_judged_on_its_part(story):
    """Its segments from before the range are not looked at: one of them may be broken, or gone."""
    begin = story.manifests[3].sealed_ms
    whole = story.verify(begin, spool=False)
    assert (whole.exit_code, names(whole)) == (0, [])
    assert whole.records == sum(manifest.records for manifest in story.manifests if manifest.sealed_ms >= begin)
    assert whole.first_ms == begin
    story.break_segment(1)
    (story.log.store_path / story.manifests[2].evidence.key).unlink()
    assert story.verify(begin, spool=False).exit_code == 0
    assert story.verify(spool=False).exit_code == 1


@pytest.mark.parametrize("index", [3, SEGMENTS - 1])
def test_what_is_broken_within_the_range_is_found(story, index):
    story.break_segment(index)
    report = story.verify(story.manifests[3].sealed_ms, spool=False)
    assert (report.exit_code, names(report)) == (1, [Name.ALTERED])
    assert report.findings[0].where.endswith(f"segment {index + 1}")


def test_what_lies_behind_the_range_is_not_looked_at(story):
    end = story.manifests[2].started_ms
    story.break_segment(4)
    report = story.verify(end=end, spool=False)
    assert (report.exit_code, names(report), report.last_ms) == (0, [], end)
    assert story.verify(spool=False).exit_code == 1


def test_a_missing_segment_within_the_range_is_a_gap(story):
    for path in story.log.store_path.rglob("0000000004.*"):
        path.unlink()
    report = story.verify(story.manifests[1].sealed_ms, story.manifests[5].sealed_ms, spool=False)
    assert (report.exit_code, names(report)) == (1, [Name.GAP])


def test_an_end_that_is_missing_is_missed_also_when_all_that_is_left_lies_before_the_range(story):
    for manifest in story.manifests[2:]:
        for path in story.log.store_path.rglob(f"{manifest.segment:010d}.*"):
            path.unlink()
    report = story.verify(story.manifests[4].sealed_ms, spool=False)
    assert (report.exit_code, names(report)) == (1, [Name.TRUNCATED])


def test_an_epoch_that_ended_before_the_range_is_none_of_it(story, exchange):
    begin = wait_a_millisecond()
    journal = story.log.open("worker-1")
    exchange(journal, "y")
    journal.close()
    story.log.ship()
    report = story.verify(begin, spool=False)
    assert (report.exit_code, names(report), report.epochs) == (0, [], 1)
    assert report.first_ms == begin, "the register says that nothing was in between"


class TestShorterThanRequested:
    def test_before_the_logs_beginning_nothing_is_proven(self, story):
        report = story.verify(story.manifests[0].started_ms - 60_000, spool=False)
        assert (report.exit_code, names(report)) == (2, [Name.SHORT])
        begin, _, end = report.findings[0].where.partition(" .. ")
        assert begin < end
        assert report.first_ms == story.manifests[0].started_ms

    def test_behind_its_end_only_the_spool_knows_that_nothing_came(self, story):
        end = story.manifests[-1].sealed_ms + 60_000
        alone = story.verify(end=end, spool=False)
        assert (alone.exit_code, names(alone)) == (2, [Name.SHORT])
        assert alone.last_ms == story.manifests[-1].sealed_ms
        known = story.verify(end=end)
        assert (known.exit_code, known.last_ms) == (0, end)

    def test_the_future_is_never_proven(self, story):
        report = story.verify(end=int(time.time() * 1000) + 10 * 3_600_000)
        assert (report.exit_code, names(report)) == (2, [Name.SHORT])

    def test_together_with_something_that_is_missing_it_is_a_finding(self, story):
        story.break_segment(2)
        report = story.verify(story.manifests[0].started_ms - 60_000, spool=False)
        assert (report.exit_code, set(names(report))) == (1, {Name.ALTERED, Name.SHORT})

    def test_a_register_whose_beginning_is_gone_leaves_the_range_open(self, story, exchange):
        """Retention may have taken it, or somebody an epoch of the range with its entry."""
        journal = story.log.open("worker-1")
        exchange(journal, "y")
        journal.close()
        story.log.ship()
        for path in story.log.store_path.rglob("*"):
            if path.is_file() and "worker-0" in path.as_posix():
                path.unlink()
        report = story.verify(story.manifests[0].started_ms, spool=False)
        assert report.exit_code == 2
        assert set(names(report)) == {Name.SHORT}
        assert story.verify(spool=False).exit_code == 1


def test_a_key_that_was_shredded_after_the_range_is_no_loss(story, record):
    """The record that excuses it lies behind the range, and is looked for there."""
    bag = story.log.store_path / story.manifests[0].evidence.key.replace("/evidence/", "/keys/").replace(
        ".jsonl", ".keys.jsonl"
    )
    (exchange_id,) = {json.loads(line)["exchange_id"] for line in bag.read_bytes().splitlines()}
    bag.unlink()
    end = story.manifests[1].started_ms
    lost = story.verify(end=end, spool=False)
    assert (lost.exit_code, names(lost)) == (1, [Name.CONTENT_KEY_ABSENT])
    journal = story.log.open("shred")
    journal.append_record(record(EventCode.ADMIN_SHRED, exchange_id, detail={"exchange": exchange_id}))
    journal.close()
    story.log.ship()
    for asked in ({"end": end}, {}):
        told = story.verify(**asked, spool=False)
        assert (told.exit_code, names(told)) == (0, [Name.CONTENT_KEY_ABSENT])


def test_a_register_without_its_first_entry_does_not_say_when_the_log_began(story, exchange):
    before = story.manifests[0].sealed_ms - 3_600_000
    (first,) = [path for path in story.log.store_path.rglob("*.json") if "/registry/" in path.as_posix()]
    journal = story.log.open()
    exchange(journal, "x-later")
    journal.close()
    story.log.ship()
    whole = story.verify(begin=before)
    assert before < whole.begins_ms <= story.manifests[0].sealed_ms
    (short,) = whole.findings
    assert (short.name, whole.exit_code) == (Name.SHORT, 2)
    assert "the log begins at" in short.what
    first.unlink()
    lacking = story.verify(begin=before)
    assert lacking.begins_ms == 0
    assert not any("the log begins at" in finding.what for finding in lacking.findings)
