"""What the sessions page asks of the index, over a million exchanges on PostgreSQL and fewer on SQLite.

Some thousand exchanges are written by the index's own writer, with its shapes, people and counts; the rest are copies
of them at other times, made by the database. Of each question the rows, the count, the filters' choices
and the freshness are timed.
"""

import random
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import Connection, create_engine, text

from bench.measure import percentile
from bench.row import Row, plain
from extproc.approvals.database import Database, open_database
from extproc.approvals.index.facts import NOWHERE, Facts, Place, Told, Word
from extproc.approvals.index.query import SessionQuery
from extproc.approvals.index.search import SessionIndex
from extproc.approvals.index.tables import ALL, EXCHANGES, PAIRS, PEOPLE, SHAPES
from extproc.approvals.index.writer import IndexWriter
from tests.approvals.postgres_server import started_postgres

PAGE_MS = 200.0
WRITTEN = 10_000
POSTGRES_COPIES = 100
SQLITE_COPIES = 10
REPEATS = 15
_BEGAN_MS = 1_795_600_000_000
_SPAN_MS = 30 * 24 * 3600 * 1000
_PEOPLE = 2000
_RULES = 40
_AT_ONCE = 1000


def session_rows() -> list[Row]:
    """The lines of the table."""
    with on_postgres() as postgres:
        rows = _timed(postgres, POSTGRES_COPIES, "PostgreSQL")
    with on_sqlite() as sqlite:
        return [*rows, *_timed(sqlite, SQLITE_COPIES, "SQLite")]


@contextmanager
def on_postgres() -> Iterator[Database]:
    with started_postgres() as server:
        maintenance = create_engine(f"postgresql+psycopg://app@{server.address}/postgres", isolation_level="AUTOCOMMIT")
        with maintenance.connect() as connection:
            connection.execute(text("CREATE DATABASE sessions"))
        maintenance.dispose()
        database = open_database(f"postgresql+psycopg://app@{server.address}/sessions")
        try:
            fill(database, POSTGRES_COPIES)
            yield database
        finally:
            database.close()


@contextmanager
def on_sqlite() -> Iterator[Database]:
    with tempfile.TemporaryDirectory(prefix="extproc-bench-") as folder:
        database = open_database(f"sqlite:///{Path(folder)}/sessions.db")
        try:
            fill(database, SQLITE_COPIES)
            yield database
        finally:
            database.close()


def questions(database: Database) -> dict[str, tuple[SessionQuery, str]]:
    """Of every kind of filter one, with the cursor of its page."""
    middle = _BEGAN_MS + _SPAN_MS // 2
    index = SessionIndex(database)
    some = index.search(SessionQuery(since_ms=middle, until_ms=middle + 3_600_000)).rows[0]
    deep = f"o.{_BEGAN_MS + _SPAN_MS // 10}.{some.exchange_id}"
    asked = {
        "everything": SessionQuery(),
        "a person": SessionQuery(person="https://idp.example|person-7"),
        "a part of a name": SessionQuery(person="PERSON 19"),
        "a part of everybody's name": SessionQuery(person="person"),
        "a frequent model": SessionQuery(model="model-0"),
        "a rare model": SessionQuery(model="model-11"),
        "answered": SessionQuery(verdict="answered"),
        "blocked": SessionQuery(verdict="blocked"),
        "a rare finding": SessionQuery(finding="iban"),
        "a frequent finding": SessionQuery(finding="pan"),
        "a frequent rule": SessionQuery(rule="rule-0"),
        "a rare rule": SessionQuery(rule=f"rule-{_RULES - 1}"),
        "held": SessionQuery(held_only=True),
        "an hour": SessionQuery(since_ms=middle, until_ms=middle + 3_600_000),
        "the last half": SessionQuery(since_ms=middle),
        "the last half, answered": SessionQuery(verdict="answered", since_ms=middle),
        "several together": SessionQuery(person="person 7", verdict="answered", model="model-0", since_ms=middle),
        "nothing": SessionQuery(person="nobody", rule="rule-0"),
        "a rule that is none": SessionQuery(rule="none", since_ms=middle),
        "a whole id": SessionQuery(exchange_id=some.exchange_id),
        "an id's beginning": SessionQuery(exchange_id=some.exchange_id[:10]),
        "an id's first letter": SessionQuery(exchange_id=some.exchange_id[:1]),
    }
    pages = {name: (query, "") for name, query in asked.items()}
    pages["everything, deep"] = (SessionQuery(), deep)
    pages["answered, deep"] = (SessionQuery(verdict="answered"), deep)
    pages["a part of a name, deep"] = (SessionQuery(person="PERSON 19"), deep)
    return pages


def ask(database: Database, repeats: int) -> dict[str, list[float]]:
    """Milliseconds of each question, in turn."""
    index, found = SessionIndex(database), dict[str, list[float]]()
    asked = questions(database)
    for _ in range(repeats):
        for name, (query, cursor) in asked.items():
            begun = time.perf_counter()
            index.facets()
            index.search(query, cursor)
            index.freshness()
            found.setdefault(name, []).append((time.perf_counter() - begun) * 1e3)
    return found


