"""A masker, and the table of surfaces: TOML in `surfaces/`, one entry a surface, read into objects that tests share.

In the wire texts of a surface `§` stands for a text (escaped as JSON wants it) and `№` for the number of a piece. A
`read` is a path to a text: a step names a key, `*` takes every element of a list, `?key=value` keeps the objects in
which the key has the value.
"""

import json
import re
import tomllib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import zip_longest
from pathlib import Path
from typing import Any

import pytest

from extproc.core.dialects.response import open_response
from extproc.core.masking.masker import Masker
from extproc.core.masking.scanner import Scanner
from extproc.core.masking.settings import MaskingSettings
from extproc.core.policy import Operation
from extproc.core.snapshot import Limits

SSE = "text/event-stream"
TABLE = Path(__file__).with_name("surfaces")
SCANNER = Scanner(MaskingSettings())


def as_json_writes(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)[1:-1]


@dataclass(frozen=True)
class Text:
    """One text of a stream: the wire form of a piece, where a client reads it, and whether it is JSON."""

    delta: str
    read: tuple[str, ...]
    json: bool

    def whole(self, text: str) -> str:
        """What a text says for `text`: itself, or a JSON document around it. A document stays what it is."""
        plain = not self.json or text.startswith("{")
        return text if plain else json.dumps({"what": text, "ok": True}, ensure_ascii=False)


@dataclass(frozen=True)
class Stream:
    surface: str
    name: str
    operation: Operation
    type: str
    start: str
    last: str
    after: str
    again: tuple[tuple[str, ...], ...]
    whole_texts: bool
    texts: tuple[Text, ...]

    def wire(self, text: str, cut: Callable[[str], list[str]], written: Callable[[str], str] = as_json_writes) -> bytes:
        """The stream in which each text says `text`, cut by `cut` and `written` into JSON; the texts take turns."""
        pieces = [cut(each.whole(text)) for each in self.texts]
        frames = [_fill(self.start, self._repeated(text), 0, written)]
        number = 2
        for turn in zip_longest(*pieces):
            for each, piece in zip(self.texts, turn, strict=True):
                if piece is not None:
                    number += 1
                    frames.append(_fill(each.delta, piece, number, written))
        return "".join([*frames, _fill(self.last, self._repeated(text), 0, written)]).encode()

    def expected(self, each: Text, text: str) -> str:
        """What a client shall have in the end of one text: the masked whole, by a masker of its own."""
        return _masked(each.whole(text) + self.after, is_json=each.json)

    def expected_again(self, text: str) -> str:
        """What the events that say a text again shall say."""
        return _masked(self._repeated(text), is_json=all(each.json for each in self.texts))

    def _repeated(self, text: str) -> str:
        return (self.texts[0].whole(text) if all(each.json for each in self.texts) else text) + self.after

    def passed(self, wire: bytes, cuts: list[int]) -> bytes:
        """What reaches the client of a wire that comes in pieces which end at `cuts`."""
        body = open_response(self.operation, 200, self.type, SCANNER.masker(), Limits())
        out = []
        start = 0
        for end in [*cuts, len(wire)]:
            out.append(bytes(body.feed(wire[start:end])))
            start = end
        return b"".join([*out, bytes(body.finish())])

    def __str__(self) -> str:
        return f"{self.surface}: {self.name}"

    def find(self, document: Any, path: tuple[str, ...]) -> Iterator[str]:
        return find(document, path)

    def events(self, wire: bytes) -> list[tuple[str, Any]]:
        """The name (empty for most) and the document of every event that carries JSON, in order."""
        text = re.sub("\r\n|\r", "\n", wire.decode())
        found = []
        for block in text.split("\n\n" if self.type == SSE else "\n"):
            lines = block.split("\n")
            data = "".join(line.removeprefix("data:").strip() for line in lines if not line.startswith("event:"))
            name = "".join(line.removeprefix("event:").strip() for line in lines if line.startswith("event:"))
            if name or data.startswith("{"):
                found.append((name, json.loads(data)))
        return found

    def documents(self, wire: bytes) -> list[Any]:
        return [document for _, document in self.events(wire)]

    def joined(self, documents: list[Any], text: Text) -> str:
        return "".join(value for document in documents for value in find(document, text.read))

    def blank(self, documents: list[Any]) -> list[Any]:
        """The events without their texts: what has to stay as it is, in order."""
        copies = json.loads(json.dumps(documents))
        for document in copies:
            for path in (*(text.read for text in self.texts), *self.again):
                erase(document, path)
        return copies


