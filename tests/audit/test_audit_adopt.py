"""Adoption: whatever a dead writer acknowledged is kept, what it began is closed, what was damaged is said."""

import errno
import os
import random
import shutil
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

from extproc.audit.log import adopt, keeper, shipper
from extproc.audit.log.frames import Kind, scan
from extproc.audit.log.segment_files import seal_segment
from extproc.audit.reading.replay import read_transcript
from extproc.audit.refusal import AuditRefused
from extproc.audit.verify.findings import Name
from extproc.core.reasons import Unavailable
from extproc.core.record import EventCode


def abandon(journal) -> Path:
    """The process dies: its threads stop, its lock goes, nothing is written any more. Returns the epoch's folder."""
    directory = journal._epoch.path
    journal._seal_last = lambda: None
    journal._queue.fail()
    journal._thread.join()
    journal._keeper._stopping = True
    journal._keeper.stop()
    journal._epoch.lock.release()
    return directory


@pytest.fixture
def dead(log, exchange) -> Path:
    """A writer that died with one exchange done and one under way."""
    journal = log.open()
    exchange(journal, "x-done")
    exchange(journal, "x-open", end=False)
    return abandon(journal)


def test_an_interrupted_exchange_gets_its_closing_record(log, dead, lines_of):
    assert log.verify().exit_code == 2, "a dead writer that nobody adopted leaves the log unproven"
    (adopted,) = log.adopt()
    assert (adopted.recovered, adopted.bytes_cut, adopted.corrupt) == (1, 0, False)
    assert log.adopt() == []
    log.ship()
    lines = lines_of(log)
    assert [line["event_code"] for line in lines][-2:] == ["inference.recovered", "log.adopt"]
    recovered = lines[-2]
    assert (recovered["exchange_id"], recovered["status"]) == ("x-open", "recovered")
    assert recovered["content_frames"] >= 2
    assert recovered["actor"]["uid"] == "https://idp.test|analyst"
    report = log.verify()
    assert report.exit_code == 0
    assert [finding.name for finding in report.findings] == [Name.UNCLEAN_END]
    assert not dead.exists(), "a finished and shipped epoch leaves the spool"


def test_a_journal_that_nobody_has_adopted_yet_is_not_taken_away(log, dead):
    """The shipper may pass between a death and the adoption: the only copy stands in the journal."""
    assert log.ship() == 0
    assert list(dead.glob("*.journal"))
    log.adopt()
    log.ship()
    assert log.verify().exit_code == 0


def test_what_was_delivered_before_the_death_can_be_replayed(log, dead, story):
    log.adopt()
    log.ship()
    transcript = read_transcript(log.look(), log.keys, "x-open")
    assert b"".join(piece.data for piece in transcript.pieces if piece.direction == "to_client") == b"".join(story[1])
    assert transcript.closed


def test_a_torn_tail_is_cut_at_every_byte_of_the_last_frame(log, dead, tmp_path, monkeypatch):
    for sync in ("fsync", "fdatasync"):
        monkeypatch.setattr(os, sync, lambda fd: None)  # hundreds of adoptions; what they sync is tested elsewhere
    path = next(dead.glob("*.journal"))
    whole = path.read_bytes()
    frames = scan(whole).frames
    start = frames[-2].end
    pristine = tmp_path / "pristine"
    shutil.copytree(dead, pristine)
    for length in range(start, len(whole)):
        shutil.rmtree(dead)
        shutil.copytree(pristine, dead)
        path.write_bytes(whole[:length])
        (adopted,) = log.adopt()
        assert adopted.bytes_cut == length - start
        assert not adopted.corrupt
        evidence = next(dead.glob("*1.jsonl")).read_bytes()
        for frame in frames[:-1]:
            if frame.kind is Kind.RECORD:
                assert frame.payload in evidence


def test_damage_before_the_last_commit_is_quarantined_and_found(log, dead):
    path = next(dead.glob("*.journal"))
    data = bytearray(path.read_bytes())
    frames = scan(bytes(data)).frames
    data[frames[4].end + 60] ^= 1
    path.write_bytes(data)
    assert log.verify().exit_code == 1
    (adopted,) = log.adopt()
    assert adopted.corrupt
    assert adopted.bytes_cut == len(data) - frames[4].end
    (kept,) = (log.settings.spool / "quarantine").iterdir()
    assert kept.read_bytes() == bytes(data)
    log.ship()
    report = log.verify()
    assert report.exit_code == 1
    assert Name.CORRUPT in {finding.name for finding in report.findings}


