"""Masks what surrounds the texts of a stream's events, and looks only once at what repeats from event to event."""

from collections import deque
from collections.abc import Mapping

from extproc.core.dialects.masker import Masker

MAX_FAMILIAR_BYTES = 4096
"""Larger events are not remembered: 64 keys with 8 values of this size are 2 MiB."""
_MAX_KEYS = 64
_MAX_VALUES = 8


class Surroundings:
    """Remembers, for each top-level key, the last values in which there was nothing to mask."""

    def __init__(self, masker: Masker) -> None:
        self._masker = masker
        self._clean: dict[str, deque[object]] = {}

    def unfamiliar(self, rest: Mapping[str, object]) -> dict[str, object]:
        """The fields of an event that have not been seen before as they are."""
        return {key: value for key, value in rest.items() if value not in self._clean.get(key, ())}

    def mask(self, rest: dict[str, object], unfamiliar: dict[str, object], event_bytes: int) -> dict[str, object]:
        """The masked event; `rest` itself when nothing changed. `unfamiliar` is the part to look at."""
        masked = self._masker.mask_value(unfamiliar) if unfamiliar else unfamiliar
        if masked is unfamiliar and event_bytes > MAX_FAMILIAR_BYTES:
            return rest
        if masked is unfamiliar:
            for key, value in unfamiliar.items():
                if key in self._clean or len(self._clean) < _MAX_KEYS:
                    self._clean.setdefault(key, deque(maxlen=_MAX_VALUES)).append(value)
            return rest
        familiar = {key: value for key, value in rest.items() if key not in unfamiliar}
        return {**familiar, **masked} if isinstance(masked, dict) else familiar
