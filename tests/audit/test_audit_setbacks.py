"""An epoch that cannot be adopted: said, found by the verifier, kept, and in nobody's way."""

import json
import os
import time
from pathlib import Path
from typing import Any

import pytest

from extproc.audit.log import adopt, setbacks
from extproc.audit.log.frames import Kind, pack_commit, parse_at
from extproc.audit.log.setbacks import MAX_TRIES
from extproc.audit.log.spool import GIVEN_UP, measure
from extproc.audit.reading.reader import find_records
from extproc.audit.verify.epoch import Name
from extproc.core.reasons import Reason, Unavailable
from extproc.core.record import EventCode, Record


def abandon(journal: Any) -> Path:
    """As if killed: nothing sealed, nothing ended, the lock given back."""
    journal._seal_last = lambda: None
    journal._queue.fail()
    journal._thread.join()
    journal._file.close()
    journal._keeper.stop()
    journal._epoch.lock.release()
    return Path(journal._epoch.path)


@pytest.fixture
def broken(log, exchange) -> Path:
    """A dead epoch whose only journal has a sound frame with an unreadable header in it: no torn tail, no damage."""
    journal = log.open("victim")
    exchange(journal, "x")
    directory = abandon(journal)
    (path,) = directory.glob("*.journal")
    first = parse_at(path.read_bytes(), 0)
    assert first is not None
    sound, _, _ = pack_commit([(Kind.HEADER, b"{}")], first.commit, first.number, first.previous)
    path.write_bytes(sound + path.read_bytes()[first.end :])
    return directory


def controls(log) -> list[Record]:
    wanted = (EventCode.CONTROL_FAILURE, EventCode.CONTROL_RESTORED)
    return [item.record for item in find_records(log.look()) if item.record.event_code in wanted]


def give_up(log) -> None:
    for _ in range(MAX_TRIES):
        with pytest.raises(Unavailable):
            log.adopt()


def test_a_broken_epoch_is_given_up_and_the_service_goes_on(log, broken, exchange):
    """Its journal waits for ever, so it must not count as a lag of the store; that it was lost is a record."""
    old = time.time() - 5_000
    for path in broken.glob("*.journal"):
        os.utime(path, (old, old))
    assert measure(log.settings.spool, time.time()).oldest_pending_seconds > 4_000
    give_up(log)
    log.ship()
    assert measure(log.settings.spool, time.time()).oldest_pending_seconds < 60
    journal = log.open()
    assert journal.accepting()
    exchange(journal, "y")
    journal.close()
    log.ship()
    (failure,) = [record for record in stored_controls(log) if record["event_code"] == "control.failure"]
    assert (failure["control"], str(failure["origin"]).endswith(broken.name)) == ("audit_adoption", True)
    assert failure["tries"] == MAX_TRIES
    assert list(broken.glob("*.journal")), "it is kept for people to look at"


def stored_controls(log) -> list[dict[str, Any]]:
    return [{"event_code": record.event_code.value, **record.detail} for record in controls(log)]


def test_before_it_is_given_up_it_counts(log, broken):
    for _ in range(MAX_TRIES - 1):
        with pytest.raises(Unavailable):
            log.adopt()
    assert not (broken / GIVEN_UP).exists()
    assert measure(log.settings.spool, time.time() + 1_000).oldest_pending_seconds > 900
    assert controls(log) == []


def test_the_verifier_finds_it_with_and_without_the_spool(log, broken, exchange):
    journal = log.open()
    exchange(journal, "y")
    journal.close()
    give_up(log)
    log.ship()
    report = log.verify()
    assert report.exit_code == 1
    assert (Name.ALTERED, True) in {(finding.name, broken.name in finding.where) for finding in report.findings}
    assert report.epochs > 1, "the others are verified all the same"
    offline = log.verify(spool=False)
    assert offline.exit_code == 1
    assert Name.WRITER_MISSING in {finding.name for finding in offline.findings}


def test_one_that_was_given_up_is_tried_again_now_and_then_and_its_return_is_told(log, broken, monkeypatch):
    (path,) = broken.glob("*.journal")
    damaged = path.read_bytes()
    give_up(log)
    assert log.adopt() == [], "nobody is bothered in between"
    header = parse_at(damaged, 0)
    assert header is not None
    path.write_bytes(damaged[header.end :])
    assert log.adopt() == []
    monkeypatch.setattr(setbacks, "RETRY_SECONDS", 0.0)
    log.adopt()
    assert not (broken / GIVEN_UP).exists()
    failure, restored = sorted(controls(log), key=lambda record: record.event_code)
    assert (restored.event_code, restored.detail["control"]) == (EventCode.CONTROL_RESTORED, "audit_adoption")
    assert restored.detail["origin"] == failure.detail["origin"]
    assert int(restored.detail["failed_ms"]) >= 0


def test_one_that_could_be_read_and_was_given_up_is_found_too(log, exchange, monkeypatch):
    journal = log.open("victim")
    exchange(journal, "x")
    directory = abandon(journal)

    def unreadable(_: Path) -> None:
        raise OSError(5, "input/output error")

    assert [finding.name for finding in log.verify().findings] == [Name.UNADOPTED]
    monkeypatch.setattr(adopt, "read_dead_epoch", unreadable)
    give_up(log)
    report = log.verify()
    assert report.exit_code == 1
    assert (Name.CORRUPT, True) in {(finding.name, directory.name in finding.where) for finding in report.findings}


@pytest.mark.parametrize("error", [ValueError("4111 1111 1111 1111"), KeyError("x"), OSError(5, "input/output error")])
def test_whatever_is_wrong_with_one_epoch_the_others_are_adopted(log, exchange, monkeypatch, error):
    for writer in ("a", "b"):
        journal = log.open(writer)
        exchange(journal, f"x-{writer}", end=False)
        abandon(journal)
    real = adopt.read_dead_epoch

    def fails_once(directory: Path) -> object:
        if directory.parent.name == "a":
            raise error
        return real(directory)

    monkeypatch.setattr(adopt, "read_dead_epoch", fails_once)
    with pytest.raises(Unavailable):
        log.adopt()
    monkeypatch.undo()
    (adopted,) = log.adopt()
    assert adopted.origin.split("/")[1] == "a"
    assert controls(log) == []
    log.ship()
    assert log.verify(spool=False).exit_code == 0


def test_a_full_disk_is_not_the_epochs_fault(log, exchange, monkeypatch):
    journal = log.open("victim")
    exchange(journal, "x")
    directory = abandon(journal)

    def full(*_: object) -> None:
        raise OSError(28, "no space left on device")

    monkeypatch.setattr(adopt, "seal_segment", full)
    for _ in range(MAX_TRIES + 1):
        with pytest.raises(Unavailable):
            log.adopt()
    assert not (directory / GIVEN_UP).exists()
    assert controls(log) == []


def test_a_failure_that_cannot_be_recorded_does_not_count_as_the_last(log, broken, monkeypatch):
    def refused(*_: object) -> None:
        raise Unavailable(Reason.AUDIT_UNAVAILABLE)

    monkeypatch.setattr(setbacks, "write_once", refused)
    for _ in range(MAX_TRIES + 2):
        with pytest.raises(Unavailable):
            log.adopt()
    assert not (broken / GIVEN_UP).exists()
    monkeypatch.undo()
    with pytest.raises(Unavailable):
        log.adopt()
    assert (broken / GIVEN_UP).exists()
    assert json.loads((broken / "tries.json").read_bytes())["count"] == MAX_TRIES
