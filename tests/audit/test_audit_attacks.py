"""The attacks on a whole log, and what catches each: the log by itself, or only somebody's memory of it.

Three writers on two machines wrote it; everything is in the store, and the attacker has every right on the store. Whole
in itself is what the last three attacks leave; alone, `verify` calls that proven, because nothing in it contradicts it.
"""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import msgspec
import pytest

from extproc.audit.log.journal import Journal
from extproc.audit.log.segment import Manifest, line_digest, object_ref
from extproc.audit.merkle import MerkleTree
from extproc.audit.names import Origin, Part, parse_key
from extproc.audit.signed import Domain, Signer, sign_document, split_document
from extproc.audit.stores.store import StoredObject
from extproc.audit.verify.findings import Name
from extproc.audit.verify.remembered import Remembered, RememberedHead


@dataclass
class Bucket:
    """A store that keeps versions, oldest first; None is a delete marker."""

    versions: dict[str, list[bytes | None]] = field(default_factory=dict)

    def get(self, key: str, version: str = "") -> bytes:
        data = self.versions.get(key, [None])[int(version) if version else -1]
        if data is None:
            raise FileNotFoundError(key)
        return data

    def pieces(self, key: str, version: str = "") -> Iterator[bytes]:
        yield self.get(key, version)

    def keys(self, epoch: str, segment: int | None = None) -> list[str]:
        """Of all planes, the registry only with the whole epoch."""
        return [key for key in self.versions if epoch in key and (segment is None or parse_key(key).segment == segment)]

    def list(self, prefix: str) -> Iterator[StoredObject]:
        for key in sorted(self.versions):
            if key.startswith(prefix):
                kept = tuple(str(at) for at, data in enumerate(self.versions[key]) if data is not None)
                yield StoredObject(key, kept, len(self.versions[key]) - len(kept))


@dataclass
class World:
    bucket: Bucket
    log: object
    signers: dict[str, Signer]
    epochs: dict[str, str]
    """The last epoch of each writer."""

    def manifest(self, writer: str, segment: int) -> Manifest:
        (key,) = [key for key in self.bucket.keys(self.epochs[writer], segment) if key.endswith(".manifest.json")]
        return msgspec.json.decode(split_document(self.bucket.versions[key][0])[0], type=Manifest)

    def last(self, writer: str) -> int:
        return max(parse_key(key).segment for key in self.bucket.keys(self.epochs[writer]))

    def remember(self) -> Remembered:
        heads = {}
        for key in self.bucket.versions:
            if key.endswith(".manifest.json"):
                manifest = msgspec.json.decode(split_document(self.bucket.versions[key][0])[0], type=Manifest)
                size = manifest.first_seq + manifest.records - 1
                if manifest.origin not in heads or heads[manifest.origin].size < size:
                    heads[manifest.origin] = RememberedHead(size, manifest.last, manifest.segment, manifest.sealed_ms)
        return Remembered(heads)

    def verify(self, remembered: Remembered | None = None):
        return self.log.verify(store=self.bucket, spool=False, remembered=remembered)


@pytest.fixture
def world(log, exchange, monkeypatch, tmp_path) -> World:
    signers: dict[str, Signer] = {}
    real = Signer.certified.__func__

    def keep(cls, key, origin, *more):
        signers[origin] = real(cls, key, origin, *more)
        return signers[origin]

    monkeypatch.setattr(Signer, "certified", classmethod(keep))
    away = log.with_(spool=tmp_path / "away")
    epochs = {}

    def write(journal: Journal, name: str, exchanges: int) -> None:
        for number in range(exchanges):
            exchange(journal, f"{name}-{number}")
        journal.close()
        origin = Origin.parse(journal.origin)
        epochs[origin.writer] = origin.epoch

    small = {"segment_bytes": 2_000}
    write(log.with_(**small).open("a"), "a1", 3)
    write(away.with_(**small).open("c"), "c", 1)
    write(log.with_(**small).open("a"), "a2", 1)
    write(log.with_(**small).open("b"), "b", 3)
    log.ship()
    away.ship()
    bucket = Bucket(
        {
            path.relative_to(log.store_path).as_posix(): [path.read_bytes()]
            for path in log.store_path.rglob("*")
            if path.is_file()
        }
    )
    return World(bucket, log, signers, epochs)


def flip(world: World) -> None:
    (key,) = [key for key in world.bucket.keys(world.epochs["b"], 2) if key.endswith(".jsonl") and "/keys/" not in key]
    data = world.bucket.versions[key][0]
    world.bucket.versions[key] = [data.replace(b"analyst", b"analysu", 1)]


