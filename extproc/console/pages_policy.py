"""`/policy`: what the file says, what each worker serves by, and what rules in shadow would have done."""

import asyncio
from dataclasses import dataclass
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from extproc.audit.reading.overview import Overview, WriterSeen
from extproc.console.access import require_role
from extproc.console.csrf import read_own_form
from extproc.console.deployment import Deployment
from extproc.console.health import State, WorkerView, worker_views
from extproc.console.jobs import Job
from extproc.console.looking import RANGES, Looked, look, settled
from extproc.console.pages import render
from extproc.console.parts import deployment_of
from extproc.console.policy_reading import PolicyFileSeen, read_policy, run_cases
from extproc.console.policy_view import PolicyView
from extproc.console.reads import spend_step
from extproc.console.roles import Role
from extproc.console.verdicts import Look
from extproc.core.record import EventCode, Record

_CASES: Final = "policy-cases"
_EFFECTS: Final = {"allow": "good", "hold": "wait", "deny": "bad", "cut": "bad", "log": ""}
_EVENTS: Final = {
    EventCode.ADMIN_POLICY_CHANGE: ("good", "put in force"),
    EventCode.CONTROL_FAILURE: ("bad", "refused"),
    EventCode.CONTROL_RESTORED: ("good", "file good again"),
}


@dataclass(frozen=True, slots=True)
class EventView:
    """A change of the policy in force, or a file that was refused, by its record."""

    time_ms: int
    css: str
    words: str
    digest: str
    where: str


async def policy(request: Request) -> Response:
    """The page. For every role."""
    person = await require_role(request, Role.READER)
    deployment = deployment_of(request)
    file = await asyncio.to_thread(read_policy, deployment.settings)
    workers = await asyncio.to_thread(worker_views, deployment.settings, file.digest)
    looked = await look(request, person)
    writers = _writers(looked, workers)
    verdict, sentence = _verdict(file, workers, writers, looked)
    return render(
        request,
        "policy.html",
        title="Policy",
        file=file,
        workers=workers,
        writers=writers,
        verdict=verdict,
        sentence=sentence,
        effects=_EFFECTS,
        looked=looked,
        ranges=tuple(RANGES),
        shadow=_shadow(looked.overview, file.view),
        events=_events(looked.overview),
        **_cases(deployment),
    )


async def cases(request: Request) -> Response:
    """Run the policy's own cases, bounded, in a thread; the page shows what came of it."""
    person = await require_role(request, Role.READER)
    await read_own_form(request)
    spend_step(request)
    deployment = deployment_of(request)
    file = await asyncio.to_thread(read_policy, deployment.settings)
    known = file.policy
    if known is not None:
        work = deployment.jobs.begin(_CASES, file.digest, person.uid, lambda progress: run_cases(known, progress))
        await settled(work)
    return RedirectResponse("/policy#cases", 303)


def _cases(deployment: Deployment) -> dict[str, Any]:
    job: Job | None = deployment.jobs.latest(_CASES)
    running = job is not None and job.running
    return {
        "running_cases": (job.progress.words or "beginning") if job and running else "",
        "cases": job.result if job and not running else None,
        "cases_failure": job.failure if job else "",
    }


def _writers(looked: Looked, workers: tuple[WorkerView, ...]) -> list[WriterSeen]:
    """Those of the records that go on and name a policy; those of this machine have said so themselves."""
    if looked.overview is None:
        return []
    found = [
        each
        for each in looked.overview.writers.values()
        if each.policy and not each.ended and not (workers and each.alive)
    ]
    return sorted(found, key=lambda each: (each.origin.writer, -each.policy_ms))


def _verdict(
    file: PolicyFileSeen, workers: tuple[WorkerView, ...], writers: list[WriterSeen], looked: Looked
) -> tuple[Look, str]:
    """Whether what stands in the file is what decides."""
    served = [(worker.digest, worker.why_not) for worker in workers]
    served += [(writer.policy, "" if writer.policy == file.digest else "another policy") for writer in writers]
    others = [digest for digest, why in served if why]
    if file.problems:
        kept = "; each worker keeps the last good one" if served else ""
        return Look(State.FAILING, "The file is no policy"), f"It is not in force{kept}."
    if others:
        sentence = f"{len(others)} of {len(served)} worker(s) serve by another policy than the file's, or by none."
        return Look(State.ATTENTION, "File and workers differ"), sentence
    if served:
        workers_all = "the one worker decides" if len(served) == 1 else f"all {len(served)} workers decide"
        return Look(State.WELL, "In force"), f"What stands in the file is what {workers_all} by."
    words = "The log is being read." if looked.running else "No worker was seen that says by which policy it serves."
    return Look(State.UNKNOWN, "Not known to be in force"), words


def _shadow(overview: Overview | None, view: PolicyView | None) -> list[tuple[str, int, int, str]]:
    """Each rule in shadow: exchanges that it matched, that it would have changed, and what it is in the file now."""
    if overview is None:
        return []
    now = {rule.name: "in shadow" if rule.shadow_until else "in force" for rule in _all_rules(view)}
    names = dict.fromkeys([*overview.shadow_held, *(name for name, said in now.items() if said == "in shadow")])
    return [
        (name, overview.shadow_held[name], overview.shadow_changes[name], now.get(name, "not in the file"))
        for name in sorted(names, key=lambda name: -overview.shadow_changes[name])
    ]


def _all_rules(view: PolicyView | None) -> tuple[Any, ...]:
    return (*view.rules, *view.response_rules) if view else ()


def _events(overview: Overview | None) -> list[EventView]:
    """The newest first."""
    return [_event(record) for record in reversed(overview.policy_events)] if overview else []


def _event(record: Record) -> EventView:
    css, words = _EVENTS[record.event_code]
    detail = record.detail
    digest = str(detail.get("refused_digest") or (record.policy.digest if record.policy else ""))
    places = [f"{name} {detail[name]}" for name in ("problems", "path", "line", "column") if name in detail]
    return EventView(
        record.time_ms, css, words, digest, ", ".join(places) or f"by {record.actor.name or record.actor.uid}"
    )


ROUTES: Final = (Route("/policy", policy), Route("/policy/cases", cases, methods=["POST"]))
