"""Sealing: it takes little memory whatever the segment's size, stops no append, and may end at any point of it."""

import os
import threading
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from extproc.audit.files import PIECE_BYTES, TEMPORARY, GrowingFile, pieces_of, sha256_of
from extproc.audit.log import journal as journal_module
from extproc.audit.log import segment_files
from extproc.audit.log.dead_epoch import read_dead_epoch
from extproc.audit.log.frames import Kind
from extproc.audit.log.journal_file import JournalLines, read_journal
from extproc.audit.log.segment import ZERO, ChainState, pack_content, split_content, unpack_content
from extproc.audit.log.segment_files import seal_segment
from extproc.audit.log.shipper import Shipper
from extproc.audit.log.writing import FIRST, SegmentFile
from extproc.audit.merkle import MerkleTree
from extproc.audit.names import JOURNAL, Origin, Part, segment_file
from extproc.audit.reading.holdings import Epoch, Holdings
from extproc.audit.records.line import encode_record
from extproc.audit.refusal import AuditRefused
from extproc.audit.signed import Role, Signer
from extproc.audit.stores.store import Directory, Divergent
from extproc.core.record import EventCode

MIB = 2**20
ORIGIN = "test/worker-0/20261128T144702Z-0123456789abcdef"
PARTS = (Part.EVIDENCE, Part.CONTENT, Part.KEYS, Part.MANIFEST)


class Sealable:
    """Makes a journal of some MiB: two records, and one transcript in frames of 16 kB."""

    def __init__(self, log, record) -> None:
        self.signer = Signer.certified(log.keys.signing, ORIGIN, Role.EPOCH, 1)
        self._body = encode_record(record(EventCode.AUDIT_READ))

    def make(self, folder: Path, mebibytes: int) -> Path:
        folder.mkdir()
        chain = ChainState(Origin.parse(ORIGIN), 1, 1, ZERO, ZERO, {}, MerkleTree(), MerkleTree())
        file = SegmentFile(folder, chain, 1, FIRST)
        lines = [chain.add_record(EventCode.AUDIT_READ, "", self._body) for _ in range(2)]
        file.commit([(Kind.RECORD, lines[0]), (Kind.KEY, b'{"key":1}')])
        for number in range(mebibytes * 64):
            file.commit([(Kind.CONTENT, number.to_bytes(4) * 4096)])
        file.commit([(Kind.RECORD, lines[1])])
        file.close()
        return folder

    def seal(self, folder: Path) -> None:
        seal_segment(folder, 1, self.signer, 2)


@pytest.fixture
def sealable(log, record, monkeypatch) -> Sealable:
    monkeypatch.setattr(os, "fdatasync", lambda fd: None)
    monkeypatch.setattr(os, "fsync", lambda fd: None)
    return Sealable(log, record)


def peak_bytes(run: Callable[[], object]) -> int:
    tracemalloc.start()
    try:
        run()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


class TestMemory:
    def test_sealing_takes_as_little_for_a_large_segment_as_for_a_small_one(self, sealable, tmp_path):
        small, large = (sealable.make(tmp_path / str(size), size) for size in (2, 12))
        sealable.seal(sealable.make(tmp_path / "warm", 1))
        few = peak_bytes(lambda: sealable.seal(small))
        assert peak_bytes(lambda: sealable.seal(large)) < 1.2 * few < 2 * MIB
        assert (large / segment_file(1, Part.CONTENT)).stat().st_size > 12 * MIB

    def test_following_a_dead_writers_journal_takes_as_little(self, sealable, tmp_path):
        small, large = (sealable.make(tmp_path / str(size), size) for size in (2, 12))
        read_dead_epoch(sealable.make(tmp_path / "warm", 1))
        few = peak_bytes(lambda: read_dead_epoch(small))
        assert peak_bytes(lambda: read_dead_epoch(large)) < 1.2 * few < 2 * MIB

    def test_reading_the_records_beside_a_living_writer_takes_as_little(self, log, sealable, tmp_path):
        small, large = (
            Epoch(Origin.parse(ORIGIN), directory=sealable.make(tmp_path / str(size), size), local=(1,))
            for size in (2, 12)
        )
        holdings = Holdings(log.store, tmp_path)
        few = peak_bytes(lambda: holdings.find(small, 1))
        assert peak_bytes(lambda: holdings.find(large, 1)) < 1.2 * few < 2 * MIB
        found = holdings.find(large, 1)
        assert isinstance(found, JournalLines)
        assert len(found.lines) == 2

    def test_shipping_takes_as_little(self, log, sealable, tmp_path):
        small, large = (sealable.make(tmp_path / str(size), size) / segment_file(1, JOURNAL) for size in (2, 12))
        few = peak_bytes(lambda: log.store.put_once("v1/content/small", small))
        assert peak_bytes(lambda: log.store.put_once("v1/content/large", large)) < 1.2 * few < 2 * MIB
        assert sha256_of(log.store_path / "v1/content/large") == sha256_of(large)
        with pytest.raises(Divergent):
            log.store.put_once("v1/content/large", small)

    def test_a_shipper_hands_over_files(self, log, exchange, monkeypatch):
        given: list[object] = []
        real = Directory.put_once

        def put_once(store, key, body):
            given.append(body)
            return real(store, key, body)

        monkeypatch.setattr(Directory, "put_once", put_once)
        journal = log.open()
        exchange(journal, "x")
        journal.close()
        Shipper(log.settings).ship_pending()
        assert [body.name[10:] for body in given if isinstance(body, Path)] == list(PARTS)


