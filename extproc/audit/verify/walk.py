"""The log's objects in their order, segment by segment, without ever holding more than a page of each listing.

The planes of a store list their epochs in the same order (by deployment, day, writer, epoch), so their listings are
merged. What the spool still holds is merged in.
"""

import contextlib
import hashlib
import heapq
import itertools
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from extproc.audit.files import pieces_of
from extproc.audit.log.journal_file import OpenJournal, open_journal
from extproc.audit.log.registry import Head, read_head
from extproc.audit.log.spool import epoch_path, epochs, is_alive, segments, strays
from extproc.audit.names import JOURNAL, Origin, Part, Plane, parse_key, segment_file
from extproc.audit.refusal import AuditRefused
from extproc.audit.stores.store import ObjectStore, StoredObject, StoreFailed
from extproc.audit.verify.findings import Broken, Name

_ATTEMPTS = 3
"""A segment moves twice at most: sealed, shipped."""
_PREFIXES = tuple(f"v1/{plane}/" for plane in (*Plane, "registry"))


@dataclass(frozen=True, slots=True)
class LocalEpoch:
    """An epoch's place in the spool. `segments` have a file there."""

    directory: Path
    alive: bool
    segments: tuple[int, ...]

    @classmethod
    def look(cls, directory: Path) -> "LocalEpoch":
        # Alive is asked first: a writer that ends now has ended the epoch by the time its files are read.
        alive = is_alive(directory)
        found = {*segments(directory, JOURNAL), *segments(directory, Part.MANIFEST)}
        return cls(directory, alive, tuple(sorted(found)))


@dataclass(frozen=True, slots=True)
class LocalSpool:
    """What one spool holds that the store may not hold yet: little, and listed at once, before the store is."""

    path: Path | None = None
    epochs: dict[Origin, LocalEpoch] = field(default_factory=dict)
    strangers: tuple[str, ...] = ()
    head: Head | None = None
    head_refused: str = ""
    """Why the spool's newest registry entry cannot be used; empty when it can, or when there is none."""

    @classmethod
    def look(cls, spool: Path | None, deployment: str) -> "LocalSpool":
        if spool is None:
            return cls()
        head, refused = None, ""
        try:
            head = read_head(spool)
        except AuditRefused as error:
            refused = str(error)
        found = {origin: LocalEpoch.look(directory) for origin, directory in epochs(spool, deployment)}
        return cls(spool, found, tuple(str(path) for path in strays(spool, deployment)), head, refused)

    def epoch(self, origin: Origin) -> LocalEpoch | None:
        """Also one that was begun after the spool was listed."""
        found = self.epochs.get(origin)
        if found is None and self.path is not None and is_alive(epoch_path(self.path, origin)):
            return LocalEpoch.look(epoch_path(self.path, origin))
        return found


@dataclass(frozen=True, slots=True)
class Place:
    """One segment as listed: what the store has of it. Number 0 stands for the epoch itself, its registry entry."""

    origin: Origin
    segment: int
    stored: dict[Part | None, StoredObject] = field(default_factory=dict)

    @property
    def size(self) -> int:
        return sum(stored.size for stored in self.stored.values())


def walk(store: ObjectStore, local: LocalSpool) -> Iterator[tuple[Origin, Iterator[Place]]]:
    """Every epoch that the store or the spool knows, each with its places in order. To be consumed in order.

    Raises `StoreFailed`, also when the store lists out of order: then nothing could be said to be missing.
    """
    planes = [_listed(store, prefix) for prefix in _PREFIXES]
    merged = _in_order(heapq.merge(*planes, _local(local), key=_order))
    return itertools.groupby(_places(merged), key=lambda place: place.origin)


_Item = tuple[str, int, Origin, Part | None, StoredObject | None]


def _order(item: _Item) -> tuple[str, int]:
    return item[0], item[1]


def _listed(store: ObjectStore, prefix: str) -> Iterator[_Item]:
    for stored in store.list(prefix):
        name = parse_key(stored.key)
        if name is not None and stored.versions:
            yield name.origin.folder, name.segment, name.origin, name.part, stored


def _local(local: LocalSpool) -> Iterator[_Item]:
    for origin in sorted(local.epochs, key=lambda origin: origin.folder):
        for segment in (0, *local.epochs[origin].segments):
            yield origin.folder, segment, origin, None, None


def _in_order(items: Iterable[_Item]) -> Iterator[_Item]:
    last = ("", 0)
    for item in items:
        if _order(item) < last:
            raise StoreFailed("the store does not list in order")
        last = _order(item)
        yield item


