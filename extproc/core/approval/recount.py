"""The votes of a grant, counted anew: a state that somebody wrote into the store by hand lets nothing go on."""

from dataclasses import replace

from extproc.core.approval.asked import Approval, Vote, shown_digest
from extproc.core.approval.deciding import deciding_groups, is_met
from extproc.core.principal import Principal, folded_uid


def votes_grant(approval: Approval, requester: Principal) -> bool:
    """Whether the votes that are kept with an approval grant it, whatever its state says.

    By the rules of `decide`: each is a grant of what the approval is, in its time, by a member of a deciding group, by
    another person than `requester`, the one who is named in the approval, and everybody who voted before; and together
    they are as many as the rule asks for. One vote that cannot be one, and there is no grant.
    """
    shown = shown_digest(approval)
    uids = {folded_uid(approval.requester_uid), folded_uid(requester.uid)}
    aliases = {*approval.requester_aliases, *requester.aliases}
    counted: list[Vote] = []
    for vote in approval.votes:
        if not vote.grant or vote.seen != shown or not approval.created_at <= vote.at < approval.expires_at:
            return False
        if folded_uid(vote.uid) in uids or not aliases.isdisjoint(vote.aliases):
            return False
        groups = tuple(group for group in deciding_groups(approval, vote.at) if group in vote.groups)
        if not groups:
            return False
        uids.add(folded_uid(vote.uid))
        aliases.update(vote.aliases)
        counted.append(replace(vote, groups=groups))
    if not counted or (counted[-1].uid, counted[-1].at) != (approval.decided_by_uid, approval.decided_at):
        return False
    if not approval.uses < max(1, approval.window_uses):
        return False
    return is_met(replace(approval, votes=tuple(counted)))


def voted_until(approval: Approval) -> float:
    """When what the votes grant ends, in Unix seconds, whatever `granted_until` says; 0 without votes."""
    if not approval.has_window:
        return approval.expires_at
    return max((vote.at + approval.window_seconds for vote in approval.votes), default=0.0)
