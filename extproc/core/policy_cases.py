"""Runs the cases of a policy: each through the code that judges requests in the service, without any of its I/O."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from extproc.core.document import Problem, quoted
from extproc.core.events import Attributes, RequestBody, RequestHeaders
from extproc.core.incoming import Incoming
from extproc.core.inspection import inspect
from extproc.core.judgement import Judgement, judge
from extproc.core.ledger import Ledger
from extproc.core.masking.aliases import MaskKey
from extproc.core.masking.effort import MAX_STEPS
from extproc.core.masking.scanner import Scanner
from extproc.core.policy import GOES_ON, Policy, judge_response, matches
from extproc.core.policy_case import Case, build_case
from extproc.core.policy_case_difference import Difference, Outcome, find_differences
from extproc.core.policy_case_text import shown
from extproc.core.reasons import ExchangeError
from extproc.core.snapshot import Connection, Limits, Snapshot
from extproc.core.trust import Secret

_TEST_SECRET = Secret("0" * 64)
"""Keys what a case digests and the tokens that it makes: the same in every run, and no key of a deployment."""
_TEST_KEY = MaskKey("test", _TEST_SECRET)


@dataclass(frozen=True, slots=True)
class CaseResult:
    case: Case
    outcome: Outcome
    differences: tuple[Difference, ...]

    @property
    def passed(self) -> bool:
        return not self.differences


class CaseRunner:
    """Runs cases of one policy. Holds no state between them."""

    def __init__(self, policy: Policy) -> None:
        self._policy = policy
        self._scanner = Scanner(policy.masking, MAX_STEPS, _TEST_KEY)
        profiles = policy.masking_profiles.items()
        self._scanners = {name: Scanner(profile, MAX_STEPS, _TEST_KEY) for name, profile in profiles}

    def run(self, cases: Iterable[Case]) -> Iterator[CaseResult]:
        """The result of each, in order. Nothing that a case says makes it raise."""
        for case in cases:
            outcome = self._outcome(case)
            yield CaseResult(case, outcome, tuple(find_differences(case, outcome)))

    def _outcome(self, case: Case) -> Outcome:
        try:
            judgement = self._judge(case)
        except ExchangeError as error:
            return Outcome(refused=error.reason.value)
        given = judgement.given
        verdict = GOES_ON if case.response is None else judge_response(self._policy, given, case.response)
        return Outcome("", given, judgement.decision, bytes(judgement.forward.body or b""), verdict)

    def _judge(self, case: Case) -> Judgement:
        """What `Exchange` does with a request whose token has been verified. Raises `ExchangeError`."""
        snapshot, request = self._snapshot(case.request.connection), case.request
        ledger = Ledger("case", "", case.now_unix, 0.0)
        incoming = Incoming(snapshot, ledger)
        attributes = Attributes(source_address=request.source_address)
        incoming.begin(RequestHeaders(request.headers, request.body is None, attributes, 0.0))
        if request.body is not None:
            incoming.check_body()
            incoming.add(RequestBody(request.body, end_of_stream=True, at=0.0))
        whole = incoming.take_whole(case.principal, 0.0)
        aliases = snapshot.scanner.aliases(case.principal.tenant)
        inspected = inspect(snapshot, whole, snapshot.scanner, aliases)
        # As the approval store says them: of the budgets that the request is counted in.
        counted = [budget.name for budget in self._policy.budgets if matches(budget.match, inspected.given())]
        counts = {name: case.budgets.get(name, 0) for name in counted}
        judgement, _ = judge(snapshot, ledger.exchange_id, inspected, counts)
        return judgement

    def _snapshot(self, connection: str) -> Snapshot:
        """As a deployment has it whose one connection is the case's."""
        return Snapshot(
            policy=self._policy,
            scanner=self._scanner,
            connections=(Connection(connection),),
            limits=Limits(),
            digest_key=_TEST_SECRET,
            scanners=self._scanners,
        )


def failing_cases(policy: Policy) -> tuple[Problem, ...]:
    """A problem for each of the policy's own cases that fails, at the place of the case."""
    found: list[Problem] = []
    for result in CaseRunner(policy).run(map(build_case, policy.tests)):
        if not result.passed:
            told = "; ".join(map(str, result.differences))
            message = f"the case {quoted(shown(result.case.name))} fails: {told}"
            found.append(Problem("tests", result.case.line, result.case.column, message))
    return tuple(found)
