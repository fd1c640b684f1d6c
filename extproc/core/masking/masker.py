"""Replaces card data in the texts, values and streams of one exchange and direction."""

import re

from extproc.core.masking.adjacent import mask_beside, mask_split
from extproc.core.masking.aliases import Aliases
from extproc.core.masking.channel import Channel, WholeChannel
from extproc.core.masking.detectors import Detectors
from extproc.core.masking.effort import KEY_STEPS, Effort
from extproc.core.masking.encoded import may_be_encoded
from extproc.core.masking.json_channel import MAX_DEPTH, JsonChannel
from extproc.core.masking.keys import MAX_KEY, KeyRule, is_label, key_rule, labelled_rule, said_by
from extproc.core.masking.mask import Masks, mask_number
from extproc.core.masking.settings import Styles
from extproc.core.reasons import Malformed, Reason

# Up to this length such a look costs less than a call of RE2.
_SHORT = 128
# To the end of the text where it does not end: every character is read once.
_STRING = re.compile(r'"(?:[^"\\]|\\.?)*+(?:"|\Z)|\A[^"{[]+\Z', re.DOTALL)
JSON_TEXT = frozenset(("arguments", "partial_json"))


class Masker:
    """Masks what belongs to one exchange and direction, and counts findings.

    `findings` maps `Kind` values to counts. `numbered` masks are given in the order in which values are decided.
    Whatever masks raises `Malformed(BODY_TOO_COSTLY)` once there are more numbers and values than `max_steps` allow.
    """

    __slots__ = ("_detectors", "_masks")

    def __init__(self, detectors: Detectors, styles: Styles, aliases: Aliases, max_steps: int) -> None:
        self._detectors = detectors
        self._masks = Masks(styles, aliases, Effort(max_steps))

    @property
    def findings(self) -> dict[str, int]:
        return self._masks.findings

    @property
    def held_characters_max(self) -> int:
        """Most characters that any channel of this masker ever held back."""
        return self._masks.held_max

    @property
    def held_characters(self) -> int:
        """What all channels of this masker hold back now."""
        return self._masks.held_now

    def renew(self) -> None:
        """Another piece of a stream begins: `max_steps` are for each."""
        self._masks.effort.renew()

    def mask_text(self, text: str, said: str = "") -> str:
        """The whole text, masked; the same object when there is nothing to mask. `said` is what its key says."""
        if len(text) < _SHORT and not self._detectors.worth_a_look(text) and not may_be_encoded(text):
            return text
        found = self._detectors.find(text, self._masks.effort, said)
        return self._masks.replace(text, found) if found else text

    def mask_json(self, text: str) -> str:
        """JSON text (a tool call's arguments), masked so that it still parses; the same object when nothing changed.

        What is not JSON is masked as text that may hold JSON escapes.
        """
        channel = self.json_channel()
        masked = channel.feed(text) + channel.finish()
        if may_be_encoded(masked):
            masked = _STRING.sub(self._decoded_string, masked)
        return text if masked == text else masked

    def _decoded_string(self, string: re.Match[str]) -> str:
        found = self._detectors.encoded(string.group(), self._masks.effort)
        return self._masks.replace(string.group(), found) if found else string.group()

    def mask_value(self, value: object, key: str = "") -> object:
        """Decoded JSON, masked; the same object when there is nothing to mask.

        `key` is the object key under which `value` stands. A number that is a PAN becomes a string. Keys are masked
        too; two keys that would become equal are told apart by a count. Raises `Malformed` beyond `MAX_DEPTH` levels.
        """
        return self._value(value, key_rule(key, KeyRule.NONE), key, self._said(key, ""), 0)

    def mask_announced(self, text: str, rule: KeyRule, said: str = "") -> str:
        """The whole text, masked, which stands under a key that announces `rule`; the same object when nothing is."""
        if rule is KeyRule.NONE:
            return self.mask_text(text, said)
        if rule.whole is not None:
            return self._masks.mask_whole(text, rule.whole)
        found = self._detectors.find_after(rule.primer, text, self._masks.effort, said)
        return self._masks.replace(text, found) if found else text

    def channel(self, rule: KeyRule = KeyRule.NONE) -> Channel | WholeChannel:
        """A new stream of plain text, which stands under a key that announces `rule`."""
        if rule.whole is not None:
            return WholeChannel(rule.whole, self._masks)
        return Channel(self._detectors.tape(rule.primer, self._masks.effort), self._masks)

    def json_channel(self) -> JsonChannel:
        """A new stream of JSON text."""
        return JsonChannel(self._detectors, self._masks)

    def _said(self, key: str, outer: str) -> str:
        return said_by(key, outer) if key and self._detectors.ruled else ""

    def _value(self, value: object, rule: KeyRule, key: str, said: str, depth: int) -> object:
        if isinstance(value, str):
            if key in JSON_TEXT:
                return self.mask_json(value)
            return self.mask_announced(value, rule, said)
        if isinstance(value, dict):
            return self._object(value, rule, said, depth + 1)
        if isinstance(value, list):
            return self._list(value, rule, key, said, depth + 1)
        if isinstance(value, int | float) and not isinstance(value, bool):
            mask = mask_number(self._detectors, self._masks, value, rule, said)
            return value if mask is None else mask
        return value

    def _list(self, values: list[object], rule: KeyRule, key: str, said: str, depth: int) -> list[object]:
        _check_depth(depth)
        self._masks.effort.spend(len(values))
        masked: list[object] | None = None
        for index, value in enumerate(values):
            new = self._value(value, rule, key, said, depth)
            if new is not value:
                masked = masked or list(values)
                masked[index] = new
        if masked is not None:
            for index, new in mask_beside(values, masked, self._detectors, self._masks).items():
                masked[index] = new
        split = mask_split(masked or values, rule.primer, self._detectors, self._masks)
        if split:
            return [split.get(index, value) for index, value in enumerate(masked or values)]
        return values if masked is None else masked

    def _object(self, values: dict[str, object], rule: KeyRule, outer: str, depth: int) -> dict[str, object]:
        _check_depth(depth)
        self._masks.effort.spend(KEY_STEPS * len(values))
        masked: dict[str, object] = {}
        counts: dict[str, int] = {}
        changed = False
        label = ""
        for key, value in values.items():
            new_key = self.mask_text(key)
            its_rule = key_rule(key, rule)
            if label:
                its_rule = labelled_rule(key, label, its_rule)
            new = self._value(value, its_rule, key, self._said(key, outer), depth)
            if isinstance(value, str) and is_label(key) and its_rule.whole is None:
                label = value[-MAX_KEY:]
            changed = changed or new_key is not key or new is not value
            name = new_key
            while name in masked:
                counts[new_key] = counts.get(new_key, 1) + 1
                name = f"{new_key} ({counts[new_key]})"
            masked[name] = new
        split = mask_split(masked.values(), "", self._detectors, self._masks)
        if split:
            return {key: split.get(index, value) for index, (key, value) in enumerate(masked.items())}
        return masked if changed else values


def _check_depth(depth: int) -> None:
    if depth > MAX_DEPTH:
        raise Malformed(Reason.BODY_MALFORMED)
