"""P4: the record cannot be changed unnoticed."""

import hashlib
import itertools
import json
import shutil
import time
from pathlib import Path

import msgspec
import pytest

from extproc.audit.log.segment import Manifest, line_digest, object_ref
from extproc.audit.merkle import MerkleTree, leaf_hash, merkle_root
from extproc.audit.reading.span import Span
from extproc.audit.signed import Domain, Role, Signer, sign_document, split_document
from extproc.audit.verify.findings import Name


def objects(log, *suffixes: str) -> list[Path]:
    found = [path for path in log.store_path.rglob("*") if path.is_file() and path.name.endswith(suffixes)]
    bags = ".keys.jsonl" in suffixes
    return sorted(path for path in found if bags == ("/keys/" in path.as_posix()))


def names(report) -> set[Name]:
    return {finding.name for finding in report.findings}


def test_an_untouched_log_is_proven_by_store_and_spool_and_by_the_store_alone(shipped):
    assert shipped.verify().exit_code == 0
    report = shipped.verify(spool=False)
    assert (report.exit_code, report.findings) == (0, [])
    assert report.epochs == 2
    assert report.segments >= 3


def test_deleting_any_object_is_found(shipped):
    for path in objects(shipped, ".jsonl", ".manifest.json", ".content", ".json"):
        data = path.read_bytes()
        path.unlink()
        report = shipped.verify(spool=False)
        assert report.exit_code == 1, path
        path.write_bytes(data)
    assert shipped.verify(spool=False).exit_code == 0


def test_swapping_any_two_objects_of_a_kind_is_found(shipped):
    for suffix in (".jsonl", ".manifest.json", ".content"):
        paths = objects(shipped, suffix)
        for left, right in itertools.pairwise(paths):
            one, other = left.read_bytes(), right.read_bytes()
            left.write_bytes(other)
            right.write_bytes(one)
            assert shipped.verify(spool=False).exit_code == 1
            left.write_bytes(one)
            right.write_bytes(other)


def test_swapping_two_whole_segments_is_found(shipped):
    manifests = [
        path for path in objects(shipped, ".manifest.json") if path.name.startswith(("0000000002", "0000000003"))
    ]
    assert len(manifests) == 2
    for suffix in (".manifest.json", ".jsonl", ".content"):
        pair = [path for path in objects(shipped, suffix) if path.name.startswith(("0000000002", "0000000003"))]
        if len(pair) == 2:
            one, other = (path.read_bytes() for path in pair)
            pair[0].write_bytes(other)
            pair[1].write_bytes(one)
    report = shipped.verify(spool=False)
    assert report.exit_code == 1
    assert Name.RELOCATED in names(report)


def test_a_copied_segment_is_found(shipped):
    for path in objects(shipped, ".jsonl", ".manifest.json", ".content"):
        if path.name.startswith("0000000001"):
            shutil.copyfile(path, path.with_name(path.name.replace("0000000001", "0000000099")))
    assert shipped.verify(spool=False).exit_code == 1


def test_a_copied_epoch_is_found(shipped):
    for manifest in objects(shipped, "0000000001.manifest.json"):
        for plane in ("evidence", "content"):
            folder = Path(manifest.parent.as_posix().replace("/evidence/", f"/{plane}/"))
            if folder.is_dir():
                shutil.copytree(folder, folder.with_name(folder.name[:-4] + "ffff"))
        break
    report = shipped.verify(spool=False)
    assert report.exit_code == 1
    assert Name.RELOCATED in names(report)


def test_an_object_that_the_log_never_wrote_is_found(shipped):
    (shipped.store_path / "v1" / "evidence" / "note.txt").write_text("hello")
    assert names(shipped.verify(spool=False)) == {Name.STRANGER}


def remove_segment(log, epoch: str, segment: int) -> None:
    for path in log.store_path.rglob(f"{segment:010d}.*"):
        if path.parent.name == epoch:
            path.unlink()


def last_epoch(log) -> tuple[str, int]:
    path = objects(log, ".manifest.json")[-1]
    return path.parent.name, int(path.name[:10])


def test_promise_4_a_dropped_last_segment_is_found(shipped):
    epoch, segment = last_epoch(shipped)
    assert segment > 1
    remove_segment(shipped, epoch, segment)
    later = shipped.verify(spool=False)
    assert later.exit_code == 1
    assert names(later) == {Name.TRUNCATED}
    at_once = shipped.verify(spool=False, later=False)
    assert at_once.exit_code == 2, "its writer might live elsewhere: not proven, and not yet a finding"


