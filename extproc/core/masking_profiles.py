"""The masking profiles of a document that rules oblige: every problem with its place, and none finds less."""

from collections.abc import Iterator, Mapping
from typing import Any

from extproc.core.document import Path, Report, quoted
from extproc.core.masking.settings import BALANCED, PCI_STRICT, MaskingSettings, Media
from extproc.core.masking_document import card_profile, check_masking, rule_profiles

_DEFAULT: Path = ("masking",)


def check_masking_profiles(report: Report, *, has_mask_key: bool) -> None:
    """Adds the problems of `masking.profiles`, each of which is a section like `masking` itself."""
    masking = report.value.get("masking") if isinstance(report.value, dict) else None
    profiles = masking.get("profiles") if isinstance(masking, dict) else None
    for name in profiles if isinstance(profiles, dict) else ():
        path: Path = (*_DEFAULT, "profiles", name)
        section = report.section(path, "masking")
        check_masking(section, has_mask_key=has_mask_key)
        report.adopt(section, path)
        _check_finds_no_less(report, path)


def _check_finds_no_less(report: Report, path: Path) -> None:
    """A rule obliges more than the others: a profile that found less would loosen what the rule allows."""
    if isinstance(report.value["masking"]["profiles"][path[-1]], dict):
        _check_looks_for(report, path)
        _check_rules(report, path)
        _check_media(report, path)


def _check_looks_for(report: Report, path: Path) -> None:
    profile, default = (*path, "profile"), (*_DEFAULT, "profile")
    if not (report.clean(profile) and report.clean(default)):
        return
    own, least = _profile_of(report, path), _profile_of(report, _DEFAULT)
    if card_profile(own) == BALANCED and card_profile(least) == PCI_STRICT:
        message = f"{quoted(BALANCED)} looks for fewer cards than {quoted(PCI_STRICT)}, by which `masking` does"
        report.add(profile, message, "a rule may oblige more, never less: leave it out")
    missing = [name for name in rule_profiles(least) if name not in rule_profiles(own)]
    if missing:
        listed = ", ".join(map(quoted, missing))
        hint = f"a rule may oblige more, never less: list {listed} here, too"
        report.add(profile, f"looks for less than `masking` does: {listed} is missing", hint)


def _profile_of(report: Report, path: Path) -> Mapping[str, Any]:
    given = report.sound((*path, "profile"))
    return {} if given is None else {"profile": given}


def _check_rules(report: Report, path: Path) -> None:
    rules = (*path, "rules")
    if not report.clean(rules):
        return
    own = dict(_rules(report, path))
    for name, rule in _rules(report, _DEFAULT):
        if name not in own:
            hint = f"a rule may oblige more, never less: repeat {quoted(name)} of `masking.rules` here"
            report.add(rules, f"finds less than `masking` does: the rule {quoted(name)} is missing", hint)
        elif own[name] != rule:
            hint = f"repeat {quoted(name)} as it stands in `masking.rules`, and give what differs another name"
            report.add(rules, f"finds something else than `masking` does: {quoted(name)} is another rule there", hint)


def _rules(report: Report, section: Path) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """The sound ones, by their names."""
    for path in report.items((*section, "rules")):
        rule = report.sound(path)
        if isinstance(rule, dict):
            yield rule["name"], rule


def _check_media(report: Report, path: Path) -> None:
    default = MaskingSettings().media
    own, least = (report.sound((*each, "media")) or default for each in (path, _DEFAULT))
    if own == Media.OPAQUE and least == Media.DENY and report.clean((*_DEFAULT, "media")):
        message = f"{quoted(own)} lets through what `masking` denies"
        report.add((*path, "media"), message, "a rule may oblige more, never less: leave it out")
