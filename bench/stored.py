"""What the audit log stores and what proving it costs: real segments, shipped to a directory, then verified."""

import asyncio
import multiprocessing
import os
import resource
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import psutil

import extproc.audit.log.journal
from bench.durability import durable
from bench.exchanges import SMALL, STREAMED, Deployment, Exchange, Shape
from bench.row import Row, plain
from extproc.audit.log.journal import Journal
from extproc.audit.log.shipper import Shipper
from extproc.audit.names import Part, parse_key
from extproc.audit.settings import DirectoryStore
from extproc.audit.stores.store import Directory, open_store
from extproc.audit.verify.verify import verify

LOG_BYTES = 256 * 2**20
TOGETHER = 256
"""Exchanges that are recorded at the same time: each piece is a frame of its own, as when tokens stream."""
PUT_EXCHANGES = 6_000
EXCHANGES_PER_SECOND = 20
VERIFY_BUDGET_SECONDS = 60.0
PUT_BUDGET = 5.0


@dataclass(frozen=True, slots=True)
class Verified:
    """One run of the verifier in a process of its own."""

    exit_code: int
    seconds: float
    cpu_seconds: float
    """What the machine's other work does not add to."""
    grown_bytes: int
    """Peak of the resident memory over what it was before."""


@dataclass(frozen=True, slots=True)
class Stored:
    """A log: what each part of an exchange takes, and what its verification took."""

    shape: str
    exchanges: int
    bytes_by_part: dict[str, int]
    verified: Verified

    @property
    def total_bytes(self) -> int:
        return sum(self.bytes_by_part.values())


@dataclass(frozen=True, slots=True)
class Puts:
    """Calls of `put_once` for so many exchanges."""

    shape: str
    exchanges: int
    puts: int

    @property
    def per_thousand(self) -> float:
        return 1000 * self.puts / self.exchanges


async def write_group(journal: Journal, shape: Shape, together: int) -> None:
    """Exchanges at the same time. Each group of pieces is durable before the next."""
    group = [Exchange(journal, shape) for _ in range(together)]
    for exchange in group:
        exchange.begin()
    for event in range(shape.events):
        for exchange in group[:-1]:
            exchange.say(event)
        await durable(partial(group[-1].say, event))
    for exchange in group[:-1]:
        exchange.end()
    await durable(group[-1].end)


async def write_log(deployment: Deployment, shape: Shape, total_bytes: int, together: int) -> int:
    """Whole exchanges until the store holds so much; how many."""
    loop = asyncio.get_running_loop()
    journal = Journal.open(
        deployment.settings,
        deployment.keys,
        writer="worker-0",
        deliver=lambda run: loop.call_soon_threadsafe(run) and None,
    )
    shipper, exchanges = Shipper(deployment.settings), 0
    try:
        while sum(sizes(deployment).values()) < total_bytes:
            await write_group(journal, shape, together)
            exchanges += together
            await asyncio.to_thread(shipper.ship_pending)
    finally:
        await asyncio.to_thread(journal.close)
    await asyncio.to_thread(shipper.ship_pending)
    return exchanges


def sizes(deployment: Deployment) -> dict[str, int]:
    """Bytes in the store by part; `registry` beside them."""
    found: Counter[str] = Counter()
    for stored in open_store(deployment.settings).list("v1/"):
        name = parse_key(stored.key)
        found[name.part.name.lower() if name is not None and name.part is not None else "registry"] += stored.size
    return dict(found)


def verify_here(folder: Path) -> Verified:
    """Run where nothing else was done before, so that the peak is the verifier's."""
    deployment = Deployment.create(folder)
    settings, key = deployment.settings, deployment.keys.signing.public_key()
    before = psutil.Process().memory_info().rss
    began, cpu_began = time.perf_counter(), time.process_time()
    report = verify(open_store(settings), key, deployment=settings.deployment, spool=settings.spool)
    seconds, cpu_seconds = time.perf_counter() - began, time.process_time() - cpu_began
    return Verified(report.exit_code, seconds, cpu_seconds, max(0, peak_bytes() - before))


