"""What a page says of an approval: how far the votes are, what this person may do, and why not what they may not."""

import re
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from extproc.approvals.conversation import Turn
from extproc.approvals.session_content import Stretch
from extproc.console.filters import excerpt
from extproc.console.roles import READS_TEXT, Role
from extproc.core.approval import (
    TRANSITIONS,
    Approval,
    ApprovalState,
    TransitionCode,
    deciding_groups,
    may_decide,
    missing_groups,
)
from extproc.core.masking.mask import label_of
from extproc.core.principal import Principal, folded_uid

_TRUNCATED: Final = r"\d{4,8}\*{3,12}\d{2,4}"
"""How a PAN is shown of which only the ends are kept."""
_SPEAKERS: Final = frozenset({"user", "assistant", "system", "tool"})


@dataclass(frozen=True, slots=True)
class Standing:
    """What somebody may do with an approval now; each `no_…` is why not, in a sentence, and empty where they may."""

    own: bool
    no_decision: str
    no_revocation: str
    no_review: str
    may_withdraw: bool
    may_read: bool
    """The masked request."""


@dataclass(frozen=True, slots=True)
class GroupProgress:
    """One of the groups that each have to be stood for."""

    name: str
    granted: bool


@dataclass(frozen=True, slots=True)
class ShownTurn:
    """One thing said, its beginning at least, with what was found in it marked. `css` is one of the style sheet's."""

    role: str
    css: str
    stretches: tuple[Stretch, ...]
    left_out: int


def is_own(approval: Approval, person: Principal) -> bool:
    """Whether the person is the requester, perhaps by another account."""
    return may_decide(approval, person, 0.0) is TransitionCode.OWN_REQUEST


def standing_of(approval: Approval, person: Principal, roles: Collection[Role], now: float) -> Standing:
    """By the rules of `extproc.core.approval`, which judge again when somebody decides."""
    own = is_own(approval, person)
    refused = _sentence(approval, person, roles, now)
    voted = next((vote for vote in approval.votes if folded_uid(vote.uid) == folded_uid(person.uid)), None)
    no_decision = refused
    if approval.state is not ApprovalState.PENDING:
        no_decision = "It is not pending any more: there is nothing to decide."
    elif not refused and voted is not None:
        word = "grant" if voted.grant else "refuse"
        no_decision = f"You have voted to {word}. Another person is needed."
    return Standing(
        own=own,
        no_decision=no_decision,
        no_revocation=refused if approval.state is ApprovalState.GRANTED else "It is not granted.",
        no_review=refused if approval.emergency and not approval.reviewed_by_uid else "There is nothing to review.",
        may_withdraw=person.uid == approval.requester_uid and ApprovalState.WITHDRAWN in TRANSITIONS[approval.state],
        may_read=not READS_TEXT.isdisjoint(roles),
    )


def _sentence(approval: Approval, person: Principal, roles: Collection[Role], now: float) -> str:
    """Why the person may decide on this approval in no state; empty for one who may."""
    refused = may_decide(approval, person, now)
    if refused is TransitionCode.OWN_REQUEST:
        return "This is your own request: somebody else decides."
    if refused is TransitionCode.NOT_AN_APPROVER:
        groups = deciding_groups(approval, now)
        return f"You would need {'one of the groups' if len(groups) > 1 else 'the group'} {', '.join(groups)}."
    if refused is not None:
        return "Only people decide."
    if Role.APPROVER not in roles:
        return "You would need the role approver in this console."
    return ""


def waits_for(approval: Approval, person: Principal, roles: Collection[Role], now: float) -> bool:
    """Whether this person could decide now."""
    return not standing_of(approval, person, roles, now).no_decision


def group_progress(approval: Approval) -> tuple[GroupProgress, ...]:
    """Those of `each_of`, and whether somebody who grants stands for them: one person does for one."""
    missing = Counter(missing_groups(approval))
    progress = []
    for group in reversed(approval.each_of):  # of a group that is needed twice the last is missing first
        progress.append(GroupProgress(group, missing[group] <= 0))
        missing[group] -= 1
    return tuple(reversed(progress))


def shown_turns(turns: Sequence[Turn], findings: Sequence[tuple[str, int]], characters: int) -> tuple[ShownTurn, ...]:
    """Each cut to `characters`, with what stands for a finding marked."""
    masks = _masks_of(kind for kind, _ in findings)
    shown = []
    for turn in turns:
        begun = excerpt(turn.text, characters)
        css = turn.role if turn.role in _SPEAKERS else "other"
        shown.append(ShownTurn(turn.role, css, tuple(_stretches(begun.text, masks)), begun.left_out))
    return tuple(shown)


def _masks_of(kinds: Iterator[str]) -> re.Pattern[str]:
    """`[PAN]`, `[PAN_2]`, `[PAN_k1_…]` of the kinds that were found, and truncated numbers."""
    labels = "|".join(re.escape(label_of(kind).strip("[]")) for kind in kinds)
    return re.compile(rf"\[(?:{labels})(?:_[A-Za-z0-9_-]{{1,80}})?\]|{_TRUNCATED}" if labels else _TRUNCATED)


def _stretches(text: str, masks: re.Pattern[str]) -> Iterator[Stretch]:
    begin = 0
    for match in masks.finditer(text):
        if match.start() > begin:
            yield Stretch(text[begin : match.start()])
        said = match[0]
        yield Stretch(said, said.strip("[]").partition("_")[0] if said.startswith("[") else "PAN")
        begin = match.end()
    if begin < len(text):
        yield Stretch(text[begin:])
