"""How a verdict looks: a word, a shape and a state beside the colour. What was blocked never looks like a success."""

from dataclasses import dataclass
from typing import Final

from extproc.console.health import State


@dataclass(frozen=True, slots=True)
class Look:
    """`words` is how it reads to a person, `css` the state's class of the style sheet."""

    state: State
    words: str

    @property
    def css(self) -> str:
        return CSS[self.state]


CSS: Final = {State.WELL: "good", State.ATTENTION: "wait", State.FAILING: "bad", State.UNKNOWN: ""}
LOOKS: Final = {
    "answered": Look(State.WELL, "Answered"),
    "blocked": Look(State.FAILING, "Blocked"),
    "cut": Look(State.FAILING, "Cut off"),
    "failed": Look(State.FAILING, "Failed"),
    "interrupted": Look(State.ATTENTION, "Interrupted"),
    "abandoned": Look(State.ATTENTION, "Client left"),
    "held": Look(State.ATTENTION, "Held, ticket given"),
    "waiting": Look(State.ATTENTION, "Waiting for approval"),
    "running": Look(State.UNKNOWN, "Under way"),
}
"""By `Verdict`. One of them is success."""


def look_of(verdict: str) -> Look:
    """A word that is not known is shown as it is, and as nothing good."""
    return LOOKS.get(verdict) or Look(State.UNKNOWN, verdict.replace("_", " ") or "not known")
