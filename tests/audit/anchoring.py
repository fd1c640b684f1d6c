"""An anchor beside a small log, and what an attacker who holds the store, or also the deployment's key, does to it."""

import contextlib
import json
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from extproc.audit.anchor.anchor import Anchor, Pass
from extproc.audit.anchor.given import Giver
from extproc.audit.anchor.memory import open_memory
from extproc.audit.anchor.note import NoteSigner
from extproc.audit.log.segment import ZERO, Manifest, line_digest, object_ref
from extproc.audit.merkle import MerkleTree
from extproc.audit.names import Origin, Part
from extproc.audit.settings import DirectoryStore
from extproc.audit.signed import Domain, Role, Signer, sign_document, split_document
from extproc.audit.stores.store import Directory, ObjectStore, StoredObject

NAME = "anchor.test/prod"
DAY_MS = 86_400_000


@dataclass
class Witness:
    """One anchor with its directories; each pass opens the memory anew, as a CronJob does."""

    directory: Path
    public: object
    signer: NoteSigner = field(default_factory=lambda: NoteSigner(NAME, Ed25519PrivateKey.generate()))
    copies: ObjectStore | None = None
    retention_ms: int = 400 * DAY_MS

    def watch(self, store: ObjectStore, *, later_ms: int = 0) -> Pass:
        with self.anchor(store) as anchor:
            return anchor.watch(int(time.time() * 1000) + later_ms)

    @contextlib.contextmanager
    def anchor(self, store: ObjectStore) -> Iterator[Anchor]:
        with open_memory(self.directory, self.signer.name, "test") as memory:
            giver = Giver(self.signer, self.copies)
            yield Anchor(store, self.public, memory, giver, self.retention_ms, silence_ms=3_600_000)

    def notes(self) -> dict[str, bytes]:
        folder = self.directory / "checkpoints"
        return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*.note")}


def alarms(passed: Pass) -> list[tuple[str, str]]:
    """Name and where, without the deployment."""
    return [(str(alarm.name), alarm.where.partition("/")[2]) for alarm in passed.open_alarms]


def copies_in(directory: Path) -> Directory:
    store = Directory(DirectoryStore(directory))
    store.check()
    return store


class Marked:
    """A store in memory with delete markers and versions on top."""

    def __init__(self, base: object) -> None:
        self.base = base
        self.markers: set[str] = set()
        self.versions: dict[str, bytes] = {}

    def get(self, key: str, version: str = "") -> bytes:
        if version == "new" or (not version and key in self.versions):
            return self.versions[key]
        return self.base.get(key)

    def list(self, prefix: str) -> Iterator[StoredObject]:
        for stored in self.base.list(prefix):
            versions = ("old", "new") if stored.key in self.versions else ("old",)
            yield StoredObject(stored.key, versions, int(stored.key in self.markers))


def epochs_of(store, writer: str) -> list[Origin]:
    """In the order in which they were registered: two may begin within one second."""
    keys = [key for key in store.objects if key.startswith("v1/registry/") and f"/{writer}/" in key]
    keys.sort(key=lambda key: json.loads(store.objects[key].split(b"\n")[0])["number"])
    return [Origin("test", writer, key.split("/")[-1].removesuffix(".json")) for key in keys]


def remove(store, *origins: Origin) -> None:
    """Everything of these epochs, also their registry entries."""
    for origin in origins:
        for key in [key for key in store.objects if origin.epoch in key]:
            del store.objects[key]


def last_segment(store) -> int:
    """Of a store with one epoch."""
    return max(int(key[-24:-14]) for key in store.objects if key.endswith(".manifest.json"))


def cut(store) -> dict[str, bytes]:
    """Take the last segment away from a store with one epoch."""
    name = f"/{last_segment(store):010d}."
    return {key: store.objects.pop(key) for key in list(store.objects) if name in key}


def cut_end(store) -> dict[str, bytes]:
    """Take the epoch's end away: its writer lives, as far as the store says."""
    taken: dict[str, bytes] = {}
    while not any(b"log.stop" in data for data in taken.values()):
        taken |= cut(store)
    return taken


def rewrite(store, deployment_key, origin: Origin) -> None:
    """Another history of an epoch, with every signature in place: what who stole the deployment's key can do."""
    signer = Signer.certified(deployment_key, str(origin), Role.EPOCH, 1)
    prev, prev_root, size, whole = ZERO, ZERO, 0, MerkleTree()
    segment = 1
    while (key := origin.object_key(Part.MANIFEST, segment)) in store.objects:
        manifest = msgspec.json.decode(split_document(store.objects[key])[0], type=Manifest)
        first, own, lines = prev, MerkleTree(), []
        for line in store.objects[manifest.evidence.key].splitlines():
            changed = line.replace(b"192.0.2.7", b"198.51.100.9").replace(
                json.dumps(manifest.certificate).encode()[1:-1], json.dumps(signer.certificate).encode()[1:-1]
            )
            body = json.loads(changed)
            body["chain"]["prev"] = prev
            lines.append(json.dumps(body, separators=(",", ":")).encode())
            prev = line_digest(lines[-1])
            own.append(lines[-1])
            whole.append(lines[-1])
            size += 1
        data = b"".join(line + b"\n" for line in lines)
        store.objects[manifest.evidence.key] = data
        forged = msgspec.structs.replace(
            manifest,
            prev=first,
            last=prev,
            prev_root=prev_root,
            root=own.root().hex(),
            epoch_root=whole.root().hex(),
            evidence=object_ref(manifest.evidence.key, data),
            certificate=signer.certificate,
        )
        store.objects[key] = sign_document(signer.key, Domain.MANIFEST, msgspec.json.encode(forged))
        prev_root = forged.root
        segment += 1
