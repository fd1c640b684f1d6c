"""What was asked for against what is proven: a range is judged on its part, and a proof that is shorter says so."""

import datetime as dt
import json
import time
from pathlib import Path

import msgspec
import pytest

from extproc.audit.keys.public_keys import PUBLIC_KEY
from extproc.audit.log import keeper
from extproc.audit.log.segment import Manifest
from extproc.audit.log.segment_files import seal_segment
from extproc.audit.names import Origin
from extproc.audit.reading.reader import time_text
from extproc.audit.reading.span import Span
from extproc.audit.records.line import parse_record
from extproc.audit.signed import split_document
from extproc.audit.verify.findings import Name
from extproc.core.record import EventCode
from tests.audit.conftest import Log

SEGMENTS = 6


def names(report) -> list[Name]:
    return [finding.name for finding in report.findings]


def wait_a_millisecond() -> int:
    """Until what comes next has a later time than what was; that time."""
    before = time.time_ns() // 1_000_000
    while (now := time.time_ns() // 1_000_000) <= before + 1:
        time.sleep(0.001)
    return now


def cut_last(log, writer: str) -> Path:
    """Take away the last segment of a writer's only epoch; the manifest of the one before it."""
    *_, kept, last = sorted(log.store_path.rglob(f"{writer}/*/*.manifest.json"))
    for path in log.store_path.rglob(f"{writer}/*/{last.name[:10]}.*"):
        path.unlink()
    return kept


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

    def covered(self, index: int) -> int:
        """When the last record of a segment was written."""
        lines = (self.log.store_path / self.manifests[index].evidence.key).read_bytes().splitlines()
        return max(self.manifests[index].started_ms, parse_record(lines[-1]).time_ms)

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


class TestSpans:
    """What is said to be proven leaves out what is broken in between."""

    def test_a_broken_segment_is_left_out(self, story):
        manifests = story.manifests
        assert story.verify(spool=False).spans() == [(manifests[0].started_ms, manifests[-1].sealed_ms)]
        story.break_segment(2)
        report = story.verify(spool=False)
        assert report.spans() == [
            (manifests[0].started_ms, story.covered(1)),
            (manifests[3].started_ms, manifests[-1].sealed_ms),
        ]
        asked = story.verify(story.covered(1), manifests[4].sealed_ms, spool=False)
        assert asked.spans() == [(manifests[3].started_ms, manifests[4].sealed_ms)]

    def test_what_another_epoch_proves_of_that_time_does_not_fill_it(self, story, exchange):
        """Also at the end: a tail that is cut leaves all later time out."""
        manifests = story.manifests
        journal = story.log.open("worker-1")
        exchange(journal, "y")
        journal.close()
        story.log.ship()
        for manifest in manifests[4:]:
            for path in story.log.store_path.rglob(f"worker-0/*/{manifest.segment:010d}.*"):
                path.unlink()
        report = story.verify(spool=False)
        assert report.last_ms > manifests[-1].sealed_ms
        assert report.spans() == [(manifests[0].started_ms, story.covered(3))]

    def test_a_missing_epoch_leaves_all_out_from_its_beginning_on(self, story, exchange):
        while time.time() * 1000 < Origin.parse(story.manifests[0].origin).started_ms + 1_100:
            time.sleep(0.01)
        for writer in ("worker-1", "worker-2"):
            journal = story.log.open(writer)
            exchange(journal, writer)
            journal.close()
        story.log.ship()
        for path in story.log.store_path.rglob("worker-1/*/*"):
            path.unlink()
        report = story.verify(spool=False)
        (end,) = [end for _, end in report.spans()]
        assert story.manifests[-1].sealed_ms < end + 1_000 < report.last_ms + 1_000
        assert report.spans()[0][0] == story.manifests[0].started_ms

    def test_the_report_lists_them_and_says_that_findings_stand(self, story, run):
        story.break_segment(2)
        arguments = ("verify", "--store", str(story.log.store_path))
        arguments += ("--public-key", str(story.log.settings.keys / PUBLIC_KEY))
        ends = [time_text(each) for span in story.verify(spool=False).spans() for each in span]
        (line,) = [line for line in run(*arguments).stdout.splitlines() if line.startswith("proven: ")]
        assert line == "proven: {} .. {}, {} .. {}, but for what the findings name".format(*ends)
        proven = json.loads(run(*arguments, "--json").stdout)["proven"]
        assert (proven["from"], proven["to"]) == (ends[0], ends[-1])
        assert [each[name] for each in proven["spans"] for name in ("from", "to")] == ends


class TestCopyOfALivingLog:
    @pytest.fixture
    def copy(self, log, exchange) -> Log:
        """Of two writers that lived; the first has shipped more than the other."""
        small = log.with_(segment_bytes=1_000)
        first, second = small.open("worker-0"), small.open("worker-1")
        exchange(second, "y-1")
        exchange(second, "y-2")
        exchange(first, "x-1")
        second.close()
        exchange(first, "x-2")
        first.close()
        log.ship()
        for writer in ("worker-0", "worker-1"):
            cut_last(log, writer)
        return log

    def test_says_up_to_when_it_can_be_proven_and_is_proven_up_to_then(self, copy, run):
        log = copy
        arguments = ("verify", "--store", str(log.store_path), "--public-key", str(log.settings.keys / PUBLIC_KEY))
        whole = run(*arguments, "--json")
        report = json.loads(whole.stdout)
        assert (whole.exit_code, {each["name"] for each in report["findings"]}) == (2, {"OPEN"})
        until = report["provable_to"]
        assert report["proven"]["spans"][-1]["to"] == until
        assert f"give `--to {until}`" in run(*arguments).stdout
        part = run(*arguments, "--to", until)
        assert (part.exit_code, part.stdout.splitlines()[-1]) == (0, "proven")
        later = time_text(int(dt.datetime.fromisoformat(until).timestamp() * 1000) + 2)
        assert run(*arguments, "--to", later).exit_code == 2

    def test_an_epoch_that_has_only_begun_moves_nothing(self, log, exchange, run):
        """Open from a time on that nothing is proven of: what is said to be provable is proven all the same."""
        ended = log.open()
        exchange(ended, "x-1")
        ended.close()
        log.ship()
        time.sleep(1.1)  # an epoch's name has the second in which it began
        begun = log.open("worker-2")
        log.ship()
        arguments = ("verify", "--store", str(log.store_path), "--public-key", str(log.settings.keys / PUBLIC_KEY))
        report = json.loads(run(*arguments, "--json").stdout)
        begun.close()
        assert report["provable_to"] == report["proven"]["spans"][-1]["to"]
        assert run(*arguments, "--to", report["provable_to"]).exit_code == 0

    def test_a_tail_that_was_cut_is_missed_also_where_the_segment_before_it_was_sealed_late(
        self, log, exchange, monkeypatch
    ):
        """As on a full disk: segments wait for being sealed while the next ones are written."""
        monkeypatch.setattr(keeper, "seal_segment", lambda *most: seal_segment(*most[:-1], most[-1] + 60_000))
        journal = log.with_(segment_bytes=1_000).open()
        exchange(journal, "x-1")
        journal.close()
        log.ship()
        kept = cut_last(log, "worker-0")
        until = msgspec.json.decode(split_document(kept.read_bytes())[0], type=Manifest).sealed_ms
        cut = log.verify(spool=False, asked=Span(None, until))
        assert (cut.exit_code, names(cut)) == (1, [Name.TRUNCATED])

    def test_a_tail_that_was_cut_is_not_proven_up_to_when_it_was(self, copy):
        log = copy
        until = log.verify(spool=False, later=False).open_ms
        assert log.verify(spool=False, asked=Span(None, until)).exit_code == 0
        cut_last(log, "worker-1")
        cut = log.verify(spool=False, later=False, asked=Span(None, until))
        assert (cut.exit_code, names(cut)) == (2, [Name.OPEN])
        assert cut.open_ms < until
        assert log.verify(spool=False, asked=Span(None, until)).exit_code == 1


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