class TestSameAsBefore:
    def test_the_files_are_what_the_journals_frames_say(self, sealable, tmp_path):
        folder = sealable.make(tmp_path / "one", 1)
        journal = read_journal(folder / segment_file(1, JOURNAL))
        assert journal is not None
        sealable.seal(folder)
        payloads = [frame.payload for frame in journal.frames if frame.kind is Kind.CONTENT]
        assert (folder / segment_file(1, Part.CONTENT)).read_bytes() == pack_content(payloads)
        assert (folder / segment_file(1, Part.EVIDENCE)).read_bytes() == b"".join(
            line + b"\n" for line in journal.lines()
        )
        assert (folder / segment_file(1, Part.KEYS)).read_bytes() == b'{"key":1}\n'

    def test_a_journal_that_is_not_whole_becomes_nothing(self, sealable, tmp_path):
        folder = sealable.make(tmp_path / "one", 1)
        path = folder / segment_file(1, JOURNAL)
        path.write_bytes(path.read_bytes()[:-1])
        with pytest.raises(AuditRefused, match="is not whole"):
            sealable.seal(folder)
        assert [each.name for each in folder.iterdir()] == [path.name]

    @pytest.mark.parametrize("size", [1, 2, 5, 1000])
    def test_a_content_object_is_split_wherever_its_pieces_end(self, size):
        payloads = [b"", b"a", bytes(range(256)), b"", b"zz" * 300]
        data = pack_content(payloads)
        pieces = [data[at : at + size] for at in range(0, len(data), size)]
        assert [bytes(view) for view in split_content(pieces)] == payloads == unpack_content(data)
        for cut in (len(data) - 1, len(data) - 601, 5):
            with pytest.raises(AuditRefused, match=r"within a frame|does not begin"):
                list(split_content([data[:cut][at : at + size] for at in range(0, cut, size)]))


class Died(BaseException):
    """Nothing that follows it is done."""


