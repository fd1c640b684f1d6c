"""How approvals look: tables and text for people, plain JSON values for machines."""

from collections import Counter
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

from rich.console import Console
from rich.text import Text

from extproc.approvals.conversation import Turn
from extproc.cli.columns import align
from extproc.core.approval import (
    TRANSITIONS,
    Approval,
    ApprovalState,
    counted_grants,
    ends_at,
    missing_groups,
    shown_digest,
)
from extproc.core.printable import printable, printable_line

_STYLES = {
    ApprovalState.PENDING: "bold yellow",
    ApprovalState.GRANTED: "green",
    ApprovalState.USED: "green",
    ApprovalState.REFUSED: "red",
    ApprovalState.REVOKED: "red",
    ApprovalState.EXPIRED: "dim",
    ApprovalState.WITHDRAWN: "dim",
}

_HEADINGS = ("ID", "STATE", "REQUESTER", "RULE", "WHAT", "FINDINGS", "VOTES", "LEFT")


def as_json(approval: Approval, now: float) -> dict[str, Any]:
    """The approval for machines: its fields, pairs as objects, the digest that a decision names, and the seconds left
    (0 once it has ended)."""
    return asdict(approval) | {
        "findings": dict(approval.findings),
        "limits": dict(approval.limits),
        "seen": shown_digest(approval),
        "seconds_left": round(_seconds_left(approval, now), 3),
    }


def print_list(console: Console, approvals: list[Approval], now: float) -> None:
    """One row each."""
    if not approvals:
        console.print("No approvals in that state; `--state all` lists every one.")
        return
    rows = [_HEADINGS, *(_row(approval, now) for approval in approvals)]
    for line, approval in zip(align(rows), [None, *approvals], strict=True):
        style = _STYLES[approval.state] if approval else "bold"
        console.print(Text(line, style=style), soft_wrap=True)


def _row(approval: Approval, now: float) -> tuple[str, ...]:
    cells = (
        approval.approval_id,
        approval.state.value,
        approval.requester_name or approval.requester_uid,
        approval.rule,
        f"{approval.operation} {approval.model}".strip(),
        _findings(approval),
        progress(approval),
        _left(approval, now),
    )
    return tuple(map(printable_line, cells))


def history_json(history: list[Approval]) -> list[dict[str, Any]]:
    """What somebody had asked for before."""
    return [
        {"approval_id": each.approval_id, "state": each.state.value, "rule": each.rule, "created_at": each.created_at}
        for each in history
    ]


def progress(approval: Approval) -> str:
    """How many of those who are needed have granted, and of which groups (how many) people are still needed."""
    if approval.emergency:
        return "an emergency"
    said = f"{counted_grants(approval)} of {approval.quorum}"
    missing = missing_groups(approval)
    needed = [group if people == 1 else f"{group} ({people})" for group, people in Counter(missing).items()]
    return f"{said}, needs {', '.join(needed)}" if needed else said


def bound_to(approval: Approval) -> str:
    """In a line: the digest that a decision names, and what stands behind it."""
    what = f"{approval.operation} {approval.model}".strip()
    who = approval.requester_name or approval.requester_uid
    return printable_line(f"{shown_digest(approval)}: {who}, {approval.rule}, {what}, findings: {_findings(approval)}")


def print_one(
    console: Console, approval: Approval, turns: tuple[Turn, ...], now: float, history: list[Approval]
) -> None:
    """Everything a decider needs to know, the masked request last."""

    def line(*parts: Text) -> None:
        console.print(Text.assemble(*parts), soft_wrap=True)

    facts = _facts(approval, now)
    widest = max(len(name) for name, _ in facts)
    for name, value in facts:
        line(Text(f"{name:<{widest + 2}}", style="bold"), _plain(value))
    if history:
        line(Text("\nAsked before", style="bold underline"))
    for before in history:
        line(_plain(f"  {_instant(before.created_at)}  {before.state.value:<9}  {before.rule}"))
    line(Text("\nMasked request", style="bold underline"))
    for turn in turns:
        line(Text(turn.role, style="bold cyan"))
        for text in printable(turn.text).splitlines():
            line(Text(f"  {text}"))


def _facts(approval: Approval, now: float) -> list[tuple[str, str]]:
    facts = [
        ("Approval", approval.approval_id),
        ("State", approval.state.value),
        ("Requester", _person(approval.requester_name, approval.requester_uid)),
        ("Rule", f"{approval.rule}: {approval.rule_text}" if approval.rule_text else approval.rule),
        ("Asks for", f"{approval.operation} on {approval.connection}, model {approval.model or '-'}"),
        ("Findings", _findings(approval)),
        ("May decide", ", ".join(approval.approver_groups) or "-"),
        *_more_facts(approval),
        ("Created", _instant(approval.created_at)),
        ("Expires", f"{_instant(ends_at(approval))} ({_left(approval, now)})"),
        ("Exchange", approval.exchange_id),
        ("Policy", approval.policy_digest),
        ("Seen", shown_digest(approval)),
    ]
    for vote in approval.votes:
        said = "grants" if vote.grant else "refuses"
        who = _person(vote.name, vote.uid)
        facts.append(("Vote", f"{_instant(vote.at)} {who} {said} ({vote.channel.value}): {vote.reason}"))
    if approval.decided_at:
        who = _person(approval.decided_by_name, approval.decided_by_uid)
        facts.append(("Decided", f"{_instant(approval.decided_at)} by {who}"))
        facts.append(("Reason", approval.decision_reason))
    return facts


def _more_facts(approval: Approval) -> list[tuple[str, str]]:
    """What only some rules ask for."""
    facts = [("Reason given", approval.request_reason)] if approval.request_reason else []
    facts += [("Limits", ", ".join(f"{name} {value}" for name, value in approval.limits))] if approval.limits else []
    if not approval.emergency and (approval.quorum > 1 or approval.each_of):
        facts.append(("Granted by", progress(approval)))
    if approval.each_of:
        facts.append(("One each of", ", ".join(approval.each_of)))
    if approval.escalation_groups:
        after = _duration(approval.escalate_after_seconds)
        facts.append(("Then also", f"{', '.join(approval.escalation_groups)} (after {after})"))
    if approval.has_window:
        window = f"{approval.uses} of {approval.window_uses} in {_duration(approval.window_seconds)}"
        facts.append(("Uses", window))
    if approval.emergency:
        facts.append(("Emergency", f"reviewed by {approval.reviewed_by_uid}" if approval.reviewed_by_uid else "open"))
    return facts


def _person(name: str, uid: str) -> str:
    """Both where both are known: a name alone can be that of two people."""
    return f"{name} ({uid})" if name else uid


def _duration(seconds: float) -> str:
    minutes, rest = divmod(int(seconds), 60)
    return f"{minutes} min {rest} s" if rest else f"{minutes} min"


def _plain(text: str) -> Text:
    """Text that comes from outside: no markup, nothing that steers the terminal."""
    return Text(printable(text))


def _findings(approval: Approval) -> str:
    return ", ".join(f"{count} {kind}" for kind, count in approval.findings) or "none"


def _seconds_left(approval: Approval, now: float) -> float:
    return max(ends_at(approval) - now, 0.0) if TRANSITIONS[approval.state] else 0.0


def _left(approval: Approval, now: float) -> str:
    if not TRANSITIONS[approval.state]:
        return "ended"
    minutes, seconds = divmod(int(_seconds_left(approval, now)), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min left" if hours else f"{minutes} min {seconds} s left"


def _instant(unix_seconds: float) -> str:
    return datetime.fromtimestamp(unix_seconds, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
