"""How approvals look: tables and text for people, plain JSON values for machines."""

from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

from rich.console import Console, Group
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from extproc.approvals.conversation import Turn, printable
from extproc.core.approval import TRANSITIONS, Approval, ApprovalState

_STYLES = {
    ApprovalState.PENDING: "bold yellow",
    ApprovalState.GRANTED: "green",
    ApprovalState.USED: "green",
    ApprovalState.REFUSED: "red",
    ApprovalState.EXPIRED: "dim",
    ApprovalState.WITHDRAWN: "dim",
}


def as_json(approval: Approval, now: float) -> dict[str, Any]:
    """The approval for machines: its fields, findings as an object, and the seconds left (0 once it has ended)."""
    return asdict(approval) | {
        "findings": dict(approval.findings),
        "seconds_left": round(_seconds_left(approval, now), 3),
    }


def print_list(console: Console, approvals: list[Approval], now: float) -> None:
    """One row each."""
    if not approvals:
        console.print("No approvals.")
        return
    table = Table(box=None, pad_edge=False, header_style="bold")
    # Copied from here into `show` and `grant`: in one piece, however narrow the terminal.
    table.add_column("ID", no_wrap=True, min_width=max(len(approval.approval_id) for approval in approvals))
    for heading in ("STATE", "REQUESTER", "RULE", "WHAT", "FINDINGS", "LEFT"):
        table.add_column(heading, overflow="fold")
    for approval in approvals:
        table.add_row(
            _plain(approval.approval_id),
            Text(approval.state.value, style=_STYLES[approval.state]),
            _plain(approval.requester_name or approval.requester_uid),
            _plain(approval.rule),
            _plain(f"{approval.operation} {approval.model}".strip()),
            _plain(_findings(approval)),
            _plain(_left(approval, now)),
        )
    console.print(table)


def print_one(console: Console, approval: Approval, turns: tuple[Turn, ...], now: float) -> None:
    """Everything a decider needs to know, the masked request last."""
    facts = Table.grid(padding=(0, 2))
    facts.add_column(style="bold")
    facts.add_column(overflow="fold")
    for name, value in _facts(approval, now):
        facts.add_row(name, _plain(value))
    said = [
        Group(Text(turn.role, style="bold cyan"), Padding(Text(turn.text, overflow="fold"), (0, 0, 0, 2)))
        for turn in turns
    ]
    console.print(Group(facts, Text("\nMasked request", style="bold underline"), *said))


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
