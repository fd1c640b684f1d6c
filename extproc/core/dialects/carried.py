"""The texts of OpenAI choices while they stream: content, reasoning, tool arguments and whatever else a delta carries.

The undecided tail of one delta is put before the next delta of the same text. It comes out before its choice ends.
"""

from extproc.core.dialects.leaves import Path, announced_rule, envelope_of
from extproc.core.dialects.masker import Channel, Masker
from extproc.core.dialects.slots import Slot
from extproc.core.reasons import Malformed, Reason

_MAX_NAMES = 4096
"""Characters of all the names that one call was given."""


class CarriedTexts:
    """One masking channel for each text. At most `max_channels` of them."""

    def __init__(self, masker: Masker, max_channels: int) -> None:
        self._masker = masker
        self._max_channels = max_channels
        self._channels: dict[Path, Channel] = {}
        self._names: dict[Path, str] = {}
        self._ended: set[int] = set()
        self._envelope: dict[str, object] = {}

    def __len__(self) -> int:
        return len(self._channels)

    def remember_envelope(self, document: dict[str, object]) -> None:
        """Keep what a flushed tail needs to look like an event of this stream."""
        self._envelope = {key: document[key] for key in envelope_of(document)}

    def is_over(self, slot: Slot) -> bool:
        """Whether the slot's choice is finished. More text of it is refused: its end has been judged already."""
        over = slot.text_id[1] in self._ended
        if over and slot.text:
            raise Malformed(Reason.RESPONSE_MALFORMED)
        return over

    def channel(self, slot: Slot) -> Channel:
        """The channel of the text of a choice that is not over."""
        channel = self._channels.get(slot.text_id)
        if channel is None:
            if len(self._channels) + len(self._ended) >= self._max_channels:
                raise Malformed(Reason.RESPONSE_TOO_LARGE)
            rule = announced_rule(slot.path)
            channel = self._masker.json_channel() if slot.is_json else self._masker.channel(rule)
            self._channels[slot.text_id] = channel
        return channel

    def check_names(self, names: list[tuple[Path, str]]) -> None:
        """A tool's name arrives whole and is masked alone; later pieces that make something of it are refused.

        Servers repeat a name, and some count all calls as the first.
        """
        for text_id, name in names:
            known = self._names.get(text_id, "")
            if not known and len(self._names) >= self._max_channels:
                raise Malformed(Reason.RESPONSE_TOO_LARGE)
            if name and not (known.endswith(name) and any(map(str.isalpha, name))):
                joined = known + name
                if known and (_go_on(known, name) or self._masker.mask_text(joined) is not joined):
                    raise Malformed(Reason.RESPONSE_MALFORMED)
                if len(joined) > _MAX_NAMES:
                    raise Malformed(Reason.RESPONSE_TOO_LARGE)
                self._names[text_id] = joined

    def end(self, choices: list[int]) -> list[tuple[Path, str]]:
        """Finish the texts of `choices`: the tails that were still held, with the texts they end."""
        self._ended.update(choices)
        if len(self._ended) > self._max_channels:
            raise Malformed(Reason.RESPONSE_TOO_LARGE)
        over = [text_id for text_id in self._channels if text_id[1] in choices]
        tails = [(text_id, self._channels.pop(text_id).finish()) for text_id in over]
        return [(text_id, tail) for text_id, tail in tails if tail]

    def choices(self) -> list[int]:
        """The choices that have a text which is not finished."""
        return sorted({int(text_id[1]) for text_id in self._channels})

    def event(self, text_id: Path, tail: str) -> dict[str, object]:
        """An event of this stream that carries nothing but `tail`."""
        choice: dict[str, object] = {"index": text_id[1]}
        part: object = tail
        for step in reversed(text_id[3:]):
            if isinstance(step, int):
                part = [{"index": step, **part} if isinstance(part, dict) else part]
            else:
                part = {step: part}
        choice[str(text_id[2])] = part
        return {**self._envelope, "choices": [{**choice, "finish_reason": None}]}


def _go_on(known: str, name: str) -> bool:
    """Whether the number that `known` ends with may go on in `name`."""
    last = next(filter(str.isalnum, reversed(known)), "")
    return last.isdigit() and next(filter(str.isalnum, name), "").isdigit()
