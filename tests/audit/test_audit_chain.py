"""P4 when signatures are no help: someone stole an epoch's key, rewrites its only segment and signs it well.

What is left to tell is the chain between the records, their numbers, and the transcript that a closing record binds.
"""

import json
from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from extproc.audit.log.frames import Kind, pack_commit, scan
from extproc.audit.log.segment import Manifest, line_digest, object_ref, pack_content, unpack_content
from extproc.audit.merkle import MerkleTree
from extproc.audit.signed import Domain, Signer, sign_document, split_document
from extproc.audit.verify.findings import Name

Record = dict[str, Any]


@pytest.fixture
def rewrite(log, exchange, monkeypatch) -> Callable[[Callable[[list[Record]], list[Record]]], Any]:
    """Ships one epoch of three exchanges, applies a change to its records, signs again, and verifies."""
    stolen: list[Signer] = []
    real = Signer.certified.__func__

    def keep(cls, *arguments):
        stolen.append(real(cls, *arguments))
        return stolen[-1]

    monkeypatch.setattr(Signer, "certified", classmethod(keep))
    journal = log.open()
    for number in range(3):
        exchange(journal, f"x-{number}")
    journal.close()
    log.ship()
    assert log.verify(spool=False).exit_code == 0
    (path,) = sorted(log.store_path.rglob("*.manifest.json"))
    manifest = msgspec.json.decode(split_document(path.read_bytes())[0], type=Manifest)
    evidence = path.with_name(path.name.replace(".manifest.json", ".jsonl"))
    assert evidence.exists()

    def sign(**changes: Any) -> None:
        path.write_bytes(
            sign_document(
                stolen[0].key, Domain.MANIFEST, msgspec.json.encode(msgspec.structs.replace(manifest, **changes))
            )
        )

    def apply(change: Callable[[list[Record]], list[Record]]) -> Any:
        records = change([json.loads(line) for line in evidence.read_bytes().splitlines()])
        lines = [json.dumps(record, separators=(",", ":")).encode() for record in records]
        tree = MerkleTree()
        for line in lines:
            tree.append(line)
        data = b"".join(line + b"\n" for line in lines)
        evidence.write_bytes(data)
        sign(
            evidence=object_ref(manifest.evidence.key, data),
            root=tree.root().hex(),
            records=len(lines),
            last=line_digest(lines[-1]),
        )
        return log.verify(spool=False)

    apply.manifest, apply.sign, apply.path, apply.log = manifest, sign, path, log  # type: ignore[attr-defined]
    return apply


def found(report: Any) -> set[Name]:
    assert report.exit_code == 1
    return {finding.name for finding in report.findings}


def relink(records: list[Record]) -> list[Record]:
    """The chain made good again behind a change, as a careful forger would."""
    prev = records[0]["chain"]["prev"]
    for record in records:
        record["chain"]["prev"] = prev
        prev = line_digest(json.dumps(record, separators=(",", ":")).encode())
    return records


def test_p4_records_are_chained(rewrite) -> None:
    """A changed word breaks the next record's `prev`."""

    def change(records: list[Record]) -> list[Record]:
        records[2]["src_endpoint"] = {"ip": "198.51.100.1"}
        return records

    assert Name.ORDER in found(rewrite(change))


def test_p4_records_are_numbered(rewrite) -> None:
    """A record left out, with every `prev` made good: the numbers have a gap."""

    def change(records: list[Record]) -> list[Record]:
        del records[3]
        return relink(records)

    assert Name.ORDER in found(rewrite(change))


def test_p4_records_keep_their_order(rewrite) -> None:
    def change(records: list[Record]) -> list[Record]:
        records[2], records[3] = records[3], records[2]
        return relink(records)

    assert Name.ORDER in found(rewrite(change))


def test_p4_a_changed_number_is_found(rewrite) -> None:
    """Nothing but `seq`, with every `prev` made good."""

    def change(records: list[Record]) -> list[Record]:
        records[3]["chain"]["seq"] += 1
        return relink(records)

    assert Name.ORDER in found(rewrite(change))


def test_p4_a_changed_link_is_found(rewrite) -> None:
    """Nothing but `prev` of the last record: no record behind it could tell."""

    def change(records: list[Record]) -> list[Record]:
        records[-1]["chain"]["prev"] = records[-2]["chain"]["prev"]
        return records

    assert Name.ORDER in found(rewrite(change))


def test_p4_a_record_names_its_own_epoch(rewrite) -> None:
    """A record that says it belongs to another writer, with its number and every `prev` right."""

    def change(records: list[Record]) -> list[Record]:
        records[3]["chain"]["origin"] = records[3]["chain"]["origin"].replace("worker-0", "worker-9")
        return relink(records)

    assert Name.ORDER in found(rewrite(change))


def test_p4_nothing_follows_the_end(rewrite) -> None:
    """A record forged behind `log.stop`, with its number and its `prev` right."""

    def change(records: list[Record]) -> list[Record]:
        forged = {**records[-2], "chain": {**records[-2]["chain"], "seq": records[-1]["chain"]["seq"] + 1, "prev": ""}}
        forged.pop("content_digest", None)
        forged.pop("content_frames", None)
        return relink([*records, {**forged, "event_code": "inference.request", "exchange_id": "x-forged"}])

    assert Name.ORDER in found(rewrite(change))


