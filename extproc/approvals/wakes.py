"""What tells a worker that approvals have changed, so that it need not ask: PostgreSQL says so, SQLite shows it.

What differs between the two engines stands here. A wake may be one too many, and never says what has changed.
"""

import logging
import threading
import time
from collections.abc import Callable
from typing import Any, Protocol

from extproc.approvals.changes import CHANNEL
from extproc.approvals.database import Database
from extproc.core.reasons import Unavailable

SQLITE_SECONDS = 0.02
"""How often SQLite's version is read, a few microseconds each; only while somebody waits."""
LISTEN_SECONDS = 0.25
"""How long the thread listens before it looks whether it shall end."""
FIRST_PAUSE_SECONDS = 0.1
LONGEST_PAUSE_SECONDS = 5.0
"""Between attempts to listen again: doubled from the first to the longest."""

_log = logging.getLogger(__name__)


class Source(Protocol):
    """A connection of its own that hears of changes. For one thread; raises `Unavailable` once it hears no more."""

    def wait(self) -> bool:
        """True when something may have changed, False after a while without."""

    def close(self) -> None:
        """Close the connection."""


OpenSource = Callable[[threading.Event], Source | None]
"""Opens a source that asks nothing while the event is clear; None: this database never tells. Raises `Unavailable`."""


def open_source(database: Database, wanted: threading.Event) -> Source | None:
    """The source of an engine, listening: of changes from now on none is missed."""
    match database.engine_name:
        case "sqlite+pysqlite":
            return _Shown(database, wanted)
        case "postgresql+psycopg":
            return _Told(database)
        case _:
            return None


class _Told:
    """PostgreSQL tells on a channel. It is read also while nobody waits: the server would have to keep it else."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._connection = database.detach()
        try:
            with self._database.driving():
                self._connection.autocommit = True
                self._connection.execute(f"LISTEN {CHANNEL}")
        except Unavailable:
            self.close()
            raise

    def wait(self) -> bool:
        with self._database.driving():
            return bool(list(self._connection.notifies(timeout=LISTEN_SECONDS, stop_after=1)))

    def close(self) -> None:
        self._connection.close()


class _Shown:
    """SQLite counts the commits of others (https://www.sqlite.org/pragma.html#pragma_data_version)."""

    def __init__(self, database: Database, wanted: threading.Event) -> None:
        self._database = database
        self._wanted = wanted
        self._connection = database.detach()
        try:
            self._version = self._read()
        except Unavailable:
            self.close()
            raise

    def wait(self) -> bool:
        self._wanted.wait()
        time.sleep(SQLITE_SECONDS)
        before, self._version = self._version, self._read()
        return bool(before != self._version)

    def close(self) -> None:
        self._connection.close()

    def _read(self) -> Any:
        # A removed file still answers, and would for ever with the same.
        self._database.require()
        with self._database.driving():
            return self._connection.execute("PRAGMA data_version").fetchone()


class Wakes:
    """Calls `wake` from a thread of its own when approvals may have changed, and when `working` has.

    `working` says whether every change is told from now on. It is False at first, after a lost connection until it is
    there again, and always where the database never tells: then somebody has to ask. Methods are for one thread.
    """

    def __init__(self, open_source: OpenSource, wake: Callable[[], None]) -> None:
        self.working = False
        self._open_source = open_source
        self._wake = wake
        self._wanted = threading.Event()
        self._closing = threading.Event()
        self._thread: threading.Thread | None = None

    def want(self) -> None:
        """Somebody waits: begin, or go on."""
        self._wanted.set()
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="approvals-wakes", daemon=True)
            self._thread.start()

    def rest(self) -> None:
        """Nobody waits."""
        self._wanted.clear()

    def close(self) -> None:
        """End the thread and close its connection: within a second, unless it is just connecting."""
        self._closing.set()
        self._wanted.set()
        if self._thread is not None:
            self._thread.join(1.0)

    def _run(self) -> None:
        pause = FIRST_PAUSE_SECONDS
        while self._wanted.wait() and not self._closing.is_set():
            try:
                source = self._open_source(self._wanted)
            except Unavailable:
                source = None
            else:
                if source is None:
                    return
                pause = FIRST_PAUSE_SECONDS
                self._listen(source)
            self._closing.wait(pause)
            pause = min(2 * pause, LONGEST_PAUSE_SECONDS)

    def _listen(self, source: Source) -> None:
        try:
            self._say(working=True)
            while not self._closing.is_set():
                if source.wait():
                    self._wake()
        except Unavailable:
            _log.warning("the approval store tells of no changes for now: it is asked")
        finally:
            source.close()
            self._say(working=False)

    def _say(self, *, working: bool) -> None:
        self.working = working
        self._wake()
