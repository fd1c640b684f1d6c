"""Reading the log over for a page: recorded first, in a thread, bounded by a range, kept for a minute."""

import asyncio
import time
from dataclasses import dataclass
from typing import Final

from starlette.requests import Request

from extproc.audit.reading.overview import Overview, look_over
from extproc.audit.reading.reader import Span
from extproc.console.deployment import Deployment
from extproc.console.jobs import Job, Progress
from extproc.console.parts import parts_of
from extproc.console.reads import record_read
from extproc.core.principal import Principal
from extproc.core.reasons import Unavailable

RANGES: Final = {"1h": 3_600, "24h": 86_400, "7d": 7 * 86_400, "30d": 30 * 86_400}
"""Seconds, by the name in the URL."""
DEFAULT_RANGE: Final = "24h"
FRESH_SECONDS: Final = 60.0
"""A reading that is younger is shown again."""
PATIENCE_SECONDS: Final = 1.5
"""So long a page waits for a reading; then it says that it goes on."""


@dataclass(frozen=True, slots=True)
class Looked:
    """What a page knows of the records of a range. `overview` is None while it is read, and where it cannot be."""

    range: str
    overview: Overview | None = None
    running: bool = False
    why_not: str = ""
    """A sentence; empty where the overview is there or on its way."""
    looked: float = 0.0
    """When it was read, in Unix seconds."""


def range_of(request: Request) -> str:
    """The range that the URL names, or the usual one."""
    said = request.query_params.get("range", "")
    return said if said in RANGES else DEFAULT_RANGE


async def look(request: Request, person: Principal) -> Looked:
    """The records of the range that the URL names, looked over. Raises nothing: a page is shown without them too."""
    parts, asked = parts_of(request), range_of(request)
    if parts.deployment is None:
        return Looked(asked, why_not="This console was started without a log to read.")
    jobs, deployment = parts.deployment.jobs, parts.deployment
    kind = f"overview-{asked}"
    job = jobs.latest(kind)
    if job is not None and not job.running and parts.clock() - job.ended > FRESH_SECONDS:
        job = None
    try:
        if job is None or person.uid not in job.readers:
            await record_read(request, person, "audit.overview", range=asked)
    except Unavailable:
        return Looked(asked, why_not="The reading could not be recorded, so what the records say is not shown.")
    if job is None:
        job = jobs.begin(kind, asked, person.uid, lambda progress: _read(deployment, RANGES[asked], progress))
    job.readers.add(person.uid)
    return await _looked(asked, job)


async def _looked(asked: str, job: Job) -> Looked:
    await settled(job)
    if job.running:
        return Looked(asked, running=True)
    if job.failure:
        return Looked(asked, why_not=f"The log cannot be read: {job.failure}")
    return Looked(asked, job.result, looked=job.ended)


async def settled(job: Job) -> None:
    """Wait a little for a job to end: what is quick needs no second look."""
    await asyncio.to_thread(job.over.wait, PATIENCE_SECONDS)


def _read(deployment: Deployment, seconds: int, progress: Progress) -> Overview:
    now_ms = int(time.time() * 1000)
    span = Span(since_ms=now_ms - seconds * 1000)
    progress.words = "listing the log"
    holdings = deployment.look(span)
    progress.words = f"reading {len(holdings.epochs)} epoch(s)"
    return look_over(holdings, span, now_ms)
