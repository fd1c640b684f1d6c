"""What it costs to wait for the disk: the real journal, asked through an asyncio loop as a worker asks it."""

import asyncio
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from bench.exchanges import Deployment, make_record
from bench.measure import percentile
from bench.row import Row, plain
from extproc.audit.log.journal import Journal
from extproc.audit.log.queue import Done
from extproc.core.record import Direction, EventCode
from extproc.core.trust import Masked

WRITERS = (1, 16, 64, 256)
"""Exchanges that are recorded at the same time."""
INTERVAL_SECONDS = 0.02
"""Between two pieces of an exchange: fifty tokens a second, as in the other measures."""
PIECES_OF_EXCHANGE = 8
EVENT = b"e" * 200


@dataclass(frozen=True, slots=True)
class Waits:
    """Of so many writers: milliseconds from `append` to `done`, in the loop, and records a second at full speed."""

    writers: int
    record_ms: list[float] = field(default_factory=list)
    piece_ms: list[float] = field(default_factory=list)
    records_per_second: float = 0.0


async def durable(append: Callable[[Done], object]) -> float:
    """Append, wait; milliseconds until the loop knows. Raises OSError when the disk failed."""
    stored = asyncio.get_running_loop().create_future()
    began = time.perf_counter()
    append(stored.set_result)
    if not await stored:
        raise OSError("the journal could not write")
    return (time.perf_counter() - began) * 1000


async def write_in_step(journal: Journal, waits: Waits, writer: int, exchanges: int) -> None:
    """One client's exchanges, each a record, its pieces in the rhythm of tokens, and a record. Writers do not beat
    together."""
    due = time.perf_counter() + INTERVAL_SECONDS * writer / waits.writers

    async def step() -> None:
        nonlocal due
        due += INTERVAL_SECONDS
        await asyncio.sleep(max(0.0, due - time.perf_counter()))

    for number in range(exchanges):
        name = f"in-step-{writer}-{number}"
        content = journal.open_content(name)
        for code in (EventCode.INFERENCE_REQUEST, EventCode.INFERENCE_END):
            await step()
            waits.record_ms.append(await durable(partial(journal.append_record, make_record(code, name))))
            for at in range(PIECES_OF_EXCHANGE if code is EventCode.INFERENCE_REQUEST else 0):
                await step()
                append = partial(content.append, Direction.TO_CLIENT, at * 20_000, Masked(EVENT))
                waits.piece_ms.append(await durable(append))


async def write_at_once(journal: Journal, writer: int, records: int) -> None:
    for number in range(records):
        record = make_record(EventCode.INFERENCE_REQUEST, f"at-once-{writer}-{number}")
        await durable(partial(journal.append_record, record))


async def measure_writers(folder: Path, writers: int, exchanges: int, records: int) -> Waits:
    """`exchanges` and `records` of each writer, in a log of their own."""
    deployment = Deployment.create(folder)
    loop = asyncio.get_running_loop()
    journal = Journal.open(
        deployment.settings,
        deployment.keys,
        writer="worker-0",
        deliver=lambda run: loop.call_soon_threadsafe(run) and None,
    )
    waits = Waits(writers)
    try:
        async with asyncio.TaskGroup() as tasks:
            for writer in range(writers):
                tasks.create_task(write_in_step(journal, waits, writer, exchanges))
        began = time.perf_counter()
        async with asyncio.TaskGroup() as tasks:
            for writer in range(writers):
                tasks.create_task(write_at_once(journal, writer, records))
        seconds = time.perf_counter() - began
    finally:
        await asyncio.to_thread(journal.close)
    return Waits(writers, waits.record_ms, waits.piece_ms, writers * records / seconds)


async def measure_durability(folder: Path, say: Callable[[str], None]) -> list[Waits]:
    """At least 128 records and 512 pieces for each number of writers."""
    results = []
    for writers in WRITERS:
        say(f"durability, {writers} writers")
        each = folder / f"writers-{writers}"
        results.append(await measure_writers(each, writers, max(8, 64 // writers), max(32, 512 // writers)))
    return results


def durability_rows(results: list[Waits]) -> list[Row]:
    rows = []
    for waits in results:
        at = f"{waits.writers} writer{'s' if waits.writers > 1 else ''}"
        for what, values in (("record", waits.record_ms), ("piece of transcript", waits.piece_ms)):
            rows += [
                plain(f"added latency of durability, {what}, p{percent}, {at}", "ms", percentile(values, percent / 100))
                for percent in (50, 99)
            ]
        rows.append(plain(f"durable records a second, {at}", "1/s", waits.records_per_second))
    return rows


def durability_report(results: list[Waits]) -> list[dict[str, Any]]:
    """For the JSON: the samples' spread instead of the samples."""
    report = []
    for waits in results:
        each = asdict(waits)
        for name in ("record_ms", "piece_ms"):
            values = each.pop(name)
            spread = {"count": len(values), **{f"p{p}": percentile(values, p / 100) for p in (50, 90, 99)}}
            each[name] = {**spread, "max": max(values)}
        report.append(each)
    return report
