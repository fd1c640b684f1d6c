"""Runs the cases of a policy: each through the code that judges requests in the service, without any of its I/O."""

import functools
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from extproc.core.document import Problem, quoted
from extproc.core.events import Attributes, RequestBody, RequestHeaders
from extproc.core.held_terms import shown_terms, written_terms
from extproc.core.incoming import Incoming
from extproc.core.inspection import WholeRequest, inspect
from extproc.core.judgement import Judgement, judge
from extproc.core.ledger import Ledger
from extproc.core.masking.aliases import MaskKey
from extproc.core.masking.effort import MAX_STEPS
from extproc.core.masking.scanner import Scanner
from extproc.core.masking.settings import MaskingSettings
from extproc.core.policy import (
    GOES_ON,
    Decision,
    DecisionInput,
    Obligations,
    Policy,
    ResponseVerdict,
    judge_response,
    matches,
)
from extproc.core.policy.build import one_line
from extproc.core.policy_case import EXPECTATIONS, NO_RULE, Case, build_case
from extproc.core.printable import printable_line
from extproc.core.reasons import ExchangeError, Malformed, Reason
from extproc.core.snapshot import Connection, Limits, Snapshot
from extproc.core.trust import Secret

_TEST_SECRET = Secret("0" * 64)
"""Keys what a case digests and the tokens that it makes: the same in every run, and no key of a deployment."""
_TEST_KEY = MaskKey("test", _TEST_SECRET)
_MAX_PLACES = 10
"""Places told of two bodies that differ."""
_MAX_TOLD = 300
"""Characters told of one value."""
_NOTHING = "(nothing)"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a case. `refused` is a code of `Reason`; where it is not empty, nothing else was reached."""

    refused: str = ""
    given: DecisionInput | None = None
    decision: Decision | None = None
    masked: bytes = field(default=b"", repr=False)
    verdict: ResponseVerdict = GOES_ON


@dataclass(frozen=True, slots=True)
class Difference:
    """One expectation that did not hold. `expected` and `actual` are safe to show: card data in them is masked."""

    key: str
    expected: str
    actual: str

    def __str__(self) -> str:
        return f"{self.key}: expected {self.expected}, is {self.actual}"


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
            yield CaseResult(case, outcome, tuple(_differences(case, outcome)))

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
        if incoming.candidates is None:
            raise Malformed(Reason.NO_SUCH_CONNECTION)
        whole = WholeRequest(
            principal=case.principal,
            candidates=incoming.candidates,
            operation=ledger.operation,
            headers=incoming.headers,
            body=incoming.take_body(),
            now_unix=case.now_unix,
            source_address=request.source_address,
        )
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


def _differences(case: Case, outcome: Outcome) -> Iterator[Difference]:
    """What of the case's expectations does not hold."""
    expect = case.expect
    if outcome.refused and "refused" not in expect:
        yield Difference("refused", _NOTHING, outcome.refused)
        return
    for key in EXPECTATIONS:
        if key == "masked" and key in expect:
            yield from _bodies(expect[key], outcome.masked)
        elif key == "hold" and key in expect:
            yield from _terms(expect[key], outcome.decision)
        elif key in expect:
            expected, actual = _written(key, expect[key]), _actual(key, outcome)
            if expected != actual:
                yield Difference(key, shown(expected), shown(actual))


def _terms(expected: Mapping[str, Any], decision: Decision | None) -> Iterator[Difference]:
    """Of the terms on which the request is held by all rules together, those that are expected otherwise."""
    wanted = dict(shown_terms(expected))
    if decision is None or decision.hold is None:
        yield Difference("hold", shown(", ".join(f"{key} {text}" for key, text in wanted.items())), _NOTHING)
        return
    held = dict(shown_terms(written_terms(decision.hold)))
    for key, text in wanted.items():
        if text != held[key]:
            yield Difference(f"hold.{key}", shown(text), shown(held[key]))


