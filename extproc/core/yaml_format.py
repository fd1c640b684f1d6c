"""The canonical form of a document: two blanks an indentation, keys in the order of the schema, comments kept.

The form is shown to mean the same before it is given out: the values that the document parses to are equal, and every
comment is still there. Quoting, flow or block style, and the order of lists stay as their writer chose them.
"""

import functools
import json
import operator
import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeVar

import yaml

from extproc.core.document import Problem
from extproc.core.document_reader import parse_document
from extproc.core.schema import load_schema
from extproc.core.yaml_tree import BLANK, Block, Entry, Tree, Unwritable, block_scalar_end, read_tree

WIDTH = 120
"""A collection in flow style that is longer is written in block style."""
_STEP = 2
_SCHEMAS = {"Policy": "policy", "PolicyTests": "tests"}

_T = TypeVar("_T")


class FormatRefused(Exception):
    """The document cannot be formatted; `problems` say why, with their places."""

    def __init__(self, problems: tuple[Problem, ...]) -> None:
        super().__init__("\n".join(map(str, problems)))
        self.problems = problems


def format_document(data: bytes) -> str:
    """The canonical form of the document in `data`; itself for a document that has it. Raises `FormatRefused`."""
    report = parse_document(data)
    if report.problems:
        raise FormatRefused(report.problems)
    text = data.decode("utf-8-sig").replace("\r\n", "\n")
    kind = report.value.get("kind") if isinstance(report.value, dict) else None
    schema = load_schema(_SCHEMAS[kind]) if isinstance(kind, str) and kind in _SCHEMAS else {}
    try:
        tree = read_tree(text)
        formatted = _Writer(tree).write(_Shape(schema))
        after = read_tree(formatted)
    except (Unwritable, yaml.YAMLError) as error:
        why = str(error) if isinstance(error, Unwritable) else "the form that it would have is not valid"
        raise _refused(f"cannot be formatted: {why}") from None
    if _canonical(parse_document(formatted.encode()).value) != _canonical(report.value):
        raise _refused("cannot be formatted: it would mean something else")
    if Counter(after.comments.values()) != Counter(tree.comments.values()):
        raise _refused("cannot be formatted: a comment would be lost")
    return formatted


def _refused(message: str) -> FormatRefused:
    return FormatRefused((Problem("(document)", 1, 1, message, "the file is left as it is"),))


def _canonical(value: Any) -> str:
    """Equal for equal documents only: `1`, `1.0` and `true` are three values."""
    return json.dumps(value, sort_keys=True)


class _Shape:
    """A part of a JSON Schema: the order of the keys that it knows, and the parts below it."""

    def __init__(self, schema: Mapping[str, Any], root: Mapping[str, Any] | None = None) -> None:
        self._root = schema if root is None else root
        while "$ref" in schema:
            schema = functools.reduce(operator.getitem, schema["$ref"].removeprefix("#/").split("/"), self._root)
        self._schema = schema.get("then", schema)

    def ordered(self, pairs: Iterable[_T], key_of: Callable[[_T], Any]) -> list[_T]:
        """In the order of the schema, behind them the keys that it does not know, as they stand."""
        order = {name: at for at, name in enumerate(self._schema.get("properties", {}))}
        return sorted(pairs, key=lambda pair: order.get(str(key_of(pair).value), len(order)))

    def below(self, key: Any) -> "_Shape":
        """What a key's value must be like; `key` is None for the items of a list."""
        if key is None:
            return self._part(self._schema.get("items"))
        known = self._schema.get("properties", {})
        return self._part(known.get(str(key.value), self._schema.get("additionalProperties")))

    def _part(self, schema: object) -> "_Shape":
        return _Shape(schema if isinstance(schema, dict) else {}, self._root)


