"""A log of other days: real segments, with their times as given, put where the shipper would have put them."""

import json
from datetime import UTC, datetime
from pathlib import Path

from extproc.audit.keys.keys import AuditKeys
from extproc.audit.log.frames import Kind
from extproc.audit.log.segment import ZERO, ChainState
from extproc.audit.log.segment_files import seal_segment
from extproc.audit.log.writing import FIRST, SegmentFile
from extproc.audit.merkle import MerkleTree
from extproc.audit.names import Origin, Part, segment_file
from extproc.audit.records.line import encode_record
from extproc.audit.settings import DirectoryStore
from extproc.audit.signed import Role, Signer
from extproc.audit.stores.store import Directory
from extproc.core.record import Actor, EventCode, Measures, Outcome, PolicyRef, Record, Resource

DAY_MS = 86_400_000
PARTS = (Part.EVIDENCE, Part.MANIFEST)


class Epoch:
    """One epoch of a writer; each call of `segment` is one segment."""

    def __init__(self, folder: Path, began_ms: int, writer: str = "worker-0") -> None:
        stamp = datetime.fromtimestamp(began_ms / 1000, UTC).strftime("%Y%m%dT%H%M%SZ")
        self.origin = Origin.parse(f"test/{writer}/{stamp}-{began_ms:016x}")
        self._store = folder / "store"
        self._work = folder / "work" / writer / self.origin.epoch
        self._work.mkdir(parents=True)
        keys = AuditKeys.load_or_create(folder / "keys")
        self._signer = Signer.certified(keys.signing, str(self.origin), Role.EPOCH, began_ms)
        self._chain = ChainState(self.origin, 1, 1, ZERO, ZERO, {}, MerkleTree(), MerkleTree())

    def segment(self, *records: Record) -> None:
        """Begun with its first record, sealed a second after its last."""
        file = SegmentFile(self._work, self._chain, records[0].time_ms, FIRST)
        lines = [self._chain.add_record(r.event_code, r.exchange_id, encode_record(r)) for r in records]
        file.commit([(Kind.RECORD, line) for line in lines])
        file.close()
        number = self._chain.segment
        seal_segment(self._work, number, self._signer, max(r.time_ms for r in records) + 1000)
        self._chain.next_segment()
        for part in PARTS:
            path = self._store / self.origin.object_key(part, number)
            path.parent.mkdir(parents=True, exist_ok=True)
            (self._work / segment_file(number, part)).rename(path)


def store_of(folder: Path) -> Directory:
    return Directory(DirectoryStore(folder / "store"))


def record_of(code: EventCode, exchange_id: str, time_ms: int, **fields: object) -> Record:
    person = str(fields.pop("person", "ann"))
    return Record(
        event_code=code,
        time_ms=time_ms,
        actor=fields.pop("actor", Actor(uid=f"https://idp.test|{person}", name=person, groups=("analysts",))),
        status=fields.pop("status", Outcome.SUCCEEDED),
        src_address=str(fields.pop("source", "192.0.2.7:4711")),
        resource=Resource(
            connection="llama",
            operation=str(fields.pop("operation", "chat")),
            protocol="HTTP POST",
            model=str(fields.pop("model", "tiny")),
        ),
        exchange_id=exchange_id,
        policy=PolicyRef(
            digest="ab" * 32, effect=str(fields.pop("effect", "allow")), rule=str(fields.pop("rule", "analysts"))
        ),
        **fields,
    )


def exchange_of(number: int, time_ms: int, **fields: object) -> tuple[Record, Record]:
    """An exchange of a second: its id says when it began."""
    exchange_id = f"{time_ms:012x}-{number:016x}"
    begin = {name: fields[name] for name in ("person", "model", "rule", "effect", "operation") if name in fields}
    end = {"status": Outcome.COMPLETED, "http_status": 200, "measures": Measures(duration_ms=1000.0)} | fields
    return (
        record_of(EventCode.INFERENCE_REQUEST, exchange_id, time_ms, **begin),
        record_of(EventCode.INFERENCE_END, exchange_id, time_ms + 1000, **end),
    )


def lines_of(path: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in path.read_bytes().splitlines()]
