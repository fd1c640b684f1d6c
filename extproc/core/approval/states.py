"""The states of an approval, the legal steps between them, and why a step is not taken."""

from collections.abc import Mapping
from enum import StrEnum


class ApprovalState(StrEnum):
    PENDING = "pending"
    GRANTED = "granted"
    REFUSED = "refused"
    EXPIRED = "expired"
    WITHDRAWN = "withdrawn"
    REVOKED = "revoked"
    USED = "used"


TRANSITIONS: Mapping[ApprovalState, frozenset[ApprovalState]] = {
    ApprovalState.PENDING: frozenset(
        {ApprovalState.GRANTED, ApprovalState.REFUSED, ApprovalState.EXPIRED, ApprovalState.WITHDRAWN}
    ),
    ApprovalState.GRANTED: frozenset(
        {ApprovalState.USED, ApprovalState.REVOKED, ApprovalState.EXPIRED, ApprovalState.WITHDRAWN}
    ),
    ApprovalState.REFUSED: frozenset(),
    ApprovalState.EXPIRED: frozenset(),
    ApprovalState.WITHDRAWN: frozenset(),
    ApprovalState.REVOKED: frozenset(),
    ApprovalState.USED: frozenset(),
}
"""Every legal step to another state. A state that leads nowhere is final.

Pending stays pending while votes are counted, granted stays granted while a window has uses left.
"""

MAX_REASON_CHARACTERS = 1000
"""A reason is a sentence or two that an assessor reads; the record that carries it stays small."""


class TransitionCode(StrEnum):
    """Why a step was not taken. Stable: it appears in records and in machine-readable output."""

    NOT_PENDING = "not_pending"
    NOT_GRANTED = "not_granted"
    FINAL = "final"
    EXPIRED = "expired"
    NOT_EXPIRED = "not_expired"
    OWN_REQUEST = "own_request"
    NOT_AN_APPROVER = "not_an_approver"
    NOT_A_PERSON = "not_a_person"
    ALREADY_VOTED = "already_voted"
    OTHER_VIEW = "other_view"
    REASON_EMPTY = "reason_empty"
    REASON_TOO_LONG = "reason_too_long"
    REASON_UNPRINTABLE = "reason_unprintable"
    OTHER_REQUEST = "other_request"
    OTHER_REQUESTER = "other_requester"
    NOT_EMERGENCY = "not_emergency"
    REVIEWED = "reviewed"
    UNKNOWN = "unknown"


SENTENCES: Mapping[TransitionCode, str] = {
    TransitionCode.NOT_PENDING: "The approval is no longer pending.",
    TransitionCode.NOT_GRANTED: "The approval is not granted.",
    TransitionCode.FINAL: "The approval has ended.",
    TransitionCode.EXPIRED: "The approval has expired.",
    TransitionCode.NOT_EXPIRED: "The approval has not expired.",
    TransitionCode.OWN_REQUEST: "Nobody decides on their own request.",
    TransitionCode.NOT_AN_APPROVER: "The decider is in none of the groups that may decide.",
    TransitionCode.NOT_A_PERSON: "Only people decide; this token is a program's.",
    TransitionCode.ALREADY_VOTED: "The decider has decided already; another person is needed.",
    TransitionCode.OTHER_VIEW: "The approval is not the one that was shown; look at it again.",
    TransitionCode.REASON_EMPTY: "A decision needs a reason.",
    TransitionCode.REASON_TOO_LONG: f"The reason is longer than {MAX_REASON_CHARACTERS} characters.",
    TransitionCode.REASON_UNPRINTABLE: "The reason contains control characters.",
    TransitionCode.OTHER_REQUEST: "The approval is bound to a different request.",
    TransitionCode.OTHER_REQUESTER: "The approval belongs to a different requester.",
    TransitionCode.NOT_EMERGENCY: "Only what went on as an emergency is reviewed afterwards.",
    TransitionCode.REVIEWED: "The emergency has been reviewed.",
    TransitionCode.UNKNOWN: "There is no such approval.",
}


class TransitionRefused(Exception):
    """A step that the rules do not allow. Carries a code and its fixed sentence, never input."""

    def __init__(self, code: TransitionCode) -> None:
        super().__init__(code.value)
        self.code = code
        self.sentence = SENTENCES[code]


class DecisionRefused(TransitionRefused):
    """A grant, refusal, revocation or review that the decider may not give, or not any more."""
