"""A document's plain values, where each stands, and what is wrong with it. `document_reader` makes it of YAML."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

MAX_PROBLEMS = 200
"""Problems reported of one document; a person reads them."""

_MAX_BETWEEN = 400
"""Characters of indentation and line ends between two of a scalar."""
_EXCERPT = 100
"""Characters of a line that is shown."""

Path = tuple[str | int, ...]
Position = tuple[int, int]

_CARD_LIKE = re.compile(r"[0-9](?:[ -]?[0-9]){11,}")


@dataclass(frozen=True, slots=True)
class Problem:
    """What is wrong and where. `line` and `column` count from 1; `path` is like `rules[1].hold.wait`; `hint` may be
    empty. `excerpt` is empty, or a line of the text and under it a line with a caret.
    """

    path: str
    line: int
    column: int
    message: str
    hint: str = ""
    excerpt: str = ""

    def __str__(self) -> str:
        hint = f" ({self.hint})" if self.hint else ""
        return f"{self.line}:{self.column}: {self.path}: {self.message}{hint}"


class DocumentInvalid(Exception):
    """A document with problems, all of them, in the order of the text."""

    def __init__(self, problems: tuple[Problem, ...]) -> None:
        super().__init__("\n".join(str(problem) for problem in problems))
        self.problems = problems


def quoted(value: object) -> str:
    """`value` in backticks for a message: printable, at most 60 characters, no digits as many as a card number has."""
    text = value if isinstance(value, str) else str(value).lower()
    text = _CARD_LIKE.sub("…", "".join(c if c.isprintable() and c != "`" else "·" for c in text[:200]))
    return f"`{text if len(text) <= 60 else text[:59] + '…'}`"


def written(path: Path) -> str:
    """The path as a person writes it. The empty path is `(document)`."""
    text = "".join(f"[{step}]" if isinstance(step, int) else f".{quoted(step)[1:-1]}" for step in path)
    return text.removeprefix(".") or "(document)"


def position_within(text: str, start: Position, value: str, at: int) -> Position:
    """Where character `at` of `value` stands in `text`, in which the scalar with that value begins at `start`.

    Quotes, escapes, indentation and folded lines of YAML stand between; where they cannot be followed, `start`.
    """
    lines = text.split("\n")
    here = sum(len(line) + 1 for line in lines[: start[0] - 1]) + start[1] - 1
    if text[here : here + 1] in {"|", ">"}:
        here = text.find("\n", here) + 1
    for index, char in enumerate(value):
        if not char.isspace():
            found = text.find(char, here, here + _MAX_BETWEEN)
            if found < 0:
                return start
            here = found
        if index == at:
            return _position(text, here)
        # A folded line is a space; the next character is found behind it.
        here += text[here : here + 1] == char
    return _position(text, here)


def _position(text: str, offset: int) -> Position:
    return text.count("\n", 0, offset) + 1, offset - text.rfind("\n", 0, offset)


def excerpt_of(value: str, at: int) -> str:
    """The line of `value` around character `at`, and a caret under it; long digits are not shown."""
    begin = value.rfind("\n", 0, at) + 1
    line = value[begin:].split("\n", 1)[0]
    first = max(0, at - begin - _EXCERPT // 2)
    shown = "".join(c if c.isprintable() else " " for c in line[first : first + _EXCERPT])
    shown = _CARD_LIKE.sub(lambda found: "…" * len(found[0]), shown)
    return f"{shown}\n{' ' * (at - begin - first)}^"


@dataclass(slots=True)
class Report:
    """A document's value with the place of every key and value, and the problems found in it so far."""

    value: Any = None
    keys: dict[Path, Position] = field(default_factory=dict)
    places: dict[Path, Position] = field(default_factory=dict)
    text: str = field(default="", repr=False)
    _problems: dict[Problem, None] = field(default_factory=dict)
    _touched: set[Path] = field(default_factory=set)

    def add(
        self, path: Path, message: str, hint: str = "", *, position: Position | None = None, excerpt: str = ""
    ) -> None:
        """Note a problem at `path`; one at a missing key stands where its mapping begins."""
        line, column = position or self._place(path)
        self._problems.setdefault(Problem(written(path), line, column, message, hint, excerpt))
        self._touched.update(path[:length] for length in range(len(path) + 1))

    def add_key(self, path: Path, message: str, hint: str = "") -> None:
        """Note a problem of a key rather than of its value."""
        self.add(path, message, hint, position=self.keys.get(path))

    def add_within(self, path: Path, at: int, message: str, hint: str = "") -> None:
        """Note a problem at character `at` of the text at `path`, with an excerpt."""
        value = self._look(path)
        if isinstance(value, str):
            position = position_within(self.text, self._place(path), value, at)
            self.add(path, message, hint, position=position, excerpt=excerpt_of(value, at))

    def section(self, path: Path, name: str) -> "Report":
        """The mapping at `path` as a document whose only key is `name`, with the places and problems it has here."""

        def moved(old: Path) -> Path:
            return (name, *old[len(path) :])

        def inside(all_of: dict[Path, Position]) -> dict[Path, Position]:
            return {moved(each): place for each, place in all_of.items() if each[: len(path)] == path}

        touched = {moved(each) for each in self._touched if each[: len(path)] == path}
        return Report({name: self._look(path)}, inside(self.keys), inside(self.places), self.text, {}, touched)

    def adopt(self, section: "Report", path: Path) -> None:
        """Note what was found in a `section` of this document, at `path`, where it stands here."""
        (name,) = section.value
        found, touched = section._problems, section._touched  # noqa: SLF001 - of its own class
        for problem in found:
            here = written(path) + problem.path.removeprefix(name)
            self._problems.setdefault(replace(problem, path=here))
        self._touched.update(path[:length] for length in range(len(path)) if touched)
        self._touched.update((*path, *each[1:]) for each in touched if each)

    def clean(self, path: Path) -> bool:
        """No problem was found at `path` or below."""
        return path not in self._touched

    def sound(self, path: Path) -> Any:
        """The value at `path`, or None where there is none or a problem was found at or below it."""
        return self._look(path) if self.clean(path) else None

    def items(self, path: Path) -> Iterator[Path]:
        """The paths of the items of the list at `path`, sound or not; none where there is no list."""
        found = self._look(path)
        return ((*path, index) for index in range(len(found) if isinstance(found, list) else 0))

    def _look(self, path: Path) -> Any:
        value = self.value
        for step in path:
            try:
                value = value[step]
            except (KeyError, IndexError, TypeError):
                return None
        return value

    @property
    def problems(self) -> tuple[Problem, ...]:
        """All problems in the order of the text; beyond `MAX_PROBLEMS` only their number."""
        found = sorted(self._problems, key=lambda problem: (problem.line, problem.column))
        if len(found) <= MAX_PROBLEMS:
            return tuple(found)
        last = found[MAX_PROBLEMS - 1]
        rest = f"{len(found) - MAX_PROBLEMS} further problems are not shown"
        return (*found[:MAX_PROBLEMS], Problem("(document)", last.line, last.column, rest))

    def _place(self, path: Path) -> Position:
        for length in range(len(path), -1, -1):
            if path[:length] in self.places:
                return self.places[path[:length]]
        return (1, 1)
