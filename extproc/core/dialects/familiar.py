"""Masks what surrounds the texts of a stream's events, and looks only once at what repeats from event to event."""

from collections import deque

from extproc.core.dialects.masker import Masker
from extproc.core.dialects.strict_json import encode_json

_MAX_BYTES = 4096
_MAX_KNOWN = 16
"""Of at most `_MAX_BYTES` each."""


class Surroundings:
    """Remembers the last surroundings in which there was nothing to mask, as they were written: order and all."""

    def __init__(self, masker: Masker) -> None:
        self._masker = masker
        self._clean: deque[bytes] = deque(maxlen=_MAX_KNOWN)
        self._asked = b""

    def knows(self, rest: dict[str, object]) -> bool:
        """Whether these were seen before and are clean."""
        self._asked = encode_json(rest)
        return self._asked in self._clean

    def mask(self, rest: dict[str, object]) -> dict[str, object]:
        """The masked surroundings that were asked for last; `rest` itself when nothing changed."""
        masked = self._masker.mask_value(rest)
        if masked is rest and len(self._asked) <= _MAX_BYTES:
            self._clean.append(self._asked)
        return masked if isinstance(masked, dict) else {}