def test_a_dropped_middle_segment_is_found_where_it_was(shipped):
    epoch, segment = last_epoch(shipped)
    remove_segment(shipped, epoch, segment - 1)
    report = shipped.verify(spool=False)
    assert report.exit_code == 1
    assert {(finding.name, finding.where.rpartition(" ")[2]) for finding in report.findings} == {
        (Name.GAP, str(segment - 1))
    }


def test_a_dropped_last_epoch_is_found_by_its_registry_entry(shipped, exchange):
    """As the epoch when another one of its writer is there, as the writer when none is."""
    epoch, segment = last_epoch(shipped)
    for number in range(1, segment + 1):
        remove_segment(shipped, epoch, number)
    report = shipped.verify(spool=False)
    assert report.exit_code == 1
    assert [(finding.name, finding.where) for finding in report.findings] == [(Name.WRITER_MISSING, "test/worker-1")]
    assert epoch in report.findings[0].what
    journal = shipped.open("worker-1")
    exchange(journal, "x-9")
    journal.close()
    shipped.ship()
    report = shipped.verify(spool=False)
    assert report.exit_code == 1
    assert [(finding.name, finding.where) for finding in report.findings] == [
        (Name.EPOCH_MISSING, f"test/worker-1/{epoch}")
    ]


def test_a_last_epoch_dropped_with_its_registry_entry_is_found_by_the_spool(shipped):
    epoch, segment = last_epoch(shipped)
    for number in range(1, segment + 1):
        remove_segment(shipped, epoch, number)
    next(path for path in objects(shipped, ".json") if path.name == f"{epoch}.json").unlink()
    report = shipped.verify()
    assert report.exit_code == 1
    assert names(report) == {Name.WRITER_MISSING}


def test_a_first_epoch_dropped_with_its_registry_entry_is_found_by_the_register(shipped):
    epoch = objects(shipped, ".manifest.json")[0].parent.name
    remove_segment(shipped, epoch, 1)
    next(path for path in objects(shipped, ".json") if path.name == f"{epoch}.json").unlink()
    report = shipped.verify(spool=False)
    assert report.exit_code == 1
    assert names(report) == {Name.EPOCH_MISSING}


def test_a_removed_registry_entry_is_found(shipped):
    next(path for path in objects(shipped, ".json") if "/registry/" in path.as_posix()).unlink()
    report = shipped.verify(spool=False)
    assert report.exit_code == 1
    assert Name.UNREGISTERED in names(report)


def test_an_empty_store_is_not_proven(log):
    report = log.verify()
    assert report.exit_code == 2
    assert names(report) == {Name.EMPTY}


def test_a_deleted_key_bag_is_found_and_the_chain_still_holds(shipped):
    bag = objects(shipped, ".keys.jsonl")[0]
    bag.unlink()
    assert names(shipped.verify(spool=False)) == {Name.CONTENT_KEY_ABSENT}


def test_forking_an_epoch_with_a_key_it_does_not_name_is_found(shipped):
    """An insider signs another history of the last segment with a certified key of the same origin."""
    path = objects(shipped, ".manifest.json")[-1]
    manifest = msgspec.json.decode(split_document(path.read_bytes())[0], type=Manifest)
    for role in (Role.EPOCH, Role.ADOPT):
        signer = Signer.certified(shipped.keys.signing, manifest.origin, role, 1)
        forged = msgspec.structs.replace(manifest, certificate=signer.certificate, sealed_ms=manifest.sealed_ms + 1)
        path.write_bytes(sign_document(signer.key, Domain.MANIFEST, msgspec.json.encode(forged)))
        report = shipped.verify(spool=False)
        assert report.exit_code == 1
        assert names(report) == {Name.FORKED}


def resign(signer: Signer, path: Path, **changes: object) -> None:
    """Sign a changed manifest with the epoch's own key: what someone who stole it could do."""
    manifest = msgspec.json.decode(split_document(path.read_bytes())[0], type=Manifest)
    forged = msgspec.structs.replace(manifest, **changes)
    path.write_bytes(sign_document(signer.key, Domain.MANIFEST, msgspec.json.encode(forged)))