def fill(database: Database, copies: int) -> None:
    """`WRITTEN * copies` exchanges."""
    choose, writer = random.Random(1), IndexWriter(database)
    for start in range(0, WRITTEN, _AT_ONCE):
        facts = [_facts(number, choose, copies) for number in range(start, start + _AT_ONCE)]
        writer.take({each.exchange_id: each for each in facts})
    with database.transaction() as connection:
        _without_deadline(connection)
        for index in EXCHANGES.indexes:
            index.drop(connection)
        connection.execute(text(_copying(connection.dialect.name)), {"last": copies - 1, "step": _SPAN_MS // copies})
        for table in (SHAPES, PAIRS, PEOPLE):
            connection.execute(table.update().values(exchanges=table.c.exchanges * copies))
        for index in EXCHANGES.indexes:
            index.create(connection)
    with database.transaction() as connection:
        _without_deadline(connection)
        for table in ALL:
            connection.execute(text(f"ANALYZE {table.name}"))


def _without_deadline(connection: Connection) -> None:
    if connection.dialect.name == "postgresql":
        connection.execute(text("SET LOCAL statement_timeout = 0"))


def _copying(engine: str) -> str:
    """Later ones of each exchange; its id begins with its time, as ours do."""
    at = "started_ms + later.number * :step"
    time_part = f"lpad(to_hex({at}), 12, '0')" if engine == "postgresql" else f"printf('%012x', {at})"
    moved = {
        "exchange_id": f"{time_part} || substr(exchange_id, 13)",
        **{name: f"{name} + later.number * :step" for name in ("started_ms", "first_ms", "ended_ms")},
    }
    columns = [column.name for column in EXCHANGES.c]
    return (
        "WITH RECURSIVE later(number) AS (SELECT CAST(1 AS BIGINT) UNION ALL "
        "SELECT number + 1 FROM later WHERE number < :last) "
        f"INSERT INTO exchange_index ({', '.join(columns)}) "
        f"SELECT {', '.join(moved.get(name, name) for name in columns)} FROM later CROSS JOIN exchange_index"
    )


def _facts(number: int, choose: random.Random, copies: int) -> Facts:
    """A rule stands for a connection, an operation and three models; most exchanges have a few of each."""
    at = _BEGAN_MS + choose.randrange(_SPAN_MS // copies)
    person, rule = int(choose.paretovariate(0.5)) % _PEOPLE, min(int(choose.paretovariate(0.6)) - 1, _RULES - 1)
    place = Place(2, at + 900, 7, number + 1)
    outcome, effect, status = choose.choices(
        (
            ("completed", "allow", 200),
            ("refused", "deny", 403),
            ("held", "hold", 202),
            ("completed", "hold", 200),
            ("cut", "allow", 200),
            ("failed", "allow", 503),
            ("abandoned", "allow", 200),
        ),
        (900, 40, 20, 20, 5, 10, 5),
    )[0]
    told = Told(
        place=place,
        segment=1 + number // 500,
        event_code="inference.end",
        person_uid=f"https://idp.example|person-{person}",
        person_name=f"Person {person}",
        person_kind="person",
        tenant="",
        connection=f"connection-{rule % 4}",
        operation=("chat", "chat", "embeddings")[rule % 3],
        outcome=outcome,
        http_status=status,
        reason="",
        findings_request=choose.choices(((), (("pan", 1),), (("email", 2), ("pan", 1)), (("iban", 1),)), (90, 7, 2, 1))[
            0
        ],
        findings_response=choose.choices(((), (("pan", 1),)), (98, 2))[0],
        input_tokens=300,
        output_tokens=200,
        request_bytes=1500,
        response_bytes=9000,
        duration_ms=900.0,
        hold_ms=0.0,
        decision_ms=0.4,
        first_byte_ms=120.0,
    )
    said = place._replace(rank=0)
    return Facts(
        exchange_id=f"{at:012x}-{number:016x}",
        told=told,
        first_ms=at,
        listed=True,
        model=Word(said, f"model-{min((rule + int(choose.paretovariate(2)) - 1) % 12, 11)}"),
        effect=Word(said, effect),
        rule=Word(said, f"rule-{rule}"),
        policy=Word(said, "sha256:" + "0" * 64),
        approval=Word(said, f"apr-{number}", "used") if effect == "hold" else Word(NOWHERE, ""),
        has_transcript=True,
    )


def _timed(database: Database, copies: int, engine: str) -> list[Row]:
    ask(database, 2)  # warm
    found = ask(database, REPEATS)
    every = [each for times in found.values() for each in times]
    slowest = max(found, key=lambda name: percentile(found[name], 0.5))
    what = f"sessions page of {WRITTEN * copies:,} on {engine}".replace(",", " ")
    return [
        plain(f"{what}, p50", "ms", percentile(every, 0.5), PAGE_MS),
        plain(f"{what}, p99", "ms", percentile(every, 0.99), PAGE_MS),
        plain(f"{what}, slowest question ({slowest}), p50", "ms", percentile(found[slowest], 0.5), PAGE_MS),
    ]


def main() -> None:
    """Every question by itself, on both engines."""
    for opening in (on_postgres, on_sqlite):
        begun = time.perf_counter()
        with opening() as database:
            print(f"{opening.__name__}: filled in {time.perf_counter() - begun:.0f} s")
            ask(database, 2)
            for name, times in ask(database, REPEATS).items():
                print(f"  {name:30} p50 {percentile(times, 0.5):7.1f} ms, p99 {percentile(times, 0.99):7.1f} ms")


if __name__ == "__main__":
    main()
