"""Which strings of a streamed event continue a text, and which text: one walk over the event.

A *slot* is such a string. Deltas of OpenAI choices (chat and completions) are *carried*: an undecided tail moves into
the next delta of the same text, because clients join them. Any other string is *waited for*: its event stays back until
the string is decided, because clients may read it alone.
"""

import re
from dataclasses import dataclass, field, replace

from extproc.core.dialects.families import beginnings, family_of, is_index, is_whole, kind_of
from extproc.core.dialects.fields import CLOCK, DELTAS, JSON_TEXT, SEQUENCE, STRUCTURAL, TOOL_INPUT, WHOLE
from extproc.core.dialects.leaves import Path, drop_uninspectable, envelope_of, is_dropped, value_at
from extproc.core.reasons import Malformed, Reason


@dataclass(frozen=True, slots=True)
class Slot:
    """`path` is where the string stands in this event, `text_id` which text it continues.

    It is `alone` where nothing says that it continues anything: then it stands in the event's `rest` too.
    """

    path: Path
    text_id: Path
    text: str = field(repr=False)
    carried: bool
    is_json: bool
    alone: bool


@dataclass(frozen=True, slots=True)
class EventParts:
    """An event. `rest` is the document with null where deltas, clocks and envelope stood, without what was dropped."""

    rest: dict[str, object] = field(repr=False)
    slots: list[Slot]
    ended: list[int]
    """Choices that this event finishes."""
    names: list[tuple[Path, str]] = field(repr=False)
    """Tool names: they arrive whole."""
    clocks: dict[str, object]
    dropped: bool

    def slots_in(self, masked: dict[str, object]) -> list[Slot]:
        """The slots, with what masking `rest` made of those that stand there. Raises `Malformed` where one is gone."""
        if masked is self.rest:
            return self.slots
        return [replace(slot, text=_text_at(masked, slot.path)) if slot.alone else slot for slot in self.slots]


def _text_at(document: dict[str, object], path: Path) -> str:
    text = value_at(document, path)
    if not isinstance(text, str):
        raise Malformed(Reason.RESPONSE_MALFORMED)
    return text


def take_apart(document: dict[str, object]) -> EventParts:
    """The parts of one event. Raises `Malformed(RESPONSE_MALFORMED)` when its choices are not objects with an index."""
    walk = _Walk(document)
    rest = walk.event(document)
    return EventParts(rest, walk.slots, walk.ended, walk.names, walk.clocks, walk.dropped)


def said_characters(document: dict[str, object], slots: list[Slot]) -> int:
    """How long the texts are that an event adds to the answer; where nothing says which they are, all that it says."""
    if "token" in document:  # TGI's last event says the whole answer once more
        slots = [slot for slot in slots if slot.path != ("generated_text",)]
    return sum(len(slot.text) for slot in slots if not slot.alone) or sum(len(slot.text) for slot in slots)


_TIMESTAMP = re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:\.\d{1,9})?(?:Z|[+-]\d\d:\d\d)\Z", re.ASCII)
_MAX_SEQUENCE = 10**7


def is_clock(key: str, value: object) -> bool:
    """Whether a field counts events or says their time, and says nothing else."""
    if key == SEQUENCE:
        return isinstance(value, int) and 0 <= value < _MAX_SEQUENCE
    return key == CLOCK and isinstance(value, str) and _TIMESTAMP.match(value) is not None


def _is_joined(value: object) -> bool:
    """Whether OpenAI's client joins what a delta says here with what is said later: in objects, and by an index."""
    return not isinstance(value, list) or any(isinstance(item, dict) and "index" in item for item in value)


