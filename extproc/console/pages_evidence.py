"""`/evidence`: the assessor's pack of a period, made by a job, kept in memory alone. For auditors."""

import secrets
import time
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import Final

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from extproc.audit.evidence.pack import Pack, encode_pack
from extproc.audit.evidence.page import render_page
from extproc.console.access import require_role
from extproc.console.csrf import read_own_form
from extproc.console.deployment import Deployment
from extproc.console.downloads import download
from extproc.console.health import State
from extproc.console.jobs import Job, Progress
from extproc.console.looking import settled
from extproc.console.pages import render
from extproc.console.parts import deployment_of, parts_of
from extproc.console.reads import record_read
from extproc.console.roles import Role
from extproc.console.verdicts import Look
from extproc.edge.evidence_making import make_pack, occasion_of, subject_of

_PACK: Final = "evidence"
_DAY_MS: Final = 86_400_000
_VERDICTS: Final = (State.WELL, State.FAILING, State.ATTENTION)
"""By the pack's exit code."""


@dataclass(frozen=True, slots=True)
class PackReady:
    """A pack with its two files. `id` stands in the URLs of the downloads."""

    id: str
    pack: Pack = field(repr=False)
    html: bytes = field(repr=False)
    json: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class _Period:
    """Days of UTC, both included."""

    first: date
    last: date

    @property
    def ms(self) -> tuple[int, int]:
        """From, until before; Unix milliseconds."""
        return _day_ms(self.first), _day_ms(self.last) + _DAY_MS

    @property
    def words(self) -> str:
        return f"{self.first.isoformat()} to {self.last.isoformat()}"


async def evidence(request: Request) -> Response:
    """The page: the form, how far a pack is, what it says."""
    await require_role(request, Role.AUDITOR)
    return _page(request, "", request.query_params.get("from", ""), request.query_params.get("to", ""))


async def make(request: Request) -> Response:
    """Begin a pack. Recorded first, like `extproc evidence`; raises `Unavailable`."""
    person = await require_role(request, Role.AUDITOR)
    form = await read_own_form(request)
    now = parts_of(request).clock()
    first, last = form.get("from", ""), form.get("to", "")
    period = _period(first, last, now)
    if isinstance(period, str):
        return _page(request, period, first, last, 400)
    deployment = deployment_of(request)
    from_ms, to_ms = period.ms
    await record_read(request, person, "evidence", from_ms=from_ms, to_ms=to_ms)
    job = deployment.jobs.begin(
        _PACK, period.words, person.uid, lambda progress: _make(deployment, period, person.uid, progress)
    )
    await settled(job)
    return RedirectResponse("/evidence", 303)


async def take(request: Request) -> Response:
    """One of the pack's files, to be kept. Recorded first; raises `Unavailable`."""
    person = await require_role(request, Role.AUDITOR)
    ready, name = _ready(deployment_of(request).jobs.latest(_PACK)), request.path_params["name"]
    kinds = {"evidence.html": "text/html; charset=utf-8", "evidence.json": "application/json"}
    if ready is None or ready.id != request.path_params["pack_id"] or name not in kinds:
        raise HTTPException(404)
    await record_read(request, person, "evidence.download", file=name, period=_words(ready))
    data = ready.html if name == "evidence.html" else ready.json
    return download(data, name, kinds[name])


async def forget(request: Request) -> Response:
    """Drop the pack from memory."""
    await require_role(request, Role.AUDITOR)
    await read_own_form(request)
    deployment_of(request).jobs.forget(_PACK)
    return RedirectResponse("/evidence", 303)


def _make(deployment: Deployment, period: _Period, who: str, progress: Progress) -> PackReady:
    """Blocking; raises what `make_pack` raises."""
    now_ms = int(time.time() * 1000)
    from_ms, to_ms = period.ms
    progress.words = "reading the records"
    subject = subject_of(deployment.settings, from_ms, min(to_ms, now_ms), now_ms)
    occasion = occasion_of(who, period.ms, now_ms)
    pack = make_pack(deployment.settings, deployment.store, subject, occasion, progress)
    return PackReady(secrets.token_hex(8), pack, render_page(pack), encode_pack(pack))


def _page(request: Request, problem: str, first: str, last: str, status: int = 200) -> Response:
    now = parts_of(request).clock()
    today = _day(now)
    job = deployment_of(request).jobs.latest(_PACK)
    ready = _ready(job)
    return render(
        request,
        "evidence.html",
        title="Evidence",
        status=status,
        problem=problem,
        from_day=_shown(first, today - timedelta(days=90)),
        to_day=_shown(last, today),
        presets=_presets(today),
        job=job,
        pack=ready.pack if ready else None,
        pack_id=ready.id if ready else "",
        verdict=Look(_VERDICTS[ready.pack.exit_code], _capital(ready.pack.proof.verdict)) if ready else None,
    )


def _ready(job: Job | None) -> PackReady | None:
    return job.result if job is not None and isinstance(job.result, PackReady) else None


def _words(ready: PackReady) -> str:
    return f"{ready.pack.period.start} to {ready.pack.period.end}"


def _period(first: str, last: str, now: float) -> _Period | str:
    """Of the two days, or a sentence that says why it is none."""
    try:
        period = _Period(date.fromisoformat(first), date.fromisoformat(last))
    except ValueError:
        return "Choose two days, such as 2026-09-01 and 2026-11-30."
    if period.first > period.last:
        return "The period is empty: its first day is after its last."
    if _day_ms(period.first) <= 0 or period.first > _day(now):
        return "The period lies in the future, or before anything was recorded."
    return period


def _presets(today: date) -> list[tuple[str, str, str]]:
    """Periods that are asked for often, as words and two days."""
    month = today.replace(day=1) - timedelta(days=1)
    spans = [
        ("the last 7 days", today - timedelta(days=6), today),
        ("the last 90 days", today - timedelta(days=89), today),
        ("last month", month.replace(day=1), month),
        ("the last year", today - timedelta(days=364), today),
    ]
    return [(words, first.isoformat(), last.isoformat()) for words, first, last in spans]


def _shown(text: str, otherwise: date) -> str:
    try:
        return date.fromisoformat(text).isoformat()
    except ValueError:
        return otherwise.isoformat()


def _capital(words: str) -> str:
    return words[:1].upper() + words[1:]


def _day(now: float) -> date:
    return datetime.fromtimestamp(now, UTC).date()


def _day_ms(day: date) -> int:
    return int(datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp() * 1000)


ROUTES: Final = (
    Route("/evidence", evidence),
    Route("/evidence", make, methods=["POST"]),
    Route("/evidence/forget", forget, methods=["POST"]),
    Route("/evidence/{pack_id}/{name}", take),
)