def test_p4_a_transcript_is_the_one_its_closing_record_bound(rewrite) -> None:
    """Two frames of the content object change places; the manifest is signed for it."""
    manifest = rewrite.manifest
    content = rewrite.log.store_path / manifest.content.key
    frames = unpack_content(content.read_bytes())
    assert len(frames) > 3
    frames[1], frames[2] = frames[2], frames[1]
    data = pack_content(frames)
    content.write_bytes(data)
    rewrite.sign(content=object_ref(manifest.content.key, data))
    report = rewrite.log.verify(spool=False)
    assert report.exit_code == 1
    assert found(report) & {Name.ALTERED, Name.ORDER}


def test_p4_a_frame_put_in_anothers_place_is_found(rewrite) -> None:
    """One ciphertext frame is replaced, its number and its exchange kept; the manifest is signed for it."""
    manifest = rewrite.manifest
    content = rewrite.log.store_path / manifest.content.key
    frames = unpack_content(content.read_bytes())
    frames[2] = frames[2][:-1] + bytes([frames[2][-1] ^ 1])
    data = pack_content(frames)
    content.write_bytes(data)
    rewrite.sign(content=object_ref(manifest.content.key, data))
    assert Name.ALTERED in found(rewrite.log.verify(spool=False))


def test_p4_evidence_behind_the_end_needs_a_manifest_too(rewrite) -> None:
    """The epoch is whole and has its end. What lies behind it had a manifest once, or never was the log's."""
    evidence = rewrite.path.with_name("0000000001.jsonl")
    evidence.with_name("0000000002.jsonl").write_bytes(evidence.read_bytes())
    assert found(rewrite.log.verify(spool=False)) == {Name.TRUNCATED}


def test_p4_a_last_manifest_that_was_taken_away_is_found(log, exchange) -> None:
    """Its evidence stays. As long as a writer might still send it, nothing is proven; later it is a finding."""
    journal = log.with_(segment_bytes=1_500).open()
    for number in range(3):
        exchange(journal, f"x-{number}")
    journal.close()
    log.ship()
    manifests = sorted(log.store_path.rglob("*.manifest.json"))
    assert len(manifests) > 1
    manifests[-1].unlink()
    assert found(log.verify(spool=False)) == {Name.TRUNCATED}
    at_once = log.verify(spool=False, later=False)
    assert (at_once.exit_code, {finding.name for finding in at_once.findings}) == (2, {Name.OPEN})


def test_p4_an_end_that_was_taken_away_is_found(rewrite) -> None:
    """Only the last manifest is gone; its evidence still lies there."""
    rewrite.path.unlink()
    assert found(rewrite.log.verify(spool=False)) & {Name.TRUNCATED, Name.GAP}


def drop(records: list[Record]) -> list[Record]:
    return relink(records[:3] + records[4:])


def swap(records: list[Record]) -> list[Record]:
    return relink([*records[:2], records[3], records[2], *records[4:]])


def number(records: list[Record]) -> list[Record]:
    records[3]["chain"]["seq"] += 1
    return relink(records)


def link(records: list[Record]) -> list[Record]:
    records[-1]["chain"]["prev"] = records[-2]["chain"]["prev"]
    return records


def stop_early(records: list[Record]) -> list[Record]:
    """As if the epoch had ended before its last exchange did."""
    for field in ("content_digest", "content_frames"):
        records[-3]["chain"].pop(field, None)
    records[-3]["metadata"] |= {"event_code": "log.stop", "correlation_uid": ""}
    return relink(records)


@pytest.mark.parametrize("change", [drop, swap, number, link, stop_early])
def test_p4_a_journal_is_held_to_the_same_chain(log, exchange, change) -> None:
    """Before it is sealed nothing is signed: a forger makes every frame and checksum right, and the records tell."""
    journal = log.open()
    for at in range(3):
        exchange(journal, f"x-{at}")
    (path,) = log.settings.spool.rglob("*.journal")
    whole = path.read_bytes()
    frames = scan(whole).frames

    def write(lines: list[bytes]) -> Any:
        """The journal with these records where records stood, each frame chained and summed as the writer does it."""
        rest = iter(lines)
        payloads = [(f.kind, next(rest, b"") if f.kind is Kind.RECORD else f.payload) for f in frames]
        kept = [(kind, payload) for kind, payload in payloads if payload]
        path.write_bytes(pack_commit(kept, frames[0].commit, frames[0].number, frames[0].previous)[0])
        return log.verify()

    lines = [frame.payload for frame in frames if frame.kind is Kind.RECORD]
    assert write(lines).exit_code == 0, "the way it is written is not what is found"
    records = change([json.loads(line) for line in lines])
    report = write([json.dumps(record, separators=(",", ":")).encode() for record in records])
    assert Name.ORDER in found(report)
    path.write_bytes(whole)
    journal.close()
    assert log.verify().exit_code == 0
