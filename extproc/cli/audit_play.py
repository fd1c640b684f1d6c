"""How `extproc audit replay` plays a transcript: as a conversation, or as the events that crossed the boundary.

Every text in it comes from elsewhere and steers no terminal.
"""

import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from extproc.approvals.spoken import Step, ending, spoken
from extproc.audit.log.content import Piece
from extproc.audit.reading.exchanges import ExchangeRecords
from extproc.audit.reading.reader import time_text
from extproc.audit.reading.replay import Transcript
from extproc.cli.output import say
from extproc.core.printable import printable, printable_line
from extproc.core.record import Direction

_INDENT = " " * 11


@dataclass(frozen=True, slots=True)
class Pace:
    """`factor`: seconds of ours for a second of theirs; 0 for no pauses."""

    factor: float
    begun: float

    @classmethod
    def begin(cls, factor: float) -> "Pace":
        return cls(factor, time.monotonic())

    def wait(self, at: float) -> None:
        """Until `at` seconds of theirs have passed."""
        if self.factor and (wait := self.begun + at * self.factor - time.monotonic()) > 0:
            time.sleep(wait)


class _Screen:
    """Prints steps in their time. The first answer that speaks is shown as it comes; the others follow it, whole."""

    def __init__(self, pace: Pace) -> None:
        self._pace = pace
        self._turn = 0
        self._voice: int | None = None
        self._later: list[Step] = []

    def show(self, step: Step) -> None:
        self._pace.wait(step.at)
        if self._voice is None or step.said.voice == self._voice:
            self._voice = step.said.voice
            self._print(step)
        else:
            self._later.append(step)

    def end(self) -> None:
        for step in sorted(self._later, key=lambda step: (step.said.voice, step.turn)):
            self._print(step)
        if self._turn:
            say()

    def _print(self, step: Step) -> None:
        if step.turn != self._turn:
            answer = f", answer {step.said.voice + 1}" if step.said.voice else ""
            line_end = "\n" if self._turn else ""
            say(f"{line_end}{step.at:9.3f}s {printable_line(step.said.role)}{answer}\n{_INDENT}", nl=False)
            self._turn = step.turn
        say(printable(step.said.text).replace("\n", "\n" + _INDENT), nl=False)


def play_conversation(transcript: Transcript, pace: Pace) -> None:
    """Who and what, the turns as they were said, and how it ended."""
    say(_heading(transcript.exchange))
    screen = _Screen(pace)
    for step in spoken(transcript.pieces):
        screen.show(step)
    screen.end()
    say(ending(transcript.exchange))


def print_conversation(transcript: Transcript) -> None:
    """A JSON object for each turn, and one for how it ended; at once."""
    turns: dict[int, tuple[dict[str, Any], list[str]]] = {}
    for step in spoken(transcript.pieces):
        said = step.said
        heading = {"at_seconds": step.at, "answer": said.voice, "role": said.role}
        turns.setdefault(step.turn, (heading, []))[1].append(said.text)
    for _, (heading, texts) in sorted(turns.items()):
        say(json.dumps({**heading, "text": "".join(texts)}))
    say(json.dumps({"role": "end", "text": ending(transcript.exchange)}))


def play_events(pieces: tuple[Piece, ...], pace: Pace) -> None:
    """Each event of a stream, each line of a body, with its time and direction."""
    for at, piece, text in _events(pieces):
        pace.wait(at)
        arrow = "->" if piece.direction is Direction.TO_MODEL else "<-"
        for line in filter(None, text.splitlines()):  # a stream's events end with empty lines
            say(f"{at:9.3f}s {arrow} {printable(line)}")


def print_events(pieces: tuple[Piece, ...]) -> None:
    """The same as JSON, at once."""
    for at, piece, text in _events(pieces):
        say(json.dumps({"at_seconds": at, "direction": str(piece.direction), "data": text}))


def _events(pieces: tuple[Piece, ...]) -> Iterator[tuple[float, Piece, str]]:
    start = pieces[0].at_us if pieces else 0
    for piece in pieces:
        yield (piece.at_us - start) / 1e6, piece, piece.data.decode("utf-8", "backslashreplace")


def nothing_crossed(exchange: ExchangeRecords, *, as_json: bool) -> None:
    """Why there is no transcript: the words that an exchange gets that was refused before the model was asked."""
    words = f"{ending(exchange)}. Nothing crossed the boundary, so there is nothing to replay."
    if exchange.last.approval:
        words += f" What was asked is shown by `extproc approvals show {printable_line(exchange.last.approval.id)}`."
    say(json.dumps({"role": "end", "text": words}) if as_json else f"{_heading(exchange)}\n{words}")


def _heading(exchange: ExchangeRecords) -> str:
    last = exchange.last
    decision = f"{exchange.effect} by rule {exchange.rule or '-'}" if exchange.effect else ""
    words = [
        time_text(exchange.began_ms),
        last.actor.name or last.actor.uid,
        last.resource.operation,
        exchange.model,
        decision,
    ]
    return printable_line(" ".join(word for word in words if word))
