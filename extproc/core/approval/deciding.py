"""Who may decide, and what comes of it: four eyes or more, each of them seen once."""

import unicodedata
from collections.abc import Sequence
from dataclasses import replace

from extproc.core.approval.asked import Approval, Channel, Vote, shown_digest
from extproc.core.approval.ending import is_due
from extproc.core.approval.states import MAX_REASON_CHARACTERS, ApprovalState, DecisionRefused, TransitionCode
from extproc.core.principal import Principal, folded_uid

__all__ = [
    "MAX_REASON_CHARACTERS",
    "checked_reason",
    "decide",
    "deciding_groups",
    "is_met",
    "may_decide",
    "review",
    "revoke",
]


def deciding_groups(approval: Approval, now: float) -> tuple[str, ...]:
    """The groups whose members may decide at `now`: with those of the escalation, once its time has come."""
    escalated = approval.escalation_groups and now >= approval.created_at + approval.escalate_after_seconds
    further = approval.escalation_groups if escalated else ()
    return tuple(dict.fromkeys((*approval.approver_groups, *further)))


def may_decide(approval: Approval, decider: Principal, now: float) -> TransitionCode | None:
    """Why `decider` may not decide, whatever the state; None for somebody who may.

    Four eyes: never the requester, also not with another account that has one of the requester's aliases; only a
    member of a deciding group; and never a program, whatever groups its token names.
    """
    if decider.kind != "person":
        return TransitionCode.NOT_A_PERSON
    if decider.may_be(approval.requester_uid) or set(decider.aliases) & set(approval.requester_aliases):
        return TransitionCode.OWN_REQUEST
    if not set(decider.groups) & set(deciding_groups(approval, now)):
        return TransitionCode.NOT_AN_APPROVER
    return None


def decide(
    approval: Approval, decider: Principal, grant: bool, reason: str, *, seen: str, channel: Channel, now: float
) -> Approval:
    """The approval with the vote of `decider`; raises `DecisionRefused`. `reason` must already be masked.

    One refusal refuses. It is granted once `quorum` people have granted and each group of `each_of` is stood for;
    until then it stays pending. `seen` is the `shown_digest` of what the decider looked at.
    """
    if approval.state is not ApprovalState.PENDING:
        raise DecisionRefused(TransitionCode.NOT_PENDING)
    if is_due(approval, now):
        raise DecisionRefused(TransitionCode.EXPIRED)
    refused = may_decide(approval, decider, now)
    if refused is not None:
        raise DecisionRefused(refused)
    if any(_same_person(vote, decider) for vote in approval.votes):
        raise DecisionRefused(TransitionCode.ALREADY_VOTED)
    if seen != shown_digest(approval):
        raise DecisionRefused(TransitionCode.OTHER_VIEW)
    vote = Vote(
        uid=decider.uid,
        name=decider.name,
        groups=tuple(group for group in deciding_groups(approval, now) if group in decider.groups),
        grant=grant,
        reason=checked_reason(reason),
        at=_not_before(approval, now),
        seen=seen,
        channel=channel,
        aliases=decider.aliases,
    )
    voted = replace(approval, votes=(*approval.votes, vote))
    if grant and not is_met(voted):
        return voted
    decided = _decided(voted, decider, vote.reason, vote.at)
    if not grant:
        return replace(decided, state=ApprovalState.REFUSED)
    until = vote.at + approval.window_seconds if approval.has_window else approval.expires_at
    return replace(decided, state=ApprovalState.GRANTED, granted_until=until)


def revoke(approval: Approval, decider: Principal, reason: str, now: float) -> Approval:
    """A grant taken back before its (next) use by somebody who might have refused it; raises `DecisionRefused`."""
    if approval.state is not ApprovalState.GRANTED:
        raise DecisionRefused(TransitionCode.NOT_GRANTED)
    if is_due(approval, now):
        raise DecisionRefused(TransitionCode.EXPIRED)
    refused = may_decide(approval, decider, now)
    if refused is not None:
        raise DecisionRefused(refused)
    revoked = _decided(approval, decider, checked_reason(reason), _not_before(approval, now))
    return replace(revoked, state=ApprovalState.REVOKED)


def review(approval: Approval, decider: Principal, reason: str, now: float) -> Approval:
    """An emergency that an approver has looked at afterwards, once; raises `DecisionRefused`. Nothing is undone."""
    if not approval.emergency:
        raise DecisionRefused(TransitionCode.NOT_EMERGENCY)
    if approval.reviewed_by_uid:
        raise DecisionRefused(TransitionCode.REVIEWED)
    refused = may_decide(approval, decider, now)
    if refused is not None:
        raise DecisionRefused(refused)
    reviewed = _decided(approval, decider, checked_reason(reason), _not_before(approval, now))
    return replace(reviewed, reviewed_by_uid=decider.uid, reviewed_at=reviewed.decided_at)


def is_met(approval: Approval) -> bool:
    """Whether the people who grant are as many as the rule asks for, and stand for each of its groups.

    One person stands for one group, however many they are in: there must be a matching of `each_of` into the people. A
    group stands there once for each of its people that is needed.
    """
    return len(approval.grants) >= max(1, approval.quorum) and not missing_groups(approval)


def missing_groups(approval: Approval) -> tuple[str, ...]:
    """Of `each_of` those that none of the people who grant stands for, when they stand for as many as they can."""
    return tuple(_not_stood_for(approval.each_of, approval.grants))


def counted_grants(approval: Approval) -> int:
    """How many of `quorum` have granted: whoever is one too many of their groups stands for nobody who is missing."""
    return max(0, min(len(approval.grants), approval.quorum - len(missing_groups(approval))))


def _not_stood_for(groups: Sequence[str], grants: Sequence[Vote]) -> list[str]:
    """Augmenting paths (Kuhn): at most groups x people x groups steps, and both are few."""
    standing: dict[int, str] = {}

    def find_somebody(group: str, tried: set[int]) -> bool:
        for number, vote in enumerate(grants):
            if group in vote.groups and number not in tried:
                tried.add(number)
                if number not in standing or find_somebody(standing[number], tried):
                    standing[number] = group
                    return True
        return False

    return [group for group in groups if not find_somebody(group, set())]


def _same_person(vote: Vote, decider: Principal) -> bool:
    return folded_uid(vote.uid) == folded_uid(decider.uid) or not set(vote.aliases).isdisjoint(decider.aliases)


def _not_before(approval: Approval, now: float) -> float:
    """`now`, or the time of the step before where a clock has gone backwards: steps stand in their order."""
    return max(now, approval.created_at, approval.decided_at, *(vote.at for vote in approval.votes))


def _decided(approval: Approval, decider: Principal, reason: str, at: float) -> Approval:
    return replace(
        approval,
        decided_at=at,
        decided_by_uid=decider.uid,
        decided_by_name=decider.name,
        decision_reason=reason,
    )


def checked_reason(reason: str) -> str:
    """The reason without the blanks around it. Raises `DecisionRefused` for what a record should not carry."""
    text = reason.strip()
    if not text:
        raise DecisionRefused(TransitionCode.REASON_EMPTY)
    if len(text) > MAX_REASON_CHARACTERS:
        raise DecisionRefused(TransitionCode.REASON_TOO_LONG)
    # Cc and Cs: terminal control sequences, NUL and lone surrogates, which a database or a terminal takes badly.
    if any(unicodedata.category(character) in {"Cc", "Cs"} for character in text if character not in "\n\t"):
        raise DecisionRefused(TransitionCode.REASON_UNPRINTABLE)
    return text
