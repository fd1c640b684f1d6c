"""The journal: what it acknowledges is on the disk, in order; when it cannot be, it says so and takes nothing more."""

import errno
import os
import shutil
import subprocess
import sys
import threading
import time

import pytest

from extproc.audit.log.adopt import adopt_orphans
from extproc.audit.log.frames import Kind, scan
from extproc.audit.log.journal import MAX_EXCHANGE_ID_BYTES, Journal, write_once
from extproc.audit.log.segment import line_digest
from extproc.audit.log.spool import NewEpoch, is_alive, measure
from extproc.audit.names import Origin
from extproc.audit.records.line import parse_mark
from extproc.audit.refusal import AuditRefused
from extproc.audit.settings import AuditSettings
from extproc.core.reasons import Unavailable
from extproc.core.record import Direction, EventCode
from extproc.core.trust import Masked


def journal_bytes(log) -> bytes:
    (path,) = log.settings.spool.rglob("*.journal")
    return path.read_bytes()


class TestPromise2DurableBeforeDone:
    """P2: nothing is acknowledged before fdatasync has returned."""

    def test_no_done_before_fdatasync_returns(self, log, record, acks, monkeypatch):
        journal = log.open()
        entered, release = threading.Event(), threading.Event()
        real = os.fdatasync

        def slow(fd: int) -> None:
            entered.set()
            assert release.wait(10)
            real(fd)

        monkeypatch.setattr(os, "fdatasync", slow)
        journal.append_record(record(EventCode.INFERENCE_REQUEST, "x"), acks)
        assert entered.wait(10)
        time.sleep(0.05)
        assert acks.values == []
        assert b"inference.request" in journal_bytes(log), "the bytes were handed to the kernel before the sync"
        release.set()
        assert acks.wait(1) == [True]
        journal.close()

    def test_what_comes_during_a_sync_shares_the_next_one(self, log, record, acks, monkeypatch):
        journal = log.open()
        entered, release = threading.Event(), threading.Event()
        syncs = []
        real = os.fdatasync

        def slow(fd: int) -> None:
            syncs.append(fd)
            entered.set()
            assert release.wait(10)
            real(fd)

        monkeypatch.setattr(os, "fdatasync", slow)
        content = journal.open_content("x")
        journal.append_record(record(EventCode.INFERENCE_REQUEST, "x"), acks)
        assert entered.wait(10)
        for index in range(100):
            content.append(Direction.TO_CLIENT, index, Masked(b"event"), acks)
        release.set()
        assert acks.wait(101) == [True] * 101
        assert len(syncs) == 2
        frames = [frame for frame in scan(journal_bytes(log)).frames if frame.kind is Kind.CONTENT]
        assert len(frames) == 2, "the opening and one frame for a hundred events"
        monkeypatch.undo()
        journal.close()

    def test_acknowledged_bytes_are_in_the_file_at_the_moment_of_done(self, log, record):
        journal = log.open()
        missing = []
        finished = threading.Event()

        def look(seq: int, durable: bool) -> None:
            if not durable or b'"seq":%d,' % seq not in journal_bytes(log):
                missing.append(seq)
            if seq == 41:
                finished.set()

        for expected in range(2, 42):
            seq = journal.append_record(
                record(EventCode.AUTH_FAIL, "x"), lambda durable, at=expected: look(at, durable)
            )
            assert seq == expected
        assert finished.wait(10)
        assert missing == []
        journal.close()

    def test_deliver_is_called_once_a_commit(self, log, record):
        runs = []
        journal = Journal.open(log.settings, log.keys, writer="w", deliver=runs.append)
        done = []
        journal.append_record(record(EventCode.AUTH_FAIL), done.append)
        journal.close()
        assert len(runs) == 1
        assert done == []
        runs[0]()
        assert done == [True]