def peak_bytes() -> int:
    """Of this process since it began. Linux counts in `ru_maxrss` what the parent had before the exec, too."""
    if sys.platform == "linux":
        lines = Path("/proc/self/status").read_text("ascii").splitlines()
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM:"))
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def measure_stored(folder: Path, shape: Shape, total_bytes: int, together: int) -> Stored:
    """Raises RuntimeError where the log cannot be proven: then nothing was measured."""
    deployment = Deployment.create(folder)
    exchanges = asyncio.run(write_log(deployment, shape, total_bytes, together))
    os.sync()
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        verified = pool.submit(verify_here, folder).result()
    if verified.exit_code != 0:
        raise RuntimeError(f"the log that was written does not verify (exit code {verified.exit_code})")
    return Stored(shape.name, exchanges, sizes(deployment), verified)


class Clock:
    """Seconds that pass when it is told so."""

    def __init__(self) -> None:
        self.now = 0.0

    def monotonic(self) -> float:
        return self.now


@contextmanager
def journal_clock(clock: Clock) -> Iterator[None]:
    """The journal takes the age of a segment from `clock`. Wall clock and disk stay real."""
    real = extproc.audit.log.journal.time
    extproc.audit.log.journal.time = SimpleNamespace(monotonic=clock.monotonic, time=real.time)  # type: ignore[assignment]
    try:
        yield
    finally:
        extproc.audit.log.journal.time = real


class CountingStore(Directory):
    def __init__(self, settings: DirectoryStore) -> None:
        super().__init__(settings)
        self.puts = 0

    def put_once(self, key: str, data: bytes) -> None:
        self.puts += 1
        super().put_once(key, data)


async def write_evenly(deployment: Deployment, shape: Shape, exchanges: int, per_second: int, clock: Clock) -> int:
    """Exchanges one after the other, evenly on `clock`; PUTs of shipping them all."""
    loop = asyncio.get_running_loop()
    journal = Journal.open(
        deployment.settings,
        deployment.keys,
        writer="worker-0",
        deliver=lambda run: loop.call_soon_threadsafe(run) and None,
    )
    assert isinstance(deployment.settings.store, DirectoryStore)
    store, shipper = CountingStore(deployment.settings.store), Shipper(deployment.settings)
    shipper._store = store
    try:
        for _ in range(exchanges):
            clock.now += 1 / per_second
            exchange = Exchange(journal, shape)
            exchange.begin()
            for event in range(shape.events):
                exchange.say(event)
            await durable(exchange.end)
    finally:
        await asyncio.to_thread(journal.close)
    await asyncio.to_thread(shipper.ship_pending)
    return store.puts


def measure_puts(folder: Path, shape: Shape, exchanges: int, per_second: int) -> Puts:
    """With default settings and one writer, by the journal's clock; the entry of its epoch in the registry counts."""
    clock = Clock()
    with journal_clock(clock):
        puts = asyncio.run(write_evenly(Deployment.create(folder), shape, exchanges, per_second, clock))
    return Puts(shape.name, exchanges, puts)


def measure_log(folder: Path, say: Callable[[str], None]) -> tuple[Stored, list[Puts]]:
    say(f"writing and verifying {LOG_BYTES // 2**20} MiB of audit log")
    stored = measure_stored(folder / "stored", STREAMED, LOG_BYTES, TOGETHER)
    puts = []
    for at, shape in enumerate((SMALL, STREAMED)):
        say(f"counting PUTs, {shape.name}")
        puts.append(measure_puts(folder / f"puts-{at}", shape, PUT_EXCHANGES, EXCHANGES_PER_SECOND))
    return stored, puts


def log_rows(stored: Stored, puts: list[Puts]) -> list[Row]:
    mebibytes, verified = stored.total_bytes / 2**20, stored.verified
    gibibyte, of = 1024 / mebibytes, f"{mebibytes:.0f} MiB"
    rows = [
        plain(f"verify, {of}", "MiB/s", mebibytes / verified.seconds),
        plain(f"verify 1 GiB, by the time of {of}", "s", verified.seconds * gibibyte, VERIFY_BUDGET_SECONDS),
        plain(f"verify 1 GiB, CPU, by that of {of}", "s", verified.cpu_seconds * gibibyte),
        plain(f"memory that verify takes, {of}", "MiB", verified.grown_bytes / 2**20),
    ]
    for part in Part:
        size = stored.bytes_by_part.get(part.name.lower(), 0) / stored.exchanges
        rows.append(plain(f"stored per exchange of {stored.shape}, {part.name.lower()}", "B", size))
    rows += [
        plain(f"PUTs per 1 000 exchanges at {EXCHANGES_PER_SECOND}/s, {of.shape}", "", of.per_thousand, PUT_BUDGET)
        for of in puts
    ]
    return rows
