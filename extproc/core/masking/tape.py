"""A stream of characters, cut anywhere, judged as the whole text would be."""

from extproc.core.masking.alphabet import DIGIT
from extproc.core.masking.effort import Effort
from extproc.core.masking.pan import LEFT_WINDOW
from extproc.core.masking.walk import Found, Trace, Walker

# Most characters that a tape holds back: a candidate of 19 digits in the widest spacing, three neighbours of the widest
# like length, and a candidate that begins at the third of them.
MAX_HELD = 512
_TRIM_AT = 4 * LEFT_WINDOW


class Tape:
    """Takes characters in and gives them back, in order, once what to mask among them is decided."""

    __slots__ = ("_at", "_given", "_text", "_trace", "_walker", "idle")

    def __init__(self, walker: Walker, primer: str, effort: Effort) -> None:
        """`primer` is taken for text that went before; it is not given back."""
        self._walker = walker
        self._text = primer
        self._given = len(primer)
        self._at = len(primer)
        self._trace = Trace(effort)
        # Whether nothing is held. While it is true, text without digits may go through `pass_by`.
        self.idle = True

    @property
    def held(self) -> int:
        """Characters taken and not given back."""
        return 0 if self.idle else len(self._text) - self._given

    def pass_by(self, text: str) -> None:
        """Remembers text without digits that the caller gives on himself. Only while `idle`."""
        text = self._text + text
        self._text = text
        if len(text) > _TRIM_AT:
            self._trim(len(text))

    def take(self, text: str, found: list[Found], final: bool) -> str:
        """Takes more text and gives back what is decided; adds to `found`, with offsets in what is given back."""
        if self.idle:
            self._given = self._at = len(self._text)
            if not DIGIT.search(text):
                self.pass_by(text)
                return text
        whole = self._text + text
        first = len(found)
        self._at = self._walker.walk(whole, self._at, len(whole), self._trace, found, final=final)
        start = self._given
        end = len(whole) if final else max(self._at, min(self._trace.masked_end, len(whole)))
        for index in range(first, len(found)):
            found[index] = found[index].moved(-start)
        self._text = whole
        self._given = end
        self.idle = self._at == len(whole)
        self._trim(self._at)
        return whole[start:end]

    def _trim(self, at: int) -> None:
        """Forgets what no judgement of text from `at` on reads."""
        drop = at - LEFT_WINDOW
        if drop > 0:
            self._text = self._text[drop:]
            self._at -= drop
            self._given -= drop
            self._trace.shift(drop)
