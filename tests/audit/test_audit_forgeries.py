"""What somebody may do who can write to the store or the spool, and has none of the deployment's keys."""

import shutil
import time
from dataclasses import replace
from pathlib import Path

import pytest

from extproc.audit.keys.keys import AuditKeys
from extproc.audit.reading.span import Span
from extproc.audit.settings import DirectoryStore
from extproc.audit.verify.findings import Name
from extproc.core.reasons import Unavailable
from extproc.core.record import EventCode

from tests.audit.conftest import Log, run_exchange  # isort: skip


def names(report) -> set[str]:
    return {str(found.name) for found in report.findings if not found.excused}


class TestAWriterThatIsGone:
    """Its objects are removed, all of them, with its registry entry; the others began at the same time."""

    @pytest.fixture
    def at_ms(self, log) -> int:
        """A moment after which each of three living writers recorded something."""
        journals = [log.open(f"worker-{at}") for at in range(3)]
        time.sleep(0.01)
        at_ms = int(time.time() * 1000)
        for at, journal in enumerate(journals):
            run_exchange(journal, f"x-{at}")
            journal.close()
        log.ship()
        return at_ms

    @pytest.mark.parametrize("spool", [True, False], ids=["with the spool", "store only"])
    def test_all_are_there(self, log, at_ms: int, spool: bool) -> None:
        assert log.verify(spool=spool, asked=Span(at_ms, None)).exit_code == 0

    @pytest.mark.parametrize("spool", [True, False], ids=["with the spool", "store only"])
    @pytest.mark.parametrize("number", [0, 1])
    def test_p4_a_range_that_begins_later_hides_nothing(self, log, at_ms: int, number: int, spool: bool) -> None:
        for path in [path for path in log.store_path.rglob("*") if path.is_file()]:
            if f"worker-{number}" in path.as_posix():
                path.unlink()
        for asked in (Span(at_ms, None), Span(None, None)):
            report = log.verify(spool=spool, asked=asked)
            assert report.exit_code != 0
            assert names(report) & {Name.EPOCH_MISSING, Name.SHORT, Name.WRITER_MISSING}


class TestAJournalOfOnesOwn:
    @pytest.fixture
    def forger(self, log, tmp_path: Path) -> Log:
        """Somebody with keys that the deployment does not know, in the deployment's spool."""
        return Log(log.settings, AuditKeys.load_or_create(tmp_path / "others"))

    @pytest.fixture
    def emptied(self, log) -> Log:
        for at in range(2):
            journal = log.open()
            run_exchange(journal, f"x-{at}")
            journal.close()
            log.ship()
        for path in (log.store_path / "v1/keys").rglob("*.jsonl"):
            path.write_bytes(b"")
        assert names(log.verify()) == {Name.CONTENT_KEY_ABSENT}
        return log

    def hide(self, log: Log, writer: str, head: bytes) -> None:
        """Nothing of the register tells of the forger's epoch."""
        (log.settings.spool / "registry/head.json").write_bytes(head)
        for path in (log.settings.spool / "epochs" / writer).rglob("registry*"):
            path.unlink()

    def test_p4_what_nobody_signed_excuses_nothing(self, emptied: Log, forger: Log, record, acks) -> None:
        """A shredding that stands in no sealed segment, by whom the deployment certified no key."""
        head = (emptied.settings.spool / "registry/head.json").read_bytes()
        (emptied.settings.spool / "registry/head.json").unlink()  # else a journal with other keys is not opened
        journal = forger.open("worker-9")
        shred = record(EventCode.ADMIN_SHRED, "")
        journal.append_record(replace_detail(shred, before_ms=shred.time_ms), acks)
        acks.wait(1)
        self.hide(emptied, "worker-9", head)
        report = emptied.verify(later=False)
        journal.close()
        assert report.exit_code == 1
        assert names(report) >= {Name.CONTENT_KEY_ABSENT, Name.ALTERED}

    @pytest.mark.parametrize(("later_ms", "left"), [(0, set()), (10**9, {Name.CONTENT_KEY_ABSENT})])
    def test_the_deployments_own_words_excuse_once_they_are_sealed(
        self, emptied: Log, record, acks, later_ms: int, left: set[Name]
    ) -> None:
        """And nothing that is younger than they are."""
        journal = emptied.open("shred")
        shred = record(EventCode.ADMIN_SHRED, "")
        journal.append_record(replace_detail(shred, before_ms=shred.time_ms + later_ms), acks)
        acks.wait(1)
        assert Name.CONTENT_KEY_ABSENT in names(emptied.verify(later=False))
        journal.close()
        assert names(emptied.verify()) == left

    def test_p4_it_is_not_adopted(self, log, forger: Log, record) -> None:
        """Adopting would put the deployment's signature under it."""
        journal = forger.open("worker-9")
        journal.append_record(record(EventCode.INFERENCE_REQUEST, "x"))
        left = Path(shutil.copytree(journal._epoch.path, log.settings.spool / "left"))
        journal.close()
        target = journal._epoch.path
        shutil.rmtree(target, ignore_errors=True)
        left.rename(target)
        shutil.rmtree(log.settings.spool / "registry")  # it tells of the forger's keys, and nothing would be adopted
        for path in target.glob("registry*"):
            path.unlink()
        with pytest.raises(Unavailable):
            log.adopt()
        assert list(target.glob("*.manifest.json")) == []
        assert list(target.glob("*.journal"))


