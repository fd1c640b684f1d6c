"""The `masking` section of a policy document: profiles and rules, and every problem of them with its place."""

import functools
from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Any

from extproc.core.document import Path, Report, quoted
from extproc.core.masking.mask import LABELS, label_of
from extproc.core.masking.pattern_parser import PatternRefused
from extproc.core.masking.rule import Rule
from extproc.core.masking.rule_catalogue import CATALOGUES
from extproc.core.masking.rules import MAX_RULES, compile_rule, refuse_masks
from extproc.core.masking.scanner import Scanner
from extproc.core.masking.settings import (
    BALANCED,
    PCI_STRICT,
    Kind,
    MaskingRule,
    MaskingSettings,
    Side,
    Style,
    Styles,
)
from extproc.core.masking.styles import masks_of, refused_style
from extproc.core.schema import nearest

_PROFILES: Path = ("masking", "profile")
_RULES: Path = ("masking", "rules")
_STYLES: Path = ("masking", "styles")
_FIELDS = ("name", "pattern", "keywords", "context", "check")
# It says `pci` itself.
_STRICT_ONLY = "pci-pii"
_SUM = "total"
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


def build_styles(masking: Mapping[str, Any], side: Side) -> Styles:
    """The styles of a section without problems, in one direction."""
    given: Mapping[str, Any] = masking.get("styles", {})
    named = {kind: style if isinstance(style, str) else style.get(side) for kind, style in given.items()}
    return MappingProxyType({kind: Style(style) for kind, style in named.items() if style and style != Style.LABEL})


def check_masking(report: Report, *, has_mask_key: bool) -> None:
    """Adds to `report` what the schema cannot say of profiles, rules and styles.

    `has_mask_key`: the deployment has a key for tokens.
    """
    _check_profiles(report)
    paths = list(report.items(_RULES))
    if len(paths) > MAX_RULES:
        return
    names: dict[str, Path] = {}
    compiled: dict[Path, Rule] = {}
    for path in paths:
        _check_name(report, path, names)
        _compile(report, path, compiled)
    profiles = [compile_rule(rule) for name in _sound_catalogues(report) for rule in CATALOGUES[name]]
    rules = {rule.kind: rule for rule in (*compiled.values(), *profiles)}
    # A rule with a problem may bring the kind that a style names.
    whole = len(compiled) == len(paths) and report.clean(_PROFILES)
    for kind, path, style in _styles(report):
        if kind not in rules and kind not in LABELS:
            if whole and not any(report.sound((*each, "name")) == kind for each in paths):
                report.add_key((*_STYLES, kind), "nothing that is looked for", nearest(kind, (Kind.PAN, *rules)))
        elif refused := refused_style(kind, style):
            report.add(path, refused, "take it out")
        elif kind in rules and rules[kind].swallows and style is not Style.LABEL:
            hint = "write in its pattern how many at most" if rules[kind] in compiled.values() else "take it out"
            report.add(path, "has no bound: a stream gives its mask before its end is known", hint)
        elif style is Style.TOKEN and not has_mask_key:
            report.add(
                path, "`token` needs a key, and the service has none", "give it `mask_keys` in its configuration"
            )
    _check_correlation(report)
    _check_masks(report, compiled, profiles)


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
    if name == _SUM:
        report.add((*path, "name"), f"{quoted(name)} is the sum of all findings in a `when`", "choose another name")
    elif name in _TAKEN:
        report.add((*path, "name"), f"{quoted(name)} is what is found by {_TAKEN[name]}", "choose another name")
    elif name in names:
        hint = f"rules[{names[name][-1]}] of the same section has it"
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


def _sound_catalogues(report: Report) -> tuple[str, ...]:
    profile = report.sound(_PROFILES)
    return () if profile is None else rule_profiles({"profile": profile})


def _styles(report: Report) -> Iterator[tuple[str, Path, Style]]:
    """Kind, place and style of all that the schema lets pass."""
    depth = len(_STYLES)
    for path in report.keys:
        if path[:depth] == _STYLES and len(path) > depth and isinstance(style := report.sound(path), str):
            yield str(path[depth]), path, Style(style)


def _check_correlation(report: Report) -> None:
    """Hashed and truncated versions of one PAN must not be found together (PCI DSS 3.5.1.1, PCI SSC FAQ 1308)."""
    pan = {style: path for kind, path, style in _styles(report) if kind == Kind.PAN}
    if Style.TOKEN in pan and Style.TRUNCATE in pan:
        hint = "choose one of the two for both directions"
        report.add(pan[Style.TRUNCATE], "the other direction writes tokens: the two together reveal the PAN", hint)


@functools.cache
def _cards() -> Scanner:
    """What finds most in a mask."""
    return Scanner(MaskingSettings())


def _check_masks(report: Report, compiled: Mapping[Path, Rule], profiles: list[Rule]) -> None:
    """No rule finds something in what any rule writes, whatever the order in which they look."""
    kinds = {rule.kind for rule in (*profiles, *compiled.values())}
    masks = masks_of(kinds, {(kind, style) for kind, _, style in _styles(report) if kind in kinds or kind in LABELS})
    for path, rule in compiled.items():
        own = masks_of((), {(kind, style) for kind, _, style in _styles(report) if kind == rule.kind})
        again = next((mask for mask in own if _cards().find(mask)), None)
        if again is not None:
            report.add(
                (*path, "name"), f"its mask {quoted(again)} is found as card data once more", "choose another name"
            )
        try:
            refuse_masks(rule, masks)
        except PatternRefused as refused:
            _add_refused(report, path, refused)
        mask = label_of(rule.kind)
        other = next((one for one in profiles if one.matches_in(mask.encode("ascii"))), None)
        if other is not None:
            hint = "choose another name"
            report.add((*path, "name"), f"its mask {quoted(mask)} is matched by the rule {quoted(other.name)}", hint)
