"""What a row of the requirement table is, and how its answer is said."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from extproc.audit.evidence.subject import Subject


class Status(StrEnum):
    """What the facts of the period say, never more."""

    ENFORCED = "enforced"
    """The service itself made it so, and the period's facts show it at work."""
    SUPPORTED = "supported"
    """The service does its part or says what it knows; the rest is done elsewhere, or the facts show no case."""
    NOT_COVERED = "not covered"
    """Nothing here meets it."""


Value = str | int


@dataclass(frozen=True, slots=True)
class Judgement:
    """`by`: what makes it so. `facts`: the numbers that the status was taken from. `limits`: what it does not mean."""

    status: Status
    by: tuple[str, ...]
    facts: dict[str, Value]
    limits: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Requirement:
    """`number` is PCI DSS v4.0.1's, `old` v3.2.1's (`new`: it had none). `title` is our wording, not the standard's."""

    number: str
    old: str
    title: str
    judge: Callable[[Subject], Judgement]


def judged(
    *steps: tuple[Status, bool], by: tuple[str, ...], facts: dict[str, Value], limits: tuple[str, ...] = ()
) -> Judgement:
    """The first status whose condition holds; `NOT_COVERED` when none does."""
    status = next((status for status, holds in steps if holds), Status.NOT_COVERED)
    return Judgement(status, by, facts, limits)