def replace_detail(record, **detail: object):
    from msgspec import structs

    return structs.replace(record, detail=detail)


def test_p4_a_writer_does_not_adopt_itself(log, record) -> None:
    """Who has the epoch's key and an adopter's could end it after segments that the writer never signed."""
    journal = log.open()
    journal.append_record(record(EventCode.INFERENCE_REQUEST, "x"))
    journal.append_record(replace_detail(record(EventCode.LOG_ADOPT, ""), certificate="an adopter's", last_seq=2))
    journal.close()
    log.ship()
    told = [found.what for found in log.verify(spool=False).findings if found.name is Name.FORKED]
    assert told == ["the epoch's own key signed that the epoch was adopted"]


class TestLinksAndHiddenFolders:
    """A directory store is what lies in it."""

    @pytest.fixture
    def stored(self, log, exchange) -> Log:
        journal = log.open()
        exchange(journal, "x")
        journal.close()
        log.ship()
        assert log.verify(spool=False).exit_code == 0
        return log

    def test_a_link_is_no_object(self, stored: Log, tmp_path: Path) -> None:
        (path,) = (stored.store_path / "v1/evidence").rglob("*1.jsonl")
        path.rename(tmp_path / "elsewhere")
        path.symlink_to(tmp_path / "elsewhere")
        assert stored.verify(spool=False).exit_code != 0

    @pytest.mark.parametrize("name", ["linked", ".tmp-x"])
    def test_a_folder_that_nobody_made_is_a_stranger(self, stored: Log, tmp_path: Path, name: str) -> None:
        place = stored.store_path / "v1/evidence/test" / name
        if name == "linked":
            place.symlink_to(tmp_path)
        else:
            place.mkdir()
            (place / "copy").write_bytes(b"x")
        assert names(stored.verify(spool=False)) == {Name.STRANGER}


def test_the_store_of_another_log_is_not_this_one(log, exchange, tmp_path: Path) -> None:
    """Negative twin of all above: another deployment's objects, whole in themselves, prove nothing here."""
    other = Log(replace(log.settings, store=DirectoryStore(tmp_path / "b"), spool=tmp_path / "c"), log.keys)
    journal = Log(other.settings, AuditKeys.load_or_create(tmp_path / "d")).open()
    exchange(journal, "x")
    journal.close()
    other.ship()
    assert other.verify(spool=False).exit_code == 1
