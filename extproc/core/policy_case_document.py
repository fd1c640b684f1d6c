"""The `tests` of a policy, in its document or in one of their own: every problem at once, with its place."""

from collections.abc import Iterable, Mapping
from typing import Any

from extproc.core.document import DocumentInvalid, Path, Report, quoted
from extproc.core.document_reader import parse_document
from extproc.core.held_terms import holding_groups, named_groups, terms_of
from extproc.core.policy import DEFAULT_DENY, Policy, RawCase
from extproc.core.policy.build import Builder, build_known, build_lists
from extproc.core.policy.check_conditions import written_kinds
from extproc.core.policy.check_names import lists_and_known
from extproc.core.policy.compiler import finding_kinds
from extproc.core.policy.condition import Condition
from extproc.core.policy_case import EXPECTATIONS, NO_RULE, Case, build_case, parse_time
from extproc.core.reasons import Reason
from extproc.core.schema import check_schema, nearest

KIND = "PolicyTests"
_TESTS: Path = ("tests",)
_REASONS = tuple(reason.value for reason in Reason)


class CasesInvalid(DocumentInvalid):
    """A document of cases with problems."""


def is_case_document(data: bytes) -> bool:
    """Whether the document says that it is one of cases, whatever else is wrong with it."""
    value = parse_document(data).value
    return isinstance(value, dict) and value.get("kind") == KIND


def parse_cases(data: bytes, policy: Policy) -> tuple[Case, ...]:
    """The cases for `policy` of a document of their own. Raises `CasesInvalid` with all problems."""
    report = parse_document(data)
    if report.value is not None or not report.problems:
        check_schema(report, "tests")
        check_cases(report)
        names = CaseNames.of(policy)
        for path in report.items(_TESTS):
            names.check(report, path)
    if report.problems:
        raise CasesInvalid(report.problems)
    raw = (RawCase(case, *report.places["tests", index]) for index, case in enumerate(report.value["tests"]))
    return tuple(map(build_case, raw))


def check_policy_cases(report: Report) -> None:
    """Adds to `report` what is wrong with the `tests` of a policy's own document."""
    check_cases(report)
    value = report.value if isinstance(report.value, dict) else {}
    sections = ("rules", "response_rules", "budgets")
    if all(report.clean((section,)) for section in sections):
        rules, cutting, budgets = ([each["name"] for each in value.get(section, ())] for section in sections)
        names = CaseNames(rules, cutting, budgets, written_kinds(report), _written_groups(value))
        for path in report.items(_TESTS):
            names.check(report, path)


class CaseNames:
    """What a case may name. An expectation of something that does not exist would prove nothing, or never hold."""

    def __init__(
        self,
        rules: Iterable[str],
        response_rules: Iterable[str],
        budgets: Iterable[str],
        kinds: frozenset[str],
        groups: frozenset[str],
    ) -> None:
        """`kinds`: of what the policy's masking finds. `groups`: all that its holds name, as tokens have them."""
        self._groups = groups
        self._kinds = kinds
        self._budgets = frozenset(budgets)
        self._rules = frozenset(rules)
        self._response_rules = frozenset(response_rules)
        # A budget's step determines under this name.
        self._determining = self._rules | {DEFAULT_DENY} | {f"budget:{name}" for name in self._budgets}

    @classmethod
    def of(cls, policy: Policy) -> "CaseNames":
        sections: tuple[Any, ...] = (policy.rules, policy.response_rules, policy.budgets)
        rules, cutting, budgets = ([each.name for each in section] for section in sections)
        kinds = finding_kinds((policy.masking, *policy.masking_profiles.values()))
        return cls(rules, cutting, budgets, kinds, holding_groups(terms_of(policy)))

    def check(self, report: Report, path: Path) -> None:
        """Note every name of the case at `path` that the policy does not have."""
        expect: Path = (*path, "expect")
        self._check(report, (*expect, "rule"), self._determining, "rule")
        self._check(report, (*expect, "response"), self._response_rules | {NO_RULE}, "response rule")
        shadow = self._rules | self._response_rules
        for place in report.items((*expect, "shadow")):
            self._check(report, place, shadow, "rule")
        for place, name in named_groups(report.sound((*expect, "hold")) or {}):
            self._check_name(report, (*expect, "hold", *place), name, self._groups, "hold with a group")
        for name in report.sound((*path, "budgets")) or ():
            self._check_name(report, (*path, "budgets", name), name, self._budgets, "budget")
        for name in report.sound((*path, "response", "findings")) or ():
            self._check_name(report, (*path, "response", "findings", name), name, self._kinds, "detector of")

    def _check(self, report: Report, path: Path, known: frozenset[str], what: str) -> None:
        name = report.sound(path)
        if isinstance(name, str):
            self._check_name(report, path, name, known, what)

    @staticmethod
    def _check_name(report: Report, path: Path, name: str, known: frozenset[str], what: str) -> None:
        if name not in known:
            report.add(path, f"the policy has no {what} {quoted(name)}", nearest(name, known) if known else "")