def deaths(seal: Callable[[], None], monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """Let sealing die at its first call of the file system, then at the second … A death undoes nothing."""
    calls = left = 0
    names = ("write", "fsync", "fdatasync", "replace", "unlink")
    real = {name: getattr(os, name) for name in names}

    def dying(name: str) -> Callable[..., object]:
        def call(*args, **more):
            nonlocal calls
            calls += 1
            if calls >= left:
                raise Died
            return real[name](*args, **more)

        return call

    while True:
        left, calls = left + 1, 0
        with monkeypatch.context() as patch:
            for name in names:
                patch.setattr(os, name, dying(name))
            try:
                seal()
            except Died:
                yield left
                continue
        return


def test_a_death_at_any_point_of_sealing_is_harmless(sealable, tmp_path, monkeypatch):
    """What has a name is whole, the journal is there until all of it has, and sealing again ends with the same bytes."""
    monkeypatch.setattr("extproc.audit.files.PIECE_BYTES", 64 * 1024)
    monkeypatch.setattr("extproc.audit.files.UNSYNCED_BYTES", 256 * 1024)
    whole = sealable.make(tmp_path / "whole", 1)
    sealable.seal(whole)
    expected = {part: (whole / segment_file(1, part)).read_bytes() for part in PARTS}
    folder = sealable.make(tmp_path / "dies", 1)
    journal = (folder / segment_file(1, JOURNAL)).read_bytes()
    count = 0
    for count in deaths(lambda: sealable.seal(folder), monkeypatch):  # noqa: B007
        named = {path.name: path.read_bytes() for path in folder.iterdir() if not path.name.startswith(TEMPORARY)}
        for part in PARTS:
            assert named.pop(segment_file(1, part), expected[part]) == expected[part]
        assert named in ({segment_file(1, JOURNAL): journal}, {})
        if not named:
            break
    assert count > 20
    assert {part: (folder / segment_file(1, part)).read_bytes() for part in PARTS} == expected


def test_a_file_is_synced_before_it_has_its_name_and_now_and_then_before(sealable, tmp_path, monkeypatch):
    """Much that is not synced makes the journal's own sync wait on some file systems."""
    monkeypatch.setattr("extproc.audit.files.UNSYNCED_BYTES", MIB)
    folder = sealable.make(tmp_path / "one", 3)
    unsynced: dict[str, int] = {}
    names: dict[int, str] = {}
    most = 0
    real_open, real_write, real_replace = os.open, os.write, os.replace

    def opened(path, *args, **more) -> int:
        fd = real_open(path, *args, **more)
        names[fd] = str(path)
        return fd

    def written(fd: int, data: bytes) -> int:
        nonlocal most
        count = real_write(fd, data)
        unsynced[names[fd]] = unsynced.get(names[fd], 0) + count
        most = max(most, unsynced[names[fd]])
        return count

    def synced(fd: int) -> None:
        unsynced[names[fd]] = 0

    def replaced(source, target) -> None:
        assert unsynced[str(source)] == 0, target
        real_replace(source, target)

    for name, call in (("open", opened), ("write", written), ("fsync", synced), ("fdatasync", synced)):
        monkeypatch.setattr(os, name, call)
    monkeypatch.setattr(os, "replace", replaced)
    sealable.seal(folder)
    assert MIB <= most <= MIB + PIECE_BYTES
    assert len(list(folder.iterdir())) == len(PARTS)


class TestAppendsGoOn:
    def test_while_segments_wait_to_be_sealed(self, log, acks, record, monkeypatch):
        """Sealing stands still: two segments more are filled meanwhile, and every record in them is durable."""
        stands, goes = threading.Event(), threading.Event()
        real = segment_files.GrowingFile.keep

        def keep(file: GrowingFile) -> None:
            stands.set()
            assert goes.wait(30)
            real(file)

        monkeypatch.setattr(segment_files.GrowingFile, "keep", keep)
        journal = log.with_(segment_bytes=1_000).open()
        try:
            for number in range(9):
                journal.append_record(record(EventCode.AUDIT_READ, f"x-{number}"), acks)
                acks.wait(number + 1)
            assert stands.wait(10)
            assert all(acks.values)
            assert len(list(log.settings.spool.rglob("*.journal"))) >= 3
        finally:
            goes.set()
            journal.close()
        log.ship()
        assert log.verify().exit_code == 0

    def test_sealing_gives_way(self, sealable, tmp_path, monkeypatch):
        """The interpreter is asked for all the time; who asks shall not wait for Python's switch interval each time."""
        slept = []
        monkeypatch.setattr(segment_files.time, "sleep", slept.append)
        sealable.seal(sealable.make(tmp_path / "one", 4))
        assert len(slept) * segment_files.GIVE_WAY_FRAMES >= 4 * 64


class TestWhenASegmentEnds:
    def segments(self, log, acks, record, count: int) -> int:
        journal = log.open()
        for number in range(count):
            journal.append_record(record(EventCode.AUDIT_READ, f"x-{number}"), acks)
            acks.wait(number + 1)
        journal.close()
        return len(list(log.settings.spool.rglob("*.manifest.json")))

    def test_by_its_evidence_alone(self, log, acks, record, monkeypatch):
        monkeypatch.setattr(journal_module, "MAX_EVIDENCE_BYTES", 3_000)
        assert 3 <= self.segments(log, acks, record, 10) <= 6

    def test_by_its_share_of_a_small_spool(self, log, acks, record):
        small = log.with_(max_spool_bytes=64_000, reserve_bytes=4_000)
        assert self.segments(small, acks, record, 12) >= 2
        assert self.segments(log, acks, record, 12) - self.segments(log, acks, record, 0) <= 1


def test_pieces_of_a_file_are_its_bytes(tmp_path, monkeypatch):
    monkeypatch.setattr("extproc.audit.files.PIECE_BYTES", 10)
    path = tmp_path / "file"
    path.write_bytes(bytes(range(25)))
    assert [len(piece) for piece in pieces_of(path)] == [10, 10, 5]
    assert sha256_of(path) == sha256_of(bytes(range(25)))
