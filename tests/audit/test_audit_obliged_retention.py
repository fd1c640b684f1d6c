"""A transcript that its policy lets live shorter: its key goes first, alone, recorded, and the log verifies."""

import time
from functools import partial

import pytest

from extproc.audit.log.journal import write_once
from extproc.audit.reading.exchanges import show_exchange
from extproc.audit.reading.reader import find_records
from extproc.audit.reading.replay import read_transcript
from extproc.audit.refusal import AuditRefused
from extproc.audit.retention.over_age import WRITER, RetentionJob
from extproc.audit.retention.shred import ShredFailed
from extproc.core.decision_record import DecisionRef, ObligationsRef, RequestFacts
from extproc.core.record import Actor, ApprovalRef, Direction, EventCode
from extproc.core.trust import Masked

DAY_MS = 86_400_000
ACTOR = Actor(uid="os|auditor")


class Obliged:
    """A log whose one bag holds two exchanges under `retention: 3d`, one under none, and one that is not over."""

    def __init__(self, log, record) -> None:
        self.log, self.erased = log, []
        journal = log.open()
        for name, days, ended in (("short-1", 3, True), ("short-2", 3, True), ("long", 0, True), ("open", 3, False)):
            content = journal.open_content(name)
            content.append(Direction.TO_MODEL, 1, Masked(b"masked"), None)
            obligations = ObligationsRef(retention_days=days) if days else None
            decision = DecisionRef(time_ms=1, facts=RequestFacts(choices=1), obligations=obligations)
            approval = ApprovalRef(id=f"apr-{name}", state="used")
            for code in (EventCode.INFERENCE_REQUEST, *([EventCode.INFERENCE_END] if ended else [])):
                journal.append_record(record(code, name, decision=decision, approval=approval))
        journal.close()

    def job(self, write=None) -> RetentionJob:
        write = write or partial(write_once, self.log.settings, self.log.keys, WRITER)
        return RetentionJob(self.log.settings, self.log.store, write, lambda _: 0, ACTOR, "host", self.erase)

    def erase(self, approvals) -> int:
        self.erased += approvals
        return len(approvals)

    def opens(self) -> list[str]:
        found = []
        for name in ("short-1", "short-2", "long", "open"):
            try:
                if read_transcript(self.log.look(), self.log.keys, name).pieces:
                    found.append(name)
            except AuditRefused:
                pass
        return found

    def codes(self, name: str) -> list[str]:
        found = (item.record for item in find_records(self.log.look()))
        return [str(record.event_code) for record in found if record.exchange_id == name]


@pytest.fixture
def obliged(log, record) -> Obliged:
    return Obliged(log.with_(content_retention_days=365), record)


def in_days(days: float) -> int:
    return int(time.time() * 1000 + days * DAY_MS)


@pytest.mark.parametrize(("days", "due"), [(2.9, []), (3.1, ["short-1", "short-2"])])
def test_what_has_outlived_its_days_is_counted_and_left(obliged, days, due):
    found = obliged.job().check(in_days(days))
    assert [exchange.exchange_id for exchange in found.obliged] == due
    assert found.outlived is bool(due)
    assert found.over_age == ()
    assert obliged.opens() == ["short-1", "short-2", "long", "open"]


@pytest.mark.parametrize("place", ["spool", "store"])
def test_enforced_its_key_goes_and_no_other(obliged, place):
    if place == "store":
        obliged.log.ship()
    found = obliged.job().enforce(in_days(3.1))
    assert found.obliged == ()
    assert obliged.opens() == ["long", "open"]
    assert obliged.erased == ["apr-short-1", "apr-short-2"]
    assert {"admin.shred", "admin.shred_done"} <= set(obliged.codes("short-1"))
    shredded = show_exchange(obliged.log.look(), "short-1").shredded
    assert (shredded.detail["policy"], shredded.detail["retention_days"]) == ("obligations.retention", 3)
    obliged.log.ship()
    assert obliged.log.verify().exit_code == 0
    assert obliged.job().enforce(in_days(3.2)).obliged == ()
    assert obliged.codes("short-1").count("admin.shred") == 1


def test_without_its_record_no_key_goes(obliged):
    def full(records):
        if records[0].event_code is EventCode.ADMIN_SHRED:
            raise AuditRefused("full")
        return ""

    with pytest.raises(AuditRefused):
        obliged.job(full).enforce(in_days(3.1))
    assert obliged.opens() == ["short-1", "short-2", "long", "open"]


def test_what_fails_is_recorded_and_made_good_by_the_next_run(obliged, monkeypatch):
    def down(_):
        raise OSError("away")

    monkeypatch.setattr(obliged, "erase", down)
    with pytest.raises(ShredFailed):
        obliged.job().enforce(in_days(3.1))
    assert "admin.shred_failed" in obliged.codes("short-1")
    monkeypatch.undo()
    assert obliged.job().enforce(in_days(3.1)).obliged == ()
    assert obliged.opens() == ["long", "open"]