def _written_groups(value: Mapping[str, Any]) -> frozenset[str]:
    """What the holds of a policy's document name, with aliases and lists written out."""
    lists, known = lists_and_known(value)
    no_conditions: dict[str, Condition] = {}
    builder = Builder(build_known(known), build_lists(lists), no_conditions.__getitem__)
    steps = (step for budget in value.get("budgets", ()) for step in budget["steps"])
    holds = (each.get("hold", {}) for each in (*value.get("rules", ()), *steps))
    return frozenset(builder.groups(name for hold in holds for _, name in named_groups(hold)))


def check_cases(report: Report) -> None:
    """Adds to `report` what the schema cannot say of cases, whatever their policy."""
    names: dict[str, int] = {}
    for index, path in enumerate(report.items(_TESTS)):
        _check_name(report, (*path, "name"), names, index)
        for place in ((*path, "now"), (*path, "principal", "authenticated_at")):
            _check_time(report, place)
        _check_headers(report, (*path, "request", "headers"))
        _check_refused(report, (*path, "expect"))
        _check_held(report, (*path, "expect"))
        _check_response(report, path)


def _check_name(report: Report, path: Path, names: dict[str, int], index: int) -> None:
    name = report.sound(path)
    if not isinstance(name, str):
        return
    if not name.strip() or not name.isprintable():
        report.add(path, "must be one line of text that prints")
    elif name in names:
        report.add(path, f"{quoted(name)} is the name of another case", f"tests[{names[name]}] has it")
    else:
        names[name] = index


def _check_time(report: Report, path: Path) -> None:
    text = report.sound(path)
    if isinstance(text, str):
        try:
            parse_time(text)
        except ValueError:
            report.add(path, "is no time that exists")


def _check_headers(report: Report, path: Path) -> None:
    for name in report.sound(path) or ():
        if not name or name != name.lower() or name.startswith(":") or name in ("content-type", "content-length"):
            hint = "lower-case names; method, path and content type have keys of their own"
            report.add_key((*path, name), "is no header that can be given here", hint)


def _check_refused(report: Report, path: Path) -> None:
    expect = report.sound(path)
    if not isinstance(expect, dict) or "refused" not in expect:
        return
    if expect["refused"] not in _REASONS:
        report.add(
            (*path, "refused"), f"{quoted(expect['refused'])} is not a reason", nearest(expect["refused"], _REASONS)
        )
    for key in EXPECTATIONS:
        if key in expect and key != "refused":
            hint = "leave out `refused`, or the other"
            report.add_key((*path, key), "cannot be expected of a request that is refused before it is judged", hint)


def _check_held(report: Report, path: Path) -> None:
    expect = report.sound(path)
    if isinstance(expect, dict) and "hold" in expect and expect.get("effect", "hold") != "hold":
        hint = "expect `effect: hold`, or leave `hold` out"
        report.add_key((*path, "hold"), "cannot be expected of a request that is not held", hint)


def _check_response(report: Report, path: Path) -> None:
    case = report.sound(path)
    if not isinstance(case, dict):
        return
    if "response" in case and "response" not in case["expect"]:
        report.add_key((*path, "response"), "would have no effect", "add `expect.response`: a response rule, or `none`")
    if "response" in case["expect"] and "response" not in case:
        report.add_key((*path, "expect", "response"), "needs an answer", "add `response: {findings: {…}}`")
