"""A `when`: a boolean expression in CEL, compiled. `extproc.core.policy.compiler` makes it."""

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Comparison:
    """`field`, such as `request.model`, is compared with a `text` that is written at `at` (code points from 0), or with
    the items of the document's list `listed`. Of `principal.groups` one item is compared.
    """

    field: str
    at: int
    text: str = ""
    listed: str = ""


@dataclass(frozen=True, slots=True)
class Condition:
    """The text of a `when` and what it was compiled to. Two with equal text are equal."""

    source: str
    program: Any = field(default=None, repr=False, compare=False)
    names: frozenset[str] = field(default=frozenset(), repr=False, compare=False)
    """The variables that it names, such as `request` and `lists.cards`."""
    comparisons: tuple[Comparison, ...] = field(default=(), repr=False, compare=False)
    """What it compares with what a request can be."""

    def holds(self, activation: Any) -> bool | None:
        """Whether it holds; None where that cannot be told: a division by zero, an overflow, `dyn` gone wrong."""
        try:
            value = self.program.eval(activation).value()
        except Exception:  # noqa: BLE001 - foreign code; what it raises is no answer, and its caller fails closed
            return None
        return value if isinstance(value, bool) else None
