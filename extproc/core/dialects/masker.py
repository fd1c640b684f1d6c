"""What the dialects need of a masker; `extproc.core.masking.scanner` provides it."""

from typing import Protocol

from extproc.core.masking.keys import KeyRule


class Channel(Protocol):
    """One incremental text: `concat(feed(...), finish())` is the masked concatenation, for every way of cutting."""

    @property
    def held(self) -> int:
        """Characters fed and not decided yet: always the end of what was fed."""
        ...

    def feed(self, delta: str) -> str: ...

    def finish(self) -> str: ...


class Masker(Protocol):
    """One exchange, one direction."""

    def mask_text(self, text: str) -> str:
        """The same object when nothing was found."""
        ...

    def mask_value(self, value: object, key: str = "") -> object:
        """A JSON value, masked; the same object when nothing was found. Strings under `arguments` are JSON too."""
        ...

    def mask_announced(self, text: str, rule: KeyRule) -> str:
        """A text under a key that announces `rule`; the same object when nothing was found."""
        ...

    def channel(self, rule: KeyRule = KeyRule.NONE) -> Channel:
        """A channel of plain text, which stands under a key that announces `rule`."""
        ...

    # Raises `Malformed` when the text nests too deeply.
    def json_channel(self) -> Channel:
        """A channel whose text is JSON and stays JSON."""
        ...
