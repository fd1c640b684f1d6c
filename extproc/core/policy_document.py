"""Bytes to a `Policy`, or every problem of the document at once. A control that would be inert is a problem."""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any, TypeVar

from extproc.core.document import DocumentInvalid, Path, Report
from extproc.core.document_reader import parse_document
from extproc.core.masking.settings import MaskingSettings, Media, Side
from extproc.core.masking_document import build_rules, build_styles, card_profile, check_masking, rule_profiles
from extproc.core.masking_profiles import check_masking_profiles
from extproc.core.policy import Budget, Policy, RawCase, ResponseRule, Rule
from extproc.core.policy.build import Builder, build_known, build_lists
from extproc.core.policy.check_conditions import Conditions
from extproc.core.policy.check_holds import check_deciding
from extproc.core.policy.check_names import NameCheck, lists_and_known
from extproc.core.policy.check_reach import (
    check_covered,
    check_meets_an_allow,
    check_steps,
    check_surfaces,
    check_thresholds,
)
from extproc.core.policy.check_rules import check_names, check_rule, check_shadow, check_terms, check_text, duration
from extproc.core.policy_case_document import KIND as CASES_KIND
from extproc.core.policy_case_document import check_policy_cases
from extproc.core.schema import check_schema, load_schema

MAX_WAIT_SECONDS = 900.0
"""The default of `envoy.max_hold`: beyond it Envoy gives up before the hold does."""
MAX_RULES: int = load_schema("policy")["properties"]["rules"]["maxItems"]
MAX_WINDOW_SECONDS = 400 * 86400.0
"""What a budget may look back on."""

_Built = TypeVar("_Built")


class PolicyInvalid(DocumentInvalid):
    """A policy document with problems."""


def parse_policy(
    data: bytes,
    *,
    max_wait_seconds: float = MAX_WAIT_SECONDS,
    has_mask_key: bool = True,
    today: date = date.min,
    connections: frozenset[str] = frozenset(),
) -> Policy:
    """The policy that `data` says. Raises `PolicyInvalid` with all problems, and never returns half of a policy.

    No hold may wait longer than `max_wait_seconds` on the open connection. `has_mask_key`: tokens can be made. A rule
    whose shadow ended before `today` is a problem, and one of none of the deployment's `connections`, if any are given.
    """
    report = parse_document(data)
    document = None
    if isinstance(report.value, dict) and report.value.get("kind") == CASES_KIND:
        report.add(
            ("kind",), "is a file of cases, not a policy", "`extproc policy test POLICY CASES` checks and runs them"
        )
    elif report.value is not None or not report.problems:
        check_schema(report, "policy")
        document = _Document(report)
        document.check(max_wait_seconds, today, tuple(sorted(connections)))
        check_masking(report, has_mask_key=has_mask_key)
        check_masking_profiles(report, has_mask_key=has_mask_key)
        check_policy_cases(report)
    if document is None or report.problems:
        raise PolicyInvalid(report.problems)
    return document.build(f"sha256:{hashlib.sha256(data).hexdigest()}")


def expired_shadows(policy: Policy, today: date) -> tuple[str, ...]:
    """The rules whose shadow ended before `today`; they stay in shadow all the same."""
    rules: tuple[Rule | ResponseRule, ...] = (*policy.rules, *policy.response_rules)
    return tuple(rule.name for rule in rules if rule.shadow_until is not None and rule.shadow_until < today)


@dataclass(frozen=True, slots=True)
class _Sound:
    """What of the document is without problems, by position."""

    rules: dict[int, Rule]
    response_rules: dict[int, ResponseRule]
    budgets: dict[int, Budget]


