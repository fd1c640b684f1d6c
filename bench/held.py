"""What many held requests cost one worker: memory, and the time from a grant to the waiting exchange.

One process with the desk and the holdings of a worker on its loop, and a real store; without Envoy, gRPC and exchanges.
The grants come one after the other from another store object, as from a console.
"""

import asyncio
import tempfile
import time
from collections.abc import Coroutine, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import psutil
import uvloop

from bench.measure import percentile
from bench.postgres import postgres_address
from bench.row import Row, plain
from extproc.approvals.desk import Desk
from extproc.approvals.settings import ApprovalSettings
from extproc.approvals.store import ApprovalStore, open_store
from extproc.audit.keys.keys import AuditKeys
from extproc.audit.keys.seal import open_bytes, seal_bytes
from extproc.core import events
from extproc.core.actions import OpenApproval
from extproc.core.approval import Approval, ApprovalRequest, Channel, decide, shown_digest
from extproc.core.identity import Principal
from extproc.core.trust import Masked
from extproc.edge.holding import Holding

HELD = 2000
GRANTS = 300
GRANTS_EACH_SECOND = 60
WAKE_MS = 250.0
USUAL_WAKE_MS = 50.0
PREVIEW = (
    b'{"messages": [{"role": "user", "content": "' + b"Summarize the report of the harbour office. " * 40 + b'"}]}'
)
EXPIRE_SECONDS = 3600.0

_APPROVER = Principal("https://idp.example", "approver", "Approver", ("approvers",))


class Held:
    """One exchange that waits: when it learned that it may go on."""

    def __init__(self, desk: Desk, at: int, start: Any) -> None:
        self.opened = asyncio.get_running_loop().create_future()
        self.granted_at = 0.0
        self.holding = Holding(desk, feed=self._hear, held=lambda: True, start=start, start_beyond=start)
        self.holding.open(OpenApproval(_request(at)))

    def _hear(self, event: events.Event) -> None:
        match event:
            case events.ApprovalSeen(approval=approval):
                if not self.opened.done():
                    self.opened.set_result(approval)
                if approval.state.value == "granted":
                    self.granted_at = time.perf_counter()
            case _ if not self.opened.done():
                self.opened.set_result(None)


def held_rows() -> list[Row]:
    """Five lines of the table for each engine, each from a process of its own: what was measured before has left memory
    to use again, and the held requests would seem to need none."""
    rows = []
    for engine in ("SQLite", "PostgreSQL"):
        with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as process:
            rows += process.submit(_engine_rows, engine).result()
    return rows


def _engine_rows(engine: str) -> list[Row]:
    address = _sqlite_address() if engine == "SQLite" else postgres_address()
    with address as database, tempfile.TemporaryDirectory(prefix="extproc-bench-") as folder:
        keys = AuditKeys.load_or_create(Path(folder) / "keys")
        return uvloop.run(_measure(engine, _open(database, keys), _open(database, keys)))


async def _measure(engine: str, store: ApprovalStore, console: ApprovalStore) -> list[Row]:
    desk = Desk(store, ApprovalSettings(""))
    async with asyncio.TaskGroup() as tasks:
        poller = tasks.create_task(desk.run())

        def start(work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
            return tasks.create_task(work)

        before, begun = _rss_kib(), time.perf_counter()
        held = [Held(desk, at, start) for at in range(HELD)]
        approvals = await asyncio.gather(*(each.opened for each in held))
        open_seconds = time.perf_counter() - begun
        await asyncio.sleep(1.0)
        kib = (_rss_kib() - before) / HELD
        waits = await _grant(console, held, approvals)
        for each in held:
            each.holding.close()
        poller.cancel()
    store.close()
    console.close()
    failed = sum(approval is None for approval in approvals)
    name = f"{HELD} held, {engine}"
    return [
        plain(f"{name}: all at once, opened", "s", open_seconds),
        plain(f"{name}: of these refused", "requests", failed, 0.5),
        plain(f"{name}: memory of each", "KiB", kib),
        plain(f"{name}: from grant to exchange, p50", "ms", percentile(waits, 0.5), USUAL_WAKE_MS),
        plain(f"{name}: from grant to exchange, p99", "ms", percentile(waits, 0.99), WAKE_MS),
    ]


async def _grant(console: ApprovalStore, held: list[Held], approvals: list[Approval | None]) -> list[float]:
    """Milliseconds from the moment that each grant was durable. One that is not told within 10 s counts as that."""
    pairs = [(each, approval) for each, approval in zip(held, approvals, strict=True) if approval is not None]
    chosen = pairs[:: max(1, len(pairs) // GRANTS)][:GRANTS]
    durable: list[float] = []
    await asyncio.to_thread(_vote_all, console, [approval for _, approval in chosen], durable)
    await asyncio.sleep(1.0)
    return [(each.granted_at or at + 10.0) * 1e3 - at * 1e3 for (each, _), at in zip(chosen, durable, strict=True)]


def _vote_all(console: ApprovalStore, approvals: list[Approval], durable: list[float]) -> None:
    for approval in approvals:
        now = time.time()
        decided = decide(approval, _APPROVER, True, "fine", seen=shown_digest(approval), channel=Channel.CLI, now=now)
        assert console.vote(decided)
        durable.append(time.perf_counter())
        time.sleep(1.0 / GRANTS_EACH_SECOND)


def _request(at: int) -> ApprovalRequest:
    now = time.time()
    return ApprovalRequest(
        approval_id=f"apr-{at}",
        exchange_id=f"exchange-{at}",
        requester_uid=f"https://idp.example|person-{at}",
        requester_name="Analyst",
        rule="bulk",
        rule_text="Large requests are approved.",
        policy_digest="sha256:00",
        request_digest=f"digest-{at}",
        connection="main",
        operation="chat",
        model="mistral-large",
        findings=(("pan", 2),),
        approver_groups=("approvers",),
        created_at=now,
        expires_at=now + EXPIRE_SECONDS,
        preview=Masked(PREVIEW),
    )


def _open(database: str, keys: AuditKeys) -> ApprovalStore:
    return open_store(
        ApprovalSettings(database),
        lambda context, data: seal_bytes(keys, context, data),
        lambda context, sealed: open_bytes(keys, context, sealed),
    )


@contextmanager
def _sqlite_address() -> Iterator[str]:
    with tempfile.TemporaryDirectory(prefix="extproc-bench-") as folder:
        yield f"sqlite:///{folder}/approvals.db"


def _rss_kib() -> float:
    return psutil.Process().memory_info().rss / 1024


if __name__ == "__main__":
    for row in held_rows():
        print(row)
