"""A masked stream of JSON text: the arguments of one tool call, as the model writes them."""

import re
from typing import Final

from extproc.core.masking.channel import WholeChannel
from extproc.core.masking.detectors import Detectors
from extproc.core.masking.effort import TOKEN_STEPS
from extproc.core.masking.escapes import decode
from extproc.core.masking.iin import MAX_PAN_DIGITS
from extproc.core.masking.json_syntax import (
    LITERALS,
    MAX_NUMBER,
    MAX_SPACE_AFTER_NUMBER,
    SPACE,
    State,
    is_padded,
    match_begun_number,
    match_body,
    match_digits,
    match_number_chars,
    match_whole_number,
    number_of,
)
from extproc.core.masking.keys import MAX_KEY, KeyRule, is_label, key_rule, labelled_rule, said_by
from extproc.core.masking.mask import Masks, mask_number
from extproc.core.masking.settings import Kind
from extproc.core.masking.walk import Found
from extproc.core.reasons import Malformed, Reason

MAX_DEPTH: Final = 64

_NOT_QUICK = re.compile(r'["\\]')


class JsonChannel:
    """For every way of cutting JSON text: what it returns parses, and is the masked whole.

    Strings and keys are masked as texts of their own, key names announce values, and a number that is a PAN becomes a
    string. What is not JSON is masked as text. Raises `Malformed` beyond `MAX_DEPTH` levels and when it costs too much.
    """

    def __init__(self, detectors: Detectors, masks: Masks) -> None:
        self._detectors = detectors
        self._masks = masks
        self._state = State.OUTSIDE
        self._out: list[str] = []
        self._stack: list[tuple[bool, KeyRule, str]] = []
        self._rule = KeyRule.NONE
        self._said = ""
        self._labels: list[str] = []
        self._labels_next = False
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
            self._state is State.STRING
            and self._tape.idle
            and not self._key_next
            and not self._labels_next
            and not self._escape
            and _NOT_QUICK.search(delta) is None
            and self._tape.interesting(delta) is None
        ):
            self._tape.pass_by(delta)
            return delta
        held = self.held
        self._read(delta)
        self._masks.note_held(self.held, held)
        out = self._given_out()
        return delta if out == delta else out

    def finish(self) -> str:
        """The rest, masked."""
        self._masks.note_held(0, self.held)
        match self._state:
            case State.NUMBER if match_whole_number(self._number) is None:
                self._give_up(self._number, final=True)
            case State.NUMBER | State.AFTER_NUMBER:
                self._end_number()
            case State.STRING | State.WHOLE | State.TEXT:
                self._take("", final=True)
        return self._given_out()

    def _given_out(self) -> str:
        out = "".join(self._out)
        self._out.clear()
        return out

    def _read(self, text: str) -> None:
        at = 0
        while at < len(text):
            self._masks.effort.spend(TOKEN_STEPS)
            match self._state:
                case State.OUTSIDE:
                    at = self._outside(text, at)
                case State.STRING | State.WHOLE:
                    at = self._string(text, at)
                case State.NUMBER:
                    at = self._in_number(text, at)
                case State.AFTER_NUMBER:
                    at = self._after_number(text, at)
                case State.LONG_NUMBER:
                    at = self._long_number(text, at)
                case State.SWALLOW:
                    at = match.end() if (match := match_number_chars(text, at)) else at
                    self._state = State.OUTSIDE if at < len(text) else State.SWALLOW
                case State.TEXT:
                    self._take(text[at:], final=False)
                    at = len(text)

    def _outside(self, text: str, at: int) -> int:
        char = text[at]
        if char.isascii() and char.isalpha():
            self._word += char
            if any(word.startswith(self._word) for word in LITERALS):
                self._out.append(char)
            else:
                self._give_up(char, final=False, before=self._word[:-1])
            return at + 1
        self._word = ""
        if char in "-0123456789":
            self._state = State.NUMBER
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
            self._state = State.WHOLE
            self._whole = WholeChannel(self._rule.whole, self._masks)
            return
        self._state = State.STRING
        primer, said = ("", "") if self._key_next else (self._rule.primer, self._said)
        self._tape = self._detectors.tape(primer, self._masks.effort, said)
        self._key = "" if self._key_next else self._key
        if self._labels_next and not self._key_next:
            self._labels[-1] = ""

    def _structure(self, char: str) -> bool:
        """Follows brackets, colons and commas; false for any other character but space."""
        match char:
            case "{" | "[":
                if len(self._stack) == MAX_DEPTH:
                    raise Malformed(Reason.BODY_MALFORMED)
                self._stack.append((char == "{", self._rule, self._said))
                self._labels.append("")
                self._labels_next = False
                self._key_next = char == "{"
            case "}" | "]":
                if self._stack:
                    self._stack.pop()
                    self._labels.pop()
                self._next_value()
                self._key_next = self._labels_next = False
            case ",":
                self._key_next = self._next_value()
                self._labels_next = False
            case ":":
                self._key_next = False
                in_object, rule, said = self._container
                if in_object:
                    self._rule = labelled_rule(self._key, self._labels[-1], key_rule(self._key, rule))
                    self._labels_next = is_label(self._key)
                    self._said = said_by(self._key, said) if self._detectors.ruled else ""
            case _:
                return char in SPACE
        return True

    @property
    def _container(self) -> tuple[bool, KeyRule, str]:
        """Whether an object or a list is open, and what the key says under which it stands."""
        return self._stack[-1] if self._stack else (False, KeyRule.NONE, "")

    def _next_value(self) -> bool:
        """Forgets the last key, but for the values of a list. Whether a key follows."""
        in_object, rule, said = self._container
        self._rule, self._said = (KeyRule.NONE, "") if in_object else (rule, said)
        return in_object

    def _string(self, text: str, at: int) -> int:
        moved = 0
        if self._escape:  # begun in the piece before
            moved = at - len(self._escape)
            text, at = self._escape + text[at:], 0
            self._escape = ""
        body = match_body(text, at)
        end = body.end() if body else at
        closed = text.startswith('"', end)
        self._take(text[at : end if closed else len(text)], final=closed)
        if closed:
            self._out.append('"')
            self._state = State.OUTSIDE
            end += 1
        else:
            end = len(text)
        return moved + end

    def _take(self, written: str, final: bool) -> None:
        """Masks more of a string's inside, or of text, and gives out what is decided, as it was written."""
        chars, units, self._escape = decode(self._escape + written, final)
        if self._state is State.WHOLE:
            kept, mask = self._whole.take(chars)
            self._out += (*units[:kept], mask)
            return
        if self._state is State.STRING:
            if self._key_next:
                self._key = (self._key + chars)[-MAX_KEY:]
            elif self._labels_next:
                self._labels[-1] = (self._labels[-1] + chars)[-MAX_KEY:]
        self._written += units
        found: list[Found] = []
        given = self._tape.take(chars, found, final)
        at = 0
        for one in found:
            self._out += self._written[at : one.start]
            self._out.append(self._masks.mask(one, given[one.start : one.end]))
            at = one.end
        self._out += self._written[at : len(given)]
        self._written = self._written[len(given) :]

    def _in_number(self, text: str, at: int) -> int:
        match = match_number_chars(text, at)
        end = min(match.end() if match else at, at + MAX_NUMBER + 1 - len(self._number))
        self._number += text[at:end]
        if len(self._number) > MAX_NUMBER:
            self._end_long_number()
        elif end < len(text):
            if match_whole_number(self._number) is None:
                self._give_up(self._number, final=False)
            else:
                self._state = State.AFTER_NUMBER
        return end

    def _after_number(self, text: str, at: int) -> int:
        char = text[at]
        if char in ",]}":
            self._end_number()
            return at
        if char not in SPACE:
            self._give_up(self._number, final=False)
            return at
        self._number += char
        if len(self._number) - len(self._number.rstrip()) > MAX_SPACE_AFTER_NUMBER:
            self._end_number()
        return at + 1

    def _end_number(self) -> None:
        written = self._number.rstrip()
        mask = mask_number(self._detectors, self._masks, number_of(written), self._rule, self._said)
        self._out += (self._number,) if mask is None else ('"', mask, '"', self._number[len(written) :])
        self._number = ""
        self._state = State.OUTSIDE

    def _end_long_number(self) -> None:
        written = self._number
        if match_begun_number(written) is None:
            self._give_up(written, final=False)
            return
        self._number = ""
        if is_padded(written) or self._rule.whole is not None:
            # Which of its zeros are the PAN's is not known: no name stands for it.
            self._out += ('"', self._masks.mask(Found(0, 0, self._rule.whole or Kind.PAN)), '"')
            self._state = State.SWALLOW
        else:
            self._out.append(written)
            self._state = State.LONG_NUMBER

    def _long_number(self, text: str, at: int) -> int:
        match = match_digits(text, at)
        end = match.end() if match else at
        self._out.append(text[at:end])
        if text[end : end + 1] in tuple("+-.eE"):
            self._give_up("", final=False, before="0" * (MAX_PAN_DIGITS + 1))
        elif end < len(text):
            self._state = State.OUTSIDE
        return end

    def _give_up(self, text: str, final: bool, before: str = "") -> None:
        """Reads `text` and all that follows as text; `before` was given out and counts as what went before it."""
        self._number = ""
        self._state = State.TEXT
        self._tape = self._detectors.tape(before or self._rule.primer, self._masks.effort, before or self._said)
        self._take(text, final)
