"""What people say to an approval, kept only if it still holds when it is written."""

from collections.abc import Callable
from dataclasses import replace

from extproc.approvals.changes import Change
from extproc.approvals.notify import outbox
from extproc.approvals.notify.events import Event
from extproc.core.approval import TRANSITIONS, Approval, ApprovalState, Vote, is_due, is_met
from extproc.core.principal import folded_uid

_VOTED = frozenset({ApprovalState.PENDING, ApprovalState.GRANTED, ApprovalState.REFUSED})


def keep_vote(change: Change, decided: Approval) -> bool:
    """Whether what `extproc.core.approval.decide` returned is kept: nothing has changed since, and nobody votes twice.

    The rules are said once more, so that no caller gets past them.
    """
    before = change.find(decided.approval_id)
    if before is None or before.revision != decided.revision or before.state is not ApprovalState.PENDING:
        return False
    if len(decided.votes) != len(before.votes) + 1 or decided.votes[:-1] != before.votes:
        return False
    vote = decided.votes[-1]
    if is_due(before, vote.at) or not _is_another(before, vote) or not _follows(decided, vote):
        return False
    kept = change.keep(decided, before)
    if decided.state is not ApprovalState.PENDING:
        outbox.add(change.connection, kept, Event.DECIDED, vote.at)
    return True


def keep_revocation(change: Change, revoked: Approval) -> bool:
    """Whether what `revoke` returned is kept: the grant still is one. Uses of it in the meantime stay counted."""

    def may(before: Approval) -> bool:
        return before.state is ApprovalState.GRANTED and not is_due(before, revoked.decided_at)

    kept = _keep_later(change, revoked, may)
    if kept is not None:
        outbox.add(change.connection, kept, Event.DECIDED, revoked.decided_at)
    return kept is not None


def keep_review(change: Change, reviewed: Approval) -> bool:
    """Whether what `review` returned is kept: nobody else has reviewed the emergency."""
    return _keep_later(change, reviewed, lambda before: before.emergency and not before.reviewed_by_uid) is not None


def _keep_later(change: Change, later: Approval, may: Callable[[Approval], bool]) -> Approval | None:
    """What a person decided of an approval that may have been used since."""
    before = change.find(later.approval_id)
    if before is None or not may(before) or folded_uid(later.decided_by_uid) == folded_uid(before.requester_uid):
        return None
    decision = {
        name: getattr(later, name)
        for name in (
            *("decided_at", "decided_by_uid", "decided_by_name", "decision_reason"),
            *("reviewed_by_uid", "reviewed_at"),
        )
    }
    state = later.state if later.state in TRANSITIONS[before.state] else before.state
    return change.keep(replace(before, state=state, **decision), before)


def _is_another(approval: Approval, vote: Vote) -> bool:
    """Neither the requester nor somebody who has voted."""
    own = {folded_uid(approval.requester_uid), *(folded_uid(cast.uid) for cast in approval.votes)}
    aliases = {*approval.requester_aliases, *(alias for cast in approval.votes for alias in cast.aliases)}
    return folded_uid(vote.uid) not in own and aliases.isdisjoint(vote.aliases)


def _follows(decided: Approval, vote: Vote) -> bool:
    """The state is what the votes make of it."""
    if not vote.grant:
        return decided.state is ApprovalState.REFUSED
    return decided.state is (ApprovalState.GRANTED if is_met(decided) else ApprovalState.PENDING)
