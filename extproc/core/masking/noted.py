"""Masks a text of any length, piece by piece, and notes what was where: the engine of an exchange, for trying rules."""

from dataclasses import dataclass

from extproc.core.masking.aliases import Aliases
from extproc.core.masking.channel import Channel, WholeChannel
from extproc.core.masking.detectors import Detectors
from extproc.core.masking.effort import Effort
from extproc.core.masking.explain import LOOK_AHEAD, LOOK_BACK, Explainer
from extproc.core.masking.json_channel import JsonChannel
from extproc.core.masking.keys import KeyRule
from extproc.core.masking.mask import Masks
from extproc.core.masking.masker import JSON_TEXT, Masker
from extproc.core.masking.note import Note
from extproc.core.masking.scanner import Scanner
from extproc.core.masking.settings import Side, Styles
from extproc.core.masking.walk import Found


class NotedMasks(Masks):
    """Notes every find it masks: kinds and offsets, no digits."""

    __slots__ = ("_noted",)

    def __init__(self, styles: Styles, aliases: Aliases, effort: Effort) -> None:
        super().__init__(styles, aliases, effort)
        self._noted: list[Note] = []

    def mask(self, found: Found, text: str = "") -> str:
        self._noted.append(Note(found.start, found.end, str(found.kind)))
        return super().mask(found, text)

    def take_noted(self) -> list[Note]:
        """What was masked since the last call; offsets are those of the text in which it was found."""
        noted, self._noted = self._noted, []
        return noted


class NotedJsonChannel(JsonChannel):
    """Says what is known of the string or number that comes next."""

    def __init__(self, detectors: Detectors, masks: Masks) -> None:
        super().__init__(detectors, masks)
        self._outer_keys: list[str] = []

    @property
    def rule(self) -> KeyRule:
        """What its key announces of it."""
        return KeyRule.NONE if self._key_next else self._rule

    @property
    def holds_json(self) -> bool:
        """Whether its key says that it is JSON text itself."""
        return not self._key_next and self._key in JSON_TEXT

    def _structure(self, char: str) -> bool:
        """After an object or a list the key is the one under which it stood, for what follows it in a list."""
        if char in "{[":
            self._outer_keys.append(self._key)
        known = super()._structure(char)
        if char in "}]" and self._outer_keys:
            self._key = self._outer_keys.pop()
        return known


class NotedMasker(Masker):
    """A masker that tells what it masked. What a piece may cost is counted anew with each piece."""

    __slots__ = ("_noting",)

    def __init__(self, detectors: Detectors, styles: Styles, aliases: Aliases, max_steps: int) -> None:
        super().__init__(detectors, styles, aliases, max_steps)
        self._masks = self._noting = NotedMasks(styles, aliases, self._masks.effort)

    def take_noted(self) -> list[Note]:
        """What was masked since the last call."""
        return self._noting.take_noted()

    def json_channel(self) -> NotedJsonChannel:
        return NotedJsonChannel(self._detectors, self._masks)


class NotedScanner(Scanner):
    """A scanner whose maskers tell what they masked."""

    __slots__ = ()

    def masker(self, side: Side = Side.REQUEST, aliases: Aliases | None = None) -> NotedMasker:
        return NotedMasker(self._detectors, self.settings.styles(side), aliases or self.aliases(), self._max_steps)


@dataclass(frozen=True, slots=True)
class Piece:
    """What is decided now: the text, masked, and what there is to say of it, in order, with offsets in the whole."""

    text: str
    notes: list[Note]


class NotedText:
    """One plain text. All `text` of its pieces together is `Masker.mask_text` of the whole, however it is cut.

    With an `explainer` the notes say why, and tell of the candidates that were not taken. Memory is bounded by the
    longest piece.
    """

    def __init__(self, masker: NotedMasker, explainer: Explainer | None) -> None:
        self._masker = masker
        self._explainer = explainer
        self._channel: Channel | WholeChannel = masker.channel()
        self._fed = 0
        # The text from `_begin` on, and what was masked in it; everything before `noted_to` was told.
        self._window = ""
        self._begin = 0
        self._masked: list[Note] = []
        self.noted_to = 0

    def feed(self, piece: str) -> Piece:
        """Takes more of the text. Raises `Malformed` when it costs too much."""
        given = self._given
        self._masker.renew()
        text = self._channel.feed(piece)
        self._fed += len(piece)
        return self._told(text, piece, given, min(self._given, self._fed - LOOK_AHEAD))

    def finish(self) -> Piece:
        """The rest."""
        given = self._given
        self._masker.renew()
        return self._told(self._channel.finish(), "", given, self._fed)

    @property
    def _given(self) -> int:
        return self._fed - self._channel.held

    def _told(self, text: str, piece: str, given: int, until: int) -> Piece:
        masked = [note.moved(given) for note in self._masker.take_noted()]
        if self._explainer is None:
            self.noted_to = self._given
            return Piece(text, masked)
        self._window += piece
        self._masked += masked
        if until <= self.noted_to:
            return Piece(text, [])
        begin = self._begin
        notes = self._explainer.explain(
            self._window,
            [note.moved(-begin) for note in self._masked],
            start=self.noted_to - begin,
            stop=until - begin,
        )
        self.noted_to = until
        self._forget()
        return Piece(text, [note.moved(begin) for note in notes])

    def _forget(self) -> None:
        keep = max(self._begin, self.noted_to - LOOK_BACK)
        self._window = self._window[keep - self._begin :]
        self._begin = keep
        self._masked = [note for note in self._masked if note.end > keep]
