"""What people are told of an approval."""

from enum import StrEnum


class Event(StrEnum):
    """Once each for an approval, but `DECIDED`: once for each state that a decision leads to."""

    OPENED = "opened"
    ESCALATED = "escalated"
    DECIDED = "decided"
    EXPIRED = "expired"
    EMERGENCY = "emergency"


WAITS = frozenset({Event.OPENED, Event.ESCALATED})
"""Told so that somebody decides: nobody needs it once that was done."""
