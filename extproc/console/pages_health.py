"""`/health`: what is unwell now, what the records say of failures and silent writers, whether the log holds."""

import asyncio
import time
from dataclasses import dataclass
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from extproc.approvals.index.query import Freshness, SegmentProblem
from extproc.approvals.notify.deliveries import DeliveryState
from extproc.audit.evidence.incidents import Incident
from extproc.audit.keys.public_keys import PUBLIC_KEY, load_public_key
from extproc.audit.reading.overview import Overview, WriterSeen
from extproc.audit.reading.span import Span
from extproc.audit.refusal import AuditRefused
from extproc.audit.verify.findings import Finding, Level, Name
from extproc.audit.verify.report import Report
from extproc.audit.verify.verify import verify
from extproc.console.access import require_role
from extproc.console.controls import checks_of
from extproc.console.csrf import read_own_form
from extproc.console.deployment import Deployment
from extproc.console.health import Check, KeyView, State, checks_at_once, key_views, worst
from extproc.console.jobs import Job, Progress
from extproc.console.looking import DEFAULT_RANGE, RANGES, Looked, look, settled
from extproc.console.pages import render
from extproc.console.parts import Parts, deployment_of, parts_of
from extproc.console.reads import record_read
from extproc.console.roles import Role
from extproc.console.verdicts import CSS, Look
from extproc.core.reasons import Unavailable

_VERIFY: Final = "verify"
_MAX_ROWS: Final = 200
_RANGE_WORDS: Final = {"1h": "the last hour", "24h": "the last 24 hours", "7d": "the last 7 days"} | {
    "30d": "the last 30 days"
}
_CONTROLS: Final = {
    "saml-metadata": "Metadata of the identity provider",
    "approval-store": "Approval store",
    "token-keys": "Keys that sign tokens",
    "oidc-issuer": "Login by OpenID Connect",
}
_ANSWERS: Final = (("good", "whole"), ("bad", "findings"), ("wait", "incomplete"))
"""By the verifier's exit code."""


@dataclass(frozen=True, slots=True)
class ChainView:
    """The last verification. `report` is None while there is none."""

    running: bool = False
    asked: str = ""
    failure: str = ""
    report: Report | None = None
    css: str = ""
    words: str = ""
    ended: float = 0.0
    findings: tuple[Finding, ...] = ()
    progress: Progress | None = None


async def health(request: Request) -> Response:
    """The page. For every role; what does not need the log is shown without it."""
    person = await require_role(request, Role.READER)
    parts, deployment = parts_of(request), deployment_of(request)
    looked = await look(request, person)
    chain = _chain(deployment.jobs.latest(_VERIFY))
    freshness, problems = await asyncio.to_thread(_index, deployment)
    checks = await asyncio.to_thread(checks_of_now, parts, deployment)
    checks += [_index_check(freshness, parts.clock()), *_looked_checks(looked), *_chain_checks(chain)]
    writers = _writers(looked.overview)
    return render(
        request,
        "health.html",
        title="Health",
        verdict=_verdict(checks),
        sentence=_sentence(checks),
        checks=checks,
        css=CSS,
        looked=looked,
        ranges=tuple(RANGES),
        incidents=_incidents(looked.overview),
        writers=writers[:_MAX_ROWS],
        writers_left_out=_left_out(looked.overview, writers),
        chain=chain,
        freshness=freshness,
        index_problems=problems,
        keys=await asyncio.to_thread(_keys, deployment),
    )


async def verify_log(request: Request) -> Response:
    """Begin to verify a recent range, in a thread. Recorded first; raises `Unavailable`."""
    person = await require_role(request, Role.READER)
    form = await read_own_form(request)
    asked = form.get("range", "")
    asked = asked if asked in RANGES else DEFAULT_RANGE
    deployment = deployment_of(request)
    await record_read(request, person, "audit.verify", range=asked)
    job = deployment.jobs.begin(
        _VERIFY, _RANGE_WORDS[asked], person.uid, lambda progress: _verify(deployment, RANGES[asked], progress)
    )
    await settled(job)
    return RedirectResponse("/health#chain", 303)


def _verify(deployment: Deployment, seconds: int, progress: Progress) -> Report:
    """Blocking. Raises `AuditRefused`."""
    audit = deployment.settings.audit
    key = load_public_key(audit.keys / PUBLIC_KEY)
    now_ms = int(time.time() * 1000)
    asked = Span(now_ms - seconds * 1000, None)
    return verify(deployment.store, key, deployment=audit.deployment, spool=audit.spool, asked=asked, watch=progress)


def checks_of_now(parts: Parts, deployment: Deployment) -> list[Check]:
    """What can be seen without reading the log. Blocking."""
    now = parts.clock()
    found = [_control(_CONTROLS.get(name, name), check(now)) for name, check in checks_of(parts).items()]
    if not parts.log.accepting():
        remedy = "Look at the spool below and at the console's log."
        found.append(Check("The console's own journal", State.FAILING, "takes no record: nothing is shown", remedy))
    return [*checks_at_once(deployment), *found, _told_check(deployment)]


def _control(name: str, cause: str) -> Check:
    if not cause:
        return Check(name, State.WELL, "works")
    return Check(name, State.FAILING, cause.replace("_", " "), "The console's log says more.")


def _index(deployment: Deployment) -> tuple[Freshness | None, tuple[SegmentProblem, ...]]:
    try:
        return deployment.index.freshness(), deployment.index.problems(20)
    except Unavailable:
        return None, ()


