"""Bring sealed segments to the store: in order, once, and gone from the spool only when the store holds them."""

import fcntl
import hashlib
import logging
import os
import time
from dataclasses import dataclass
from pathlib import Path

import msgspec

from extproc.audit.files import replace, sync_directory, write_new
from extproc.audit.log.foreign_log import refuse_foreign_log
from extproc.audit.log.sealed_files import SpoolUnfit, verify_registered, verify_sealed
from extproc.audit.log.spool import (
    DIVERGENT,
    REGISTERED,
    REGISTRY,
    EpochLock,
    epochs,
    make_directory,
    measure,
    remove_epoch,
    segments,
)
from extproc.audit.names import JOURNAL, Origin, Part, segment_file
from extproc.audit.refusal import NOT_PARSED, AuditRefused
from extproc.audit.settings import AuditSettings
from extproc.audit.stores.store import Divergent, Fault, ObjectStore, StoreFailed, open_store
from extproc.core.reasons import Reason, Unavailable

_log = logging.getLogger("extproc.audit")
_ORDER = (Part.EVIDENCE, Part.CONTENT, Part.KEYS, Part.MANIFEST)
"""The manifest last: what it names is in the store before it is."""


@dataclass(frozen=True, slots=True)
class ShipResult:
    """Segments that the store holds now; and how long the oldest that it does not hold has waited (0: none waits)."""

    shipped: int
    oldest_pending_age_seconds: float
    by_another: bool = False
    """Another shipper is at it: nothing was seen of the store."""


class ShippingFailed(Unavailable):
    """Something waits in the spool, and why. `divergent`: the key of the object that the store holds other bytes of.

    `shipped`: segments that the store got all the same.
    """

    def __init__(self, fault: Fault, divergent: str = "", shipped: int = 0) -> None:
        super().__init__(Reason.AUDIT_UNAVAILABLE)
        self.fault, self.divergent, self.shipped = fault, divergent, shipped