@dataclass(frozen=True)
class Surface:
    name: str
    method: str
    paths: tuple[str, ...]
    operation: Operation
    says: str
    request: str
    answer: str
    masked_answer: str
    refused: tuple[tuple[str, str], ...]
    streams: tuple[Stream, ...] = field(repr=False)

    def fill(self, template: str, text: str) -> bytes:
        return _fill(template, text, 0, as_json_writes).encode()


def _fill(template: str, text: str, number: int, written: Callable[[str], str]) -> str:
    return template.replace("№", str(number)).replace("§", written(text))


def _masked(text: str, *, is_json: bool) -> str:
    return str(SCANNER.masker().mask_value(text, "arguments" if is_json else ""))


def find(value: Any, path: tuple[str, ...]) -> Iterator[str]:
    """The texts at a path."""
    if not path:
        if isinstance(value, str):
            yield value
        return
    for below, rest in _step(value, path):
        yield from find(below, rest)


def erase(value: Any, path: tuple[str, ...]) -> None:
    """Put an empty text where a path leads."""
    if len(path) == 1 and isinstance(value, dict) and isinstance(value.get(path[0]), str):
        value[path[0]] = ""
    elif path == ("*",):
        value[:] = ["" for _ in value]
    elif len(path) > 1:
        for below, rest in _step(value, path):
            erase(below, rest)


def _step(value: Any, path: tuple[str, ...]) -> Iterator[tuple[Any, tuple[str, ...]]]:
    step, rest = path[0], path[1:]
    if isinstance(value, list):
        yield from ((item, rest if step == "*" else path) for item in value)
    elif isinstance(value, dict) and step.startswith("?"):
        key, _, wanted = step[1:].partition("=")
        if str(value.get(key)) == wanted:
            yield value, rest
    elif isinstance(value, dict) and step in value:
        yield value[step], rest


def _read_stream(surface: dict[str, Any], given: dict[str, Any]) -> Stream:
    return Stream(
        surface=surface["name"],
        name=given["name"],
        operation=Operation(surface["operation"]),
        type=given.get("type", SSE),
        start=given.get("start", ""),
        last=given.get("last", ""),
        after=given.get("after", ""),
        again=tuple(map(tuple, given.get("again", ()))),
        whole_texts=given.get("whole_texts", False),
        texts=tuple(Text(text["delta"], tuple(text["read"]), text.get("json", False)) for text in given["text"]),
    )


def _read_surface(given: dict[str, Any]) -> Surface:
    return Surface(
        name=given["name"],
        method=given.get("method", "POST"),
        paths=tuple(given["paths"]),
        operation=Operation(given["operation"]),
        says=given.get("says", ""),
        request=given.get("request", ""),
        answer=given.get("answer", ""),
        masked_answer=given.get("masked_answer", given.get("answer", "")),
        refused=tuple(map(tuple, given.get("refused", ()))),
        streams=tuple(_read_stream(given, stream) for stream in given.get("stream", ())),
    )


SURFACES = [
    _read_surface(given)
    for file in sorted(TABLE.glob("*.toml"))
    for given in tomllib.loads(file.read_text("utf-8"))["surface"]
]
STREAMS = [stream for surface in SURFACES for stream in surface.streams]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """A test that asks for a `surface` or a `surface_stream` runs for each; `continuing`: whose events continue texts."""
    if "surface" in metafunc.fixturenames:
        metafunc.parametrize("surface", SURFACES, ids=[each.name for each in SURFACES])
    if "surface_stream" in metafunc.fixturenames:
        metafunc.parametrize("surface_stream", STREAMS, ids=map(str, STREAMS))
    if "continuing" in metafunc.fixturenames:
        streams = [each for each in STREAMS if not each.whole_texts]
        metafunc.parametrize("continuing", streams, ids=map(str, streams))


@pytest.fixture(scope="session")
def surfaces() -> list[Surface]:
    """The whole table."""
    return SURFACES


@pytest.fixture(scope="session")
def make_masker() -> Callable[[], Masker]:
    """A new masker of the default policy at each call."""
    return SCANNER.masker
