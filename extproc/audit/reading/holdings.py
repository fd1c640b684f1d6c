"""What there is of an audit log: in the store, and in the spool what the store does not hold yet.

Reads beside a running service. Segments move from journal to sealed files to the store while we look, so the spool is
listed before the store, and what is gone from one place is looked for in the next.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from extproc.audit.log.journal_file import JournalFile, JournalLines, read_journal, read_lines
from extproc.audit.log.registry import Head, read_head
from extproc.audit.log.spool import REGISTRY, epoch_path, epochs, is_alive, segments, strays
from extproc.audit.names import JOURNAL, ObjectName, Origin, Part, parse_key, segment_file
from extproc.audit.refusal import AuditRefused
from extproc.audit.stores.store import ObjectStore, StoredObject

_ATTEMPTS = 3
"""A segment moves twice at most: sealed, shipped."""

_T = TypeVar("_T")
Listing = Callable[[ObjectStore], Iterable[StoredObject]]


def list_everything(store: ObjectStore) -> Iterator[StoredObject]:
    """Every object of every plane."""
    return store.list("v1/")


@dataclass(frozen=True, slots=True)
class SealedSegment:
    """A segment's objects as stored; None where there is none."""

    manifest: bytes
    evidence: bytes | None
    content: bytes | None
    keys: bytes | None


@dataclass(slots=True)
class Epoch:
    """One epoch, as listed. `directory` is its place in the spool while it has one."""

    origin: Origin
    stored: dict[tuple[Part, int], StoredObject] = field(default_factory=dict)
    registry: StoredObject | None = None
    directory: Path | None = None
    alive: bool = False
    local: tuple[int, ...] = ()

    @property
    def last_segment(self) -> int:
        """The highest number seen anywhere."""
        return max([*self.local, *(segment for _, segment in self.stored)], default=0)


@dataclass(slots=True)
class Holdings:
    """`strangers` are things that this program never wrote, `doubled` objects with more than one version."""

    store: ObjectStore
    spool: Path | None
    epochs: dict[Origin, Epoch] = field(default_factory=dict)
    strangers: list[str] = field(default_factory=list)
    doubled: list[StoredObject] = field(default_factory=list)
    head: Head | None = None
    head_refused: str = ""
    """Why the spool's newest registry entry cannot be used; empty when it can, or when there is none."""

    @classmethod
    def look(
        cls, store: ObjectStore, spool: Path | None, deployment: str, *, listing: Listing = list_everything
    ) -> "Holdings":
        """List once what `listing` lists of the store. Raises `StoreFailed`."""
        holdings = cls(store, spool)
        if spool is not None:
            holdings.strangers += [str(path) for path in strays(spool, deployment)]
            try:
                holdings.head = read_head(spool)
            except AuditRefused as error:
                holdings.head_refused = str(error)
            for origin, directory in epochs(spool, deployment):
                # Alive is asked first: a writer that ends now has ended the epoch by the time its files are read.
                alive = is_alive(directory)
                local = {*segments(directory, JOURNAL), *segments(directory, Part.MANIFEST)}
                holdings.epochs[origin] = Epoch(origin, directory=directory, alive=alive, local=tuple(sorted(local)))
        for stored in listing(store):
            name = parse_key(stored.key)
            if name is None:
                holdings.strangers.append(stored.key)
                continue
            if len(stored.versions) > 1 or stored.delete_markers:
                holdings.doubled.append(stored)
            if stored.versions:
                holdings.add(name, stored)
        for epoch in holdings.epochs.values():
            if spool is not None and epoch.directory is None and is_alive(epoch_path(spool, epoch.origin)):
                epoch.directory, epoch.alive = epoch_path(spool, epoch.origin), True  # begun after the spool was listed
        return holdings

    def add(self, name: ObjectName, stored: StoredObject) -> None:
        """Take note of an object in the store."""
        epoch = self.epochs.setdefault(name.origin, Epoch(name.origin))
        if name.part is None:
            epoch.registry = stored
        else:
            epoch.stored[name.part, name.segment] = stored

    def registry_document(self, epoch: Epoch) -> bytes | None:
        """The epoch's registry entry, from the store or, while it is not there, from the spool."""
        if epoch.registry is not None:
            return self.store.get(epoch.registry.key, epoch.registry.versions[0])
        if epoch.directory is not None:
            try:
                return (epoch.directory / REGISTRY).read_bytes()
            except FileNotFoundError:
                return self._get(epoch.origin.registry_key)
        return None

    def load(self, epoch: Epoch, segment: int) -> SealedSegment | JournalFile | None:
        """One segment from wherever it is now; None when it is nowhere. Raises `StoreFailed`."""
        found = self._find(epoch, segment, read_journal)
        if not isinstance(found, bytes):
            return found
        return SealedSegment(
            found,
            self.part(epoch, Part.EVIDENCE, segment),
            self.part(epoch, Part.CONTENT, segment),
            self.part(epoch, Part.KEYS, segment),
        )

    def find(self, epoch: Epoch, segment: int) -> bytes | JournalLines | None:
        """A segment's manifest, or its lines while it has none; None when it is nowhere. Raises `StoreFailed`."""
        return self._find(epoch, segment, read_lines)

    def _find(self, epoch: Epoch, segment: int, read: Callable[[Path], _T | None]) -> bytes | _T | None:
        for _ in range(_ATTEMPTS):
            manifest = self.part(epoch, Part.MANIFEST, segment)
            if manifest is not None or epoch.directory is None:
                return manifest
            try:
                if (journal := read(epoch.directory / segment_file(segment, JOURNAL))) is not None:
                    return journal
            except FileNotFoundError:
                continue
        return None

    def part(self, epoch: Epoch, part: Part, segment: int) -> bytes | None:
        """One object of a segment, from the store or the spool; None when there is none. Raises `StoreFailed`."""
        stored = epoch.stored.get((part, segment))
        if stored is not None:
            return self.store.get(stored.key, stored.versions[0])
        if epoch.directory is None or segment not in epoch.local:
            return None
        try:
            return (epoch.directory / segment_file(segment, part)).read_bytes()
        except FileNotFoundError:
            return self._get(epoch.origin.object_key(part, segment))

    def _get(self, key: str) -> bytes | None:
        try:
            return self.store.get(key)
        except FileNotFoundError:
            return None