class TestChain:
    def test_records_are_numbered_and_chained_from_start_to_stop(self, log, exchange, lines_of):
        journal = log.open()
        for number in range(3):
            exchange(journal, f"x-{number}")
        journal.close()
        log.ship()
        (path,) = [path for path in log.store_path.rglob("*.jsonl") if "/evidence/" in path.as_posix()]
        raw = path.read_bytes().splitlines()
        assert [parse_mark(line).seq for line in raw] == list(range(1, len(raw) + 1))
        assert [parse_mark(line).prev for line in raw[1:]] == [line_digest(line) for line in raw[:-1]]
        codes = [parse_mark(line).event_code for line in raw]
        assert (codes[0], codes[-1]) == ("log.start", "log.stop")
        assert {parse_mark(line).origin for line in raw} == {journal.origin}

    def test_the_end_record_binds_the_transcript(self, log, record, acks, lines_of):
        journal = log.open()
        content = journal.open_content("x")
        journal.append_record(record(EventCode.INFERENCE_REQUEST, "x"))
        content.append(Direction.TO_CLIENT, 1, Masked(b"event"))
        digest, frames = content.summary()
        journal.append_record(record(EventCode.INFERENCE_END, "x"), acks)
        acks.wait(1)
        journal.close()
        log.ship()
        (end,) = [line for line in lines_of(log) if line["event_code"] == "inference.end"]
        assert (end["content_digest"], end["content_frames"]) == (digest, frames) != ("", 0)

    def test_summary_counts_what_was_appended_before_it(self, log):
        journal = log.open()
        content = journal.open_content("x")
        assert content.summary() == ("", 0)
        seen = set()
        for index in range(200):
            content.append(Direction.TO_CLIENT, index, Masked(b"event"))
            seen.add(content.summary()[0])
        assert len(seen) == 200
        journal.close()

    def test_segments_rotate_by_size_and_by_time(self, log, exchange):
        sized = log.with_(segment_bytes=2_000).open("sized")
        exchange(sized, "x-1")
        exchange(sized, "x-2")
        sized.close()
        timed = log.with_(segment_seconds=0.05).open("timed")
        exchange(timed, "x-3")
        time.sleep(0.4)
        exchange(timed, "x-4")
        timed.close()
        for writer in ("sized", "timed"):
            manifests = list((log.settings.spool / "epochs" / writer).rglob("*.manifest.json"))
            assert len(manifests) >= 2
        assert log.verify().exit_code == 0

    def test_idle_time_is_sealed_by_heartbeats(self, log, lines_of):
        journal = log.with_(heartbeat_seconds=0.1, segment_seconds=0.05).open()
        time.sleep(0.6)
        journal.close()
        log.ship()
        codes = [line["event_code"] for line in lines_of(log)]
        assert codes.count("log.heartbeat") >= 2


def fill(append) -> None:
    """Append until it is refused; a thousand times is too often."""
    for _ in range(1000):
        append()


