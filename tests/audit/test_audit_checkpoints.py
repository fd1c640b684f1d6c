"""Each manifest signs the root over all records of its epoch up to it, whoever seals it."""

import hashlib
from pathlib import Path

import msgspec
import pytest

from extproc.audit.log import keeper
from extproc.audit.log.segment import ChainState, Manifest
from extproc.audit.merkle import MerkleTree
from extproc.audit.refusal import AuditRefused
from extproc.audit.signed import Domain, Signer, sign_document, split_document
from extproc.audit.verify.findings import Name


def reference(leaves: list[bytes]) -> bytes:
    """RFC 6962 section 2.1, as it is written there."""
    if len(leaves) == 1:
        return hashlib.sha256(b"\x00" + leaves[0]).digest()
    split = 1 << (len(leaves) - 1).bit_length() - 1
    return hashlib.sha256(b"\x01" + reference(leaves[:split]) + reference(leaves[split:])).digest()


def manifests(log) -> list[tuple[Path, Manifest]]:
    return [
        (path, msgspec.json.decode(split_document(path.read_bytes())[0], type=Manifest))
        for path in sorted(log.store_path.rglob("*.manifest.json"))
    ]


def abandon(journal) -> None:
    """The process dies before it has sealed anything."""
    journal._seal_last = lambda: None
    journal._queue.fail()
    journal._thread.join()
    journal._keeper._stopping = True
    journal._keeper._thread.join()
    journal._epoch.lock.release()


@pytest.fixture
def dead(log, exchange, monkeypatch) -> None:
    """A writer died with three unsealed segments."""

    def no_room(*_: object) -> None:
        raise OSError(28, "no space left on device")

    monkeypatch.setattr(keeper, "seal_segment", no_room)
    journal = log.with_(segment_bytes=1_500).open()
    for number in range(3):
        exchange(journal, f"x-{number}")
    exchange(journal, "x-open", end=False)
    abandon(journal)


def roots_hold(log) -> bool:
    lines: list[bytes] = []
    for path, manifest in manifests(log):
        if manifest.segment == 1:
            lines.clear()
        lines += path.with_name(f"{manifest.segment:010d}.jsonl").read_bytes().splitlines()
        if (manifest.epoch_size, manifest.epoch_root) != (len(lines), reference(lines).hex()):
            return False
    return True


def test_each_manifest_has_the_checkpoint_of_its_epoch(shipped):
    assert len(manifests(shipped)) >= 3
    assert roots_hold(shipped)


def test_an_adopter_goes_on_with_the_tree_of_the_dead(log, dead):
    log.adopt()
    log.ship()
    assert len(manifests(log)) >= 3
    assert roots_hold(log)
    assert log.verify(spool=False).exit_code == 0


def test_an_epoch_that_was_begun_before_there_were_checkpoints_is_finished_without(log, exchange, monkeypatch):
    real = ChainState.header

    def header(self, started_ms):
        return msgspec.structs.replace(real(self, started_ms), epoch_peaks=None)

    monkeypatch.setattr(ChainState, "header", header)
    journal = log.with_(segment_bytes=1_500).open()
    exchange(journal, "x-1")
    exchange(journal, "x-open", end=False)
    abandon(journal)
    monkeypatch.undo()
    log.adopt()
    log.ship()
    later = [(path, manifest) for path, manifest in manifests(log) if manifest.segment > 1]
    assert [(manifest.epoch_size, manifest.epoch_root) for _, manifest in later] == [(0, "")] * len(later) != []
    assert log.verify(spool=False).exit_code == 0


def test_a_signed_checkpoint_that_the_records_do_not_hash_to_is_found(log, exchange, monkeypatch):
    stolen = []
    real = Signer.certified.__func__

    def keep(cls, *arguments):
        stolen.append(real(cls, *arguments))
        return stolen[-1]

    monkeypatch.setattr(Signer, "certified", classmethod(keep))
    journal = log.open()
    exchange(journal, "x-1")
    journal.close()
    log.ship()
    ((path, manifest),) = manifests(log)
    for change in ({"epoch_root": "00" * 32}, {"epoch_size": manifest.epoch_size + 1}):
        forged = msgspec.structs.replace(manifest, **change)
        path.write_bytes(sign_document(stolen[0].key, Domain.MANIFEST, msgspec.json.encode(forged)))
        assert {finding.name for finding in log.verify(spool=False).findings} == {Name.FORKED}


@pytest.mark.parametrize("size", [0, 1, 2, 3, 6, 7, 8, 100])
def test_a_tree_goes_on_from_its_peaks(size):
    whole, first = MerkleTree(), MerkleTree()
    for number in range(size):
        first.append(b"%d" % number)
        whole.append(b"%d" % number)
    second = MerkleTree(first.size, first.peaks)
    for number in range(size, size + 5):
        second.append(b"%d" % number)
        whole.append(b"%d" % number)
    assert second.root() == whole.root()


@pytest.mark.parametrize(("size", "peaks"), [(1, ()), (0, (bytes(32),)), (3, (bytes(32),)), (1, (b"short",))])
def test_peaks_of_another_tree_are_refused(size, peaks):
    with pytest.raises(AuditRefused):
        MerkleTree(size, peaks)
