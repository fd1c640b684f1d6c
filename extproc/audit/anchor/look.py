"""One look of an anchor at a store: what moved on, and what contradicts its memory. Reads; decides; writes nothing."""

import hashlib
import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import msgspec

from extproc.audit.anchor.days import Days
from extproc.audit.anchor.head import UNBORN_SECONDS, AlarmName, Contradiction, Follower, Head
from extproc.audit.names import Origin, Part, parse_key
from extproc.audit.signed import UNNAMED_KEY, VerifyKey
from extproc.audit.stores.store import ObjectStore, StoredObject
from extproc.audit.verify.findings import Broken
from extproc.audit.verify.registry import verify_entry
from extproc.audit.verify.segment import verify_manifest

Found = tuple[AlarmName, str, str]
"""Name, where, what."""
MAX_SEGMENTS = 5_000
"""Read in one pass, so that a long log is remembered in steps: some minutes of a store's answers."""
Objects = dict[tuple[Part, int], StoredObject]


@dataclass(slots=True)
class Look:
    """`heads` are the remembered ones; `moved` those that are to be remembered instead."""

    store: ObjectStore
    key: VerifyKey
    deployment: str
    heads: Mapping[str, Head]
    now_ms: int
    retention_ms: int
    budget: int
    """New segments that may still be read."""
    moved: dict[str, Head] = field(default_factory=dict)
    found: list[Found] = field(default_factory=list)
    gone: dict[str, str] = field(default_factory=dict)
    """Origins that are not there any more, and why that is seen."""
    expired: list[str] = field(default_factory=list)
    behind: set[str] = field(default_factory=set)
    """Origins that have more than this pass read."""
    unnamed: set[str] = field(default_factory=set)
    """Origins of which something is signed by a key that the public key file does not hold."""

    def run(self, turn: int) -> None:
        """Look at everything that is due. Raises `StoreFailed`."""
        registry = self._registry()
        days = Days.due(self.heads, registry, self.now_ms, turn)
        unseen = {origin for origin in {*self.heads, *registry} if days.is_due(origin)}
        for day in days.due_days:
            for origin, stored in self._list_day(day):
                unseen.discard(origin)
                self._epoch(origin, registry, stored)
        for origin in sorted(unseen):
            self._epoch(origin, registry, {})
        for origin, head in self.heads.items():
            if head.entry and origin not in registry and origin not in self.gone:
                self.gone[origin] = "its registry entry is gone"
        self._judge_gone()
        self._judge_silence()

    def head(self, origin: str) -> Head:
        """As of now."""
        return self.moved.get(origin) or self.heads.get(origin) or Head(origin=origin, first_seen_ms=self.now_ms)

    def _registry(self) -> dict[str, StoredObject]:
        found = {}
        for stored in self.store.list(f"v1/registry/{self.deployment}/"):
            name = parse_key(stored.key)
            if name is not None and name.part is None:
                self._look_under(stored)
                if stored.versions:
                    found[str(name.origin)] = stored
        return found

    def _list_day(self, day: str) -> Iterator[tuple[str, Objects]]:
        """Epoch by epoch: a store lists by key, and one epoch's keys stand together."""
        listed = ((parse_key(each.key), each) for each in self.store.list(f"v1/evidence/{self.deployment}/{day}/"))
        known = ((name, each) for name, each in listed if name is not None and name.part is not None)
        for origin, group in itertools.groupby(known, key=lambda pair: str(pair[0].origin)):
            objects: Objects = {}
            for name, each in group:
                self._look_under(each)
                if each.versions and name.part is not None:
                    objects[name.part, name.segment] = each
            yield origin, objects

    def _look_under(self, stored: StoredObject) -> None:
        """A store without conditional writes may keep the same bytes twice; anything else is a cover-up."""
        if stored.delete_markers:
            self.found.append((AlarmName.SHADOWED, stored.key, "a delete marker lies over it"))
        elif len(stored.versions) > 1:
            digests = {_digest(self.store.get(stored.key, version)) for version in stored.versions}
            if len(digests) > 1:
                self.found.append((AlarmName.SHADOWED, stored.key, "it has versions that differ"))

    def _epoch(self, origin: str, registry: Mapping[str, StoredObject], stored: Objects) -> None:
        before = head = self.head(origin)
        if self._is_old(head) or (head.segment and not stored):
            if head.segment and not stored:
                self.gone[origin] = "its evidence is gone"
            return
        try:
            head = self._entry(head, registry.get(origin))
            self._held(head, stored)
            follower = Follower(head, self.key)
            try:
                self._follow(follower, stored)
            finally:
                head = follower.head
        except Contradiction as contradiction:
            self.found.append((contradiction.name, origin, contradiction.what))
            if contradiction.what == UNNAMED_KEY:
                self.unnamed.add(origin)
        if head != before or origin not in self.heads:
            self.moved[origin] = head

    def _entry(self, head: Head, stored: StoredObject | None) -> Head:
        """The head with its registry entry, which is signed, in its place, and the one that is remembered."""
        origin = Origin.parse(head.origin)
        try:
            document = self.store.get(origin.registry_key, stored.versions[0] if stored else "")
        except FileNotFoundError:
            if head.entry:
                return head  # found missing by the list
            raise Contradiction(AlarmName.ALTERED, "the epoch has no registry entry") from None
        if head.entry:
            if _digest(document) != head.entry:
                raise Contradiction(AlarmName.FORKED, "its registry entry is another than the one that was seen")
            return head
        try:
            verify_entry(self.key, origin, document)
        except Broken as broken:
            raise Contradiction(AlarmName.ALTERED, broken.what) from broken
        return msgspec.structs.replace(head, entry=_digest(document))

    def _held(self, head: Head, stored: Objects) -> None:
        """What was seen is still there, and its end is the same."""
        if not head.segment:
            return
        there = [
            segment
            for segment in range(1, head.segment + 1)
            if (Part.MANIFEST, segment) in stored and (Part.EVIDENCE, segment) in stored
        ]
        if len(there) < head.segment:
            if there == list(range(1, len(there) + 1)):
                raise Contradiction(
                    AlarmName.TRUNCATED, f"ends with segment {len(there)}; record {head.size} was in {head.segment}"
                )
            lost = sorted({*range(1, head.segment + 1)} - {*there})
            if not self._is_over(head, lost[-1], stored):
                raise Contradiction(AlarmName.GAP, f"segment {lost[0]} is gone")
        manifest = stored[Part.MANIFEST, head.segment]
        if _digest(self.store.get(manifest.key, manifest.versions[0])) != head.manifest:
            raise Contradiction(
                AlarmName.FORKED, f"segment {head.segment} is another than the one co-signed at record {head.size}"
            )

    def _is_over(self, head: Head, segment: int, stored: Objects) -> bool:
        """Whether all up to the segment is older than its retention, in an epoch that lives for longer: the next one
        was begun when it ended, and says when that was."""
        following = stored.get((Part.MANIFEST, segment + 1))
        if following is None:
            return False
        document = self.store.get(following.key, following.versions[0])
        try:
            origin = Origin.parse(head.origin)
            manifest = verify_manifest(self.key, origin, segment + 1, document).manifest
        except Broken:
            return False
        began_ms = max(manifest.started_ms, origin.started_ms, head.began_ms(segment + 1))
        return self.now_ms - began_ms > self.retention_ms

    def _follow(self, follower: Follower, stored: Objects) -> None:
        last = max((segment for part, segment in stored if part is Part.MANIFEST), default=0)
        origin = Origin.parse(follower.head.origin)
        for segment in range(follower.head.segment + 1, last + 1):
            if not self.budget:
                self.behind.add(follower.head.origin)
                return
            self.budget -= 1
            try:
                manifest, evidence = (
                    self._get(origin, part, segment, stored) for part in (Part.MANIFEST, Part.EVIDENCE)
                )
            except FileNotFoundError as error:
                raise Contradiction(AlarmName.GAP, f"segment {segment} is not whole, and others follow it") from error
            follower.follow(manifest, evidence)

    def _get(self, origin: Origin, part: Part, segment: int, stored: Objects) -> bytes:
        """By its key also when it was not listed: it may have come meanwhile."""
        listed = stored.get((part, segment))
        return self.store.get(origin.object_key(part, segment), listed.versions[0] if listed else "")

    def _judge_gone(self) -> None:
        """An epoch whose retention is over may go. When every other epoch of a writer is gone, the writer is."""
        for origin in [each for each in self.gone if self._is_old(self.heads[each])]:
            del self.gone[origin]
            if not self.heads[origin].expired:
                self.moved[origin] = msgspec.structs.replace(self.heads[origin], expired=True)
                self.expired.append(origin)
        writers: dict[str, set[str]] = {}
        for origin, head in self.heads.items():
            if not self._is_old(head):
                writers.setdefault(Origin.parse(origin).writer, set()).add(origin)
        for writer, origins in sorted(writers.items()):
            lost = sorted(origins & self.gone.keys())
            if lost and len(lost) == len(origins):
                where = f"{self.deployment}/{writer}"
                told = ", ".join(sorted({self.gone[origin] for origin in lost}))
                self.found.append(
                    (AlarmName.WRITER_MISSING, where, f"all of its {len(lost)} epoch(s) are gone: {told}")
                )
                continue
            for origin in lost:
                self.found.append((AlarmName.EPOCH_MISSING, origin, self.gone[origin]))

    def _judge_silence(self) -> None:
        for origin in sorted({*self.heads, *self.moved}):
            head = self.head(origin)
            if head.ended or head.expired or origin in self.gone or origin in self.behind or self._is_old(head):
                continue
            if origin in self.unnamed:
                continue  # what it says cannot be believed, and that is an alarm already
            if head.segment and head.is_quiet(self.now_ms):
                self.found.append((AlarmName.SILENT, origin, f"nothing after record {head.size}, and no end"))
            elif not head.segment and self.now_ms - head.first_seen_ms > UNBORN_SECONDS * 1000:
                self.found.append((AlarmName.SILENT, origin, "registered, and no evidence of it"))

    def lives(self) -> bool:
        """Whether any epoch has no end and is heard."""
        heads = [self.head(origin) for origin in {*self.heads, *self.moved} if origin not in self.gone]
        return any(head.segment and not head.ended and not head.is_quiet(self.now_ms) for head in heads)

    def _is_old(self, head: Head) -> bool:
        """By its newest word, and none is older than the epoch's name, by which the anchor found it: who holds the
        gateway's keys can sign any time, and what is over-age may vanish."""
        newest_ms = max(head.sealed_ms, head.newest_ms, Origin.parse(head.origin).started_ms)
        return bool(head.sealed_ms) and self.now_ms - newest_ms > self.retention_ms


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