def _written(key: str, value: Any) -> str:
    match key:
        case "text":
            return one_line(value)
        case "shadow":
            return _listed(value)
        case "obligations":
            return _listed(f"{name}: {obliged}" for name, obliged in value.items())
        case "step_up":
            return str(value).lower()
        case _:
            return str(value)


def _actual(key: str, outcome: Outcome) -> str:
    decision = outcome.decision
    match key:
        case "refused":
            return outcome.refused
        case "response":
            return outcome.verdict.rule or NO_RULE
        case _ if decision is None:
            return ""
        case "effect":
            return decision.effect.value
        case "rule":
            return decision.rule
        case "text":
            return decision.text
        case "step_up":
            return str(decision.step_up is not None).lower()
        case "obligations":
            return _listed(_obliged(decision.obligations))
        case "shadow":
            return _listed({*(each.rule for each in decision.shadow), *outcome.verdict.shadow})
        case _:
            raise ValueError(key)


def _obliged(obligations: Obligations) -> Iterator[str]:
    for name in ("masking", "max_tokens", "durability"):
        if value := getattr(obligations, name):
            yield f"{name}: {value}"
    if obligations.retention_days:
        yield f"retention: {obligations.retention_days}d"


def _listed(items: Iterable[str]) -> str:
    return "[" + ", ".join(sorted(items)) + "]"


def _bodies(expected: Mapping[str, Any] | str, body: bytes) -> Iterator[Difference]:
    """Where the masked body is another than the expected one, place by place."""
    text = body.decode("utf-8", "replace")
    if isinstance(expected, str):
        if text != expected:
            yield Difference("masked", *_shown_apart(expected, text))
        return
    try:
        actual = json.loads(text)
    except ValueError:
        actual = text
    places = _places("masked", expected, actual)
    for count, (place, one, other) in enumerate(places, 1):
        if count > _MAX_PLACES:
            yield Difference("masked", "…", "different in further places")
            return
        yield Difference(place, *_shown_apart(_json(one), _json(other)))


_ABSENT = object()


def _places(place: str, one: Any, other: Any) -> Iterator[tuple[str, Any, Any]]:
    if isinstance(one, dict) and isinstance(other, dict):
        for key in dict.fromkeys((*one, *other)):
            yield from _places(f"{place}.{quoted(key)[1:-1]}", one.get(key, _ABSENT), other.get(key, _ABSENT))
    elif isinstance(one, list) and isinstance(other, list):
        for index in range(max(len(one), len(other))):
            pair = (each[index] if index < len(each) else _ABSENT for each in (one, other))
            yield from _places(f"{place}[{index}]", *pair)
    elif type(one) is not type(other) or one != other:
        yield place, one, other


def _json(value: Any) -> str:
    return _NOTHING if value is _ABSENT else json.dumps(value, ensure_ascii=False)


@functools.cache
def _strict() -> Scanner:
    return Scanner(MaskingSettings())


def shown(text: str) -> str:
    """As a person may see it, whatever the policy masks: printable, bounded, without card data."""
    return _cut(_safe(text), 0)


def _safe(text: str) -> str:
    try:
        return printable_line(str(_strict().masker().mask_text(text)))
    except ExchangeError:
        return "(text that cannot be shown)"


def _cut(text: str, begin: int) -> str:
    """From `begin` on; masked before, so that no part of a card number is left."""
    lead = "…" if begin else ""
    rest = text[begin:]
    return lead + (rest if len(rest) <= _MAX_TOLD else rest[: _MAX_TOLD - 1] + "…") or _NOTHING


def _shown_apart(expected: str, actual: str) -> tuple[str, str]:
    """Both, of long texts from a little before where they part."""
    one, other = _safe(expected), _safe(actual)
    if one == other:
        return _cut(one, 0), "different in card data that is not shown"
    apart = next((at for at, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), 0)
    begin = max(0, apart - 60) if max(len(one), len(other)) > _MAX_TOLD else 0
    return _cut(one, begin), _cut(other, begin)
