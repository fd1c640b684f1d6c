"""A vote by somebody who has looked at the approval, in tests that are about something else."""

from dataclasses import replace

from extproc.core.approval import Approval, Channel, shown_digest
from extproc.core.approval import decide as decide_seen
from extproc.core.identity import Principal

APPROVER = Principal(issuer="https://issuer", subject="approver", name="Approver", groups=("approvers",))


def decide(approval: Approval, decider: Principal, grant: bool, reason: str, now: float) -> Approval:
    """On the command line."""
    return decide_seen(approval, decider, grant, reason, seen=shown_digest(approval), channel=Channel.CLI, now=now)


def granted(pending: Approval, *approvers: Principal) -> Approval:
    """By the votes of these people, or of as many as it needs, as soon as it was asked for."""
    for approver in approvers or _as_many_as_needed(pending):
        pending = decide(pending, approver, True, "It fits.", pending.created_at)
    return pending


def _as_many_as_needed(pending: Approval) -> list[Principal]:
    further = (f"approver-{number}" for number in range(2, pending.quorum + 1))
    return [replace(APPROVER, subject=name, groups=pending.approver_groups) for name in ("approver", *further)]
