"""What a row of the requirement table is, and how its answer is said."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import StrEnum

from extproc.audit.evidence.subject import Subject


class Status(StrEnum):
    """What the facts of the period say, never more."""

    ENFORCED = "enforced"
    """The service itself made it so, and the period's facts show it at work."""
    SUPPORTED = "supported"
    """The service does its part or says what it knows; the rest is done elsewhere, or the facts show no case."""
    NOT_PROVEN = "not proven"
    """It rests on records, and the log of the period does not hold: the verifier or an anchor has a finding."""
    NOT_SHOWN = "not shown in this period"
    """The period has no record: today's settings say nothing of it."""
    NOT_COVERED = "not covered"
    """Nothing here meets it."""


class Basis(StrEnum):
    """What an answer is taken from."""

    RECORDS = "records"
    SETTINGS = "settings"
    """And the keys: what is in force now, whatever the log says."""


Value = str | int


@dataclass(frozen=True, slots=True)
class Judgement:
    """`by`: what makes it so. `facts`: the numbers that the status was taken from. `limits`: what it does not mean."""

    status: Status
    by: tuple[str, ...]
    facts: dict[str, Value]
    limits: tuple[str, ...] = ()

    def instead(self, status: Status, why: str) -> "Judgement":
        """With another status, its reason the first of the limits."""
        return replace(self, status=status, limits=(why, *self.limits))


@dataclass(frozen=True, slots=True)
class Requirement:
    """`number` is PCI DSS v4.0.1's, `old` v3.2.1's (`new`: it had none). `title` is our wording, not the standard's."""

    number: str
    old: str
    title: str
    judge: Callable[[Subject], Judgement]
    basis: Basis = Basis.RECORDS

    def answer(self, subject: Subject) -> Judgement:
        """What the facts say, as far as the log that they are counted from holds."""
        judgement = self.judge(subject)
        if judgement.status is Status.NOT_COVERED:
            return judgement
        if subject.facts.records == 0:
            return judgement.instead(Status.NOT_SHOWN, "the period has no record; today's settings do not show it")
        doubt = subject.doubt()
        if doubt and self.basis is Basis.RECORDS:
            return judgement.instead(Status.NOT_PROVEN, f"{doubt}: what records say is not proven")
        return judgement


def judged(
    *steps: tuple[Status, bool], by: tuple[str, ...], facts: dict[str, Value], limits: tuple[str, ...] = ()
) -> Judgement:
    """The first status whose condition holds; `NOT_COVERED` when none does."""
    status = next((status for status, holds in steps if holds), Status.NOT_COVERED)
    return Judgement(status, by, facts, limits)