def delete(world: World) -> None:
    """One object."""
    (key,) = [key for key in world.bucket.keys(world.epochs["b"], 2) if key.endswith(".content")]
    del world.bucket.versions[key]


def swap(world: World) -> None:
    """Two whole segments."""
    for suffix in (".manifest.json", ".jsonl", ".content"):
        one, other = (
            next(key for key in world.bucket.keys(world.epochs["b"], at) if key.endswith(suffix)) for at in (1, 2)
        )
        versions = world.bucket.versions
        versions[one], versions[other] = versions[other], versions[one]


def drop(world: World, segment: int) -> None:
    for key in world.bucket.keys(world.epochs["b"], segment):
        del world.bucket.versions[key]


def drop_middle(world: World) -> None:
    drop(world, 2)


def copy(world: World) -> None:
    """The last segment once more, behind itself."""
    last = world.last("b")
    for key in world.bucket.keys(world.epochs["b"], last):
        world.bucket.versions[key.replace(f"{last:010d}", f"{last + 1:010d}")] = list(world.bucket.versions[key])


def drop_last(world: World) -> None:
    drop(world, world.last("b"))


def drop_epoch(world: World) -> None:
    """The newest epoch of its machine, and the register rolled back."""
    for key in world.bucket.keys(world.epochs["b"]):
        del world.bucket.versions[key]


def drop_older_epoch(world: World) -> None:
    """One between others, with its entry: the register's numbers have a hole."""
    for key in world.bucket.keys(world.epochs["a"]):
        del world.bucket.versions[key]


def drop_machine(world: World) -> None:
    """Everything of one writer, whose machine had no other."""
    for key in world.bucket.keys("/c/"):
        del world.bucket.versions[key]


def rewrite(world: World, put: Callable[[str, bytes], None]) -> None:
    """Every segment of one epoch anew, with another person in it, signed by the epoch's own key."""
    origin = Origin.parse(f"test/b/{world.epochs['b']}")
    prev, prev_root, tree = "0" * 64, "0" * 64, MerkleTree()
    for segment in range(1, world.last("b") + 1):
        manifest, lines, own, before = world.manifest("b", segment), [], MerkleTree(), prev
        for line in world.bucket.versions[manifest.evidence.key][0].splitlines():
            body = json.loads(line.replace(b"idp.test|analyst", b"idp.test|nobody!"))
            body["chain"]["prev"] = prev
            lines.append(json.dumps(body, separators=(",", ":")).encode())
            prev = line_digest(lines[-1])
            own.append(lines[-1])
            tree.append(lines[-1])
        data = b"".join(line + b"\n" for line in lines)
        forged = msgspec.structs.replace(
            manifest,
            evidence=object_ref(manifest.evidence.key, data),
            prev=before,
            prev_root=prev_root,
            last=prev,
            root=own.root().hex(),
            epoch_root=tree.root().hex(),
        )
        prev_root = forged.root
        put(manifest.evidence.key, data)
        document = sign_document(world.signers[str(origin)].key, Domain.MANIFEST, msgspec.json.encode(forged))
        put(origin.object_key(Part.MANIFEST, segment), document)


def rewrite_in_place(world: World) -> None:
    changes: dict[str, bytes] = {}
    rewrite(world, changes.__setitem__)
    for key, data in changes.items():
        world.bucket.versions[key] = [data]


def rewrite_on_top(world: World) -> None:
    """A bucket under Object Lock: what is there stays below."""
    changes: dict[str, bytes] = {}
    rewrite(world, changes.__setitem__)
    for key, data in changes.items():
        world.bucket.versions[key].append(data)


def mark_last(world: World) -> None:
    for key in world.bucket.keys(world.epochs["b"], world.last("b")):
        world.bucket.versions[key].append(None)


ATTACKS = {
    flip: ({Name.ALTERED}, {Name.ALTERED}),
    delete: ({Name.GAP}, {Name.GAP}),
    swap: ({Name.RELOCATED}, {Name.RELOCATED}),
    drop_middle: ({Name.GAP}, {Name.GAP}),
    copy: ({Name.RELOCATED}, {Name.RELOCATED}),
    drop_last: ({Name.TRUNCATED}, {Name.TRUNCATED}),
    drop_older_epoch: ({Name.EPOCH_MISSING}, {Name.EPOCH_MISSING}),
    mark_last: ({Name.SHADOWED}, {Name.SHADOWED}),
    rewrite_on_top: ({Name.SHADOWED, Name.DIVERGENT_DUPLICATE}, {Name.SHADOWED, Name.DIVERGENT_DUPLICATE}),
    drop_epoch: (set(), {Name.WRITER_MISSING}),
    drop_machine: (set(), {Name.WRITER_MISSING}),
    rewrite_in_place: (set(), {Name.FORKED}),
}
"""What the log says by itself, and what it says to somebody who remembers its heads."""


