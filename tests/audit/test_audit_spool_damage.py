"""What a disk, or whoever may write to it, does to the spool: nothing of it is stored for good, and it stops one epoch."""

import contextlib
import errno
import os
import shutil
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from extproc.audit.log.clock import KernelClock, Synchronised
from extproc.audit.log.keeper import Keeper
from extproc.audit.log.registry import Registry
from extproc.audit.log.shipper import Shipper, ShippingFailed
from extproc.audit.log.spool import DIVERGENT, epoch_path, epochs, measure
from extproc.audit.names import Origin
from extproc.audit.stores.store import Fault
from extproc.audit.verify.findings import Name
from extproc.core.reasons import Unavailable
from tests.audit.test_audit_setbacks import abandon


def waiting_epoch(log, exchange, writer: str = "worker-0") -> Path:
    """A closed epoch that is not shipped."""
    journal = log.open(writer)
    exchange(journal, f"x-{writer}")
    journal.close()
    return epoch_path(log.settings.spool, Origin.parse(journal.origin))


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def link_elsewhere(path: Path) -> None:
    other = path.with_name("elsewhere")
    other.write_bytes(b"other")
    path.unlink()
    path.symlink_to(other)


def make_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


DAMAGE: dict[str, Callable[[Path], None]] = {
    "gone": Path.unlink,
    "empty": lambda path: path.write_bytes(b"") and None,
    "flip": flip,
    "link": link_elsewhere,
    "folder": make_folder,
}
FILES = {"evidence": "1.jsonl", "content": "1.content", "bag": "1.keys.jsonl", "manifest": "1.manifest.json"}


class TestSealedFiles:
    @pytest.mark.parametrize(
        ("name", "what"),
        [(name, what) for name in FILES for what in DAMAGE if name not in ("bag", "manifest") or what == "flip"],
    )
    def test_what_is_not_as_it_was_sealed_is_not_stored_and_is_told(self, log, exchange, name, what):
        directory = waiting_epoch(log, exchange)
        (path,) = (path for path in directory.iterdir() if path.name.endswith("00" + FILES[name]))
        DAMAGE[what](path)
        other = waiting_epoch(log, exchange, "worker-1")
        with pytest.raises(ShippingFailed) as failed:
            log.ship()
        assert failed.value.fault is Fault.SPOOL
        assert not other.exists(), "the others go on"
        stored = [path for path in log.store_path.rglob("*0000*") if path.is_file()]
        assert not [path for path in stored if directory.name in path.as_posix()]
        report = log.verify()
        assert report.exit_code == (2 if what == "folder" else 1), "it cannot be read, or it is not what was signed"
        assert report.records >= 4, "the other one is proven all the same"
        shutil.rmtree(directory)
        assert log.ship() == 0
        assert Name.WRITER_MISSING in {finding.name for finding in log.verify().findings}

    def test_what_another_shipper_stored_before_it_died_need_not_be_here(self, log, exchange):
        directory = waiting_epoch(log, exchange)
        (origin,) = (origin for origin, _ in epochs(log.settings.spool, "test"))
        for path in directory.glob("*1.jsonl"):
            log.store.put_once(f"v1/evidence/{origin.folder}/{path.name}", path.read_bytes())
            path.unlink()
        assert log.ship() == 1
        assert log.verify(spool=False).exit_code == 0

    def test_a_restored_spool_brings_no_destroyed_key_back(self, log, exchange, tmp_path):
        """All of it had been stored; since then `retention-check --enforce` destroyed the key bag."""
        directory = waiting_epoch(log, exchange)
        shutil.copytree(directory, tmp_path / "backup")
        log.ship()
        (bag,) = log.store_path.rglob("*.keys.jsonl")
        log.store.delete_for_good(bag.relative_to(log.store_path).as_posix())
        shutil.copytree(tmp_path / "backup", directory)
        assert (log.ship(), bag.exists(), directory.exists()) == (1, False, False)

    def test_a_shipper_that_died_before_the_key_bag_is_no_destruction(self, log, exchange):
        directory = waiting_epoch(log, exchange)
        (origin,) = (origin for origin, _ in epochs(log.settings.spool, "test"))
        (evidence,) = directory.glob("*1.jsonl")
        log.store.put_once(f"v1/evidence/{origin.folder}/{evidence.name}", evidence)
        assert log.ship() == 1
        assert list(log.store_path.rglob("*.keys.jsonl"))
        assert log.verify(spool=False).exit_code == 0

    def test_another_epochs_files_are_not_stored_in_its_place(self, log, exchange):
        """A spool that was restored, or copied, into the wrong folder."""
        directory = waiting_epoch(log, exchange)
        copy = directory.with_name("20260101T000000Z-00000000000000aa")
        shutil.copytree(directory, copy)
        with pytest.raises(ShippingFailed) as failed:
            log.ship()
        assert failed.value.fault is Fault.SPOOL
        assert not directory.exists()
        assert not [path for path in log.store_path.rglob("*") if copy.name in path.name]
        (copy / "registry.shipped").write_bytes(b"")
        with pytest.raises(ShippingFailed):
            log.ship()
        assert not [path for path in log.store_path.rglob("*") if copy.name in path.name]

    @pytest.mark.parametrize("what", ["empty", "flip"])
    @pytest.mark.parametrize("name", ["manifest", "evidence"])
    def test_beside_its_journal_it_is_sealed_again(self, log, exchange, name, what):
        journal = log.open()
        exchange(journal, "x")
        directory = abandon(journal)
        (path,) = directory.glob("*.journal")
        kept = path.read_bytes()
        log.adopt()
        path.write_bytes(kept)
        DAMAGE[what](next(path for path in directory.iterdir() if path.name.endswith("00" + FILES[name])))
        log.adopt()
        log.ship()
        report = log.verify(spool=False)
        assert (report.exit_code, {finding.name for finding in report.findings}) == (0, {Name.UNCLEAN_END})


