"""The same for JSON, which stays JSON: strings and numbers are masked as the dialects mask them, by their keys too."""

import json
import re
from collections.abc import Iterator
from dataclasses import replace
from itertools import accumulate
from typing import Final

from extproc.core.masking.escapes import decode
from extproc.core.masking.explain import BY_KEY, Explainer
from extproc.core.masking.iin import MIN_PAN_DIGITS
from extproc.core.masking.keys import KeyRule
from extproc.core.masking.mask import split_blank
from extproc.core.masking.note import Note
from extproc.core.masking.noted import NotedJsonChannel, NotedMasker, Piece
from extproc.core.masking.settings import Kind

NO_INTEGER: Final = "a number with a fraction"
AS_TEXT: Final = "somewhere in arguments that are no JSON"
PADDED: Final = "a PAN with zeros around it"

_TOKEN = re.compile(r'"[^"\\]*+(?:\\.[^"\\]*+)*+"|-?[0-9][0-9+\-.eE]*+|[^"0-9-]++')
_BLANK = re.compile(r"[ \t\r\n]*+")
_BYTE_ORDER_MARK = "\ufeff"


class NotJson(Exception):
    """The text is no JSON from the character `offset` on. Holds nothing of it."""

    def __init__(self, offset: int) -> None:
        super().__init__("not JSON")
        self.offset = offset


def read_documents(text: str) -> list[tuple[int, int]]:
    """Where the JSON values of a text begin and end: one, or objects and lists with blanks between. Raises `NotJson`.

    Several numbers or strings in a row are no JSON lines: they could be the groups of one card.
    """
    decoder = json.JSONDecoder(parse_int=str, parse_float=str, parse_constant=_refuse_constant)
    documents: list[tuple[int, int]] = []
    at = _skip_blank(text, 1 if text.startswith(_BYTE_ORDER_MARK) else 0)
    while at < len(text):
        try:
            _, end = decoder.raw_decode(text, at)
        except json.JSONDecodeError as error:
            raise NotJson(error.pos) from None
        except (RecursionError, ValueError):
            raise NotJson(at) from None
        documents.append((at, end))
        at = _skip_blank(text, end)
    if len(documents) > 1:
        for begin, _ in documents:
            if text[begin] not in "{[":
                raise NotJson(begin)
    return documents


def mask_documents(text: str, masker: NotedMasker, explainer: Explainer | None) -> Iterator[Piece]:
    """The text, masked, piece by piece. Values keep their spelling; what is masked in a number makes it a string.

    Raises `NotJson` before the first piece, and `Malformed` for values in more than 64 levels.
    """
    documents = read_documents(text)
    at = 0
    for begin, end in documents:
        yield Piece(text[at:begin], [])
        yield from _Document(masker, explainer).mask(text, begin, end)
        at = end
    yield Piece(text[at:], [])


def _refuse_constant(_: str) -> object:
    raise ValueError("no JSON number")


def _skip_blank(text: str, at: int) -> int:
    blank = _BLANK.match(text, at)
    return blank.end() if blank else at


def _integer(written: str) -> str:
    """The digits of a JSON number; empty when it is no integer."""
    digits = written.lstrip("-")
    if digits.isdecimal():
        return digits
    value = float(digits)
    return str(int(value)) if value.is_integer() else ""


class _Document:
    """One JSON value. Each of its tokens goes through the channel alone, so that what is found is found in it."""

    def __init__(self, masker: NotedMasker, explainer: Explainer | None) -> None:
        self._masker = masker
        self._explainer = explainer
        self._channel: NotedJsonChannel = masker.json_channel()
        # The number that is not decided yet: a comma or a bracket ends it.
        self._number: tuple[int, str, KeyRule] | None = None

    def mask(self, text: str, begin: int, end: int) -> Iterator[Piece]:
        for token in _TOKEN.finditer(text, begin, end):
            self._masker.renew()
            at, written = token.start(), token.group()
            if written[0] == '"':
                yield self._string(written, at)
            elif written[0] in "-0123456789":
                self._number = (at, written, self._channel.rule)
                yield Piece(self._channel.feed(written), [])
            else:
                yield self._after(self._channel.feed(written))
        yield self._after(self._channel.finish())

    def _after(self, masked: str) -> Piece:
        """What follows a number has decided it."""
        if self._number is None:
            return Piece(masked, [])
        at, written, rule = self._number
        self._number = None
        found = self._masker.take_noted()
        notes = [Note(0, len(written), note.kind) for note in found]
        if self._explainer is not None:
            notes = self._explained_number(self._explainer, written, found, rule)
        return Piece(masked, [note.moved(at) for note in notes])

    @staticmethod
    def _explained_number(explainer: Explainer, written: str, found: list[Note], rule: KeyRule) -> list[Note]:
        size = len(written)
        if found and found[0].end == 0:
            return [Note(0, size, note.kind, PADDED if note.kind == Kind.PAN else BY_KEY) for note in found]
        digits = _integer(written)
        if digits:
            notes = explainer.explain(digits, found, primer=rule.primer)
        else:
            notes = [Note(0, 0, "", NO_INTEGER)] if sum(map(str.isdecimal, written)) >= MIN_PAN_DIGITS else []
        return [replace(note, start=0, end=size) for note in notes]

    def _string(self, written: str, at: int) -> Piece:
        chars, units, _ = decode(written[1:-1], final=True)
        rule = self._channel.rule
        if self._channel.holds_json:
            self._channel.feed('""')
            masked, notes = self._inner(written, chars)
        else:
            masked = self._channel.feed(written)
            notes = self._explained(chars, rule, self._masker.take_noted())
        offsets = [at + 1 + offset for offset in accumulate(map(len, units), initial=0)]
        return Piece(masked, [replace(n, start=offsets[n.start], end=offsets[n.end]) for n in notes])

    def _explained(self, chars: str, rule: KeyRule, found: list[Note]) -> list[Note]:
        if rule.whole is not None:
            blank, _ = split_blank(chars)
            why = BY_KEY if self._explainer else ""
            return [Note(len(blank), len(chars), note.kind, why) for note in found]
        if self._explainer is None:
            return found
        return self._explainer.explain(chars, found, primer=rule.primer)

    def _inner(self, written: str, chars: str) -> tuple[str, list[Note]]:
        """JSON text in a string: a tool call's arguments. What is no JSON is masked, and noted, as one."""
        try:
            pieces = list(mask_documents(chars, self._masker, self._explainer))
            masked = "".join(piece.text for piece in pieces)
            notes = [note for piece in pieces for note in piece.notes]
        except NotJson:
            masked = self._masker.mask_json(chars)
            why = AS_TEXT if self._explainer else ""
            notes = [Note(0, len(chars), note.kind, why) for note in self._masker.take_noted()]
        return written if masked == chars else json.dumps(masked), notes
