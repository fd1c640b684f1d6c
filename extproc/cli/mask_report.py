"""What `extproc mask` reports: kinds and places, and words. No character of an input is in it but a file's name."""

import json
from collections import Counter
from collections.abc import Callable, Iterable

from extproc.core.masking.note import Note


class Places:
    """Turns the offsets of one text into lines and columns, from 1 on, as the text comes; they must not decrease."""

    def __init__(self) -> None:
        self._text = ""
        self._begin = 0
        self._at = 0
        self._line = self._column = 1

    def feed(self, piece: str, keep_from: int) -> None:
        """Takes more of the text; what stands before `keep_from` is not asked for any more."""
        self.find(max(keep_from, self._at))
        self._text = self._text[self._at - self._begin :] + piece
        self._begin = self._at

    def find(self, offset: int) -> tuple[int, int]:
        """Line and column of the character at `offset`. Lines end with a line feed."""
        first, last = self._at - self._begin, offset - self._begin
        lines = self._text.count("\n", first, last)
        self._line += lines
        self._column = last - self._text.rfind("\n", first, last) if lines else self._column + last - first
        self._at = offset
        return self._line, self._column


class Report:
    """Notes as lines, in the order in which they come, and how many there are of each kind."""

    def __init__(self, write: Callable[[str], object], *, as_json: bool) -> None:
        """`write` takes lines. `as_json`: each is an object with file, line, column, start, end, kind and why."""
        self._write = write
        self._as_json = as_json
        self._masked: Counter[str] = Counter()
        self._stay = 0

    @property
    def finds_something(self) -> bool:
        return bool(self._masked)

    def add(self, name: str, notes: Iterable[Note], places: Places) -> None:
        """Reports what there is to say of the input `name`."""
        for note in notes:
            line, column = places.find(note.start)
            if note.kind:
                self._masked[note.kind] += 1
            else:
                self._stay += 1
            self._write((_as_json if self._as_json else _as_text)(name, line, column, note) + "\n")

    def finish(self, inputs: int) -> None:
        """The tally, where people read it."""
        if self._as_json:
            return
        masked = ", ".join(f"{count} {kind}" for kind, count in sorted(self._masked.items())) or "nothing"
        stay = f", {self._stay} looked at and left" if self._stay else ""
        self._write(f"{inputs} read: {masked} masked{stay}\n")


def _as_text(name: str, line: int, column: int, note: Note) -> str:
    why = f": {note.why}" if note.why else ""
    return f"{name}:{line}:{column}: {note.start}..{note.end}: {note.kind or 'stays'}{why}"


def _as_json(name: str, line: int, column: int, note: Note) -> str:
    row: dict[str, object] = {"file": name, "line": line, "column": column, "start": note.start, "end": note.end}
    row["kind"] = note.kind or None
    if note.why:
        row["why"] = note.why
    return json.dumps(row)