def test_damage_in_the_last_commit_is_a_torn_tail(log, dead):
    path = next(dead.glob("*.journal"))
    data = bytearray(path.read_bytes())
    data[scan(bytes(data)).frames[-2].end + 60] ^= 1
    path.write_bytes(data)
    (adopted,) = log.adopt()
    assert not adopted.corrupt
    assert adopted.bytes_cut > 0


def test_an_adopter_that_dies_in_the_middle_is_followed_by_another(log, dead, monkeypatch, lines_of):
    def dies(*_: object) -> None:
        raise OSError(errno.EIO, "input/output error")

    monkeypatch.setattr(adopt, "seal_segment", dies)
    with pytest.raises(Unavailable):
        log.adopt()
    monkeypatch.undo()
    (adopted,) = log.adopt()
    assert adopted.recovered == 0, "the first adopter had closed it already"
    log.ship()
    codes = [line["event_code"] for line in lines_of(log)]
    assert codes[-3:] == ["inference.recovered", "log.adopt", "log.adopt"]
    assert log.verify().exit_code == 0


def test_a_death_between_the_last_record_and_its_sealing_is_finished(log, exchange, monkeypatch):
    def dies(*_: object) -> None:
        raise OSError(errno.EIO, "input/output error")

    monkeypatch.setattr(keeper, "seal_segment", dies)
    journal = log.open()
    exchange(journal, "x")
    journal.close()
    monkeypatch.undo()
    assert log.verify().exit_code == 0 or log.adopt()
    log.adopt()
    log.ship()
    assert log.verify().exit_code == 0


def test_several_unsealed_segments_are_sealed_in_order(log, exchange, monkeypatch):
    def no_room(*_: object) -> None:
        raise OSError(errno.ENOSPC, "no space left on device")

    monkeypatch.setattr(keeper, "seal_segment", no_room)
    journal = log.with_(segment_bytes=1_500).open()
    for number in range(3):
        exchange(journal, f"x-{number}")
    exchange(journal, "x-open", end=False)
    directory = abandon_unsealed(journal)
    monkeypatch.undo()
    assert len(list(directory.glob("*.journal"))) > 2
    (adopted,) = log.adopt()
    assert adopted.recovered == 1
    log.ship()
    assert log.verify().exit_code == 0
    assert read_transcript(log.look(), log.keys, "x-open").closed


def abandon_unsealed(journal) -> Path:
    journal._seal_last = lambda: None
    journal._queue.fail()
    journal._thread.join()
    journal._keeper._stopping = True
    journal._keeper._thread.join()
    journal._epoch.lock.release()
    return journal._epoch.path


class TestDeathBetweenManifestAndRemovalOfTheJournal:
    @pytest.fixture
    def undeletable(self, monkeypatch):
        """The writer dies when it is about to remove a journal."""
        real = Path.unlink

        def unlink(self: Path, missing_ok: bool = False) -> None:
            if self.name.endswith(".journal"):
                raise OSError(errno.EIO, "dies here")
            real(self, missing_ok=missing_ok)

        monkeypatch.setattr(Path, "unlink", unlink)
        return monkeypatch

    def test_nothing_is_shipped_before_it_is_finished(self, log, exchange, undeletable):
        journal = log.open()
        exchange(journal, "x")
        journal.close()
        undeletable.undo()
        assert log.ship() == 0
        assert log.adopt() == [], "the epoch had its end"
        assert log.ship() == 1
        report = log.verify(spool=False)
        assert (report.exit_code, report.findings) == (0, [])
        assert list((log.settings.spool / "epochs" / "worker-0").iterdir()) == []

    def test_the_next_segment_goes_on(self, log, exchange, undeletable):
        journal = log.with_(segment_bytes=1_500).open()
        exchange(journal, "x-open", end=False)
        journal._keeper._thread.join(10)
        directory = abandon_unsealed(journal)
        undeletable.undo()
        (sealed,) = directory.glob("*.manifest.json")
        assert sealed.with_name("0000000001.journal").exists()
        assert log.ship() == 0
        (adopted,) = log.adopt()
        assert (adopted.recovered, adopted.corrupt) == (1, False)
        assert log.ship() >= 2
        assert log.verify(spool=False).exit_code == 0
        assert read_transcript(log.look(), log.keys, "x-open").closed

    def test_an_epoch_without_another_journal_gets_its_end(self, log, exchange, undeletable):
        journal = log.open()
        exchange(journal, "x-open", end=False)
        signer = journal._keeper._signer
        directory = abandon(journal)
        with pytest.raises(OSError, match="dies here"):
            seal_segment(directory, 1, signer, int(time.time() * 1000))
        undeletable.undo()
        (adopted,) = log.adopt()
        assert (adopted.recovered, adopted.bytes_cut) == (1, 0)
        assert log.ship() == 2
        assert log.verify(spool=False).exit_code == 0
        assert read_transcript(log.look(), log.keys, "x-open").closed


