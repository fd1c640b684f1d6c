"""The `masking` section of a policy document: profiles and rules, and every problem of them with its place."""

from collections.abc import Mapping
from typing import Any

from extproc.core.document import Path, Report, quoted
from extproc.core.masking.mask import LABELS, label_of
from extproc.core.masking.pattern_parser import PatternRefused
from extproc.core.masking.rule import Rule
from extproc.core.masking.rule_catalogue import CATALOGUES
from extproc.core.masking.rules import MAX_RULES, compile_rule, refuse_masks
from extproc.core.masking.settings import BALANCED, PCI_STRICT, MaskingRule, MaskingSettings, Style

_PROFILES: Path = ("masking", "profile")
_RULES: Path = ("masking", "rules")
_FIELDS = ("name", "pattern", "keywords", "context", "check")
# It says `pci` itself.
_STRICT_ONLY = "pci-pii"
_TAKEN = {**dict.fromkeys(LABELS, "cards")} | {
    name: f"the profile `{profile}`"
    for profile, rules in CATALOGUES.items()
    for rule in rules
    for name in (rule.name, rule.kind)
    if name
}


def card_profile(masking: Mapping[str, Any]) -> str:
    """The profile for cards; there always is one."""
    return BALANCED if BALANCED in _profiles(masking) else PCI_STRICT


def rule_profiles(masking: Mapping[str, Any]) -> tuple[str, ...]:
    """The profiles that bring rules of their own, in the order in which they are written."""
    return tuple(name for name in _profiles(masking) if name in CATALOGUES)


def _profiles(masking: Mapping[str, Any]) -> list[str]:
    given = masking.get("profile", MaskingSettings().profile)
    return given if isinstance(given, list) else [given]


def build_rules(masking: Mapping[str, Any]) -> tuple[MaskingRule, ...]:
    """The rules of a section without problems."""
    return tuple(_build_rule(rule) for rule in masking.get("rules", ()))


def _build_rule(rule: Mapping[str, Any]) -> MaskingRule:
    return MaskingRule(
        name=rule["name"],
        pattern=rule["pattern"],
        keywords=tuple(rule.get("keywords", ())),
        context=tuple(rule.get("context", ())),
        check=rule.get("check", ""),
    )


def check_masking(report: Report) -> None:
    """Adds to `report` what the schema cannot say of profiles and rules."""
    _check_profiles(report)
    paths = list(report.items(_RULES))
    if len(paths) > MAX_RULES:
        return
    names: dict[str, Path] = {}
    compiled: dict[Path, Rule] = {}
    for path in paths:
        _check_name(report, path, names)
        _compile(report, path, compiled)
    _check_masks(report, compiled)


def _check_profiles(report: Report) -> None:
    given = report.sound(_PROFILES)
    if isinstance(given, list) and BALANCED in given:
        for other in (PCI_STRICT, _STRICT_ONLY):
            if other in given:
                hint = f"`{_STRICT_ONLY}` is `{PCI_STRICT}` with rules for personal data: choose one of the two"
                path = (*_PROFILES, given.index(BALANCED))
                report.add(path, f"{quoted(BALANCED)} looks for fewer cards than {quoted(other)}", hint)
                break


def _check_name(report: Report, path: Path, names: dict[str, Path]) -> None:
    name = report.sound((*path, "name"))
    if not isinstance(name, str):
        return
    if name in _TAKEN:
        report.add((*path, "name"), f"{quoted(name)} is what is found by {_TAKEN[name]}", "choose another name")
    elif name in names:
        hint = f"masking.rules[{names[name][-1]}] has it"
        report.add((*path, "name"), f"{quoted(name)} is the name of another rule", hint)
    else:
        names[name] = path


def _compile(report: Report, path: Path, compiled: dict[Path, Rule]) -> None:
    """A problem elsewhere in a rule hides none of its pattern."""
    sound = {key: value for key in _FIELDS if (value := report.sound((*path, key))) is not None}
    if "pattern" in sound:
        try:
            compiled[path] = compile_rule(_build_rule({"name": "", **sound}))
        except PatternRefused as refused:
            _add_refused(report, path, refused)


def _add_refused(report: Report, path: Path, refused: PatternRefused) -> None:
    where = f"character {refused.position}: " if refused.position else ""
    report.add((*path, "pattern"), f"{where}{refused.message}", refused.hint)


def _check_masks(report: Report, compiled: Mapping[Path, Rule]) -> None:
    """No rule finds something in what any rule writes, whatever the order in which they look."""
    masking = {key: value for key in ("profile", "pan") if (value := report.sound(("masking", key))) is not None}
    style = Style(masking.get("pan", MaskingSettings().pan_style))
    profiles = [compile_rule(rule) for name in rule_profiles(masking) for rule in CATALOGUES[name]]
    kinds = {rule.kind for rule in (*profiles, *compiled.values())}
    for path, rule in compiled.items():
        try:
            refuse_masks(rule, kinds, style)
        except PatternRefused as refused:
            _add_refused(report, path, refused)
        mask = label_of(rule.kind)
        other = next((one for one in profiles if one.matches_in(mask.encode("ascii"))), None)
        if other is not None:
            hint = "choose another name"
            report.add((*path, "name"), f"its mask `{mask}` is matched by the rule {quoted(other.name)}", hint)
