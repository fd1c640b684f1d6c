"""What the scanner masks in the real text of `corpus` and why that is right, or chance: `explained.toml`."""

import tomllib
from collections.abc import Iterable
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

from extproc.core.masking.settings import Kind

LIST = Path(__file__).with_name("explained.toml")


@dataclass(frozen=True, slots=True)
class Masked:
    """A place in a text that is masked; no digit of it. `offset` and `end` count characters."""

    source: str
    path: str
    offset: int
    end: int
    kind: Kind


@dataclass(frozen=True, slots=True)
class Explanation:
    """`path` may hold `*`. Without an `offset` every place of that `kind` in the file is meant.

    `card`: it is a card number, or is meant as one. Otherwise it is none, and masked for `reason`.
    """

    source: str
    path: str
    kind: Kind
    reason: str
    card: bool
    offset: int | None = None

    def covers(self, one: Masked) -> bool:
        return (
            (self.source, self.kind) == (one.source, one.kind)
            and self.offset in {None, one.offset}
            and fnmatchcase(one.path, self.path)
        )


def read_explanations(path: Path = LIST) -> list[Explanation]:
    """Raises `TypeError` and `ValueError` for entries that say too little or too much."""
    rows = tomllib.loads(path.read_text("utf-8")).get("explained", [])
    return [Explanation(**{**row, "kind": Kind(row["kind"])}) for row in rows]


def explain(one: Masked, explanations: Iterable[Explanation]) -> Explanation | None:
    return next((each for each in explanations if each.covers(one)), None)