class _Walk:
    def __init__(self, document: dict[str, object]) -> None:
        self.slots: list[Slot] = []
        self.ended: list[int] = []
        self.names: list[tuple[Path, str]] = []
        self.clocks: dict[str, object] = {}
        self.dropped = False
        kind = kind_of(document)
        self._json_delta = kind.endswith("arguments.delta")
        self._whole = is_whole(kind)
        self._begins = beginnings(document)

    def event(self, document: dict[str, object]) -> dict[str, object]:
        choices = document.get("choices")
        if not isinstance(choices, list):
            return self._object(document, (), family_of(document), carried=False)
        rest = dict(document)
        del rest["choices"]
        self._whole = False
        rest.update(dict.fromkeys(envelope_of(document)))
        rest = dict(self._object(rest, (), (), carried=False))
        rest["choices"] = [self._choice(choice, at) for at, choice in enumerate(choices)]
        return rest

    def _choice(self, choice: object, at: int) -> object:
        if not isinstance(choice, dict):
            raise Malformed(Reason.RESPONSE_MALFORMED)
        index = choice.get("index", at)
        if not is_index(index):
            raise Malformed(Reason.RESPONSE_MALFORMED)
        path: Path = ("choices", at)
        text_id: Path = ("choices", index)
        rest: dict[str, object] = {}
        for key, value in choice.items():
            if is_dropped(key, value):
                self.dropped = True
            elif key == "delta" and isinstance(value, dict):
                rest[key] = self._object(value, (*path, key), (*text_id, key), carried=True)
            elif key == "text" and isinstance(value, str):
                rest[key] = self._string(key, value, path, text_id, carried=True)
            else:
                rest[key] = self._value(key, value, path, text_id, carried=False)
        # Some servers send an empty string until the end.
        if choice.get("finish_reason"):
            self.ended.append(index)
        return rest

    def _value(self, key: str, value: object, path: Path, text_id: Path, *, carried: bool) -> object:
        if isinstance(value, str):
            return self._string(key, value, path, text_id, carried=carried)
        if key in WHOLE and not (carried and _is_joined(value)):
            kept = value if key == TOOL_INPUT and isinstance(value, dict) else drop_uninspectable(value)
            self.dropped = self.dropped or kept is not value
            return kept
        if isinstance(value, dict):
            return self._object(value, (*path, key), (*text_id, key), carried=carried)
        if isinstance(value, list):
            return self._array(key, value, (*path, key), (*text_id, key), carried=carried)
        return value

    def _object(self, value: dict[str, object], path: Path, text_id: Path, *, carried: bool) -> dict[str, object]:
        rest: dict[str, object] = {}
        for key, item in value.items():
            if is_dropped(key, item):
                self.dropped = True
            elif not path and is_clock(key, item):
                self.clocks[key] = item
                rest[key] = None
            elif key == "id" and path[-1:] == ("token",) and item:
                # TGI: the token as a number, beside its text. Clients want a number.
                rest[key] = 0
                self.dropped = True
            else:
                rest[key] = self._value(key, item, path, text_id, carried=carried)
        return rest

    def _array(self, key: str, value: list[object], path: Path, text_id: Path, *, carried: bool) -> list[object]:
        rest = []
        for at, item in enumerate(value):
            index = item.get("index", at) if isinstance(item, dict) else at
            if carried and not is_index(index):  # clients disagree on which text it continues
                raise Malformed(Reason.RESPONSE_MALFORMED)
            step = index if isinstance(index, int) else at
            if isinstance(item, str):
                rest.append(self._element(key, item, (*path, at), (*text_id, step), carried=carried))
            elif isinstance(item, dict):
                rest.append(self._object(item, (*path, at), (*text_id, step), carried=carried))
            elif isinstance(item, list):
                rest.append(self._array(key, item, (*path, at), (*text_id, step), carried=carried))
            else:
                rest.append(item)
        return rest

    def _string(self, key: str, value: str, path: Path, text_id: Path, *, carried: bool) -> object:
        if key == "name" and carried:
            self.names.append(((*text_id, key), value))
        if key in STRUCTURAL:
            return value
        return self._element(key, value, (*path, key), (*text_id, key), carried=carried)

    def _element(self, key: str, value: str, path: Path, text_id: Path, *, carried: bool) -> object:
        if self._whole:
            begun = self._begins.get(path)
            if begun is None:
                return value
            text_id = begun
        is_json = key in JSON_TEXT or (self._json_delta and key == "delta")
        alone = key not in DELTAS
        self.slots.append(Slot(path, text_id, value, carried, is_json, alone))
        return value if alone else None