def _places(items: Iterable[_Item]) -> Iterator[Place]:
    for _, group in itertools.groupby(items, key=_order):
        found = list(group)
        stored = {part: item for _, _, _, part, item in found if item is not None}
        yield Place(found[0][2], found[0][1], stored)


@dataclass(frozen=True, slots=True)
class Copies:
    """Reads the objects of places, from wherever they are by now."""

    store: ObjectStore

    def registry_document(self, place: Place, document: Path | None) -> bytes | None:
        """The epoch's registry entry, from the store or, while it is not there, from the spool."""
        stored = place.stored.get(None)
        if stored is not None:
            return self._listed(stored)
        if document is not None:
            with contextlib.suppress(FileNotFoundError):
                return document.read_bytes()
        return self._get(place.origin.registry_key)

    def manifest_of(self, origin: Origin, segment: int) -> bytes | None:
        """Of any segment, without a listing: the newest version."""
        return self._get(origin.object_key(Part.MANIFEST, segment))

    @contextlib.contextmanager
    def open(self, place: Place, local: LocalEpoch | None) -> "Iterator[Sealed | OpenJournal | None]":
        """One segment; None when it is nowhere. Raises `StoreFailed`, and `AuditRefused` for a journal's header."""
        with contextlib.ExitStack() as files:
            yield self._find(place, local.directory if local is not None else None, files)

    def _find(self, place: Place, directory: Path | None, files: contextlib.ExitStack) -> "Sealed | OpenJournal | None":
        for _ in range(_ATTEMPTS):
            manifest = self.part(place, Part.MANIFEST, directory)
            if manifest is not None:
                return Sealed(
                    manifest,
                    lambda part: self.part(place, part, directory),
                    lambda: self._content(place, directory),
                )
            if directory is None:
                return None
            try:
                journal = files.enter_context(open_journal(directory / segment_file(place.segment, JOURNAL)))
            except FileNotFoundError:
                continue
            if journal is not None:
                return journal
        return None

    def part(self, place: Place, part: Part, directory: Path | None) -> bytes | None:
        """One object, or None. What is not listed may have come meanwhile. Raises `Broken` when two copies differ."""
        data = None
        if directory is not None:
            with contextlib.suppress(FileNotFoundError):
                data = (directory / segment_file(place.segment, part)).read_bytes()
        stored = place.stored.get(part)
        kept = self._listed(stored) if stored is not None else None
        if data is None and stored is None and (part is not Part.MANIFEST or directory is not None):
            return self._get(place.origin.object_key(part, place.segment))
        if data is not None and kept is not None and data != kept:
            raise Broken(Name.DIVERGENT_DUPLICATE, f"the spool and the store differ in {part.value[1:]}", part)
        return kept if data is None else data

    def _content(self, place: Place, directory: Path | None) -> Iterator[bytes] | None:
        """As `part`, in pieces. That two copies differ is raised behind the last."""
        stored, kept, data = place.stored.get(Part.CONTENT), None, None
        if directory is not None:
            data = _begun(pieces_of(directory / segment_file(place.segment, Part.CONTENT)))
        if stored is not None:
            kept = _begun(self.store.pieces(stored.key, stored.versions[0]))
        elif data is None:
            kept = _begun(self.store.pieces(place.origin.object_key(Part.CONTENT, place.segment)))
        return _compared(data, kept) if data is not None and kept is not None else data or kept

    def _listed(self, stored: StoredObject) -> bytes | None:
        try:
            return self.store.get(stored.key, stored.versions[0])
        except FileNotFoundError:
            return None

    def _get(self, key: str) -> bytes | None:
        try:
            return self.store.get(key)
        except FileNotFoundError:
            return None


@dataclass(frozen=True, slots=True)
class Sealed:
    """A sealed segment: its manifest, and the way to its other objects, each None where there is none."""

    manifest: bytes
    read: Callable[[Part], bytes | None]
    content: Callable[[], Iterator[bytes] | None]
    """Its content object in pieces."""


def _begun(pieces: Iterator[bytes]) -> Iterator[bytes] | None:
    """The same, with what they come from held open; None where that is not there."""
    try:
        return itertools.chain((next(pieces, b""),), pieces)
    except FileNotFoundError:
        return None


def _compared(data: Iterator[bytes], kept: Iterator[bytes]) -> Iterator[bytes]:
    """What the store keeps. Raises `Broken` behind its last piece when the spool's copy is another."""
    in_store, in_spool = hashlib.sha256(), hashlib.sha256()
    for piece in kept:
        in_store.update(piece)
        yield piece
    for piece in data:
        in_spool.update(piece)
    if in_store.digest() != in_spool.digest():
        raise Broken(Name.DIVERGENT_DUPLICATE, f"the spool and the store differ in {Part.CONTENT.value[1:]}")
