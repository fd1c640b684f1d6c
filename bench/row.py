"""One line of the table."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table. `budget` is of `value`, in its unit; None where the design sets none."""

    measure: str
    unit: str
    floor: float | None
    value: float | None
    ratio: float | None
    budget: float | None
    budget_of: str

    @property
    def met(self) -> bool | None:
        return None if self._judged is None or self.budget is None else self._judged <= self.budget

    @property
    def off_by(self) -> str:
        """How far over its budget; `met` within it, empty without one."""
        if self._judged is None or not self.budget:
            return ""
        return "met" if self.met else f"+{(self._judged / self.budget - 1) * 100:.0f} %"

    @property
    def _judged(self) -> float | None:
        return self.ratio if self.budget_of == "ratio" else self.value


def plain(measure: str, unit: str, value: float, budget: float | None = None) -> Row:
    """A measure that has no floor to stand beside."""
    return Row(measure, unit, None, value, None, budget, "value")
