"""`verify` walks: what it remembers does not grow with the log, and whoever waits sees how far it is."""

import io
import tracemalloc

import pytest
from rich.console import Console

from extproc.audit.log.content import chain_digest
from extproc.audit.reading.holdings import Holdings
from extproc.audit.records.line import Mark
from extproc.audit.stores.store import StoredObject, StoreFailed
from extproc.audit.verify.findings import Broken, Name
from extproc.audit.verify.transcripts import Transcripts
from extproc.cli import audit_progress
from extproc.core.record import Direction, EventCode
from extproc.core.trust import Masked


def write_segments(log, record, acks, writer: str, count: int) -> None:
    """An epoch of so many segments, each of one exchange of 60 kB."""
    journal = log.with_(segment_bytes=1_000).open(writer)
    for number in range(count):
        content = journal.open_content(f"{writer}-{number}")
        content.append(Direction.TO_MODEL, 1, Masked(b"x" * 60_000))
        journal.append_record(record(EventCode.INFERENCE_REQUEST, f"{writer}-{number}"))
        journal.append_record(record(EventCode.INFERENCE_END, f"{writer}-{number}"), acks)
        acks.wait(number + 1)
    journal.close()
    log.ship()


def peak_bytes(log) -> int:
    log.verify(spool=False)  # what is imported and cached once
    tracemalloc.start()
    try:
        report = log.verify(spool=False)
        assert report.exit_code == 0
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_memory_does_not_grow_with_the_number_of_segments(log, record, acks, monkeypatch):
    monkeypatch.setattr("os.fsync", lambda fd: None)
    monkeypatch.setattr("os.fdatasync", lambda fd: None)
    write_segments(log, record, acks, "worker-0", 6)
    few = peak_bytes(log)
    acks.values.clear()
    write_segments(log, record, acks, "worker-1", 24)
    segments = log.verify(spool=False).segments
    assert segments >= 30
    assert peak_bytes(log) < 1.5 * few


@pytest.fixture
def unsynced(monkeypatch):
    monkeypatch.setattr("os.fsync", lambda fd: None)
    monkeypatch.setattr("os.fdatasync", lambda fd: None)


def write_large(log, record, acks, writer: str, mebibytes: int):
    """An epoch whose one exchange has so much transcript, in frames of 64 kB; its journal."""
    journal = log.with_(segment_bytes=64 * 2**20, max_spool_bytes=2**30).open(writer)
    content = journal.open_content(writer)
    acks.values.clear()
    for number in range(mebibytes * 16):
        content.append(Direction.TO_CLIENT, number, Masked(b"x" * 65_536), acks)
        acks.wait(number + 1)
    journal.append_record(record(EventCode.INFERENCE_END, writer), acks)
    acks.wait(mebibytes * 16 + 1)
    return journal


def test_memory_does_not_grow_with_a_segments_content(log, record, acks, unsynced):
    write_large(log, record, acks, "worker-0", 2).close()
    log.ship()
    few = peak_bytes(log)
    write_large(log, record, acks, "worker-1", 12).close()
    log.ship()
    assert max(path.stat().st_size for path in log.store_path.rglob("*.content")) > 12 * 2**20
    assert peak_bytes(log) < 1.2 * few < 3 * 2**20


def test_memory_does_not_grow_with_a_journal_that_is_not_sealed(log, record, acks, unsynced):
    """Read beside its writer, or after its death."""
    peaks = []
    for writer, size in (("worker-0", 2), ("worker-1", 12)):
        journal = write_large(log, record, acks, writer, size)
        log.verify()
        tracemalloc.start()
        try:
            assert [finding.name for finding in log.verify().findings] == [Name.LIVE]
            peaks.append(tracemalloc.get_traced_memory()[1])
        finally:
            tracemalloc.stop()
        journal.close()
        log.ship()
    assert peaks[1] < 1.2 * peaks[0] < 4 * 2**20


def frame(exchange: str, number: int, ciphertext: bytes = b"x") -> memoryview:
    name = exchange.encode()
    return memoryview(b"streamid" + bytes([len(name)]) + name + number.to_bytes(4) + b"\x02" + ciphertext)


def closing(exchange: str, payloads: list[memoryview]) -> Mark:
    """The record that ends the exchange behind these frames."""
    digest = b""
    for payload in payloads:
        digest = chain_digest(digest, bytes(payload))
    return Mark("", 1, "", EventCode.INFERENCE_END, exchange, digest.hex(), len(payloads) - 1)


class TestFramesOfOneSegment:
    def test_each_takes_little_more_than_its_digest(self):
        """A segment of single tokens has 100 000 of them."""
        transcripts = Transcripts()
        transcripts.follow(frame("warm", number) for number in range(10))
        count = 20_000
        tracemalloc.start()
        try:
            transcripts.follow(frame("x", number) for number in range(count))
            assert tracemalloc.get_traced_memory()[0] < 64 * count
        finally:
            tracemalloc.stop()

    def test_an_end_is_held_to_the_frames_before_it_also_when_others_follow(self):
        """More of the same transcript, or a second one of the same exchange, which is shorter."""
        first, second = ([frame("x", number, word) for number in range(4)] for word in (b"1", b"2"))
        for rest in ([], [frame("x", 4)], second[:2], second):
            transcripts = Transcripts()
            transcripts.follow([*first, frame("y", 0), *rest])
            transcripts.close(closing("x", second if rest == second else first))
            for wrong in (closing("x", [*first[:3], frame("x", 3, b"3")]), closing("x", first[:3] + first[:3])):
                with pytest.raises(Broken):
                    transcripts.close(wrong)


