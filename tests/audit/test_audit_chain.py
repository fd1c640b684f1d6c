"""P4 when signatures are no help: someone stole an epoch's key, rewrites its only segment and signs it well.

What is left to tell is the chain between the records, their numbers, and the transcript that a closing record binds.
"""

import json
from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from extproc.audit.merkle import MerkleTree
from extproc.audit.segment import Manifest, line_digest, object_ref, pack_content, unpack_content
from extproc.audit.signed import Domain, Signer, sign_document, split_document
from extproc.audit.verify_epoch import Name

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
    prev = records[0]["prev"]
    for record in records:
        record["prev"] = prev
        prev = line_digest(json.dumps(record, separators=(",", ":")).encode())
    return records


def test_p4_records_are_chained(rewrite) -> None:
    """A changed word breaks the next record's `prev`."""

    def change(records: list[Record]) -> list[Record]:
        records[2]["src_address"] = "198.51.100.1"
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


def test_p4_nothing_follows_the_end(rewrite) -> None:
    """A record forged behind `log.stop`, with its number and its `prev` right."""

    def change(records: list[Record]) -> list[Record]:
        forged = {**records[-2], "seq": records[-1]["seq"] + 1, "prev": ""}
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


def test_p4_an_end_that_was_taken_away_is_found(rewrite) -> None:
    """Only the last manifest is gone; its evidence still lies there."""
    rewrite.path.unlink()
    assert found(rewrite.log.verify(spool=False)) & {Name.TRUNCATED, Name.GAP}