class _Writer:
    def __init__(self, tree: Tree) -> None:
        self._tree = tree
        self._text = tree.text
        self._lines: list[str] = []

    def write(self, shape: _Shape) -> str:
        root = self._tree.root
        if self._tree.explicit:
            self._lines.append("---")
        self._comments(self._tree.prologue, 0)
        if root.block is not None:
            self._block(root.value, root.block, 0, shape)
        else:
            self._value(root, "", 0, shape)
            self._comments(root.head, 0)
        return "\n".join(self._lines) + "\n"

    def _comments(self, comments: list[str], indent: int) -> None:
        for comment in comments:
            if comment != BLANK:
                self._lines.append(" " * indent + comment)
            elif self._lines and self._lines[-1] != "":
                self._lines.append("")

    def _block(self, node: Any, block: Block, indent: int, shape: _Shape, lead: str = "") -> None:
        """`lead` is what stands on the first line already: the dashes of the items that the block is in."""
        mapping = isinstance(node, yaml.MappingNode)
        entries = shape.ordered(block.entries, lambda entry: entry.key) if mapping else block.entries
        for number, entry in enumerate(entries):
            start = " " * indent
            if number:
                self._comments(entry.head, indent)
            else:
                # A blank line above the first says nothing; a comment stands above the dash that the first follows.
                start = lead or start
                self._comments([each for each in entry.head if each != BLANK], len(start) - len(start.lstrip(" ")))
            mark = "-" if entry.key is None else f"{self._tree.source(entry.key)}:"
            self._value(entry, start + mark, indent, shape.below(entry.key))
        self._comments(block.foot, indent)

    def _value(self, entry: Entry, start: str, indent: int, shape: _Shape) -> None:
        """`start` ends with the colon or the dash that the value follows."""
        node = entry.value
        behind = f" {entry.trailing}" if entry.trailing else ""
        gap = " " if start else ""
        if entry.block is not None:
            self._nested(entry, start, indent, shape, behind)
        elif isinstance(node, yaml.CollectionNode):
            self._flow(node, start + gap, indent, shape, behind)
        elif node.style in ("|", ">"):
            self._literal(node, entry, start + gap, indent, behind)
        elif node.start_mark.index == node.end_mark.index and not self._tree.source(node):
            self._lines.append(start + behind)
        else:
            self._verbatim(self._tree.source(node), start + gap, indent, behind)

    def _nested(self, entry: Entry, start: str, indent: int, shape: _Shape, behind: str) -> None:
        block = entry.block
        assert block is not None  # noqa: S101 - the caller looked
        if entry.key is None and start:
            self._block(entry.value, block, len(start) + 1, shape, f"{start} ")
            return
        self._lines.append(start + behind)
        self._block(entry.value, block, indent + _STEP, shape)

    def _flow(self, node: Any, start: str, indent: int, shape: _Shape, behind: str) -> None:
        line = None if self._tree.has_comment(node) else self._one_line(node, shape)
        if line is None:
            self._verbatim(self._tree.source(node), start, indent, behind)
        elif len(start) + len(line) <= WIDTH or not node.value:
            self._lines.append(start + line + behind)
        else:
            self._unfold(node, start, indent, shape, behind)

    def _one_line(self, node: Any, shape: _Shape) -> str | None:
        """The node on one line; None where it holds a scalar that takes several."""
        if isinstance(node, yaml.ScalarNode):
            source = self._tree.source(node)
            return None if "\n" in source else source
        if isinstance(node, yaml.SequenceNode):
            items = [self._one_line(item, shape.below(None)) for item in node.value]
            return None if None in items else f"[{', '.join(map(str, items))}]"
        pairs = shape.ordered(node.value, lambda pair: pair[0])
        keys = [self._one_line(key, shape) for key, _ in pairs]
        values = [self._one_line(value, shape.below(key)) for key, value in pairs]
        if None in keys or None in values:
            return None
        return "{" + ", ".join(f"{key}: {value}" for key, value in zip(keys, values, strict=True)) + "}"

    def _unfold(self, node: Any, start: str, indent: int, shape: _Shape, behind: str) -> None:
        """A collection in flow style that is too long for a line, in block style."""
        mapping = isinstance(node, yaml.MappingNode)
        pairs = node.value if mapping else [(None, item) for item in node.value]
        block = Block([Entry(0, 0, key, value) for key, value in pairs])
        if start.endswith("- "):
            self._comments([behind.strip()] if behind else [], indent)
            self._block(node, block, len(start), shape, start)
        elif start:
            self._lines.append(start.rstrip(" ") + behind)
            self._block(node, block, indent + _STEP, shape)
        else:
            self._block(node, block, indent, shape)

    def _literal(self, node: Any, entry: Entry, start: str, indent: int, behind: str) -> None:
        begin = self._tree.offset(node.start_mark)
        parent = entry.column
        end, column = block_scalar_end(self._text, node, begin, parent)
        header = re.match(r"[|>][-+0-9]*", self._text[begin : begin + 8])
        self._lines.append(start + (header[0] if header else "") + behind)
        digits = re.sub("[^0-9]", "", header[0]) if header else ""
        wanted = indent + (int(digits) if digits else _STEP)
        body = self._text[begin:end].split("\n")[1:]
        for line in body:
            kept = line[column:] if column >= 0 else ""
            self._lines.append(" " * wanted + kept if kept else "")

    def _verbatim(self, source: str, start: str, indent: int, behind: str) -> None:
        """A value as it stands; where it takes several lines, the further ones two blanks in from its key."""
        first, *rest = source.split("\n")
        if not rest:
            self._lines.append(start + first + behind)
            return
        least = min((len(line) - len(line.lstrip(" ")) for line in rest if line.strip()), default=0)
        self._lines.append(start + _trimmed(first))
        self._lines += [" " * (indent + _STEP) + _trimmed(line[least:]) if line.strip() else "" for line in rest]
        self._lines[-1] += behind


def _trimmed(line: str) -> str:
    """Without blanks at its end; a backslash before them makes them part of a quoted text."""
    bare = line.rstrip(" \t")
    return line if bare.endswith("\\") else bare
