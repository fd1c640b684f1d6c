"""Events that wait for their texts to be decided, and the text that several events share."""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from extproc.core.dialects.masker import Channel


@dataclass(slots=True)
class _Piece:
    """One event's share of a text: what is decided of it, what is not yet, and who wants to know."""

    decided: str = field(repr=False)
    undecided: str = field(repr=False)
    resolve: Callable[[str], None]


class SharedText:
    """One text cut over events. Each event gets back its share; a replacement goes to the event with its start.

    No text moves from one event to another unless something in it was replaced.
    """

    def __init__(self, channel: Channel) -> None:
        self._channel = channel
        self._pieces: deque[_Piece] = deque()

    @property
    def waits(self) -> bool:
        """Whether an event waits for the end of this text."""
        return bool(self._pieces)

    def add(self, text: str, resolve: Callable[[str], None]) -> None:
        """Feed one event's share. `resolve` is called once, now or later, with what stands in its place."""
        if not text:
            resolve(text)
            return
        self._pieces.append(_Piece("", text, resolve))
        self._settle(self._channel.feed(text), self._channel.held)

    def finish(self) -> None:
        """The text is over: everything is decided."""
        self._settle(self._channel.finish(), 0)

    def _settle(self, output: str, held: int) -> None:
        undecided = "".join(piece.undecided for piece in self._pieces)
        decided = len(undecided) - held
        unchanged = output == undecided[:decided]
        if output and not unchanged:
            self._pieces[0].decided += output
        while self._pieces and decided >= len(self._pieces[0].undecided):
            piece = self._pieces.popleft()
            decided -= len(piece.undecided)
            piece.resolve(piece.decided + piece.undecided if unchanged else piece.decided)
        if decided:
            piece = self._pieces[0]
            if unchanged:
                piece.decided += piece.undecided[:decided]
            piece.undecided = piece.undecided[decided:]
