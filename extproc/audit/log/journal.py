"""The journal of one process: what it acknowledges is on the disk.

Callers append without blocking. One thread takes everything that came while the last `fdatasync` ran, writes it, syncs
it, and only then says so. A failed write or sync ends the epoch: nothing more is acknowledged, nothing more is taken.
"""

import contextlib
import dataclasses
import logging
import threading
import time
from collections.abc import Callable, Sequence

from extproc.audit.keys.keys import AuditKeys, transcripts_of
from extproc.audit.log.alarms import Cause, Control
from extproc.audit.log.clock import ClockWatch, ask_kernel
from extproc.audit.log.content import ContentLog
from extproc.audit.log.frames import Kind
from extproc.audit.log.keeper import Keeper
from extproc.audit.log.own_records import Detail, log_record
from extproc.audit.log.queue import Batch, CommitQueue, Done, Line
from extproc.audit.log.registry import Registry
from extproc.audit.log.segment import ZERO, ChainState
from extproc.audit.log.spool import NewEpoch, new_epoch, segments
from extproc.audit.log.writing import FIRST, NoRoom, SegmentFile
from extproc.audit.merkle import MerkleTree
from extproc.audit.names import JOURNAL, Origin, Part
from extproc.audit.records.line import encode_record
from extproc.audit.refusal import AuditRefused
from extproc.audit.settings import AuditSettings
from extproc.audit.signed import Role, Signer
from extproc.core.reasons import Reason, Unavailable
from extproc.core.record import EventCode, Record, missing_fields

_log = logging.getLogger("extproc.audit")
MAX_EXCHANGE_ID_BYTES = 128
MAX_EVIDENCE_BYTES = 8 * 1024 * 1024
"""A segment with so much evidence is finished before it is full or old: who reads evidence holds a segment's in memory.
At 1.2 kB a record that is 3 500 exchanges."""
_SPOOL_SHARE = 8
"""A segment takes at most this part of the spool, so that a small one is emptied before it is full."""
Deliver = Callable[[Callable[[], None]], None]


COMMIT_GAP_SECONDS = 0.003
"""Between the starts of two group commits of transcript. A sync costs about 80 us of CPU and a thread switch another
30, so events that come closer together than this share one. A lone event never waits, because the last commit is long
past, and neither does a record: with it something begins or ends."""