class TestRefusing:
    def test_a_failed_sync_fails_everything_that_waits_and_everything_after(self, log, record, acks, monkeypatch):
        journal = log.open()
        content = journal.open_content("x")

        def broken(fd: int) -> None:
            raise OSError(errno.EIO, "input/output error")

        monkeypatch.setattr(os, "fdatasync", broken)
        journal.append_record(record(EventCode.INFERENCE_REQUEST, "x"), acks)
        assert acks.wait(1) == [False]
        assert not journal.accepting()
        with pytest.raises(Unavailable):
            journal.append_record(record(EventCode.POLICY_DENY))
        with pytest.raises(Unavailable):
            content.append(Direction.TO_CLIENT, 1, Masked(b"event"))
        monkeypatch.undo()
        journal.close()
        assert [adopted.corrupt for adopted in log.adopt()] == [False]
        assert log.verify().exit_code == 0

    def test_a_failed_write_is_never_retried_on_the_same_file(self, log, record, acks, monkeypatch):
        journal = log.open()
        calls = []

        def broken(fd: int, data: memoryview) -> int:
            calls.append(len(data))
            raise OSError(errno.EIO, "input/output error")

        monkeypatch.setattr(os, "write", broken)
        journal.append_record(record(EventCode.INFERENCE_REQUEST, "x"), acks)
        assert acks.wait(1) == [False]
        monkeypatch.undo()
        assert len(calls) == 1
        journal.close()

    def test_a_spool_at_its_limit_takes_refusals_only(self, log, record, acks):
        journal = log.with_(max_spool_bytes=400_000, reserve_bytes=200_000).open()
        content = journal.open_content("x")
        assert journal.accepting()
        with pytest.raises(Unavailable):
            fill(lambda: content.append(Direction.TO_CLIENT, 1, Masked(bytes(10_000))))
        deadline = time.monotonic() + 5
        while journal.accepting() and time.monotonic() < deadline:
            time.sleep(0.05)
        assert not journal.accepting()
        with pytest.raises(Unavailable):
            fill(lambda: journal.append_record(record(EventCode.INFERENCE_REQUEST, "y")))
        for number in range(20):
            journal.append_record(record(EventCode.REQUEST_REFUSE, f"r-{number}"), acks)
        assert acks.wait(20) == [True] * 20
        journal.close()

    def test_a_full_disk_leaves_the_reserve_for_refusals_and_recovers(self, log, record, acks, monkeypatch):
        """The disk is a write that finds no room until the preallocated reserve is given back."""
        journal = log.open()
        reserve = next(log.settings.spool.rglob("reserve"))
        assert reserve.stat().st_size == log.settings.reserve_bytes
        full = True
        real_write, real_statvfs = os.write, os.statvfs

        def write(fd: int, data: memoryview) -> int:
            if full and reserve.exists():
                real_write(fd, data[:7])
                raise OSError(errno.ENOSPC, "no space left on device")
            return real_write(fd, data)

        def statvfs(path: object) -> os.statvfs_result:
            found = list(real_statvfs(path))
            found[4] = 0 if full else found[4]
            return os.statvfs_result(found)

        monkeypatch.setattr(os, "write", write)
        monkeypatch.setattr(os, "statvfs", statvfs)
        journal.append_record(record(EventCode.INFERENCE_END, "x"), acks)
        assert acks.wait(1) == [True]
        assert not reserve.exists()
        assert not journal.accepting()
        with pytest.raises(Unavailable):
            journal.append_record(record(EventCode.INFERENCE_REQUEST, "y"))
        journal.append_record(record(EventCode.REQUEST_REFUSE, "y"), acks)
        assert acks.wait(2) == [True, True]
        full = False
        deadline = time.monotonic() + 10
        while not journal.accepting() and time.monotonic() < deadline:
            time.sleep(0.05)
        assert journal.accepting()
        assert reserve.exists()
        journal.close()
        assert log.verify().exit_code == 0

    def test_a_store_that_lags_refuses_new_exchanges(self, log, exchange):
        journal = log.with_(max_lag_seconds=0.0, segment_bytes=4_000).open()
        exchanges = (exchange(journal, f"x-{number}") for number in range(100))
        while not list(log.settings.spool.rglob("*.manifest.json")):
            next(exchanges)
        deadline = time.monotonic() + 10
        while journal.accepting() and time.monotonic() < deadline:
            time.sleep(0.05)
        assert not journal.accepting()
        while not journal.accepting() and time.monotonic() < deadline:
            log.ship()
            time.sleep(0.05)
        assert journal.accepting()
        journal.close()

    def test_a_closed_journal_takes_nothing(self, log, record):
        journal = log.open()
        journal.close()
        journal.close()
        assert not journal.accepting()
        with pytest.raises(Unavailable):
            journal.append_record(record(EventCode.AUTH_FAIL))

    def test_an_oversized_record_is_refused(self, log, record):
        journal = log.open()
        with pytest.raises(Unavailable):
            journal.append_record(record(EventCode.AUTH_FAIL, detail={"a": "x" * 100_000}))
        journal.close()
        assert log.verify().exit_code == 0

    def test_a_transcript_needs_the_name_of_its_exchange_within_bounds(self, log):
        journal = log.open()
        for name in ("", "x" * (MAX_EXCHANGE_ID_BYTES + 1), "ü" * MAX_EXCHANGE_ID_BYTES):
            with pytest.raises(Unavailable):
                journal.open_content(name)
        journal.open_content("x" * MAX_EXCHANGE_ID_BYTES)
        journal.close()

    def test_a_callback_whose_loop_is_closed_stops_nothing(self, log, record, acks):
        journal = log.open()

        def gone(durable: bool) -> None:
            raise RuntimeError("event loop is closed")

        journal.append_record(record(EventCode.AUTH_FAIL), gone)
        journal.append_record(record(EventCode.AUTH_FAIL), None)
        time.sleep(0.1)
        journal.append_record(record(EventCode.AUTH_FAIL), acks)
        assert acks.wait(1) == [True]
        journal.close()


class TestFailed:
    """A journal that has given up says so, so that its process can end and another begin."""

    def test_a_journal_that_works_or_waits_has_not_failed(self, log, exchange):
        journal = log.with_(max_lag_seconds=0.0, segment_bytes=500).open()
        exchange(journal, "x")
        assert wait_until(lambda: not journal.accepting())
        assert not journal.failed
        journal.close()
        assert not journal.failed

    def test_a_disk_without_room_for_the_reserve_fails_it(self, log, record, acks, monkeypatch):
        journal = log.open()

        def write(fd: int, data: memoryview) -> int:
            raise OSError(errno.ENOSPC, "no space left on device")

        monkeypatch.setattr(os, "write", write)
        journal.append_record(record(EventCode.INFERENCE_END, "x"), acks)
        assert acks.wait(1) == [False]
        assert journal.failed
        monkeypatch.undo()
        journal.close()
        successor = log.open()
        successor.append_record(record(EventCode.AUTH_FAIL), acks)
        assert acks.wait(2) == [False, True]
        assert not successor.failed
        successor.close()

    def test_a_failed_sync_fails_it(self, log, record, acks, monkeypatch):
        journal = log.open()

        def broken(fd: int) -> None:
            raise OSError(errno.EIO, "input/output error")

        monkeypatch.setattr(os, "fdatasync", broken)
        journal.append_record(record(EventCode.AUTH_FAIL), acks)
        assert acks.wait(1) == [False]
        assert journal.failed
        monkeypatch.undo()
        journal.close()

    def test_a_directory_that_vanished_fails_it(self, log):
        journal = log.open()
        shutil.rmtree(journal._epoch.path)
        assert wait_until(lambda: journal.failed)
        assert not journal.accepting()
        journal.close()


