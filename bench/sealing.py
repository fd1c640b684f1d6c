"""What finishing a segment of full size costs an adopter, who follows a dead writer's journal to its end, then seals.

A worker seals its own in the same way, without following it first.
"""

import asyncio
import multiprocessing
import os
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

import psutil

from bench.exchanges import STREAMED, Deployment, Shape
from bench.row import Row, plain
from bench.stored import TOGETHER, peak_bytes, write_group
from extproc.audit.log.adopt import adopt_orphans
from extproc.audit.log.journal import Journal
from extproc.audit.names import JOURNAL

MEMORY_BUDGET_MIB = 16.0
"""Of the 180 MiB that a worker may take; idle it takes 142."""


@dataclass(frozen=True, slots=True)
class Sealed:
    """One adoption in a process of its own. `grown_bytes`: peak of the resident memory over what it was before."""

    journal_bytes: int
    seconds: float
    cpu_seconds: float
    grown_bytes: int


async def write_unsealed(deployment: Deployment, shape: Shape, journal_bytes: int, together: int) -> None:
    """Exchanges in one segment until its journal is so large. It is never closed."""
    loop = asyncio.get_running_loop()
    settings = replace(deployment.settings, segment_seconds=3600.0, segment_bytes=2 * journal_bytes)
    journal = Journal.open(
        settings, deployment.keys, writer="worker-0", deliver=lambda run: loop.call_soon_threadsafe(run) and None
    )
    while size_of(settings.spool) < journal_bytes:
        await write_group(journal, shape, together)


def size_of(spool: Path) -> int:
    """Of the journals in it."""
    return sum(path.stat().st_size for path in spool.rglob(f"*{JOURNAL}"))


def write_and_die(folder: Path, shape: Shape, journal_bytes: int, together: int) -> None:
    """Run in a process of its own, which does not come back."""
    asyncio.run(write_unsealed(Deployment.create(folder), shape, journal_bytes, together))
    os._exit(0)


def adopt_here(folder: Path) -> Sealed:
    """Run where nothing else was done before, so that the peak is the adopter's. Raises RuntimeError without an epoch
    to adopt."""
    deployment = Deployment.create(folder)
    size, before = size_of(deployment.settings.spool), psutil.Process().memory_info().rss
    began, cpu_began = time.perf_counter(), time.process_time()
    adopted = adopt_orphans(deployment.settings, deployment.keys)
    seconds, cpu_seconds = time.perf_counter() - began, time.process_time() - cpu_began
    if len(adopted) != 1 or size_of(deployment.settings.spool):
        raise RuntimeError("there was not one epoch to adopt")
    return Sealed(size, seconds, cpu_seconds, max(0, peak_bytes() - before))


def measure_sealing(folder: Path, shape: Shape, journal_bytes: int, together: int) -> Sealed:
    """Raises RuntimeError when the writer did not come to its end."""
    spawn = multiprocessing.get_context("spawn")
    writer = spawn.Process(target=write_and_die, args=(folder, shape, journal_bytes, together))
    writer.start()
    writer.join()
    if writer.exitcode != 0:
        raise RuntimeError(f"the journal could not be written (exit code {writer.exitcode})")
    with ProcessPoolExecutor(1, mp_context=spawn) as pool:
        return pool.submit(adopt_here, folder).result()


def measure_full_segment(folder: Path) -> Sealed:
    """As large as a segment is by default, of streamed exchanges."""
    return measure_sealing(folder, STREAMED, Deployment.create(folder).settings.segment_bytes, TOGETHER)


def sealing_rows(sealed: Sealed) -> list[Row]:
    of = f"{sealed.journal_bytes / 2**20:.0f} MiB"
    return [
        plain(f"memory that adopting and sealing takes, {of}", "MiB", sealed.grown_bytes / 2**20, MEMORY_BUDGET_MIB),
        plain(f"adopting and sealing, {of}", "s", sealed.seconds),
        plain(f"adopting and sealing, CPU, {of}", "s", sealed.cpu_seconds),
    ]
