r"""Reads the part of RE2's syntax that rules are written in. What it takes, RE2 takes, with the same meaning.

Taken: ASCII literals, `.`, classes, `\d \w \s` and their negations, `\b`, groups, `|`, greedy repetition, `(?i)` at the
beginning, and one group `(?P<value>…)` that says which part of a match is replaced.
"""

from typing import Final

from extproc.core.masking.pattern import ALL, EMPTY, WORD, Boundary, Chars, Choice, Concat, Node, Repeat, Value, mask_of

MAX_NESTING: Final = 8
"""Groups inside groups; a tree of prefixes grows with the square of it."""
MAX_REPEAT: Final = 1000
"""What RE2 takes."""

_DIGIT = mask_of("0123456789")
_SPACE = mask_of("\t\n\f\r ")
_CLASSES = {"d": _DIGIT, "w": WORD, "s": _SPACE, "D": ALL ^ _DIGIT, "W": ALL ^ WORD, "S": ALL ^ _SPACE}
_CONTROLS = {"t": "\t", "n": "\n", "r": "\r", "f": "\f", "v": "\v"}
_ANY = ALL ^ mask_of("\n")
_VALUE = "(?P<value>"
_HEX = frozenset("0123456789abcdefABCDEF")
_LOWER = mask_of("abcdefghijklmnopqrstuvwxyz")
_UPPER = _LOWER >> 32


class PatternRefused(ValueError):
    """A pattern that is no rule. `position` counts characters from 1, and is 0 where it is the whole pattern's."""

    def __init__(self, message: str, hint: str = "", position: int = 0) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.position = position


def parse_pattern(source: str) -> Node:
    """The tree of a pattern. Raises `PatternRefused`."""
    return _Parser(source).parse()


