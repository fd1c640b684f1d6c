"""A `when`: a boolean expression in CEL."""

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Condition:
    """The text of a `when` and what it was compiled to. Two with equal text are equal."""

    source: str
    program: Any = field(default=None, repr=False, compare=False)
