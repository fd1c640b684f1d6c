"""The log says of itself when a control of it fails, when it takes no new exchange, and what its clock is like."""

import time
from dataclasses import replace
from typing import Any

import pytest

from extproc.audit.log import clock, keeper
from extproc.audit.log.alarms import Alarms, Cause, Control, Sight
from extproc.audit.log.clock import KernelClock, Synchronised
from extproc.audit.reading.reader import find_records
from extproc.core.record import Direction, EventCode, Outcome, Record
from extproc.core.trust import Masked

CALM = Sight(
    used_bytes=10,
    limit_bytes=100,
    lag_seconds=0.0,
    spool_full=False,
    disk_full=False,
    store_lags=False,
    store_diverges=False,
    step=None,
    synchronised=Synchronised.NO,
    clock_must_hold=False,
)


@pytest.fixture(autouse=True)
def often(monkeypatch: pytest.MonkeyPatch) -> None:
    """The keeper looks ten times a second."""
    monkeypatch.setattr(keeper, "WATCH_SECONDS", 0.1)


def told(changes: list[Any]) -> list[tuple[str, str]]:
    return [(change.event_code.value, change.detail["cause"]) for change in changes]


def records(log, *codes: EventCode) -> list[Record]:
    return [item.record for item in find_records(log.look()) if item.record.event_code in codes]


def await_records(log, code: EventCode, count: int = 1) -> list[Record]:
    """As soon as so many are in the log."""
    deadline = time.monotonic() + 20
    while len(found := records(log, code)) < count:
        assert time.monotonic() < deadline, f"no {code.value}"
        time.sleep(0.05)
    return found


class TestChanges:
    def test_nothing_is_told_while_nothing_changes(self):
        alarms = Alarms()
        assert [alarms.look(CALM, now) for now in range(3)] == [[], [], []]
        assert (alarms.paused, alarms.failing) == (frozenset(), frozenset())

    def test_the_soft_limit_is_one_alarm_until_the_spool_is_calm(self):
        """60 % begins it, and 55 % does not end it: a spool around the limit is not many alarms."""
        alarms = Alarms()
        seen = [told(alarms.look(replace(CALM, used_bytes=used), 0.0)) for used in (60, 61, 55, 61, 50, 55)]
        assert seen == [
            [],
            [("control.failure", "soft_limit")],
            [],
            [],
            [("control.restored", "soft_limit")],
            [],
        ]

    def test_each_end_says_what_it_ends_and_how_long_it_was(self):
        alarms = Alarms()
        full = replace(CALM, disk_full=True, used_bytes=40)
        failure, pause = alarms.look(full, 100.0)
        assert (failure.event_code, failure.status) == (EventCode.CONTROL_FAILURE, Outcome.FAILED)
        assert failure.detail["control"] == Control.SPOOL
        assert (pause.event_code, pause.detail["cause"]) == (EventCode.LOG_PAUSE, Cause.DISK_FULL)
        assert alarms.paused == {Cause.DISK_FULL}
        assert alarms.failing == {Control.SPOOL}
        restored, resume = alarms.look(CALM, 107.5)
        assert (restored.detail["failed_ms"], resume.detail["paused_ms"]) == (7500, 7500)
        assert (restored.status, resume.event_code) == (Outcome.SUCCEEDED, EventCode.LOG_RESUME)
        assert (alarms.paused, alarms.failing) == (frozenset(), frozenset())

    def test_a_pause_that_changes_its_cause_says_so_and_goes_on(self):
        alarms = Alarms()
        alarms.look(replace(CALM, store_lags=True), 10.0)
        (second,) = [
            change
            for change in alarms.look(replace(CALM, store_lags=True, spool_full=True), 20.0)
            if change.event_code is EventCode.LOG_PAUSE
        ]
        assert second.detail["cause"] == "spool_full,store_lags"
        (resume,) = [change for change in alarms.look(CALM, 30.0) if change.event_code is EventCode.LOG_RESUME]
        assert resume.detail["paused_ms"] == 20_000

    def test_a_clock_that_never_was_synchronised_is_no_failure_unless_it_must_be(self):
        assert Alarms().look(CALM, 0.0) == []
        assert Alarms().look(replace(CALM, synchronised=Synchronised.UNKNOWN), 0.0) == []
        for state in (Synchronised.NO, Synchronised.UNKNOWN):
            alarms = Alarms()
            sight = replace(CALM, synchronised=state, clock_must_hold=True)
            assert told(alarms.look(sight, 0.0)) == [("control.failure", state.value), ("log.pause", "clock")]
            back = replace(sight, synchronised=Synchronised.YES)
            assert told(alarms.look(back, 1.0)) == [("control.restored", state.value), ("log.resume", "clock")]

    def test_a_clock_that_loses_its_synchronisation_is_a_failure(self):
        alarms = Alarms()
        assert alarms.look(replace(CALM, synchronised=Synchronised.YES), 0.0) == []
        assert told(alarms.look(CALM, 1.0)) == [("control.failure", "unsynchronised")]
        assert alarms.paused == frozenset()
        assert told(alarms.look(replace(CALM, synchronised=Synchronised.YES), 2.0)) == [
            ("control.restored", "unsynchronised")
        ]


