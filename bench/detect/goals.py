"""A measured number with its goal."""

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Goal:
    """`value` has to be at least or at most `goal`, both in `unit`."""

    measure: str
    unit: str
    value: float
    goal: float
    at_least: bool

    @property
    def met(self) -> bool:
        return self.value >= self.goal if self.at_least else self.value <= self.goal

    def as_row(self) -> tuple[str, ...]:
        sign = ">=" if self.at_least else "<="
        return (self.measure, self.unit, f"{self.value:.4g}", f"{sign} {self.goal:g}", "met" if self.met else "MISSED")

    def as_json(self) -> dict[str, Any]:
        return {**asdict(self), "met": self.met}


def verdict(goals: Iterable[Goal]) -> int:
    """The exit code: 0 when every goal is met, 1 when one is not, 2 when there was none to judge."""
    met = [goal.met for goal in goals]
    return 2 if not met else 0 if all(met) else 1
