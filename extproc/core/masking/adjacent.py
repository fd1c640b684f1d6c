"""Numbers that are split over neighbouring elements of an array, fields of an object or text parts of a message.

Each element is masked by itself, too; this looks for what only several of them together say.
"""

from collections.abc import Iterable, Iterator
from typing import Final

from extproc.core.masking.alphabet import DIGIT, WEAK_GAP
from extproc.core.masking.detectors import Detectors
from extproc.core.masking.mask import Masks
from extproc.core.masking.walk import Found

_EDGE: Final = 48
"""Characters of a text, at its beginning and at its end, that may belong to a number split over texts."""
_LARGEST_PART: Final = 10**12
# Between the beginning and the end of a long text.
_APART: Final = " x "
_has_digit = DIGIT.search


def mask_split(values: Iterable[object], primer: str, detectors: Detectors, masks: Masks) -> dict[int, object]:
    """What takes the place of those `values`, by index, that hold a part of a number; the first part takes the mask.

    `primer` announces all of them. Raises `Malformed` when it costs too much.
    """
    replaced: dict[int, object] = {}
    for run in _runs(values):
        joined = _Joined(run)
        # From the last to the first, so that offsets stay right.
        for found in reversed(detectors.find_after(primer, joined.text, masks.effort)):
            replaced.update(joined.cut(found, masks))
    return replaced


def _runs(values: Iterable[object]) -> Iterator[list[tuple[int, object]]]:
    """Stretches of two and more values that may hold parts of one number."""
    run: list[tuple[int, object]] = []
    for index, value in enumerate(values):
        text = _text_of(value)
        if text and _has_digit(text):
            run.append((index, value))
            continue
        if len(run) > 1:
            yield run
        run = []
    if len(run) > 1:
        yield run


def _text_of(value: object) -> str:
    """What the value says; empty for one that cannot hold a part of a number."""
    if isinstance(value, str):
        return value
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value) if 0 <= value < _LARGEST_PART else ""
    if isinstance(value, dict):
        text = value.get("text")
        return text if isinstance(text, str) else ""
    return ""


class _Joined:
    """Values written one after the other, as much of each as may matter."""

    __slots__ = ("_values", "pieces", "text")

    def __init__(self, run: list[tuple[int, object]]) -> None:
        self._values = dict(run)
        # Offset in the joined text, index of the value, offset in its text, length.
        self.pieces: list[tuple[int, int, int, int]] = []
        self.text = ""
        for index, value in run:
            text = _text_of(value)
            if self.text:
                self.text += " " if isinstance(value, dict) else WEAK_GAP
            if len(text) <= 2 * _EDGE:
                self._add(index, 0, text)
            else:
                self._add(index, 0, text[:_EDGE])
                self.text += _APART
                self._add(index, len(text) - _EDGE, text[-_EDGE:])

    def _add(self, index: int, offset: int, text: str) -> None:
        self.pieces.append((len(self.text), index, offset, len(text)))
        self.text += text

    def cut(self, found: Found, masks: Masks) -> dict[int, object]:
        """The values without the find, which is masked in the first; nothing when it lies in one value alone."""
        parts = [
            (index, max(found.start - at, 0) + offset, min(found.end - at, length) + offset)
            for at, index, offset, length in self.pieces
            if found.start < at + length and found.end > at
        ]
        if len({index for index, _, _ in parts}) < 2:
            return {}
        replaced: dict[int, object] = {}
        mask = masks.mask(found)
        for index, start, end in parts:
            value = self._values[index]
            text = _text_of(value)
            rest = text[:start] + mask + text[end:]
            replaced[index] = self._values[index] = {**value, "text": rest} if isinstance(value, dict) else rest
            mask = ""
        return replaced