class TestSpool:
    def test_a_spool_beyond_its_soft_limit_is_told_and_goes_on(self, log, exchange):
        journal = log.with_(max_spool_bytes=1_000_000, reserve_bytes=100_000).open()
        content = journal.open_content("x")
        for _ in range(65):
            content.append(Direction.TO_CLIENT, 1, Masked(bytes(10_000)))
        (failure,) = await_records(log, EventCode.CONTROL_FAILURE)
        assert (failure.detail["control"], failure.detail["cause"]) == ("audit_spool", "soft_limit")
        assert journal.failing == {Control.SPOOL}
        assert journal.accepting()
        exchange(journal, "y")
        journal.close()
        assert records(log, EventCode.LOG_PAUSE) == []

    def test_a_spool_below_it_tells_nothing(self, log, exchange):
        journal = log.with_(max_spool_bytes=1_000_000, reserve_bytes=100_000).open()
        content = journal.open_content("x")
        for _ in range(50):
            content.append(Direction.TO_CLIENT, 1, Masked(bytes(10_000)))
        deadline = time.monotonic() + 10
        while journal._keeper._used_bytes < 500_000:
            assert time.monotonic() < deadline
            time.sleep(0.05)
        journal.close()
        assert records(log, EventCode.CONTROL_FAILURE) == []

    def test_a_full_spool_is_a_pause_with_its_cause(self, log, record):
        journal = log.with_(max_spool_bytes=400_000, reserve_bytes=200_000).open()
        content = journal.open_content("x")
        for _ in range(14):
            content.append(Direction.TO_CLIENT, 1, Masked(bytes(10_000)))
        (pause,) = await_records(log, EventCode.LOG_PAUSE)
        assert (pause.detail["cause"], pause.status) == ("spool_full", Outcome.FAILED)
        assert not journal.accepting()
        journal.close()

    def test_a_store_that_lags_is_a_pause_and_its_return_a_resumption(self, log, exchange):
        """Between the two records nothing new is accepted, and their times say how long that was."""
        journal = log.with_(max_lag_seconds=0.0, segment_bytes=4_000).open()
        exchanges = (exchange(journal, f"x-{number}") for number in range(100))
        while not list(log.settings.spool.rglob("*.manifest.json")):
            next(exchanges)
        (pause,) = await_records(log, EventCode.LOG_PAUSE)
        assert pause.detail["cause"] == "store_lags"
        assert not journal.accepting()
        log.ship()
        (resume,) = await_records(log, EventCode.LOG_RESUME)
        assert resume.detail["cause"] == "store_lags"
        assert abs(resume.time_ms - pause.time_ms - int(resume.detail["paused_ms"])) < 500
        journal.close()
        log.ship()
        assert log.verify(spool=False).exit_code == 0


