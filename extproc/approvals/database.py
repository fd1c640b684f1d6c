"""Connections to SQLite and PostgreSQL with the durability and the deadlines that the approval store relies on.

How each of the engines is opened stands here and nowhere else.
"""

import fcntl
import os
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Connection, Engine, NullPool, Table, create_engine, delete, event, make_url, text
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import SQLAlchemyError

from extproc.approvals.revisions import Unusable, find_revision, to_newest
from extproc.approvals.settings import Migrate
from extproc.core.reasons import Reason, Unavailable

BUSY_MILLISECONDS = 2000
"""How long a statement waits for another process's lock. A held client can wait that long; a writer takes 1 ms."""
POOL = 5
"""Connections of a process: as many as a desk has threads."""
MIGRATION_SECONDS = 10.0
"""How long a starting process waits for another one's migration."""
_MIGRATION_LOCK = 0x65787470726F63
"""PostgreSQL's advisory lock for the migration: a number that nobody else picks, `extproc` in ASCII."""
_POSTGRES_CONNECT: dict[str, Any] = {
    "connect_timeout": 2,
    "keepalives_idle": 5,
    "keepalives_interval": 2,
    "keepalives_count": 2,
    "tcp_user_timeout": 5000,
    "options": f"-c statement_timeout={BUSY_MILLISECONDS} -c lock_timeout={BUSY_MILLISECONDS}"
    f" -c idle_in_transaction_session_timeout={BUSY_MILLISECONDS}",
}


class Database:
    """An engine whose every failure is `Unavailable(APPROVALS_UNAVAILABLE)`. Safe to use from several threads."""

    def __init__(self, engine: Engine, is_still_there: Callable[[], bool], forget: Callable[[], None]) -> None:
        self._engine = engine
        self._is_still_there = is_still_there
        self._forget = forget
        self._one_writer = threading.Lock()

    @property
    def engine_name(self) -> str:
        """The engine and its driver: `sqlite+pysqlite`, `postgresql+psycopg`."""
        return f"{self._engine.dialect.name}+{self._engine.dialect.driver}"

    def detach(self) -> Any:
        """A connection of the driver that is the caller's own, beside those of transactions. Raises `Unavailable`."""
        with self.driving():
            self.require()
            connection = self._engine.raw_connection()
            driver_connection = connection.driver_connection
            connection.detach()
            return driver_connection

    @contextmanager
    def driving(self) -> Iterator[None]:
        """Turn what the connection of `detach` raises into `Unavailable`."""
        try:
            with unavailable():
                yield
        except self._engine.dialect.loaded_dbapi.Error:
            raise Unavailable(Reason.APPROVALS_UNAVAILABLE) from None

    def require(self) -> None:
        """Raises `Unavailable` when the database went away.

        An open connection goes on with a removed file, which nobody else would ever read.
        """
        if not self._is_still_there():
            raise Unavailable(Reason.APPROVALS_UNAVAILABLE)

    @contextmanager
    def transaction(self) -> Iterator[Connection]:
        """A transaction, durable when the block ends. Raises `Unavailable`, also for values that cannot be stored."""
        with unavailable():
            self.require()
            with self._engine.begin() as connection:
                yield connection

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """A transaction that writes first, among many that do at once. Raises `Unavailable`.

        SQLite has one writer, and whoever waits for it looks again now and then, out of turn: of many threads some
        would never get there in time. So those of a process come one after the other.
        """
        if self._engine.dialect.name != "sqlite":
            with self.transaction() as connection:
                yield connection
            return
        if not self._one_writer.acquire(timeout=BUSY_MILLISECONDS / 1000):
            raise Unavailable(Reason.APPROVALS_UNAVAILABLE)
        try:
            with self.transaction() as connection:
                yield connection
        finally:
            self._one_writer.release()

    def insert(self, table: Table) -> "postgresql.Insert | sqlite.Insert":
        """An `INSERT` that can say `ON CONFLICT`, which the engines share and SQLAlchemy keeps with each of them."""
        return sqlite.insert(table) if self._engine.dialect.name == "sqlite" else postgresql.insert(table)

    def forget(self) -> None:
        """What was overwritten is in no file of the database any more. Raises `Unavailable` while others keep it there.

        PostgreSQL keeps a row's old version until it vacuums the table, and its write-ahead log as configured.
        """
        with unavailable():
            self._forget()

    def close(self) -> None:
        """Close every connection that is not in use."""
        self._engine.dispose()


def empty_tables(connection: Connection, tables: Sequence[Table]) -> None:
    """Of every row, in this transaction.

    A million rows that PostgreSQL deletes are in the way of every reader until they are vacuumed, longer than a
    statement may take; what is truncated is not. That needs the right to it, which the tables' owner has.
    """
    if connection.dialect.name == "postgresql":
        connection.execute(text("TRUNCATE " + ", ".join(table.name for table in tables)))
        return
    for table in tables:
        connection.execute(delete(table))


@contextmanager
def unavailable() -> Iterator[None]:
    """Turn the failures of a database into `Unavailable`, without their text, which may quote values.

    `ValueError` is what a row that this version cannot read raises, and text that the encoding cannot hold;
    `ArithmeticError` a number that the engine cannot: drivers raise these as they are. `RecursionError` is JSON that
    nobody of ours wrote.
    """
    try:
        yield
    except (SQLAlchemyError, OSError, RecursionError, ValueError, TypeError, ArithmeticError):
        raise Unavailable(Reason.APPROVALS_UNAVAILABLE) from None


