"""Compiles every `when` of a document; each error stands where the text is wrong."""

import re
from collections.abc import Mapping
from typing import Any, Final

from extproc.core.document import Path, Report
from extproc.core.masking.rule_catalogue import CATALOGUES
from extproc.core.masking.settings import Kind
from extproc.core.policy.compiler import (
    REQUEST_VARIABLES,
    RESPONSE_VARIABLES,
    ConditionCompiler,
    ConditionInvalid,
)
from extproc.core.policy.condition import Condition

_NAME: Final = re.compile(r"[a-z][a-z0-9_]{0,31}", re.ASCII)


class Conditions:
    """`compiled` has those without errors, by the path of their rule's `when`."""

    def __init__(self, report: Report, lists: Mapping[str, tuple[str, ...]]) -> None:
        kinds = written_kinds(report)
        self._report = report
        self.request_compiler = ConditionCompiler(kinds, lists, REQUEST_VARIABLES)
        self.response_compiler = ConditionCompiler(kinds, lists, RESPONSE_VARIABLES)
        self.compiled: dict[Path, Condition] = {}
        for section, compiler in (("rules", self.request_compiler), ("response_rules", self.response_compiler)):
            for path in report.items((section,)):
                self._compile((*path, "when"), compiler)

    def _compile(self, path: Path, compiler: ConditionCompiler) -> None:
        source = self._report.sound(path)
        if not isinstance(source, str):
            return
        try:
            self.compiled[path] = compiler.compile(source)
        except ConditionInvalid as invalid:
            for error in invalid.errors:
                self._report.add_within(path, error.at, error.message, error.hint)


def written_kinds(report: Report) -> frozenset[str]:
    """Every kind that some masking of the document finds; where that is wrong, whatever it may have meant."""
    masking = report.value.get("masking") if isinstance(report.value, dict) else None
    sections: list[Path] = [("masking",)]
    if isinstance(masking, dict) and isinstance(masking.get("profiles"), dict):
        sections += [("masking", "profiles", name) for name in masking["profiles"]]
    found = set(map(str, Kind))
    for section in sections:
        given = report.sound((*section, "profile"))
        profiles = [given] if isinstance(given, str) else given or ()
        if not report.clean((*section, "profile")):
            profiles = tuple(CATALOGUES)
        found |= {rule.kind or rule.name for profile in profiles for rule in CATALOGUES.get(profile, ())}
        found |= {name for path in report.items((*section, "rules")) if (name := _rule_name(report, path))}
    return frozenset(found)


def _rule_name(report: Report, path: Path) -> str:
    name: Any = report.sound((*path, "name"))
    return name if isinstance(name, str) and _NAME.fullmatch(name) else ""
