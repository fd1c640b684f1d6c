"""A masked stream of JSON text: the arguments of one tool call, as the model writes them."""

import re
from enum import Enum, auto
from typing import Final

from extproc.core.masking.channel import WholeChannel
from extproc.core.masking.detectors import Detectors
from extproc.core.masking.effort import TOKEN_STEPS
from extproc.core.masking.escapes import decode
from extproc.core.masking.iin import MAX_PAN_DIGITS
from extproc.core.masking.keys import MAX_KEY, KeyRule, key_rule
from extproc.core.masking.mask import PAN_MASK, Masks, mask_number
from extproc.core.masking.settings import Kind
from extproc.core.masking.walk import Found
from extproc.core.reasons import Malformed, Reason

MAX_DEPTH: Final = 64
# Longest number that is held until it ends. A longer one with no more digits than a PAN is padding around one.
MAX_NUMBER: Final = 64
MAX_SPACE_AFTER_NUMBER: Final = 8

_BODY = re.compile(r'[^"\\]*+(?:\\.[^"\\]*+)*+', re.DOTALL)
_NOT_QUICK = re.compile(r'["\\]')
_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?")
_NUMBER_BEGUN = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]*)?(?:[eE][+-]?[0-9]*)?")
_NUMBER_CHARS = re.compile(r"[0-9+\-.eE]+")
_DIGITS = re.compile(r"[0-9]+")
_SPACE = frozenset(" \t\r\n")
_WORDS = ("true", "false", "null", "NaN", "Infinity")


class _State(Enum):
    OUTSIDE = auto()
    STRING = auto()
    WHOLE = auto()  # a string that goes whole
    NUMBER = auto()
    AFTER_NUMBER = auto()
    LONG_NUMBER = auto()  # too long for a card, given on as it comes
    SWALLOW = auto()  # the rest of a number that is masked already
    TEXT = auto()  # what came is not JSON: from here on it is text with JSON escapes


