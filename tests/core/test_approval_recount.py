"""A grant is what its votes say: a state alone, or votes that cannot have been, are none."""

from dataclasses import replace

import pytest

from extproc.core.approval import Approval, ApprovalRequest, Vote, open_approval, votes_grant
from extproc.core.principal import Principal
from extproc.core.trust import Masked
from tests.approvals.votes import granted

ANNA = Principal("https://idp", "anna", "Anna", ("staff",), aliases=("anna@x",))
RISK, PRIVACY, BOTH, SECOND = (
    Principal("https://idp", name, "", groups, aliases=(f"{name}@x",))
    for name, groups in (
        ("risk", ("risk",)),
        ("privacy", ("privacy",)),
        ("both", ("risk", "privacy")),
        ("second", ("risk", "privacy")),
    )
)
ASKED = open_approval(
    ApprovalRequest(
        "apr-1", "ex-1", ANNA.uid, "Anna", "r", "", "sha256:0", "d", "c", "chat", "m", (), ("risk", "privacy"), 1000.0,
        1100.0, Masked(b""), requester_aliases=("old@x",), quorum=2, each_of=("risk", "privacy"),
        escalate_after_seconds=50.0, escalation_groups=("leads",), window_seconds=30.0, window_uses=2,
    )
)  # fmt: skip
GRANTED = granted(ASKED, RISK, BOTH)
BY_ANY = granted(replace(ASKED, each_of=()), RISK, BOTH)


def changed(vote: int, approval: Approval = GRANTED, **change: object) -> Approval:
    votes = list(approval.votes)
    votes[vote] = replace(votes[vote], **change)  # type: ignore[arg-type]
    return decided(approval, *votes)


def decided(approval: Approval, *votes: Vote) -> Approval:
    """By these votes alone, of which the last decides."""
    return replace(approval, votes=votes, decided_by_uid=votes[-1].uid, decided_at=votes[-1].at)


def test_what_people_have_granted_is_granted() -> None:
    assert votes_grant(GRANTED, ANNA)
    assert votes_grant(replace(GRANTED, uses=1), ANNA)
    assert votes_grant(BY_ANY, ANNA)
    assert votes_grant(granted(replace(ASKED, quorum=3, each_of=()), RISK, PRIVACY, SECOND), ANNA)


@pytest.mark.parametrize(
    "approval",
    {
        "no votes": replace(GRANTED, votes=()),
        "fewer people than the quorum": decided(GRANTED, GRANTED.votes[0]),
        "one person twice": changed(1, uid=" HTTPS://IDP|Risk"),
        "one person by two accounts": changed(1, aliases=("risk@x",)),
        "one who refuses": changed(0, grant=False),
        "the requester": changed(0, uid="https://IDP|anna"),
        "the requester by another name": changed(0, aliases=("old@x",)),
        "the requester by a name of today": changed(0, aliases=("anna@x",)),
        "a group that nobody stands for": changed(1, groups=("risk",)),
        "groups that do not decide": changed(0, BY_ANY, groups=("staff",)),
        "a vote before it was asked for": changed(0, at=999.0),
        "a vote after its end": changed(0, at=1100.0),
        "another view": changed(0, seen="0" * 64),
        "another quorum than was shown": replace(GRANTED, quorum=1, each_of=()),
        "another request than was shown": replace(GRANTED, request_digest="e"),
        "a longer window than was shown": replace(GRANTED, window_uses=1000),
        "one that was taken back": replace(GRANTED, decided_by_uid=PRIVACY.uid, decided_at=1001.0),
        "one that its voter took back": replace(GRANTED, decided_at=1001.0),
        "one without a use left": replace(GRANTED, uses=2),
    }.items(),
    ids=lambda named: named[0],
)
def test_what_people_cannot_have_granted_is_none(approval: tuple[str, Approval]) -> None:
    assert not votes_grant(approval[1], ANNA)


@pytest.mark.parametrize(("at", "counts"), [(1049.0, False), (1050.0, True)])
def test_who_is_asked_later_counts_from_then_on(at: float, counts: bool) -> None:
    asked = replace(ASKED, quorum=1, each_of=())
    assert votes_grant(changed(0, granted(asked, RISK), groups=("leads",), at=at), ANNA) is counts