class _Document:
    """Lists, known names and conditions are read once, for the checks and for the policy."""

    def __init__(self, report: Report) -> None:
        self._report = report
        lists, known = lists_and_known(report.value)
        self._conditions = Conditions(report, build_lists(lists))
        by_source = {condition.source: condition for condition in self._conditions.compiled.values()}
        self._builder = Builder(build_known(known), build_lists(lists), by_source.__getitem__)

    def check(self, max_wait_seconds: float, today: date, deployed: tuple[str, ...]) -> None:
        report = self._report
        if not isinstance(report.value, dict) or len(list(report.items(("rules",)))) > MAX_RULES:
            return
        check_names(report, ("rules", "response_rules"))
        check_names(report, ("budgets",))
        self._each("rules", lambda path, rule: check_rule(report, path, rule, max_wait_seconds, today))
        self._each("response_rules", lambda path, rule: _check_response_rule(report, path, rule, today))
        self._each("budgets", lambda path, budget: _check_budget(report, path, budget, max_wait_seconds))
        for section in ("rules", "response_rules", "budgets"):
            self._each(section, lambda path, _: check_thresholds(report, (*path, "match")))
        for path in (path for section in ("rules", "budgets") for path in report.items((section,))):
            for holder in (path, *report.items((*path, "steps"))):
                check_deciding(report, (*holder, "hold"), self._builder)
        NameCheck(report, self._builder, self._conditions.compiled, deployed).check()
        self._check_reach()

    def _check_reach(self) -> None:
        report, builder = self._report, self._builder
        sound = _Sound(
            self._sound("rules", builder.rule),
            self._sound("response_rules", builder.response_rule),
            self._sound("budgets", builder.budget),
        )
        check_covered(report, sound.rules)
        check_surfaces(report, sound.rules, sound.response_rules, sound.budgets)
        for index, budget in sound.budgets.items():
            check_steps(report, index, budget)
        if len(sound.rules) == len(list(report.items(("rules",)))):
            check_meets_an_allow(report, sound.rules, sound.response_rules, sound.budgets)

    def build(self, digest: str) -> Policy:
        """The policy of a document without problems."""
        value: Mapping[str, Any] = self._report.value
        builder, places = self._builder, self._report.places
        masking = value.get("masking", {})
        return Policy(
            digest=digest,
            name=value["name"],
            rules=tuple(map(builder.rule, value["rules"])),
            masking=_build_masking(masking),
            known=builder.known,
            lists=builder.lists,
            response_rules=tuple(map(builder.response_rule, value.get("response_rules", ()))),
            budgets=tuple(map(builder.budget, value.get("budgets", ()))),
            masking_profiles={name: _build_masking(each) for name, each in masking.get("profiles", {}).items()},
            tests=tuple(RawCase(case, *places["tests", i]) for i, case in enumerate(value.get("tests", ()))),
            compiler=self._conditions.request_compiler,
            response_compiler=self._conditions.response_compiler,
        )

    def _each(self, section: str, check: Callable[[Path, Mapping[str, Any]], None]) -> None:
        for path in self._report.items((section,)):
            item = self._report.value[section][path[-1]]
            if isinstance(item, dict):
                check(path, item)

    def _sound(self, section: str, build: Callable[[Mapping[str, Any]], _Built]) -> dict[int, _Built]:
        items = self._report.value.get(section)
        found = enumerate(items if isinstance(items, list) else ())
        return {index: build(item) for index, item in found if self._report.clean((section, index))}


def _check_response_rule(report: Report, path: Path, rule: Mapping[str, Any], today: date) -> None:
    check_text(report, (*path, "text"))
    check_shadow(report, path, rule, today)


def _check_budget(report: Report, path: Path, budget: Mapping[str, Any], max_wait_seconds: float) -> None:
    window = duration(report, (*path, "window"))
    if window == 0:
        report.add((*path, "window"), "must be longer than nothing")
    if window is not None and window > MAX_WINDOW_SECONDS:
        report.add((*path, "window"), f"must be at most {MAX_WINDOW_SECONDS / 86400:.0f}d")
    for step in report.items((*path, "steps")):
        item = budget["steps"][step[-1]]
        if isinstance(item, dict):
            check_text(report, (*step, "text"))
            check_terms(report, step, item, max_wait_seconds, key="do")


def _build_masking(masking: Mapping[str, Any]) -> MaskingSettings:
    default = MaskingSettings()
    return MaskingSettings(
        profile=card_profile(masking),
        request_styles=build_styles(masking, Side.REQUEST),
        response_styles=build_styles(masking, Side.RESPONSE),
        media=Media(masking.get("media", default.media)),
        catalogues=rule_profiles(masking),
        rules=build_rules(masking),
    )
