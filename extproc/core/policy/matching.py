"""Whether a rule's `match` holds for a request."""

import functools
import re
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from extproc.core.identity import Principal
from extproc.core.policy.decision import DecisionInput
from extproc.core.policy.terms import AtLeast, Match, Operation, Require, TimeSpan


def matches(match: Match, given: DecisionInput) -> bool:
    """Whether every given field of `match` holds for `given`."""
    principal, facts = given.principal, given.facts
    return (
        asks(match, given.operation)
        and (not match.groups or not set(match.groups).isdisjoint(principal.groups))
        and (not match.subjects or any(_is_subject(item, principal) for item in match.subjects))
        and (not match.kinds or principal.kind in match.kinds)
        and (not match.connections or any(matches_glob(glob, given.connection) for glob in match.connections))
        and (
            not match.models
            or any(matches_model(glob, facts.model, any_case=match.any_case) for glob in match.models)
            or (not facts.model and given.operation is Operation.MODEL_LIST and bool(match.operations))
        )
        and _reaches(match.at_least, given)
        and (not match.times or any(is_within(span, given.now_unix) for span in match.times))
    )


def asks(match: Match, operation: Operation) -> bool:
    """Whether the operation is one that the match names, or it names none."""
    if match.operations:
        return operation in match.operations
    return match.administers or operation is not Operation.MODEL_ADMIN


def _is_subject(item: str, principal: Principal) -> bool:
    # A subject with a `|` in it could otherwise pass for another issuer's `uid`.
    return item == (principal.uid if "|" in item else principal.subject)


def _reaches(least: AtLeast, given: DecisionInput) -> bool:
    facts = given.facts
    return all(
        threshold is None or count >= threshold
        for threshold, count in (
            (least.max_tokens, facts.max_tokens),
            (least.choices, facts.choices),
            (least.messages, facts.messages),
            (least.inputs, facts.inputs),
            (least.tools, facts.tools),
            (least.prompt_characters, facts.prompt_characters),
            (least.body_bytes, facts.body_bytes),
            (least.findings, sum(given.findings.values())),
        )
    )


def is_within(span: TimeSpan, now_unix: float) -> bool:
    """Whether the clock on the wall of the span's zone shows a minute of it, summer time and all."""
    local = datetime.fromtimestamp(now_unix, ZoneInfo(span.zone))
    minute = local.hour * 60 + local.minute
    if span.start < span.end:
        return local.weekday() in span.days and span.start <= minute < span.end
    yesterday = (local - timedelta(days=1)).weekday()
    return (minute >= span.start and local.weekday() in span.days) or (minute < span.end and yesterday in span.days)


def matches_glob(glob: str, text: str) -> bool:
    """Whether all of `text` matches: `*` is any run of characters, `?` any one, the rest itself, case and all."""
    return glob == "*" or _compile_glob(glob).fullmatch(text) is not None


def matches_model(glob: str, model: str, *, any_case: bool) -> bool:
    """Whether the name of a model matches, with `any_case` in whatever case either of the two is written."""
    return matches_glob(glob, model) or (any_case and matches_glob(glob.casefold(), model.casefold()))


@functools.lru_cache(maxsize=4096)
def _compile_glob(glob: str) -> re.Pattern[str]:
    """Each run between stars is an atomic group: a search never goes back over text and is linear, whatever is sent."""
    first, *runs = ("".join("." if c == "?" else re.escape(c) for c in run) for run in glob.split("*"))
    if not runs:
        return re.compile(first, re.DOTALL)
    *middle, last = runs
    inner = "".join(f"(?>.*?{run})" for run in middle if run)
    return re.compile(f"{first}{inner}.*{last}", re.DOTALL)


def signed_in_as(require: Require, given: DecisionInput) -> bool:
    """Whether the caller signed in as an allow requires. One whose token does not say when signed in too long ago."""
    principal = given.principal
    if require.mfa and not principal.mfa:
        return False
    if not require.max_auth_age_seconds:
        return True
    return (
        principal.authenticated_at > 0 and given.now_unix - principal.authenticated_at <= require.max_auth_age_seconds
    )
