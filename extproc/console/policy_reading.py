"""The policy of the configuration as a page shows it: the file as it is now, its cases when somebody asks for them."""

import hashlib
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import lru_cache

from extproc.console.jobs import Progress
from extproc.console.policy_view import PolicyView, view_policy
from extproc.core.document import Problem
from extproc.core.policy import Policy
from extproc.core.policy_case import build_case
from extproc.core.policy_case_text import shown
from extproc.core.policy_cases import CaseRunner
from extproc.core.policy_document import PolicyInvalid
from extproc.edge.bounded_file import read_bounded, read_failure
from extproc.edge.policy_file import MAX_PLACES, Fitness
from extproc.edge.settings import Settings

MAX_CASES = 1_000
MAX_TEST_SECONDS = 20.0


@dataclass(frozen=True, slots=True)
class PolicyFileSeen:
    """`digest` is `sha256:…` of what the file holds, empty where it cannot be read. `view` is None where it is no
    policy; `problems` say why, one line each."""

    path: str
    digest: str = ""
    changed: float = 0.0
    view: PolicyView | None = None
    problems: tuple[str, ...] = ()
    problems_left_out: int = 0
    policy: Policy | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class CaseView:
    """`differences` is empty for one that holds; safe to show."""

    name: str
    line: int
    differences: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class CasesRun:
    """`left_out`: how many were not run, being too many or taking too long."""

    digest: str
    cases: tuple[CaseView, ...]
    left_out: int

    @property
    def failed(self) -> tuple[CaseView, ...]:
        return tuple(case for case in self.cases if case.differences)


def read_policy(settings: Settings) -> PolicyFileSeen:
    """What the file says now. Blocking; raises nothing."""
    path, fitness = settings.policy_file, Fitness.of(settings)
    try:
        data, changed = read_bounded(path), path.stat().st_mtime
    except OSError as error:
        return PolicyFileSeen(str(path), problems=(read_failure(error),))
    digest = f"sha256:{hashlib.sha256(data).hexdigest()}"
    try:
        policy = _parsed(data, fitness)
    except PolicyInvalid as invalid:
        return PolicyFileSeen(str(path), digest, changed, None, *_places(invalid.problems))
    view = view_policy(policy, datetime.now(UTC).date())
    return PolicyFileSeen(str(path), digest, changed, view, policy=policy)


def run_cases(policy: Policy, progress: Progress) -> CasesRun:
    """The cases that the policy brings along, as far as they are run in the time for it. Blocking."""
    end, found = time.monotonic() + MAX_TEST_SECONDS, []
    for case in _run(policy):
        found.append(case)
        progress.words = f"{len(found)} of {len(policy.tests)} cases"
        if time.monotonic() > end:
            break
    return CasesRun(policy.digest, tuple(found), len(policy.tests) - len(found))


def _run(policy: Policy) -> Iterator[CaseView]:
    for result in CaseRunner(policy).run(map(build_case, policy.tests[:MAX_CASES])):
        yield CaseView(shown(result.case.name), result.case.line, tuple(map(str, result.differences)))


@lru_cache(maxsize=2)
def _parsed(data: bytes, fitness: Fitness) -> Policy:
    """Of the same bytes the same policy: a large one takes a moment to compile."""
    return fitness.parse(data)


def _places(problems: tuple[Problem, ...]) -> tuple[tuple[str, ...], int]:
    return tuple(map(str, problems[:MAX_PLACES])), max(len(problems) - MAX_PLACES, 0)
