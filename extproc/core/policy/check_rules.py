"""What the schema cannot say of one rule: its name, text, terms of a hold, shadow, and what its effect forbids."""

from collections.abc import Mapping
from datetime import date
from typing import Any, Final

from extproc.core.document import Path, Report, quoted
from extproc.core.policy.engine import DEFAULT_DENY
from extproc.core.units import parse_duration

MAX_EXPIRE_SECONDS: Final = 30 * 86400.0
"""An approval older than that was not meant for this request."""
_HOLD: Final = "hold: {approvers: […], wait: 60s, expire: 1h}"


def check_names(report: Report, sections: tuple[str, ...]) -> None:
    """Rules have names of their own, also beside response rules: a record says which of them decided."""
    names: dict[str, str] = {}
    for section in sections:
        for path in report.items((section,)):
            name = report.sound((*path, "name"))
            if not isinstance(name, str):
                continue
            if name == DEFAULT_DENY:
                report.add((*path, "name"), f"{quoted(name)} is reserved for requests that no rule allows")
            elif name in names:
                what = "budget" if section == "budgets" else "rule"
                report.add((*path, "name"), f"{quoted(name)} is the name of another {what}", f"{names[name]} has it")
            else:
                names[name] = f"{section}[{path[-1]}]"


def check_rule(report: Report, path: Path, rule: Mapping[str, Any], max_wait_seconds: float, today: date) -> None:
    """One of `rules`."""
    check_text(report, (*path, "text"))
    effect = report.sound((*path, "effect"))
    check_terms(report, path, rule, max_wait_seconds, key="effect")
    check_shadow(report, path, rule, today)
    if effect in {"hold", "deny"}:
        for key in ("require", "obligations"):
            if key in rule:
                hint = "write it at the rules that allow"
                report.add_key((*path, key), f"would have no effect: the rule's effect is `{effect}`", hint)
    if effect == "allow" and report.sound((*path, "text")) is not None:
        hint = "take it out, or make it a comment"
        report.add_key((*path, "text"), "is never shown: who is allowed gets the answer of the model server", hint)
    age = duration(report, (*path, "require", "max_auth_age"))
    if age == 0:
        report.add((*path, "require", "max_auth_age"), "must be longer than nothing", "nobody signs in that fast")


def check_text(report: Report, path: Path) -> None:
    """Something that prints."""
    text = report.sound(path)
    if not isinstance(text, str):
        return
    if not text.strip():
        report.add(path, "must not be blank", "leave `text` out for the standard sentence")
    elif not all(c.isprintable() or c in "\n\t" for c in text):
        report.add(path, "holds characters that do not print")


def check_terms(report: Report, path: Path, holder: Mapping[str, Any], max_wait_seconds: float, *, key: str) -> None:
    """The terms of a hold at `path`, where `key` says what is done."""
    effect = report.sound((*path, key))
    what = "rule with the effect" if key == "effect" else "step that does"
    if effect == "hold" and "hold" not in holder:
        report.add((*path, "hold"), f"is missing: a {what} `hold` says who approves", f"add `{_HOLD}`")
    if effect not in {None, "hold"} and "hold" in holder:
        whose = "the rule's effect" if key == "effect" else "what the step does"
        hint = f"write `{key}: hold`"
        report.add_key((*path, "hold"), f"would have no effect: {whose} is `{effect}`", hint)
    wait, expire = (duration(report, (*path, "hold", each)) for each in ("wait", "expire"))
    if expire == 0:
        report.add((*path, "hold", "expire"), "must be longer than nothing")
    if expire is not None and expire > MAX_EXPIRE_SECONDS:
        report.add((*path, "hold", "expire"), f"must be at most {MAX_EXPIRE_SECONDS / 86400:.0f}d")
    if wait is not None and wait > max_wait_seconds:
        hint = "the configuration's `envoy.max_hold` is the limit"
        report.add((*path, "hold", "wait"), f"must be at most {max_wait_seconds:g}s", hint)
    if wait is not None and expire is not None and wait > expire:
        report.add((*path, "hold", "wait"), "is longer than `expire`", "the approval would end while the client waits")


def check_shadow(report: Report, path: Path, rule: Mapping[str, Any], today: date) -> None:
    """A rule in shadow has a last day, and that has not passed."""
    if "mode" in rule and "shadow_until" not in rule:
        hint = "add `shadow_until: YYYY-MM-DD`, the last day on which it may stay unenforced"
        report.add((*path, "shadow_until"), "is missing: a rule in shadow has a last day", hint)
    if "shadow_until" in rule and "mode" not in rule:
        report.add_key((*path, "shadow_until"), "would have no effect: the rule is enforced", "write `mode: shadow`")
    text = report.sound((*path, "shadow_until"))
    if not isinstance(text, str):
        return
    try:
        until = date.fromisoformat(text)
    except ValueError:
        report.add((*path, "shadow_until"), f"{quoted(text)} is no day of the calendar")
        return
    if until < today:
        hint = "take `mode` and `shadow_until` out to enforce it, or name a later day"
        report.add((*path, "shadow_until"), f"the shadow ended on {until.isoformat()}", hint)


def duration(report: Report, path: Path) -> float | None:
    """Seconds of a duration without problems."""
    text = report.sound(path)
    return None if text is None else parse_duration(text)