def test_a_death_before_the_epoch_is_published_leaves_nothing(log):
    writer = log.settings.spool / "epochs" / "worker-0"
    unborn = writer / ".tmp-20260101T000000Z-0000000000000000-aaaaaaaa"
    unborn.mkdir(parents=True)
    (unborn / "lock").touch()
    assert log.adopt() == []
    assert not unborn.exists()


class TestDeathWhileAFinishedEpochIsRemoved:
    @pytest.mark.parametrize("removed", range(5))
    def test_what_is_left_of_it_is_no_epoch(self, log, exchange, monkeypatch, removed):
        """The shipper is killed after so many files are gone; in the order in which that hurts."""
        journal = log.open()
        exchange(journal, "x")
        journal.close()
        left: list[Path] = []

        def killed(path: Path, **_: object) -> None:
            for name in ("registry.shipped", "registry.json", "lock")[:removed]:
                (path / name).unlink()
            if removed == 4:
                path.rmdir()
            left.append(path)

        monkeypatch.setattr(shutil, "rmtree", killed)
        log.ship()
        monkeypatch.undo()
        (remnant,) = left
        assert log.adopt() == []
        if removed == 3:
            assert remnant.exists(), "it could be an epoch that is being made"
            os.utime(remnant, (0, 0))
            assert log.adopt() == []
        assert not remnant.exists()
        log.ship()
        other = log.open()
        other.close()
        log.ship()
        report = log.verify()
        assert (report.exit_code, report.findings) == (0, [])

    @pytest.mark.parametrize("names", [["registry.json"], ["registry.shipped"], ["registry.json", "registry.shipped"]])
    def test_a_remnant_under_its_own_name_is_not_registered_again(self, log, exchange, monkeypatch, names):
        journal = log.open()
        exchange(journal, "x")
        journal.close()
        log.open("worker-1").close()
        (directory,) = (log.settings.spool / "epochs" / "worker-0").iterdir()

        def killed(path: Path) -> None:
            for name in names:
                (path / name).unlink()

        monkeypatch.setattr(shipper, "remove_epoch", killed)
        log.ship()
        monkeypatch.undo()
        assert directory.exists()
        log.adopt()
        log.ship()
        assert not directory.exists()
        log.open("worker-1").close()
        log.ship()
        report = log.verify()
        assert (report.exit_code, report.findings) == (0, [])


class TestDamagedSpool:
    @pytest.mark.parametrize("rest", [b"", b"no header"])
    def test_a_journal_without_a_header_is_put_aside_once(self, log, dead, exchange, rest):
        (path,) = dead.glob("*.journal")
        path.write_bytes(rest)
        other = log.open("worker-1")
        exchange(other, "x-other", end=False)
        abandon(other)
        assert [adopted.recovered for adopted in log.adopt()] == [1], "the other epoch"
        (kept,) = (log.settings.spool / "quarantine").iterdir()
        assert kept.read_bytes() == rest
        assert not path.exists()
        assert log.adopt() == []
        log.ship()
        assert not dead.exists()
        report = log.verify()
        assert [
            (finding.name, dead.name in finding.what) for finding in report.findings if finding.name != Name.UNCLEAN_END
        ] == [(Name.WRITER_MISSING, True)]

    def test_what_lies_behind_a_journal_without_a_header_is_kept(self, log, exchange, monkeypatch):
        def no_room(*_: object) -> None:
            raise OSError(errno.ENOSPC, "no space left on device")

        monkeypatch.setattr(keeper, "seal_segment", no_room)
        journal = log.with_(segment_bytes=1_500).open()
        for number in range(3):
            exchange(journal, f"x-{number}")
        directory = abandon_unsealed(journal)
        monkeypatch.undo()
        (directory / "0000000001.journal").write_bytes(b"")
        (adopted,) = log.adopt()
        assert adopted.corrupt
        log.ship()
        report = log.verify()
        assert report.exit_code == 1
        assert report.records > 0
        assert Name.CORRUPT in {finding.name for finding in report.findings}

    @pytest.mark.parametrize(
        "head", [b"", b"{", b"[]", b'{"spool":"a","number":1,"digest":"","origin":"..","document":""}']
    )
    def test_a_registry_head_that_does_not_parse_is_named(self, log, dead, head):
        path = log.settings.spool / "registry" / "head.json"
        path.write_bytes(head)
        with pytest.raises(AuditRefused, match=str(path)):
            log.open("worker-1")
        with pytest.raises(Unavailable):
            log.adopt()
        report = log.verify()
        assert report.exit_code == 1
        assert report.records > 0, "the rest is looked at all the same"
        assert [finding.what for finding in report.findings if finding.name is Name.ALTERED] == [
            f"{path} does not parse"
        ]

    @pytest.mark.parametrize(
        "stray", ["worker-0/old", "worker-0/20260101T000000Z", "-x/20260101T000000Z-0000000000000000"]
    )
    def test_a_stray_directory_stops_nothing_and_is_reported(self, log, dead, stray):
        path = log.settings.spool / "epochs" / stray
        path.mkdir(parents=True)
        (path / "notes.journal").touch()
        (adopted,) = log.adopt()
        assert adopted.recovered == 1
        assert log.ship() == 1
        journal = log.open()
        assert journal.accepting()
        journal.close()
        log.ship()
        assert path.exists()
        report = log.verify()
        assert [(finding.name, finding.where) for finding in report.findings if finding.name != Name.UNCLEAN_END] == [
            (Name.STRANGER, str(path))
        ]