class Shifted:
    """The wall clock, moved by `seconds`, in everything that asks `time.time`."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.seconds = 0.0
        real = time.time
        monkeypatch.setattr(time, "time", lambda: real() + self.seconds)


@pytest.fixture
def shifted(monkeypatch: pytest.MonkeyPatch) -> Shifted:
    monkeypatch.setattr(clock, "CALM_SECONDS", 0.5)
    return Shifted(monkeypatch)


class TestClock:
    @pytest.mark.parametrize("seconds", [-3600.0, 365 * 86400.0, -6.0, 6.0])
    def test_a_step_is_a_failure_and_its_end_is_told(self, log, exchange, shifted, seconds):
        """Records before and behind a step carry different clocks; the record of it says by how much."""
        journal = log.open()
        exchange(journal, "before")
        shifted.seconds = seconds
        (failure,) = await_records(log, EventCode.CONTROL_FAILURE)
        detail = failure.detail
        assert (detail["control"], detail["cause"]) == ("clock", "step")
        assert detail["clock_step_ms"] == pytest.approx(seconds * 1000, abs=1000)
        assert int(detail["found_ms"]) - int(detail["expected_ms"]) == pytest.approx(seconds * 1000, abs=1000)
        assert failure.time_ms == pytest.approx(int(detail["found_ms"]), abs=1000)
        exchange(journal, "behind")
        (restored,) = await_records(log, EventCode.CONTROL_RESTORED)
        assert restored.detail["control"] == "clock"
        journal.close()
        log.ship()
        assert log.verify().exit_code == 0
        assert journal.failing == frozenset()

    @pytest.mark.parametrize("seconds", [-4.0, 4.0])
    def test_a_small_step_is_told_by_the_next_heartbeat_only(self, log, shifted, seconds):
        journal = log.with_(heartbeat_seconds=0.7).open()
        shifted.seconds = seconds
        (beat,) = await_records(log, EventCode.LOG_HEARTBEAT)
        assert beat.detail["clock_step_ms"] == pytest.approx(seconds * 1000, abs=1000)
        second = await_records(log, EventCode.LOG_HEARTBEAT, 2)[1]
        assert second.detail["clock_step_ms"] == pytest.approx(0, abs=1000)
        journal.close()
        assert records(log, EventCode.CONTROL_FAILURE) == []

    def test_many_small_steps_within_one_heartbeat_are_a_step(self, monkeypatch, shifted):
        watch = clock.ClockWatch()
        for _ in range(3):
            shifted.seconds += 2.0
            step = watch.look()
        assert step is not None
        assert step.step_ms == pytest.approx(6_000, abs=500)

    def test_an_even_clock_tells_nothing(self, log, shifted):
        watch = clock.ClockWatch()
        assert watch.look() is None
        assert watch.beat() == pytest.approx(0, abs=500)
        journal = log.open()
        journal.close()
        assert records(log, EventCode.CONTROL_FAILURE) == []

    @pytest.mark.parametrize("state", list(Synchronised))
    def test_start_and_heartbeats_say_what_the_kernel_says(self, log, monkeypatch, state):
        known = {} if state is Synchronised.UNKNOWN else {"clock_error_ms": 0.25}
        found = KernelClock(state, known.get("clock_error_ms", -1.0))
        monkeypatch.setattr(keeper, "ask_kernel", lambda: found)
        monkeypatch.setattr("extproc.audit.log.journal.ask_kernel", lambda: found)
        journal = log.with_(heartbeat_seconds=0.2).open()
        await_records(log, EventCode.LOG_HEARTBEAT)
        journal.close()
        for record in records(log, EventCode.LOG_START, EventCode.LOG_HEARTBEAT):
            clock_said = {key: value for key, value in record.detail.items() if key in ("clock", "clock_error_ms")}
            assert clock_said == {"clock": state.value, **known}

    def test_the_kernel_is_asked_and_answers(self):
        assert clock.ask_kernel().synchronised in set(Synchronised)

    def test_a_clock_that_must_be_synchronised_refuses_while_it_is_not(self, log, exchange, monkeypatch):
        state = KernelClock(Synchronised.NO, 16_000.0)
        monkeypatch.setattr(keeper, "ask_kernel", lambda: state)
        easy = log.open("easy")
        strict = log.with_(refuse_unsynchronised_clock=True).open("strict")
        (pause,) = await_records(log, EventCode.LOG_PAUSE)
        assert (pause.detail["cause"], pause.actor.uid) == ("clock", "extproc|strict")
        assert (easy.accepting(), strict.accepting()) == (True, False)
        state = KernelClock(Synchronised.YES, 0.1)
        await_records(log, EventCode.LOG_RESUME)
        assert strict.accepting()
        easy.close()
        strict.close()


def test_the_beginning_says_what_writes(log):
    known = {"program": "extproc 1", "program_digest": "sha256:p", "policy_digest": "sha256:q"}
    log.with_(**known).open().close()
    (start,) = records(log, EventCode.LOG_START)
    assert {key: start.detail.get(key) for key in known} == known
    assert "configuration_digest" not in start.detail, "what is not known is not said"


def test_heartbeats_come_in_busy_times_too(log, record):
    """They carry the clock; an auditor finds it in every stretch of the log."""
    journal = log.with_(heartbeat_seconds=0.3).open()
    deadline = time.monotonic() + 10
    while len(records(log, EventCode.LOG_HEARTBEAT)) < 2:
        assert time.monotonic() < deadline
        journal.append_record(record(EventCode.AUTH_FAIL))
        time.sleep(0.02)
    journal.close()
