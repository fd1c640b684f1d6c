"""What `extproc mask` reads: files and standard input, as text in pieces. Errors name places, not what stands there."""

import codecs
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from extproc.edge.bounded_file import read_failure

STDIN = Path("-")
PIECE_BYTES = 64 * 1024
MAX_JSON_CHARACTERS = 64 * 1024 * 1024
"""JSON is read whole, and proven to be JSON, before any of it is masked."""
_JSON_SUFFIXES = frozenset((".json", ".jsonl", ".ndjson"))


class Unusable(Exception):
    """An input that cannot be masked, and why; the sentence begins with the input's name."""


@dataclass(frozen=True, slots=True)
class Input:
    """A file, or standard input. `name` is how it is shown: a card number in a file's name is masked there too."""

    path: Path
    name: str

    @property
    def seems_json(self) -> bool:
        """Whether the file's name ends as those of JSON, and of JSON line by line, do."""
        return self.path.suffix.lower() in _JSON_SUFFIXES

    def read_text(self) -> str:
        """All of it, for JSON. Raises `Unusable`, also for what is larger than `MAX_JSON_CHARACTERS`."""
        pieces: list[str] = []
        left = MAX_JSON_CHARACTERS
        for piece in self.read_pieces():
            left -= len(piece)
            if left < 0:
                raise Unusable(
                    f"{self.name}: more than {MAX_JSON_CHARACTERS} characters, the most that is read as JSON"
                )
            pieces.append(piece)
        return "".join(pieces)

    def read_pieces(self) -> Iterator[str]:
        """The text, in pieces of at most `PIECE_BYTES`. Raises `Unusable`."""
        try:
            if self.path == STDIN:
                yield from self._decoded(sys.stdin.buffer)
                return
            with self.path.open("rb") as opened:
                yield from self._decoded(opened)
        except OSError as error:
            raise Unusable(f"{self.name}: {read_failure(error)}") from None

    def _decoded(self, opened: IO[bytes]) -> Iterator[str]:
        decoder = codecs.getincrementaldecoder("utf-8")("strict")
        read = 0
        while True:
            data = opened.read(PIECE_BYTES)
            begin = read - len(decoder.getstate()[0])
            read += len(data)
            try:
                piece = decoder.decode(data, final=not data)
            except UnicodeDecodeError as error:
                # The exception holds the bytes.
                raise Unusable(f"{self.name}: not UTF-8 at byte offset {begin + error.start}") from None
            if piece:
                yield piece
            if not data:
                return
