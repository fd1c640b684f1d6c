"""What was said in one exchange, masked, for who may read it: its turns with the masks marked, and its raw events."""

import asyncio
import re
from collections.abc import Awaitable, Callable, Iterable, Iterator
from dataclasses import dataclass, field
from enum import StrEnum

from extproc.approvals.account import Source
from extproc.approvals.spoken import Step, ending, read_prompt, spoken
from extproc.audit.log.content import Piece
from extproc.audit.reading.exchanges import show_exchange
from extproc.audit.reading.reader import span_of_exchange
from extproc.audit.reading.replay import read_transcript
from extproc.audit.refusal import AuditRefused
from extproc.core.masking.mask import LABELS, label_of
from extproc.core.printable import printable, printable_line
from extproc.core.reasons import ExchangeError

EVENTS_A_PAGE = 200
EVENT_SHOWN = 20_000
"""Bytes of one raw event."""
OTHER_KEY = "The content key does not open: it is another deployment's, or was changed."


@dataclass(frozen=True, slots=True)
class Stretch:
    """Text of a turn; `masked` is the kind of finding that stood here (`PAN`), empty for what was said as it is."""

    text: str = field(repr=False)
    masked: str = ""


@dataclass(frozen=True, slots=True)
class SpokenPart:
    """What was said at once: at which second from the first byte on."""

    at_seconds: float
    stretches: tuple[Stretch, ...]


@dataclass(frozen=True, slots=True)
class SpokenTurn:
    """One thing said. `side` is `request` or `answer`, `voice` counts an answer's choices from 0."""

    side: str
    role: str
    voice: int
    parts: tuple[SpokenPart, ...]


@dataclass(frozen=True, slots=True)
class RawEvent:
    """What crossed the boundary at once. `direction`: `to_model` or `to_client`."""

    number: int
    at_seconds: float
    direction: str
    text: str = field(repr=False)
    left_out: int = 0
    """Bytes behind `text` that are not shown."""


class ContentState(StrEnum):
    READABLE = "readable"
    UNDER_WAY = "under_way"
    """Readable so far; the exchange's end is not recorded yet."""
    NOTHING = "nothing"
    """Nothing crossed the boundary."""
    SHREDDED = "shredded"
    NOT_STORED = "not_stored"
    """No record of it is in the store yet."""
    BROKEN = "broken"
    """It does not open as stored."""


@dataclass(frozen=True, slots=True)
class Content:
    """What was said, masked. `words` say why there is nothing to show, where there is not."""

    state: ContentState
    words: str = ""
    turns: tuple[SpokenTurn, ...] = field(default=(), repr=False)
    events: tuple[RawEvent, ...] = field(default=(), repr=False)
    events_total: int = 0
    seconds: float = 0.0
    """From the first byte to the last."""


async def read_content(
    source: Source, exchange_id: str, record_first: Callable[[], Awaitable[None]], first_event: int = 0
) -> Content:
    """What was said. `record_first` records the reading durably, and nothing is opened before.

    `events` are `EVENTS_A_PAGE` from `first_event` on. Raises `StoreFailed`.
    """
    await record_first()
    return await asyncio.to_thread(_read_content, source, exchange_id, max(first_event, 0))


def _read_content(source: Source, exchange_id: str, first_event: int) -> Content:
    holdings = source.look(span_of_exchange(exchange_id))
    exchange = show_exchange(holdings, exchange_id)
    if exchange is None:
        return Content(ContentState.NOT_STORED, "No record of it is in the store yet. Look again in a minute.")
    try:
        transcript = read_transcript(holdings, source.keys, exchange_id)
    except AuditRefused as refused:
        state = ContentState.SHREDDED if exchange.shredded is not None else ContentState.BROKEN
        return Content(state, str(refused))
    except ExchangeError:
        return Content(ContentState.BROKEN, OTHER_KEY)
    if transcript is None or not transcript.pieces:
        if exchange.ended:
            return Content(ContentState.NOTHING, f"{ending(exchange)}. Nothing crossed the boundary.")
        return Content(ContentState.UNDER_WAY, "Nothing has crossed the boundary yet.")
    pieces = transcript.pieces
    return Content(
        ContentState.READABLE if transcript.closed else ContentState.UNDER_WAY,
        "" if transcript.closed else "Its end is not recorded yet; this is what is there so far.",
        turns=turns_of(pieces, exchange.findings),
        events=tuple(_events(pieces, first_event)),
        events_total=len(pieces),
        seconds=(pieces[-1].at_us - pieces[0].at_us) / 1e6,
    )


def _events(pieces: tuple[Piece, ...], first: int) -> Iterator[RawEvent]:
    for number, piece in enumerate(pieces[first : first + EVENTS_A_PAGE], first):
        shown = piece.data[:EVENT_SHOWN].decode("utf-8", "backslashreplace")
        at = (piece.at_us - pieces[0].at_us) / 1e6
        yield RawEvent(number, at, str(piece.direction), printable(shown), max(len(piece.data) - EVENT_SHOWN, 0))


def turns_of(pieces: tuple[Piece, ...], kinds: Iterable[str]) -> tuple[SpokenTurn, ...]:
    """The conversation, with what reads like a mask marked: of cards, and of the `kinds` that were found."""
    turns: dict[int, tuple[Step, list[tuple[float, str]]]] = {}
    for step in spoken(pieces):
        turns.setdefault(step.turn, (step, []))[1].append((step.at, printable(step.said.text)))
    find = _masks_of(kinds).finditer
    asked = sum(1 for _ in read_prompt(pieces))
    return tuple(
        SpokenTurn(
            "request" if number <= asked else "answer",
            printable_line(step.said.role),
            step.said.voice,
            _parts(said, find("".join(text for _, text in said))),
        )
        for number, (step, said) in sorted(turns.items())
    )


def _masks_of(kinds: Iterable[str]) -> re.Pattern[str]:
    labels = sorted({label_of(kind)[1:-1] for kind in (*LABELS, *kinds)}, key=len, reverse=True)
    names = "|".join(map(re.escape, labels))
    return re.compile(rf"\[({names})(?:_[A-Za-z0-9_]{{1,80}})?\]|(?<!\d)\d{{6}}\*{{4,9}}\d{{4}}(?!\d)")


def _parts(said: list[tuple[float, str]], masks: Iterable[re.Match[str]]) -> tuple[SpokenPart, ...]:
    """Cut at the masks, also where one stands across two pieces."""
    spans = [(mask.start(), mask.end(), mask[1] or "PAN") for mask in masks]
    parts: list[SpokenPart] = []
    begin = at_span = 0
    for at, text in said:
        end, here = begin + len(text), begin
        stretches: list[Stretch] = []
        while here < end:
            while at_span < len(spans) and spans[at_span][1] <= here:
                at_span += 1
            start, stop, kind = spans[at_span] if at_span < len(spans) else (end, end, "")
            if start > here:
                stop, kind = min(start, end), ""
            stop = min(stop, end)
            stretches.append(Stretch(text[here - begin : stop - begin], kind))
            here = stop
        parts.append(SpokenPart(at, tuple(stretches)))
        begin = end
    return tuple(parts)