@pytest.mark.parametrize("segment", [1, 2])
def test_another_epochs_journal_is_not_adopted(log, exchange, segment):
    """Where its first segment is not here any more, no certificate says whose it is; its header does."""
    journal = log.with_(segment_bytes=1_000).open()
    exchange(journal, "x")
    directory = abandon(journal)
    log.adopt()
    journal = log.with_(segment_bytes=1_000).open()
    journal._keeper.seal = lambda *_: None
    exchange(journal, "y")
    source = abandon(journal)
    copy = source.with_name("20260101T000000Z-00000000000000aa")
    copy.mkdir()
    (copy / "lock").write_bytes(b"")
    for path in sorted(source.glob("*.journal"))[segment - 1 :]:
        shutil.copy(path, copy)
    shutil.rmtree(source)
    with pytest.raises(Unavailable):
        log.adopt()
    assert list(copy.glob("*.journal"))
    assert not list(copy.glob("*.manifest.json"))
    assert directory.exists()


class TestNoNameLeftForFile:
    """A disk without inodes takes what is appended to a file, and no new one: nothing would be sealed, and none told."""

    def test_is_a_full_disk(self, log, exchange, monkeypatch):
        journal = log.with_(segment_bytes=1_500).open()
        real = os.open

        def no_more(path, flags, *more, **named):
            if flags & os.O_CREAT and Path(path).suffix == ".journal":
                raise OSError(errno.ENOSPC, "no space left on device")
            return real(path, flags, *more, **named)

        monkeypatch.setattr(
            os, "statvfs", lambda _: os.statvfs_result((4096, 4096, 9**9, 9**9, 9**9, 99, 0, 0, 0, 255))
        )
        monkeypatch.setattr(os, "open", no_more)
        with contextlib.suppress(Unavailable):  # it may be seen before the exchange is over
            exchange(journal, "x-1")
        assert wait_until(lambda: not journal.accepting())
        assert not journal.failed
        monkeypatch.undo()
        assert wait_until(journal.accepting)
        exchange(journal, "x-2")
        journal.close()
        log.ship()
        assert log.verify(spool=False).exit_code == 0

    def test_a_disk_that_does_not_count_its_files_has_room(self, log, exchange, monkeypatch):
        monkeypatch.setattr(os, "statvfs", lambda _: os.statvfs_result((4096, 4096, 9**9, 9**9, 9**9, 0, 0, 0, 0, 255)))
        journal = log.open()
        assert journal.accepting()
        journal.close()


def wait_until(met: Callable[[], bool], seconds: float = 20.0) -> bool:
    deadline = time.monotonic() + seconds
    while not met() and time.monotonic() < deadline:
        time.sleep(0.02)
    return met()


@pytest.mark.parametrize("hours", [-1, 1])
def test_a_clock_that_was_set_hides_no_lag(log, exchange, hours):
    waiting_epoch(log, exchange)
    assert measure(log.settings.spool, time.time() + hours * 3600).oldest_pending_seconds > 3500
    assert measure(log.settings.spool, time.time()).oldest_pending_seconds < 60


@pytest.mark.parametrize("what", ["diverges", "clock"])
def test_an_epoch_that_begins_under_a_pause_takes_nothing_for_a_moment_either(log, exchange, monkeypatch, what):
    monkeypatch.setattr("extproc.audit.log.keeper.WATCH_SECONDS", 600.0)
    (waiting_epoch(log, exchange) / DIVERGENT).write_bytes(b"{}")
    if what == "clock":
        shutil.rmtree(log.settings.spool / "epochs")
        monkeypatch.setattr("extproc.audit.log.keeper.ask_kernel", lambda: KernelClock(Synchronised.NO))
    barred = log.with_(refuse_unsynchronised_clock=what == "clock").open("worker-1")
    assert not barred.accepting()
    monkeypatch.undo()
    barred.close()


@pytest.mark.parametrize("part", ["register", "keeper"])
def test_an_epoch_that_cannot_begin_is_a_dead_one_and_held_by_nobody(log, exchange, monkeypatch, part):
    def no_thread(*_: object) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patch:
        patch.setattr(Registry, "register", no_thread) if part == "register" else patch.setattr(
            Keeper, "start", no_thread
        )
        with pytest.raises(RuntimeError):
            log.open()
    (adopted,) = log.adopt()
    assert adopted.last_seq == 1


def test_who_finds_another_shipper_at_work_has_seen_nothing_of_the_store(log, exchange, monkeypatch):
    waiting_epoch(log, exchange)
    inside, go_on = threading.Event(), threading.Event()
    real = Shipper._ship_all

    def slow(self, store):
        inside.set()
        assert go_on.wait(20)
        return real(self, store)

    monkeypatch.setattr(Shipper, "_ship_all", slow)
    thread = threading.Thread(target=log.ship)
    thread.start()
    assert inside.wait(20)
    result = Shipper(log.settings).ship_pending()
    go_on.set()
    thread.join()
    assert (result.by_another, result.shipped) == (True, 0)
    assert not Shipper(log.settings).ship_pending().by_another
