"""A masked stream of plain text: one field of one choice."""

from extproc.core.masking.mask import Masks, split_blank
from extproc.core.masking.settings import Kind
from extproc.core.masking.tape import Tape
from extproc.core.masking.walk import Found


class Channel:
    """For every way of cutting a text: all that `feed` returns, and then `finish`, is `Masker.mask_text` of the text.

    Nothing of a match is returned before it is masked, and nothing is ever returned because time has passed.
    """

    __slots__ = ("_masks", "_tape")

    def __init__(self, tape: Tape, masks: Masks) -> None:
        self._tape = tape
        self._masks = masks

    @property
    def held(self) -> int:
        """Characters held back now."""
        return self._tape.held

    def feed(self, delta: str) -> str:
        """What is decided now, masked; `delta` itself when nothing was held and nothing changed."""
        tape = self._tape
        if tape.idle and tape.interesting(delta) is None:
            tape.pass_by(delta)
            return delta
        return self._take(delta, final=False)

    def finish(self) -> str:
        """The rest, masked. The end of the text bounds a number like any other character."""
        return self._take("", final=True)

    def _take(self, delta: str, final: bool) -> str:
        found: list[Found] = []
        was_idle, held = self._tape.idle, self._tape.held
        text = self._tape.take(delta, found, final)
        self._masks.note_held(self._tape.held, held)
        if found:
            return self._masks.replace(text, found)
        return delta if was_idle and len(text) == len(delta) else text


class WholeChannel:
    """A stream of text that goes whole, because its key says what it is: the mask stands for all of it."""

    __slots__ = ("_begun", "_kind", "_masks")

    held = 0

    def __init__(self, kind: Kind, masks: Masks) -> None:
        self._kind = kind
        self._masks = masks
        self._begun = False

    def feed(self, delta: str) -> str:
        """Blanks, then the mask once, then nothing."""
        kept, mask = self.take(delta)
        return delta[:kept] + mask

    def take(self, delta: str) -> tuple[int, str]:
        """How many characters stay, from the beginning of `delta`, and what stands for the others."""
        if self._begun:
            return 0, ""
        blank, rest = split_blank(delta)
        if not rest:
            return len(delta), ""
        self._begun = True
        return len(blank), self._masks.mask(Found(0, 0, self._kind))

    def finish(self) -> str:
        return ""