def open_database(address: str, migrate: Migrate = Migrate.AUTOMATIC) -> Database:
    """A database at the newest revision, created when missing (SQLite: the file, mode 0600). Raises `Unavailable`.

    Several processes may do this at once: one migrates, the others wait for it. `Unusable` says what is to be done:
    by `migrate` an older one is not touched, and a newer one never is.
    """
    with unavailable():
        url = make_url(address)
        match url.get_backend_name():
            case "sqlite" if url.database and url.database != ":memory:" and not url.query:
                return _open_sqlite(url, Path(url.database).absolute(), migrate)
            case "postgresql":
                return _open_postgres(url, migrate)
    raise Unavailable(Reason.APPROVALS_UNAVAILABLE)


def read_revision(address: str) -> str:
    """The revision that a database is at, or "" where there is none. Changes nothing. Raises `Unavailable`."""
    with unavailable():
        url = make_url(address)
        if url.get_backend_name() == "sqlite":
            if not url.database or not Path(url.database).exists():
                return ""
            url = url.set(database=f"file:{_quote(Path(url.database).absolute())}", query={"mode": "ro", "uri": "true"})
        engine = _create_engine(url, poolclass=NullPool, hide_parameters=True)
        with engine.connect() as connection:
            return find_revision(connection)


def read_clock(address: str) -> float | None:
    """The server's clock, in Unix seconds; None where the database has none of its own. Raises `Unavailable`."""
    with unavailable():
        url = make_url(address)
        if url.get_backend_name() == "sqlite":
            return None
        with _create_engine(url, poolclass=NullPool, hide_parameters=True).connect() as connection:
            return float(connection.execute(text("SELECT extract(epoch FROM clock_timestamp())")).scalar_one())


def _create_engine(url: URL, **options: Any) -> Engine:
    try:
        return create_engine(url, **options)
    except ImportError:
        raise Unusable(
            f"The driver for `{url.drivername}` is not installed. "
            "For `postgresql+psycopg://…` run: pip install 'psycopg[binary]'"
        ) from None


def _open_sqlite(url: URL, path: Path, migrate: Migrate) -> Database:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with _file_lock(path.with_name(path.name + ".lock")):
        if not path.exists():
            # Made here, and not by SQLite, for its mode; the write-ahead log takes the same.
            os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
        # `mode=rw`: a file that went away is an error, not a new and empty store.
        url = url.set(database=f"file:{_quote(path)}", query={"mode": "rw", "uri": "true"})
        migrator = create_engine(url, poolclass=NullPool)
        event.listen(migrator, "connect", _configure_migrator)
        event.listen(migrator, "begin", _begin_immediately)
        with migrator.begin() as connection:
            to_newest(connection, migrate)
    engine = create_engine(
        url, pool_size=POOL, max_overflow=0, pool_timeout=BUSY_MILLISECONDS / 1000, hide_parameters=True
    )
    event.listen(engine, "connect", _configure_sqlite)
    opened = path.stat()
    return Database(
        engine, lambda: path.exists() and os.path.samestat(opened, path.stat()), lambda: _truncate_log(engine)
    )


def _truncate_log(engine: Engine) -> None:
    """The write-ahead log holds pages as they were until it is written back and cut."""
    with engine.connect() as connection:
        busy, _, _ = connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)").one()
    if busy:
        raise Unavailable(Reason.APPROVALS_UNAVAILABLE)


def _open_postgres(url: URL, migrate: Migrate) -> Database:
    engine = _create_engine(
        url,
        pool_size=POOL,
        max_overflow=0,
        pool_timeout=BUSY_MILLISECONDS / 1000,
        pool_pre_ping=True,
        hide_parameters=True,
        isolation_level="READ COMMITTED",
        connect_args=_POSTGRES_CONNECT,
    )
    timeout_ms = int(MIGRATION_SECONDS * 1000)
    try:
        with engine.begin() as connection:
            # Between its statements it is idle: while it imports the migrations, on a slow machine for seconds.
            for name in ("statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout"):
                connection.execute(text(f"SET LOCAL {name} = {timeout_ms}"))
            connection.execute(text("SELECT pg_advisory_xact_lock(:number)"), {"number": _MIGRATION_LOCK})
            to_newest(connection, migrate)
    except BaseException:
        engine.dispose()
        raise
    return Database(engine, lambda: True, lambda: None)


def _configure_sqlite(connection: Any, _record: object) -> None:
    for pragma in (f"busy_timeout={BUSY_MILLISECONDS}", "journal_mode=WAL", "synchronous=FULL", "secure_delete=ON"):
        connection.execute(f"PRAGMA {pragma}").close()


def _configure_migrator(connection: Any, record: object) -> None:
    _configure_sqlite(connection, record)
    # The driver's own transactions leave DDL out; with our `BEGIN` a revision happens whole or not at all.
    connection.isolation_level = None


def _begin_immediately(connection: Connection) -> None:
    connection.exec_driver_sql("BEGIN IMMEDIATE")


def _quote(path: Path) -> str:
    # https://www.sqlite.org/uri.html: `%`, `?` and `#` end or escape a path.
    return str(path).replace("%", "%25").replace("?", "%3f").replace("#", "%23")


@contextmanager
def _file_lock(path: Path) -> Iterator[None]:
    """One process at a time.

    Beside the database and not on it: closing a descriptor of SQLite's own file drops its locks.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        deadline = time.monotonic() + MIGRATION_SECONDS
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.02)
        yield
    finally:
        os.close(descriptor)
