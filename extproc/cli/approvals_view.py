"""How approvals look: tables and text for people, plain JSON values for machines."""

from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

from rich.console import Console
from rich.text import Text

from extproc.approvals.conversation import Turn
from extproc.cli.columns import align
from extproc.core.approval import TRANSITIONS, Approval, ApprovalState
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

_HEADINGS = ("ID", "STATE", "REQUESTER", "RULE", "WHAT", "FINDINGS", "LEFT")


def as_json(approval: Approval, now: float) -> dict[str, Any]:
    """The approval for machines: its fields, findings as an object, and the seconds left (0 once it has ended)."""
    return asdict(approval) | {
        "findings": dict(approval.findings),
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
        _left(approval, now),
    )
    return tuple(map(printable_line, cells))


def print_one(console: Console, approval: Approval, turns: tuple[Turn, ...], now: float) -> None:
    """Everything a decider needs to know, the masked request last."""

    def line(*parts: Text) -> None:
        console.print(Text.assemble(*parts), soft_wrap=True)

    facts = _facts(approval, now)
    widest = max(len(name) for name, _ in facts)
    for name, value in facts:
        line(Text(f"{name:<{widest + 2}}", style="bold"), _plain(value))
    line(Text("\nMasked request", style="bold underline"))
    for turn in turns:
        line(Text(turn.role, style="bold cyan"))
        for text in printable(turn.text).splitlines():
            line(Text(f"  {text}"))


def _facts(approval: Approval, now: float) -> list[tuple[str, str]]:
    facts = [
        ("Approval", approval.approval_id),
        ("State", approval.state.value),
        ("Requester", f"{approval.requester_name} ({approval.requester_uid})".strip()),
        ("Rule", f"{approval.rule}: {approval.rule_text}" if approval.rule_text else approval.rule),
        ("Asks for", f"{approval.operation} on {approval.connection}, model {approval.model or '-'}"),
        ("Findings", _findings(approval)),
        ("May decide", ", ".join(approval.approver_groups) or "-"),
        ("Created", _instant(approval.created_at)),
        ("Expires", f"{_instant(approval.expires_at)} ({_left(approval, now)})"),
        ("Exchange", approval.exchange_id),
        ("Policy", approval.policy_digest),
    ]
    if approval.decided_at:
        who = f"{approval.decided_by_name} ({approval.decided_by_uid})".strip()
        facts.append(("Decided", f"{_instant(approval.decided_at)} by {who}"))
        facts.append(("Reason", approval.decision_reason))
    return facts


def _plain(text: str) -> Text:
    """Text that comes from outside: no markup, nothing that steers the terminal."""
    return Text(printable(text))


def _findings(approval: Approval) -> str:
    return ", ".join(f"{count} {kind}" for kind, count in approval.findings) or "none"


def _seconds_left(approval: Approval, now: float) -> float:
    return max(approval.expires_at - now, 0.0) if TRANSITIONS[approval.state] else 0.0


def _left(approval: Approval, now: float) -> str:
    if not TRANSITIONS[approval.state]:
        return "ended"
    minutes, seconds = divmod(int(_seconds_left(approval, now)), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min left" if hours else f"{minutes} min {seconds} s left"


def _instant(unix_seconds: float) -> str:
    return datetime.fromtimestamp(unix_seconds, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