class JsonChannel:
    """For every way of cutting JSON text: what it returns parses, and is the masked whole.

    Strings and keys are masked as texts of their own, key names announce values, and a number that is a PAN becomes a
    string. What is not JSON is masked as text. Raises `Malformed` beyond `MAX_DEPTH` levels and when it costs too much.
    """

    def __init__(self, detectors: Detectors, masks: Masks) -> None:
        self._detectors = detectors
        self._masks = masks
        self._state = _State.OUTSIDE
        self._out: list[str] = []
        self._stack: list[tuple[bool, KeyRule]] = []
        self._rule = KeyRule.NONE
        self._key_next = False
        self._key = ""
        self._word = ""
        self._number = ""
        self._tape = detectors.tape("", masks.effort)
        self._written: list[str] = []
        self._escape = ""
        self._whole: WholeChannel

    @property
    def held(self) -> int:
        """Characters held back now, as they were written."""
        return sum(map(len, self._written)) + len(self._escape) + len(self._number)

    def feed(self, delta: str) -> str:
        """What is decided now, masked; `delta` itself when nothing was held and nothing changed."""
        if (
            self._state is _State.STRING
            and self._tape.idle
            and not self._key_next
            and not self._escape
            and _NOT_QUICK.search(delta) is None
            and self._tape.interesting(delta) is None
        ):
            self._tape.pass_by(delta)
            return delta
        self._read(delta)
        self._masks.note_held(self.held)
        out = "".join(self._out)
        self._out.clear()
        return delta if out == delta else out

    def finish(self) -> str:
        """The rest, masked."""
        match self._state:
            case _State.NUMBER if _NUMBER.fullmatch(self._number) is None:
                self._give_up(self._number, final=True)
            case _State.NUMBER | _State.AFTER_NUMBER:
                self._end_number()
            case _State.STRING | _State.WHOLE | _State.TEXT:
                self._take("", final=True)
        out = "".join(self._out)
        self._out.clear()
        return out

    def _read(self, text: str) -> None:
        at = 0
        while at < len(text):
            self._masks.effort.spend(TOKEN_STEPS)
            match self._state:
                case _State.OUTSIDE:
                    at = self._outside(text, at)
                case _State.STRING | _State.WHOLE:
                    at = self._string(text, at)
                case _State.NUMBER:
                    at = self._in_number(text, at)
                case _State.AFTER_NUMBER:
                    at = self._after_number(text, at)
                case _State.LONG_NUMBER:
                    at = self._long_number(text, at)
                case _State.SWALLOW:
                    match = _NUMBER_CHARS.match(text, at)
                    at = match.end() if match else at
                    if at < len(text):
                        self._state = _State.OUTSIDE
                case _State.TEXT:
                    self._take(text[at:], final=False)
                    at = len(text)

    def _outside(self, text: str, at: int) -> int:
        char = text[at]
        if char.isascii() and char.isalpha():
            self._word += char
            if not any(word.startswith(self._word) for word in _WORDS):
                self._give_up(char, final=False, before=self._word[:-1])
                return at + 1
            self._out.append(char)
            return at + 1
        self._word = ""
        if char in "-0123456789":
            self._state = _State.NUMBER
            return at
        if char == '"':
            self._begin_string()
        elif not self._structure(char):
            self._give_up(char, final=False)
            return at + 1
        self._out.append(char)
        return at + 1

    def _begin_string(self) -> None:
        if not self._key_next and self._rule.whole is not None:
            self._state = _State.WHOLE
            self._whole = WholeChannel(self._rule.whole, self._masks)
            return
        self._state = _State.STRING
        self._tape = self._detectors.tape("" if self._key_next else self._rule.primer, self._masks.effort)
        self._key = "" if self._key_next else self._key

    def _structure(self, char: str) -> bool:
        """Follows brackets, colons and commas; false for any other character but space."""
        in_object, outer = self._stack[-1] if self._stack else (False, KeyRule.NONE)
        match char:
            case "{" | "[":
                if len(self._stack) == MAX_DEPTH:
                    raise Malformed(Reason.BODY_MALFORMED)
                self._stack.append((char == "{", self._rule))
                self._key_next = char == "{"
            case "}" | "]":
                if self._stack:
                    self._stack.pop()
                in_object, outer = self._stack[-1] if self._stack else (False, KeyRule.NONE)
                self._rule = KeyRule.NONE if in_object else outer
                self._key_next = False
            case ",":
                self._key_next = in_object
                self._rule = KeyRule.NONE if in_object else outer
            case ":":
                self._key_next = False
                if in_object:
                    self._rule = key_rule(self._key, outer)
            case _:
                return char in _SPACE
        return True

    def _string(self, text: str, at: int) -> int:
        moved = 0
        if self._escape:  # begun in the piece before
            moved = at - len(self._escape)
            text, at = self._escape + text[at:], 0
            self._escape = ""
        body = _BODY.match(text, at)
        end = body.end() if body else at
        closed = text.startswith('"', end)
        self._take(text[at : end if closed else len(text)], final=closed)
        if closed:
            self._out.append('"')
            self._state = _State.OUTSIDE
            end += 1
        else:
            end = len(text)
        return moved + end

    def _take(self, written: str, final: bool) -> None:
        """Masks more of a string's inside, or of text, and gives out what is decided, as it was written."""
        chars, units, self._escape = decode(self._escape + written, final)
        if self._state is _State.WHOLE:
            kept, mask = self._whole.take(chars)
            self._out += (*units[:kept], mask)
            return
        if self._key_next and self._state is _State.STRING:
            self._key = (self._key + chars)[-MAX_KEY:]
        self._written += units
        found: list[Found] = []
        given = len(self._tape.take(chars, found, final))
        at = 0
        for one in found:
            self._out += self._written[at : one.start]
            self._out.append(self._masks.mask(one))
            at = one.end
        self._out += self._written[at:given]
        self._written = self._written[given:]

    def _in_number(self, text: str, at: int) -> int:
        match = _NUMBER_CHARS.match(text, at)
        end = match.end() if match else at
        end = min(end, at + MAX_NUMBER + 1 - len(self._number))
        self._number += text[at:end]
        if len(self._number) > MAX_NUMBER:
            self._end_long_number()
        elif end < len(text):
            if _NUMBER.fullmatch(self._number) is None:
                self._give_up(self._number, final=False)
            else:
                self._state = _State.AFTER_NUMBER
        return end

    def _after_number(self, text: str, at: int) -> int:
        char = text[at]
        if char in ",]}":
            self._end_number()
            return at
        if char not in _SPACE:
            self._give_up(self._number, final=False)
            return at
        self._number += char
        if len(self._number) - len(self._number.rstrip()) > MAX_SPACE_AFTER_NUMBER:
            self._end_number()
        return at + 1

    def _end_number(self) -> None:
        written = self._number.rstrip()
        value = int(written) if written.lstrip("-").isdecimal() else float(written)
        mask = mask_number(self._detectors, self._masks, value, self._rule)
        if mask is None:
            self._out.append(self._number)
        else:
            self._out += ('"', mask, '"', self._number[len(written) :])
        self._number = ""
        self._state = _State.OUTSIDE

    def _end_long_number(self) -> None:
        written = self._number
        if _NUMBER_BEGUN.fullmatch(written) is None:
            self._give_up(written, final=False)
            return
        digits = "".join(_DIGITS.findall(written)).strip("0")
        self._number = ""
        if not written.lstrip("-").isdecimal() and len(digits) <= MAX_PAN_DIGITS:
            self._masks.mask(Found(0, 0, Kind.PAN, digits))
            self._out += ('"', PAN_MASK, '"')
            self._state = _State.SWALLOW
        else:
            self._out.append(written)
            self._state = _State.LONG_NUMBER

    def _long_number(self, text: str, at: int) -> int:
        match = _DIGITS.match(text, at)
        end = match.end() if match else at
        self._out.append(text[at:end])
        if end < len(text):
            if text[end] in "+-.eE":
                self._give_up("", final=False, before="0" * (MAX_PAN_DIGITS + 1))
            else:
                self._state = _State.OUTSIDE
        return end

    def _give_up(self, text: str, final: bool, before: str = "") -> None:
        """Reads `text` and all that follows as text; `before` was given out and counts as what went before it."""
        self._number = ""
        self._state = _State.TEXT
        self._tape = self._detectors.tape(before or self._rule.primer, self._masks.effort)
        self._take(text, final)