class TestMeasure:
    def test_the_last_journal_waits_once_its_writer_is_dead(self, log, exchange):
        journal = log.open()
        exchange(journal, "x")
        (path,) = journal._epoch.path.glob("*.journal")
        written = path.stat().st_mtime
        assert measure(log.settings.spool, written + 100).oldest_pending_seconds == 0
        journal._seal_last = lambda: None
        journal._queue.fail()
        journal.close()
        assert measure(log.settings.spool, written + 100).oldest_pending_seconds == pytest.approx(100, abs=5)


def wait_until(condition) -> bool:
    deadline = time.monotonic() + 10
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.02)
    return condition()


class TestOneWriterOneEpoch:
    def test_an_epoch_name_is_taken_once(self, log):
        origin = Origin.parse("test/worker-0/20260101T000000Z-00000000000000aa")
        first = NewEpoch.create(log.settings.spool, origin)
        second = NewEpoch.create(log.settings.spool, origin)
        first.publish()
        with pytest.raises(AuditRefused):
            second.publish()
        with pytest.raises(AuditRefused):
            NewEpoch.create(log.settings.spool, origin)
        assert is_alive(first.path)
        first.lock.release()
        assert not is_alive(first.path)

    def test_a_second_process_can_neither_adopt_nor_take_a_living_epoch(self, log):
        journal = log.open()
        code = (
            "import sys\n"
            "from pathlib import Path\n"
            "from extproc.audit.log.spool import EpochLock, is_alive\n"
            "path = next(Path(sys.argv[1]).glob('epochs/*/2*'))\n"
            "assert is_alive(path)\n"
            "assert EpochLock.take(path) is None\n"
        )
        subprocess.run([sys.executable, "-c", code, str(log.settings.spool)], check=True, timeout=30)
        assert adopt_orphans(log.settings, log.keys) == []
        journal.close()

    @pytest.mark.parametrize("writer", ["../up", "", "a/b", ".hidden", "x" * 65, "a\nb"])
    def test_a_writer_name_that_is_no_name_is_refused(self, log, writer):
        with pytest.raises(AuditRefused):
            log.open(writer)

    def test_write_once_is_durable_and_a_whole_epoch(self, log, record, lines_of):
        write_once(log.settings, log.keys, "cli", [record(EventCode.AUDIT_READ), record(EventCode.APPROVAL_DECIDE)])
        log.ship()
        codes = [line["event_code"] for line in lines_of(log)]
        assert codes == ["log.start", "audit.read", "approval.decide", "log.stop"]
        assert log.verify().exit_code == 0

    def test_write_once_raises_when_it_was_not_durable(self, log, record, monkeypatch):
        real = os.fdatasync
        calls = []

        def second_fails(fd: int) -> None:
            calls.append(fd)
            if len(calls) > 2:
                raise OSError(errno.EIO, "input/output error")
            real(fd)

        monkeypatch.setattr(os, "fdatasync", second_fails)
        with pytest.raises(Unavailable):
            write_once(log.settings, log.keys, "cli", [record(EventCode.AUDIT_READ)])


@pytest.mark.parametrize(("events", "event_bytes"), [(1, 700), (100, 200)], ids=["small", "streamed"])
def test_at_20_exchanges_a_second_1000_of_them_are_at_most_5_objects(log, record, acks, events, event_bytes):
    """By the defaults, with each event in a frame of its own. A segment is sealed when it is old or full: 4 objects."""
    rate, puts_a_segment = 20, 4
    defaults = AuditSettings("test", log.settings.spool, log.settings.keys, log.settings.store)
    journal = log.open()
    before = len(journal_bytes(log))
    content = journal.open_content("x")
    content.append(Direction.TO_MODEL, 1, Masked(b"p" * 2_000))
    journal.append_record(record(EventCode.INFERENCE_REQUEST, "x"), acks)
    for number in range(events):
        acks.wait(number + 1)
        content.append(Direction.TO_CLIENT, number, Masked(b"e" * event_bytes), acks)
    acks.wait(events + 1)
    journal.append_record(record(EventCode.INFERENCE_END, "x"), acks)
    acks.wait(events + 2)
    bytes_an_exchange = len(journal_bytes(log)) - before
    journal.close()
    exchanges = min(rate * defaults.segment_seconds, defaults.segment_bytes / bytes_an_exchange)
    assert puts_a_segment * 1000 / exchanges <= 5
