"""`values.yaml` as its readers want it: every value with the text over it, its default, and what is said of its type.

Over each key stands a comment that begins with `# --`; a line `# @schema {…}` in it says of the type what the default does
not. A key whose comment has such a line is a leaf, whatever it holds, unless the line says nothing of what is inside.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

CHART = Path(__file__).parents[2] / "helm" / "extproc"
_SAYS_INSIDE = {"$ref", "additionalProperties", "items"}
_TEXT = "-- "
_TYPE = "@schema "


class Undocumented(ValueError):
    """A value without a text, or with a type that nobody can tell."""


@dataclass(frozen=True, slots=True)
class Value:
    """A key of values.yaml."""

    path: tuple[str, ...]
    text: str
    default: Any
    said: dict[str, Any] = field(default_factory=dict)
    """What `@schema` says."""
    children: tuple["Value", ...] = ()
    """Of a mapping that is closed; none: a leaf."""

    @property
    def key(self) -> str:
        return self.path[-1]

    def leaves(self) -> Iterator["Value"]:
        if not self.children:
            yield self
        for child in self.children:
            yield from child.leaves()


def read_values(path: Path = CHART / "values.yaml") -> tuple[Value, ...]:
    """Raises `Undocumented`, with the line."""
    text = path.read_text("utf-8")
    root = yaml.compose(text, yaml.SafeLoader)
    assert isinstance(root, yaml.MappingNode)
    return tuple(_read(root, (), text.splitlines(), yaml.safe_load(text)))


def _read(node: yaml.MappingNode, above: tuple[str, ...], lines: list[str], values: Any) -> Iterator[Value]:
    for key, value in node.value:
        path = (*above, key.value)
        text, said = _comment(lines, key.start_mark.line, path)
        default = values[key.value]
        inside = isinstance(value, yaml.MappingNode) and value.value and not _SAYS_INSIDE & set(said)
        if not inside and not said and default in ({}, [], None):
            raise Undocumented(f"{'.'.join(path)}: nothing says what may stand in it: add `# @schema {{…}}`")
        children = tuple(_read(value, path, lines, default)) if inside else ()
        yield Value(path, text, default, said, children)


def _comment(lines: list[str], line: int, path: tuple[str, ...]) -> tuple[str, dict[str, Any]]:
    first = line
    while first and re.match(r"\s*#", lines[first - 1]):
        first -= 1
    comment = [each.strip().removeprefix("#").strip() for each in lines[first:line]]
    text = [each for each in comment if not each.startswith(_TYPE)]
    if not text or not text[0].startswith(_TEXT):
        raise Undocumented(f"{'.'.join(path)} (line {line + 1}): the comment over it must begin with `# --`")
    said: dict[str, Any] = {}
    for each in comment:
        if each.startswith(_TYPE):
            said |= yaml.safe_load(each.removeprefix(_TYPE))
    return " ".join(text).removeprefix(_TEXT), said
