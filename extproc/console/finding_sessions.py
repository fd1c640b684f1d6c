"""The list of sessions as its URL says it: what is looked for, and the URLs of what else could be."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final
from urllib.parse import urlencode

from extproc.approvals.index.query import SessionQuery
from extproc.approvals.index.verdict import Verdict
from extproc.core.policy import Effect

PATH: Final = "/sessions"
PRESETS: Final = {"1h": ("Last hour", 3_600), "24h": ("Last 24 hours", 86_400), "7d": ("Last 7 days", 604_800)} | {
    "30d": ("Last 30 days", 2_592_000),
    "all": ("Any time", 0),
}
"""By the name in the URL: how it reads, and its length in seconds; 0 is open."""
DEFAULT_PRESET: Final = "24h"
BETWEEN: Final = "between"
"""Instead of a preset: the two times of the form count."""
MAX_WORD: Final = 200
FILTERS: Final = {
    "person": "Person",
    "model": "Model",
    "verdict": "Verdict",
    "finding": "Finding",
    "rule": "Rule",
    "effect": "Policy says",
    "connection": "Connection",
    "operation": "Operation",
    "id": "Session id",
}
"""Fields of the form that are text, and how they are labelled."""
CLOSED: Final[Mapping[str, tuple[str, ...]]] = {"verdict": tuple(Verdict), "effect": tuple(Effect)}
"""Fields that have no other words than these: they are chosen instead of typed."""
_FLAGS: Final = {"held": "Held for an approval"}


@dataclass(frozen=True, slots=True)
class Chip:
    """A filter that is set, and the URL of the list without it."""

    label: str
    value: str
    without: str


@dataclass(frozen=True, slots=True)
class Asked:
    """What a URL asks for. `said` holds what is set, by the form's names; `problems` what of it cannot be read."""

    query: SessionQuery
    said: Mapping[str, str]
    range: str
    cursor: str
    problems: tuple[str, ...] = ()

    @property
    def filtered(self) -> bool:
        return any(name in self.said for name in (*FILTERS, *_FLAGS))

    def url(self, **changes: str) -> str:
        """The same list with other words; an empty one takes its filter away. A page further on is not kept."""
        return _url({**self.said, "range": self.range, **changes})

    def page(self, cursor: str) -> str:
        return _url({**self.said, "range": self.range, "cursor": cursor})

    def chips(self) -> tuple[Chip, ...]:
        labels = {**FILTERS, **_FLAGS}
        return tuple(
            Chip(labels[name], value if name in FILTERS else "", self.url(**{name: ""}))
            for name, value in self.said.items()
            if name in labels
        )


def read_asked(params: Mapping[str, str], now: float) -> Asked:
    """What the parameters of a URL ask for. What is not known is passed over, what cannot be read is told."""
    said = {name: word for name in FILTERS if (word := params.get(name, "").strip()[:MAX_WORD])}
    said |= {name: "1" for name in _FLAGS if params.get(name)}
    problems: list[str] = []
    for name, words in CLOSED.items():
        if (word := said.get(name, "")) not in ("", *words):
            problems.append(f"There is no {name} `{word}`, so no session has it. There are: {', '.join(words)}.")
    preset = params.get("range", "")
    since, until = (_moment(params.get(name, ""), name, problems) for name in ("from", "to"))
    if preset == BETWEEN or (preset not in PRESETS and (since or until)):
        preset = BETWEEN
        said |= {name: params[name] for name in ("from", "to") if params.get(name)}
    else:
        preset = preset if preset in PRESETS else DEFAULT_PRESET
        seconds = PRESETS[preset][1]
        since, until = (int((now - seconds) * 1000) if seconds else 0), 0
    if since and until and since >= until:
        problems.append("The time range is empty: its beginning is not before its end.")
    query = SessionQuery(
        person=said.get("person", ""),
        model=said.get("model", ""),
        connection=said.get("connection", ""),
        operation=said.get("operation", ""),
        verdict=said.get("verdict", ""),
        effect=said.get("effect", ""),
        rule=said.get("rule", ""),
        finding=said.get("finding", ""),
        since_ms=since,
        until_ms=until,
        exchange_id=said.get("id", ""),
        held_only="held" in said,
    )
    return Asked(query, said, preset, params.get("cursor", "")[:MAX_WORD], tuple(problems))


def _moment(text: str, name: str, problems: list[str]) -> int:
    """Unix milliseconds of a time in UTC as a form sends it; 0 for none."""
    if not text:
        return 0
    try:
        moment = datetime.fromisoformat(text)
        moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
        return int(moment.timestamp() * 1000)
    except (ValueError, OverflowError):
        problems.append(f"`{name}` is no time such as 2026-11-29T06:00, and is passed over.")
        return 0


def _url(words: Mapping[str, str]) -> str:
    kept = {name: word for name, word in words.items() if word and (name, word) != ("range", DEFAULT_PRESET)}
    return f"{PATH}?{urlencode(kept)}" if kept else PATH
