"""What the schema cannot say of how a hold is decided: demands that nobody could meet, or that change nothing."""

from typing import Final

from extproc.core.document import Path, Report, quoted
from extproc.core.policy.build import Builder
from extproc.core.units import parse_duration

MAX_WINDOW_SECONDS: Final = 7 * 86400.0
"""A grant that serves longer is a rule that allows."""


def check_deciding(report: Report, path: Path, builder: Builder) -> None:
    """The terms of the hold at `path`, as far as they are without problems themselves."""
    _check_each_of(report, path, builder)
    _check_window(report, path)
    _check_escalation(report, path, builder)


def _check_each_of(report: Report, path: Path, builder: Builder) -> None:
    for item in report.items((*path, "each_of")):
        name = report.sound(item)
        several = builder.known.groups.get(name, ()) if isinstance(name, str) else ()
        if len(several) > 1:
            hint = "name one group of the provider, or an alias of one"
            report.add(item, f"{quoted(str(name))} stands for {len(several)} groups, and each would be needed", hint)
    each_of = builder.groups(report.sound((*path, "each_of")) or ())
    if not each_of:
        return
    quorum = report.sound((*path, "quorum"))
    if quorum is not None and quorum < len(each_of):
        hint = f"write {len(each_of)} or more, or leave it out"
        report.add((*path, "quorum"), f"is less than the {len(each_of)} people that `each_of` asks for", hint)
    if len(each_of) == 1 and builder.groups(report.sound((*path, "approvers")) or ()) == each_of:
        hint = "leave it out, or name several groups"
        report.add_key((*path, "each_of"), "would have no effect: all approvers are of this group", hint)


def _check_window(report: Report, path: Path) -> None:
    seconds = _duration(report, (*path, "window", "for"))
    if seconds == 0:
        report.add((*path, "window", "for"), "must be longer than nothing")
    if seconds is not None and seconds > MAX_WINDOW_SECONDS:
        hint = "what is to be allowed for longer is a rule with the effect `allow`"
        report.add((*path, "window", "for"), f"must be at most {MAX_WINDOW_SECONDS / 86400:.0f}d", hint)
    if report.sound((*path, "window", "uses")) == 1:
        hint = "write 2 or more, or take `window` out"
        report.add((*path, "window", "uses"), "would have no effect: every grant serves one request", hint)


def _check_escalation(report: Report, path: Path, builder: Builder) -> None:
    after, expire = _duration(report, (*path, "escalate", "after")), _duration(report, (*path, "expire"))
    if after == 0:
        hint = "name the groups under `approvers`"
        report.add((*path, "escalate", "after"), "must be longer than nothing", hint)
    if after is not None and expire is not None and after >= expire > 0:
        report.add((*path, "escalate", "after"), "must be less than `expire`", "the approval would have expired")
    to = builder.groups(report.sound((*path, "escalate", "to")) or ())
    from_the_beginning = [*(report.sound((*path, key)) or () for key in ("approvers", "each_of"))]
    if to and set(builder.groups(name for names in from_the_beginning for name in names)).issuperset(to):
        hint = "name groups that may not decide from the beginning"
        report.add((*path, "escalate", "to"), "would have no effect: these groups may decide already", hint)


def _duration(report: Report, path: Path) -> float | None:
    text = report.sound(path)
    return parse_duration(text) if isinstance(text, str) else None