def names(report) -> set[Name]:
    assert report.exit_code == (1 if report.findings else 0)
    return {finding.name for finding in report.findings}


def test_the_untouched_log_is_proven_with_and_without_a_memory(world):
    assert names(world.verify()) == set()
    assert names(world.verify(world.remember())) == set()
    assert world.verify().epochs == 4


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: attack.__name__)
def test_an_attack_is_found_by_the_log_itself_or_by_a_memory(world, attack):
    remembered = world.remember()
    attack(world)
    alone, with_memory = ATTACKS[attack]
    assert names(world.verify()) == alone
    assert names(world.verify(remembered)) == with_memory


def test_the_machine_that_wrote_it_misses_its_own_epoch(world):
    """The spool remembers the newest entry of its register: no attacker on the store reaches it."""
    drop_epoch(world)
    assert names(world.log.verify(store=world.bucket)) == {Name.WRITER_MISSING}


def test_a_rolled_back_bucket_under_object_lock_has_markers(world):
    """Nothing can be deleted there, only covered: the last epoch dropped is one of markers."""
    for key in world.bucket.keys(world.epochs["b"]):
        world.bucket.versions[key].append(None)
    report = world.verify()
    assert names(report) == {Name.SHADOWED}
    assert report.epochs == 4, "what lies below is still proven"


def test_what_is_remembered_is_a_head_of_the_past(world):
    """The log has grown since: the record that was remembered is still where it was."""
    remembered = world.remember()
    origin = f"test/b/{world.epochs['b']}"
    first = world.manifest("b", 1)
    older = RememberedHead(first.first_seq + first.records - 1, first.last, 1, first.sealed_ms)
    grown = Remembered({**remembered.heads, origin: older})
    assert names(world.verify(grown)) == set()
    rewrite_in_place(world)
    report = world.verify(grown)
    assert names(report) == {Name.FORKED}
    assert report.findings[0].where == f"{origin} segment 1"


@pytest.mark.parametrize("writer", ["a", "b", "c"])
def test_a_head_that_is_longer_than_the_log_is_a_truncation(world, writer):
    """Also where the epoch ends with its own end: it was remembered to go on."""
    origin = f"test/{writer}/{world.epochs[writer]}"
    head = world.remember().heads[origin]
    report = world.verify(Remembered({origin: RememberedHead(head.size + 1, head.last, head.segment)}))
    assert [(finding.name, finding.where) for finding in report.findings] == [
        (Name.TRUNCATED, f"{origin} segment {head.segment}")
    ]


def test_an_epoch_or_a_writer_that_only_the_memory_knows_is_missing(world):
    head = RememberedHead(1, "0" * 64, 1)
    ghosts = {"test/a/20260101T000000Z-0123456789abcdef": head, "test/z/20260101T000000Z-0123456789abcdef": head}
    report = world.verify(Remembered(ghosts))
    assert {(finding.name, finding.where) for finding in report.findings} == {
        (Name.EPOCH_MISSING, "test/a/20260101T000000Z-0123456789abcdef"),
        (Name.WRITER_MISSING, "test/z"),
    }


@pytest.mark.parametrize("part", [".jsonl", ".manifest.json", ".content"])
def test_of_a_broken_segment_the_first_is_named_and_no_other(world, part):
    """Exchanges reach over segments, the first one names the keys, the last one the end: nothing follows from a break."""
    for segment in range(1, world.last("b") + 1):
        keys = [key for key in world.bucket.keys(world.epochs["b"], segment) if key.endswith(part)]
        for key in [key for key in keys if "/keys/" not in key]:
            data = world.bucket.versions[key]
            world.bucket.versions[key] = [data[0][:100] + bytes([data[0][100] ^ 1]) + data[0][101:]]
            report = world.verify(world.remember() if part != ".manifest.json" else None)
            assert [(finding.name, finding.where) for finding in report.findings] == [
                (Name.ALTERED, f"test/b/{world.epochs['b']} segment {segment}")
            ]
            world.bucket.versions[key] = data
    assert names(world.verify()) == set()


def test_nothing_follows_the_end_that_could_be_dropped_unmissed(world):
    """The last segment has records, so a segment that is gone is one whose records are missed."""
    for writer in ("a", "b", "c"):
        assert world.manifest(writer, world.last(writer)).records > 0
