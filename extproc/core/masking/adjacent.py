"""Numbers that are split over neighbouring elements of an array, fields of an object or text parts of a message.

Each element is masked by itself, too; this looks for what only several of them together say.
"""

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from extproc.core.masking.alphabet import DIGIT, WEAK_GAP
from extproc.core.masking.detectors import Detectors
from extproc.core.masking.effort import ROW_STEPS
from extproc.core.masking.iin import MIN_PAN_DIGITS
from extproc.core.masking.mask import Masks
from extproc.core.masking.settings import Kind
from extproc.core.masking.walk import Found

_EDGE: Final = 48
"""Characters of a text, at its beginning and at its end, that may belong to a number split over texts."""
_ROW: Final = 4
"""Elements behind a PAN that may be its name, expiry and code."""
_BESIDE: Final = frozenset((Kind.SECURITY_CODE, Kind.EXPIRY))
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
        if not (primer or detectors.ruled) and _too_short(run):
            continue
        joined = _Joined(run)
        # From the last to the first, so that offsets stay right.
        for found in reversed(detectors.find_after(primer, joined.text, masks.effort)):
            replaced.update(joined.cut(found, masks))
    return replaced


def mask_beside(
    values: Sequence[object], masked: Sequence[object], detectors: Detectors, masks: Masks
) -> dict[int, object]:
    """What takes the place of those elements of an array, by index, that are beside a PAN's: code and expiry.

    `masked` are the elements as each of them is masked by itself. Raises `Malformed` when it costs too much.
    """
    replaced: dict[int, object] = {}
    for first, value in enumerate(values):
        if masked[first] is value or not isinstance(value, str | int):
            continue
        masks.effort.spend(ROW_STEPS)
        row = _row(values, masked, first)
        taken = [index for index in range(first, first + 1 + _ROW) if index in replaced]
        found = [one for one in detectors.find_after("", row.text, masks.effort) if one.kind in _BESIDE]
        dated = any(one.kind == Kind.EXPIRY for one in found)
        for one in reversed(found):
            held = row.held_by(one)
            if (
                first in held
                or any(index in taken for index in held)
                or any(masked[index] is not values[index] for index in held)
            ):
                continue
            # A number alone behind a PAN is an amount.
            if dated or isinstance(values[held[0]], str):
                replaced.update(row.replaced(one, masks))
    return replaced


def _row(values: Sequence[object], masked: Sequence[object], first: int) -> "_Joined":
    """The element at `first`, with those behind it that may belong to it, up to the next PAN."""
    row = _Joined([(first, values[first])])
    for index in range(first + 1, min(first + 1 + _ROW, len(values))):
        text = "" if isinstance(values[index], dict) else _text_of(values[index])
        if not text or len(text) > _EDGE or (len(text) >= MIN_PAN_DIGITS and masked[index] is not values[index]):
            break
        row.append(index, values[index])
    return row


def _runs(values: Iterable[object]) -> Iterator[list[tuple[int, object]]]:
    """Stretches of two and more values that may hold parts of one number."""
    run: list[tuple[int, object]] = []
    for index, value in enumerate(values):
        text = _text_of(value)
        if text and _may_hold_part(text):
            run.append((index, value))
            continue
        if len(run) > 1:
            yield run
        run = []
    if len(run) > 1:
        yield run


def _too_short(run: Sequence[tuple[int, object]]) -> bool:
    """Whether numbers alone have too few digits for a card, as counters and times have."""
    digits = 0
    for _, value in run:
        if not isinstance(value, int):
            return False
        digits += len(str(value))
    return digits < MIN_PAN_DIGITS


def _may_hold_part(text: str) -> bool:
    """Whether there is a digit where a number can go on in the value before or behind."""
    if len(text) <= 2 * _EDGE:
        return _has_digit(text) is not None
    return _has_digit(text, 0, _EDGE) is not None or _has_digit(text, len(text) - _EDGE) is not None


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

    __slots__ = ("_ends", "_length", "_values", "_written", "pieces")

    def __init__(self, run: list[tuple[int, object]]) -> None:
        self._values = dict(run)
        # Offset in the joined text, index of the value, offset in its text, length; in order.
        self.pieces: list[tuple[int, int, int, int]] = []
        self._ends: list[int] = []
        self._written: list[str] = []
        self._length = 0
        for index, value in run:
            self.append(index, value)

    @property
    def text(self) -> str:
        """All of them."""
        self._written = ["".join(self._written)]
        return self._written[0]

    def append(self, index: int, value: object) -> None:
        """Another value, behind the others."""
        self._values[index] = value
        text = _text_of(value)
        if self._length:
            self._write(" " if isinstance(value, dict) else WEAK_GAP)
        if len(text) <= 2 * _EDGE:
            self._add(index, 0, text)
        else:
            self._add(index, 0, text[:_EDGE])
            self._write(_APART)
            self._add(index, len(text) - _EDGE, text[-_EDGE:])

    def _add(self, index: int, offset: int, text: str) -> None:
        self.pieces.append((self._length, index, offset, len(text)))
        self._write(text)
        self._ends.append(self._length)

    def _write(self, text: str) -> None:
        self._written.append(text)
        self._length += len(text)

    def cut(self, found: Found, masks: Masks) -> dict[int, object]:
        """The values without the find, which is masked in the first; nothing when it lies in one value alone."""
        return self.replaced(found, masks) if len(set(self.held_by(found))) > 1 else {}

    def held_by(self, found: Found) -> list[int]:
        """The values in which the find lies, by index, in order."""
        return [index for index, _, _ in self._parts(found)]

    def replaced(self, found: Found, masks: Masks) -> dict[int, object]:
        """The values without the find, which is masked in the first."""
        replaced: dict[int, object] = {}
        mask = masks.mask_apart(found, self.text[found.start : found.end])
        for index, start, end in self._parts(found):
            value = self._values[index]
            text = _text_of(value)
            rest = text[:start] + mask + text[end:]
            replaced[index] = self._values[index] = {**value, "text": rest} if isinstance(value, dict) else rest
            mask = ""
        return replaced

    def _parts(self, found: Found) -> list[tuple[int, int, int]]:
        parts = []
        for number in range(bisect_right(self._ends, found.start), len(self.pieces)):
            at, index, offset, length = self.pieces[number]
            if at >= found.end:
                break
            if length:
                parts.append((index, max(found.start - at, 0) + offset, min(found.end - at, length) + offset))
        return parts
