"""The first pass over a store's listing: how much there is, what is not the log's, what lies over what is."""

import hashlib
from collections.abc import Callable, Iterator
from functools import partial

from extproc.audit.names import ObjectName, Part, parse_key
from extproc.audit.signed import VerifyKey
from extproc.audit.stores.store import ObjectStore, StoredObject
from extproc.audit.verify.findings import Broken, Name
from extproc.audit.verify.registry import verify_entry
from extproc.audit.verify.report import Report, Watch
from extproc.audit.verify.segment import verify_manifest

_TOLD_EVERY = 10_000


def take_census(report: Report, store: ObjectStore, key: VerifyKey, watch: Watch) -> None:
    """Adds STRANGER, SHADOWED and DIVERGENT_DUPLICATE to the report. Raises `StoreFailed`."""
    objects = segments = size = 0
    for stored in store.list("v1/"):
        objects += 1
        size += stored.size
        name = parse_key(stored.key)
        if name is None:
            report.add(Name.STRANGER, stored.key, "the log never wrote it")
            continue
        segments += name.part is Part.MANIFEST
        if stored.delete_markers:
            report.add(Name.SHADOWED, stored.key, f"{stored.delete_markers} delete marker(s)")
        if len(stored.versions) > 1:
            _check_versions(report, store, key, name, stored)
        if objects % _TOLD_EVERY == 0:
            watch.listed(segments, size)
    watch.listed(segments, size)


def _check_versions(report: Report, store: ObjectStore, key: VerifyKey, name: ObjectName, stored: StoredObject) -> None:
    """A store without conditional writes may keep the same bytes twice; anything else is a cover-up."""
    differing: set[bytes] = set()
    signed = 0
    for version in stored.versions:
        digest = _digest(store.pieces(stored.key, version))
        if digest not in differing:
            differing.add(digest)
            signed += _is_signed(key, name, partial(store.get, stored.key, version))
    if signed > 1:
        report.add(Name.DIVERGENT_DUPLICATE, stored.key, f"{signed} versions that differ, signed by the log's own keys")
    elif len(differing) > 1:
        report.add(Name.SHADOWED, stored.key, f"{len(stored.versions)} versions that differ")


def _digest(pieces: Iterator[bytes]) -> bytes:
    digest = hashlib.sha256()
    for piece in pieces:
        digest.update(piece)
    return digest.digest()


def _is_signed(key: VerifyKey, name: ObjectName, read: Callable[[], bytes]) -> bool:
    """Whether this version, which only a manifest or a registry entry is read for, bears a signature of the log's."""
    try:
        if name.part is Part.MANIFEST:
            verify_manifest(key, name.origin, name.segment, read())
        elif name.part is None:
            verify_entry(key, name.origin, read())
        else:
            return False
    except Broken:
        return False
    return True
