"""YAML bytes to plain values that know where they stand. Shared by the policy and the settings; opens no file.

A document says what JSON can say, with comments: mappings with text keys, lists, text, numbers, `true`, `false`,
`null` (the core schema of YAML 1.2, so `no` is text). What could be read in two ways is a problem, never a guess:
duplicate keys, anchors and aliases, tags, merge keys, several documents.
"""

import re
from collections.abc import Iterator
from typing import Any

import yaml

from extproc.core.document import Path, Position, Report

MAX_DOCUMENT_BYTES = 1024 * 1024
"""What a Kubernetes ConfigMap may hold."""
MAX_DEPTH = 16
"""Nesting; the deepest legal value stands at 6."""
MAX_VALUES = 50_000
"""Keys and values of one document: bounds the time of a parse, which shares a process with live exchanges."""

_INTEGER = re.compile(r"[-+]?(?:0|[1-9][0-9]{0,17})")
_FLOAT = re.compile(r"[-+]?(?:0|[1-9][0-9]{0,17})\.[0-9]{1,18}(?:[eE][-+]?[0-9]{1,2})?")
_WORDS: tuple[tuple[str, bool | None], ...] = (("null", None), ("true", True), ("false", False))
_CONSTANTS: dict[str, bool | None] = {s: value for word, value in _WORDS for s in (word, word.title(), word.upper())}
_CONSTANTS |= {"": None, "~": None}
_QUOTED_BEGIN = re.compile(r"""\s*(?:- )?\s*\w+:\s+(?:"[^"]*"|'[^']*')\s*[^\s#]""")


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
