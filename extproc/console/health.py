"""What can be seen at once of the deployment's health, without reading the log: spool, keys, stores, workers."""

import hashlib
import time
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from extproc.audit.keys.register import DAY_MS, REMEDY, WARN_DAYS, KeyFact, state_of
from extproc.audit.log.alarms import SOFT_SHARE
from extproc.audit.log.spool import measure
from extproc.audit.refusal import AuditRefused
from extproc.console.deployment import Deployment
from extproc.edge.bounded_file import read_bounded
from extproc.edge.key_inventory import key_facts
from extproc.edge.policy_status import read_status, status_path, why_not_in_force
from extproc.edge.settings import Settings


class State(StrEnum):
    """`unknown`: it cannot be told from here."""

    WELL = "well"
    ATTENTION = "attention"
    FAILING = "failing"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Check:
    """`remedy` says what to do, and is empty where there is nothing to do."""

    name: str
    state: State
    words: str
    remedy: str = ""


def worst(checks: list[Check]) -> State:
    """Of several: failing before attention before unknown before well."""
    order = (State.FAILING, State.ATTENTION, State.UNKNOWN)
    states = {check.state for check in checks}
    return next((state for state in order if state in states), State.WELL)


def spool_checks(deployment: Deployment, now: float) -> Iterator[Check]:
    """Of this machine's spool. Blocking. `now` is Unix seconds."""
    audit = deployment.settings.audit
    try:
        seen = measure(audit.spool, now)
    except OSError as error:
        yield Check("Spool", State.FAILING, f"cannot be read ({error.strerror})", f"Look at {audit.spool}.")
        return
    share = seen.used_bytes / audit.max_spool_bytes
    words = f"{_bytes(seen.used_bytes)} of {_bytes(audit.max_spool_bytes)} used ({share:.0%})"
    full = "Find out why segments are not shipped: the lag below, or the log of the service."
    yield Check(
        "Spool", State.ATTENTION if share > SOFT_SHARE else State.WELL, words, full if share > SOFT_SHARE else ""
    )
    yield _lag(seen.oldest_pending_seconds, audit.max_lag_seconds)
    if seen.divergent:
        words = f"{seen.divergent} epoch(s) of which the store holds other bytes: no new exchange is taken"
        yield Check("Audit store", State.FAILING, words, "Keep the epoch's folder as evidence and move it out.")


def _lag(seconds: float, limit: float) -> Check:
    words = f"the oldest segment waits {seconds:.0f} s" if seconds >= 1 else "nothing waits"
    words += f"; from {limit:.0f} s on new exchanges are refused"
    if seconds >= limit:
        return Check(
            "Audit lag", State.FAILING, words, "Bring the audit store back; segments are then shipped in order."
        )
    late = seconds > limit / 2
    return Check(
        "Audit lag", State.ATTENTION if late else State.WELL, words, "Look at the audit store." if late else ""
    )


@dataclass(frozen=True, slots=True)
class KeyView:
    """A key with its age. Nothing of its material."""

    purpose: str
    id: str
    provider: str
    age_days: int
    days_left: int
    check: Check


def key_views(deployment: Deployment, now: float) -> tuple[KeyView, ...]:
    """Every key of the deployment that this process can name. Blocking. Raises `AuditRefused` or OSError."""
    now_ms = int(now * 1000)
    return tuple(_key(fact, now_ms) for fact in key_facts(deployment.settings, deployment.keys))


def _key(fact: KeyFact, now_ms: int) -> KeyView:
    left = fact.days_left(now_ms)
    state = State.WELL
    if fact.active and left < WARN_DAYS:
        state = State.FAILING if fact.expired(now_ms) else State.ATTENTION
    remedy = REMEDY[fact.purpose].capitalize() + "." if state is not State.WELL else ""
    check = Check(f"{fact.purpose.capitalize()} key", state, state_of(fact, now_ms), remedy)
    return KeyView(str(fact.purpose), fact.id, str(fact.provider), (now_ms - fact.created_ms) // DAY_MS, left, check)


def key_checks(deployment: Deployment, now: float) -> list[Check]:
    """Those of keys that need something; one that says so where none does. Blocking."""
    try:
        views = key_views(deployment, now)
    except (AuditRefused, OSError) as error:
        return [Check("Keys", State.FAILING, f"cannot be read ({error})", "Look at the folder of `audit.keys`.")]
    unwell = [view.check for view in views if view.check.state is not State.WELL]
    return unwell or [Check("Keys", State.WELL, f"{len(views)} keys, all within their cryptoperiods")]


@dataclass(frozen=True, slots=True)
class WorkerView:
    """One worker of this machine. `digest` is of the policy that it serves by, empty where it says nothing."""

    number: int
    digest: str
    since: float
    why_not: str
    """Why it does not serve by the file as it is; empty where it does."""
    problems: tuple[str, ...]


def policy_digest(settings: Settings) -> str:
    """`sha256:…` of the policy's file as it is now. Raises OSError."""
    return f"sha256:{hashlib.sha256(read_bounded(settings.policy_file)).hexdigest()}"


def worker_views(settings: Settings, digest: str) -> tuple[WorkerView, ...]:
    """What the workers of this machine say of their policy; empty where the console runs on another one. Blocking."""
    views = []
    for number in range(settings.workers):
        status = read_status(status_path(settings.run_directory, number))
        if status is None:
            continue
        why = why_not_in_force(digest, status, settings.run_directory / f"worker-{number}.sock")
        views.append(WorkerView(number, status.digest, status.since_unix, why, status.problems))
    return tuple(views)


def worker_check(settings: Settings) -> Check:
    """Whether the workers serve by the policy that stands in the file. Blocking."""
    try:
        digest = policy_digest(settings)
    except OSError as error:
        return Check("Policy", State.FAILING, f"its file cannot be read ({error.strerror})", "`extproc policy check`")
    views = worker_views(settings, digest)
    if not views:
        return Check("Policy", State.UNKNOWN, "no worker runs on this machine; the records say what is in force")
    others = [view for view in views if view.why_not]
    if others:
        words = f"{len(others)} of {len(views)} workers: {others[0].why_not}"
        return Check("Policy", State.ATTENTION, words, "`extproc policy check` says what is wrong with the file.")
    return Check("Policy", State.WELL, f"in force in {len(views)} worker(s), as it stands in the file")


def checks_at_once(deployment: Deployment, now: float | None = None) -> list[Check]:
    """All of these. Blocking: some files are read."""
    moment = time.time() if now is None else now
    return [*spool_checks(deployment, moment), worker_check(deployment.settings), *key_checks(deployment, moment)]


def _bytes(count: int) -> str:
    for size, unit in ((1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")):
        if count >= size:
            return f"{count / size:.1f} {unit}"
    return f"{count} B"
