"""One session as its page shows it: bounded pieces of what was said, phases as bars, times in words. Pure."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from extproc.approvals.account import Phase
from extproc.approvals.session_content import Content, ContentState, SpokenTurn, Stretch
from extproc.core.printable import printable

TURN_CHARACTERS: Final = 4_000
"""Of one turn on the page of the session."""
PART_CHARACTERS: Final = 50_000
"""Of one turn on a page of its own."""
TURNS: Final = 40
"""Of each side on one page."""
REPLAY_CHARACTERS: Final = 500_000
REPLAY_PARTS: Final = 20_000
"""What a replay loads into a browser: more is said to be left out."""
_WIDTH: Final = 1_000.0
_NARROWEST: Final = 4.0
"""Of a thousand: a phase that took next to nothing is still seen."""
_PHASES: Final = {
    "identity": "Identity",
    "decision": "Decision",
    "hold": "Held for approval",
    "record": "Record",
    "model": "Model, until its first byte",
    "answer": "Answer, to its end",
}
_TITLES: Final = {
    ContentState.NOTHING: "There is no transcript.",
    ContentState.SHREDDED: "The transcript cannot be read any more.",
    ContentState.NOT_STORED: "The transcript is not in the store yet.",
    ContentState.BROKEN: "The transcript does not open as stored.",
}
_READABLE: Final = frozenset({ContentState.READABLE, ContentState.UNDER_WAY})


@dataclass(frozen=True, slots=True)
class PhaseView:
    """`x` and `width` are of a thousand."""

    name: str
    css: str
    began: str
    took: str
    x: str
    width: str


@dataclass(frozen=True, slots=True)
class TurnView:
    """The beginning of a turn. `number` counts all turns of both sides from 0; `left_out` characters follow."""

    number: int
    role: str
    voice: int
    css: str
    at: str
    stretches: tuple[Stretch, ...]
    left_out: int


@dataclass(frozen=True, slots=True)
class Paging:
    """`first` to `last` (from 1) of `total`; URLs of what is before and after, or None."""

    first: int
    last: int
    total: int
    before: str | None
    after: str | None


@dataclass(frozen=True, slots=True)
class ContentView:
    """`title` and `words` say why there is nothing to show, where `readable` is false."""

    readable: bool
    under_way: bool
    broken: bool
    title: str
    words: str
    seconds: float
    prompt: tuple[TurnView, ...] = ()
    answer: tuple[TurnView, ...] = ()
    prompt_more: Paging | None = None
    answer_more: Paging | None = None


def milliseconds(value: float) -> str:
    """`812 ms`, `1.24 s`, `3 min 20 s`."""
    if value < 1_000:
        return f"{value:.0f} ms" if value >= 1 or not value else f"{value:.2f} ms"
    if value < 60_000:
        return f"{value / 1_000:.2f} s"
    minutes, seconds = divmod(round(value / 1_000), 60)
    return f"{minutes} min {seconds} s"


def view_phases(phases: Sequence[Phase]) -> tuple[tuple[PhaseView, ...], str]:
    """Each with its bar, and how long the whole took."""
    whole = max((phase.end_ms for phase in phases), default=0.0) or 1.0
    views = []
    for phase in phases:
        took = max(phase.end_ms - phase.begin_ms, 0.0)
        width = min(max(took / whole * _WIDTH, _NARROWEST), _WIDTH)
        x = min(max(phase.begin_ms / whole * _WIDTH, 0.0), _WIDTH - width)
        css = phase.name if phase.name in _PHASES else "other"
        name = _PHASES.get(phase.name, phase.name)
        views.append(PhaseView(name, css, milliseconds(phase.begin_ms), milliseconds(took), f"{x:.1f}", f"{width:.1f}"))
    return tuple(views), milliseconds(whole)


def view_content(content: Content, url: str, prompt_from: int, answer_from: int) -> ContentView:
    """The turns of both sides from given ones on. `url` is the session's."""
    numbered = list(enumerate(content.turns))
    prompt = [each for each in numbered if each[1].side == "request"]
    answer = [each for each in numbered if each[1].side != "request"]
    prompt_from, answer_from = _from(prompt_from, len(prompt)), _from(answer_from, len(answer))

    def page_of_prompt(first: int) -> str:
        return f"{url}?prompt={first}&answer={answer_from}#said-prompt"

    def page_of_answer(first: int) -> str:
        return f"{url}?prompt={prompt_from}&answer={first}#said-answer"

    return ContentView(
        readable=content.state in _READABLE,
        under_way=content.state is ContentState.UNDER_WAY,
        broken=content.state is ContentState.BROKEN,
        title=_TITLES.get(content.state, ""),
        words=content.words,
        seconds=content.seconds,
        prompt=tuple(_turn(*each) for each in prompt[prompt_from : prompt_from + TURNS]),
        answer=tuple(_turn(*each) for each in answer[answer_from : answer_from + TURNS]),
        prompt_more=page_of(prompt_from, TURNS, len(prompt), page_of_prompt),
        answer_more=page_of(answer_from, TURNS, len(answer), page_of_answer),
    )