def test_promise_4_a_rewritten_middle_segment_breaks_the_chain_even_when_its_signature_holds(
    log, exchange, monkeypatch
):
    """The epoch's key was stolen: a middle segment is rewritten and signed well, and its successor's `prev` tells."""
    stolen = []
    real = Signer.certified.__func__

    def keep(cls, *arguments):
        stolen.append(real(cls, *arguments))
        return stolen[-1]

    monkeypatch.setattr(Signer, "certified", classmethod(keep))
    journal = log.with_(segment_bytes=1_500).open()
    for number in range(4):
        exchange(journal, f"x-{number}")
    journal.close()
    log.ship()
    assert log.verify().exit_code == 0
    path = objects(log, "0000000002.manifest.json")[0]
    evidence = path.with_name("0000000002.jsonl")
    manifest = msgspec.json.decode(split_document(path.read_bytes())[0], type=Manifest)
    prev, lines = manifest.prev, []
    for line in evidence.read_bytes().splitlines():
        body = json.loads(line)
        body["chain"]["prev"] = prev
        body["src_endpoint"] = {"ip": "198.51.100.1"}
        lines.append(json.dumps(body, separators=(",", ":")).encode())
        prev = line_digest(lines[-1])
    tree = MerkleTree()
    for line in lines:
        tree.append(line)
    data = b"".join(line + b"\n" for line in lines)
    evidence.write_bytes(data)
    resign(
        stolen[0],
        path,
        evidence=object_ref(manifest.evidence.key, data),
        root=tree.root().hex(),
        last=prev,
    )
    report = log.verify(spool=False)
    assert report.exit_code == 1
    assert names(report) == {Name.FORKED}


class TestLivingEpochs:
    def test_a_living_writer_is_no_truncation(self, log, exchange):
        journal = log.with_(segment_bytes=1_500).open()
        exchange(journal, "x-1")
        deadline = time.monotonic() + 10
        while not log.ship():  # a thread of the journal's own seals the segment
            assert time.monotonic() < deadline
            time.sleep(0.01)
        exchange(journal, "x-2")
        report = log.verify()
        assert report.exit_code == 0
        assert names(report) == {Name.LIVE}
        alone = log.verify(spool=False, later=False)
        assert alone.exit_code == 2
        assert names(alone) == {Name.OPEN}
        journal.close()

    def test_until_proves_an_epoch_that_goes_on(self, log, exchange):
        journal = log.with_(segment_bytes=1_500).open()
        exchange(journal, "x-1")
        until = int(time.time() * 1000)
        exchange(journal, "x-2")
        exchange(journal, "x-3")
        time.sleep(0.2)
        log.ship()
        assert log.verify(spool=False, later=False, asked=Span(to_ms=until)).exit_code == 0
        journal.close()

    def test_a_journal_changed_in_the_spool_is_found(self, log, exchange):
        journal = log.open()
        exchange(journal, "x-1")
        exchange(journal, "x-2")
        (path,) = log.settings.spool.rglob("*.journal")
        data = bytearray(path.read_bytes())
        data[len(data) // 3] ^= 1
        path.write_bytes(data)
        assert log.verify().exit_code == 1
        data[len(data) // 3] ^= 1
        path.write_bytes(data)
        journal.close()
        assert log.verify().exit_code == 0


@pytest.mark.parametrize("size", [0, 1, 2, 3, 4, 5, 7, 8, 31, 130])
def test_merkle_roots_are_those_of_rfc_6962(size):
    def reference(leaves: list[bytes]) -> bytes:
        if not leaves:
            return hashlib.sha256().digest()
        if len(leaves) == 1:
            return hashlib.sha256(b"\x00" + leaves[0]).digest()
        split = 1 << (len(leaves) - 1).bit_length() - 1
        return hashlib.sha256(b"\x01" + reference(leaves[:split]) + reference(leaves[split:])).digest()

    leaves = [str(number).encode() for number in range(size)]
    tree = MerkleTree()
    for leaf in leaves:
        tree.append(leaf)
    assert tree.root() == reference(leaves)
    assert merkle_root([leaf_hash(leaf) for leaf in leaves]) == reference(leaves)


def test_a_copy_in_the_spool_that_differs_from_the_stores_is_found(log, exchange, monkeypatch):
    """The shipper died between storing and removing; both copies stay, and are the same until somebody changes one."""
    journal = log.open()
    exchange(journal, "x")
    journal.close()
    monkeypatch.setattr(Path, "unlink", lambda self, missing_ok=False: None)
    log.ship()
    monkeypatch.undo()
    (path,) = (path for path in log.store_path.rglob("*.jsonl") if "/evidence/" in path.as_posix())
    assert len(list(log.settings.spool.rglob(path.name))) == 1
    assert log.verify().exit_code == 0
    path.write_bytes(path.read_bytes().replace(b"analyst", b"analysu", 1))
    report = log.verify()
    assert (report.exit_code, names(report)) == (1, {Name.DIVERGENT_DUPLICATE})