class Shipper:
    """Ships everything in the spool, of living and dead writers. Several may run; one at a time works."""

    def __init__(self, settings: AuditSettings) -> None:
        self._settings = settings
        self._store: ObjectStore | None = None
        self._said = ""
        self._shipped = 0
        """In this pass."""

    def ship_pending(self) -> ShipResult:
        """One pass. Raises `ShippingFailed` when something could not be shipped; what could be has been."""
        make_directory(self._settings.spool)
        lock = os.open(self._settings.spool / "ship.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self._shipped = 0
            self._ship_all(self._checked_store())
        except BlockingIOError:
            return ShipResult(0, measure(self._settings.spool, time.time()).oldest_pending_seconds, by_another=True)
        except (AuditRefused, StoreFailed, OSError) as error:
            self._say(error)
            raise _failed(error, self._shipped) from error
        finally:
            os.close(lock)
        self._said = ""
        return ShipResult(self._shipped, measure(self._settings.spool, time.time()).oldest_pending_seconds)

    def _say(self, error: Exception) -> None:
        """Once, not at every try."""
        if self._said != str(error):
            self._said = str(error)
            _log.error("segments cannot be shipped (%s)", error)

    def _checked_store(self) -> ObjectStore:
        if self._store is None:
            store = open_store(self._settings)
            store.check()
            self._store = store
        return self._store

    def _ship_all(self, store: ObjectStore) -> None:
        problem: Exception | None = None
        for origin, directory in list(epochs(self._settings.spool, self._settings.deployment)):
            try:
                self._ship_epoch(store, origin, directory)
            except FileNotFoundError:
                continue  # the epoch went while we looked
            except (AuditRefused, StoreFailed, OSError) as error:  # the other epochs do not wait for this one
                if not isinstance(problem, Divergent):
                    problem = error
        if problem is not None:
            raise problem

    def _ship_epoch(self, store: ObjectStore, origin: Origin, directory: Path) -> None:
        """Raises `Divergent` again and again, without another try, until a person has taken the epoch away."""
        if (directory / DIVERGENT).exists():
            raise Divergent(read_divergent(directory))
        try:
            self._ship_segments(store, origin, directory)
        except Divergent as error:
            replace(directory / DIVERGENT, msgspec.json.encode({"object": error.key}))
            _log.critical(
                "%s; keep %s as evidence and move it out of the spool, then exchanges go on", error, directory
            )
            raise

    def _ship_segments(self, store: ObjectStore, origin: Origin, directory: Path) -> None:
        if not (directory / REGISTERED).exists():
            document, entry = verify_registered(directory / REGISTRY, origin)
            if entry.number == 1:
                refuse_foreign_log(self._settings, store)
            store.put_once(origin.registry_key, document)
            write_new(directory / REGISTERED, b"")
        for segment in segments(directory, Part.MANIFEST):
            if (directory / segment_file(segment, JOURNAL)).exists():
                break  # its writer has not finished sealing it, or died over it: whoever ends that goes first
            _require_whole(store, origin, directory, segment)
            again = False
            for part in _ORDER:
                path = directory / segment_file(segment, part)
                if part is Part.KEYS and again and _is_stored(store, origin.object_key(Part.MANIFEST, segment)):
                    continue  # all of it was stored once: keys that are not there any more were destroyed
                if path.exists():
                    again |= not _put(store, origin.object_key(part, segment), path, part)
            # The manifest goes last here too: while it is there, the segment is shipped again, to the same keys.
            for part in _ORDER:
                (directory / segment_file(segment, part)).unlink(missing_ok=True)
            sync_directory(directory)
            self._shipped += 1
        self._remove_if_over(directory)

    def _remove_if_over(self, directory: Path) -> None:
        """An epoch whose writer is gone and whose every segment is in the store has nothing left here."""
        lock = EpochLock.take(directory)
        if lock is None:
            return
        try:
            if not segments(directory, JOURNAL) and not segments(directory, Part.MANIFEST):
                remove_epoch(directory)
        finally:
            lock.release()


def _require_whole(store: ObjectStore, origin: Origin, directory: Path, segment: int) -> None:
    """Nothing that was damaged here is stored for good; and what is not here a shipper that died had stored before."""
    for missing in verify_sealed(directory, origin, segment):
        try:
            stored = store.get(missing.key)
        except FileNotFoundError as error:
            raise SpoolUnfit(f"{missing.key} is neither in {directory} nor in the store") from error
        if hashlib.sha256(stored).hexdigest() != missing.sha256:
            raise Divergent(missing.key)


def _put(store: ObjectStore, key: str, path: Path, part: Part) -> bool:
    """Whether it was not there yet.

    A key bag that is in the store with fewer keys was shredded since a shipper died over its removal here.
    """
    try:
        return store.put_once(key, path)
    except Divergent:
        if part is not Part.KEYS or not set(store.get(key).splitlines()) < set(path.read_bytes().splitlines()):
            raise
        return False


def _is_stored(store: ObjectStore, key: str) -> bool:
    """Where one may not ask, what is not there cannot be told from what is: then it is not."""
    try:
        store.get(key)
    except FileNotFoundError:
        return False
    except StoreFailed as error:
        if error.fault is not Fault.DENIED:
            raise
        return False
    return True


def read_divergent(directory: Path) -> str:
    """The object that the marker of an epoch names. Whatever the marker holds, it is one."""
    try:
        return str(msgspec.json.decode((directory / DIVERGENT).read_bytes(), type=dict[str, str])["object"])
    except (*NOT_PARSED, KeyError):
        return "an object that the marker does not name"


def _failed(error: Exception, shipped: int) -> ShippingFailed:
    match error:
        case Divergent():
            return ShippingFailed(Fault.DIVERGENT, error.key, shipped)
        case StoreFailed():
            return ShippingFailed(error.fault, "", shipped)
        case SpoolUnfit() | OSError():
            return ShippingFailed(Fault.SPOOL, "", shipped)
    return ShippingFailed(Fault.UNFIT, "", shipped)