class Journal:
    """One writer, one epoch. `append_record`, `open_content` and `accepting` are for any thread."""

    def __init__(
        self,
        settings: AuditSettings,
        keys: AuditKeys,
        *,
        epoch: NewEpoch,
        chain: ChainState,
        file: SegmentFile,
        keeper: Keeper,
        queue: CommitQueue,
        deliver: Deliver,
    ) -> None:
        self._settings, self._keys, self._epoch = settings, keys, epoch
        self._chain, self._file, self._keeper, self._queue, self._deliver = chain, file, keeper, queue, deliver
        self._begun = self._beaten = time.monotonic()
        self._evidence_bytes = 0
        """In the segment that is open."""
        self._segment_bytes = min(settings.segment_bytes, settings.max_spool_bytes // _SPOOL_SHARE)
        self._closing = threading.Lock()
        self._sealing_lock = threading.Lock()
        self._seal_wanted: list[Callable[[int], None]] = []
        self._closed = False
        self._stopped = False
        self._thread = threading.Thread(target=self._run, name="audit-journal", daemon=True)

    @classmethod
    def open(cls, settings: AuditSettings, keys: AuditKeys, *, writer: str, deliver: Deliver) -> "Journal":
        """A new epoch with its durable `log.start`. Raises `AuditRefused` or OSError."""
        now, clock = time.time(), ClockWatch()
        origin = Origin.parse(f"{settings.deployment}/{writer}/{new_epoch(now)}")
        keys.refuse_expired(int(now * 1000))
        Registry(settings.spool, keys).refuse_another_key()
        keys.content.prepare(transcripts_of(str(origin)))
        signer = Signer.certified(keys.signing, str(origin), Role.EPOCH, int(now * 1000))
        epoch = NewEpoch.create(settings.spool, origin)
        queue = CommitQueue(settings.max_spool_bytes - settings.reserve_bytes, settings.reserve_bytes, next_seq=2)
        chain = ChainState(origin, 1, 1, ZERO, ZERO, {}, MerkleTree(), MerkleTree())
        start = log_record(EventCode.LOG_START, writer, int(now * 1000), _start_detail(settings, signer))
        try:
            file = SegmentFile(epoch.path, chain, int(now * 1000), FIRST)
            file.commit([(Kind.RECORD, chain.add_record(EventCode.LOG_START, "", encode_record(start)))])
        except OSError:
            epoch.discard()
            raise
        epoch.publish()
        try:
            Registry(settings.spool, keys).register(origin, int(now * 1000))
            keeper = Keeper(settings, epoch.path, signer, queue, clock)
            keeper.start()
        except BaseException:  # whatever it is: a lock that this process kept would pass for a living writer
            file.close()
            epoch.lock.release()  # what is there is adopted like any dead writer's
            raise
        journal = cls(settings, keys, epoch=epoch, chain=chain, file=file, keeper=keeper, queue=queue, deliver=deliver)
        journal._thread.start()
        return journal

    @property
    def origin(self) -> str:
        """`<deployment>/<writer>/<epoch>`."""
        return str(self._epoch.origin)

    def append_record(self, record: Record, done: Done | None = None) -> int:
        """Queue a record; its number. `done(True)` comes once it is durable. Never blocks.

        Raises `Unavailable`, also for a record that lacks what PCI DSS 10.2.2 asks for.
        """
        if missing := missing_fields(record):
            _log.error("a record is not written: it lacks %s", ", ".join(missing))
            raise Unavailable(Reason.AUDIT_UNAVAILABLE)
        return self._queue.put_record(record.event_code, record.exchange_id, encode_record(record), done)

    def open_content(self, exchange_id: str) -> ContentLog:
        """The transcript of one exchange, under a fresh key that is journaled, wrapped, with its first bytes."""
        if not 0 < len(exchange_id.encode()) <= MAX_EXCHANGE_ID_BYTES:
            raise Unavailable(Reason.AUDIT_UNAVAILABLE)
        return ContentLog(self._queue, self._keys, self.origin, exchange_id)

    def seal_soon(self, done: Callable[[int], None]) -> None:
        """Finish the open segment at once, however small, for a shipper to take. For any thread; never blocks.

        `done(n)` comes with the number of the segment that was finished last: what was durable before is in it, or in
        one before it. It does not come where the disk has no room, or the journal ends.
        """
        with self._sealing_lock:
            self._seal_wanted.append(done)
        self._queue.nudge()

    def is_shipped(self, segment: int) -> bool:
        """Whether the store holds every segment of this journal up to `segment`: one leaves the spool only then."""
        here = (segments(self._epoch.path, part) for part in (JOURNAL, Part.MANIFEST))
        return not any(number <= segment for numbers in here for number in numbers)

    def accepting(self) -> bool:
        """False: refuse new exchanges. The spool is full but for its reserve, the store lags, or the disk failed."""
        return self._queue.accepting() and self._keeper.healthy()

    @property
    def paused(self) -> frozenset[Cause]:
        """Why no new exchange is taken, as far as that is recorded."""
        return self._keeper.paused

    @property
    def failing(self) -> frozenset[Control]:
        """The controls of the log whose failure is recorded and not over."""
        return self._keeper.failing

    @property
    def failed(self) -> bool:
        """True, and for good: one of its threads has given up. Only a new epoch records again.

        False while it merely waits for room or for the store.
        """
        return self._queue.failed or self._keeper.failed

    def close(self) -> None:
        """Commit what is queued, write `log.stop`, seal, release the epoch. Blocks; repeating it does nothing."""
        with self._closing:
            if self._closed:
                return
            self._closed = True
            stop = log_record(EventCode.LOG_STOP, self._epoch.origin.writer, int(time.time() * 1000), {})
            self._queue.close_with(EventCode.LOG_STOP, encode_record(stop))
            self._thread.join()
            try:
                self._file.close()
            finally:
                self._keeper.stop()
                self._epoch.lock.release()

    def _run(self) -> None:
        try:
            while (batch := self._queue.take(self._patience())) is not None:
                if batch.items or batch.waiting:
                    begun = time.monotonic()
                    self._commit(batch)
                    if (gap := begun + COMMIT_GAP_SECONDS - time.monotonic()) > 0:
                        self._queue.rest(gap)
                self._turn()
            self._seal_last()
        except Exception as error:  # noqa: BLE001 - the thread's boundary: whatever it is, nothing is acknowledged any more
            _log.critical("the audit journal failed (%s); nothing more is recorded", type(error).__name__)
            self._release(self._queue.fail(), durable=False)

    def _commit(self, batch: Batch) -> None:
        try:
            payloads = self._payloads(batch)
            if payloads:
                if self._file.size == self._file.empty_size:
                    self._begun = time.monotonic()
                self._write(payloads)
        except BaseException:
            # Closed first: whoever is told that it failed also finds that nothing more is taken.
            self._release([*batch.waiting, *self._queue.fail()], durable=False)
            raise
        self._release(batch.waiting, durable=True)

    def _payloads(self, batch: Batch) -> list[tuple[Kind, bytes]]:
        payloads: list[tuple[Kind, bytes]] = []
        for item in batch.items:
            if isinstance(item, Line):
                if item.seq != self._chain.next_seq:
                    raise AuditRefused("a record's number is not the next")
                self._stopped = item.event_code is EventCode.LOG_STOP
                line = self._chain.add_record(item.event_code, item.exchange_id, item.body)
                self._evidence_bytes += len(line) + 1
                payloads.append((Kind.RECORD, line))
            else:
                frames, digest, count = item.take_frames()
                payloads += frames
                self._chain.note_content(item.exchange_id, digest, count)
        return payloads

    def _write(self, payloads: Sequence[tuple[Kind, bytes]]) -> None:
        try:
            self._file.commit(payloads)
        except NoRoom:
            self._keeper.spend_reserve()
            self._file.retry()

    def _release(self, waiting: list[Done], *, durable: bool) -> None:
        if not waiting:
            return

        def run() -> None:
            for done in waiting:
                done(durable)

        try:
            self._deliver(run)
        except RuntimeError:  # the loop that waited is closed: nobody is left to be told
            _log.warning("the audit journal has nobody to report to")

    def _patience(self) -> float:
        """Seconds until the journal has something to do on its own."""
        until = self._beaten + self._settings.heartbeat_seconds
        if self._file.size > self._file.empty_size:
            until = min(until, self._begun + self._settings.segment_seconds)
        return max(until - time.monotonic(), 0.0)

    def _turn(self) -> None:
        if self._stopped:  # nothing follows `log.stop`, not even an empty segment that could go unmissed
            return
        now = time.monotonic()
        if now >= self._beaten + self._settings.heartbeat_seconds:
            self._beaten = now
            detail = self._keeper.report()
            beat = log_record(EventCode.LOG_HEARTBEAT, self._epoch.origin.writer, int(time.time() * 1000), detail)
            self._queue.put_if_open(EventCode.LOG_HEARTBEAT, encode_record(beat))
        filled = self._file.size - self._file.empty_size
        is_full = filled >= self._segment_bytes or self._evidence_bytes >= MAX_EVIDENCE_BYTES
        with self._sealing_lock:
            wanted, self._seal_wanted = self._seal_wanted, []
        if is_full or (filled and wanted) or (filled and now >= self._begun + self._settings.segment_seconds):
            self._rotate(now)
        if wanted:
            self._say_sealed(wanted, filled)

    def _say_sealed(self, wanted: list[Callable[[int], None]], filled: int) -> None:
        """Who asked is told, or asks again with the next turn where the disk had no room for another segment."""
        if filled and self._file.size - self._file.empty_size:
            with self._sealing_lock:
                self._seal_wanted += wanted
            return
        finished = self._chain.segment - 1

        def run() -> None:
            for done in wanted:
                done(finished)

        with contextlib.suppress(RuntimeError):  # the loop that waited is closed
            self._deliver(run)

    def _rotate(self, now: float) -> None:
        segment, prev_root, tree = self._chain.segment, self._chain.prev_root, self._chain.tree
        self._chain.next_segment()
        try:
            file = SegmentFile(self._epoch.path, self._chain, int(time.time() * 1000), self._file.position)
        except NoRoom:  # the segment that is open goes on; the next turn tries again
            self._chain.segment, self._chain.prev_root, self._chain.tree = segment, prev_root, tree
            self._begun = now
            self._keeper.spend_reserve()  # also where no name is left for a file: what is not sealed is not shipped
            return
        self._file.close()
        self._file, self._begun, self._evidence_bytes = file, now, 0
        self._keeper.seal(segment, self._chain.prev_root)

    def _seal_last(self) -> None:
        self._file.close()
        self._keeper.seal(self._chain.segment, self._chain.tree.root().hex())


def _start_detail(settings: AuditSettings, signer: Signer) -> Detail:
    """Whose the epoch is, how often it is heard of, what its clock is like, and what writes it."""
    known = {
        "program": settings.program,
        "program_digest": settings.program_digest,
        "configuration_digest": settings.configuration_digest,
        "policy_digest": settings.policy_digest,
        "sealed_to": settings.sealed_to,
    }
    return {
        "certificate": signer.certificate,
        "heartbeat_seconds": settings.heartbeat_seconds,
        "segment_seconds": settings.segment_seconds,
        "max_lag_seconds": settings.max_lag_seconds,
        **settings.store.words(),
        **ask_kernel().detail(),
        **{name: value for name, value in known.items() if value},
    }


def write_once(settings: AuditSettings, keys: AuditKeys, writer: str, records: Sequence[Record]) -> str:
    """Store a few records durably in an epoch of their own, whose origin is returned.

    Raises `Unavailable` when that did not succeed.
    """
    room = settings.max_spool_bytes - settings.reserve_bytes
    results: list[bool] = []
    journal = Journal.open(
        dataclasses.replace(settings, max_spool_bytes=room, reserve_bytes=0),
        keys.for_records(),
        writer=writer,
        deliver=lambda run: run(),
    )
    try:
        for record in records:
            journal.append_record(record, results.append)
    finally:
        journal.close()
    if results != [True] * len(records):
        raise Unavailable(Reason.AUDIT_UNAVAILABLE)
    return journal.origin
