"""YAML bytes to plain values that know where they stand. Shared by the policy and the settings; opens no file.

A document says what JSON can say, with comments: mappings with text keys, lists, text, numbers, `true`, `false`,
`null` (the core schema of YAML 1.2, so `no` is text). What could be read in two ways is a problem, never a guess:
duplicate keys, anchors and aliases, tags, merge keys, several documents.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import yaml

MAX_DOCUMENT_BYTES = 1024 * 1024
"""What a Kubernetes ConfigMap may hold."""
MAX_DEPTH = 16
"""Nesting; the deepest legal value stands at 6."""
MAX_VALUES = 50_000
"""Keys and values of one document: bounds the time of a parse, which shares a process with live exchanges."""
MAX_PROBLEMS = 200
"""Problems reported of one document; a person reads them."""

_MAX_BETWEEN = 400
"""Characters of indentation and line ends between two of a scalar."""
_EXCERPT = 100
"""Characters of a line that is shown."""

Path = tuple[str | int, ...]
Position = tuple[int, int]

_INTEGER = re.compile(r"[-+]?(?:0|[1-9][0-9]{0,17})")
_FLOAT = re.compile(r"[-+]?(?:0|[1-9][0-9]{0,17})\.[0-9]{1,18}(?:[eE][-+]?[0-9]{1,2})?")
_WORDS: tuple[tuple[str, bool | None], ...] = (("null", None), ("true", True), ("false", False))
_CONSTANTS: dict[str, bool | None] = {s: value for word, value in _WORDS for s in (word, word.title(), word.upper())}
_CONSTANTS |= {"": None, "~": None}
_QUOTED_BEGIN = re.compile(r"""\s*(?:- )?\s*\w+:\s+(?:"[^"]*"|'[^']*')\s*[^\s#]""")
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


class _Stop(Exception):
    """The rest of the document cannot be read; the problem is noted."""


def parse_document(data: bytes) -> Report:
    """Read one document. Where it cannot be read, `value` is None and `problems` says why; nothing is raised."""
    report = Report()
    if len(data) > MAX_DOCUMENT_BYTES:
        report.add((), f"the document is larger than {MAX_DOCUMENT_BYTES // 1024} KiB")
        return report
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        report.add((), "the document is not UTF-8", position=(data.count(b"\n", 0, error.start) + 1, 1))
        return report
    report.text = text
    try:
        _Builder(report, yaml.parse(text, Loader=yaml.CSafeLoader)).build()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        position = (mark.line + 1, mark.column + 1) if mark else (1, 1)
        report.value = None
        hint = _slip(text, position)
        report.add((), f"not valid YAML: {error.problem or error.context}", hint, position=position)
    except yaml.reader.ReaderError as error:
        report.value = None
        line = text.encode().count(b"\n", 0, error.position) + 1
        report.add((), "the document holds a control character", position=(line, 1))
    except _Stop:
        report.value = None
    return report


def _slip(text: str, position: Position) -> str:
    """What to do about a mistake that is often made, where the line looks like it."""
    lines = text.splitlines()
    line = lines[position[0] - 1] if position[0] <= len(lines) else ""
    if "\t" in line[: len(line) - len(line.lstrip())] or line[position[1] - 1 : position[1]] == "\t":
        return "indent with blanks, not with a tab"
    if _QUOTED_BEGIN.match(line):
        return (
            "a value that begins with a quote ends with it: put all of it in single quotes, as in `when: '\"x\" in y'`"
        )
    return ""


class _Builder:
    """Turns parser events into values, within the bounds, with every refusal noted in the report."""

    def __init__(self, report: Report, events: Iterator[Any]) -> None:
        self._report = report
        self._events = events
        self._left = MAX_VALUES

    def build(self) -> None:
        next(self._events)  # the start of the stream
        if not isinstance(next(self._events), yaml.DocumentStartEvent):
            self._stop((), "the document is empty", (1, 1))
        self._report.value = self._value(next(self._events), (), 0)
        next(self._events)  # the end of the document
        further = next(self._events)
        if isinstance(further, yaml.DocumentStartEvent):
            self._stop((), "a second document begins here", _start(further), "one file holds one document")

    def _stop(self, path: Path, message: str, position: Position, hint: str = "") -> None:
        self._report.add(path, message, hint, position=position)
        raise _Stop

    def _value(self, event: Any, path: Path, depth: int) -> Any:
        self._left -= 1
        if self._left < 0:
            self._stop((), f"the document holds more than {MAX_VALUES} values", _start(event))
        if depth > MAX_DEPTH:
            self._stop((), f"the document is nested deeper than {MAX_DEPTH}", _start(event))
        if isinstance(event, yaml.AliasEvent) or event.anchor is not None:
            self._stop(path, "anchors and aliases are not supported", _start(event), "write the value out")
        if event.tag is not None:
            self._stop(path, "tags are not supported", _start(event))
        self._report.places.setdefault(path, _start(event))
        if isinstance(event, yaml.ScalarEvent):
            return _scalar(event.value) if event.implicit[0] else event.value
        if isinstance(event, yaml.SequenceStartEvent):
            return self._list(path, depth)
        return self._mapping(path, depth)

    def _list(self, path: Path, depth: int) -> list[Any]:
        items: list[Any] = []
        while not isinstance(event := next(self._events), yaml.SequenceEndEvent):
            items.append(self._value(event, (*path, len(items)), depth + 1))
        return items

    def _mapping(self, path: Path, depth: int) -> dict[str, Any]:
        entries: dict[str, Any] = {}
        while not isinstance(event := next(self._events), yaml.MappingEndEvent):
            position = _start(event)
            key = self._value(event, path, depth + 1)
            value_path = (*path, key) if isinstance(key, str) else path
            if not isinstance(key, str):
                self._report.add(path, "a key must be text", "quote it", position=position)
            elif key in entries:
                line = self._report.keys[value_path][0]
                self._report.add(value_path, f"the key is given twice, first in line {line}", position=position)
            else:
                self._report.keys.setdefault(value_path, position)
            value = self._value(next(self._events), value_path, depth + 1)
            if isinstance(key, str):
                entries.setdefault(key, value)
        return entries


def _start(event: Any) -> Position:
    return event.start_mark.line + 1, event.start_mark.column + 1


def _scalar(text: str) -> Any:
    """A plain scalar by the core schema of YAML 1.2; octal, hexadecimal, infinity and dates stay text."""
    if text in _CONSTANTS:
        return _CONSTANTS[text]
    if _INTEGER.fullmatch(text):
        return int(text)
    if _FLOAT.fullmatch(text):
        return float(text)
    return text
