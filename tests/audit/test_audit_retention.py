"""Retention: what is over-age is counted, shredded only when asked and recorded first; evidence is at hand."""

import json
import os
import re
import shutil
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner

from extproc.audit.log.journal import write_once
from extproc.audit.names import Part
from extproc.audit.reading.reader import find_records
from extproc.audit.reading.replay import read_transcript
from extproc.audit.refusal import AuditRefused
from extproc.audit.retention.over_age import WRITER, RetentionJob
from extproc.audit.retention.shred import ShredFailed
from extproc.audit.stores.store import StoreFailed
from extproc.cli.main import main
from extproc.core.record import Actor, EventCode, Record
from tests.audit.configured import write_config

DAY = 86_400
PEOPLE = Actor(uid="os|auditor", name="auditor")


class Kept:
    """A log with an exchange of ten days ago and one of now."""

    def __init__(self, log, exchange, monkeypatch) -> None:
        self.log = log.with_(content_retention_days=7)
        self.previews: list[float] = []
        self.erased: list[str] = []
        with monkeypatch.context() as patch:
            now = time.time
            patch.setattr(time, "time", lambda: now() - 10 * DAY)
            self._epoch(exchange, "old-1", "old-2")
        self._epoch(exchange, "new-1")

    def _epoch(self, exchange, *ids: str) -> None:
        journal = self.log.with_(segment_bytes=1_000).open()
        for exchange_id in ids:
            exchange(journal, exchange_id)
        journal.close()

    def job(self, **changes) -> RetentionJob:
        def write(records) -> str:
            return write_once(self.log.settings, self.log.keys, WRITER, records)

        def erase(before: float) -> int:
            self.previews.append(before)
            return 3

        return replace(
            RetentionJob(self.log.settings, self.log.store, write, erase, PEOPLE, "host", self.erase), **changes
        )

    def erase(self, approvals) -> int:
        self.erased += approvals
        return len(approvals)

    def records(self, *codes: EventCode) -> list[Record]:
        found = [item.record for item in find_records(self.log.look()) if item.record.event_code in codes]
        return sorted(found, key=lambda record: record.time_ms)

    def opens(self, exchange_id: str) -> bool:
        try:
            return bool(read_transcript(self.log.look(), self.log.keys, exchange_id).pieces)
        except AuditRefused:
            return False

    def lose(self, exchange_id: str) -> None:
        """Without a record."""
        for path in self.log.store_path.rglob(f"*{Part.KEYS}"):
            lines = path.read_bytes().splitlines(keepends=True)
            path.write_bytes(b"".join(line for line in lines if f'"{exchange_id}"'.encode() not in line))


@pytest.fixture
def kept(log, exchange, monkeypatch) -> Kept:
    return Kept(log, exchange, monkeypatch)


def now_ms(days: float = 0.0) -> int:
    return int((time.time() + days * DAY) * 1000)


@pytest.mark.parametrize("place", ["spool", "store"])
def test_what_is_over_age_is_counted_and_left(kept, place):
    if place == "store":
        kept.log.ship()
    found = kept.job().check(now_ms())
    assert {bag.epoch.origin.writer for bag in found.over_age} == {"worker-0"}
    assert 1 <= len(found.over_age) < found.bags
    assert found.oldest_bag_ms < found.limit_ms < found.newest_bag_ms
    assert not found.incomplete
    assert kept.opens("old-1")
    (record,) = kept.records(EventCode.AUDIT_RETENTION_CHECK)
    assert record.actor.uid == PEOPLE.uid
    assert record.detail["over_age"] == len(found.over_age)
    assert record.detail["content_retention_days"] == 7
    if place == "store":
        assert (found.history_days, found.sampled > 0, found.out_of_reach, found.unlocked) == (10, True, (), ())


@pytest.mark.parametrize("days", [6.9, 7.1])
def test_the_limit_is_the_day_that_the_settings_say(kept, days):
    found = kept.job().check(now_ms(days))
    assert (len(found.over_age) == found.bags) is (days > 7)


@pytest.mark.parametrize("place", ["spool", "store"])
def test_enforced_it_is_recorded_first_and_then_nothing_opens_it(kept, place):
    if place == "store":
        kept.log.ship()
    found = kept.job().enforce(now_ms())
    assert found.over_age == ()
    assert [kept.opens(name) for name in ("old-1", "old-2", "new-1")] == [False, False, True]
    shred, done, check = kept.records(
        EventCode.ADMIN_SHRED, EventCode.ADMIN_SHRED_DONE, EventCode.AUDIT_RETENTION_CHECK
    )
    assert shred.detail["policy"] == "audit.content_retention"
    assert (shred.detail["keys"], done.detail["previews"]) == (2, 3)
    assert shred.detail["before_ms"] == found.limit_ms
    assert shred.detail["keys_before"] != shred.detail["keys_after"]
    assert (done.event_code, check.detail["over_age"]) == (EventCode.ADMIN_SHRED_DONE, 0)
    assert kept.previews == [found.limit_ms / 1000]
    kept.log.ship()
    assert not kept.opens("old-1"), "a bag came back with the segment"
    report = kept.log.verify()
    assert report.exit_code == 0
    (told,) = report.findings
    assert (str(told.name), told.what) == ("CONTENT_KEY_ABSENT", "2 transcript(s) that were over-age were shredded")
    kept.lose("new-1")
    assert kept.log.verify().exit_code == 1, "a key that was lost is excused by the record of others"
    assert kept.job().enforce(now_ms()).over_age == ()
    assert len(kept.records(EventCode.ADMIN_SHRED)) == 1


