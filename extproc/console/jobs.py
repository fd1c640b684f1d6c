"""What takes longer than a page may: reading the log over, proving it, making a pack. One of a kind at a time.

A result is kept in this process's memory for a while and is nowhere else: what a pack shows is written to no file.
"""

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from extproc.audit.refusal import AuditRefused
from extproc.audit.stores.store import StoreFailed
from extproc.core.document import DocumentInvalid
from extproc.edge.evidence_making import PackImpossible

KEEP_SECONDS = 1800.0
"""How long a result is there after it was made."""
_log = logging.getLogger("extproc.console")


class Progress:
    """How far a job is, in words. Also watches a verification."""

    def __init__(self) -> None:
        self.words = ""
        self._segments = self._listed = 0

    def listed(self, segments: int, size: int) -> None:
        self._listed = segments
        self.words = f"{self._segments} of {self._listed} segments"

    def proven(self, segments: int, size: int) -> None:
        self._segments += segments
        self.words = f"{self._segments} of {self._listed} segments"


@dataclass(slots=True)
class Job:
    """`asked` is what it was begun with. Unix seconds; `ended` is 0 while it runs. `failure` is a sentence."""

    kind: str
    asked: str
    who: str
    began: float
    ended: float = 0.0
    failure: str = ""
    result: Any = field(default=None, repr=False)
    progress: Progress = field(default_factory=Progress)
    over: threading.Event = field(default_factory=threading.Event, repr=False)
    readers: set[str] = field(default_factory=set, repr=False)
    """Whose reading of the result is recorded, by their uids. For the event loop alone."""

    @property
    def running(self) -> bool:
        return not self.over.is_set()


class Jobs:
    """For one process. Every method is quick."""

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._jobs: dict[str, Job] = {}
        self._lock = threading.Lock()

    def begin(self, kind: str, asked: str, who: str, work: Callable[[Progress], object]) -> Job:
        """Begin `work` in a thread of its own; while one of the kind runs, that one is returned instead."""
        with self._lock:
            running = self._jobs.get(kind)
            if running is not None and running.running:
                return running
            job = self._jobs[kind] = Job(kind, asked, who, self._clock())
        threading.Thread(target=self._run, args=(job, work), name=f"console-{kind}", daemon=True).start()
        return job

    def latest(self, kind: str) -> Job | None:
        """The one that runs, or the last one while it is kept."""
        with self._lock:
            job = self._jobs.get(kind)
            if job is not None and job.ended and self._clock() - job.ended > KEEP_SECONDS:
                del self._jobs[kind]
                return None
            return job

    def forget(self, kind: str) -> None:
        """Drop a result that is over."""
        with self._lock:
            if kind in self._jobs and not self._jobs[kind].running:
                del self._jobs[kind]

    def _run(self, job: Job, work: Callable[[Progress], object]) -> None:
        try:
            job.result = work(job.progress)
        except (PackImpossible, AuditRefused, DocumentInvalid, StoreFailed, OSError) as error:
            job.failure = str(error)
        except Exception as error:  # noqa: BLE001 - a boundary: its text may quote what it met
            _log.error("a job of the console failed", extra={"job": job.kind, "failure": type(error).__name__})
            job.failure = "it failed unexpectedly; the console's log says how"
        job.ended = self._clock()
        job.over.set()