CHILD = """
import sys, threading
from pathlib import Path
from extproc.audit.log.journal import Journal
from extproc.audit.keys.keys import AuditKeys
from extproc.audit.settings import AuditSettings, DirectoryStore
from extproc.core.record import *
from extproc.core.trust import Masked

root = Path(sys.argv[1])
settings = AuditSettings(deployment="test", spool=root / "spool", keys=root / "keys",
    store=DirectoryStore(root / "store"), segment_bytes=20_000, reserve_bytes=0)
journal = Journal.open(settings, AuditKeys.load_or_create(settings.keys), writer="victim", deliver=lambda run: run())
out = open(sys.stdout.fileno(), 'wb', buffering=0, closefd=False)

def record(code, exchange_id):
    return Record(event_code=code, time_ms=1, actor=Actor(uid="a"), status=Outcome.COMPLETED, src_address="s",
        resource=Resource(connection="c", operation="chat", protocol="h"), exchange_id=exchange_id)

def client(name):
    number = 0
    while True:
        number += 1
        exchange_id = f"{name}-{number}"
        content = journal.open_content(exchange_id)
        for code in (EventCode.INFERENCE_REQUEST, None, None, EventCode.INFERENCE_END):
            step = threading.Event()
            if code is None:
                content.append(Direction.TO_CLIENT, 1, Masked(exchange_id.encode()), lambda ok: step.set())
                step.wait()
            else:
                seq = journal.append_record(record(code, exchange_id), lambda ok: step.set())
                step.wait()
                out.write(f"{seq} {code} {exchange_id}\\n".encode())

for name in "abcd":
    threading.Thread(target=client, args=(name,)).start()
"""


def test_kill_9_in_a_loop_loses_nothing_that_was_acknowledged(log, tmp_path, lines_of):
    """P2: 10 writers are killed at random moments; what each had acknowledged is in the proven log, in its place."""
    rng = random.Random(7)
    acknowledged: dict[int, set[tuple[int, str, str]]] = {}
    for round_number in range(10):
        output = tmp_path / f"acks-{round_number}"
        with output.open("wb") as stream:
            child = subprocess.Popen([sys.executable, "-c", textwrap.dedent(CHILD), str(tmp_path)], stdout=stream)
            deadline = time.monotonic() + 20
            while output.stat().st_size == 0:
                assert child.poll() is None
                assert time.monotonic() < deadline
                time.sleep(0.005)
            time.sleep(rng.uniform(0.0, 0.15))
            child.send_signal(signal.SIGKILL)
            child.wait(10)
        whole = output.read_bytes().rpartition(b"\n")[0].decode().splitlines()
        acknowledged[round_number] = {(int(seq), code, name) for seq, code, name in map(str.split, whole)}
        adopted = log.adopt()
        assert len(adopted) == 1
        assert not adopted[0].corrupt
        if round_number % 5 == 4:
            log.ship()
    log.ship()
    report = log.verify()
    assert report.exit_code == 0, report.findings
    epochs: dict[str, list[dict]] = {}
    for line in lines_of(log):
        epochs.setdefault(line["origin"], []).append(line)
    assert len(epochs) == 10
    stored = [{(at["seq"], at["event_code"], at.get("exchange_id", "")) for at in lines} for lines in epochs.values()]
    for acks in acknowledged.values():
        assert acks
        assert any(acks <= lines for lines in stored)
    for lines in epochs.values():
        begun = [at["exchange_id"] for at in lines if at["event_code"] == EventCode.INFERENCE_REQUEST]
        ended = [at["exchange_id"] for at in lines if at["event_code"] in ("inference.end", "inference.recovered")]
        assert sorted(begun) == sorted(ended), "every exchange that began is closed, once"
    assert os.listdir(log.settings.spool / "epochs" / "victim") == []