def _from(first: int, total: int) -> int:
    """The last page for what lies beyond it."""
    return min(max(first, 0), max(total - 1, 0) // TURNS * TURNS)


def page_of(first: int, size: int, total: int, url: Any) -> Paging | None:
    """None where one page has all."""
    if total <= size and first == 0:
        return None
    before = url(max(first - size, 0)) if first > 0 else None
    after = url(first + size) if first + size < total else None
    return Paging(first + 1, min(first + size, total), total, before, after)


def _turn(number: int, turn: SpokenTurn) -> TurnView:
    stretches, left_out = cut(stretches_of(turn), 0, TURN_CHARACTERS)
    at = f"{turn.parts[0].at_seconds:.1f} s" if turn.parts else ""
    return TurnView(number, turn.role, turn.voice, css_of(turn), at, stretches, left_out)


def css_of(turn: SpokenTurn) -> str:
    """A class of the style sheet."""
    return "assistant" if turn.side != "request" else "user" if turn.role == "user" else ""


def stretches_of(turn: SpokenTurn) -> Iterable[Stretch]:
    return (stretch for part in turn.parts for stretch in part.stretches)


def cut(stretches: Iterable[Stretch], begin: int, characters: int) -> tuple[tuple[Stretch, ...], int]:
    """`characters` of the text from `begin` on, and how many follow."""
    kept: list[Stretch] = []
    at, left_out = 0, 0
    for stretch in stretches:
        start, end = max(begin - at, 0), min(begin + characters - at, len(stretch.text))
        if start < end:
            kept.append(Stretch(stretch.text[start:end], stretch.masked))
        left_out += max(len(stretch.text) - max(end, 0), 0) if at + len(stretch.text) > begin else 0
        at += len(stretch.text)
    return tuple(kept), left_out


def replay_document(content: Content) -> dict[str, Any]:
    """What the script of a replay loads: for each turn its parts, each with its second and its text, as text.

    Bounded by `REPLAY_CHARACTERS` and `REPLAY_PARTS`; `left_out` characters are not in it.
    """
    turns: list[dict[str, Any]] = []
    characters, parts, left_out = 0, 0, 0
    for turn in content.turns:
        said: list[Any] = []
        for part in turn.parts:
            size = sum(len(stretch.text) for stretch in part.stretches)
            if characters + size > REPLAY_CHARACTERS or parts >= REPLAY_PARTS:
                left_out += size
                continue
            characters, parts = characters + size, parts + 1
            said.append([round(part.at_seconds, 3), [[printable(one.text), one.masked] for one in part.stretches]])
        if said:
            turns.append({"side": turn.side, "role": printable(turn.role), "voice": turn.voice, "parts": said})
    return {"seconds": round(content.seconds, 3), "turns": turns, "left_out": left_out}
