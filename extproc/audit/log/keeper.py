"""What the journal needs done beside its hot path: seal finished segments, watch spool and clock, keep the reserve."""

import errno
import logging
import os
import threading
import time
from pathlib import Path

from extproc.audit.log.alarms import Alarms, Cause, Change, Control, Sight
from extproc.audit.log.clock import ClockWatch, Synchronised, ask_kernel
from extproc.audit.log.own_records import Detail, log_record
from extproc.audit.log.queue import CommitQueue
from extproc.audit.log.segment_files import seal_segment
from extproc.audit.log.spool import RESERVE, measure
from extproc.audit.records.line import encode_record
from extproc.audit.refusal import AuditRefused
from extproc.audit.settings import AuditSettings
from extproc.audit.signed import Signer

_log = logging.getLogger("extproc.audit")
WATCH_SECONDS = 1.0
"""How stale the spool's size and lag may be."""
_SPARE_FILES = 32
"""A disk that counts its files (one that does not says 0 for all) has room again when so many are free."""


class Keeper:
    """One thread beside one journal."""

    def __init__(
        self, settings: AuditSettings, directory: Path, signer: Signer, queue: CommitQueue, clock: ClockWatch
    ) -> None:
        self._settings, self._directory, self._signer, self._queue = settings, directory, signer, queue
        self._writer = directory.parent.name
        self._clock = clock
        self._alarms = Alarms()
        self._finished: list[tuple[int, str]] = []
        self._wake = threading.Condition()
        self._stopping = False
        self._failed = False
        self._barred = False
        self._reserve_spent = self._disk_was_full = True
        self._used_bytes = 0
        self._lag_seconds = 0.0
        self._thread = threading.Thread(target=self._run, name="audit-keeper", daemon=True)

    def start(self) -> None:
        """Allocate the reserve, look at the spool once, then keep watch. Raises OSError."""
        self._restore_reserve()
        self._look()
        self._thread.start()

    def seal(self, segment: int, root: str) -> None:
        """A segment is finished; `root` is what the journal knows its records to hash to."""
        with self._wake:
            self._finished.append((segment, root))
            self._wake.notify()

    def healthy(self) -> bool:
        """Sealing works, the store neither lags nor diverges, the reserve is whole, the clock holds where it must, and
        the log is not paused."""
        return not (self._failed or self._barred or self._reserve_spent or self._alarms.paused)

    @property
    def paused(self) -> frozenset[Cause]:
        """Why no new exchange is taken, as far as that is recorded."""
        return self._alarms.paused

    @property
    def failing(self) -> frozenset[Control]:
        """The controls whose failure is recorded and not over."""
        return self._alarms.failing

    @property
    def failed(self) -> bool:
        """Whether its thread has given up: nothing is sealed and the spool is not watched any more."""
        return self._failed

    def report(self) -> Detail:
        """For heartbeats. `clock_step_ms` counts from the last one."""
        return {
            "spool_used_bytes": self._used_bytes,
            "store_lag_seconds": round(self._lag_seconds, 1),
            **ask_kernel().detail(),
            "clock_step_ms": self._clock.beat(),
        }

    def spend_reserve(self) -> None:
        """Called by the journal's thread: the disk is full, give it the preallocated bytes and their file's name."""
        if self._reserve_spent:
            return
        self._reserve_spent = True
        self._queue.allow(0, self._settings.reserve_bytes)
        (self._directory / RESERVE).unlink(missing_ok=True)
        _log.critical("the spool's disk is full; only refusals are recorded, from the reserve")
        with self._wake:
            self._wake.notify()

    def stop(self) -> None:
        """Seal what is finished, then end."""
        with self._wake:
            self._stopping = True
            self._wake.notify()
        self._thread.join()
        (self._directory / RESERVE).unlink(missing_ok=True)

    def _run(self) -> None:
        try:
            while True:
                with self._wake:
                    if not self._finished and not self._stopping:
                        self._wake.wait(WATCH_SECONDS)
                    stopping = self._stopping
                sealed = self._seal_finished()
                if stopping and (sealed or self._failed):
                    return
                if not sealed:
                    time.sleep(WATCH_SECONDS)
                self._restore_reserve()
                self._watch()
        except Exception as error:  # noqa: BLE001 - the thread's boundary: an unwatched spool takes no new exchange
            self._failed = True
            _log.critical("the audit spool's keeper failed (%s); new exchanges are refused", type(error).__name__)

    def _seal_finished(self) -> bool:
        """True when nothing is left to seal; False when the disk had no room for it."""
        while self._finished:
            segment, root = self._finished[0]
            try:
                manifest = seal_segment(self._directory, segment, self._signer, int(time.time() * 1000))
            except OSError as error:
                if error.errno not in (errno.ENOSPC, errno.EDQUOT) or self._stopping:
                    raise
                return False
            if manifest.root != root:
                raise AuditRefused("a finished segment is not what was written")
            with self._wake:
                self._finished.pop(0)
        return True

    def _watch(self) -> None:
        sight = self._look()
        for change in self._alarms.look(sight, time.monotonic()):
            self._record(change)

    def _look(self) -> Sight:
        """Measure the spool, and tell the queue what it may still take."""
        settings = self._settings
        state = measure(settings.spool, time.time())
        self._used_bytes, self._lag_seconds = state.used_bytes, state.oldest_pending_seconds
        lags, diverges = state.oldest_pending_seconds > settings.max_lag_seconds, state.divergent > 0
        synchronised = ask_kernel().synchronised
        # Known at once, also to an epoch that has just begun: a pause is recorded a moment later.
        wrong_clock = settings.refuse_unsynchronised_clock and synchronised is not Synchronised.YES
        self._barred = lags or diverges or wrong_clock
        general = settings.max_spool_bytes - settings.reserve_bytes - state.used_bytes
        disk_full = self._reserve_spent
        had_room = self._queue.allow(
            0 if disk_full else general, min(settings.reserve_bytes, settings.max_spool_bytes - state.used_bytes)
        )
        was_full, self._disk_was_full = self._disk_was_full, disk_full
        return Sight(
            used_bytes=state.used_bytes,
            limit_bytes=settings.max_spool_bytes,
            lag_seconds=state.oldest_pending_seconds,
            spool_full=not (had_room or disk_full or was_full),
            disk_full=disk_full,
            store_lags=lags,
            store_diverges=diverges,
            step=self._clock.look(),
            synchronised=synchronised,
            clock_must_hold=settings.refuse_unsynchronised_clock,
        )

    def _record(self, change: Change) -> None:
        record = log_record(change.event_code, self._writer, int(time.time() * 1000), change.detail, change.status)
        self._queue.put_if_open(record.event_code, encode_record(record))
        _log.warning("%s", change.event_code.value, extra=change.detail)

    def _restore_reserve(self) -> None:
        """Allocate the preallocated bytes again, once the disk has room for them twice."""
        room = os.statvfs(self._directory)
        if not self._reserve_spent or room.f_bavail * room.f_frsize < 2 * self._settings.reserve_bytes:
            return
        if room.f_files and room.f_favail < _SPARE_FILES:
            return
        path = self._directory / RESERVE
        try:
            fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                if self._settings.reserve_bytes:
                    os.posix_fallocate(fd, 0, self._settings.reserve_bytes)
            finally:
                os.close(fd)
            self._reserve_spent = False
        except OSError as error:
            path.unlink(missing_ok=True)
            if error.errno not in (errno.ENOSPC, errno.EDQUOT):
                raise
