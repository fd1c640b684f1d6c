"""Replaces card data in the texts, values and streams of one exchange and direction."""

from extproc.core.masking.adjacent import mask_split
from extproc.core.masking.channel import Channel, WholeChannel
from extproc.core.masking.detectors import Detectors
from extproc.core.masking.effort import KEY_STEPS, Effort
from extproc.core.masking.encoded import may_be_encoded
from extproc.core.masking.json_channel import MAX_DEPTH, JsonChannel
from extproc.core.masking.keys import KeyRule, key_rule
from extproc.core.masking.mask import Masks, mask_number
from extproc.core.masking.settings import Style
from extproc.core.reasons import Malformed, Reason

# Up to this length such a look costs less than a call of RE2.
_SHORT = 128
JSON_TEXT = frozenset(("arguments", "partial_json"))


class Masker:
    """Masks what belongs to one exchange and direction, counts findings and numbers equal PANs equally.

    `findings` maps `Kind` values to counts. `numbered` masks are given in the order in which values are decided.
    Whatever masks raises `Malformed(BODY_TOO_COSTLY)` once there are more numbers and values than `max_steps` allow.
    """

    __slots__ = ("_detectors", "_masks")

    def __init__(self, detectors: Detectors, style: Style, max_steps: int) -> None:
        self._detectors = detectors
        self._masks = Masks(style, Effort(max_steps))

    @property
    def findings(self) -> dict[str, int]:
        return self._masks.findings

    @property
    def held_characters_max(self) -> int:
        """Most characters that any channel of this masker ever held back."""
        return self._masks.held_max

    def renew(self) -> None:
        """Another piece of a stream begins: `max_steps` are for each."""
        self._masks.effort.renew()

    def mask_text(self, text: str) -> str:
        """The whole text, masked; the same object when there is nothing to mask."""
        if len(text) < _SHORT and self._detectors.interesting(text) is None and not may_be_encoded(text):
            return text
        found = self._detectors.find(text, self._masks.effort)
        return self._masks.replace(text, found) if found else text

    def mask_json(self, text: str) -> str:
        """JSON text (a tool call's arguments), masked so that it still parses; the same object when nothing changed.

        What is not JSON is masked as text that may hold JSON escapes.
        """
        channel = self.json_channel()
        masked = channel.feed(text) + channel.finish()
        return text if masked == text else masked

    def mask_value(self, value: object, key: str = "") -> object:
        """Decoded JSON, masked; the same object when there is nothing to mask.

        `key` is the object key under which `value` stands. A number that is a PAN becomes a string. Keys are masked
        too; two keys that would become equal are told apart by a count. Raises `Malformed` beyond `MAX_DEPTH` levels.
        """
        return self._value(value, key_rule(key, KeyRule.NONE), key, 0)

    def mask_announced(self, text: str, rule: KeyRule) -> str:
        """The whole text, masked, which stands under a key that announces `rule`; the same object when nothing is."""
        if rule is KeyRule.NONE:
            return self.mask_text(text)
        if rule.whole is not None:
            return self._masks.mask_whole(text, rule.whole)
        found = self._detectors.find_after(rule.primer, text, self._masks.effort)
        return self._masks.replace(text, found) if found else text

    def channel(self, rule: KeyRule = KeyRule.NONE) -> Channel | WholeChannel:
        """A new stream of plain text, which stands under a key that announces `rule`."""
        if rule.whole is not None:
            return WholeChannel(rule.whole, self._masks)
        return Channel(self._detectors.tape(rule.primer, self._masks.effort), self._masks)

    def json_channel(self) -> JsonChannel:
        """A new stream of JSON text."""
        return JsonChannel(self._detectors, self._masks)

    def _value(self, value: object, rule: KeyRule, key: str, depth: int) -> object:
        if isinstance(value, str):
            if key in JSON_TEXT:
                return self.mask_json(value)
            return self.mask_announced(value, rule)
        if isinstance(value, dict):
            return self._object(value, rule, depth + 1)
        if isinstance(value, list):
            return self._list(value, rule, key, depth + 1)
        if isinstance(value, int | float) and not isinstance(value, bool):
            mask = mask_number(self._detectors, self._masks, value, rule)
            return value if mask is None else mask
        return value

    def _list(self, values: list[object], rule: KeyRule, key: str, depth: int) -> list[object]:
        _check_depth(depth)
        self._masks.effort.spend(len(values))
        masked: list[object] | None = None
        for index, value in enumerate(values):
            new = self._value(value, rule, key, depth)
            if new is not value:
                masked = masked or list(values)
                masked[index] = new
        split = mask_split(masked or values, rule.primer, self._detectors, self._masks)
        if split:
            return [split.get(index, value) for index, value in enumerate(masked or values)]
        return values if masked is None else masked

    def _object(self, values: dict[str, object], rule: KeyRule, depth: int) -> dict[str, object]:
        _check_depth(depth)
        self._masks.effort.spend(KEY_STEPS * len(values))
        masked: dict[str, object] = {}
        counts: dict[str, int] = {}
        changed = False
        for key, value in values.items():
            new_key = self.mask_text(key)
            new = self._value(value, key_rule(key, rule), key, depth)
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