class _Parser:
    def __init__(self, source: str) -> None:
        self._source = source
        self._at = 0
        self._depth = 0
        self._repeats = 0
        self._has_value = False
        self._folds = False

    def parse(self) -> Node:
        for index, character in enumerate(self._source):
            if not character.isascii():
                hint = "letters with accents are read without them; `.` and `[^…]` match any other character"
                raise PatternRefused("only ASCII can be written in a pattern", hint, index + 1)
        self._folds = self._take("(?i)")
        node = self._choice()
        if self._at < len(self._source):
            raise self._refused("this `)` closes nothing", r"write `\)` for the character")
        return node

    def _refused(self, message: str, hint: str = "", at: int | None = None) -> PatternRefused:
        return PatternRefused(message, hint, (self._at if at is None else at) + 1)

    def _take(self, text: str) -> bool:
        if self._source.startswith(text, self._at):
            self._at += len(text)
            return True
        return False

    def _next(self) -> str:
        return self._source[self._at : self._at + 1]

    def _choice(self) -> Node:
        branches = [self._row()]
        while self._take("|"):
            branches.append(self._row())
        return branches[0] if len(branches) == 1 else Choice(tuple(branches))

    def _row(self) -> Node:
        items: list[Node] = []
        while self._next() not in ("", "|", ")"):
            items.append(self._repeated())
        return items[0] if len(items) == 1 else Concat(tuple(items)) if items else EMPTY

    def _repeated(self) -> Node:
        item = self._atom()
        at = self._at
        bounds = self._bounds()
        if bounds is None:
            return item
        if isinstance(item, Boundary):
            raise self._refused(r"`\b` cannot be repeated", at=at)
        if isinstance(item, Value):
            raise self._refused("the group `value` cannot be repeated", "repeat what is in it", at)
        if self._next() == "?":
            raise self._refused("lazy repetition is not supported", "a rule takes the longest match; leave the `?` out")
        if self._next() in ("*", "+", "{"):
            raise self._refused("a repetition cannot be repeated", "put a group around the first")
        return Repeat(item, *bounds, position=at + 1)

    def _bounds(self) -> tuple[int, int | None] | None:
        for mark, bounds in (("*", (0, None)), ("+", (1, None)), ("?", (0, 1))):
            if self._take(mark):
                return bounds
        at = self._at
        if not self._take("{"):
            return None
        least = self._number()
        most: int | None = least
        if self._take(","):
            most = None if self._next() == "}" else self._number()
        if not self._take("}") or (most is not None and most < least):
            raise self._refused(
                "this is no repetition", r"write `{2}`, `{2,4}` or `{2,}`, or `\{` for the character", at
            )
        return least, most

    def _number(self) -> int:
        at = self._at
        while self._next().isdecimal():
            self._at += 1
        digits = self._source[at : self._at]
        if not digits or len(digits) > 4 or int(digits) > MAX_REPEAT:
            raise self._refused(f"a repetition is counted from 0 to {MAX_REPEAT}", r"write `\{` for the character", at)
        return int(digits)

    def _atom(self) -> Node:
        at = self._at
        character = self._next()
        if character == "(":
            return self._group()
        if character == "[":
            return self._class()
        if character == "\\":
            return self._escape()
        self._at += 1
        if character == ".":
            return Chars(_ANY)
        if character in "^$":
            hint = f"a stream has no lines to anchor to; use `\\b`, or write `\\{character}` for the character"
            raise self._refused(f"`{character}` is not supported", hint, at)
        if character in "*+?":
            raise self._refused("there is nothing here to repeat", f"write `\\{character}` for the character", at)
        if character in "{}]":
            raise self._refused(f"`{character}` stands alone", f"write `\\{character}` for the character", at)
        return Chars(self._folded(mask_of(character)))

    def _folded(self, mask: int) -> int:
        return mask | (mask & _LOWER) >> 32 | (mask & _UPPER) << 32 if self._folds else mask

    def _group(self) -> Node:
        at = self._at
        folds = self._folds
        value = self._take(_VALUE)
        if value and self._has_value:
            raise self._refused("there is a group `value` already", at=at)
        self._has_value = self._has_value or value
        if not value:
            if self._take("(?i:"):
                self._folds = True
            elif not self._take("(?:"):
                self._at += 1
                if self._next() == "?":
                    raise self._unsupported_group(at)
        self._depth += 1
        if self._depth > MAX_NESTING:
            raise self._refused(f"groups are nested deeper than {MAX_NESTING}", at=at)
        inner = self._choice()
        if not self._take(")"):
            raise self._refused("this `(` is not closed", r"write `\(` for the character", at)
        self._depth -= 1
        self._folds = folds
        return Value(inner) if value else inner

    def _unsupported_group(self, at: int) -> PatternRefused:
        rest = self._source[at:]
        if rest.startswith(("(?=", "(?!", "(?<=", "(?<!")):
            return self._refused("looking ahead or behind is not supported", "use `keywords`, or the group `value`", at)
        if rest.startswith(("(?P<", "(?<")):
            return self._refused("the only group with a name is `(?P<value>…)`", "use `(?:…)`", at)
        return self._refused("this kind of group is not supported", "use `(?:…)`; `(?i)` stands at the beginning", at)

    def _escape(self) -> Node:
        at = self._at
        self._at += 1
        if self._take("b"):
            return Boundary()
        if self._next() in ("A", "z", "Z"):
            raise self._refused("anchors are not supported", r"a stream has no end to anchor to; use `\b`", at)
        if self._next() in set("123456789"):
            raise self._refused("a reference back is not supported", at=at)
        self._at = at
        return Chars(self._escaped())

    def _escaped(self) -> int:
        """The set that an escape stands for, inside classes and outside."""
        at = self._at
        self._at += 1
        character = self._next()
        self._at += 1
        if character in _CLASSES and character:
            return _CLASSES[character]
        if character in _CONTROLS and character:
            return mask_of(_CONTROLS[character])
        if character == "x":
            digits = self._source[self._at : self._at + 2]
            self._at += 2
            if len(digits) == 2 and _HEX.issuperset(digits) and int(digits, 16) < 128:
                return self._folded(1 << int(digits, 16))
            raise self._refused(r"`\x` is followed by two hex digits of an ASCII character", at=at)
        if not character or character.isalnum() or character == "_" or not character.isprintable():
            raise self._refused("this escape is not supported", "a backslash may stand before any sign", at)
        return mask_of(character)

    def _class(self) -> Node:
        at = self._at
        self._at += 1
        negated = self._take("^")
        first = self._at
        mask = 0
        while self._at == first or not self._take("]"):
            if self._next() in ("", "]"):
                raise self._refused("this `[` is not closed", r"write `\[` for the character", at)
            mask |= self._member(first)
        mask = self._folded(mask)
        mask = ALL ^ mask if negated else mask
        if not mask:
            raise self._refused("this class is empty", at=at)
        return Chars(mask)

    def _member(self, first: int) -> int:
        at = self._at
        if self._source.startswith("[:", at):
            raise self._refused("classes with names are not supported", r"write `a-z`, `\d`, `\w` or `\s`")
        if self._next() == "-" and at != first and self._source[at + 1 : at + 2] != "]":
            raise self._refused("this `-` is between no two characters", r"write `\-` for the character")
        low = self._one()
        if self._next() != "-" or self._source[self._at + 1 : self._at + 2] in ("]", ""):
            return low
        self._at += 1
        high = self._one()
        if low.bit_count() != 1 or high.bit_count() != 1 or high < low:
            raise self._refused("this is no range of characters", at=at)
        return (high << 1) - low

    def _one(self) -> int:
        if self._next() == "\\":
            # Folding is left to the class: a range goes from one character to one.
            folds, self._folds = self._folds, False
            mask = self._escaped()
            self._folds = folds
            return mask
        character = self._next()
        self._at += 1
        return mask_of(character)
