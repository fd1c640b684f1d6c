"""Takes sealed segments of the audit store over into the session index, one transaction each."""

from enum import Enum

from extproc.approvals.index.facts import gather
from extproc.approvals.index.writer import IndexWriter, Watermark
from extproc.audit.names import Origin, Part
from extproc.audit.reading.holdings import Epoch, Holdings
from extproc.audit.reading.reader import Reader
from extproc.audit.refusal import AuditRefused
from extproc.audit.stores.store import ObjectStore, StoredObject
from extproc.core.reasons import Unavailable

MISSING = "is missing, and later ones are there"
NOT_STORED = "could not be put into the index"
_NEEDED = (Part.MANIFEST, Part.EVIDENCE)


class Taken(Enum):
    """What became of a segment."""

    WHOLE = "whole"
    PASSED_OVER = "passed_over"
    """It is noted why."""
    NOT_THERE = "not_there"


class SegmentTaker:
    """Blocking. What it takes over twice is there once."""

    def __init__(self, store: ObjectStore, writer: IndexWriter) -> None:
        self._store = store
        self._writer = writer
        self.changed = 0
        """Rows of the index that were changed so far."""

    def take(self, origin: Origin, segment: int, now_ms: int) -> Taken:
        """One segment, and the watermark behind it. Raises `StoreFailed`, and `Unavailable` while the database is away.

        One that is broken is noted and passed over: later ones can be taken, and it can be tried again.
        """
        reader, epoch = self._reader(origin, segment)
        sealed_ms = 0
        try:
            sealed = reader.sealed(epoch, segment)
            if sealed is None:
                return Taken.NOT_THERE
            sealed_ms = sealed.sealed_ms
            facts = gather(sealed.records)
            what = f"has {sealed.strange} line(s) that are no records" if sealed.strange else ""
            watermark = Watermark(str(origin), segment + 1, sealed_ms)
            self.changed += self._writer.take(facts, watermark, 0 if what else segment)
        except AuditRefused as refused:
            what = str(refused)
        except (ValueError, TypeError, ArithmeticError) as error:
            what = f"has a record that the index does not understand ({type(error).__name__})"
        except Unavailable:
            what = NOT_STORED  # noting this fails as well while the database is away
        if what:
            self.pass_over(origin, segment, what, now_ms, sealed_ms)
            return Taken.PASSED_OVER
        return Taken.WHOLE

    def pass_over(self, origin: Origin, segment: int, what: str, now_ms: int, sealed_ms: int = 0) -> None:
        """Note it, and go on behind it. Raises `Unavailable`."""
        self._writer.note_problem(Watermark(str(origin), segment + 1, sealed_ms), segment, what, now_ms)

    def _reader(self, origin: Origin, segment: int) -> tuple[Reader, Epoch]:
        """By the segment's own name, so that nothing has to be listed."""
        epoch = Epoch(origin)
        for part in _NEEDED:
            epoch.stored[part, segment] = StoredObject(origin.object_key(part, segment))
        return Reader(Holdings(self._store, None, {origin: epoch})), epoch