def test_without_its_record_nothing_is_destroyed(kept):
    def write(records) -> str:
        raise AuditRefused("full")

    with pytest.raises(AuditRefused):
        kept.job(write=write).enforce(now_ms())
    assert kept.opens("old-1")


def test_a_clock_that_runs_ahead_destroys_nothing(kept):
    with pytest.raises(AuditRefused, match="check the clock"):
        kept.job().enforce(now_ms(365))
    assert kept.opens("new-1")
    assert kept.records(EventCode.ADMIN_SHRED) == []


def test_a_store_that_refuses_is_recorded_and_a_repetition_goes_on(kept):
    kept.log.ship()

    class Refusing:
        refusing = True

        def __getattr__(self, name: str) -> Callable[..., object]:
            return getattr(kept.log.store, name)

        def delete_for_good(self, key: str) -> None:
            raise StoreFailed("AccessDenied")

    with pytest.raises(ShredFailed):
        kept.job(store=Refusing()).enforce(now_ms())
    assert len(kept.records(EventCode.ADMIN_SHRED_FAILED)) == 1
    assert kept.job().enforce(now_ms()).over_age == ()


def test_a_store_that_says_yes_and_deletes_nothing_is_not_done(kept):
    kept.log.ship()

    class Lying:
        def __getattr__(self, name: str) -> Callable[..., object]:
            return getattr(kept.log.store, name)

        def delete_for_good(self, key: str) -> None:
            pass

    with pytest.raises(ShredFailed):
        kept.job(store=Lying()).enforce(now_ms())
    assert kept.records(EventCode.ADMIN_SHRED_DONE) == []
    assert len(kept.records(EventCode.ADMIN_SHRED_FAILED)) == 1


def test_keys_in_damaged_files_that_were_put_aside_grow_old_too(kept):
    kept.log.ship()
    kept.job().enforce(now_ms())
    (bag, *_) = kept.log.store_path.rglob(f"*{Part.KEYS}")
    aside = kept.log.settings.spool / "quarantine" / "epoch" / "0000000001.journal"
    young = aside.with_name("0000000002.journal")
    aside.parent.mkdir(parents=True)
    for path in (aside, young):
        path.write_bytes(b"\x00damaged" + bag.read_bytes() + b"\xff")
    os.utime(aside, (time.time() - 8 * DAY,) * 2)
    found = kept.job().check(now_ms())
    assert (found.over_age, found.quarantined, found.outlived) == ((), (aside,), True)
    assert not kept.job().enforce(now_ms()).outlived
    assert aside.read_bytes() != young.read_bytes() == b"\x00damaged" + bag.read_bytes() + b"\xff"
    assert re.sub(rb'"wrapped":"[^"]*"', b"", aside.read_bytes()) == re.sub(
        rb'"wrapped":"[^"]*"', b"", young.read_bytes()
    )
    assert set(re.findall(rb'"wrapped":"(.)', aside.read_bytes())) == {b"-"}
    assert kept.records(EventCode.ADMIN_SHRED)[-1].detail["quarantined"] == 1


def test_an_age_that_cannot_be_read_is_incomplete(kept):
    kept.log.ship()
    for path in kept.log.store_path.rglob(f"*{Part.MANIFEST}"):
        path.write_bytes(b"{}\n")
    found = kept.job().check(now_ms())
    assert (found.incomplete, found.over_age) == (True, ())


def test_evidence_that_is_gone_is_out_of_reach(kept):
    kept.log.ship()
    store = kept.log.store

    class Cold:
        def __getattr__(self, name: str) -> Callable[..., object]:
            return getattr(store, name)

        def get(self, key: str, version: str = "") -> bytes:
            if "/evidence/" in key and key.endswith(".jsonl"):
                raise StoreFailed("InvalidObjectState")
            return store.get(key, version)

    assert kept.job(store=Cold()).check(now_ms()).out_of_reach


class TestCommand:
    @pytest.fixture
    def run(self, kept, tmp_path: Path):
        config = write_config(tmp_path, audit={"content_retention": "7d"})

        def invoke(*arguments: str):
            environment = {"EXTPROC_CONFIG": str(config)}
            return CliRunner().invoke(main, ["audit", "retention-check", *arguments], env=environment)

        return invoke

    def test_exit_codes_and_what_it_says(self, run, kept):
        kept.log.ship()
        before = run()
        assert before.exit_code == 1, before.output
        assert "over-age, sealed more than 7 day(s) ago: 2" in before.stdout
        assert "history: 10 day(s); twelve months are not reached yet" in before.stdout
        assert run("--enforce").exit_code == 0
        after = run("--json")
        assert (after.exit_code, json.loads(after.stdout)["over_age"]) == (0, 0)
        assert kept.records(EventCode.AUDIT_READ)

    def test_a_store_that_is_not_there_or_empty_is_no_success(self, run, log):
        shutil.rmtree(log.settings.spool)
        empty = run()
        assert (empty.exit_code, "there is no evidence in the store" in empty.output) == (2, True)
        log.store_path.rmdir()
        gone = run()
        assert (gone.exit_code, f"{log.store_path} is not there" in gone.output) == (2, True)
        assert not log.store_path.exists()

    def test_incomplete_is_no_success(self, run, kept):
        kept.log.ship()
        for path in kept.log.store_path.rglob(f"*{Part.MANIFEST}"):
            path.write_bytes(b"{}\n")
        result = run()
        assert result.exit_code == 2
        assert "INCOMPLETE" in result.stdout