class TestListing:
    def test_a_directory_lists_as_its_keys_sort(self, shipped):
        (shipped.store_path / "v1" / "evidence" / "test-2.txt").write_bytes(b"1")
        (shipped.store_path / "v1" / "evidence" / "test.txt").write_bytes(b"12")
        stored = list(shipped.store.list("v1/"))
        keys = [item.key for item in stored]
        assert keys == sorted(keys)
        assert set(keys) == {
            path.relative_to(shipped.store_path).as_posix() for path in shipped.store_path.rglob("*") if path.is_file()
        }
        assert {item.key: item.size for item in stored}["v1/evidence/test.txt"] == 2
        assert list(shipped.store.list("v2/")) == []

    def test_a_store_that_lists_out_of_order_proves_nothing(self, shipped, memory):
        class Shuffled(memory):
            def list(self, prefix):
                return iter([StoredObject(key) for key in sorted(self.objects, reverse=True) if key.startswith(prefix)])

        report = shipped.verify(store=Shuffled(shipped.store_path), spool=False)
        assert (report.exit_code, [finding.name for finding in report.findings]) == (2, [Name.UNREADABLE, Name.EMPTY])

    def test_walking_and_looking_find_the_same_epochs(self, shipped):
        assert shipped.verify(spool=False).epochs == len(Holdings.look(shipped.store, None, "").epochs)


class Watched:
    def __init__(self) -> None:
        self.segments = self.size = self.done = self.proven_segments = 0

    def listed(self, segments: int, size: int) -> None:
        self.segments, self.size = segments, size

    def proven(self, segments: int, size: int) -> None:
        self.proven_segments += segments
        self.done += size


def test_whoever_watches_sees_everything_done_that_was_listed(shipped):
    watch = Watched()
    report = shipped.verify(spool=False, watch=watch)
    stored = sum(path.stat().st_size for path in shipped.store_path.rglob("*") if path.is_file())
    assert (watch.segments, watch.size) == (report.segments, stored)
    assert (watch.proven_segments, watch.done) == (report.segments, stored)


class TestProgress:
    def test_a_terminal_shows_segments_and_megabytes(self, monkeypatch):
        screen = io.StringIO()
        screen.isatty = lambda: True  # type: ignore[method-assign]
        monkeypatch.setattr("sys.stderr", screen)
        monkeypatch.setattr(audit_progress, "Console", lambda **_: Console(file=screen, force_terminal=True, width=100))
        with audit_progress.watch_on_terminal() as watch:
            watch.listed(4, 8_000_000)
            for _ in range(4):
                watch.proven(1, 2_000_000)
        assert "4/4 segments" in screen.getvalue()
        assert "8/8 MB" in screen.getvalue()

    def test_a_pipe_sees_nothing(self, capsys):
        with audit_progress.watch_on_terminal() as watch:
            watch.listed(1, 1)
            watch.proven(1, 1)
        assert capsys.readouterr().err == ""


class TestOneUnreadableThing:
    def test_a_journal_that_does_not_parse_is_named_and_stops_nothing(self, shipped, exchange):
        """An epoch that nobody can adopt; the others are proven all the same."""
        journal = shipped.open("worker-2")
        exchange(journal, "x-9")
        (path,) = shipped.settings.spool.rglob("*.journal")
        data = path.read_bytes()
        path.write_bytes(b"")
        named = [finding for finding in shipped.verify().findings if "worker-2" in finding.where]
        assert [finding.name for finding in named] == [Name.LIVE]
        path.write_bytes(data[:1] + b"?" + data[2:])
        path.with_name("0000000002.journal").write_bytes(data)
        report = shipped.verify()
        named = [finding for finding in report.findings if "worker-2" in finding.where]
        assert report.exit_code == 1
        assert report.records > 10
        assert {finding.where.rpartition(" ")[2] for finding in named} == {"1", "2"}
        path.with_name("0000000002.journal").unlink()
        path.write_bytes(data)
        journal.close()

    @pytest.mark.parametrize(("failing", "left"), [(1, True), (99, False)])
    def test_an_object_that_cannot_be_read_leaves_its_segment_unproven(self, shipped, memory, failing, left):
        class Failing(memory):
            count = failing

            def get(self, key, version=""):
                if key.endswith("2.jsonl") and self.count:
                    self.count -= 1
                    raise StoreFailed("no")
                return super().get(key, version)

        report = shipped.verify(store=Failing(shipped.store_path), spool=False)
        assert (report.exit_code, {finding.name for finding in report.findings}) == (2, {Name.UNREADABLE})
        assert report.records > 0
        assert left or report.findings
