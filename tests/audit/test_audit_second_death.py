"""Who dies in the middle of a repair or a removal leaves half of it; whoever comes next loses nothing and hides nothing."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from extproc.audit import files
from extproc.audit.log import adopt
from extproc.audit.log.frames import Kind, scan
from extproc.audit.log.spool import EpochLock
from extproc.audit.settings import DirectoryStore
from extproc.audit.stores.store import Directory
from extproc.audit.verify.findings import Name
from extproc.core.reasons import Unavailable
from tests.audit.test_audit_setbacks import abandon

BAG = "v1/keys/test/2026/01/01/worker-0/20260101T000000Z-00000000000000aa/{:010d}.keys.jsonl"


class Killed(BaseException):
    """Nothing catches a death."""


def dies(*_: object, **__: object) -> None:
    raise Killed


@pytest.fixture
def dead(log, exchange) -> Path:
    journal = log.open()
    exchange(journal, "x-1")
    exchange(journal, "x-2", end=False)
    return abandon(journal)


def damage(directory: Path) -> None:
    """One bit in a commit that had been durable; later commits stand behind it."""
    path = min(directory.glob("*.journal"))
    data = bytearray(path.read_bytes())
    data[scan(bytes(data)).frames[2].end + 60] ^= 1
    path.write_bytes(data)


def losses(log) -> list[Name]:
    return [finding.name for finding in log.verify().findings]


class TestAdopterThatDiesOverDamage:
    """Its cut leaves a sound journal. That acknowledged records are gone is told all the same."""

    def test_before_it_tells(self, log, dead, monkeypatch):
        damage(dead)
        with monkeypatch.context() as patch:
            patch.setattr(adopt.AdoptedFile, "commit", dies)
            with pytest.raises(Killed):
                log.adopt()
        (adopted,) = log.adopt()
        assert adopted.corrupt
        assert adopted.bytes_cut > 0
        log.ship()
        assert Name.CORRUPT in losses(log)

    def test_while_it_puts_aside_what_lies_behind_the_damage(self, log, exchange, monkeypatch):
        journal = log.with_(segment_bytes=1_000).open()
        monkeypatch.setattr(journal._keeper, "seal", lambda *_: None)
        for number in range(3):
            exchange(journal, f"x-{number}")
        directory = abandon(journal)
        damage(directory)
        with monkeypatch.context() as patch:
            patch.setattr(adopt, "sync_directory", dies)
            with pytest.raises(Killed):
                log.adopt()
        (adopted,) = log.adopt()
        assert adopted.corrupt
        log.ship()
        assert Name.CORRUPT in losses(log)

    def test_while_it_puts_aside_a_journal_without_a_header(self, log, exchange, monkeypatch):
        journal = log.with_(segment_bytes=1_000).open()
        monkeypatch.setattr(journal._keeper, "seal", lambda *_: None)
        exchange(journal, "x-1")
        exchange(journal, "x-2")
        directory = abandon(journal)
        first, *rest = sorted(directory.glob("*.journal"))
        assert rest
        first.write_bytes(bytes(100))
        with monkeypatch.context() as patch:
            patch.setattr(adopt, "sync_directory", dies)
            with pytest.raises(Killed):
                log.adopt()
        (adopted,) = log.adopt()
        assert (adopted.corrupt, adopted.bytes_cut) == (True, 100)

    def test_a_note_that_does_not_parse_is_one_of_damage(self, log, dead):
        (dead / "damage.json").write_bytes(b"\xff")
        (adopted,) = log.adopt()
        assert adopted.corrupt

    def test_without_damage_nothing_is_noted(self, log, dead):
        (adopted,) = log.adopt()
        assert not adopted.corrupt
        assert not (dead / "damage.json").exists()


def test_a_torn_tail_is_no_finding_whichever_frame_it_ends_behind(log, dead, tmp_path):
    path = min(dead.glob("*.journal"))
    whole = path.read_bytes()
    frames = scan(whole).frames
    assert Kind.KEY in {frame.kind for frame in frames}
    shutil.copytree(log.settings.spool, tmp_path / "before")
    for frame in frames[1:]:
        for folder in (log.settings.spool, log.store_path):
            shutil.rmtree(folder)
        shutil.copytree(tmp_path / "before", log.settings.spool)
        log.store_path.mkdir()
        path.write_bytes(whole[: frame.end])
        log.adopt()
        log.ship()
        report = log.verify(spool=False)
        assert (report.exit_code, [finding.name for finding in report.findings]) == (0, [Name.UNCLEAN_END]), (
            frame.number
        )


class TestWriterOfKeyBagThatDiesBehindTheLink:
    """Its temporary name is a second one of a bag that is in force."""

    def test_shredding_another_bag_of_the_epoch_leaves_it(self, tmp_path, monkeypatch):
        store = Directory(DirectoryStore(tmp_path))
        with monkeypatch.context() as patch:
            patch.setattr(Path, "unlink", dies)
            with pytest.raises(Killed):
                store.put_once(BAG.format(1), b"one")
        store.put_once(BAG.format(1), b"one")
        store.put_once(BAG.format(2), b"two")
        store.replace_key_bag(BAG.format(2), b"")
        store.delete_for_good(BAG.format(2))
        assert store.get(BAG.format(1)) == b"one"
        assert [path.name for path in tmp_path.rglob("*.*") if path.is_file()] == ["0000000001.keys.jsonl"]

    @pytest.mark.parametrize("moment", ["before-the-link", "behind-it"])
    def test_a_writer_that_lives_has_its_bag_whole_or_tries_again(self, tmp_path, monkeypatch, moment):
        store = Directory(DirectoryStore(tmp_path))
        store.put_once(BAG.format(2), b"two")
        link = files.os.link

        def meanwhile(source: Path, target: Path) -> None:
            monkeypatch.undo()
            if moment == "before-the-link":
                store.replace_key_bag(BAG.format(2), b"")
            link(source, target)
            if moment == "behind-it":
                store.replace_key_bag(BAG.format(2), b"")

        monkeypatch.setattr(files.os, "link", meanwhile)
        try_again(lambda: store.put_once(BAG.format(1), b"one"))
        assert store.get(BAG.format(1)) == b"one"


def try_again(put: Callable[[], None]) -> None:
    try:
        put()
    except Exception:  # noqa: BLE001 - what a shipper does: keep it, and try again
        put()


class TestOddLock:
    """One epoch, or what is left of one, is in nobody else's way."""

    @pytest.mark.parametrize("place", ["epoch", "unborn"])
    def test_the_others_are_adopted(self, log, dead, place):
        name = "20260101T000000Z-00000000000000aa" if place == "epoch" else ".tmp-x"
        odd = dead.parent / name / "lock"
        odd.mkdir(parents=True)
        if place == "epoch":
            with pytest.raises(Unavailable):
                log.adopt()
        else:
            log.adopt()
        assert not list(dead.glob("*.journal"))

    def test_an_epoch_whose_lock_is_gone_is_no_epoch_that_was_shipped(self, log, dead):
        (dead / "lock").unlink()
        with pytest.raises(Unavailable):
            log.adopt()
        assert list(dead.glob("*.journal"))

    def test_one_that_was_shipped_meanwhile_is_none(self, log, dead, monkeypatch):
        def gone(directory: Path) -> None:
            directory.rename(directory.with_name(".tmp-gone"))
            raise FileNotFoundError(directory)

        monkeypatch.setattr(EpochLock, "take", gone)
        assert log.adopt() == []