def _told_check(deployment: Deployment) -> Check:
    """Blocking."""
    if not deployment.settings.approvals.channels:
        return Check("Notifications", State.WELL, "no channel is configured: nobody is told of approvals")
    try:
        counts = deployment.deliveries.count_by_state()
    except Unavailable:
        return Check("Notifications", State.FAILING, "cannot be asked", "Bring the database of `approvals` back.")
    waiting, dead = counts[DeliveryState.WAITING], counts[DeliveryState.DEAD]
    words = f"{waiting} waiting, {dead} given up, over {len(deployment.settings.approvals.channels)} channel(s)"
    remedy = "An admin finds them under Notifications; `extproc approvals notifications list` shows them too."
    return Check("Notifications", State.ATTENTION if dead else State.WELL, words, remedy if dead else "")


def _index_check(freshness: Freshness | None, now: float) -> Check:
    if freshness is None:
        return Check("Session index", State.FAILING, "cannot be asked", "Bring the database of `approvals` back.")
    if not freshness.looked_ms:
        return Check("Session index", State.UNKNOWN, "nothing is indexed yet", "`extproc audit reindex`")
    if freshness.is_stale(int(now * 1000)):
        return Check(
            "Session index", State.ATTENTION, "nobody follows the store", "`extproc audit reindex` catches up."
        )
    if freshness.problems:
        words = f"{freshness.problems} segment(s) could not be taken over"
        return Check("Session index", State.ATTENTION, words, "See below; `extproc audit verify` says what is wrong.")
    return Check("Session index", State.WELL, "follows the store")


def _looked_checks(looked: Looked) -> list[Check]:
    """What the records add."""
    overview = looked.overview
    if overview is None:
        return [] if looked.running else [Check("Records", State.UNKNOWN, looked.why_not)]
    opened, found = overview.open_incidents(), []
    if opened:
        names = ", ".join(dict.fromkeys(each.control for each in opened))
        found.append(Check("Controls", State.FAILING, f"{len(opened)} failure(s) not over: {names}", "See below."))
    silent = [each for each in overview.writers.values() if each.silent(overview.looked_ms) and not each.alive]
    if silent:
        words = f"{len(silent)} ended without saying so, and nobody adopted what they left"
        remedy = "A service or console on the machine of that spool adopts it by itself."
        found.append(Check("Writers", State.ATTENTION, words, remedy))
    gaps = sum(each.gaps for each in overview.writers.values())
    if gaps or overview.problems:
        words = f"{gaps} record(s) missing, {len(overview.problems)} segment(s) not readable"
        found.append(Check("Log", State.FAILING, words, "Verify it below."))
    return found or [Check("Controls", State.WELL, "no failure is open")]


def _chain_checks(chain: ChainView) -> list[Check]:
    if chain.report is None or chain.css == "good":
        return []
    state = State.FAILING if chain.report.worst is Level.FINDING else State.ATTENTION
    return [Check("Chain", state, f"{chain.words}, {chain.asked}", "See below; keep the store as it is.")]


def _chain(job: Job | None) -> ChainView:
    if job is None:
        return ChainView()
    if job.running or job.failure:
        return ChainView(job.running, job.asked, job.failure, progress=job.progress)
    report: Report = job.result
    css, words = ("good", "whole since it begins") if _begins_later(report) else _ANSWERS[report.exit_code]
    weighty = sorted(report.findings, key=lambda finding: -finding.level)
    return ChainView(False, job.asked, "", report, css, words, job.ended, tuple(weighty[:_MAX_ROWS]))


def _begins_later(report: Report) -> bool:
    """Nothing speaks against the log but that it is younger than the range."""
    begin = report.asked.from_ms or 0
    weighty = [finding for finding in report.findings if finding.level > Level.TELLS]
    return report.begins_ms > begin and report.against == 1 and weighty[0].name is Name.SHORT


def _verdict(checks: list[Check]) -> Look:
    state = worst([check for check in checks if check.state is not State.UNKNOWN])
    words = {State.WELL: "All is well", State.ATTENTION: "Needs attention", State.FAILING: "Something fails"}
    return Look(state, words[state])


def _sentence(checks: list[Check]) -> str:
    unwell = [check.name for check in checks if check.state in (State.FAILING, State.ATTENTION)]
    unknown = [check.name for check in checks if check.state is State.UNKNOWN]
    said = f"Look at: {', '.join(dict.fromkeys(unwell))}." if unwell else "Nothing that is looked at here needs you."
    return f"{said} Not to be told from here: {', '.join(dict.fromkeys(unknown))}." if unknown else said


def _incidents(overview: Overview | None) -> list[Incident]:
    """Those that are open first, then the newest."""
    return [*overview.open_incidents(), *overview.closed_incidents()][:_MAX_ROWS] if overview else []


def _writers(overview: Overview | None) -> list[tuple[WriterSeen, str, str]]:
    """With the class and the words of their states; those that need somebody first, then the newest."""
    if overview is None:
        return []
    found = [(each, *_writer_state(each, overview.looked_ms)) for each in overview.writers.values()]
    return sorted(found, key=lambda each: (each[1] != "wait", -each[0].last_ms))


def _writer_state(writer: WriterSeen, now_ms: int) -> tuple[str, str]:
    if writer.ended:
        return "", writer.ended
    if writer.alive:
        return "good", "writing"
    return ("wait", "silent") if writer.silent(now_ms) else ("good", "heard of lately")


def _left_out(overview: Overview | None, writers: list[Any]) -> int:
    return max(len(writers) - _MAX_ROWS, 0) + (overview.writers_not_listed if overview else 0)


def _keys(deployment: Deployment) -> tuple[KeyView, ...]:
    try:
        return key_views(deployment, time.time())
    except (AuditRefused, OSError):
        return ()


ROUTES: Final = (Route("/health", health), Route("/health/verify", verify_log, methods=["POST"]))
