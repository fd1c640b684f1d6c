"""The shape of a streamed event that differs from an inspected one in a single string only.

Two events that are byte for byte the same around one JSON string are the same document but for that string. Once the
first has been inspected, only the string of the second is new.
"""

from dataclasses import dataclass, field

from extproc.core.dialects.leaves import put
from extproc.core.dialects.masker import Channel
from extproc.core.dialects.slots import Slot
from extproc.core.dialects.strict_json import encode_json, parse_json
from extproc.core.reasons import Malformed, Reason

_PROBE = "\u2400"


@dataclass(frozen=True, slots=True)
class Template:
    """The bytes before and after the string's content, and the channel that the string feeds."""

    prefix: bytes = field(repr=False)
    suffix: bytes = field(repr=False)
    channel: Channel

    def inner(self, payload: bytes) -> bytes | None:
        """The raw content of the string when `payload` has this shape. It still has to parse as one string."""
        if payload.startswith(self.prefix) and payload.endswith(self.suffix):
            end = len(payload) - len(self.suffix)
            if end >= len(self.prefix):
                return payload[len(self.prefix) : end]
        return None

    def fill(self, text: str) -> bytes:
        """The event with another string."""
        return self.prefix + encode_json(text)[1:-1] + self.suffix


def learn_template(
    payload: bytes, document: dict[str, object], slot: Slot, channel: Channel, max_depth: int
) -> Template | None:
    """The template of an inspected event, or None when the string cannot be told apart from the bytes around it.

    The cut is proved: the event with a probe in the string's place parses to the same document with the probe. Leaves
    the document as it was.
    """
    literal = encode_json(slot.text)
    # The search begins after the last occurrence of the string's own key. Only a hint: the proof is the probe.
    key = encode_json(slot.path[-1])
    start = payload.find(literal, max(0, payload.rfind(key) + len(key))) + 1
    if start == 0:
        return None
    template = Template(payload[:start], payload[start + len(literal) - 2 :], channel)
    try:
        probed = parse_json(template.fill(_PROBE), max_depth, Reason.RESPONSE_MALFORMED)
    except Malformed:
        return None
    put(document, slot.path, _PROBE)
    proved = probed == document
    put(document, slot.path, slot.text)
    return template if proved else None
