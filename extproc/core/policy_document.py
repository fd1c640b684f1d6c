"""Bytes to a `Policy`, or every problem of the document at once. A control that would be inert is a problem."""

import hashlib
from collections.abc import Mapping
from typing import Any

from extproc.core.document import DocumentInvalid, Path, Report, parse_document, quoted
from extproc.core.masking.settings import MaskingSettings, Media, Side
from extproc.core.masking_document import build_rules, build_styles, card_profile, check_masking, rule_profiles
from extproc.core.policy import DEFAULT_DENY, Effect, Policy, RawCase, Rule
from extproc.core.policy.build import Builder, build_known, build_lists
from extproc.core.policy_case_document import check_policy_cases
from extproc.core.reach import covers, meet
from extproc.core.schema import check_schema, load_schema
from extproc.core.units import parse_duration

MAX_WAIT_SECONDS = 900.0
"""The default of `envoy.max_hold`: beyond it Envoy gives up before the hold does."""
MAX_EXPIRE_SECONDS = 30 * 86400.0
"""An approval older than that was not meant for this request."""
MAX_RULES: int = load_schema("policy")["properties"]["rules"]["maxItems"]

_PROMPT_THRESHOLDS = ("max_tokens", "choices", "messages", "inputs", "tools", "prompt_characters")
"""What a listing of models has none of."""


class PolicyInvalid(DocumentInvalid):
    """A policy document with problems."""


def parse_policy(data: bytes, *, max_wait_seconds: float = MAX_WAIT_SECONDS, has_mask_key: bool = True) -> Policy:
    """The policy that `data` says. Raises `PolicyInvalid` with all problems, and never returns half of a policy.

    No hold may wait longer than `max_wait_seconds` on the open connection. `has_mask_key`: tokens can be made.
    """
    report = parse_document(data)
    if report.value is not None or not report.problems:
        check_schema(report, "policy")
        _check_rules(report, max_wait_seconds)
        check_masking(report, has_mask_key=has_mask_key)
        check_policy_cases(report)
    if report.problems:
        raise PolicyInvalid(report.problems)
    value: Mapping[str, Any] = report.value
    builder = Builder(build_known(value.get("known", {})), build_lists(value.get("lists", {})))
    masking = value.get("masking", {})
    return Policy(
        digest=f"sha256:{hashlib.sha256(data).hexdigest()}",
        name=value["name"],
        rules=tuple(map(builder.rule, value["rules"])),
        masking=_build_masking(masking),
        known=builder.known,
        lists=builder.lists,
        response_rules=tuple(map(builder.response_rule, value.get("response_rules", ()))),
        budgets=tuple(map(builder.budget, value.get("budgets", ()))),
        masking_profiles={name: _build_masking(each) for name, each in masking.get("profiles", {}).items()},
        tests=tuple(RawCase(case, *report.places["tests", i]) for i, case in enumerate(value.get("tests", ()))),
    )


def _check_rules(report: Report, max_wait_seconds: float) -> None:
    rules = report.value.get("rules") if isinstance(report.value, dict) else None
    if not isinstance(rules, list) or len(rules) > MAX_RULES:
        return
    names: dict[str, int] = {}
    for index, rule in enumerate(rules):
        if isinstance(rule, dict):
            _check_name(report, index, names)
            _check_text(report, ("rules", index, "text"))
            _check_terms(report, ("rules", index), rule, max_wait_seconds)
            _check_thresholds(report, ("rules", index, "match"))
    builder = Builder()
    sound = {i: builder.rule(rule) for i, rule in enumerate(rules) if report.clean(("rules", i))}
    _check_covered(report, sound)
    if len(sound) == len(rules):
        _check_holds_meet_an_allow(report, sound)


def _check_name(report: Report, index: int, names: dict[str, int]) -> None:
    path: Path = ("rules", index, "name")
    name = report.sound(path)
    if name is None:
        return
    if name == DEFAULT_DENY:
        report.add(path, f"{quoted(name)} is reserved for requests that no rule allows")
    elif name in names:
        report.add(path, f"{quoted(name)} is the name of another rule", f"rules[{names[name]}] has it")
    else:
        names[name] = index


def _check_text(report: Report, path: Path) -> None:
    text = report.sound(path)
    if text is None:
        return
    if not text.strip():
        report.add(path, "must not be blank", "leave `text` out for the standard sentence")
    elif not all(c.isprintable() or c in "\n\t" for c in text):
        report.add(path, "holds characters that do not print")


def _check_terms(report: Report, path: Path, rule: Mapping[str, Any], max_wait_seconds: float) -> None:
    effect = report.sound((*path, "effect"))
    if effect == "hold" and "hold" not in rule:
        hint = "add `hold: {approvers: […], wait: 60s, expire: 1h}`"
        report.add((*path, "hold"), "is missing: a rule with the effect `hold` says who approves", hint)
    if effect in {"allow", "deny"} and "hold" in rule:
        report.add_key(
            (*path, "hold"), f"would have no effect: the rule's effect is `{effect}`", "write `effect: hold`"
        )
    wait, expire = (_duration(report, (*path, "hold", key)) for key in ("wait", "expire"))
    if expire == 0:
        report.add((*path, "hold", "expire"), "must be longer than nothing")
    if expire is not None and expire > MAX_EXPIRE_SECONDS:
        report.add((*path, "hold", "expire"), f"must be at most {MAX_EXPIRE_SECONDS / 86400:.0f}d")
    if wait is not None and wait > max_wait_seconds:
        hint = "the configuration's `envoy.max_hold` is the limit"
        report.add((*path, "hold", "wait"), f"must be at most {max_wait_seconds:g}s", hint)
    if wait is not None and expire is not None and wait > expire:
        report.add((*path, "hold", "wait"), "is longer than `expire`", "the approval would end while the client waits")


def _duration(report: Report, path: Path) -> float | None:
    text = report.sound(path)
    return None if text is None else parse_duration(text)


def _check_thresholds(report: Report, path: Path) -> None:
    operations, least = report.sound((*path, "operations")), report.sound((*path, "at_least"))
    if operations and least and "model_list" in operations:
        for key in _PROMPT_THRESHOLDS:
            if key in least:
                hint = "give `model_list` a rule of its own"
                report.add_key((*path, "at_least", key), "is never reached by the operation `model_list`", hint)


def _check_covered(report: Report, rules: Mapping[int, Rule]) -> None:
    """A rule that another one always beats decides nothing, and its approvers are never asked."""
    for index, rule in rules.items():
        for other_index, other in rules.items():
            beaten = other.effect is Effect.DENY and rule.effect is not Effect.DENY
            late = other.effect is rule.effect is Effect.HOLD and other_index < index
            if (beaten or late) and covers(other.match, rule.match):
                how = "denies" if beaten else "holds"
                report.add(
                    ("rules", index),
                    f"can never decide: the rule {quoted(other.name)} {how} everything it matches",
                    "narrow that rule" if beaten else "put the narrower rule first",
                )
                break


def _check_holds_meet_an_allow(report: Report, rules: Mapping[int, Rule]) -> None:
    allows = [rule.match for rule in rules.values() if rule.effect is Effect.ALLOW]
    for index, rule in rules.items():
        if rule.effect is Effect.HOLD and not any(meet(rule.match, allow) for allow in allows):
            hint = "a hold is no permission by itself: add an allow rule for the same requests"
            report.add(("rules", index), "can never decide: no allow rule matches anything that it holds", hint)


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
